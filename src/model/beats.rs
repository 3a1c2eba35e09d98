//! What the sessions of a host did in a second, on its way to where all of them meet.
//!
//! Owns: sums by second and host. In: what one shard saw; what others saw. Out: the seconds that
//! are over. Never: more than [`Beats::HOSTS`] hosts of a second of one shard, or an order that
//! depends on who came first.
//!
//! A host's sessions lie on different shards, and workers are not equally far: what happened at
//! the same time is known once every worker has passed that second.

use std::collections::BTreeMap;

use crate::model::Addr;

/// What a host's sessions did in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Sessions in which data passed.
    pub sessions: u32,
    /// Messages that the host sent.
    pub sent: u32,
    /// Messages that it was sent.
    pub received: u32,
}

impl Beat {
    /// Both together.
    #[must_use]
    pub const fn with(self, other: Beat) -> Beat {
        Beat {
            sessions: self.sessions.saturating_add(other.sessions),
            sent: self.sent.saturating_add(other.sent),
            received: self.received.saturating_add(other.received),
        }
    }
}

/// Beats by second of the run's clock, shard and host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beats {
    parts: BTreeMap<(u32, u16), BTreeMap<Addr, Beat>>,
    dropped: u64,
}

impl Beats {
    /// Hosts of one second of one shard. The cap is a shard's, not a worker's: what is left out
    /// does not depend on how many workers there are.
    pub const HOSTS: usize = 1_024;

    /// Adds what a shard saw; a host beyond the cap is left out and counted.
    pub fn add(&mut self, (second, shard): (u32, u16), host: Addr, beat: Beat) {
        let hosts = self.parts.entry((second, shard)).or_default();
        if hosts.len() >= Beats::HOSTS && !hosts.contains_key(&host) {
            self.dropped += 1;
            return;
        }
        let sum = hosts.entry(host).or_default();
        *sum = sum.with(beat);
    }

    /// Adds what other shards saw.
    pub fn merge(&mut self, other: Beats) {
        self.dropped += other.dropped;
        for (part, hosts) in other.parts {
            let mine = self.parts.entry(part).or_default();
            for (host, beat) in hosts {
                let sum = mine.entry(host).or_default();
                *sum = sum.with(beat);
            }
        }
    }

    /// Takes out the seconds before this one, and how many were left out so far.
    #[must_use]
    pub fn take_before(&mut self, second: u32) -> Beats {
        let later = self.parts.split_off(&(second, 0));
        let parts = std::mem::replace(&mut self.parts, later);
        Beats { parts, dropped: std::mem::take(&mut self.dropped) }
    }

    /// Whether there are none, and none was left out.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.dropped == 0
    }

    /// Beats left out at the cap.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The sums over all shards, by second, then host.
    pub fn sums(&self) -> BTreeMap<(u32, Addr), Beat> {
        let mut sums = BTreeMap::<_, Beat>::new();
        for ((second, _), hosts) in &self.parts {
            for (host, beat) in hosts {
                let sum = sums.entry((*second, *host)).or_default();
                *sum = sum.with(*beat);
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn beat(sent: u32) -> Beat {
        Beat { sessions: 1, sent, received: 1 }
    }

    #[test]
    fn hosts_per_second_and_shard_are_capped_and_counted() {
        let mut beats = Beats::default();
        for n in 0..2_000u32 {
            beats.add((7, 3), Addr::v4(n.to_be_bytes()), beat(1));
        }
        beats.add((7, 3), Addr::v4([0, 0, 0, 5]), beat(2));
        beats.add((7, 4), Addr::v4([0, 0, 0, 5]), beat(4));
        beats.add((8, 0), Addr::v4([0, 0, 9, 9]), beat(1));
        let over = beats.take_before(8);
        assert_eq!((over.sums().len(), over.dropped()), (Beats::HOSTS, 2_000 - 1_024));
        let fifth = Beat { sessions: 3, sent: 7, received: 3 };
        assert_eq!(over.sums()[&(7, Addr::v4([0, 0, 0, 5]))], fifth);
        assert_eq!((beats.sums().len(), beats.dropped()), (1, 0));
        assert!(beats.take_before(8).is_empty() && !beats.is_empty());
    }

    proptest! {
        /// However shards are spread over workers, and however far each of these has come.
        #[test]
        fn neither_workers_nor_their_order_show(
            seen in proptest::collection::vec((0u16..64, 0u32..9, 0u8..6, 0u32..9), 0..200),
            workers in 1u16..64,
            marks in proptest::collection::vec(0u32..9, 1..9),
        ) {
            let host = |n: &u8| Addr::v4([10, 0, 0, *n]);
            let mut alone = Beats::default();
            let mut of = vec![Beats::default(); usize::from(workers)];
            for (shard, second, n, sent) in &seen {
                alone.add((*second, *shard), host(n), beat(*sent));
                of[usize::from(shard % workers)].add((*second, *shard), host(n), beat(*sent));
            }
            let mut all = Beats::default();
            for mark in marks {
                of.iter_mut().rev().for_each(|one| all.merge(one.take_before(mark)));
            }
            of.into_iter().for_each(|one| all.merge(one));
            prop_assert_eq!(all.take_before(5).sums(), alone.take_before(5).sums());
            prop_assert_eq!(all, alone);
        }
    }
}
