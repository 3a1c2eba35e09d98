//! The TCP handshake: two full round trips from the sensor, or none if they are not reliable.
//!
//! Owns: the times of SYN and SYN-ACK. In: TCP packets of one session. Out: near and far leg.
//! Never: halves, means, or a sample after a retransmission (Karn and Partridge, SIGCOMM 1987).

use crate::model::{Nanos, Peer, TcpFlags};
use crate::session::syn::SynSummary;

/// What a responder sends at most before the initiator's first segment (RFC 6928: ten segments).
const FLIGHT: u32 = 1 << 14;

/// The state of the handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// No SYN seen.
    #[default]
    None,
    /// SYN seen.
    Syn,
    /// SYN-ACK seen after the SYN.
    SynAck,
    /// The initiator's ACK was seen, or missed for good.
    Done,
}

/// Handshake state of one session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handshake {
    syn_at: Nanos,
    syn_ack_at: Nanos,
    far_ns: u32,
    near_ns: u32,
    syn_seq: u32,
    syn_ack_seq: u32,
    /// Timestamp value of the SYN until it is answered; then the number that a SYN-ACK would
    /// acknowledge for a later SYN that was not believed. 0 if there is none.
    syn_mark: u32,
    /// Timestamp value of the SYN-ACK until it is acknowledged, 0 where there is none; then the
    /// sequence number of the SYN-ACK that answered the later SYN.
    syn_ack_mark: u32,
    pub(crate) syn: SynSummary,
    stage: Stage,
    has_far: bool,
    has_near: bool,
    /// A retransmission, Fast Open or a simultaneous open: nothing measured is published.
    void: bool,
    /// A second SYN-ACK with another sequence number came before the initiator acknowledged the
    /// first: its acknowledgement will show which of them was forged.
    rival: bool,
    /// The later SYN was answered.
    reopens: bool,
}

/// The meaning of a SYN for an existing session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SynVerdict {
    /// Part of this session.
    Same,
    /// A new connection on the same five-tuple.
    New,
}

/// The part of a packet that the handshake needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) side: Peer,
    pub(crate) flags: TcpFlags,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) payload: u32,
    pub(crate) time: Nanos,
    /// Timestamp value and echo, read during the handshake.
    pub(crate) stamps: Option<(u32, u32)>,
}

impl Step {
    fn stamp(&self) -> u32 {
        self.stamps.map_or(0, |(value, _)| value)
    }

    /// Whether it answers the very segment that carried the timestamp `value` (RFC 7323 section
    /// 3.2), if both ends use timestamps: a copy that the sensor missed would have had another
    /// value.
    fn echoes(&self, value: u32) -> bool {
        let echo = self.stamps.map_or(0, |(_, echo)| echo);
        value == 0 || echo == 0 || echo == value
    }
}

impl Handshake {
    /// Reads some of its bytes to prefetch them.
    pub(crate) const fn warm(&self) -> u64 {
        self.syn_at.0 ^ self.stage as u64
    }

    /// Whether a SYN or SYN-ACK was seen at all.
    pub(crate) fn saw_syn(&self) -> bool {
        self.stage != Stage::None
    }

    /// The distance of a sequence number from the initiator's first byte, if its SYN was seen.
    pub(crate) fn distance(&self, seq: u32) -> Option<u32> {
        let seen = self.syn_at != Nanos::ZERO;
        seen.then(|| seq.wrapping_sub(self.syn_seq.wrapping_add(1)))
    }

    /// Whether the three packets have passed, or can no longer be seen.
    pub(crate) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Whether a SYN from `side` with `seq` belongs to this session or starts another.
    pub(crate) fn judge_syn(&self, step: &Step) -> SynVerdict {
        let is_syn_ack = step.flags.has(TcpFlags::ACK);
        let known = match (self.stage, is_syn_ack) {
            (Stage::None, _) => return SynVerdict::New,
            (_, true) if self.syn_ack_at == Nanos::ZERO => return SynVerdict::Same,
            (_, true) => self.syn_ack_seq,
            (_, false) if step.side == Peer::Responder => return SynVerdict::Same,
            (_, false) => self.syn_seq,
        };
        if known == step.seq || is_syn_ack { SynVerdict::Same } else { SynVerdict::New }
    }

