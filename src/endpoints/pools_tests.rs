//! Which lines are judged together.
//!
//! Owns: sessions of programs at addresses. In: answers made here. Out: the verdict of each line.
//! Never: the laws of the estimate.

use std::sync::Arc;

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

fn session(ip: [u8; 4], print: Print, at: u64, gaps: &[(Exchange, u64)]) -> EndpointSummary {
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

fn about(subject: &str, mut session: EndpointSummary) -> EndpointSummary {
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
