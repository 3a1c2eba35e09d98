//! One end of a connection: enough of TCP to open, talk in turns, repeat what is lost, and close.
//!
//! Owns: its sequence numbers and one retransmission timer. In: segments and timers. Out: segments
//! and timers. Never: knows of links or of the sensor.

use super::Cause;
use super::Dice;
use super::MS;
use super::Segment;
use super::Side;
use super::Wishes;
use super::World;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// RFC 6298 section 2: one second before the first measurement, then not less than 200 ms (as
/// Linux); doubled each time, six times at most.
const RTO_OPENING: u64 = 1_000 * MS;
const RTO: u64 = 300 * MS;
const TRIES: u32 = 6;

/// Of the timestamps: so short that no two segments of a sender share one. Real clocks tick in
/// milliseconds, and copies within one tick cannot be told apart.
const TICK: u64 = super::US;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    SynSent,
    SynReceived,
    Open,
    Done,
}

/// The cause of whatever is sent at once on hearing a segment.
fn answers(heard: &Segment) -> Option<Cause> {
    Some(Cause { passed: heard.passed, held: 0 })
}

/// See the module.
#[derive(Debug)]
pub struct Host {
    connection: u16,
    side: Side,
    state: State,
    /// Oldest byte not acknowledged, next to send, next to receive.
    una: u32,
    next: u32,
    expected: u32,
    /// Messages still to be written.
    messages: u32,
    thought: u64,
    hold: u64,
    /// An acknowledgement held back: its timer, when the data came, and what it answers.
    acking: Option<(u32, u64, Option<Cause>)>,
    /// Numbers of those timers: far from `serial`.
    timers: u32,
    /// What is repeated when the timer comes.
    unanswered: Option<Segment>,
    serial: u32,
    tries: u32,
    writing: Option<u32>,
    stamps: bool,
    echo: u32,
    /// When the segment that the unanswered one answers arrived.
    heard_at: u64,
}

impl Host {
    pub fn new(connection: u16, side: Side, world: &World, dice: &mut Dice) -> Host {
        let iss = dice.below(1 << 32) as u32;
        Host {
            connection,
            side,
            state: State::Closed,
            una: iss,
            next: iss,
            expected: 0,
            messages: world.requests,
            thought: world.thought,
            hold: world.hold,
            acking: None,
            timers: 1 << 31,
            unanswered: None,
            serial: 0,
            tries: 0,
            writing: None,
            stamps: world.stamps,
            echo: 0,
            heard_at: 0,
        }
    }

    fn segment(&self, now: u64, flags: u8, len: u16) -> Segment {
        Segment {
            connection: self.connection,
            from: self.side,
            flags,
            seq: self.next,
            ack: if flags & ACK == 0 { 0 } else { self.expected },
            len,
            stamps: self.stamps.then_some(((now / TICK) as u32, self.echo)),
            cause: None,
            passed: 0,
        }
    }

    /// Sends what takes sequence numbers, and repeats it until it is acknowledged.
    fn send(&mut self, segment: Segment, wishes: &mut Wishes) {
        let takes = u32::from(segment.len) + u32::from(segment.flags & (SYN | FIN) != 0);
        self.next = segment.seq.wrapping_add(takes);
        self.unanswered = Some(segment);
        self.tries = 0;
        self.arm(wishes);
        wishes.send.push(segment);
    }

    fn arm(&mut self, wishes: &mut Wishes) {
        let opening = self.unanswered.is_some_and(|segment| segment.flags & SYN != 0);
        let first = if opening { RTO_OPENING } else { RTO };
        self.serial += 1;
        wishes.timers.push((first << self.tries, self.serial));
    }

    /// A timer came: the first opens the client, others repeat or write.
    pub fn wake(&mut self, now: u64, serial: u32, dice: &mut Dice) -> Wishes {
        let mut wishes = Wishes::default();
        if self.state == State::Closed && self.side == Side::Client {
            self.state = State::SynSent;
            let syn = self.segment(now, SYN, 0);
            self.send(syn, &mut wishes);
        } else if self.writing == Some(serial) {
            self.writing = None;
            self.write(now, dice, &mut wishes);
        } else if let Some((timer, since, cause)) = self.acking
            && timer == serial
        {
            self.acking = None;
            let cause = cause.map(|cause| Cause { held: now - since, ..cause });
            wishes.send.push(Segment { cause, ..self.segment(now, ACK, 0) });
        } else if serial == self.serial
            && let Some(mut again) = self.unanswered
        {
            self.tries += 1;
            if self.tries <= TRIES {
                // It answers the same segment as before, later.
                again.cause = again.cause.map(|cause| Cause { held: now - self.heard_at, ..cause });
                again.stamps = again.stamps.map(|(_, echo)| ((now / TICK) as u32, echo));
                wishes.send.push(again);
                self.arm(&mut wishes);
            }
        }
        wishes
    }