    /// Whether a packet with SYN no longer fits this session: it is forged or stray, and has no
    /// effect. A SYN of the responder is a simultaneous open only before its SYN-ACK (RFC 9293
    /// section 3.5); a SYN-ACK after the first must answer this SYN and have the same sequence
    /// number (section 3.10.7.4, first check).
    pub(crate) fn is_stray(&self, step: &Step) -> bool {
        // Check the flag first: the handshake is in a cache line that other packets do not touch.
        let has_syn = step.flags.any(TcpFlags::SYN);
        if !has_syn || !matches!(self.stage, Stage::SynAck | Stage::Done) {
            return false;
        }
        match (step.side, step.flags.has(TcpFlags::ACK)) {
            (Peer::Initiator, is_syn_ack) => is_syn_ack,
            (Peer::Responder, false) => true,
            (Peer::Responder, true) => {
                let other_syn = step.ack != self.syn_seq.wrapping_add(1);
                self.syn_at != Nanos::ZERO && other_syn || step.seq != self.syn_ack_seq
            }
        }
    }

    /// Records a stray SYN or SYN-ACK. Returns whether it answers a SYN that was not accepted: the
    /// initiator's acknowledgement then decides whether both are of a new connection.
    pub(crate) fn note_stray(&mut self, step: &Step) -> bool {
        if !step.flags.has(TcpFlags::ACK) {
            (self.syn_mark, self.reopens) = (step.seq.wrapping_add(1), false);
            return false;
        }
        let answers = step.ack == self.syn_seq.wrapping_add(1);
        if answers && matches!(self.stage, Stage::SynAck) {
            self.rival = true;
        }
        if self.answers_other(step) {
            (self.syn_ack_mark, self.reopens) = (step.seq, true);
        }
        self.reopens
    }

    /// Whether the responder answers a SYN that was not accepted.
    fn answers_other(&self, step: &Step) -> bool {
        let settled = matches!(self.stage, Stage::None | Stage::Done);
        let answers = step.side == Peer::Responder && step.flags.has(TcpFlags::ACK);
        settled && answers && self.syn_mark != 0 && step.ack == self.syn_mark
    }

    /// Whether a RST refuses such a SYN: it is not of this session's stream.
    pub(crate) fn refuses_other(&self, step: &Step) -> bool {
        step.flags.any(TcpFlags::RST) && self.answers_other(step)
    }

    /// For the first segment after a SYN and SYN-ACK that were not accepted, the sequence number of
    /// that SYN-ACK: the sender of the SYN received the answer, so a new connection begins here
    /// (RFC 9293 section 3.5). A forger of both cannot make the initiator acknowledge them.
    pub(crate) fn reopened(&self, step: &Step) -> Option<u32> {
        let first = step.side == Peer::Initiator && step.seq == self.syn_mark;
        let acknowledges = step.flags.has(TcpFlags::ACK)
            && step.ack.wrapping_sub(self.syn_ack_mark.wrapping_add(1)) < FLIGHT;
        let ends = step.flags.any(TcpFlags::SYN | TcpFlags::RST);
        (self.reopens && first && acknowledges && !ends).then_some(self.syn_ack_mark)
    }

    /// Starts a session with the SYN-ACK that [`Handshake::reopened`] returned, which passed
    /// before.
    pub(crate) fn resume(&mut self, step: &Step, syn_ack: u32) {
        let flags = TcpFlags(TcpFlags::SYN | TcpFlags::ACK);
        let side = Peer::Responder;
        self.observe(&Step { side, flags, seq: syn_ack, ack: step.seq, payload: 0, ..*step });
    }

    /// The sequence number of the SYN-ACK, once seen.
    pub(crate) fn syn_ack_seq(&self) -> Option<u32> {
        (self.syn_ack_at != Nanos::ZERO).then_some(self.syn_ack_seq)
    }

    /// A packet's time cannot be compared with the others, and it may be one of those that are
    /// timed.
    pub(crate) const fn lose_time(&mut self) {
        self.void = true;
    }

    /// Processes one packet; packets that do not fit must not be passed.
    pub(crate) fn observe(&mut self, step: &Step) {
        match (step.flags.any(TcpFlags::SYN), step.flags.has(TcpFlags::ACK)) {
            (true, false) => self.observe_syn(step),
            (true, true) => self.observe_syn_ack(step),
            (false, true) if self.stage == Stage::SynAck => self.observe_ack(step),
            _ => {}
        }
    }

    fn observe_syn(&mut self, step: &Step) {
        // A repeated SYN makes the pair ambiguous; a SYN from both ends is a simultaneous open (RFC
        // 9293 section 3.5); data in a SYN is Fast Open (RFC 7413), whose SYN-ACK may be delayed.
        let repeated = self.stage != Stage::None;
        if repeated || step.side == Peer::Responder || step.payload > 0 {
            self.void = true;
        }
        if !repeated {
            self.syn_at = step.time;
            self.syn_seq = step.seq;
            self.syn_mark = step.stamp();
            self.stage = Stage::Syn;
        }
    }

