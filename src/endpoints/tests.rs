//! Endpoint totals compared with sums made by hand.
//!
//! Owns: the expected table. In: made-up sessions. Out: assertions. Never: built into the program.

use super::*;
use crate::endpoints::{Incoming, StackSummary};
use crate::model::endpoint::{Fingerprint, Locality, Service};
use crate::model::{Addr, Transport};

fn side(last_octet: u8, side: Locality, handshake_ns: Option<u64>) -> SideSummary {
    let ip = match side {
        Locality::Home => Addr::v4([10, 0, 0, last_octet]),
        Locality::Remote => Addr::v4([203, 0, 113, last_octet]),
    };
    SideSummary {
        ip,
        side,
        print: Print::None,
        handshake_ns,
        transport_ns: handshake_ns,
        place: None,
        asn: None,
    }
}

fn outbound(home: u8, remote: u8, port: u16, far_ns: Option<u64>) -> EndpointSummary {
    EndpointSummary {
        initiator: side(home, Locality::Home, Some(1_000)),
        responder: side(remote, Locality::Remote, far_ns),
        service: Some(Service { transport: Transport::TCP, port }),
        first: Nanos(10 * u64::from(home)),
        last: Nanos(20 * u64::from(home)),
        doubtful: false,
        tags: Vec::new(),
        turns: None,
        stack: StackSummary::default(),
        refused: None,
        long: None,
        egress: None,
        incoming: None,
    }
}

#[test]
fn sessions_add_up_per_address_side_and_service() {
    let mut table = Endpoints::new(100, 1 << 20);
    table.observe(&outbound(1, 9, 443, Some(9_000)));
    table.observe(&outbound(2, 9, 443, Some(7_000)));
    table.observe(&outbound(2, 9, 22, None));
    table.observe(&outbound(2, 8, 443, Some(5_000)));
    let rows: Vec<EndpointRow> = table.finish(None).iter().collect();
    let short: Vec<_> = rows
        .iter()
        .map(|r| {
            let port = r.key.service.map(|s| s.port);
            (r.key.ip.to_string(), port, r.sessions, r.handshakes, r.floor_ns, r.prefix_floor_ns)
        })
        .collect();
    let want = [
        ("10.0.0.1", None, 1, 1, Some(1_000), Some(1_000)),
        ("10.0.0.2", None, 3, 3, Some(1_000), Some(1_000)),
        ("203.0.113.8", Some(443), 1, 1, Some(5_000), Some(5_000)),
        ("203.0.113.9", Some(22), 1, 0, None, Some(5_000)),
        ("203.0.113.9", Some(443), 2, 2, Some(7_000), Some(5_000)),
    ];
    let want: Vec<_> = want.map(|(ip, a, b, c, d, e)| (ip.to_owned(), a, b, c, d, e)).to_vec();
    assert_eq!(short, want);
    assert_eq!((rows[4].first, rows[4].last), (Nanos(10), Nanos(40)));
    assert_eq!((rows[1].role, rows[2].role), (Role::Initiator, Role::Responder));
}

#[test]
fn fingerprints_tell_remote_programs_apart() {
    let mut table = Endpoints::new(100, 1 << 20);
    for print in [
        Print::Ja4("a".into(), None),
        Print::Ja4("b".into(), None),
        Print::Ssh("x".into()),
        Print::Ja4("a".into(), None),
    ] {
        let mut session = outbound(1, 9, 443, None);
        session.initiator = side(7, Locality::Remote, None);
        session.initiator.print = print;
        session.responder = side(1, Locality::Home, None);
        table.observe(&session);
    }
    let rows: Vec<EndpointRow> = table.finish(None).iter().collect();
    let counts: Vec<_> = rows.iter().map(|r| (r.key.fingerprint.is_some(), r.sessions)).collect();
    assert_eq!(counts, [(false, 4), (true, 2), (true, 1), (true, 1)]);
    assert_eq!(rows[3].key.fingerprint, Some(Fingerprint::Ssh("x".into())));
    assert_eq!(rows[1].key.service.map(|s| s.port), Some(443));
}

