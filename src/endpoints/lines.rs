//! The lines of each address, and the addresses of each person, so that lines are pooled while a
//! span lasts.
//!
//! Owns: numbers of lines by address, and addresses by person. In: lines as they begin to answer,
//! and answered sessions of people. Out: both, in the order in which they came. Never: more lines
//! of an address than one client has, or addresses of a person: [`LINES_MAX`], [`ADDRESSES_MAX`].
//!
//! Policy at the caps: an address with too many lines is no one client, and has none here. Of a
//! person the address that was seen longest ago goes. People are those of the subjects file, of the
//! last week, in bytes: those not seen for longest go. Lines take bytes of their endpoints.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::endpoints::carry_over::KEPT;
use crate::endpoints::summary::EndpointSummary;
use crate::endpoints::table::Entry;
use crate::model::heap::ALLOCATION;
use crate::model::{Addr, Nanos};

/// Lines of one address: a browser has two for each service.
const LINES_MAX: usize = 128;
/// Addresses of one person.
const ADDRESSES_MAX: usize = 64;
/// At the cap one in so many bytes of people is freed at once.
const ROOM: usize = 8;

/// Where a person was, the latest address last.
#[derive(Clone, Debug, Default)]
struct Person {
    last: Nanos,
    addresses: VecDeque<Addr>,
}

impl Person {
    /// Notes an address as the latest.
    fn note(&mut self, ip: Addr, last: Nanos) {
        self.last = self.last.max(last);
        if self.addresses.back() == Some(&ip) {
            return;
        }
        self.addresses.retain(|other| *other != ip);
        if self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.pop_front();
        }
        self.addresses.push_back(ip);
    }

    /// Bytes of it, with its place in the map.
    fn bytes(&self) -> usize {
        let addresses = self.addresses.capacity() * size_of::<Addr>();
        2 * size_of::<(Arc<str>, Person)>() + addresses + 2 * ALLOCATION
    }
}

/// The lines that answered something, and who was where.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// The first line of each address: most have no other.
    first: HashMap<Addr, u32, RandomState>,
    /// The others.
    further: HashMap<Addr, Vec<u32>, RandomState>,
    people: HashMap<Arc<str>, Person, RandomState>,
    /// Of people: held, and the most.
    bytes: usize,
    cap: usize,
    /// People forgotten at the cap.
    pub(super) dropped: u64,
    /// Addresses that got too many lines.
    pub(super) crowded: u64,
}

impl Lines {
    /// Holds at most so many bytes of people.
    pub(super) fn new(cap: usize) -> Lines {
        Lines { cap, ..Lines::default() }
    }

    /// Bytes held of people.
    pub(super) const fn held(&self) -> usize {
        self.bytes
    }

    /// The same people, unless a week has passed, and no lines.
    pub(super) fn successor(&self) -> Lines {
        let now = self.people.values().map(|person| person.last).max().unwrap_or_default();
        let lately = self.people.iter().filter(|(_, person)| now.since(person.last) <= KEPT);
        let people: HashMap<_, _, _> =
            lately.map(|(id, person)| (Arc::clone(id), person.clone())).collect();
        let bytes = people.values().map(Person::bytes).sum();
        Lines { people, bytes, ..Lines::new(self.cap) }
    }

    /// All lines anew, after their numbers have changed.
    pub(super) fn renumber(&mut self, entries: &[Entry]) {
        (self.first, self.further) = (HashMap::default(), HashMap::default());
        let crowded = self.crowded;
        for (at, entry) in (0u32..).zip(entries) {
            self.add(at, entry);
        }
        self.crowded = crowded;
    }

    /// Adds a line, unless it has answered nothing.
    pub(super) fn add(&mut self, at: u32, entry: &Entry) {
        if !entry.key.remote || entry.gathered.is_none() {
            return;
        }
        let ip = entry.key.ip;
        if *self.first.entry(ip).or_insert(at) == at {
            return;
        }
        let further = self.further.entry(ip).or_default();
        if further.len() < LINES_MAX {
            further.push(at);
            self.crowded += u64::from(further.len() == LINES_MAX);
        }
    }

    /// The lines of an address; `None` if there are too many.
    pub(super) fn at(&self, ip: Addr) -> Option<impl Iterator<Item = u32>> {
        let further = self.further.get(&ip).map_or(&[][..], Vec::as_slice);
        let first = self.first.get(&ip).copied();
        (further.len() < LINES_MAX).then(|| first.into_iter().chain(further.iter().copied()))
    }

    /// Notes where the person of a session is.
    pub(super) fn note_person(&mut self, session: &EndpointSummary) {
        let incoming = session.incoming.as_deref();
        let Some((id, _)) = incoming.and_then(|incoming| incoming.subject.as_ref()) else { return };
        let ip = session.initiator.ip;
        let person = self.people.entry_ref(id).or_default();
        let known = if person.addresses.is_empty() { 0 } else { person.bytes() };
        person.note(ip, session.last);
        self.bytes = (self.bytes + person.bytes()).saturating_sub(known);
        if self.bytes > self.cap {
            self.make_room();
        }
    }

    /// Forgets the people not seen for longest.
    #[cold]
    fn make_room(&mut self) {
        let of = |(id, person): (&Arc<str>, &Person)| (person.last, Arc::clone(id));
        let mut order: Vec<(Nanos, Arc<str>)> = self.people.iter().map(of).collect();
        order.sort_unstable();
        for (_, id) in order {
            if self.bytes <= self.cap - self.cap / ROOM {
                return;
            }
            let freed = self.people.remove(&id).map_or(0, |person| person.bytes());
            self.bytes = self.bytes.saturating_sub(freed);
            self.dropped += 1;
        }
    }

    /// The addresses of a person, the latest first.
    pub(super) fn of_person(&self, id: &str) -> impl ExactSizeIterator<Item = Addr> {
        let person = self.people.get(id);
        person.map(|person| person.addresses.iter().rev()).unwrap_or_default().copied()
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
