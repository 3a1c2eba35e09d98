//! Messages of sessions that last, on their way to where all sessions of a host meet.
//!
//! Owns: messages by second and shard. In: what shards saw, each in its own order. Out: the seconds
//! that are over. Never: more than [`Beats::PER_SECOND`] of a second and shard, or an order that
//! depends on who came first.
//!
//! A host's sessions lie on different shards, and workers are not equally far: what happened at
//! the same time is known once every worker has passed that second.
//!
//! Policy at the cap: the hosts with most messages of the second and shard keep the earliest of
//! them, so that no host can hide another; where even the first of each are too many, the second is
//! closed. The cap is a shard's, not a worker's: what is left out does not depend on how many
//! workers there are.

use std::collections::BTreeMap;

use crate::model::{Addr, Nanos};

/// What a message is, as the host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BeatKind {
    /// A small message came in: it may be somebody's input.
    Input,
    /// Likewise, by a session of which nothing shows that its initiator is where its packets say.
    Claimed,
    /// A small message went out: it may be a keystroke.
    Key,
    /// Nothing small: the bytes alone.
    Volume,
}

/// A message of a session that lasts. Fields are in the order in which messages are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beat {
    /// Second of the run's clock.
    pub second: u32,
    /// The home host.
    pub host: Addr,
    /// Its time.
    pub time: Nanos,
    /// The other end.
    pub peer: Addr,
    /// What it is.
    pub kind: BeatKind,
    /// Bytes of payload.
    pub size: u16,
    /// The host's own port, where it offers a service and the message fitted a TCP stream; else 0.
    pub service: u16,
    /// Bytes of payload that the host sent since the session's last message, with this one.
    pub sent: u32,
    /// Likewise, those that it was sent.
    pub received: u32,
    /// Where it was seen.
    pub shard: u16,
}

/// What a shard has of a second.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    second: u32,
    messages: u32,
    /// Nothing more is taken: leaving out more would cost more than it is worth.
    closed: bool,
}

/// Messages of the seconds that are not over.
#[derive(Clone, Debug, Default)]
pub struct Beats {
    all: Vec<Beat>,
    /// The latest second of each shard.
    counts: Vec<Count>,
    dropped: u64,
}

impl Beats {
    /// Messages of one second of one shard.
    pub const PER_SECOND: u32 = 2_048;

    /// When a second is full, so many messages of it stay at most.
    const STAY: u32 = Beats::PER_SECOND / 4 * 3;

    /// Adds what a shard saw. The seconds of a shard never go back.
    pub fn add(&mut self, beat: Beat) {
        let shard = usize::from(beat.shard);
        if self.counts.len() <= shard {
            self.counts.resize(shard + 1, Count::default());
        }
        let mut count = self.counts.get(shard).copied().unwrap_or_default();
        if count.second != beat.second {
            count = Count { second: beat.second, messages: 0, closed: false };
        }
        if count.messages >= Beats::PER_SECOND && !count.closed {
            count.messages = self.thin(beat.second, beat.shard);
            count.closed = count.messages > Beats::STAY;
        }
        if count.closed {
            self.dropped += 1;
        } else {
            self.all.push(beat);
            count.messages += 1;
        }
        if let Some(known) = self.counts.get_mut(shard) {
            *known = count;
        }
    }

    /// A second is full: each host keeps only so many of its messages that there is room again, but
    /// the first one. Returns how many stay.
    #[cold]
    fn thin(&mut self, second: u32, shard: u16) -> u32 {
        let is_here = |beat: &Beat| (beat.second, beat.shard) == (second, shard);
        let mut hosts = BTreeMap::<Addr, u32>::new();
        for beat in self.all.iter().filter(|beat| is_here(beat)) {
            *hosts.entry(beat.host).or_default() += 1;
        }
        let kept = |limit: u32| hosts.values().map(|n| limit.min(*n)).sum::<u32>();
        let mut limit = hosts.values().copied().max().unwrap_or(0);
        while limit > 1 && kept(limit) > Beats::STAY {
            limit /= 2;
        }
        let (mut seen, before) = (BTreeMap::<Addr, u32>::new(), self.all.len());
        self.all.retain(|beat| {
            !is_here(beat) || {
                let n = seen.entry(beat.host).or_default();
                *n += 1;
                *n <= limit
            }
        });
        self.dropped += (before - self.all.len()) as u64;
        kept(limit)
    }

