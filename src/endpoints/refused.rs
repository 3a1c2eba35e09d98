//! Endpoints that are routers with a smaller link behind them.
//!
//! Owns: which ones. In: what each address refused to pass on, and what it was sent. Out: the
//! addresses. Never: believes a message that does not repeat a datagram which was really sent: a
//! stranger can write the one, but did not see the other.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::endpoints::accumulator::Accumulator;
use crate::endpoints::table::{Endpoints, Entry};
use crate::model::Addr;
use crate::model::facts::LongDatagram;

/// Addresses with the IP bytes of the shortest datagram that each refused to pass on.
#[derive(Debug, Default)]
pub(super) struct Routers(HashMap<Addr, u16, RandomState>);

impl Routers {
    /// The routers among a table's remote endpoints.
    pub(super) fn of(table: &Endpoints) -> Routers {
        let mut said: HashMap<Addr, Vec<LongDatagram>, RandomState> = HashMap::default();
        for (ip, accumulator) in remote(table) {
            if !accumulator.refused().is_empty() {
                said.entry(ip).or_default().extend_from_slice(accumulator.refused());
            }
        }
        let mut routers = Routers::default();
        if said.is_empty() {
            return routers;
        }
        for (ip, accumulator) in remote(table) {
            let Some(said) = said.get(&ip) else { continue };
            for sent in accumulator.longest().iter().filter(|sent| said.contains(sent)) {
                let bytes = sent.bytes.saturating_add(if ip.to_v4().is_some() { 20 } else { 40 });
                let least = routers.0.entry(ip).or_insert(bytes);
                *least = bytes.min(*least);
            }
        }
        routers
    }

    /// IP bytes of the shortest datagram that an address refused.
    pub(super) fn refused(&self, ip: Addr) -> Option<u16> {
        self.0.get(&ip).copied()
    }
}

fn remote(table: &Endpoints) -> impl Iterator<Item = (Addr, &Accumulator)> {
    let remote = |entry: &&Entry| entry.key.remote;
    let entries = table.entries.iter().filter(remote);
    entries.filter_map(|entry| Some((entry.key.ip, table.accumulator(entry)?)))
}
