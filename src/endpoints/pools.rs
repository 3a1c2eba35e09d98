//! Verdicts that rest on several lines of endpoints.
//!
//! Owns: which lines belong together, and whether they agree. In: a finished table in output order.
//! Out: a verdict for lines that share one. Never: a pool in which one member answers at once: then
//! they are several clients, or none hides anything.
//!
//! A browser has two fingerprints, because a ClientHello that resumes a session has one extension
//! more: its lines are one program. Programs at one address are one client if all of them are as
//! far behind it. A client that changes its address within a city is still one program, or one
//! person, behind legs of about one length.

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::endpoints::exchange_minima::Gathered;
use crate::endpoints::hidden::{agree, estimate, is_there};
use crate::endpoints::key::Key;
use crate::endpoints::table::{Endpoints, Entry};
use crate::model::endpoint::{HiddenLeg, Pool, PoolOf};

/// Programs of one address, or of one prefix, that are pooled. More are no one client: many people
/// behind one address, or somebody who sends a new fingerprint each time.
pub(super) const PROGRAMS_MAX: usize = 64;

/// Verdicts by the number of a line.
#[derive(Debug, Default)]
pub(super) struct Pools(HashMap<u32, HiddenLeg, RandomState>);

/// What tells the programs of an address apart: the fingerprint, or the service without one.
pub(super) type Program<'t> = (bool, &'t str, Option<(u8, u16)>);

/// One program at one address.
pub(super) struct Member<'t> {
    pub(super) program: Program<'t>,
    /// Its lines by number, as far as their sessions have ended.
    pub(super) lines: Vec<u32>,
    /// The number of all of its lines.
    pub(super) count: u32,
    pub(super) gathered: Gathered,
    pub(super) leg: Option<HiddenLeg>,
}

impl Member<'_> {
    /// The verdict on the program, if it has several lines.
    pub(super) fn verdict(&self) -> Option<HiddenLeg> {
        let pool = Pool { of: PoolOf::Program, lines: self.count };
        self.leg.filter(|_| self.count > 1).map(|leg| HiddenLeg { pool, ..leg })
    }
}

/// Members that may be one client.
#[derive(Default)]
pub(super) struct Group {
    lines: Vec<u32>,
    count: u32,
    gathered: Option<Gathered>,
    legs: Vec<HiddenLeg>,
    addresses: u32,
}

impl Group {
    pub(super) fn add(&mut self, member: &Member<'_>) {
        self.lines.extend(&member.lines);
        self.count += member.count;
        self.legs.extend(member.leg);
        // Each address has a leg of its own.
        let other = member.gathered.without_leg();
        match &mut self.gathered {
            Some(gathered) => gathered.merge(&other),
            None => self.gathered = Some(other),
        }
    }

    /// The verdict on all members, if they agree and are surer together than each alone.
    pub(super) fn verdict(&self, of: PoolOf) -> Option<HiddenLeg> {
        if self.legs.len() < 2 || !agree(&self.legs) {
            return None;
        }
        let surest = self.legs.iter().map(|leg| leg.confidence).fold(0.0, f64::max);
        let leg = estimate(self.gathered.as_ref()?).filter(|leg| leg.confidence >= surest)?;
        Some(HiddenLeg { pool: Pool { of, lines: self.count }, ..leg })
    }
}

impl Pools {
    /// The verdicts of a table; `order` holds its entries by address.
    pub(super) fn of(table: &Endpoints, order: &[u32]) -> Pools {
        let mut pools = Pools::default();
        let mut subjects: BTreeMap<&str, Group> = BTreeMap::new();
        let entry = |at: &u32| table.entries.get(*at as usize);
        let lines: Vec<(u32, &Entry)> =
            order.iter().filter_map(|at| Some((*at, entry(at)?))).filter(is_candidate).collect();
        for prefix in lines.chunk_by(|a, b| a.1.key.prefix() == b.1.key.prefix()) {
            let mut programs: BTreeMap<Program<'_>, Group> = BTreeMap::new();
            for address in prefix.chunk_by(|a, b| a.1.key.ip == b.1.key.ip) {
                let Some(members) = pools.programs(table, address) else { continue };
                pools.address(&members);
                for member in members.iter().filter(|member| member.program.2.is_none()) {
                    let full = programs.len() >= PROGRAMS_MAX;
                    if !full || programs.contains_key(&member.program) {
                        let group = programs.entry(member.program).or_default();
                        group.add(member);
                        group.addresses += 1;
                    }
                }
                if let Some(subject) = only_subject(table, address) {
                    let group = subjects.entry(subject).or_default();
                    members.iter().for_each(|member| group.add(member));
                    group.addresses += 1;
                }
            }
            for group in programs.values().filter(|group| group.addresses > 1) {
                pools.prefix(table, group);
            }
        }
        for group in subjects.values().filter(|group| group.addresses > 1) {
            pools.set(&group.lines, group.verdict(PoolOf::Subject));
        }
        pools
    }

