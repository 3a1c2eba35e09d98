//! The identity of an address over time: its DNS names, the device that held it, the user of that
//! device.
//!
//! Owns: bindings with a start and an end. In: packets in capture order. Out: the name or the
//! holder of an address at a time. Never: judges, guesses if two answers are possible, keeps a
//! message, accepts an answer without its question.
//!
//! Everything is read, matched and stored once, on the reader's thread: the [`Listener`] reads a
//! packet and matches answers with questions, the [`Publisher`] stores the result in the single
//! [`Identity`]. At each watermark it publishes the same snapshot to all workers: sessions of one
//! user are on all shards, and the identity of a session must not depend on which shard is faster.
//! A snapshot shares unchanged parts with the previous one, so neither memory nor work grows with
//! the workers, and it is read without a lock.

mod arp_senders;
mod authentications;
mod bindings;
mod classify;
mod dot1x;
mod lease_requests;
mod leases;
mod open;
mod packet;
mod passive_dns;
mod text;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

pub use crate::identity::bindings::Listener;
pub use crate::identity::classify::{has_identity_data, link_message_offset};
use crate::identity::leases::Holders;
use crate::identity::passive_dns::Names;
use crate::model::record::{Holder, NameSources};
use crate::model::{Addr, Binding, Nanos, Place, Statement};

/// The share of the capacity (one part in this many) for bindings with uncertain times.
const UNCERTAIN_PART: usize = 16;

/// All bindings so far. Clones are snapshots: cheap, and they share what they have in common.
#[derive(Clone, Debug)]
pub struct Identity {
    known: Tables,
    /// Bindings with uncertain times: these may be years off, and must neither end nor outlive
    /// bindings with confirmed times. Used only for sessions with uncertain times.
    doubtful: Tables,
}

/// The reader's writable copy.
#[derive(Debug)]
pub struct Publisher {
    identity: Identity,
    /// Whether bindings were added since the last snapshot.
    changed: bool,
    /// Snapshots that somebody may hold, the oldest first; with each the bytes that were replaced
    /// between it and the next.
    snapshots: VecDeque<(Weak<Identity>, usize)>,
    /// The sum of those bytes.
    held: usize,
    /// Above so many bytes the writer has to wait.
    bound: usize,
}

impl Publisher {
    /// Empty, with room for `cap` addresses of either kind, and for `bound` bytes that older
    /// snapshots alone hold.
    pub fn new(cap: usize, bound: usize) -> Publisher {
        let (identity, snapshots) = (Identity::new(cap), VecDeque::new());
        Publisher { identity, changed: false, snapshots, held: 0, bound }
    }

    /// Adds bindings. Returns the number of addresses and devices evicted for them.
    pub fn take(&mut self, bindings: &[Binding]) -> usize {
        self.changed |= !bindings.is_empty();
        let dropped = self.identity.take(bindings);
        let replaced = self.identity.take_replaced();
        if let Some((_, since)) = self.snapshots.back_mut() {
            *since += replaced;
            self.held += replaced;
        }
        dropped
    }

    /// Whether older snapshots hold more than the bound, so that no more may be added before those
    /// that read them have gone on to the latest. It alone cannot hold more than the table: that is
    /// within the bound, so there is nothing to wait for once the others are gone.
    pub fn must_wait(&mut self) -> bool {
        if self.held <= self.bound {
            return false;
        }
        self.forget_dropped();
        self.held > self.bound && self.snapshots.len() > 1
    }

    /// Forgets snapshots that nobody holds. Readers drop them in their order.
    fn forget_dropped(&mut self) {
        while let Some((oldest, bytes)) = self.snapshots.front()
            && oldest.strong_count() == 0
        {
            self.held -= bytes;
            self.snapshots.pop_front();
        }
    }

    /// Bytes that older snapshots alone hold, at most.
    #[cfg(test)]
    pub(crate) fn held(&mut self) -> usize {
        self.forget_dropped();
        self.held
    }

