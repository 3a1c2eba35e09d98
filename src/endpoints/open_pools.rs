//! Verdicts that rest on several lines before a span is over.
//!
//! Owns: which lines belong together while their sessions are open. In: a table with the latest
//! updates of its open sessions. Out: the verdict on one endpoint, as if those had ended. Never:
//! the lines of an address, or the addresses of a person, beyond the caps of [`Lines`]: then they
//! are no one client. One program at several addresses of a prefix is judged when the span is over.
//!
//! [`Lines`]: crate::endpoints::lines::Lines

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::endpoints::exchange_minima::Gathered;
use crate::endpoints::hidden::{estimate, is_short};
use crate::endpoints::key::Key;
use crate::endpoints::pools::{Group, Member, PROGRAMS_MAX, Program, program};
use crate::endpoints::table::{Endpoints, Entry};
use crate::model::Addr;
use crate::model::endpoint::{EndpointKey, Fingerprint, HiddenLeg, Locality, PoolOf};

/// Endpoints with open sessions that one verdict looks at. Each has at most 64 of them.
const OPEN_MAX: usize = 128;

/// Lines of a person that one verdict looks at: some for each of their addresses. Of more, those of
/// the span are pooled when it is over.
const OF_PERSON_MAX: usize = 256;

/// The lines of a program at an address: of ended sessions, and of open ones.
#[derive(Default)]
struct Parts<'t> {
    ended: Vec<(u32, &'t Entry)>,
    open: Vec<&'t EndpointKey>,
}

impl Endpoints {
    /// The verdict on an endpoint by all lines of its client, of ended sessions and open ones:
    /// those of its program, of its address, or of its person.
    pub(super) fn pool_while_open(&self, key: &EndpointKey) -> Option<HiddenLeg> {
        if key.side != Locality::Remote {
            return None;
        }
        let Some(parts) = self.parts(key.ip) else { return self.pool_of_program(key) };
        let name = self.program(key);
        let own = parts.get(&name).map(|parts| self.member(name, parts));
        let of_program = own.as_ref().and_then(Member::verdict);
        // Most clients answer at once: nothing that is pooled with them counts.
        if own.and_then(|own| own.leg).is_some_and(|leg| is_short(&leg)) {
            return of_program;
        }
        let Some(members) = self.members(&parts) else { return of_program };
        let mut all = Group::default();
        members.iter().for_each(|member| all.add(member));
        let of_address = if members.len() > 1 { all.verdict(PoolOf::Address) } else { None };
        let person = self.only_person(&parts);
        let of_person = person.and_then(|id| self.pool_of_person(id, (key.ip, all)));
        of_person.or(of_address).or(of_program)
    }

    /// The lines of an address by program; `None` if there are too many to be one client.
    fn parts(&self, ip: Addr) -> Option<BTreeMap<Program<'_>, Parts<'_>>> {
        let mut parts: BTreeMap<Program<'_>, Parts<'_>> = BTreeMap::new();
        for at in self.lines.at(ip)? {
            if let Some(entry) = self.entries.get(at as usize) {
                parts.entry(program(self, &entry.key)).or_default().ended.push((at, entry));
            }
        }
        let open = self.open.at(ip);
        for key in open.iter().filter(|key| key.side == Locality::Remote) {
            parts.entry(self.program(key)).or_default().open.push(key);
        }
        (open.len() <= OPEN_MAX && parts.len() <= PROGRAMS_MAX).then_some(parts)
    }

