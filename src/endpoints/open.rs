//! Sessions that are still open, so that rules judge their endpoints before they end.
//!
//! Owns: the latest update of each open session that rules on endpoints judge. In: updates, and the
//! ids of sessions that ended. Out: endpoints as if those sessions had ended at their last update.
//! Never: adds to the totals of an endpoint, so that nothing has to be taken back.
//!
//! Policy at the cap: the updates of endpoints with the fewest open sessions go, since rules on
//! endpoints ask for many; their sessions count when they end.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::endpoints::baseline::Baselines;
use crate::endpoints::key::Key;
use crate::endpoints::prefix_stats::PrefixFloors;
use crate::endpoints::rows::Totals;
use crate::endpoints::summary::EndpointSummary;
use crate::endpoints::table::{Endpoints, Entry, INITIATOR};
use crate::model::endpoint::{EndpointKey, EndpointRow};
use crate::model::heap::ALLOCATION;
use crate::model::{Addr, Nanos};

/// Open sessions of one endpoint that count: this bounds the work of one judgement.
const PER_ENDPOINT: usize = 64;

/// At the cap one in so many bytes is freed at once.
const ROOM: usize = 8;

/// Bytes of an endpoint here, with its places in the maps.
const GROUP_BYTES: usize = size_of::<EndpointKey>() + size_of::<Group>() + PLACE + 6 * ALLOCATION;

/// Its place among the endpoints of its address.
const PLACE: usize = size_of::<(Addr, Vec<Arc<EndpointKey>>)>() + size_of::<Arc<EndpointKey>>();

type SessionId = [u8; 16];

/// The open sessions of one endpoint, in the order of their updates.
#[derive(Clone, Debug, Default)]
struct Group {
    sessions: Vec<(SessionId, Arc<EndpointSummary>)>,
    /// Updated since it was judged.
    changed: bool,
}

impl Group {
    /// The time of its last packet by the last updates.
    fn last(&self) -> Nanos {
        self.sessions.iter().map(|(_, session)| session.last).max().unwrap_or_default()
    }
}

/// The open sessions of all endpoints.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenSessions {
    cap: usize,
    bytes: usize,
    groups: HashMap<Arc<EndpointKey>, Group, RandomState>,
    endpoints: HashMap<SessionId, Arc<EndpointKey>, RandomState>,
    /// The endpoints at each address.
    addresses: HashMap<Addr, Vec<Arc<EndpointKey>>, RandomState>,
    /// Endpoints to judge, in the order of their first update since.
    changed: Vec<Arc<EndpointKey>>,
    pub(super) dropped: u64,
}

impl OpenSessions {
    /// Holds at most so many bytes.
    pub(super) fn new(cap: usize) -> OpenSessions {
        OpenSessions { cap, ..OpenSessions::default() }
    }

    /// Bytes held.
    pub(super) const fn held(&self) -> usize {
        self.bytes
    }

    /// Replaces what an earlier update of the session said.
    fn update(&mut self, id: SessionId, session: EndpointSummary) {
        self.remove(&id);
        if session.incoming.is_none() {
            return;
        }
        let key = Arc::new(Key::with_text(&session, &session.initiator));
        let key = match self.groups.get_key_value(&key) {
            Some((known, _)) => Arc::clone(known),
            None => key,
        };
        let group = self.groups.entry(Arc::clone(&key)).or_default();
        if group.sessions.len() >= PER_ENDPOINT {
            self.dropped += 1;
            return;
        }
        if group.sessions.is_empty() {
            self.addresses.entry(key.ip).or_default().push(Arc::clone(&key));
        }
        self.bytes += bytes(&session) + if group.sessions.is_empty() { GROUP_BYTES } else { 0 };
        group.sessions.push((id, Arc::new(session)));
        if !std::mem::replace(&mut group.changed, true) {
            self.changed.push(Arc::clone(&key));
        }
        self.endpoints.insert(id, key);
        if self.bytes > self.cap {
            self.make_room();
        }
    }

    /// Forgets a session.
    fn remove(&mut self, id: &SessionId) {
        let Some(key) = self.endpoints.remove(id) else { return };
        let Some(group) = self.groups.get_mut(&key) else { return };
        if let Some(at) = group.sessions.iter().position(|(known, _)| known == id) {
            let (_, session) = group.sessions.remove(at);
            self.bytes = self.bytes.saturating_sub(bytes(&session));
        }
        if group.sessions.is_empty() {
            self.groups.remove(&key);
            self.bytes = self.bytes.saturating_sub(GROUP_BYTES);
            self.leave_address(&key);
        }
    }

    fn leave_address(&mut self, key: &Arc<EndpointKey>) {
        let Some(all) = self.addresses.get_mut(&key.ip) else { return };
        all.retain(|known| known != key);
        if all.is_empty() {
            self.addresses.remove(&key.ip);
        }
    }

