//! The names behind addresses, from DNS answers to our clients.
//!
//! Owns: the names that each host's DNS answers gave for each address. In: answers to questions of
//! our own hosts. Out: a name. Policy at the cap: the host with the most addresses loses
//! its oldest, so that one host cannot evict the names of others.
//! Never: gives one host's name to another: a host decides itself what it asks for.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::bounded::CowMap;
use crate::model::{Addr, Nanos, Place};

/// Names kept per host and address: content networks use several at once.
const NAMES: usize = 4;
/// At the cap an eighth (1/n) of the entries is evicted at once.
const ROOM: usize = 8;
/// How long an answer is used: programs keep names far beyond their time to live, and most
/// addresses keep their owner for a working day.
const USED: Nanos = Nanos::from_secs(6 * 3600);

/// A name from DNS answers, and their times.
#[derive(Clone, Debug)]
struct ResolvedName {
    name: Arc<str>,
    /// Time of the first of the answers each of which was still in use when the next came.
    since: Nanos,
    /// Time of the last answer.
    at: Nanos,
}

impl ResolvedName {
    /// The last known time of an answer with this name up to `time`; `None` if there is none, or if
    /// it is too long ago.
    fn before(&self, time: Nanos) -> Option<Nanos> {
        if self.at <= time {
            return (time.since(self.at) <= USED).then_some(self.at);
        }
        // There was a later answer: a session that began before it keeps the name it began with.
        (self.since <= time).then_some(self.since)
    }
}

/// Names by asker and address: hosts do not share entries.
#[derive(Clone, Debug)]
pub struct Names {
    resolved: CowMap<(Addr, Place), Vec<ResolvedName>>,
    cap: usize,
    displaced: u64,
}

impl Names {
    /// A table with room for `cap` addresses, counted once per host that asked.
    pub fn new(cap: usize) -> Names {
        Names { resolved: CowMap::new(cap, bytes), cap: cap.max(1), displaced: 0 }
    }

    /// An answer to `asker` gave `server` as an address of `name`. Returns how many addresses were
    /// evicted.
    pub fn add(&mut self, asker: Addr, name: &Arc<str>, server: Place, at: Nanos) -> usize {
        let key = (asker, server);
        let full = self.resolved.len() >= self.cap && self.resolved.get(&key).is_none();
        let dropped = if full { self.make_room(at) } else { 0 };
        let new = || Vec::with_capacity(1);
        self.displaced += self.resolved.update(key, new, |names| add(names, name, at));
        dropped
    }

    /// Bytes replaced since the last call while a snapshot had them.
    pub fn take_replaced(&mut self) -> usize {
        self.resolved.take_replaced()
    }

    /// Names replaced by others of the same host and address, since the last call.
    pub fn take_displaced(&mut self) -> u64 {
        std::mem::take(&mut self.displaced)
    }

    /// Removes expired entries. If that is not enough, ranks the addresses of each asker from
    /// latest to oldest and evicts those of the lowest rank over all askers. Returns the number of
    /// evictions.
    #[cold]
    fn make_room(&mut self, now: Nanos) -> usize {
        self.resolved.retain(|_, names| names.iter().any(|one| now.since(one.at) <= USED));
        let keep = self.cap - self.cap.div_ceil(ROOM);
        if self.resolved.len() <= keep {
            return 0;
        }
        let last = |names: &[ResolvedName]| Reverse(names.iter().map(|one| one.at).max());
        let each = self.resolved.iter();
        let mut all: Vec<_> =
            each.map(|((asker, place), names)| (*asker, last(names), *place)).collect();
        // No two compare equal: every run evicts the same.
        all.sort_unstable();
        let (mut asker, mut nth) = (None, 0u32);
        let mut order = Vec::with_capacity(all.len());
        for (of, at, place) in all {
            nth = if asker == Some(of) { nth + 1 } else { 0 };
            asker = Some(of);
            order.push((nth, at, of, place));
        }
        order.sort_unstable();
        let gone = order.split_off(keep.min(order.len()));
        gone.iter().for_each(|(.., asker, place)| drop(self.resolved.remove(&(*asker, *place))));
        gone.len()
    }

    /// The name that answers to `asker` gave for that address: `own` if it is one of them, else the
    /// latest.
    ///
    /// Answers to other hosts do not count: a host can look up any name that points anywhere.
    pub fn of(&self, asker: Addr, server: Place, own: Option<&str>, at: Nanos) -> Option<Arc<str>> {
        if self.resolved.is_empty() {
            return None;
        }
        let names = self.resolved.get(&(asker, server))?.iter();
        let known = names.filter_map(|one| Some((one.before(at)?, one)));
        let agrees =
            |one: &ResolvedName| own.is_some_and(|own| own.eq_ignore_ascii_case(&one.name));
        let (_, best) = known.max_by_key(|(time, one)| (agrees(one), *time))?;
        Some(Arc::clone(&best.name))
    }
}