    fn observe_syn_ack(&mut self, step: &Step) {
        match self.stage {
            Stage::Syn if self.is_answer(step) => {
                self.syn_ack_at = step.time;
                self.syn_ack_seq = step.seq;
                self.syn_ack_mark = step.stamp();
                self.stage = Stage::SynAck;
                match step.time.checked_since(self.syn_at) {
                    Some(_) if !step.echoes(self.syn_mark) => {}
                    Some(span) => (self.far_ns, self.has_far) = plausible(span),
                    None => self.void = true,
                }
                self.syn_mark = 0;
            }
            // The SYN passed before the capture started, and so may have an earlier SYN-ACK.
            Stage::None => {
                self.stage = Stage::Done;
                self.void = true;
                self.syn_ack_at = step.time;
                self.syn_ack_seq = step.seq;
                // The SYN may come later in the file: then it belongs to this session.
                self.syn_seq = step.ack.wrapping_sub(1);
            }
            _ => self.void = true,
        }
    }

    fn is_answer(&self, step: &Step) -> bool {
        step.side == Peer::Responder && step.ack == self.syn_seq.wrapping_add(1)
    }

    /// RFC 9293 section 3.5, figure 6, line 4: the initiator's first segment after its SYN. One
    /// with data or FIN may have been delayed by the application, with the bare ACK lost before the
    /// sensor: no sample.
    fn observe_ack(&mut self, step: &Step) {
        if step.side != Peer::Initiator || step.flags.any(TcpFlags::RST) {
            return;
        }
        let bare = step.payload == 0 && !step.flags.any(TcpFlags::FIN);
        self.stage = Stage::Done;
        let answers = step.ack == self.syn_ack_seq.wrapping_add(1);
        let first = step.seq == self.syn_seq.wrapping_add(1);
        // The timed SYN-ACK was not the one that the initiator received.
        self.void |= self.rival && !answers;
        match step.time.checked_since(self.syn_ack_at) {
            Some(span) if answers && first && bare && step.echoes(self.syn_ack_mark) => {
                (self.near_ns, self.has_near) = plausible(span);
            }
            Some(_) => {}
            None => self.void = true,
        }
    }

    /// Whether a RST of a responder that sent nothing else may refuse this session's SYN: it
    /// acknowledges the SYN and no more than was sent (RFC 9293 section 3.10.7.3: in SYN-SENT any
    /// other is dropped). `sent` is the position of the initiator's stream.
    pub(crate) fn may_refuse(&self, step: &Step, sent: u32) -> bool {
        if self.stage != Stage::Syn || step.side != Peer::Responder {
            return true;
        }
        let first = self.syn_seq.wrapping_add(1);
        let acknowledged = step.ack.wrapping_sub(first) <= sent.wrapping_sub(first);
        step.flags.has(TcpFlags::ACK) && acknowledged
    }

    /// SYN to SYN-ACK: sensor to responder and back, in ns.
    pub(crate) fn far(&self) -> Option<u64> {
        (self.has_far && !self.void).then_some(u64::from(self.far_ns))
    }

    /// Times of SYN-ACK and ACK, if [`near`](Self::near) is measured from them.
    pub(crate) fn answered(&self) -> Option<(Nanos, Nanos)> {
        let near = self.near()?;
        Some((self.syn_ack_at, Nanos(self.syn_ack_at.0.saturating_add(near))))
    }

    /// SYN-ACK to ACK: sensor to initiator and back, in ns.
    pub(crate) fn near(&self) -> Option<u64> {
        (self.has_near && !self.void).then_some(u64::from(self.near_ns))
    }
}

