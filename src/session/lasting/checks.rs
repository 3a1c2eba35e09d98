//! Round trips of STUN in sessions that last: to the relay, and through it to the other end.
//!
//! Owns: a few requests that wait for their answers, the lowest round trips. In: packets of one
//! session. Out: [`Checks`]. Never: grows, allocates, or believes an answer without its request.
//!
//! Agents ask for consent every few seconds (RFC 7675 section 5.1), or send GOOG-PING instead. What
//! TURN carries in ChannelData (RFC 8656 section 12.4) is in clear: there the other end answers,
//! not the relay. A transaction id has 96 bits: nobody off the path answers in its place, and the
//! other end may answer late, never early.

use crate::model::remote_control::{Checks, RoundTrip};
use crate::model::{Nanos, Peer};
use crate::session::lasting::bulk::Bulk;
use crate::session::lasting::{PacketObserver, Passed};
use crate::wire::Reader;
use crate::wire::multiplexed::{Content, Multiplexed};

/// Requests that may wait at once: each side checks one pair at a time.
const WAITING: usize = 4;
/// A later answer is none (RFC 8489 section 6.2.1: 39.5 s with the usual timers, but a round trip
/// of more than some seconds measures a queue).
const ANSWER_MAX_US: u32 = 5_000_000;
/// Bits of class and method (RFC 8489 section 5): a success response, and any but requests.
const SUCCESS: u16 = 0x0100;
const NOT_REQUEST: u16 = 0x0110;

/// A request.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    key: u32,
    at_us: u32,
    from: Peer,
    inner: bool,
    /// It was sent twice: which one is answered is unknown (Karn's rule).
    repeated: bool,
}

/// The observer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChecksObserver {
    waiting: [Option<Waiting>; WAITING],
    next: u8,
    sums: Checks,
}

impl ChecksObserver {
    pub(super) const NONE: ChecksObserver =
        ChecksObserver { waiting: [None; WAITING], next: 0, sums: Checks::NONE };

    /// The round trips.
    pub(crate) const fn result(&self) -> Checks {
        self.sums
    }

    fn ask(&mut self, waiting: Waiting) {
        let same = |known: &&mut Waiting| {
            (known.key, known.from, known.inner) == (waiting.key, waiting.from, waiting.inner)
        };
        if let Some(known) = self.waiting.iter_mut().flatten().find(same) {
            known.repeated = true;
            return;
        }
        let place = usize::from(self.next) % WAITING;
        self.next = self.next.wrapping_add(1);
        if let Some(slot) = self.waiting.get_mut(place) {
            *slot = Some(waiting);
        }
    }

    fn answer(&mut self, (from, inner): (Peer, bool), key: u32, at_us: u32) {
        let asked = |slot: &Option<Waiting>| {
            slot.is_some_and(|known| {
                (known.key, known.from, known.inner) == (key, from.other(), inner)
            })
        };
        let slot = self.waiting.iter_mut().find(|slot| asked(slot));
        let Some(known) = slot.and_then(Option::take) else { return };
        let took = at_us.wrapping_sub(known.at_us);
        if !known.repeated && took <= ANSWER_MAX_US {
            self.sums.of_mut(from, inner).note(took);
        }
    }
}

/// Type and a key of the transaction of a STUN message.
fn message(bytes: &[u8]) -> Option<(u16, u32)> {
    let mut r = Reader::new(bytes);
    let kind = r.u16().ok()?;
    r.skip(6).ok()?;
    let (one, two, three) = (r.u32().ok()?, r.u32().ok()?, r.u32().ok()?);
    Some((kind, one ^ two.rotate_left(11) ^ three.rotate_left(22)))
}

/// Microseconds, of which differences count.
const fn micros(time: Nanos) -> u32 {
    (time.0 / 1_000) as u32
}

impl PacketObserver for ChecksObserver {
    fn see(&mut self, passed: &Passed<'_>, content: &Content<'_>) {
        if content.kind != Multiplexed::Stun {
            return;
        }
        let Some(time) = passed.time else { return };
        let Some((kind, key)) = message(content.bytes) else { return };
        let (from, inner, at_us) = (passed.from, content.in_channel, micros(time));
        match kind & NOT_REQUEST {
            0 => self.ask(Waiting { key, at_us, from, inner, repeated: false }),
            SUCCESS => self.answer((from, inner), key, at_us),
            _ => {}
        }
    }

    /// None of them is STUN.
    fn add(&mut self, _: &Bulk) {}

