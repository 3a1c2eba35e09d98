//! Addresses outside that our hosts are connected with by tools or tunnels.
//!
//! Owns: when, by which host and by what, per address. In: sessions from inside. Out: whether an
//! address that people log in from is one of them. Policy at the cap, which is in bytes: those
//! connected longest ago go. Never: an approved tool.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::endpoints::people::days::day;
use crate::endpoints::summary::EndpointSummary;
use crate::model::heap::ALLOCATION;
use crate::model::people_facts::DualRole;
use crate::model::{Addr, Nanos};

/// Both roles within so many days.
const DAYS: u32 = 30;

/// A session that lasts for less is no use of the tool.
const LASTS_S: u64 = 60;

/// At the cap a fraction (1/n) goes at once.
const ROOM: usize = 8;

/// A connection of a host of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Connected {
    pub(super) last: Nanos,
    pub(super) host: Addr,
    pub(super) by: Arc<str>,
}

/// Bytes of an address in the map.
const PLACE: usize = 2 * size_of::<(Addr, Connected)>() + 2 * ALLOCATION;

/// The addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Outside {
    most: usize,
    pub(super) all: HashMap<Addr, Connected, RandomState>,
}

impl Outside {
    /// Holds at most so many bytes.
    pub(super) fn new(cap: usize) -> Outside {
        Outside { most: (cap / PLACE).max(1), ..Outside::default() }
    }

    /// Gives it another cap.
    pub(super) fn set_cap(&mut self, cap: usize) {
        self.most = (cap / PLACE).max(1);
        self.trim();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a session from inside.
    pub(super) fn observe(&mut self, session: &EndpointSummary) {
        let Some(egress) = session.egress.as_deref() else { return };
        let lasts = session.last.since(session.first).as_secs() >= LASTS_S;
        let Some(by) = egress.by.as_ref().filter(|_| lasts) else { return };
        let host = session.initiator.ip;
        self.add(session.responder.ip, Connected { last: session.last, host, by: Arc::clone(by) });
    }

    /// Adds what is known of an address: the latest counts.
    pub(super) fn add(&mut self, ip: Addr, new: Connected) {
        let known = self.all.entry(ip).or_insert_with(|| new.clone());
        if new > *known {
            *known = new;
        }
        self.trim();
    }

    fn trim(&mut self) {
        if self.all.len() <= self.most {
            return;
        }
        let mut order: Vec<(Nanos, Addr)> =
            self.all.iter().map(|(ip, one)| (one.last, *ip)).collect();
        order.sort_unstable();
        let goes = self.all.len() - (self.most - self.most / ROOM);
        for (_, ip) in order.into_iter().take(goes) {
            self.all.remove(&ip);
        }
    }

    /// What connects our side with an address that somebody logged in from then.
    pub(super) fn dual(&self, ip: Addr, log_in: Nanos) -> Option<DualRole> {
        let known = self.all.get(&ip)?;
        let days = day(log_in).abs_diff(day(known.last));
        let host = known.host;
        (days <= DAYS).then(|| DualRole { by: Arc::clone(&known.by), host, days })
    }

    /// Adds what another sensor knows.
    pub(super) fn merge(&mut self, other: Outside) {
        other.all.into_iter().for_each(|(ip, one)| self.add(ip, one));
    }
}
