//! What was already counted of people's sessions that go on.
//!
//! Owns: bytes, seconds and messages of each, up to a cap. In: updates, ends. Out: what is to be
//! added. Never: the same byte twice, or a byte as counted that nothing takes.
//!
//! A place is for what somebody's sums take, and for no small session: whoever fills the places has
//! shown the bytes for it. Policy at the cap: a further session counts when it ends; one that gave
//! up its place to it would count twice.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::endpoints::egress::Egress;
use crate::endpoints::summary::{EndpointSummary, Incoming};
use crate::model::heap::ALLOCATION;

/// The id of a session.
pub(in crate::endpoints) type SessionId = [u8; 16];

/// Bytes of a session in the map.
const PLACE: usize = 2 * size_of::<(SessionId, Amount)>() + ALLOCATION;

/// Less than so many bytes, a hundredth of what is looked at in a day, waits for the end.
const SMALL_UP: u64 = 1_000_000;

/// The same of seconds: a call of four hours is a marathon.
const SMALL_S: u64 = 120;

/// The same of messages: an hour with 300 is active.
const SMALL_MESSAGES: u64 = 60;

/// How much a session has sent, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) up: u64,
    pub(super) seconds: u64,
    pub(super) messages: u64,
}

impl Amount {
    /// Of a session until now, as far as its person's sums take it: bytes if its owner is of a
    /// kind, seconds if it is a call that shows a screen. Any of it may be known late.
    pub(super) fn of(session: &EndpointSummary, egress: &Egress) -> Amount {
        let known = egress.outbound && egress.session.subject.is_some();
        let seconds = session.last.since(session.first).as_secs();
        let behind = egress.from.is_some() && egress.session.subject.is_some();
        Amount {
            up: if known && egress.owner.is_some() { egress.up } else { 0 },
            seconds: if known && egress.screen_call { seconds } else { 0 },
            messages: if behind { egress.session.messages.into() } else { 0 },
        }
    }

    /// Of a session from outside until now, if its person is known.
    pub(super) fn of_incoming(incoming: &Incoming) -> Amount {
        let known = incoming.subject.is_some();
        let messages = if known { incoming.messages.into() } else { 0 };
        Amount { messages, ..Amount::default() }
    }

    /// Its messages.
    pub(super) fn messages(self) -> u32 {
        u32::try_from(self.messages).unwrap_or(u32::MAX)
    }

    /// The more of each.
    fn max(self, other: Amount) -> Amount {
        Amount {
            up: self.up.max(other.up),
            seconds: self.seconds.max(other.seconds),
            messages: self.messages.max(other.messages),
        }
    }

    /// What was added since.
    pub(super) const fn since(self, before: Amount) -> Amount {
        Amount {
            up: self.up.saturating_sub(before.up),
            seconds: self.seconds.saturating_sub(before.seconds),
            messages: self.messages.saturating_sub(before.messages),
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

    /// A session goes on: what to add; nothing if it has to wait for its end.
    pub(super) fn update(&mut self, id: SessionId, now: Amount) -> Amount {
        if let Some(known) = self.all.get_mut(&id) {
            let new = now.since(*known);
            *known = known.max(now);
            return new;
        }
        let small = now.up < SMALL_UP && now.seconds < SMALL_S;
        if small && now.messages < SMALL_MESSAGES {
            return Amount::default();
        }
        if self.all.len() >= self.most {
            self.dropped += 1;
            return Amount::default();
        }
        self.all.insert(id, now);
        now
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

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.all.len() * PLACE
    }

    /// Updates that had to wait, since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}