    fn turn(&mut self) {
        self.sums.turn();
        for waiting in self.waiting.iter_mut().flatten() {
            waiting.from = waiting.from.other();
        }
    }
}

impl Checks {
    fn of_mut(&mut self, side: Peer, inner: bool) -> &mut RoundTrip {
        let [initiator, responder] = if inner { &mut self.inner } else { &mut self.outer };
        match side {
            Peer::Initiator => initiator,
            Peer::Responder => responder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TcpFlags;

    fn stun(kind: u16, transaction: u8) -> Vec<u8> {
        let head = [&kind.to_be_bytes()[..], &[0, 0, 0x21, 0x12, 0xa4, 0x42]].concat();
        [&head[..], &[transaction; 8], &[1, 2, 3, 4]].concat()
    }

    fn carried(bytes: &[u8]) -> Vec<u8> {
        [&[0x40, 1, 0, bytes.len() as u8][..], bytes].concat()
    }

    fn see(seen: &mut ChecksObserver, from: Peer, ms: u64, bytes: &[u8]) {
        let payload = bytes.len() as u32;
        let time = Some(Nanos(ms * 1_000_000));
        let flags = TcpFlags(0);
        let passed = Passed { from, time, tcp: false, payload, bytes, flags, answers: 0 };
        seen.see(&passed, &Content::of(bytes, payload));
    }

    #[test]
    fn relay_and_other_end_are_measured_apart() {
        use Peer::{Initiator, Responder};
        let mut seen = ChecksObserver::NONE;
        assert_eq!(seen.result(), Checks::NONE);
        see(&mut seen, Initiator, 1_000, &stun(0x0004, 1));
        see(&mut seen, Initiator, 1_001, &carried(&stun(0x0001, 1)));
        see(&mut seen, Responder, 1_030, &stun(0x0104, 1));
        see(&mut seen, Responder, 1_240, &carried(&stun(0x0101, 1)));
        see(&mut seen, Initiator, 2_000, &carried(&stun(0x0200, 2)));
        see(&mut seen, Responder, 2_220, &carried(&stun(0x0300, 2)));
        see(&mut seen, Responder, 3_000, &carried(&stun(0x0001, 3)));
        see(&mut seen, Initiator, 3_007, &carried(&stun(0x0101, 3)));
        let sums = seen.result();
        assert_eq!(sums.outer[1], RoundTrip { min_us: 30_000, samples: 1 });
        assert_eq!(sums.inner[1], RoundTrip { min_us: 220_000, samples: 2 });
        assert_eq!(sums.inner[0], RoundTrip { min_us: 7_000, samples: 1 });
        seen.turn();
        assert_eq!(seen.result().inner[0].samples, 2);
    }

    #[test]
    fn what_answers_nothing_or_something_sent_twice_is_no_round_trip() {
        use Peer::{Initiator, Responder};
        let mut seen = ChecksObserver::NONE;
        // Never asked; asked by the same side; asked inside and answered outside; an error.
        see(&mut seen, Responder, 1, &stun(0x0101, 1));
        see(&mut seen, Initiator, 2, &stun(0x0001, 2));
        see(&mut seen, Initiator, 3, &stun(0x0101, 2));
        see(&mut seen, Initiator, 4, &carried(&stun(0x0001, 3)));
        see(&mut seen, Responder, 5, &stun(0x0101, 3));
        see(&mut seen, Responder, 6, &carried(&stun(0x0111, 3)));
        // Sent twice, answered once.
        see(&mut seen, Initiator, 7, &stun(0x0001, 4));
        see(&mut seen, Initiator, 8, &stun(0x0001, 4));
        see(&mut seen, Responder, 9, &stun(0x0101, 4));
        // Too late.
        see(&mut seen, Initiator, 10, &stun(0x0001, 5));
        see(&mut seen, Responder, 5_011, &stun(0x0101, 5));
        // Cut short.
        see(&mut seen, Initiator, 6_000, &stun(0x0001, 6)[..19]);
        assert_eq!(seen.result(), Checks::NONE);
    }

    #[test]
    fn requests_without_answers_make_room() {
        let mut seen = ChecksObserver::NONE;
        for transaction in 0..200 {
            see(&mut seen, Peer::Initiator, transaction.into(), &stun(0x0001, transaction));
        }
        see(&mut seen, Peer::Responder, 250, &stun(0x0101, 7));
        assert_eq!(seen.result(), Checks::NONE);
        see(&mut seen, Peer::Responder, 250, &stun(0x0101, 199));
        assert_eq!(seen.result().outer[1], RoundTrip { min_us: 51_000, samples: 1 });
    }
}
