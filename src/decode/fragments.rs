//! Maps later IP fragments to the session of their first fragment.
//!
//! Owns: the keys of first fragments of the last 30 s of the run's clock. In: a first fragment's
//! key, a later one's id. Out: the key. Never: bytes (nothing is reassembled here).
//!
//! Cap: [`CAP`] datagrams; the oldest is evicted first, and counted. Its later fragments then count
//! as orphans.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::model::{Addr, FlowKey};

/// Datagrams whose first fragment is remembered: about 1 MiB.
pub const CAP: usize = 4096;

/// Seconds of the run's clock, not of packets' own times, that a first fragment is remembered.
/// Linux gives up a datagram after 30 s (`ipfrag_time`).
const LIFETIME: u32 = 30;

/// What fragments of one datagram share (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FragmentId {
    /// Sender.
    pub src: Addr,
    /// Receiver.
    pub dst: Addr,
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
    /// VLAN id where it is part of session keys, else 0.
    pub scope: u32,
    /// Capture point.
    pub point: u16,
    /// Protocol of the fragmented payload.
    pub protocol: u8,
    /// 4 or 6.
    pub version: u8,
}

/// What a later fragment inherits from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// Session key: that of the innermost packet if the first fragment starts a tunnel.
    pub key: FlowKey,
    /// Its slot hash.
    pub hash: u32,
    /// Its shard.
    pub shard: u8,
    /// Whether the sender is side `b`.
    pub from_b: bool,
}

/// First fragments, by id.
#[derive(Debug)]
pub struct FragmentTable {
    cap: usize,
    /// What the first one leaves, and when it passed.
    known: HashMap<FragmentId, (u32, Inherited), FixedState>,
    order: VecDeque<FragmentId>,
    evicted: u64,
    /// The run's clock.
    clock: u32,
}

impl FragmentTable {
    /// An empty table for at most `cap` datagrams (at least one); `seed` keys its hash.
    pub fn new(cap: usize, seed: u64) -> FragmentTable {
        FragmentTable {
            cap: cap.max(1),
            known: HashMap::with_hasher(FixedState::with_seed(seed)),
            order: VecDeque::new(),
            evicted: 0,
            clock: 0,
        }
    }

    /// What the run's clock shows: a packet's own time may be false.
    pub const fn set_clock(&mut self, clock: u32) {
        self.clock = clock;
    }

    /// The same, as it was set.
    pub const fn clock(&self) -> u32 {
        self.clock
    }

    /// Remembers a first fragment. A reused id takes the newer one and keeps its place in the
    /// queue.
    pub fn insert(&mut self, id: FragmentId, first: Inherited) {
        self.expire();
        if self.known.insert(id, (self.clock, first)).is_none() {
            self.order.push_back(id);
        }
    }

    /// What a later fragment inherits.
    pub fn get(&self, id: &FragmentId) -> Option<Inherited> {
        self.known.get(id).filter(|(at, _)| self.is_live(*at)).map(|(_, first)| *first)
    }

    const fn is_live(&self, at: u32) -> bool {
        self.clock.saturating_sub(at) <= LIFETIME
    }

    /// Datagrams remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Datagrams evicted at the cap, before they expired.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Forgets what is too old, and the oldest where the table is full.
    fn expire(&mut self) {
        while let Some(oldest) = self.order.front() {
            let live = self.known.get(oldest).is_some_and(|(at, _)| self.is_live(*at));
            if live && self.known.len() < self.cap {
                return;
            }
            self.evicted += u64::from(live);
            self.known.remove(oldest);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> FragmentId {
        let src = Addr::v4([192, 0, 2, 1]);
        FragmentId { src, dst: src, id: n, scope: 0, point: 0, protocol: 17, version: 4 }
    }

    fn first(hash: u32) -> Inherited {
        Inherited { key: FlowKey::default(), hash, shard: 0, from_b: false }
    }

    #[test]
    fn the_oldest_fragment_is_evicted_at_the_cap_and_counted() {
        let mut table = FragmentTable::new(3, 7);
        for n in 0..10 {
            table.insert(id(n), first(n));
        }
        assert_eq!((table.len(), table.evicted()), (3, 7));
        assert!(table.get(&id(6)).is_none());
        assert_eq!(table.get(&id(7)).unwrap().hash, 7);
    }

    #[test]
    fn thirty_seconds_of_the_clock_and_no_more() {
        let mut table = FragmentTable::new(3, 7);
        table.set_clock(100);
        table.insert(id(1), first(1));
        table.set_clock(130);
        assert!(table.get(&id(1)).is_some());
        table.set_clock(131);
        assert!(table.get(&id(1)).is_none());
        table.insert(id(2), first(2));
        assert_eq!((table.len(), table.evicted()), (1, 0));
    }

    #[test]
    fn a_reused_id_takes_the_newer() {
        let mut table = FragmentTable::new(3, 7);
        table.insert(id(1), first(1));
        table.insert(id(1), first(2));
        assert_eq!(table.len(), 1);
        assert_eq!(table.get(&id(1)).unwrap().hash, 2);
    }
}
