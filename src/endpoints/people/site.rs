//! One address outside: who logs in from there, and how many devices are behind it at least.
//!
//! Owns: the hours of each person there, the latest VPN clients. In: answered sessions from that
//! address. Out: facts. Never: grows with the number of its sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::endpoints::people::days::{DAYS, Hours, day};
use crate::endpoints::summary::{EndpointSummary, Incoming, OsFamily};
use crate::model::heap::ALLOCATION;
use crate::model::people_facts::{CountedBy, HostsBehind};
use crate::model::physics::ClaimedPlace;
use crate::model::{Addr, Nanos};

/// People of an address: more are a shared way out, not a home.
pub(super) const PEOPLE_MAX: usize = 16;

/// VPN clients of an address that are remembered.
const TUNNELS_MAX: usize = 32;

/// A VPN client that is connected for so long, and together with others for so long, is a device of
/// its own: one that connects again leaves its old session behind for less.
pub(super) const TUNNEL_S: u64 = 600;

const HOUR_S: u64 = 3_600;

/// A session of a VPN client.
#[derive(Clone, Copy, Debug)]
struct Tunnel {
    id: u64,
    first: u64,
    last: u64,
    service: (u8, u16),
}

/// An address outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Site {
    pub(super) people: BTreeMap<Arc<str>, Hours>,
    /// Its region by the geo database.
    pub(super) region: Option<ClaimedPlace>,
    /// There were more people than are kept.
    pub(super) crowded: bool,
    pub(super) last: Nanos,
    tunnels: Vec<Tunnel>,
    /// Most VPN clients at once, and the day.
    pub(super) clients: (u32, u32),
    /// The latest hour with SYNs whose system is known, and those systems.
    stacks: (u64, u8),
    /// Most systems in an hour, and the day.
    pub(super) systems: (u32, u32),
}

impl Site {
    /// Adds a session. Whether it tells something new of who is there.
    pub(super) fn observe(&mut self, session: &EndpointSummary, incoming: &Incoming) -> bool {
        self.last = self.last.max(session.last);
        self.region = incoming.region.or(self.region);
        self.add_stack(session);
        self.add_tunnel(session, incoming);
        let Some((id, _)) = &incoming.subject else { return false };
        self.add_person(id, (session.first, session.last))
    }

    /// Somebody was there. Whether that is new, and not the first.
    pub(super) fn add_person(&mut self, id: &Arc<str>, (first, last): (Nanos, Nanos)) -> bool {
        self.last = self.last.max(last);
        let known = self.people.len();
        self.people.entry(Arc::clone(id)).or_default().add(first, last);
        self.trim();
        known > 0 && self.people.len() > known
    }

    fn trim(&mut self) {
        while self.people.len() > PEOPLE_MAX {
            self.people.pop_last();
            self.crowded = true;
        }
    }

    fn add_stack(&mut self, session: &EndpointSummary) {
        let system = session.stack.syn();
        if system == OsFamily::None {
            return;
        }
        let hour = session.last.as_secs() / HOUR_S;
        match self.stacks.0.cmp(&hour) {
            std::cmp::Ordering::Greater => return,
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Less => self.stacks = (hour, 0),
        }
        self.stacks.1 |= 1 << system as u8;
        let today = day(session.last);
        keep_most(&mut self.systems, (self.stacks.1.count_ones(), today));
    }

    fn add_tunnel(&mut self, session: &EndpointSummary, incoming: &Incoming) {
        let (first, last) = (session.first.as_secs(), session.last.as_secs());
        let Some(service) = session.service.filter(|_| incoming.tunnel) else { return };
        if last.saturating_sub(first) < TUNNEL_S {
            return;
        }
        let id = incoming.id.first_chunk::<8>().map_or(0, |half| u64::from_be_bytes(*half));
        let new = Tunnel { id, first, last, service: (service.transport.0, service.port) };
        self.tunnels.retain(|known| known.id != id);
        let of_same = |known: &&Tunnel| known.service == new.service;
        let same: Vec<&Tunnel> = self.tunnels.iter().filter(of_same).chain([&new]).collect();
        // Most are open at once where one of them begins.
        let open_at = |start: u64| {
            let holds = |known: &&&Tunnel| known.first <= start && start + TUNNEL_S <= known.last;
            same.iter().filter(holds).count() as u32
        };
        let most = same.iter().map(|known| open_at(known.first)).max().unwrap_or_default();
        keep_most(&mut self.clients, (most, day(session.last)));
        self.tunnels.push(new);
        if self.tunnels.len() > TUNNELS_MAX {
            let ends = |at: &usize| self.tunnels.get(*at).map(|known| (known.last, known.id));
            let oldest = (0..self.tunnels.len()).min_by_key(ends);
            oldest.map(|at| self.tunnels.swap_remove(at));
        }
    }

    /// How many devices are behind it at least, if there is more than one.
    pub(super) fn behind(&self, now: u32) -> Option<HostsBehind> {
        let recent = |(count, day): (u32, u32)| if day + DAYS > now { count } else { 0 };
        let found = [
            (recent(self.clients), CountedBy::Tunnels),
            (self.people_at_once(now), CountedBy::People),
            (recent(self.systems), CountedBy::Stacks),
        ];
        // Of equals the first.
        let best = found.into_iter().rev().max_by_key(|(min, _)| *min);
        let (min, method) = best.filter(|(min, _)| *min > 1)?;
        Some(HostsBehind { min, method })
    }

    /// Most people whose sessions fall into one hour.
    fn people_at_once(&self, now: u32) -> u32 {
        let mut days: BTreeMap<u32, [u32; 24]> = BTreeMap::new();
        for (day, hours) in self.people.values().flat_map(|there| there.until(now)) {
            let counts = days.entry(day).or_default();
            for (hour, count) in counts.iter_mut().enumerate() {
                *count += hours >> hour & 1;
            }
        }
        days.values().flatten().copied().max().unwrap_or_default()
    }

    /// Adds what another sensor knows of the same address.
    pub(super) fn merge(&mut self, other: Site) {
        self.region = if other.last > self.last { other.region } else { None }.or(self.region);
        self.last = self.last.max(other.last);
        self.crowded |= other.crowded;
        for (id, there) in other.people {
            let known = self.people.entry(id).or_default();
            there.iter().for_each(|(day, hours)| known.set(day, hours));
        }
        self.trim();
        keep_most(&mut self.clients, other.clients);
        keep_most(&mut self.systems, other.systems);
    }

    /// Bytes of it, with its place in the map.
    pub(super) fn bytes(&self) -> usize {
        const PERSON: usize = 2 * size_of::<(Arc<str>, Hours)>() + ALLOCATION;
        let people: usize = self.people.values().map(|there| PERSON + there.bytes()).sum();
        let tunnels = self.tunnels.capacity() * size_of::<Tunnel>();
        2 * size_of::<(Addr, Site)>() + people + tunnels + 2 * ALLOCATION
    }
}

/// Keeps the larger count; a day that is too old to count gives way.
fn keep_most(known: &mut (u32, u32), new: (u32, u32)) {
    let old = known.1 + DAYS <= new.1;
    if old && new.0 > 0 || (new.0, new.1) > *known {
        *known = new;
    }
}
