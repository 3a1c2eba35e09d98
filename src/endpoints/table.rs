//! The table of endpoints.
//!
//! Owns: entries, interned fingerprints and tags, the cap. In: session summaries. Out: sorted rows.
//! Policy at the cap: evicts the endpoints of lowest value ([`Entry::worth`]), not the newest:
//! anybody can send from any number of addresses.
//! Never: grows past its cap, or stores a string twice.

use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::endpoints::accumulator;
use crate::endpoints::accumulator::Accumulator;
use crate::endpoints::accumulator::Accumulators;
use crate::endpoints::baseline::Asked;
use crate::endpoints::baseline::Baselines;
use crate::endpoints::baseline::Known;
use crate::endpoints::carry_over::Carried;
use crate::endpoints::carry_over::CarriedEndpoint;
use crate::endpoints::hidden::estimate;
use crate::endpoints::hidden::is_satellite_long;
use crate::endpoints::interned::Interned;
use crate::endpoints::key::Key;
use crate::endpoints::prefix_stats::PrefixFloors;
use crate::endpoints::rolling_7d::Week;
use crate::endpoints::rows::EndpointRows;
use crate::endpoints::rtt_excess;
use crate::endpoints::summary::EndpointSummary;
use crate::endpoints::summary::Print;
use crate::endpoints::summary::SideSummary;
use crate::endpoints::summary::StackSummary;
use crate::endpoints::tags::Tags;
use crate::endpoints::tunnel;
use crate::model::endpoint::EndpointRow;
use crate::model::endpoint::Fingerprint;
use crate::model::endpoint::HiddenLeg;
use crate::model::endpoint::Locality;
use crate::model::endpoint::Role;
use crate::model::record::AutonomousSystem;
use crate::model::record::Place;
use crate::model::{Counter, Counters, Nanos};

/// The tag of an endpoint with a hidden leg of a satellite's length: it may be just a
/// performance-enhancing proxy (RFC 3135).
const TAG_SATELLITE_GATEWAY: &str = "pep";

/// Sessions whose entries are prefetched at once.
pub const LOOK_AHEAD: usize = 32;

/// Sessions after which rules first look at an endpoint before the end.
const FIRST_CHECK: u64 = 16;

const INITIATOR: u8 = 1;
const RESPONDER: u8 = 2;
/// At least one session was answered.
const ANSWERED: u8 = 4;

/// At the cap an eighth (1/n) of the endpoints is evicted at once, or half of those without an
/// answered session if that is more.
const ROOM: usize = 8;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    roles: u8,
    sessions: u64,
    handshakes: u32,
    pub(super) floor_ns: u64,
    /// Sessions with a transport round trip.
    pub(super) measured: u32,
    first: Nanos,
    last: Nanos,
    place: Option<Arc<Place>>,
    asn: Option<Arc<AutonomousSystem>>,
    /// 0: none; else index of the tag set + 1.
    tags: u32,
    /// Response times as an initiator.
    gathered: Option<Box<Week>>,
    /// Its first SYN and program as an initiator, and their count: most endpoints have one stack
    /// only, and here it shares the entry's cache line.
    stack: (StackSummary, u32),
    /// 0: none; else index of the accumulator + 1.
    accumulator: u32,
}

/// The endpoints of a run.
///
/// An entry costs 120 bytes and 5 to 10 of index, plus an accumulator of 40 bytes and more if it is
/// remote and initiated an answered session, or if its SYNs differ. Tags are interned bit sets,
/// since few endpoints have any and most of those have the same.
#[derive(Debug)]
pub struct Endpoints {
    cap: usize,
    pub(super) hasher: RandomState,
    index: HashTable<u32>,
    pub(super) entries: Vec<Entry>,
    prints: Interned<Fingerprint>,
    tags: Tags,
    accumulators: Accumulators,
    /// Endpoints that rules should look at again.
    due: Vec<Key>,
    carried: Carried,
    sessions_dropped: u64,
}

impl Endpoints {
    /// Holds at most `cap` endpoints. The sessions of evicted ones are counted; an evicted endpoint
    /// that is seen again starts anew. The result does not depend on the order of sessions until
    /// the cap is reached.
    pub fn new(cap: usize) -> Endpoints {
        Endpoints {
            cap: cap.clamp(1, u32::MAX as usize - 1),
            hasher: RandomState::default(),
            index: HashTable::new(),
            entries: Vec::new(),
            prints: Interned::default(),
            tags: Tags::default(),
            accumulators: Accumulators::default(),
            due: Vec::new(),
            carried: Carried::default(),
            sessions_dropped: 0,
        }
    }