/// Bytes of the names of a host and address. Addresses of one answer share a name: it is counted
/// for each.
fn bytes(entries: &Vec<ResolvedName>) -> usize {
    let names: usize = entries.iter().map(|one| one.name.len()).sum();
    size_of::<Vec<ResolvedName>>() + entries.capacity() * size_of::<ResolvedName>() + names
}

/// Adds a name to those of a host and address. Returns how many it replaced that could still have
/// been used.
fn add(names: &mut Vec<ResolvedName>, name: &Arc<str>, at: Nanos) -> u64 {
    if let Some(known) = names.iter_mut().find(|one| one.name == *name) {
        if at.since(known.at) > USED {
            known.since = at;
        }
        known.at = known.at.max(at);
        return 0;
    }
    let mut displaced = 0;
    if names.len() >= NAMES {
        let oldest = names.iter().enumerate().min_by_key(|(_, one)| one.at);
        if let Some((index, known)) = oldest {
            // An expired name is no loss.
            displaced = u64::from(at.since(known.at) <= USED);
            names.swap_remove(index);
        }
    }
    names.push(ResolvedName { name: Arc::clone(name), since: at, at });
    displaced
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Nanos {
        Nanos::from_secs(seconds)
    }

    fn host(last: u8) -> Addr {
        Addr::v4([10, 0, 0, last])
    }

    fn server(n: u32) -> Place {
        (0, Addr::v4((0x3000_0000 + n).to_be_bytes()))
    }

    #[test]
    fn at_the_cap_the_host_with_most_names_loses_its_own() {
        let mut names = Names::new(64);
        let name: Arc<str> = Arc::from("relay.example");
        for n in 0..5 {
            names.add(host(1), &name, server(1_000_000 + n), s(1));
        }
        let mut dropped = 0;
        for n in 0..10_000 {
            dropped += names.add(host(2), &name, server(n), s(2));
            assert!(names.resolved.len() <= 64);
        }
        assert_eq!(dropped + names.resolved.len(), 10_005, "each is there or counted");
        for n in 0..5 {
            assert!(names.resolved.get(&(host(1), server(1_000_000 + n))).is_some(), "{n}");
        }
        assert!(names.resolved.get(&(host(2), server(9_999))).is_some(), "the latest stays");
    }

    #[test]
    fn expired_names_make_room_without_being_counted_as_loss() {
        let mut names = Names::new(8);
        let name: Arc<str> = Arc::from("old.example");
        for n in 0..8 {
            names.add(host(1), &name, server(n), s(0));
        }
        assert_eq!(names.add(host(1), &name, server(9), s(0).plus(USED).plus(s(1))), 0);
        assert_eq!(names.resolved.len(), 1);
    }

    #[test]
    fn a_name_displaced_by_a_fifth_is_counted() {
        let mut names = Names::new(64);
        let mut tell = |n: u64, at| {
            names.add(host(1), &Arc::from(format!("n{n}.example")), server(1), at);
            names.take_displaced()
        };
        let displaced: Vec<u64> = (0..6).map(|n| tell(n, s(n))).collect();
        assert_eq!(displaced, [0, 0, 0, 0, 1, 1]);
        assert_eq!(tell(5, s(9)), 0, "another answer with the same name");
        assert_eq!(tell(9, s(9).plus(USED)), 0, "the oldest could not be used any longer");
    }

    #[test]
    fn a_name_repeated_during_a_session_stays_its_name() {
        let mut names = Names::new(64);
        let of = |names: &Names, at| names.of(host(1), server(1), None, at);
        names.add(host(1), &Arc::from("long.example"), server(1), s(10));
        names.add(host(1), &Arc::from("other.example"), server(1), s(20));
        names.add(host(1), &Arc::from("long.example"), server(1), s(100));
        assert_eq!(of(&names, s(9)), None, "no answer yet");
        assert_eq!(of(&names, s(15)).as_deref(), Some("long.example"));
        assert_eq!(of(&names, s(50)).as_deref(), Some("other.example"), "the latest by then");
        assert_eq!(of(&names, s(101)).as_deref(), Some("long.example"));
        let later = s(100).plus(USED).plus(USED);
        names.add(host(1), &Arc::from("long.example"), server(1), later);
        assert_eq!(of(&names, later.since(s(1))), None, "too old by then, and no later answer yet");
    }

    #[test]
    fn each_host_keeps_its_own_name_of_a_shared_address() {
        let mut names = Names::new(64);
        for n in 0..20 {
            names.add(host(n), &Arc::from(format!("n{n}.example")), server(1), s(u64::from(n)));
        }
        for n in 0..20 {
            let name = names.of(host(n), server(1), None, s(60));
            assert_eq!(name.as_deref(), Some(format!("n{n}.example").as_str()));
        }
    }
}
