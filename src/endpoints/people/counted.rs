//! What was already counted of sessions from inside that go on.
//!
//! Owns: bytes and seconds of each, up to a cap. In: updates, ends. Out: what is to be added.
//! Policy at the cap: a further session counts when it ends. Never: the same byte twice.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::endpoints::egress::Egress;
use crate::endpoints::summary::EndpointSummary;
use crate::model::heap::ALLOCATION;

/// The id of a session.
pub(in crate::endpoints) type SessionId = [u8; 16];

/// Bytes of a session in the map.
const PLACE: usize = 2 * size_of::<(SessionId, Amount)>() + ALLOCATION;

/// How much a session has sent, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) up: u64,
    pub(super) seconds: u64,
}

impl Amount {
    /// Of a session until now.
    pub(super) fn of(session: &EndpointSummary, egress: &Egress) -> Amount {
        Amount { up: egress.up, seconds: session.last.since(session.first).as_secs() }
    }

    /// What was added since.
    pub(super) const fn since(self, before: Amount) -> Amount {
        Amount {
            up: self.up.saturating_sub(before.up),
            seconds: self.seconds.saturating_sub(before.seconds),
        }
    }
}

/// The open sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    most: usize,
    all: HashMap<SessionId, Amount, RandomState>,
    /// What was counted of the session that ends now.
    ending: Amount,
    dropped: u64,
}

impl Counted {
    /// Holds at most so many bytes.
    pub(super) fn new(cap: usize) -> Counted {
        Counted { most: cap / PLACE, ..Counted::default() }
    }

    /// A session goes on: what to add, unless it has to wait for its end.
    pub(super) fn update(&mut self, id: SessionId, now: Amount) -> Option<Amount> {
        if self.all.len() >= self.most && !self.all.contains_key(&id) {
            self.dropped += 1;
            return None;
        }
        Some(now.since(self.all.insert(id, now).unwrap_or_default()))
    }

    /// A session is over; its last facts follow.
    pub(super) fn close(&mut self, id: &SessionId) {
        let known = if self.all.is_empty() { None } else { self.all.remove(id) };
        self.ending = known.unwrap_or_default();
    }

    /// What to add of the session that is over.
    pub(super) fn end(&mut self, now: Amount) -> Amount {
        now.since(std::mem::take(&mut self.ending))
    }

    /// Updates that had to wait, since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}