    /// Counts one session for both of its ends.
    pub fn observe(&mut self, session: &EndpointSummary) {
        self.observe_side(session, &session.initiator, INITIATOR);
        self.observe_side(session, &session.responder, RESPONDER);
    }

    /// An empty table for the next set of files. Endpoints that rules judge continue with their
    /// data, since a judgement takes days of it.
    pub fn successor(&mut self) -> Endpoints {
        let rest: Vec<_> = self.carried.rest().collect();
        let judged = self.entries.iter().filter_map(|entry| {
            let judged = Box::new(self.accumulator(entry)?.judged()?.clone());
            let carried =
                CarriedEndpoint { last: entry.last, week: entry.gathered.clone(), judged };
            Some((entry.key.open(&self.prints.values), carried))
        });
        let (carried, sessions_dropped) = Carried::of(judged.chain(rest), self.cap);
        Endpoints { carried, sessions_dropped, ..Endpoints::new(self.cap) }
    }

    /// The number of endpoints.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds losses since the last call to `counters`.
    pub fn count(&mut self, counters: &mut Counters) {
        counters.add(Counter::EndpointsDropped, std::mem::take(&mut self.sessions_dropped));
        counters.add(Counter::EndpointTagsDropped, self.tags.take_dropped());
    }

    fn observe_side(&mut self, session: &EndpointSummary, side: &SideSummary, role: u8) {
        let at = self.entry(session, side);
        let tags = match session.tags.is_empty() {
            true => 0,
            false => self.tags.bits(&session.tags, role == INITIATOR),
        };
        let Some(entry) = self.entries.get_mut(at) else { return };
        entry.roles |= role | if session.service.is_some() { ANSWERED } else { 0 };
        entry.sessions += 1;
        if side.handshake_ns.is_some() {
            entry.handshakes = entry.handshakes.saturating_add(1);
        }
        if let Some(ns) = side.transport_ns {
            entry.measured = entry.measured.saturating_add(1);
            entry.floor_ns = entry.floor_ns.min(ns);
        }
        entry.first = entry.first.min(session.first);
        entry.last = entry.last.max(session.last);
        if let Some(turns) = session.turns.as_deref().filter(|_| role == INITIATOR) {
            let gathered = entry.gathered.get_or_insert_with(|| Box::new(Week::new(session.last)));
            gathered.add(turns, side.transport_ns, session.first.0, session.last);
        }
        if entry.place.is_none() {
            entry.place.clone_from(&side.place);
        }
        if entry.asn.is_none() {
            entry.asn.clone_from(&side.asn);
        }
        if session.service.is_some() && role == INITIATOR {
            let known = entry.add_stack(session.stack);
            if !known || session.incoming.is_some() {
                self.accumulators
                    .of(&mut entry.accumulator, |accumulator| accumulator.add(session, known));
            }
            let due = entry.sessions >= FIRST_CHECK && entry.sessions.is_power_of_two();
            if due && session.incoming.is_some() {
                self.due.push(entry.key);
            }
        }
        if tags != 0 {
            entry.tags = self.tags.add(entry.tags, tags);
        }
    }

    /// The index of the side's entry, created if needed.
    fn entry(&mut self, session: &EndpointSummary, side: &SideSummary) -> usize {
        let print = self.prints.intern(&self.hasher, side.print.as_text());
        let mut key = Key::of(session, side, print);
        if let Some(at) = self.find(key) {
            return at;
        }
        if self.entries.len() >= self.cap {
            self.make_room();
            // The numbers may have changed.
            key.print = self.prints.intern(&self.hasher, side.print.as_text());
        }
        let at = self.entries.len();
        let mut entry = Entry::new(key);
        if !self.carried.is_empty()
            && let Some(carried) = self.carried.take(&key.open(&self.prints.values), session.last)
        {
            entry.gathered = carried.week;
            self.accumulators.of(&mut entry.accumulator, |accumulator| {
                *accumulator = Accumulator::of(carried.judged)
            });
        }
        self.entries.push(entry);
        self.index_last();
        at
    }

    #[inline]
    fn find(&self, key: Key) -> Option<usize> {
        let is_it = |at: &u32| self.entries.get(*at as usize).is_some_and(|e| e.key == key);
        self.index.find(self.hasher.hash_one(key), is_it).map(|at| *at as usize)
    }

    /// Adds the last entry to the index.
    fn index_last(&mut self) {
        let (entries, hasher) = (&self.entries, &self.hasher);
        let Some(last) = entries.last() else { return };
        let rehash = |at: &u32| entries.get(*at as usize).map_or(0, |e| hasher.hash_one(e.key));
        self.index.insert_unique(hasher.hash_one(last.key), entries.len() as u32 - 1, rehash);
    }

