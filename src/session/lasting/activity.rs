//! Counts messages and the seconds in which data passed.
//!
//! Owns: sums of one session. In: its packets. Out: [`Activity`]. Never: looks into payload.

use crate::model::Peer;
use crate::model::activity::Activity;
use crate::session::lasting::bulk::Bulk;
use crate::session::lasting::{PacketObserver, Passed};
use crate::wire::multiplexed::Content;

/// Counts messages and the seconds in which data passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActivityObserver {
    sums: Activity,
    /// The latest second that counted.
    second: u64,
    /// The side that sent data last.
    from: Option<Peer>,
}

impl ActivityObserver {
    pub(super) const NONE: ActivityObserver = ActivityObserver {
        sums: Activity { seconds: 0, messages_up: 0, messages_down: 0, last: None },
        second: 0,
        from: None,
    };

    /// The counts, once data passed.
    pub(crate) fn result(&self) -> Option<Activity> {
        self.from.map(|_| self.sums)
    }
}

impl PacketObserver for ActivityObserver {
    fn see(&mut self, passed: &Passed<'_>, _: &Content<'_>) {
        let sums = &mut self.sums;
        if self.from != Some(passed.from) {
            self.from = Some(passed.from);
            let messages = match passed.from {
                Peer::Initiator => &mut sums.messages_up,
                Peer::Responder => &mut sums.messages_down,
            };
            *messages = messages.saturating_add(1);
        }
        let Some(time) = passed.time else { return };
        // Data out of order belong to a second that was counted, or one too far back to tell.
        if time.as_secs() > self.second {
            self.second = time.as_secs();
            sums.seconds = sums.seconds.saturating_add(1);
        }
        sums.last = sums.last.max(Some(time));
    }

    /// They belong to a message and to a second that were counted.
    fn add(&mut self, bulk: &Bulk) {
        self.sums.last = self.sums.last.max(Some(bulk.last));
    }

    fn turn(&mut self) {
        let sums = &mut self.sums;
        std::mem::swap(&mut sums.messages_up, &mut sums.messages_down);
        self.from = self.from.map(Peer::other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Nanos, TcpFlags};

    fn passed(from: Peer, ms: u64, payload: u32) -> Passed<'static> {
        let time = Some(Nanos(ms * 1_000_000));
        let flags = TcpFlags(0);
        Passed { from, time, payload, tcp: true, bytes: &[], flags, answers: 0 }
    }

    fn see(seen: &mut ActivityObserver, passed: &Passed<'_>) {
        seen.see(passed, &Content::of(passed.bytes, passed.payload));
    }

    #[test]
    fn consecutive_data_of_one_side_is_a_message() {
        let mut seen = ActivityObserver::NONE;
        assert_eq!(seen.result(), None);
        let (up, down) = (Peer::Initiator, Peer::Responder);
        for (from, ms) in [(up, 1_100), (up, 1_200), (down, 1_300), (up, 5_000), (down, 4_900)] {
            see(&mut seen, &passed(from, ms, 7));
        }
        let untimed = Passed { time: None, ..passed(up, 0, 7) };
        see(&mut seen, &untimed);
        let last = Some(Nanos(5_000_000_000));
        let sums = Activity { seconds: 2, messages_up: 3, messages_down: 2, last };
        assert_eq!(seen.result(), Some(sums));
        seen.turn();
        see(&mut seen, &passed(down, 6_000, 1));
        let turned = seen.result().unwrap();
        assert_eq!((turned.messages_up, turned.messages_down, turned.seconds), (2, 3, 3));
    }
}
