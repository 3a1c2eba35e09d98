//! Which lines are judged together.
//!
//! Owns: sessions of programs at addresses. In: answers made here. Out: the verdict of each line.
//! Never: the laws of the estimate.

use std::sync::Arc;

use proptest::prelude::*;

use crate::endpoints::hidden::tests::ESTIMATES;
use crate::endpoints::{EndpointSummary, Endpoints, Incoming, Print, SideSummary, StackSummary};
use crate::model::endpoint::{EndpointRow, Locality, PoolOf, Service};
use crate::model::latency::{Exchange, Turn, Turns};
use crate::model::{Addr, Nanos, Transport};

const MS: u64 = 1_000_000;
const LEG_MS: u64 = 20;

fn side(ip: [u8; 4], side: Locality, print: Print) -> SideSummary {
    let ns = Some(LEG_MS * MS);
    let ip = Addr::v4(ip);
    SideSummary { ip, side, print, handshake_ns: ns, transport_ns: ns, place: None, asn: None }
}

/// A browser that resumes, or does not.
fn browser(resumed: bool) -> Print {
    match resumed {
        true => Print::Ja4("with-psk".into(), Some("without".into())),
        false => Print::Ja4("without".into(), None),
    }
}

pub(in crate::endpoints) fn session(
    ip: [u8; 4],
    print: Print,
    at: u64,
    gaps: &[(Exchange, u64)],
) -> EndpointSummary {
    let turn = |(exchange, gap): &(Exchange, u64)| Turn::new(*exchange, true, (LEG_MS + gap) * MS);
    let turns = Turns { turns: gaps.iter().map(turn).collect(), ..Turns::default() };
    EndpointSummary {
        initiator: side(ip, Locality::Remote, print),
        responder: side([10, 0, 0, 1], Locality::Home, Print::None),
        service: Some(Service { transport: Transport::TCP, port: 443 }),
        first: Nanos(at * MS),
        last: Nanos(at * MS),
        doubtful: false,
        tags: Vec::new(),
        turns: Some(Box::new(turns)),
        stack: StackSummary::default(),
        refused: None,
        long: None,
        egress: None,
        incoming: Some(Box::default()),
    }
}

pub(in crate::endpoints) fn about(subject: &str, mut session: EndpointSummary) -> EndpointSummary {
    let subject = Some((Arc::from(subject), None));
    session.incoming = Some(Box::new(Incoming { subject, ..Incoming::default() }));
    session
}

/// The remote lines.
fn rows(sessions: &[EndpointSummary]) -> Vec<EndpointRow> {
    let mut table = Endpoints::new(1_000, 1 << 20);
    sessions.iter().for_each(|session| table.observe(session));
    table.finish(None).iter().filter(|row| row.key.side == Locality::Remote).collect()
}

fn pool(row: &EndpointRow) -> (PoolOf, u32) {
    let pool = row.hidden.unwrap().pool;
    (pool.of, pool.lines)
}

use Exchange::{FirstData, Ssh, SshAuth, Tls, TlsData, TlsResumed};

#[test]
fn a_browser_that_resumes_is_one_program() {
    let ip = [203, 0, 113, 7];
    let rows = rows(&[
        session(ip, browser(false), 1, &[(FirstData, 181), (Tls, 180)]),
        session(ip, browser(true), 2, &[(FirstData, 182), (TlsResumed, 182)]),
        session(ip, browser(true), 3, &[(FirstData, 180), (TlsResumed, 181)]),
    ]);
    assert_eq!(rows.len(), 2);
    for row in &rows {
        let (hidden, alone) = (row.hidden.unwrap(), row.hidden_line.unwrap());
        assert_eq!((pool(row), hidden.samples), ((PoolOf::Program, 2), 6));
        assert!(hidden.confidence > 0.7 && hidden.kinds == 2, "{hidden:?}");
        assert!(alone.confidence < hidden.confidence && alone.pool.of == PoolOf::Line);
    }
}

