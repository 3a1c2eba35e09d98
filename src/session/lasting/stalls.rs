//! Keystrokes that come at once after a stall.
//!
//! Owns: counts of the hour in progress, and of those before. In: the initiator's small messages
//! over TCP. Out: [`Stalls`]. Never: says what stalled.
//!
//! Nobody strikes three keys in 10 ms. Where they arrive so after a silence something on the way
//! held them back: a relay that hands on in batches, a radio link that was asleep; a paste into a
//! terminal comes so as well. A person's own link does that about equally often in each hour.

use crate::model::interaction::Stalls;
use crate::model::{Nanos, Peer};
use crate::session::lasting::bulk::Bulk;
use crate::session::lasting::{PacketObserver, Passed};
use crate::wire::multiplexed::Content;

/// The largest message that may be a keystroke.
const KEY_MAX: u32 = 260;
/// A silence of so long is a stall, and so many keys within so long after it come at once.
const STALL_NS: u64 = 200_000_000;
const BURST_NS: u64 = 10_000_000;
const BURST_KEYS: u8 = 3;
/// Keystrokes of an hour in which somebody types.
const TYPED: u16 = 60;
const HOUR_NS: u64 = 3_600_000_000_000;

/// The observer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StallObserver {
    /// The latest keystroke, and the first after the latest stall.
    latest: Nanos,
    first: Nanos,
    /// Keystrokes at once so far; 0 once they were counted, or too late.
    at_once: u8,
    /// The hour in progress, by the time of packets; keystrokes and bursts in it.
    hour: u32,
    keys: u16,
    bursts: u16,
    /// Hours before in which somebody typed, bursts in them, and those of the hour with most.
    hours: u16,
    all: u16,
    most: u16,
}

impl StallObserver {
    pub(super) const NONE: StallObserver = StallObserver {
        latest: Nanos(0),
        first: Nanos(0),
        at_once: 0,
        hour: 0,
        keys: 0,
        bursts: 0,
        hours: 0,
        all: 0,
        most: 0,
    };

    /// What the hours say, once somebody typed in one.
    pub(crate) fn result(&self) -> Option<Stalls> {
        let mut seen = *self;
        seen.end_hour();
        let (hours, most) = (u32::from(seen.hours), u32::from(seen.most));
        (hours > 0).then(|| Stalls { hours, most, others: u32::from(seen.all) - most })
    }

    fn key(&mut self, time: Nanos) {
        let hour = (time.0 / HOUR_NS) as u32;
        if hour != self.hour {
            self.end_hour();
            self.hour = hour;
        }
        self.keys = self.keys.saturating_add(1);
        if time.0.saturating_sub(self.latest.0) >= STALL_NS && self.latest.0 > 0 {
            (self.first, self.at_once) = (time, 1);
        } else if self.at_once > 0 && time.0.saturating_sub(self.first.0) <= BURST_NS {
            self.at_once += 1;
            if self.at_once == BURST_KEYS {
                self.bursts = self.bursts.saturating_add(1);
                self.at_once = 0;
            }
        } else {
            self.at_once = 0;
        }
        self.latest = self.latest.max(time);
    }

    fn end_hour(&mut self) {
        let (keys, bursts) = (std::mem::take(&mut self.keys), std::mem::take(&mut self.bursts));
        if keys >= TYPED {
            self.hours = self.hours.saturating_add(1);
            self.all = self.all.saturating_add(bursts);
            self.most = self.most.max(bursts);
        }
    }
}

impl PacketObserver for StallObserver {
    #[inline]
    fn see(&mut self, passed: &Passed<'_>, _: &Content<'_>) {
        if passed.tcp
            && passed.payload <= KEY_MAX
            && passed.from == Peer::Initiator
            && let Some(time) = passed.time
        {
            self.key(time);
        }
    }

    /// None of them is a keystroke.
    fn add(&mut self, _: &Bulk) {}

    /// Whoever was taken for the initiator typed nothing that counts.
    fn turn(&mut self) {
        *self = StallObserver::NONE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TcpFlags;

    const MS: u64 = 1_000_000;
    const HOUR_MS: u64 = 3_600_000;

    fn observed(keys: impl IntoIterator<Item = u64>) -> StallObserver {
        let mut seen = StallObserver::NONE;
        for ms in keys {
            let (time, flags) = (Some(Nanos(ms * MS)), TcpFlags(0));
            let from = Peer::Initiator;
            let passed =
                Passed { from, time, tcp: true, payload: 36, bytes: &[], flags, answers: 0 };
            seen.see(&passed, &Content::of(&[], 36));
        }
        seen
    }

    /// An hour of keys each 300 ms or more, some of them three at once.
    fn hour(number: u64, bursts: u64) -> Vec<u64> {
        let start = (number + 1) * HOUR_MS;
        let typed = (0..100).map(|n| start + n * 400);
        let held = (0..bursts).flat_map(|n| {
            let at = start + 1_000_000 + n * 5_000;
            [at, at + 3, at + 9]
        });
        typed.chain(held).collect()
    }

    #[test]
    fn bursts_are_counted_by_hours_in_which_somebody_types() {
        let seen = observed([hour(0, 1), hour(1, 0), hour(2, 9), vec![5 * HOUR_MS]].concat());
        assert_eq!(seen.result(), Some(Stalls { hours: 3, most: 9, others: 1 }));
        assert_eq!(observed(hour(0, 2)).result(), Some(Stalls { hours: 1, most: 2, others: 0 }));
        assert_eq!(observed((0..50).map(|n| HOUR_MS + n * 400)).result(), None, "too few keys");
    }

    #[test]
    fn keys_that_a_hand_can_strike_are_no_burst() {
        let start = HOUR_MS;
        let slow = (0..100).flat_map(|n| {
            let at = start + n * 1_000;
            [at, at + 6, at + 11]
        });
        assert_eq!(observed(slow).result().unwrap().most, 0, "11 ms");
        let early = (0..100).flat_map(|n| {
            let at = start + n * 200;
            [at, at + 4, at + 8]
        });
        assert_eq!(observed(early).result().unwrap().most, 0, "no stall of 200 ms");
        let long = (0..40).flat_map(|n| (0..30).map(move |key| start + n * 2_000 + key));
        assert_eq!(observed(long).result().unwrap().most, 39, "a paste counts once");
    }
}
