//! Who is behind an address, and when: the names that it was asked for by, the device that held it,
//! the person who used that.
//!
//! Owns: bindings with a beginning and an end. In: packets, in the order of the capture. Out: the
//! name or the holder of an address at a time. Never: judges, guesses where two answers are
//! possible, keeps a message, believes an answer without its question.
//!
//! Two halves. The [`Listener`] reads each packet once, on the reader's thread, and matches answers
//! with questions. What follows goes to every worker's [`Identity`] at one point of the input:
//! sessions of one person live on all shards, and what a session is told must not depend on which
//! of them is faster. A message that answers nothing costs a look-up, whatever the workers are.

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

/// What was heard so far: a worker's side.
#[derive(Debug)]
pub struct Identity {
    names: Names,
    holders: Holders,
}

impl Identity {
    /// Nothing heard, and room for so many addresses of either kind.
    pub fn new(cap: usize) -> Identity {
        Identity { names: Names::new(cap), holders: Holders::new(cap) }
    }

    /// Takes what was said. Says how many addresses and devices were forgotten for it.
    pub fn take(&mut self, said: &[Binding]) -> usize {
        said.iter().map(|binding| self.take_one(binding)).sum()
    }

    /// Names given up for another of the same host and address, since the last call.
    pub fn take_displaced(&mut self) -> u64 {
        self.names.take_displaced()
    }

    fn take_one(&mut self, Binding { at, what }: &Binding) -> usize {
        match what {
            Statement::Name { asker, name, server } => self.names.tell(*asker, name, *server, *at),
            Statement::Called { mac, host, by } => self.holders.call(*mac, host, by),
            Statement::Leased(place, heard) => self.holders.lease(*place, heard, *at),
            Statement::Holds(place, heard) => self.holders.hear(*place, heard, *at),
            Statement::Released(place) => {
                self.holders.release(*place, *at);
                0
            }
        }
    }

    /// The name by which `asker` got to know `server` before `at`: `own` if it was one, else the
    /// last.
    pub fn name_of(
        &self,
        asker: Addr,
        server: Place,
        own: Option<&str>,
        at: Nanos,
    ) -> Option<Arc<str>> {
        self.names.of(asker, server, own, at)
    }

    /// Who held an address when a session of it began, or, if nobody else is known to have, when
    /// it ended.
    pub fn holder_of(&self, place: Place, start: Nanos, end: Nanos) -> Option<Arc<Holder>> {
        self.holders.of(place, start, end)
    }
}