/// One line has ended, the other one's sessions are open: both are judged together, whichever of
/// them was updated.
#[test]
fn a_browser_that_resumes_is_one_program_while_its_sessions_are_open() {
    let ip = [203, 0, 113, 7];
    let mut table = Endpoints::new(1_000, 1 << 20);
    let full = |at| session(ip, browser(false), at, &[(FirstData, 181), (Tls, 180)]);
    let resumed = |at| session(ip, browser(true), at, &[(FirstData, 182), (TlsResumed, 182)]);
    table.update([1; 16], resumed(1));
    let alone = table.next_updated(None).unwrap().hidden.unwrap();
    assert_eq!(alone.pool.of, PoolOf::Line);
    table.observe(&full(2));
    table.update([2; 16], resumed(3));
    let row = table.next_updated(None).unwrap();
    let (hidden, line) = (row.hidden.unwrap(), row.hidden_line.unwrap());
    assert_eq!((pool(&row), hidden.samples, line.samples), ((PoolOf::Program, 2), 6, 4));
    assert!(hidden.confidence > line.confidence.max(alone.confidence), "{hidden:?} {line:?}");
    // Both open, none ended.
    let mut table = Endpoints::new(1_000, 1 << 20);
    table.update([1; 16], resumed(1));
    table.update([2; 16], full(2));
    let both: Vec<EndpointRow> = std::iter::from_fn(|| table.next_updated(None)).collect();
    assert!(both.len() == 2 && both.iter().all(|row| pool(row) == (PoolOf::Program, 2)));
    // Another address is another client.
    table.close(&[2; 16]);
    table.update([3; 16], session([203, 0, 113, 8], browser(false), 3, &[(Tls, 180)]));
    table.update([1; 16], resumed(4));
    let apart: Vec<EndpointRow> = std::iter::from_fn(|| table.next_updated(None)).collect();
    assert!(apart.len() == 2 && apart.iter().all(|row| pool(row).0 == PoolOf::Line));
}

#[test]
fn programs_of_one_address_are_pooled_unless_one_answers_at_once() {
    let ip = [203, 0, 113, 7];
    let ssh = || Print::Ssh("OpenSSH_9.9".into());
    let far = [session(ip, browser(false), 1, &[(Tls, 180)]), session(ip, ssh(), 2, &[(Ssh, 185)])];
    let pooled = rows(&far);
    assert!(pooled.iter().all(|row| pool(row) == (PoolOf::Address, 2)), "{pooled:?}");
    assert!(pooled.iter().all(|row| row.hidden.unwrap().confidence > 0.5));
    let near = session(ip, Print::Ja4("another".into(), None), 3, &[(Tls, 1), (SshAuth, 0)]);
    let mixed = rows(&[far[0].clone(), far[1].clone(), near]);
    assert!(mixed.iter().all(|row| row.hidden.unwrap().pool.of == PoolOf::Line), "{mixed:?}");
    assert!(mixed.iter().all(|row| row.hidden.unwrap().confidence < 0.5));
}

#[test]
fn addresses_of_one_person_are_pooled() {
    let print = || Print::Ja4("without".into(), None);
    let at = |network: u8, kind| {
        about("kim", session([203, network, 113, 7], print(), network.into(), &[(kind, 180)]))
    };
    let pooled = rows(&[at(1, Tls), at(2, TlsData), at(3, Tls)]);
    assert!(pooled.iter().all(|row| pool(row) == (PoolOf::Subject, 3)), "{pooled:?}");
    assert!(pooled.iter().all(|row| row.hidden.unwrap().confidence > 0.5));
    // Of several people nothing is pooled.
    let mut others = [at(1, Tls), at(2, TlsData)];
    others[1] = about("lee", others[1].clone());
    assert!(rows(&others).iter().all(|row| pool(row) == (PoolOf::Line, 1)));
}

