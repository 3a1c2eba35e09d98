//! The names behind addresses: what a client asked for when it was told an address.
//!
//! Owns: the last askers of each address. In: answers. Out: a name. Never: says one where several
//! are possible: one address of a content network serves thousands of names.

use std::sync::Arc;

use crate::bounded::Aging;
use crate::identity::Place;
use crate::model::Addr;
use crate::model::Nanos;

/// Askers kept of an address.
const ASKERS: usize = 4;
/// An answer is used for as long: programs keep names far beyond their time to live, and most
/// addresses keep their owner for a working day.
const USED: Nanos = Nanos::from_secs(6 * 3600);

/// One client that was told an address.
#[derive(Debug)]
struct Told {
    asker: Addr,
    name: Arc<str>,
    at: Nanos,
}

/// Names by address.
#[derive(Debug)]
pub struct Names {
    told: Aging<Place, Vec<Told>>,
}

impl Names {
    /// Room for so many addresses.
    pub fn new(cap: usize) -> Names {
        Names { told: Aging::new(cap) }
    }

    /// `asker` was told that `name` is at `server`. Says how many addresses were forgotten for it.
    pub fn tell(&mut self, asker: Addr, name: &Arc<str>, server: Place, at: Nanos) -> usize {
        let (told, dropped) = self.told.entry(server, || Vec::with_capacity(1));
        if let Some(known) = told.iter_mut().find(|t| t.asker == asker && t.name == *name) {
            known.at = known.at.max(at);
            return dropped;
        }
        if told.len() >= ASKERS {
            let oldest = told.iter().enumerate().min_by_key(|(_, told)| told.at);
            if let Some((index, _)) = oldest {
                told.swap_remove(index);
            }
        }
        told.push(Told { asker, name: Arc::clone(name), at });
        dropped
    }

    /// The name `asker` was last told; else, where a resolver asks for everybody, the one that all
    /// who were told this address had asked for.
    pub fn of(&self, asker: Addr, server: Place, at: Nanos) -> Option<Arc<str>> {
        if self.told.is_empty() {
            return None;
        }
        let fresh = |told: &&Told| told.at <= at && at.since(told.at) <= USED;
        let told = || self.told.get(&server).into_iter().flatten().filter(fresh);
        let own = told().filter(|told| told.asker == asker).max_by_key(|told| told.at);
        if let Some(own) = own {
            return Some(Arc::clone(&own.name));
        }
        let first = told().next()?;
        told().all(|told| told.name == first.name).then(|| Arc::clone(&first.name))
    }
}
