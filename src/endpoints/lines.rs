//! The lines of each address, and the addresses of each person, so that lines are pooled while a
//! span lasts.
//!
//! Owns: numbers of lines by address, and addresses by person. In: lines as they begin to answer,
//! and answered sessions of people. Out: both, in the order in which they came. Never: more lines
//! of an address than one client has, or addresses of a person: [`LINES_MAX`], [`ADDRESSES_MAX`].
//!
//! Policy at the caps: an address with too many lines is no one client, and has none here. Of a
//! person the address that was seen longest ago goes; people are those of the subjects file.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::endpoints::summary::EndpointSummary;
use crate::endpoints::table::Entry;
use crate::model::Addr;

/// Lines of one address: a browser has two for each service.
const LINES_MAX: usize = 128;
/// Addresses of one person.
const ADDRESSES_MAX: usize = 64;

/// The lines that answered something, and who was where.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// The first line of each address: most have no other.
    first: HashMap<Addr, u32, RandomState>,
    /// The others.
    further: HashMap<Addr, Vec<u32>, RandomState>,
    people: HashMap<Arc<str>, VecDeque<Addr>, RandomState>,
}

impl Lines {
    /// The same people, and no lines.
    pub(super) fn successor(&self) -> Lines {
        Lines { people: self.people.clone(), ..Lines::default() }
    }

    /// All lines anew, after their numbers have changed.
    pub(super) fn renumber(&mut self, entries: &[Entry]) {
        (self.first, self.further) = (HashMap::default(), HashMap::default());
        for (at, entry) in (0u32..).zip(entries) {
            self.add(at, entry);
        }
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
        let known = self.people.entry_ref(id).or_default();
        if known.back() == Some(&ip) {
            return;
        }
        known.retain(|other| *other != ip);
        if known.len() >= ADDRESSES_MAX {
            known.pop_front();
        }
        known.push_back(ip);
    }

    /// The addresses of a person.
    pub(super) fn of_person(&self, id: &str) -> impl ExactSizeIterator<Item = Addr> {
        self.people.get(id).map(VecDeque::iter).unwrap_or_default().copied()
    }
}