#[test]
fn one_program_at_addresses_of_a_prefix_is_pooled() {
    let at = |host: u8, resumed: bool| {
        let kind = if resumed { TlsData } else { Tls };
        session([203, 0, 113, host], browser(resumed), host.into(), &[(kind, 180)])
    };
    let pooled = rows(&[at(1, false), at(2, true), at(3, false)]);
    assert!(pooled.iter().all(|row| pool(row) == (PoolOf::Prefix, 3)), "{pooled:?}");
    let elsewhere = session([198, 51, 100, 9], browser(true), 9, &[(TlsData, 180)]);
    let single = rows(&[at(1, false), elsewhere]);
    assert!(single.iter().all(|row| pool(row) == (PoolOf::Line, 1)));
    // A neighbour with the same program who answers at once: these are several people.
    let near = session([203, 0, 113, 4], browser(false), 4, &[(Tls, 2)]);
    let mixed = rows(&[at(1, false), at(2, true), near]);
    assert!(mixed.iter().all(|row| pool(row) == (PoolOf::Line, 1)));
}

#[test]
fn an_address_with_many_programs_is_no_one_client() {
    let sessions: Vec<EndpointSummary> = (0..200u64)
        .map(|n| {
            let print = Print::Ja4(format!("program-{n}").into(), None);
            session([203, 0, 113, 7], print, n, &[(if n % 2 == 0 { Tls } else { Ssh }, 180)])
        })
        .collect();
    assert!(rows(&sessions).iter().all(|row| pool(row) == (PoolOf::Line, 1)));
}

/// The verdicts on endpoints whose sessions are still open.
fn judged(table: &mut Endpoints) -> Vec<EndpointRow> {
    std::iter::from_fn(|| table.next_updated(None)).collect()
}

#[test]
fn programs_of_one_address_are_pooled_while_their_sessions_are_open() {
    let ip = [203, 0, 113, 7];
    let ssh = || Print::Ssh("OpenSSH_9.9".into());
    let web = session(ip, browser(false), 1, &[(Tls, 180)]);
    let shell = session(ip, ssh(), 2, &[(Ssh, 185)]);
    let mut table = Endpoints::new(1_000, 1 << 20);
    table.observe(&web);
    table.update([2; 16], shell.clone());
    let rows = judged(&mut table);
    assert!(rows.len() == 1 && pool(&rows[0]) == (PoolOf::Address, 2), "{rows:?}");
    assert!(rows[0].hidden.unwrap().confidence > 0.5);
    let mut table = Endpoints::new(1_000, 1 << 20);
    table.update([1; 16], web);
    table.update([2; 16], shell.clone());
    assert!(judged(&mut table).iter().all(|row| pool(row) == (PoolOf::Address, 2)));
    // A third one answers at once: several clients share the address.
    table.update([3; 16], session(ip, Print::Ja4("another".into(), None), 3, &[(Tls, 1)]));
    table.update([2; 16], shell);
    assert!(judged(&mut table).iter().all(|row| pool(row).0 == PoolOf::Line));
}

#[test]
fn addresses_of_one_person_are_pooled_while_sessions_are_open() {
    let print = || Print::Ja4("without".into(), None);
    let at = |network: u8, who: &str, kind| {
        about(who, session([203, network, 113, 7], print(), network.into(), &[(kind, 180)]))
    };
    let mut table = Endpoints::new(1_000, 1 << 20);
    table.observe(&at(1, "kim", Tls));
    table.update([2; 16], at(2, "kim", TlsData));
    table.update([3; 16], at(3, "kim", Tls));
    let rows = judged(&mut table);
    assert!(rows.iter().all(|row| pool(row) == (PoolOf::Subject, 3)), "{rows:?}");
    assert!(rows.iter().all(|row| row.hidden.unwrap().confidence > 0.5));
    // The next span begins: who was where is still known, what ended is not.
    let mut table = table.successor();
    table.update([2; 16], at(2, "kim", TlsData));
    assert!(judged(&mut table).iter().all(|row| pool(row) == (PoolOf::Subject, 2)));
    // Somebody else at one of them.
    table.update([4; 16], at(3, "lee", Tls));
    table.update([2; 16], at(2, "kim", TlsData));
    assert!(judged(&mut table).iter().all(|row| pool(row).0 == PoolOf::Line));
}