    /// Evicts the endpoints of lowest value.
    #[cold]
    fn make_room(&mut self) {
        let answered = self.entries.iter().filter(|entry| entry.roles & ANSWERED != 0).count();
        let unanswered = self.entries.len() - answered;
        let goes = self.cap.div_ceil(ROOM).max(unanswered / 2).min(self.entries.len());
        let mut order: Vec<u32> = (0..self.entries.len() as u32).collect();
        if goes < order.len() {
            let worth = |at: &u32| self.entries.get(*at as usize).map(|entry| (entry.worth(), *at));
            order.select_nth_unstable_by_key(goes, worth);
        }
        order.truncate(goes);
        order.sort_unstable();
        let mut order = order.into_iter().peekable();
        let mut at = 0;
        let is_least = |_: &mut Entry| {
            at += 1;
            order.next_if_eq(&(at - 1)).is_some()
        };
        for gone in self.entries.extract_if(.., is_least) {
            self.sessions_dropped += gone.sessions;
            self.accumulators.free(gone.accumulator);
        }
        self.renumber_prints();
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash = |at: &u32| entries.get(*at as usize).map_or(0, |e| hasher.hash_one(e.key));
        self.index.clear();
        for at in 0..entries.len() as u32 {
            self.index.insert_unique(hash(&at), at, hash);
        }
    }

    /// Removes fingerprints that no entry uses, once they are the majority.
    fn renumber_prints(&mut self) {
        let used = self.entries.iter().filter(|entry| entry.key.print != 0).count();
        if self.prints.values.len() <= 2 * used {
            return;
        }
        let old = std::mem::take(&mut self.prints);
        for entry in &mut self.entries {
            let known = old.values.get((entry.key.print as usize).wrapping_sub(1));
            entry.key.print = self.prints.intern(&self.hasher, known.map(|known| known.as_text()));
        }
        for key in &mut self.due {
            let known = old.values.get((key.print as usize).wrapping_sub(1));
            key.print = self.prints.intern(&self.hasher, known.map(|known| known.as_text()));
        }
    }

    /// Prefetches the entries of sessions that will be observed next: first all index slots, then
    /// all entries, so that the cache misses overlap. Changes nothing.
    pub fn look_ahead<'s>(&self, sessions: impl Iterator<Item = &'s EndpointSummary>) {
        let mut found = [0u32; 2 * LOOK_AHEAD];
        let sides = sessions
            .flat_map(|session| [(session, &session.initiator), (session, &session.responder)]);
        let plain = sides.filter(|(_, side)| side.print == Print::None);
        for (slot, (session, side)) in found.iter_mut().zip(plain) {
            let hash = self.hasher.hash_one(Key::of(session, side, 0));
            *slot = self.index.find(hash, |_| true).copied().unwrap_or(u32::MAX);
        }
        let entries = found.iter().filter_map(|at| self.entries.get(*at as usize));
        let lines = |entry: &Entry| {
            let gathered = entry.gathered.as_deref().map_or(0, Week::peek);
            entry.sessions ^ entry.last.0 ^ u64::from(entry.key.port) ^ gathered
        };
        std::hint::black_box(entries.map(lines).fold(0, |all, one| all ^ one));
    }

    /// The next endpoint due for rules: at 16 sessions, and whenever the number has doubled. Its
    /// neighbours are not known yet; only baselines in `learned` are.
    pub fn next_due(&mut self, learned: Option<&Baselines>) -> Option<EndpointRow> {
        let key = self.due.pop()?;
        let entry = self.entries.get(self.find(key)?)?;
        let known = learned.map(|learned| self.known(entry, learned)).unwrap_or_default();
        Some(self.row(entry, None, known))
    }

    /// The endpoints as they are now, in order, with the statistics of their neighbours and the
    /// baselines in `learned`.
    pub fn finish(self, learned: Option<&Baselines>) -> EndpointRows {
        EndpointRows::of(self, learned)
    }

    /// The baseline of an endpoint.
    pub(super) fn known(&self, entry: &Entry, learned: &Baselines) -> Known {
        let key = &entry.key;
        learned.known(&Asked {
            ip: key.ip,
            side: if key.remote { Locality::Remote } else { Locality::Home },
            service: key.service.then_some((key.transport, key.port)),
            role: entry.role(),
            asn: entry.asn.as_deref(),
            place: entry.place.as_deref(),
            subject: self.accumulator(entry).and_then(Accumulator::only_subject),
        })
    }

    /// Whether rules judge it.
    pub(super) fn is_judged(&self, entry: &Entry) -> bool {
        self.accumulator(entry).is_some_and(Accumulator::is_judged)
    }

    /// One bit per day with data that rules judge.
    pub(super) fn days(&self, entry: &Entry) -> u64 {
        self.accumulator(entry).map_or(0, Accumulator::days)
    }

    fn accumulator(&self, entry: &Entry) -> Option<&Accumulator> {
        self.accumulators.get(entry.accumulator)
    }

    pub(super) fn row(
        &self,
        entry: &Entry,
        floors: Option<&PrefixFloors>,
        known: Known,
    ) -> EndpointRow {
        let neighbours = floors.and_then(|floors| floors.around(self, entry));
        let prefix_floor_ns = neighbours.map(|neighbours| neighbours.floor_ns);
        let hidden = entry.gathered.as_deref().and_then(|week| estimate(&week.whole()));
        let tags = with_satellite(self.tags.names(entry.tags), hidden.as_ref());
        let floor_ns = (entry.measured > 0).then_some(entry.floor_ns);
        let mut traits = accumulator::traits(entry.stack, self.accumulator(entry));
        traits.excess = rtt_excess::over(floor_ns, neighbours, known.path);
        (traits.baseline, traits.subject_baseline) = (known.path, known.subject);
        EndpointRow {
            key: entry.key.open(&self.prints.values),
            role: entry.role(),
            sessions: entry.sessions,
            handshakes: entry.handshakes.into(),
            floor_ns,
            prefix_floor_ns,
            first: entry.first,
            last: entry.last,
            place: entry.place.clone(),
            asn: entry.asn.clone(),
            tunnel: tunnel::estimate(&traits, &tags),
            tags,
            hidden,
            traits,
        }
    }
}