    /// The verdict of a line, if it rests on several.
    pub(super) fn verdict(&self, line: u32) -> Option<HiddenLeg> {
        self.0.get(&line).copied()
    }

    fn set(&mut self, lines: &[u32], verdict: Option<HiddenLeg>) {
        for line in lines {
            if let Some(verdict) = verdict {
                self.0.insert(*line, verdict);
            }
        }
    }

    /// The programs of one address, with their verdicts; nothing if there are too many.
    fn programs<'t>(
        &mut self,
        table: &'t Endpoints,
        address: &[(u32, &Entry)],
    ) -> Option<Vec<Member<'t>>> {
        let mut by_program: BTreeMap<Program<'t>, Vec<(u32, &Entry)>> = BTreeMap::new();
        for (at, entry) in address {
            by_program.entry(program(table, &entry.key)).or_default().push((*at, entry));
        }
        let one_client = by_program.len() <= PROGRAMS_MAX;
        let members = by_program.into_iter().filter_map(|(program, lines)| {
            // Too many to be one client; but each program is still one.
            if !one_client && lines.len() < 2 {
                return None;
            }
            let gathered = merged(&lines);
            let lines: Vec<u32> = lines.iter().map(|(at, _)| *at).collect();
            let (leg, count) = (estimate(&gathered), lines.len() as u32);
            let member = Member { program, lines, count, gathered, leg };
            self.set(&member.lines, member.verdict());
            one_client.then_some(member)
        });
        let members: Vec<Member<'t>> = members.collect();
        one_client.then_some(members)
    }

    /// All programs of an address, if they agree.
    fn address(&mut self, members: &[Member<'_>]) {
        if members.len() > 1 {
            let mut group = Group::default();
            members.iter().for_each(|member| group.add(member));
            self.set(&group.lines, group.verdict(PoolOf::Address));
        }
    }

    /// One program at several addresses of a prefix: for the lines that are not decided otherwise.
    fn prefix(&mut self, table: &Endpoints, group: &Group) {
        let Some(verdict) = group.verdict(PoolOf::Prefix) else { return };
        for line in &group.lines {
            let entry = table.entries.get(*line as usize);
            let own = || entry.and_then(|entry| estimate(&entry.gathered.as_deref()?.whole()));
            let known = self.verdict(*line).or_else(own);
            if !known.is_some_and(|leg| is_there(&leg)) {
                self.set(&[*line], Some(verdict));
            }
        }
    }
}

/// Remote endpoints that answered something.
fn is_candidate((_, entry): &(u32, &Entry)) -> bool {
    entry.key.remote && entry.gathered.is_some()
}

pub(super) fn program<'t>(table: &'t Endpoints, key: &Key) -> Program<'t> {
    match table.prints.program(key.print) {
        Some((ssh, text)) => (ssh, text, None),
        None => (false, "", Some((key.transport, key.port))),
    }
}

/// The answers of lines of one address.
fn merged(lines: &[(u32, &Entry)]) -> Gathered {
    let mut all = Gathered::new();
    for week in lines.iter().filter_map(|(_, entry)| entry.gathered.as_deref()) {
        all.merge(&week.whole());
    }
    all
}

/// The person that all lines of an address are about, if it is one.
fn only_subject<'t>(table: &'t Endpoints, address: &[(u32, &Entry)]) -> Option<&'t str> {
    let mut subjects = address.iter().map(|(_, entry)| table.only_subject(entry));
    let first = subjects.next()??;
    subjects.all(|subject| subject == Some(first)).then_some(&**first)
}

#[cfg(test)]
#[path = "pools_tests.rs"]
pub(super) mod tests;