    /// The programs of an address that answered something, with their verdicts; `None` if one of
    /// them answers at once.
    fn members<'t>(&'t self, parts: &BTreeMap<Program<'t>, Parts<'t>>) -> Option<Vec<Member<'t>>> {
        let mut members = Vec::new();
        for (name, parts) in parts {
            let member = self.member(*name, parts);
            if member.leg.is_some_and(|leg| is_short(&leg)) {
                return None;
            }
            members.extend((member.count > 0).then_some(member));
        }
        Some(members)
    }

    /// A program at an address.
    fn member<'t>(&'t self, program: Program<'t>, parts: &Parts<'t>) -> Member<'t> {
        let mut gathered = Gathered::new();
        for week in parts.ended.iter().filter_map(|(_, entry)| entry.gathered.as_deref()) {
            gathered.merge(&week.whole());
        }
        let lines: Vec<u32> = parts.ended.iter().map(|(at, _)| *at).collect();
        let mut count = lines.len() as u32;
        for key in &parts.open {
            let ended = self.entry_of(key).map(|at| at as u32);
            let mut answers = false;
            let carried = || self.open.of(key).find_map(|one| self.carried.get(key, one.last));
            let week = if ended.is_none() { carried().and_then(|known| known.week) } else { None };
            if let Some(week) = week {
                gathered.merge(&week.whole());
                answers = true;
            }
            for session in self.open.of(key) {
                if let Some(turns) = session.turns.as_deref() {
                    gathered.add(turns, session.initiator.transport_ns, session.first.0);
                    answers = true;
                }
            }
            let known = ended.is_some_and(|at| lines.contains(&at));
            count += u32::from(answers && !known);
        }
        let leg = estimate(&gathered);
        Member { program, lines, count, gathered, leg }
    }

    /// The person that all lines of an address are about, if it is one.
    fn only_person<'t>(&'t self, parts: &BTreeMap<Program<'t>, Parts<'t>>) -> Option<&'t str> {
        let mut lines = Vec::new();
        for parts in parts.values() {
            let open = || parts.open.iter().filter(|key| self.answers(key));
            for key in open() {
                let ended = self.entry_of(key).and_then(|at| self.entries.get(at));
                lines.push(self.people_of(ended, Some(key)));
            }
            let also_open = |at: u32| open().any(|key| self.entry_of(key) == Some(at as usize));
            let ended = parts.ended.iter().filter(|(at, _)| !also_open(*at));
            lines.extend(ended.map(|(_, entry)| self.people_of(Some(entry), None)));
        }
        let only = *lines.first()?.first()?;
        let is_it = |line: &Vec<&Arc<str>>| !line.is_empty() && line.iter().all(|id| *id == only);
        lines.iter().all(is_it).then_some(&**only)
    }

    /// The people of a line: of its ended sessions, and of its open ones.
    fn people_of(&self, ended: Option<&Entry>, open: Option<&EndpointKey>) -> Vec<&Arc<str>> {
        let ended = ended.map_or(&[][..], |entry| self.subjects(entry));
        let open = open.into_iter().flat_map(|key| self.open.of(key));
        let open = open.filter_map(|session| session.incoming.as_deref()?.subject.as_ref());
        ended.iter().chain(open.map(|(id, _)| id)).collect()
    }

    /// Whether an open session of an endpoint answered something.
    fn answers(&self, key: &EndpointKey) -> bool {
        self.open.of(key).any(|session| session.turns.is_some())
    }

    /// The verdict on a person by all addresses where nobody else was seen; of one of them
    /// everything is gathered already.
    fn pool_of_person(&self, id: &str, (ip, gathered): (Addr, Group)) -> Option<HiddenLeg> {
        let (mut all, mut addresses, mut left) = (gathered, 1u32, OF_PERSON_MAX);
        for other in self.lines.of_person(id).filter(|other| *other != ip) {
            let Some(parts) = self.parts(other) else { continue };
            let lines = parts.values().map(|of| of.ended.len() + of.open.len()).sum();
            left = left.checked_sub(lines)?;
            if self.only_person(&parts) != Some(id) {
                continue;
            }
            let members = self.members(&parts)?;
            members.iter().for_each(|member| all.add(member));
            addresses += u32::from(!members.is_empty());
        }
        if addresses > 1 { all.verdict(PoolOf::Subject) } else { None }
    }

    /// The verdict on a program by its lines at one address and service: there are too many others
    /// at that address to look at them.
    fn pool_of_program(&self, key: &EndpointKey) -> Option<HiddenLeg> {
        let (false, name, None) = self.program(key) else { return None };
        let ended = self.prints.of_program(&self.hasher, name).into_iter().filter_map(|print| {
            let at = self.find(Key::closed(key, print))?;
            Some((at as u32, self.entries.get(at).filter(|entry| entry.gathered.is_some())?))
        });
        let same = |other: &&Arc<EndpointKey>| {
            (other.side, other.service) == (key.side, key.service) && self.program(other).1 == name
        };
        let open = self.open.at(key.ip).iter().filter(same).map(|key| &**key);
        let parts = Parts { ended: ended.collect(), open: open.take(OPEN_MAX).collect() };
        self.member((false, name, None), &parts).verdict()
    }

    /// What tells the program of an endpoint.
    fn program<'k>(&'k self, key: &'k EndpointKey) -> Program<'k> {
        match &key.fingerprint {
            Some(Fingerprint::Ja4(text)) => {
                let known = self.prints.find(&self.hasher, Some((false, text)));
                let known = known.and_then(|known| self.prints.program(known));
                let open = || self.open.of(key).find_map(|one| one.initiator.print.program());
                (false, known.map(|(_, name)| name).or_else(open).unwrap_or(text), None)
            }
            Some(Fingerprint::Ssh(text)) => (true, text, None),
            None => {
                let service = key.service.map(|service| (service.transport.0, service.port));
                (false, "", Some(service.unwrap_or_default()))
            }
        }
    }
}
