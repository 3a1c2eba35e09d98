//! Open sessions in their endpoints: as if they had ended, and never twice.
//!
//! Owns: made-up sessions. In: updates and ends in any order. Out: assertions.
//! Never: built into the program.

use proptest::prelude::*;

use super::*;
use crate::endpoints::summary::{Incoming, Print, SideSummary, StackSummary};
use crate::model::endpoint::{Locality, Service};
use crate::model::latency::{Exchange, Turn, Turns};
use crate::model::{Addr, Counter, Counters, Transport};

const MS: u64 = 1_000_000;

fn side(ip: [u8; 4], side: Locality, ns: u64, print: Print) -> SideSummary {
    let ns = Some(ns);
    let ip = Addr::v4(ip);
    SideSummary { ip, side, print, handshake_ns: ns, transport_ns: ns, place: None, asn: None }
}

/// A session of the `of`-th endpoint whose program answers late.
fn session(of: u8, n: u8, last: u64) -> (SessionId, EndpointSummary) {
    let id = [n; 16];
    let turn = |exchange| Turn::new(exchange, true, (90 + u64::from(n % 7)) * MS);
    let turns =
        Turns { turns: vec![turn(Exchange::Tls), turn(Exchange::FirstData)], ..Turns::default() };
    let print = Print::Ja4(format!("ja4-{}", of % 2).into(), None);
    let summary = EndpointSummary {
        doubtful: false,
        initiator: side([203, 0, 113, of], Locality::Remote, (5 + u64::from(n % 3)) * MS, print),
        responder: side([10, 0, 0, n], Locality::Home, MS, Print::None),
        service: Some(Service { transport: Transport::TCP, port: 443 }),
        first: Nanos(u64::from(n)),
        last: Nanos(last),
        tags: vec![(true, format!("tag-{}", n % 2).into())],
        turns: Some(Box::new(turns)),
        stack: StackSummary::new(Some(1_400 + u16::from(n % 4)), Some("linux"), None),
        refused: None,
        long: None,
        egress: None,
        incoming: Some(Box::new(Incoming { id, trips: 9, ..Incoming::default() })),
    };
    (id, summary)
}

fn judged(table: &mut Endpoints) -> Vec<EndpointRow> {
    let mut rows: Vec<EndpointRow> = std::iter::from_fn(|| table.next_updated(None)).collect();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}

fn rows(table: Endpoints) -> Vec<EndpointRow> {
    let mut rows: Vec<EndpointRow> = table.finish(None).judged(None).map(|(_, row)| row).collect();
    // With its open sessions an endpoint comes after the one without.
    rows.reverse();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows.dedup_by(|a, b| a.key == b.key);
    rows.iter_mut().for_each(|row| {
        // Only a finished table knows neighbours, and other lines of the same client.
        (row.prefix_floor_ns, row.traits.excess) = (None, None);
        row.hidden = row.hidden_line.take().or(row.hidden);
    });
    rows
}