#[test]
fn tags_gather_on_the_end_they_belong_to() {
    let mut table = Endpoints::new(100, 1 << 20);
    for (initiator, tag) in [(false, "vpn:b"), (false, "hosting"), (true, "own"), (false, "vpn:b")]
    {
        let mut session = outbound(1, 9, 443, None);
        session.tags.push((initiator, tag.into()));
        table.observe(&session);
    }
    let rows: Vec<EndpointRow> = table.finish(None).iter().collect();
    assert_eq!(rows[0].tags, ["own".into()]);
    assert_eq!(rows[1].tags, ["hosting".into(), "vpn:b".into()]);
}

#[test]
fn tags_past_the_cap_of_a_run_are_counted() {
    let mut table = Endpoints::new(100, 1 << 20);
    for n in 0..131 {
        let mut session = outbound(1, 9, 443, None);
        session.tags.push((false, format!("t{n}").as_str().into()));
        table.observe(&session);
    }
    let mut counters = crate::model::Counters::default();
    table.count(&mut counters);
    assert_eq!(counters.get(crate::model::Counter::EndpointTagsDropped), 3);
    assert_eq!(table.finish(None).iter().nth(1).unwrap().tags.len(), 128);
}

/// An unanswered SYN from an outside address; there is no limit to those.
fn unanswered(n: u32, at: u64) -> EndpointSummary {
    let mut session = outbound(1, 9, 443, None);
    session.initiator = SideSummary {
        ip: Addr::v4((0xc600_0000 + n).to_be_bytes()),
        ..side(1, Locality::Remote, None)
    };
    session.responder = side(1, Locality::Home, None);
    (session.service, session.first, session.last) = (None, Nanos(at), Nanos(at));
    session
}

/// An answered session from outside.
fn inbound(print: &str, at: u64) -> EndpointSummary {
    let mut session = outbound(1, 9, 443, None);
    session.initiator = side(7, Locality::Remote, Some(9_000));
    session.initiator.print = Print::Ja4(print.into(), None);
    session.responder = side(1, Locality::Home, Some(1_000));
    (session.first, session.last) = (Nanos(at), Nanos(at));
    session.incoming = Some(Box::default());
    session
}

#[test]
fn at_the_cap_those_go_that_say_least_and_every_session_counts() {
    let mut table = Endpoints::new(64, 1 << 20);
    for n in 0..1_000 {
        table.observe(&unanswered(n, n.into()));
        assert!(table.len() <= 64);
    }
    for at in 0..16 {
        table.observe(&inbound("farm", 1_000 + at));
    }
    let due = table.next_due(None).unwrap();
    assert_eq!((due.sessions, due.key.fingerprint.is_some()), (16, true));
    for n in 1_000..3_000 {
        table.observe(&unanswered(n, n.into()));
        // The number of stored fingerprints is bounded too.
        let mut other = inbound(&format!("ja4-{n}"), n.into());
        other.initiator.ip = Addr::v4((0xc700_0000 + n).to_be_bytes());
        table.observe(&other);
        assert!(table.len() <= 64 && table.prints.values.len() <= 3 * 64);
        assert!(table.accumulators.get(65).is_none(), "accumulators are used again");
    }
    let mut counters = Counters::default();
    table.count(&mut counters);
    let rows: Vec<EndpointRow> = table.finish(None).iter().collect();
    let farm = rows.iter().find(
        |row| matches!(&row.key.fingerprint, Some(Fingerprint::Ja4(text)) if **text == *"farm"),
    );
    let farm = farm.unwrap();
    assert_eq!((farm.sessions, farm.floor_ns, farm.traits.days), (16, Some(9_000), 1));
    let home = rows.iter().find(|row| row.key.side == Locality::Home).unwrap();
    assert_eq!(home.sessions, 5_016);
    let kept: u64 = rows.iter().map(|row| row.sessions).sum();
    let ends = 2 * (1_000 + 16 + 2_000 + 2_000);
    assert_eq!(kept + counters.get(Counter::EndpointsDropped), ends);
}

