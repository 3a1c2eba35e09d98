//! Who is behind an address, and when: the names that it was asked for by, the device that held it,
//! the person who used that.
//!
//! Owns: bindings with a beginning and an end. In: packets, in the order of the capture. Out: the
//! name or the holder of an address at a time. Never: judges, guesses where two answers are
//! possible, keeps a message, believes an answer without its question.
//!
//! Everything is read, matched and kept once, on the reader's thread: the [`Listener`] reads a
//! packet and matches answers with questions, the [`Publisher`] keeps what follows in the one
//! [`Identity`]. At each watermark it publishes a snapshot, the same to all workers: sessions of
//! one person live on all shards, and what a session is told must not depend on which of them is
//! faster. A snapshot shares what did not change with the one before it, so that neither memory nor
//! work grow with the workers, and is read without a lock.

mod authentications;
mod bindings;
mod classify;
mod dot1x;
mod leases;
mod open;
mod passive_dns;
mod text;

use std::sync::Arc;

pub use crate::identity::bindings::Listener;
pub use crate::identity::classify::knocks;
pub use crate::identity::classify::overhears;
use crate::identity::leases::Holders;
use crate::identity::passive_dns::Names;
use crate::model::Addr;
use crate::model::Binding;
use crate::model::Nanos;
use crate::model::Place;
use crate::model::Statement;
use crate::model::record::Holder;

/// Of the room, a part this small is for what was heard at a time that nobody bears out.
const DOUBTFUL_PART: usize = 16;

/// What was heard so far. Clones are snapshots: cheap, and they share what they have in common.
#[derive(Clone, Debug)]
pub struct Identity {
    known: Tables,
    /// The same at times that nobody bears out: these may be years away, and must neither end nor
    /// outlive what has a true one. They serve sessions of such times alone.
    doubtful: Tables,
}

/// The reader's side: the one that is written to.
#[derive(Debug)]
pub struct Publisher {
    identity: Identity,
    /// Something was said since the last snapshot.
    changed: bool,
}

impl Publisher {
    /// Nothing heard, and room for so many addresses of either kind.
    pub fn new(cap: usize) -> Publisher {
        Publisher { identity: Identity::new(cap), changed: false }
    }

    /// Takes what was said. Says how many addresses and devices were forgotten for it.
    pub fn take(&mut self, said: &[Binding]) -> usize {
        self.changed |= !said.is_empty();
        self.identity.take(said)
    }

    /// Names given up for another of the same host and address, since the last call.
    pub fn take_displaced(&mut self) -> u64 {
        self.identity.take_displaced()
    }

    /// What is known now, unless that is what was published last.
    pub fn publish(&mut self) -> Option<Arc<Identity>> {
        std::mem::take(&mut self.changed).then(|| Arc::new(self.identity.clone()))
    }
}

/// Names and holders of addresses.
#[derive(Clone, Debug)]
struct Tables {
    names: Names,
    holders: Holders,
}

/// When a session was.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Its first packet.
    pub start: Nanos,
    /// Its last.
    pub end: Nanos,
    /// Nobody bears these times out.
    pub doubtful: bool,
}

impl Tables {
    fn new(cap: usize) -> Tables {
        Tables { names: Names::new(cap), holders: Holders::new(cap) }
    }
}

impl Identity {
    /// Nothing heard, and room for so many addresses of either kind.
    pub fn new(cap: usize) -> Identity {
        let doubtful = cap / DOUBTFUL_PART;
        Identity { known: Tables::new(cap - doubtful), doubtful: Tables::new(doubtful) }
    }

    /// Takes what was said. Says how many addresses and devices were forgotten for it.
    pub fn take(&mut self, said: &[Binding]) -> usize {
        said.iter().map(|binding| self.take_one(binding)).sum()
    }

    /// Names given up for another of the same host and address, since the last call.
    pub fn take_displaced(&mut self) -> u64 {
        self.known.names.take_displaced() + self.doubtful.names.take_displaced()
    }

    fn take_one(&mut self, Binding { at, what, doubtful }: &Binding) -> usize {
        let Tables { names, holders } =
            if *doubtful { &mut self.doubtful } else { &mut self.known };
        match what {
            Statement::Name { asker, name, server } => names.tell(*asker, name, *server, *at),
            Statement::Called { mac, host, by } => holders.call(*mac, host, by),
            Statement::Leased(place, heard) => holders.lease(*place, heard, *at),
            Statement::Holds(place, heard) => holders.hear(*place, heard, *at),
            Statement::Released(place) => {
                holders.release(*place, *at);
                0
            }
        }
    }

    const fn tables(&self, when: When) -> &Tables {
        if when.doubtful { &self.doubtful } else { &self.known }
    }

    /// The name by which `asker` got to know `server` before a session began: `own` if it was one,
    /// else the last.
    pub fn name_of(
        &self,
        asker: Addr,
        server: Place,
        own: Option<&str>,
        when: When,
    ) -> Option<Arc<str>> {
        self.tables(when).names.of(asker, server, own, when.start)
    }

    /// Who held an address when a session of it began, or, if nobody else is known to have, when
    /// it ended.
    pub fn holder_of(&self, place: Place, when: When) -> Option<Arc<Holder>> {
        self.tables(when).holders.of(place, when.start, when.end)
    }
}