/// A leg, if plausible: a sender that waits longer than the four seconds that fit has retransmitted
/// (RFC 6298 section 2), and the sensor missed it.
fn plausible(span: Nanos) -> (u32, bool) {
    u32::try_from(span.0).map_or((0, false), |ns| (ns, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(side: Peer, flags: u8, seq: u32, ack: u32, time: u64) -> Step {
        let (flags, time) = (TcpFlags(flags), Nanos(time));
        Step { side, flags, seq, ack, payload: 0, time, stamps: None }
    }
    const SYN: u8 = TcpFlags::SYN;
    const ACK: u8 = TcpFlags::ACK;
    use Peer::{Initiator as I, Responder as R};

    fn run(steps: &[Step]) -> (Option<u64>, Option<u64>) {
        let mut handshake = Handshake::default();
        steps.iter().for_each(|s| handshake.observe(s));
        (handshake.near(), handshake.far())
    }

    #[test]
    fn two_full_round_trips() {
        let legs = run(&[
            step(I, SYN, 100, 0, 1_000),
            step(R, SYN | ACK, 900, 101, 31_000),
            step(I, ACK, 101, 901, 38_500),
        ]);
        assert_eq!(legs, (Some(7_500), Some(30_000)));
    }

    #[test]
    fn a_repeated_syn_or_syn_ack_publishes_nothing() {
        let syn = step(I, SYN, 100, 0, 1_000);
        let syn_ack = step(R, SYN | ACK, 900, 101, 31_000);
        let ack = step(I, ACK, 101, 901, 38_500);
        assert_eq!(run(&[syn, syn, syn_ack, ack]), (None, None));
        assert_eq!(run(&[syn, syn_ack, syn_ack, ack]), (None, None));
        assert_eq!(run(&[syn, syn_ack, ack, syn_ack]), (None, None));
    }

    #[test]
    fn a_forged_syn_ack_does_not_replace_the_real_one() {
        let syn = step(I, SYN, 100, 0, 1_000);
        let forged = step(R, SYN | ACK, 4_000, 101, 1_500);
        let syn_ack = step(R, SYN | ACK, 900, 101, 31_000);
        let ack = step(I, ACK, 101, 901, 38_500);
        let run = |steps: [Step; 4]| {
            let mut handshake = Handshake::default();
            for step in &steps {
                if handshake.is_stray(step) {
                    handshake.note_stray(step);
                } else {
                    handshake.observe(step);
                }
            }
            (handshake.near(), handshake.far())
        };
        let (late, after) = (Step { time: Nanos(33_000), ..forged }, Nanos(60_000_000));
        assert_eq!(run([syn, syn_ack, late, ack]), (Some(7_500), Some(30_000)));
        let after = Step { time: after, ..forged };
        assert_eq!(run([syn, syn_ack, ack, after]), (Some(7_500), Some(30_000)));
        assert_eq!(run([syn, forged, syn_ack, ack]), (None, None), "the forged one was timed");
    }

    #[test]
    fn data_in_the_syn_publishes_nothing() {
        let syn = Step { payload: 5, ..step(I, SYN, 100, 0, 1_000) };
        let legs = run(&[syn, step(R, SYN | ACK, 900, 101, 2_000), step(I, ACK, 101, 901, 3_000)]);
        assert_eq!(legs, (None, None));
    }

    #[test]
    fn a_lost_ack_leaves_the_far_leg_alone() {
        let legs = run(&[
            step(I, SYN, 100, 0, 1_000),
            step(R, SYN | ACK, 900, 101, 31_000),
            step(I, ACK, 600, 901, 98_500),
        ]);
        assert_eq!(legs, (None, Some(30_000)));
    }

    #[test]
    fn a_timestamp_of_another_copy_voids_the_leg() {
        let stamped = |step, value, echo| Step { stamps: Some((value, echo)), ..step };
        let legs = |syn_ack_echo, ack_echo| {
            run(&[
                stamped(step(I, SYN, 100, 0, 1_000), 70, 0),
                stamped(step(R, SYN | ACK, 900, 101, 31_000), 5_000, syn_ack_echo),
                stamped(step(I, ACK, 101, 901, 38_500), 71, ack_echo),
            ])
        };
        let (near, far) = (Some(7_500), Some(30_000));
        assert_eq!(legs(70, 5_000), (near, far));
        assert_eq!(legs(0, 0), (near, far), "a stack that echoes nothing");
        assert_eq!(legs(71, 5_000), (near, None));
        assert_eq!(legs(70, 6_000), (None, far));
    }

    #[test]
    fn a_clock_that_steps_back_publishes_nothing() {
        let legs = run(&[
            step(I, SYN, 100, 0, 5_000),
            step(R, SYN | ACK, 900, 101, 4_000),
            step(I, ACK, 101, 901, 6_000),
        ]);
        assert_eq!(legs, (None, None));
    }

    #[test]
    fn a_syn_read_after_its_answer_is_no_new_session() {
        let mut handshake = Handshake::default();
        handshake.observe(&step(R, SYN | ACK, 900, 101, 2_000));
        assert_eq!(handshake.judge_syn(&step(I, SYN, 100, 0, 1_000)), SynVerdict::Same);
        assert_eq!(handshake.judge_syn(&step(I, SYN, 777, 0, 1_000)), SynVerdict::New);
    }

    #[test]
    fn a_new_initial_sequence_number_is_a_new_session() {
        let mut handshake = Handshake::default();
        handshake.observe(&step(I, SYN, 100, 0, 1_000));
        assert_eq!(handshake.judge_syn(&step(I, SYN, 100, 0, 2_000)), SynVerdict::Same);
        assert_eq!(handshake.judge_syn(&step(I, SYN, 777, 0, 2_000)), SynVerdict::New);
    }
}
