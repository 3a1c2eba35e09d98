//! A finished table as rows in output order.
//!
//! Owns: the order. In: a table that takes no more sessions. Out: rows, each built on request,
//! because a million rows at once would take more memory than the table.
//! Never: changes a value.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::endpoints::accumulator::{self, Accumulator};
use crate::endpoints::baseline::{Asked, Baselines, Known};
use crate::endpoints::hidden::{estimate, is_satellite_long};
use crate::endpoints::people::People;
use crate::endpoints::pools::Pools;
use crate::endpoints::prefix_stats::{Neighbours, PrefixFloors};
use crate::endpoints::refused::Routers;
use crate::endpoints::table::{Endpoints, Entry};
use crate::endpoints::{rtt_excess, tunnel};
use crate::model::Addr;
use crate::model::endpoint::{EndpointKey, EndpointRow, HiddenLeg};
use crate::model::event::EndpointSource;

/// The tag of an endpoint with a hidden leg of a satellite's length: it may be just a
/// performance-enhancing proxy (RFC 3135).
const TAG_SATELLITE_GATEWAY: &str = "pep";

/// Every endpoint of a span, sorted by address, side, fingerprint and service.
#[derive(Debug)]
pub struct EndpointRows {
    table: Endpoints,
    floors: PrefixFloors,
    pools: Pools,
    routers: Routers,
    order: Vec<u32>,
    /// Endpoints with sessions that are still open. Rules judge those sessions with the others;
    /// rows leave them out, as they count when they end.
    open: Vec<Arc<EndpointKey>>,
    /// Home hosts that are driven from elsewhere.
    driven: Vec<Addr>,
    /// The baselines of endpoints that have any.
    known: HashMap<u32, Known, RandomState>,
}

impl EndpointRows {
    pub(super) fn of(table: Endpoints, learned: Option<&Baselines>) -> EndpointRows {
        let floors = PrefixFloors::of(&table);
        let order = order(&table);
        let known = learned.map(|learned| known(&table, learned)).unwrap_or_default();
        let pools = Pools::of(&table, &order);
        let routers = Routers::of(&table);
        let (open, driven) = (table.open.keys(), table.stepping.driven());
        EndpointRows { table, floors, pools, routers, order, open, driven, known }
    }

    /// An empty set of rows.
    pub fn none() -> EndpointRows {
        EndpointRows::of(Endpoints::new(0, 0), None)
    }

    /// The number of rows.
    pub const fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no rows.
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// All rows in order, built anew at each call.
    pub fn iter(&self) -> impl Iterator<Item = EndpointRow> + '_ {
        self.entries().map(|(at, entry)| self.row(at, entry))
    }

    /// The rows that rules judge: remote endpoints that initiated answered sessions; each with its
    /// number for [`EndpointRows::get`]. An endpoint with open sessions comes twice: by its
    /// ended sessions, with what is pooled, and with the open ones. Last come home hosts that are
    /// driven.
    pub fn judged<'r>(
        &'r self,
        learned: Option<&'r Baselines>,
    ) -> impl Iterator<Item = (u32, EndpointRow)> + 'r {
        let judged = self.entries().filter(|(_, entry)| self.table.is_judged(entry));
        let ended = judged.map(|(at, entry)| (at, self.row(at, entry)));
        let open = (self.table.len() as u32..).zip(&self.open);
        let open = open.map(move |(at, key)| (at, self.row_with_open(key, learned)));
        let driven = (self.numbers_of_driven()..).zip(&self.driven);
        let driven = driven.filter_map(move |(at, host)| Some((at, self.table.row_of(*host)?)));
        ended.chain(open).chain(driven)
    }

    fn numbers_of_driven(&self) -> u32 {
        (self.table.len() + self.open.len()) as u32
    }

    /// The row of a number, as rules judge it.
    pub fn get(&self, number: u32, learned: Option<&Baselines>) -> Option<EndpointRow> {
        match self.table.entries.get(number as usize) {
            Some(entry) => Some(self.row(number, entry)),
            None => match self.open.get(number as usize - self.table.len()) {
                Some(key) => Some(self.row_with_open(key, learned)),
                None => {
                    let at = number.checked_sub(self.numbers_of_driven())?;
                    self.table.row_of(*self.driven.get(at as usize)?)
                }
            },
        }
    }

    fn row_with_open(&self, key: &EndpointKey, learned: Option<&Baselines>) -> EndpointRow {
        self.table.row_with_open(key, Some(&self.floors), learned)
    }

    fn entries(&self) -> impl Iterator<Item = (u32, &Entry)> {
        self.order.iter().filter_map(|at| Some((*at, self.table.entries.get(*at as usize)?)))
    }

    fn row(&self, at: u32, entry: &Entry) -> EndpointRow {
        let known = self.known.get(&at).copied().unwrap_or_default();
        let key = entry.key.open(&self.table.prints.values);
        let totals = Totals {
            pooled: self.pools.verdict(at),
            refused: self.routers.refused(entry.key.ip).filter(|_| entry.key.remote),
            ..self.table.totals(entry)
        };
        let mut row = totals.row(key, self.floors.around(&self.table, entry), known);
        self.table.add_control(&mut row);
        row
    }
}