proptest! {
    /// However updates and ends are mixed, an endpoint is judged as if its open sessions had ended
    /// at their last update, and its totals are those of ended sessions.
    #[test]
    fn an_update_counts_once_and_until_the_end(
        steps in prop::collection::vec((0u8..30, 0u8..4), 1..120)
    ) {
        let mut table = Endpoints::new(100, 1 << 20);
        let mut latest = std::collections::BTreeMap::new();
        let mut ended = std::collections::BTreeSet::new();
        for (at, (n, kind)) in (1u64..).zip(&steps) {
            let (id, summary) = session(n % 3, *n, 1_000 * at);
            if ended.contains(n) {
                continue;
            }
            latest.insert(*n, 1_000 * at);
            if *kind == 0 {
                ended.insert(*n);
                table.close(&id);
                table.observe(&summary);
            } else {
                table.update(id, summary);
            }
        }
        let table_of = |which: &dyn Fn(u8) -> bool| {
            let mut plain = Endpoints::new(100, 0);
            for (n, last) in latest.iter().filter(|(n, _)| which(**n)) {
                plain.observe(&session(n % 3, *n, *last).1);
            }
            plain
        };
        let open = latest.keys().filter(|n| !ended.contains(n));
        let of_open: Vec<u8> = open.map(|n| n % 3).collect();
        let mut all = rows(table_of(&|_| true));
        prop_assert_eq!(&all, &rows({
            let next = table.successor();
            std::mem::replace(&mut table, next)
        }));
        all.retain(|row| of_open.iter().any(|of| row.key.ip == Addr::v4([203, 0, 113, *of])));
        // Two spans later: what was carried over, and the open sessions.
        let mut plain = Endpoints::new(100, 1 << 20);
        let mut again = Endpoints::new(100, 1 << 20);
        for (n, last) in &latest {
            let (id, summary) = session(n % 3, *n, *last);
            if ended.contains(n) {
                plain.observe(&summary);
                again.observe(&summary);
            } else {
                again.update(id, summary);
            }
        }
        prop_assert_eq!(judged(&mut again), all);
        prop_assert!(judged(&mut again).is_empty(), "once an update");
        let written: Vec<EndpointRow> = again.finish(None).iter().collect();
        prop_assert_eq!(written, plain.finish(None).iter().collect::<Vec<_>>());
    }
}

#[test]
fn what_an_earlier_set_left_counts_with_open_sessions() {
    let mut table = Endpoints::new(100, 1 << 20);
    (0..5).for_each(|n| table.observe(&session(1, n, 1_000).1));
    let mut table = table.successor();
    let (id, open) = session(1, 9, 2_000);
    table.update(id, open);
    let all = judged(&mut table);
    let [row] = &all[..] else { panic!("{all:?}") };
    assert_eq!((row.sessions, row.hidden.map(|leg| leg.handshakes)), (1, Some(6)));
}

/// Many addresses with one open session each do not blind us to one with twelve.
#[test]
fn at_the_cap_the_endpoints_with_fewest_open_sessions_wait() {
    const CAP: usize = 60_000;
    let mut table = Endpoints::new(1_000, CAP);
    let mut dropped = Counters::default();
    (0..12).for_each(|n| {
        let (id, open) = session(1, n, 1_000);
        table.update(id, open);
    });
    for n in 0..5_000u32 {
        let (_, mut open) = session(2, 99, 2_000 + u64::from(n));
        open.initiator.ip = Addr::v4((0xc633_6400 + n).to_be_bytes());
        let mut id = [0; 16];
        id[..4].copy_from_slice(&(n + 1_000).to_be_bytes());
        table.update(id, open);
        assert!(table.open.bytes <= CAP && table.open.endpoints.len() < 200);
    }
    table.count(&mut dropped);
    assert!(dropped.get(Counter::EndpointUpdatesDropped) > 4_800);
    let of = |row: &EndpointRow| row.key.ip == Addr::v4([203, 0, 113, 1]);
    assert_eq!(judged(&mut table).iter().find(|row| of(row)).map(|row| row.sessions), Some(12));
    assert!(table.is_empty(), "no endpoint has a row by an update");
    (0..200).for_each(|n| {
        let (id, open) = session(3, n, 9_000);
        table.update(id, open);
    });
    let of = |row: &EndpointRow| row.key.ip == Addr::v4([203, 0, 113, 3]);
    let most = judged(&mut table).iter().find(|row| of(row)).map(|row| row.sessions);
    assert!(most <= Some(PER_ENDPOINT as u64), "{most:?}");
    // Whatever ended takes nothing any more.
    let ids: Vec<SessionId> = table.open.endpoints.keys().copied().collect();
    ids.iter().for_each(|id| table.close(id));
    assert_eq!((table.open.bytes, table.open.groups.len()), (0, 0));
}
