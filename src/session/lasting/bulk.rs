//! Full-size segments of one direction in a row: added up, and given to the observers at once.
//!
//! Owns: one sum of a session. In: packets of a session that lasts. Out: the sum, as often as
//! something else than such a segment comes. Never: takes a segment that an observer would treat
//! in any other way than the one before.
//!
//! Most packets of a busy link are segments of transfers. They are no input, no check of a path,
//! and end no message: what they change is a few sums.

use crate::model::{Nanos, Packet, Peer, Stamp, TcpFlags};
use crate::session::lasting::Passed;
use crate::session::lasting::messages::INPUT_MAX;

/// Segments that were not given to the observers yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bulk {
    /// Sender.
    pub(super) from: Peer,
    /// The time of the latest.
    pub(super) last: Nanos,
    /// Bytes of payload.
    pub(super) bytes: u64,
    /// Payload of each segment; 0 if none is expected.
    segment: u32,
    /// From this time on another second begins for who counts seconds of time,
    until: Nanos,
    /// and after this one for who counts those of the run's clock.
    clock: u32,
}

impl Bulk {
    pub(super) const NONE: Bulk = Bulk {
        from: Peer::Initiator,
        last: Nanos(0),
        bytes: 0,
        segment: 0,
        until: Nanos(0),
        clock: 0,
    };

    /// Adds a segment that advances its stream and is like the one before; `start` is the first
    /// byte of its payload. Returns false if it is not.
    #[inline]
    pub(super) fn add(&mut self, from: Peer, packet: &Packet, start: Option<u8>) -> bool {
        let like = packet.payload_wire() == self.segment
            && from == self.from
            && packet.clock == self.clock
            && packet.time < self.until
            && packet.stamp == Stamp::PLAIN
            && !packet.tcp_flags.has(TcpFlags::PSH)
            && !start.is_some_and(may_share_port);
        if like {
            self.bytes += u64::from(self.segment);
            self.last = self.last.max(packet.time);
        }
        like
    }

    /// After a packet that the observers took: which segments would add nothing but bytes.
    /// `longest` is the longest segment of its side.
    pub(super) fn follow(&mut self, passed: &Passed<'_>, longest: u16, clock: u32) {
        *self = Bulk::NONE;
        let Some(time) = passed.time else { return };
        let full = passed.payload == u32::from(longest) && passed.payload > INPUT_MAX;
        if full && passed.tcp && !passed.flags.has(TcpFlags::PSH) {
            let until = Nanos::from_secs(time.as_secs().saturating_add(1));
            let (from, segment) = (passed.from, passed.payload);
            *self = Bulk { from, last: time, bytes: 0, segment, until, clock };
        }
    }

    /// What is to be given to the observers.
    #[inline]
    pub(super) const fn take(&mut self) -> Option<Bulk> {
        self.segment = 0;
        if self.bytes == 0 {
            return None;
        }
        Some(std::mem::replace(self, Bulk::NONE))
    }
}