/// A person of many addresses costs no more than one of some, and so does an address of many lines.
#[test]
fn pools_of_open_sessions_are_bounded() {
    let mut table = Endpoints::new(10_000, 1 << 24);
    let print = |n: u32| Print::Ja4(format!("program-{n}").into(), None);
    for n in 0..1_000u32 {
        let ip = (0xcb00_0000 + n * 256).to_be_bytes();
        table.observe(&about("kim", session(ip, print(0), u64::from(n), &[(Tls, 180)])));
        let crowd = session([198, 51, 100, 7], print(n), u64::from(n), &[(Tls, 180)]);
        table.observe(&crowd);
        table.update([7; 16], crowd);
    }
    assert_eq!(table.lines.of_person("kim").len(), 64);
    assert!(table.lines.at(Addr::v4([198, 51, 100, 7])).is_none());
    assert!(judged(&mut table).iter().all(|row| pool(row).0 == PoolOf::Line));
    // An evicted endpoint is in no pool, and the others keep theirs.
    let mut small = Endpoints::new(64, 1 << 20);
    (0..500u32).for_each(|n| {
        let ip = (0xcb00_0000 + n % 250 * 256).to_be_bytes();
        small.observe(&session(ip, print(n / 250), u64::from(n), &[(Tls, 180)]));
    });
    let entries = || (0u32..).zip(&small.entries).filter(|(_, entry)| entry.key.remote);
    let indexed =
        |(at, ip): (u32, Addr)| small.lines.at(ip).is_some_and(|mut all| all.any(|n| n == at));
    assert!(entries().all(|(at, entry)| indexed((at, entry.key.ip))));
}

/// However many programs a person has at however many addresses, an update costs a bounded number
/// of estimates.
#[test]
fn an_update_of_a_person_costs_a_bounded_number_of_estimates() {
    let estimates = |addresses: u8, programs: u8| {
        let mut table = Endpoints::new(10_000, 1 << 24);
        let at = |network: u8, program: u8| {
            let print = Print::Ja4(format!("program-{program}").into(), None);
            let at = u64::from(network) * 64 + u64::from(program);
            about("kim", session([203, network, 113, 7], print, at, &[(Tls, 180)]))
        };
        for network in 0..addresses {
            (0..programs).for_each(|program| table.observe(&at(network, program)));
        }
        table.update([7; 16], at(0, 0));
        let before = ESTIMATES.get();
        let rows = judged(&mut table);
        assert_eq!(rows.len(), 1);
        (ESTIMATES.get() - before, pool(&rows[0]).0)
    };
    let (cost, of) = estimates(40, 4);
    assert!(of == PoolOf::Subject && (160..180).contains(&cost), "{cost} {of:?}");
    let (cost, of) = estimates(64, 60);
    assert!(of != PoolOf::Subject && (250..400).contains(&cost), "{cost} {of:?}");
}

proptest! {
    /// Sessions that are open are pooled as if they had ended.
    #[test]
    fn an_open_session_is_pooled_like_one_that_ended(
        seen in prop::collection::vec((0u8..4, 0u8..3, 0u8..3, 0usize..3, any::<bool>()), 1..14)
    ) {
        let (mut open, mut ended) =
            (Endpoints::new(1_000, 1 << 20), Endpoints::new(1_000, 1 << 20));
        for (n, (network, program, who, gap, ends)) in (1u8..).zip(&seen) {
            let print = match program {
                0 => Print::Ssh("OpenSSH_9.9".into()),
                resumed => browser(*resumed == 2),
            };
            let kind = if *program == 0 { Ssh } else { Tls };
            let gap = [2, 170, 185][if n % 5 == 0 { *gap } else { 1 + gap % 2 }];
            let one = session([203, *network, 113, 7], print, n.into(), &[(kind, gap)]);
            let one = if *who == 2 { one } else { about(["kim", "lee"][usize::from(*who)], one) };
            ended.observe(&one);
            if *ends { open.observe(&one) } else { open.update([n; 16], one) }
        }
        let all: Vec<EndpointRow> = ended.finish(None).iter().collect();
        for row in judged(&mut open) {
            let same = all.iter().find(|other| other.key == row.key).unwrap();
            prop_assert_eq!(row.hidden, same.hidden);
        }
    }
}