    /// Writes a message; the client closes after its last, now and then with a RST.
    fn write(&mut self, now: u64, dice: &mut Dice, wishes: &mut Wishes) {
        self.acking = None;
        if self.messages > 0 {
            self.messages -= 1;
            let len = 1 + dice.below(1_400) as u16;
            let data = self.segment(now, ACK | PSH, len);
            self.send(data, wishes);
        } else if self.side == Side::Client && dice.chance(200) {
            self.state = State::Done;
            wishes.send.push(self.segment(now, RST, 0));
        } else {
            self.state = State::Done;
            let fin = self.segment(now, FIN | ACK, 0);
            self.send(fin, wishes);
        }
    }

    fn write_soon(&mut self, dice: &mut Dice, wishes: &mut Wishes) {
        if self.state == State::Open && self.writing.is_none() && self.unanswered.is_none() {
            // Half of the writers do not think at all.
            let thought = if dice.chance(500) { 0 } else { dice.below(self.thought + 1) };
            self.serial += 1;
            self.writing = Some(self.serial);
            wishes.timers.push((thought, self.serial));
        }
    }

    /// A segment came.
    pub fn hear(&mut self, now: u64, heard: &Segment, dice: &mut Dice) -> Wishes {
        let mut wishes = Wishes::default();
        // RFC 7323 section 4.3: while an acknowledgement is held back, its data's value stands.
        if self.acking.is_none() {
            self.echo = heard.stamps.map_or(0, |(value, _)| value);
        }
        if heard.flags & RST != 0 {
            self.state = State::Done;
            self.unanswered = None;
        } else if heard.flags & (SYN | ACK) == SYN {
            self.hear_syn(now, heard, &mut wishes);
        } else {
            self.hear_ack(now, heard, dice, &mut wishes);
        }
        wishes
    }

    fn hear_syn(&mut self, now: u64, heard: &Segment, wishes: &mut Wishes) {
        if !matches!(self.state, State::Closed | State::SynReceived) {
            return;
        }
        self.heard_at = now;
        self.next = self.una;
        self.expected = heard.seq.wrapping_add(1);
        self.state = State::SynReceived;
        let answer = Segment { cause: answers(heard), ..self.segment(now, SYN | ACK, 0) };
        self.send(answer, wishes);
    }

    fn hear_ack(&mut self, now: u64, heard: &Segment, dice: &mut Dice, wishes: &mut Wishes) {
        let is_syn_ack = heard.flags & SYN != 0;
        let mine = !is_syn_ack
            || self.state == State::Open
            || self.state == State::SynSent && heard.ack == self.next;
        if self.state == State::Closed || !mine {
            return;
        }
        if heard.ack == self.next {
            self.una = self.next;
            self.unanswered = None;
        }
        let opened = match self.state {
            State::SynSent if is_syn_ack => {
                self.expected = heard.seq.wrapping_add(1);
                true
            }
            State::SynReceived => self.unanswered.is_none(),
            _ => false,
        };
        if opened {
            self.state = State::Open;
        }
        let takes = u32::from(heard.len) + u32::from(heard.flags & FIN != 0);
        let fresh = takes > 0 && heard.seq == self.expected && self.state != State::SynSent;
        if fresh {
            self.expected = self.expected.wrapping_add(takes);
        }
        if fresh && heard.len > 0 && self.hold > 0 {
            self.timers += 1;
            self.acking = Some((self.timers, now, answers(heard)));
            wishes.timers.push((self.hold, self.timers));
        } else if takes > 0 || is_syn_ack {
            self.acking = None;
            wishes.send.push(Segment { cause: answers(heard), ..self.segment(now, ACK, 0) });
        }
        let my_turn = match self.side {
            Side::Client => opened || fresh && heard.flags & FIN == 0,
            Side::Server => fresh,
        };
        if my_turn {
            self.write_soon(dice, wishes);
        }
    }
}