impl EndpointSource for EndpointRows {
    fn count(&self) -> usize {
        self.len()
    }

    fn rows(&self) -> Box<dyn Iterator<Item = EndpointRow> + '_> {
        Box::new(self.iter())
    }
}

/// The numbers of all endpoints in the order of the output. Most differ in their addresses, which
/// lie side by side here: those of the table are a cache line or more apart.
fn order(table: &Endpoints) -> Vec<u32> {
    let address = |(at, entry): (u32, &Entry)| {
        let ip = entry.key.ip.to_bits();
        ((ip >> 64) as u64, ip as u64, at)
    };
    let mut order: Vec<(u64, u64, u32)> = (0..).zip(&table.entries).map(address).collect();
    order.sort_unstable_by(|(a0, a1, a), (b0, b1, b)| {
        (a0, a1).cmp(&(b0, b1)).then_with(|| table.compare(*a, *b))
    });
    order.into_iter().map(|(.., at)| at).collect()
}

fn known(table: &Endpoints, learned: &Baselines) -> HashMap<u32, Known, RandomState> {
    let all =
        (0u32..).zip(&table.entries).map(|(at, entry)| (at, table.totals(entry).known(learned)));
    all.filter(|(_, known)| *known != Known::default()).collect()
}

/// What an endpoint's row is made of.
pub(super) struct Totals<'e> {
    pub(super) entry: &'e Entry,
    pub(super) accumulator: Option<&'e Accumulator>,
    pub(super) people: &'e People,
    pub(super) tags: Vec<Arc<str>>,
    /// A verdict that rests on several lines.
    pub(super) pooled: Option<HiddenLeg>,
    /// IP bytes of a datagram that its address refused to pass on.
    pub(super) refused: Option<u16>,
}

impl Totals<'_> {
    /// Its baselines.
    pub(super) fn known(&self, learned: &Baselines) -> Known {
        let key = &self.entry.key;
        learned.known(&Asked {
            ip: key.ip,
            side: key.side(),
            service: key.service.then_some((key.transport, key.port)),
            role: self.entry.role(),
            asn: self.entry.asn.as_deref(),
            place: self.entry.place.as_deref(),
            subject: self.accumulator.and_then(Accumulator::only_subject),
        })
    }

    /// The row.
    pub(super) fn row(
        self,
        key: EndpointKey,
        neighbours: Option<Neighbours>,
        known: Known,
    ) -> EndpointRow {
        let entry = self.entry;
        let own = entry.gathered.as_deref().and_then(|week| estimate(&week.whole()));
        let hidden = self.pooled.or(own);
        let tags = with_satellite(self.tags, hidden.as_ref());
        let floor_ns = (entry.measured > 0).then_some(entry.floor_ns);
        // Neighbours know the endpoint by its ended sessions only.
        let lowest =
            |near: Neighbours| floor_ns.map_or(near.floor_ns, |own| own.min(near.floor_ns));
        let mut traits = accumulator::traits(entry.stack, self.accumulator);
        traits.excess = rtt_excess::over(floor_ns, neighbours, known.path);
        (traits.baseline, traits.subject_baseline) = (known.path, known.subject);
        traits.refused = self.refused;
        let region = traits.latest.as_ref().and_then(|latest| latest.region);
        let only = self.accumulator.and_then(Accumulator::only_subject);
        traits.claim =
            only.and_then(|id| self.people.claim((id, entry.key.ip), region.as_ref(), entry.last));
        let judged = entry.key.remote && self.accumulator.is_some_and(Accumulator::is_judged);
        let at = judged.then_some(entry.key.ip);
        traits.colocated = at.and_then(|ip| self.people.colocated(ip, entry.last));
        traits.people = match entry.key.remote {
            true => at.and_then(|ip| self.people.facts(ip, only, entry.last)),
            false => self.people.told(entry.key.ip),
        };
        EndpointRow {
            key,
            role: entry.role(),
            sessions: entry.sessions,
            handshakes: entry.handshakes.into(),
            floor_ns,
            prefix_floor_ns: neighbours.map(lowest),
            first: entry.first,
            last: entry.last,
            place: entry.place.clone(),
            asn: entry.asn.clone(),
            tunnel: tunnel::estimate(&traits, &tags, floor_ns),
            tags,
            hidden,
            hidden_line: own.filter(|_| self.pooled.is_some()),
            traits,
        }
    }
}

/// Adds a tag for a leg as long as one by satellite: a gateway there terminates TCP like a proxy.
fn with_satellite(mut tags: Vec<Arc<str>>, hidden: Option<&HiddenLeg>) -> Vec<Arc<str>> {
    if hidden.is_some_and(is_satellite_long)
        && let Err(at) = tags.binary_search_by(|tag| (**tag).cmp(TAG_SATELLITE_GATEWAY))
    {
        tags.insert(at, TAG_SATELLITE_GATEWAY.into());
    }
    tags
}