impl Entry {
    fn new(key: Key) -> Entry {
        Entry {
            key,
            roles: 0,
            sessions: 0,
            handshakes: 0,
            measured: 0,
            floor_ns: u64::MAX,
            first: Nanos(u64::MAX),
            last: Nanos::ZERO,
            place: None,
            asn: None,
            tags: 0,
            gathered: None,
            stack: (StackSummary::default(), 0),
            accumulator: 0,
        }
    }

    /// The eviction order, lowest first: an endpoint without an answered session may not exist,
    /// since its address can be forged; then the number of sessions; then whether a round trip was
    /// measured; then the time last seen.
    const fn worth(&self) -> (bool, u64, bool, Nanos) {
        (self.roles & ANSWERED != 0, self.sessions, self.measured > 0, self.last)
    }

    const fn role(&self) -> Role {
        match self.roles & (INITIATOR | RESPONDER) {
            INITIATOR => Role::Initiator,
            RESPONDER => Role::Responder,
            _ => Role::Both,
        }
    }

    /// Counts a stack if it equals the first one seen; false if it differs.
    fn add_stack(&mut self, stack: StackSummary) -> bool {
        let (first, count) = &mut self.stack;
        if *count == 0 {
            *first = stack;
        }
        if *first != stack {
            return false;
        }
        *count = count.saturating_add(1);
        true
    }
}

impl Endpoints {
    /// The output order of two endpoints: address, side, fingerprint, service.
    pub(super) fn compare(&self, a: u32, b: u32) -> Ordering {
        let key = |at: u32| self.entries.get(at as usize).map(|entry| entry.key);
        let (Some(a), Some(b)) = (key(a), key(b)) else { return Ordering::Equal };
        let side = |key: &Key| (key.ip, if key.remote { Locality::Remote } else { Locality::Home });
        let print = |key: &Key| self.prints.values.get((key.print as usize).wrapping_sub(1));
        let service = |key: &Key| (key.service, key.transport, key.port);
        side(&a)
            .cmp(&side(&b))
            .then_with(|| print(&a).cmp(&print(&b)))
            .then_with(|| service(&a).cmp(&service(&b)))
    }
}

/// Adds a tag for a leg as long as one by satellite: a gateway there terminates TCP like a proxy.
fn with_satellite(mut tags: Vec<Arc<str>>, hidden: Option<&HiddenLeg>) -> Vec<Arc<str>> {
    if hidden.is_some_and(is_satellite_long)
        && let Err(at) = tags.binary_search_by(|tag| (**tag).cmp(TAG_SATELLITE_GATEWAY))
    {
        tags.insert(at, TAG_SATELLITE_GATEWAY.into());
    }
    tags
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