    /// Names replaced by another name of the same host and address, since the last call.
    pub fn take_displaced(&mut self) -> u64 {
        self.identity.take_displaced()
    }

    /// A snapshot, if anything has changed since the last one.
    pub fn publish(&mut self) -> Option<Arc<Identity>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.forget_dropped();
        let snapshot = Arc::new(self.identity.clone());
        self.snapshots.push_back((Arc::downgrade(&snapshot), 0));
        Some(snapshot)
    }
}

/// Names and holders of addresses.
#[derive(Clone, Debug)]
struct Tables {
    names: Names,
    holders: Holders,
}

/// The time of a session.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Its first packet.
    pub start: Nanos,
    /// Its last.
    pub end: Nanos,
    /// Whether these times are uncertain.
    pub doubtful: bool,
}

impl Tables {
    fn new(cap: usize) -> Tables {
        Tables { names: Names::new(cap), holders: Holders::new(cap) }
    }
}

impl Identity {
    /// Empty, with room for `cap` addresses of either kind.
    pub fn new(cap: usize) -> Identity {
        let doubtful = cap / UNCERTAIN_PART;
        Identity { known: Tables::new(cap - doubtful), doubtful: Tables::new(doubtful) }
    }

    /// Adds bindings. Returns the number of addresses and devices evicted for them.
    pub fn take(&mut self, bindings: &[Binding]) -> usize {
        bindings.iter().map(|binding| self.take_one(binding)).sum()
    }

    /// Names replaced by another name of the same host and address, since the last call.
    pub fn take_displaced(&mut self) -> u64 {
        self.known.names.take_displaced() + self.doubtful.names.take_displaced()
    }

    /// Bytes replaced since the last call while a snapshot may have had them.
    fn take_replaced(&mut self) -> usize {
        let of =
            |tables: &mut Tables| tables.names.take_replaced() + tables.holders.take_replaced();
        of(&mut self.known) + of(&mut self.doubtful)
    }

    fn take_one(&mut self, Binding { at, what, doubtful }: &Binding) -> usize {
        let Tables { names, holders } =
            if *doubtful { &mut self.doubtful } else { &mut self.known };
        match what {
            Statement::Name { asker, name, server } => names.add(*asker, name, *server, *at),
            Statement::Called { mac, host, by, twice } => {
                let by = NameSources::of(by);
                holders.set_host(*mac, host, if *twice { by.twice() } else { by })
            }
            Statement::ArpSenders { mac, own, count } => holders.set_senders(*mac, (*own, *count)),
            Statement::Leased(place, facts) => holders.lease(*place, facts, *at),
            Statement::Holds(place, facts) => holders.observe(*place, facts, *at),
            Statement::Released(place, by) => {
                holders.release(*place, *by, *at);
                0
            }
        }
    }

    const fn tables(&self, when: When) -> &Tables {
        if when.doubtful { &self.doubtful } else { &self.known }
    }

    /// The DNS name under which `asker` resolved `server` before a session started: `own` if it is
    /// among them, otherwise the latest.
    pub fn name_of(
        &self,
        asker: Addr,
        server: Place,
        own: Option<&str>,
        when: When,
    ) -> Option<Arc<str>> {
        self.tables(when).names.of(asker, server, own, when.start)
    }

    /// The holder of an address when a session of it started or, if no other is known, when it
    /// ended. `mac` is the link-layer address that the session's frames came from.
    pub fn holder_of(&self, place: Place, mac: Option<[u8; 6]>, when: When) -> Option<Arc<Holder>> {
        self.tables(when).holders.of(place, mac, when.start, when.end)
    }

    /// How many other devices' hardware addresses a device gave as its own in ARP probes. `held` is
    /// the device that held the address of a session, `mac` where the session's frames came from:
    /// that may be a router, unless the device uses that address itself.
    pub fn arp_senders(
        &self,
        place: Place,
        (held, mac): (Option<[u8; 6]>, Option<[u8; 6]>),
        when: When,
    ) -> u8 {
        self.tables(when).holders.arp_senders(place, held, mac)
    }
}