    /// Forgets the endpoints with the fewest open sessions, of those the ones seen longest ago.
    #[cold]
    fn make_room(&mut self) {
        let mut order: Vec<(usize, Nanos, Arc<EndpointKey>)> = self
            .groups
            .iter()
            .map(|(key, group)| (group.sessions.len(), group.last(), Arc::clone(key)))
            .collect();
        order.sort_unstable();
        for (_, _, key) in order {
            if self.bytes <= self.cap - self.cap / ROOM {
                return;
            }
            let group = self.groups.get(&key).map(|group| group.sessions.clone());
            for (id, _) in group.unwrap_or_default() {
                self.dropped += 1;
                self.remove(&id);
            }
        }
    }

    /// The endpoints with open sessions, in order.
    pub(super) fn keys(&self) -> Vec<Arc<EndpointKey>> {
        let mut keys: Vec<Arc<EndpointKey>> = self.groups.keys().cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// The endpoints with open sessions at an address.
    pub(super) fn at(&self, ip: Addr) -> &[Arc<EndpointKey>] {
        self.addresses.get(&ip).map_or(&[], Vec::as_slice)
    }

    /// The sessions of an endpoint.
    pub(super) fn of(&self, key: &EndpointKey) -> impl Iterator<Item = &EndpointSummary> {
        let group = self.groups.get(key);
        group.into_iter().flat_map(|group| &group.sessions).map(|(_, session)| &**session)
    }
}

/// What a session takes: the value itself, and its places in the maps.
fn bytes(session: &EndpointSummary) -> usize {
    const PLACES: usize = 2 * size_of::<(SessionId, Arc<EndpointKey>)>() + 2 * ALLOCATION;
    size_of::<EndpointSummary>() + session.heap() + PLACES
}

impl Endpoints {
    /// Takes what an open session has contributed so far, in place of what it had before.
    pub fn update(&mut self, id: SessionId, session: EndpointSummary) {
        self.stepping.note(&session);
        self.lines.note_person(&session);
        self.observe_people(&session, false);
        self.open.update(id, session);
    }

    /// A session is over: from here on only [`Endpoints::observe`] counts it.
    pub fn close(&mut self, id: &SessionId) {
        self.people.close(id);
        if !self.open.endpoints.is_empty() {
            self.open.remove(id);
        }
    }

    /// The next endpoint whose open sessions were updated since it was judged.
    pub fn next_updated(&mut self, learned: Option<&Baselines>) -> Option<EndpointRow> {
        while let Some(key) = self.open.changed.pop() {
            let group = self.open.groups.get_mut(&key);
            if group.is_some_and(|group| std::mem::take(&mut group.changed)) {
                return Some(self.row_with_open(&key, None, learned));
            }
        }
        None
    }

    /// The entry that the endpoint has for its ended sessions.
    pub(super) fn entry_of(&self, key: &EndpointKey) -> Option<usize> {
        let print = key.fingerprint.as_ref().map(|print| print.as_text());
        self.find(Key::closed(key, self.prints.find(&self.hasher, print)?))
    }

    /// An endpoint as if its open sessions had ended at their last update. Its neighbours are those
    /// whose sessions have ended.
    pub(super) fn row_with_open(
        &self,
        key: &EndpointKey,
        floors: Option<&PrefixFloors>,
        learned: Option<&Baselines>,
    ) -> EndpointRow {
        let known = self.entry_of(key).and_then(|at| self.entries.get(at));
        let mut entry = known.cloned().unwrap_or_else(|| Entry::new(Key::closed(key, 0)));
        let neighbours = floors.and_then(|floors| floors.around(self, &entry));
        let mut accumulator = self.accumulator(&entry).cloned().unwrap_or_default();
        let mut tags = self.tags.names(entry.tags);
        if known.is_none()
            && let Some(carried) = self.open.of(key).find_map(|one| self.carried.get(key, one.last))
        {
            entry.resume(carried, &mut accumulator);
        }
        for session in self.open.of(key) {
            entry.add(session, &session.initiator, INITIATOR);
            let counted = entry.add_stack(session.stack);
            accumulator.add(session, counted);
            let own = session.tags.iter().filter(|(of_initiator, _)| *of_initiator);
            tags.extend(own.map(|(_, tag)| Arc::clone(tag)));
        }
        tags.sort_unstable();
        tags.dedup();
        let totals = Totals {
            entry: &entry,
            accumulator: Some(&accumulator),
            people: &self.people,
            tags,
            pooled: self.pool_while_open(key),
            refused: None,
        };
        let known = learned.map(|learned| totals.known(learned)).unwrap_or_default();
        totals.row(key.clone(), neighbours, known)
    }
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
