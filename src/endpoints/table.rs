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

use crate::endpoints::accumulator::{Accumulator, Accumulators};
use crate::endpoints::baseline::Baselines;
use crate::endpoints::carry_over::{Carried, CarriedEndpoint};
use crate::endpoints::interned::Interned;
use crate::endpoints::key::Key;
use crate::endpoints::lines::Lines;
use crate::endpoints::open::OpenSessions;
use crate::endpoints::people::People;
use crate::endpoints::rolling_7d::Week;
use crate::endpoints::rows::{EndpointRows, Totals};
use crate::endpoints::stepping::Stepping;
use crate::endpoints::summary::{EndpointSummary, Print, SideSummary, StackSummary};
use crate::endpoints::tags::Tags;
use crate::model::endpoint::{EndpointRow, Role};
use crate::model::record::{AutonomousSystem, Place};
use crate::model::{Counter, Counters, Nanos};

/// Sessions whose entries are prefetched at once.
pub const LOOK_AHEAD: usize = 32;

/// Sessions after which rules first look at an endpoint before the end.
const FIRST_CHECK: u64 = 16;

pub(super) const INITIATOR: u8 = 1;
const RESPONDER: u8 = 2;
/// At least one session was answered.
const ANSWERED: u8 = 4;

/// At the cap an eighth (1/n) of the endpoints is evicted at once, or half of those without an
/// answered session if that is more.
const ROOM: usize = 8;

/// The part (1/n) of the bytes of open sessions for where people are, whose lines are pooled.
const PEOPLE: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    roles: u8,
    pub(super) sessions: u64,
    pub(super) handshakes: u32,
    pub(super) floor_ns: u64,
    /// Sessions with a transport round trip.
    pub(super) measured: u32,
    pub(super) first: Nanos,
    pub(super) last: Nanos,
    pub(super) place: Option<Arc<Place>>,
    pub(super) asn: Option<Arc<AutonomousSystem>>,
    /// 0: none; else index of the tag set + 1.
    pub(super) tags: u32,
    /// Response times as an initiator.
    pub(super) gathered: Option<Box<Week>>,
    /// Its first SYN and program as an initiator, and their count: most endpoints have one stack
    /// only, and here it shares the entry's cache line.
    pub(super) stack: (StackSummary, u32),
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
    pub(super) prints: Interned,
    pub(super) tags: Tags,
    accumulators: Accumulators,
    /// Endpoints that rules should look at again.
    due: Vec<Key>,
    pub(super) carried: Carried,
    pub(super) open: OpenSessions,
    pub(super) lines: Lines,
    pub(super) stepping: Stepping,
    pub(super) people: People,
    sessions_dropped: u64,
}