/// Whether a payload that begins so may be STUN or the message of a channel.
const fn may_share_port(start: u8) -> bool {
    matches!(start, 0..=3 | 0x40..=0x4f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::interaction::InteractionSums;
    use crate::model::{Frame, Grain, LinkType, Transport, Trust};
    use crate::session::lasting::messages::{MessageObserver, Sighting};
    use crate::session::lasting::{Lasting, PacketObserver};
    use crate::wire::multiplexed::Content;
    use proptest::prelude::*;

    const FULL: [u8; 1_448] = [7; 1_448];

    fn passed(from: Peer, ms: u64, payload: u32, bytes: &[u8]) -> Passed<'_> {
        let (time, flags) = (Some(Nanos(ms * 1_000_000)), TcpFlags(0));
        Passed { from, time, tcp: true, payload, bytes, flags, answers: 0 }
    }

    /// The packet as the session has it.
    fn add(bulk: &mut Bulk, passed: &Passed<'_>, clock: u32) -> bool {
        let (time, link) = (passed.time.unwrap_or_default(), LinkType::ETHERNET);
        let frame = Frame { time, link, wire_len: 0, bytes: &[] };
        let doubtful = Stamp::new(Trust::Doubtful, Grain::default());
        let packet = Packet {
            payload_len: passed.payload,
            stamp: passed.time.map_or(doubtful, |_| Stamp::PLAIN),
            tcp_flags: passed.flags,
            clock,
            ..Packet::of_link(&frame, 0)
        };
        bulk.add(passed.from, &packet, passed.bytes.first().copied())
    }

    fn observed() -> Lasting {
        let mut lasting = Lasting::new(0, 0);
        lasting.messages = MessageObserver::between([true, true], Transport::TCP);
        lasting
    }

    fn sums(lasting: &Lasting) -> Option<InteractionSums> {
        lasting.interaction.result()
    }

    #[test]
    fn only_segments_like_the_one_before_are_added_up() {
        let (up, down) = (Peer::Initiator, Peer::Responder);
        let first = passed(up, 1_000, 1_448, &FULL);
        let after = |next: Passed<'_>, clock: u32| {
            let mut bulk = Bulk::NONE;
            assert!(!add(&mut bulk, &first, 7));
            bulk.follow(&first, 1_448, 7);
            let added = add(&mut bulk, &next, clock);
            (added, bulk.take().map_or(0, |bulk| bulk.bytes))
        };
        assert_eq!(after(first, 7), (true, 1_448));
        let others = [
            passed(up, 1_000, 1_447, &FULL),
            passed(up, 2_000, 1_448, &FULL),
            passed(down, 1_000, 1_448, &FULL),
            passed(up, 1_000, 1_448, &[0x40, 1, 5, 0xa4]),
            passed(up, 1_000, 1_448, &[0, 1, 0, 0]),
            Passed { time: None, ..first },
            Passed { flags: TcpFlags(TcpFlags::PSH), ..first },
        ];
        for other in others {
            assert_eq!(after(other, 7), (false, 0), "{other:?}");
        }
        assert_eq!(after(first, 8), (false, 0), "another second of the clock");
    }

    proptest! {
        /// Whatever comes, and whenever the sides turn out to be swapped.
        #[test]
        fn adding_up_changes_no_sum(
            tcp in any::<bool>(),
            packets in proptest::collection::vec(
                (any::<bool>(), 0u64..400, 0usize..4, 0u8..4, 0u8..20), 1..300),
        ) {
            let (mut fast, mut slow) = (observed(), observed());
            let (mut ms, mut seen) = (5_000, Vec::<[Option<Sighting>; 2]>::new());
            for (up, step, size, first, other) in packets {
                ms += step / 4;
                let payload = [1_448, 1_448, 900, 40][size];
                let start = [0x16, 0, 0x40, 0x80][usize::from(first)];
                let bytes = [if other == 0 { start } else { 0x17 }; 60];
                let from = if up || other > 9 { Peer::Initiator } else { Peer::Responder };
                let flags = TcpFlags(if other == 1 { TcpFlags::PSH } else { 0 });
                let time = Some(Nanos(ms * 1_000_000)).filter(|_| other != 3);
                let passed = Passed { time, flags, tcp, ..passed(from, ms, payload, &bytes) };
                let clock = (ms / 1_000) as u32;
                let content = Content::of(passed.bytes, passed.payload);
                slow.activity.see(&passed, &content);
                slow.interaction.see(&passed, &content);
                slow.checks.see(&passed, &content);
                let reported = slow.messages.see(&passed, &content, clock);
                let added = tcp && add(&mut fast.bulk, &passed, clock);
                seen.push([if added { None } else { fast.see(&passed, clock) }, reported]);
                if other == 4 {
                    fast.turn();
                    slow.turn();
                }
            }
            fast.settle();
            for [one, two] in seen {
                prop_assert_eq!(one, two);
            }
            prop_assert_eq!(fast.activity.result(), slow.activity.result());
            prop_assert_eq!(sums(&fast), sums(&slow));
            prop_assert_eq!(fast.checks.result(), slow.checks.result());
        }
    }
}