#[test]
fn what_falls_off_is_counted_once() {
    let mut table = Endpoints::new(8, 1 << 20);
    (0..100).for_each(|n| table.observe(&unanswered(n, n.into())));
    let mut counters = Counters::default();
    table.count(&mut counters);
    let dropped = counters.get(Counter::EndpointsDropped);
    assert!(dropped >= 92, "{dropped}");
    table.count(&mut counters);
    assert_eq!(counters.get(Counter::EndpointsDropped), dropped);
}

#[test]
fn the_order_of_sessions_does_not_matter() {
    let sessions: Vec<_> = (0..60u8)
        .map(|i| outbound(i % 7, i % 11, 1 + u16::from(i % 3), Some(u64::from(i) * 37 % 101)))
        .collect();
    let run = |order: &mut dyn Iterator<Item = &EndpointSummary>| {
        let mut table = Endpoints::new(1_000, 1 << 20);
        order.for_each(|s| table.observe(s));
        table.finish(None).iter().collect::<Vec<_>>()
    };
    assert_eq!(run(&mut sessions.iter()), run(&mut sessions.iter().rev()));
}

#[test]
fn prefixes_do_not_mix_sides_or_families() {
    let key = |ip, remote| Key { ip, print: 0, port: 0, transport: 0, service: false, remote };
    let v4 = key(Addr::v4([203, 0, 113, 1]), true);
    assert_eq!(v4.prefix(), key(Addr::v4([203, 0, 113, 254]), true).prefix());
    assert_ne!(v4.prefix(), key(Addr::v4([203, 0, 112, 1]), true).prefix());
    assert_ne!(v4.prefix(), key(Addr::v4([203, 0, 113, 1]), false).prefix());
    let v6 = |last: &str| key(Addr::from(last.parse::<std::net::IpAddr>().unwrap()), true);
    assert_eq!(v6("2001:db8:1:2::1").prefix(), v6("2001:db8:1:ffff::9").prefix());
    assert_ne!(v6("2001:db8:1::1").prefix(), v6("2001:db8:2::1").prefix());
}

#[test]
fn an_entry_stays_within_its_budget() {
    assert!(size_of::<Entry>() <= 112, "{}", size_of::<Entry>());
}

#[test]
fn the_next_set_goes_on_with_what_rules_judge() {
    const DAY: u64 = 86_400_000_000_000;
    let session = |day: u64, id: u8| {
        let mut session = outbound(1, 9, 443, Some(9_000));
        session.initiator = side(7, Locality::Remote, Some(9_000));
        session.responder = side(1, Locality::Home, None);
        (session.first, session.last) = (Nanos(day * DAY), Nanos(day * DAY + 5));
        session.incoming = Some(Box::new(Incoming { id: [id; 16], ..Incoming::default() }));
        session
    };
    let mut table = Endpoints::new(100, 1 << 20);
    let mut days = Vec::new();
    for day in [1, 2, 4, 20] {
        table.observe(&session(day, day as u8));
        let next = table.successor();
        let rows = std::mem::replace(&mut table, next).finish(None);
        let row = rows.iter().find(|row| row.key.side == Locality::Remote).unwrap();
        assert_eq!(row.sessions, 1);
        days.push(row.traits.days);
    }
    assert_eq!(days, [1, 2, 3, 1]);
    // Forgotten, because another was seen twenty days later.
    let mut other = session(40, 9);
    other.initiator = side(8, Locality::Remote, Some(9_000));
    table.observe(&other);
    let mut table = table.successor();
    table.observe(&session(41, 41));
    let rows = table.finish(None);
    let row = rows.iter().find(|row| row.key.side == Locality::Remote).unwrap();
    assert_eq!(row.traits.days, 1);
}