impl Endpoints {
    /// Holds at most `cap` endpoints. The sessions of evicted ones are counted; an evicted endpoint
    /// that is seen again starts anew. The result does not depend on the order of sessions until
    /// the cap is reached. Beside them it holds so many bytes of sessions that are still open.
    pub fn new(cap: usize, open: usize) -> Endpoints {
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
            open: OpenSessions::new(open - open / PEOPLE),
            lines: Lines::new(open / PEOPLE),
            stepping: Stepping::new(open),
            people: People::new(open),
            sessions_dropped: 0,
        }
    }

    /// The same, with so many bytes for what home hosts exchange with whom.
    #[must_use]
    pub fn with_hosts(mut self, bytes: usize) -> Endpoints {
        self.stepping = Stepping::new(bytes);
        self
    }

    /// Counts one session for both of its ends.
    pub fn observe(&mut self, session: &EndpointSummary) {
        self.stepping.note(session);
        self.observe_side(session, &session.initiator, INITIATOR);
        self.observe_side(session, &session.responder, RESPONDER);
        self.lines.note_person(session);
        self.observe_people(session, true);
    }

    /// Adds a session to what is known of people; rules look at its endpoint if that is new.
    pub(super) fn observe_people(&mut self, session: &EndpointSummary, ended: bool) {
        if self.people.observe(session, ended) {
            let text = session.initiator.print.as_text();
            if let Some(print) = self.prints.find(&self.hasher, text) {
                let key = Key::of(session, &session.initiator, print);
                self.due.push(key);
            }
        }
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
        let (open, stepping, people) =
            (self.open.clone(), self.stepping.clone(), self.people.successor());
        let (new, lines) = (Endpoints::new(self.cap, 0), self.lines.successor());
        Endpoints { carried, open, lines, stepping, people, sessions_dropped, ..new }
    }

    /// The number of endpoints.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of open sessions, of what home hosts exchange with whom, and of people.
    pub fn held(&self) -> (usize, usize, usize) {
        (self.open.held() + self.lines.held(), self.stepping.held(), self.people.held())
    }

    /// Adds losses since the last call to `counters`.
    pub fn count(&mut self, counters: &mut Counters) {
        counters.add(Counter::EndpointsDropped, std::mem::take(&mut self.sessions_dropped));
        let people = std::mem::take(&mut self.lines.dropped);
        let sites = std::mem::take(&mut self.people.dropped) + people;
        counters.add(Counter::SitesDropped, sites);
        counters.add(Counter::PoolsCrowded, std::mem::take(&mut self.lines.crowded));
        counters.add(Counter::EndpointTagsDropped, self.tags.take_dropped());
        let dropped = std::mem::take(&mut self.open.dropped) + self.people.take_updates_dropped();
        counters.add(Counter::EndpointUpdatesDropped, dropped);
        let dropped = std::mem::take(&mut self.stepping.dropped);
        counters.add(Counter::HostsDropped, dropped);
        let dropped = std::mem::take(&mut self.stepping.clients_dropped);
        counters.add(Counter::ServiceClientsDropped, dropped);
    }

    fn observe_side(&mut self, session: &EndpointSummary, side: &SideSummary, role: u8) {
        let at = self.entry(session, side);
        let tags = match session.tags.is_empty() {
            true => 0,
            false => self.tags.bits(&session.tags, role == INITIATOR),
        };
        let Some(entry) = self.entries.get_mut(at) else { return };
        let answered = entry.gathered.is_some();
        entry.add(session, side, role);
        if !answered {
            self.lines.add(at as u32, entry);
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
        if let Some(refused) = session.refused.filter(|_| role == INITIATOR) {
            self.accumulators.of(&mut entry.accumulator, |all| all.add_refused(refused));
        }
        if tags != 0 {
            entry.tags = self.tags.add(entry.tags, tags);
        }
    }

    /// The index of the side's entry, created if needed.
    fn entry(&mut self, session: &EndpointSummary, side: &SideSummary) -> usize {
        let text = side.print.as_text();
        let print = self.prints.intern(&self.hasher, text, side.print.program());
        let mut key = Key::of(session, side, print);
        if let Some(at) = self.find(key) {
            return at;
        }
        if self.entries.len() >= self.cap {
            self.make_room();
            // The numbers may have changed.
            key.print = self.prints.intern(&self.hasher, text, side.print.program());
        }
        let at = self.entries.len();
        let mut entry = Entry::new(key);
        if !self.carried.is_empty()
            && let Some(carried) = self.carried.take(&key.open(&self.prints.values), session.last)
        {
            let mut accumulator = Accumulator::default();
            entry.resume(carried, &mut accumulator);
            self.accumulators.of(&mut entry.accumulator, |new| *new = accumulator);
        }
        self.lines.add(at as u32, &entry);
        self.entries.push(entry);
        self.index_last();
        at
    }

    #[inline]
    pub(super) fn find(&self, key: Key) -> Option<usize> {
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
        self.lines.renumber(&self.entries);
    }

    /// Removes fingerprints that no entry uses, once they are the majority.
    fn renumber_prints(&mut self) {
        let used = self.entries.iter().filter(|entry| entry.key.print != 0).count();
        if self.prints.values.len() <= 2 * used {
            return;
        }
        let old = std::mem::take(&mut self.prints);
        let keys = self.entries.iter_mut().map(|entry| &mut entry.key).chain(&mut self.due);
        for key in keys {
            let known = old.get(key.print).map(|known| known.as_text());
            let program = old.other_program(key.print);
            key.print = self.prints.intern(&self.hasher, known, program);
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
        if let Some(row) = self.next_news() {
            return Some(row);
        }
        let key = self.due.pop().filter(|key| self.find(*key).is_some())?;
        Some(self.row_with_open(&key.open(&self.prints.values), None, learned))
    }

    /// The endpoints as they are now, in order, with the statistics of their neighbours and the
    /// baselines in `learned`.
    pub fn finish(self, learned: Option<&Baselines>) -> EndpointRows {
        EndpointRows::of(self, learned)
    }

    /// Whether rules judge it.
    pub(super) fn is_judged(&self, entry: &Entry) -> bool {
        self.accumulator(entry).is_some_and(Accumulator::is_judged)
    }

    /// One bit per day with data that rules judge.
    pub(super) fn days(&self, entry: &Entry) -> u64 {
        self.accumulator(entry).map_or(0, Accumulator::days)
    }

    /// The only person among the subjects of its sessions.
    pub(super) fn only_subject(&self, entry: &Entry) -> Option<&Arc<str>> {
        self.accumulator(entry).and_then(Accumulator::only_subject)
    }

    /// The people of its sessions.
    pub(super) fn subjects(&self, entry: &Entry) -> &[Arc<str>] {
        self.accumulator(entry).map_or(&[], Accumulator::subjects)
    }

    pub(super) fn accumulator(&self, entry: &Entry) -> Option<&Accumulator> {
        self.accumulators.get(entry.accumulator)
    }

    /// What an entry says of itself.
    pub(super) fn totals<'e>(&'e self, entry: &'e Entry) -> Totals<'e> {
        let tags = self.tags.names(entry.tags);
        Totals {
            entry,
            accumulator: self.accumulator(entry),
            people: &self.people,
            tags,
            pooled: None,
            refused: None,
        }
    }
}

impl Entry {
    pub(super) fn new(key: Key) -> Entry {
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

    /// Adds a session, except its stack.
    pub(super) fn add(&mut self, session: &EndpointSummary, side: &SideSummary, role: u8) {
        self.roles |= role | if session.service.is_some() { ANSWERED } else { 0 };
        self.sessions += 1;
        if side.handshake_ns.is_some() {
            self.handshakes = self.handshakes.saturating_add(1);
        }
        if let Some(ns) = side.transport_ns {
            self.measured = self.measured.saturating_add(1);
            self.floor_ns = self.floor_ns.min(ns);
        }
        self.first = self.first.min(session.first);
        self.last = self.last.max(session.last);
        if let Some(turns) = session.turns.as_deref().filter(|_| role == INITIATOR) {
            let gathered = self.gathered.get_or_insert_with(|| Box::new(Week::new(session.last)));
            gathered.add(turns, side.transport_ns, session.first.0, session.last);
        }
        if self.place.is_none() {
            self.place.clone_from(&side.place);
        }
        if self.asn.is_none() {
            self.asn.clone_from(&side.asn);
        }
    }

    /// Continues from what an earlier span left.
    pub(super) fn resume(&mut self, carried: CarriedEndpoint, accumulator: &mut Accumulator) {
        self.gathered = carried.week;
        *accumulator = Accumulator::of(carried.judged);
    }

    /// The eviction order, lowest first: an endpoint without an answered session may not exist,
    /// since its address can be forged; then the number of sessions; then whether a round trip was
    /// measured; then the time last seen.
    const fn worth(&self) -> (bool, u64, bool, Nanos) {
        (self.roles & ANSWERED != 0, self.sessions, self.measured > 0, self.last)
    }

    pub(super) const fn role(&self) -> Role {
        match self.roles & (INITIATOR | RESPONDER) {
            INITIATOR => Role::Initiator,
            RESPONDER => Role::Responder,
            _ => Role::Both,
        }
    }

    /// Counts a stack if it equals the first one seen; false if it differs.
    pub(super) fn add_stack(&mut self, stack: StackSummary) -> bool {
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
        let side = |key: &Key| (key.ip, key.side());
        let print = |key: &Key| self.prints.get(key.print);
        let service = |key: &Key| (key.service, key.transport, key.port);
        side(&a)
            .cmp(&side(&b))
            .then_with(|| print(&a).cmp(&print(&b)))
            .then_with(|| service(&a).cmp(&service(&b)))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
