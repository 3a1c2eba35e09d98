//! Maps later IP fragments to the session of their first fragment.
//!
//! Owns: the keys of first fragments of the last 30 s of packet time. In: a first fragment's key, a
//! later one's id. Out: the key. Never: bytes (nothing is reassembled here).
//!
//! Cap: [`CAP`] datagrams; the oldest is evicted first, and counted. Its later fragments then count
//! as orphans.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::model::Addr;
use crate::model::FlowKey;
use crate::model::Nanos;

/// Datagrams whose first fragment is remembered: about 1 MiB.
pub const CAP: usize = 4096;

/// How long a first fragment is remembered. Linux discards an incomplete datagram after 30 s
/// (`ipfrag_time`).
pub const LIFETIME: Nanos = Nanos::from_secs(30);

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
    /// When the first fragment passed.
    pub at: Nanos,
}

/// First fragments, by id.
#[derive(Debug)]
pub struct FragmentTable {
    cap: usize,
    known: HashMap<FragmentId, Inherited, FixedState>,
    order: VecDeque<FragmentId>,
    evicted: u64,
}

impl FragmentTable {
    /// An empty table for at most `cap` datagrams (at least one); `seed` keys its hash.
    pub fn new(cap: usize, seed: u64) -> FragmentTable {
        FragmentTable {
            cap: cap.max(1),
            known: HashMap::with_hasher(FixedState::with_seed(seed)),
            order: VecDeque::new(),
            evicted: 0,
        }
    }

    /// Remembers a first fragment. If the id is in use, the newer fragment replaces the older one
    /// and keeps its place in the queue.
    pub fn insert(&mut self, id: FragmentId, first: Inherited) {
        self.expire(first.at);
        if self.known.insert(id, first).is_none() {
            self.order.push_back(id);
        }
    }

    /// What a later fragment seen at `now` inherits.
    pub fn get(&self, id: &FragmentId, now: Nanos) -> Option<Inherited> {
        self.known.get(id).copied().filter(|first| now.since(first.at) <= LIFETIME)
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

    /// Removes expired entries, and the oldest if the table is full.
    fn expire(&mut self, now: Nanos) {
        while let Some(oldest) = self.order.front() {
            let live = self.known.get(oldest).is_some_and(|first| now.since(first.at) <= LIFETIME);
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

    fn first(hash: u32, at: Nanos) -> Inherited {
        Inherited { key: FlowKey::default(), hash, shard: 0, from_b: false, at }
    }

    #[test]
    fn the_oldest_goes_at_the_cap_and_is_counted() {
        let mut table = FragmentTable::new(3, 7);
        for n in 0..10 {
            table.insert(id(n), first(n, Nanos::from_millis(u64::from(n))));
        }
        assert_eq!((table.len(), table.evicted()), (3, 7));
        assert!(table.get(&id(6), Nanos::from_secs(1)).is_none());
        assert_eq!(table.get(&id(7), Nanos::from_secs(1)).unwrap().hash, 7);
    }

    #[test]
    fn thirty_seconds_of_packet_time_and_no_more() {
        let mut table = FragmentTable::new(3, 7);
        table.insert(id(1), first(1, Nanos::from_secs(100)));
        assert!(table.get(&id(1), Nanos::from_secs(130)).is_some());
        assert!(table.get(&id(1), Nanos::from_secs(131)).is_none());
        table.insert(id(2), first(2, Nanos::from_secs(131)));
        assert_eq!((table.len(), table.evicted()), (1, 0));
    }

    #[test]
    fn a_reused_id_takes_the_newer() {
        let mut table = FragmentTable::new(3, 7);
        table.insert(id(1), first(1, Nanos::from_secs(1)));
        table.insert(id(1), first(2, Nanos::from_secs(2)));
        assert_eq!(table.len(), 1);
        assert_eq!(table.get(&id(1), Nanos::from_secs(2)).unwrap().hash, 2);
    }
}
