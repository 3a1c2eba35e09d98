//! Who is behind an address, and when: the names that it was asked for by, the device that held it,
//! the person who used that.
//!
//! Owns: bindings with a beginning and an end. In: packets that every worker hears, in the order
//! of the capture. Out: the name or the holder of an address at a time. Never: judges, guesses
//! where two answers are possible, keeps a message.
//!
//! Every worker keeps the same bindings: sessions of one person live on all shards, and what a
//! session is told must not depend on which of them is faster. Such packets are few.

mod doors;
mod heard;
mod holders;
mod logins;
mod names;
mod overheard;
mod text;

use std::sync::Arc;

use crate::identity::doors::Doors;
use crate::identity::holders::Holders;
use crate::identity::logins::Logins;
use crate::identity::names::Names;
pub use crate::identity::overheard::knocks;
pub use crate::identity::overheard::overhears;
use crate::model::Addr;
use crate::model::Nanos;
use crate::model::record::Holder;

/// An address of a capture point: two points may use one range for different things.
pub type Place = (u16, Addr);

/// What was heard so far.
#[derive(Debug)]
pub struct Identity {
    names: Names,
    holders: Holders,
    logins: Logins,
    doors: Doors,
}

impl Identity {
    /// Nothing heard, and room for so many addresses of either kind.
    pub fn new(cap: usize) -> Identity {
        Identity {
            names: Names::new(cap),
            holders: Holders::new(cap),
            logins: Logins::new(),
            doors: Doors::new(cap),
        }
    }

    /// The name by which `asker` last got to know `server`, before `at`.
    pub fn name_of(&self, asker: Addr, server: Place, at: Nanos) -> Option<Arc<str>> {
        self.names.of(asker, server, at)
    }

    /// Who held an address when a session of it began, or, if nobody else is known to have, when
    /// it ended.
    pub fn holder_of(&self, place: Place, start: Nanos, end: Nanos) -> Option<Arc<Holder>> {
        self.holders.of(place, start, end)
    }
}