    /// Moves the seconds before this one to the end of a list.
    pub fn take_before(&mut self, second: u32, to: &mut Vec<Beat>) {
        if self.all.last().is_some_and(|last| last.second < second)
            && self.all.iter().all(|beat| beat.second < second)
        {
            return to.append(&mut self.all);
        }
        to.extend(self.all.extract_if(.., |beat| beat.second < second));
    }

    /// Messages left out at the cap since the last call.
    pub const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn beat(second: u32, shard: u16, host: u32, ms: u64) -> Beat {
        Beat {
            second,
            host: Addr::v4(host.to_be_bytes()),
            time: Nanos(ms * 1_000_000),
            peer: Addr::v4([203, 0, 113, 1]),
            kind: BeatKind::Key,
            size: 36,
            service: 0,
            sent: 36,
            received: 0,
            shard,
        }
    }

    fn taken(beats: &mut Beats, second: u32) -> Vec<Beat> {
        let mut all = Vec::new();
        beats.take_before(second, &mut all);
        all.sort_unstable();
        all
    }

    #[test]
    fn a_message_stays_small() {
        assert!(size_of::<Beat>() <= 72, "{}", size_of::<Beat>());
    }

    #[test]
    fn messages_of_a_second_and_shard_are_capped_and_a_flood_hides_no_other_host() {
        let mut beats = Beats::default();
        for n in 0..100_000 {
            beats.add(beat(7, 3, 1, n));
            if n % 1_000 == 0 {
                beats.add(beat(7, 3, 2, n));
            }
        }
        beats.add(beat(7, 4, 1, 5));
        beats.add(beat(8, 3, 1, 6));
        let over = taken(&mut beats, 8);
        let of = |host: u32| over.iter().filter(|b| b.host == Addr::v4(host.to_be_bytes())).count();
        assert!(over.len() <= Beats::PER_SECOND as usize + 1, "{}", over.len());
        assert_eq!(of(2), 100, "nothing of the quiet host is lost");
        assert_eq!(beats.take_dropped() as usize + over.len(), 100_000 + 100 + 1);
        assert_eq!((taken(&mut beats, 8).len(), taken(&mut beats, 9).len()), (0, 1));
    }

    #[test]
    fn a_second_of_more_hosts_than_messages_is_capped() {
        let mut beats = Beats::default();
        // A million: it takes no longer than a list.
        (0..1_000_000).for_each(|n| beats.add(beat(7, 3, n, 1)));
        assert_eq!(taken(&mut beats, 8).len() as u32, Beats::PER_SECOND);
        assert_eq!(beats.take_dropped(), 1_000_000 - u64::from(Beats::PER_SECOND));
    }

    proptest! {
        /// However shards are spread over workers, and however far each of these has come.
        #[test]
        fn neither_workers_nor_their_order_show(
            seen in proptest::collection::vec((0u16..64, 0u32..9, 0u32..6, 0u64..9), 0..200),
            workers in 1u16..64,
            marks in proptest::collection::vec(0u32..9, 1..9),
        ) {
            let mut alone = Beats::default();
            let mut of = vec![Beats::default(); usize::from(workers)];
            for (shard, second, host, ms) in &seen {
                alone.add(beat(*second, *shard, *host, *ms));
                of[usize::from(shard % workers)].add(beat(*second, *shard, *host, *ms));
            }
            let mut all = Vec::new();
            for mark in marks {
                of.iter_mut().rev().for_each(|one| one.take_before(mark, &mut all));
            }
            of.iter_mut().for_each(|one| one.take_before(9, &mut all));
            all.sort_unstable();
            prop_assert_eq!(all, taken(&mut alone, 9));
        }
    }
}
