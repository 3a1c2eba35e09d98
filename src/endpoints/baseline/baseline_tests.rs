//! Learning, merging, storing and comparing baselines.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::endpoints::summary::{Incoming, Print, StackSummary};
use crate::model::Transport;
use crate::model::endpoint::Service;

const DAY: Nanos = Nanos::from_secs(86_400);
const CONFIG: BaselineConfig = BaselineConfig { cap: 1_000, learn: Nanos(14 * DAY.0) };

fn side(ip: &str, side: Locality, ns: Option<u64>) -> SideSummary {
    let place = Place {
        cached: Default::default(),
        country: Some("US".into()),
        region: Some("US-WA".into()),
        location: None,
        radius_km: None,
    };
    SideSummary {
        ip: Addr::from(ip.parse::<IpAddr>().unwrap()),
        side,
        print: Print::None,
        handshake_ns: ns,
        transport_ns: ns,
        place: Some(Arc::new(place)),
        asn: Some(Arc::new(AutonomousSystem {
            number: 64_500,
            organization: None,
            cached: Default::default(),
        })),
    }
}

/// A session that comes in from `ip` on a day.
fn session(ip: &str, day: u64, ns: u64, subject: Option<&str>) -> EndpointSummary {
    let at = Nanos(day * DAY.0);
    let subject = subject.map(|id| (Arc::from(id), None));
    EndpointSummary {
        initiator: side(ip, Locality::Remote, Some(ns)),
        responder: side("10.0.0.1", Locality::Home, Some(1_000)),
        service: Some(Service { transport: Transport::TCP, port: 443 }),
        first: at,
        last: at.plus(Nanos::from_secs(60)),
        doubtful: false,
        tags: Vec::new(),
        turns: None,
        stack: StackSummary::default(),
        refused: None,
        long: None,
        egress: None,
        incoming: Some(Box::new(Incoming { subject, ..Incoming::default() })),
    }
}

/// A session that goes out to a service.
fn going_out(ip: &str, day: u64, ns: u64, port: u16) -> EndpointSummary {
    EndpointSummary {
        initiator: side("10.0.0.1", Locality::Home, Some(1_000)),
        responder: side(ip, Locality::Remote, Some(ns)),
        service: Some(Service { transport: Transport::TCP, port }),
        long: None,
        egress: None,
        incoming: None,
        ..session(ip, day, ns, None)
    }
}

fn learned<'s>(sessions: impl IntoIterator<Item = &'s EndpointSummary>) -> Baselines {
    let mut baselines = Baselines::new(CONFIG);
    sessions.into_iter().for_each(|session| baselines.learn(session));
    baselines
}

fn known(baselines: &Baselines, ip: &str, port: Option<u16>, subject: Option<&str>) -> Known {
    let end = side(ip, Locality::Remote, None);
    let subject = subject.map(Arc::from);
    let role = if port.is_some() { Role::Responder } else { Role::Initiator };
    baselines.known(&Asked {
        ip: end.ip,
        side: end.side,
        service: port.map(|port| (Transport::TCP.0, port)),
        role,
        asn: end.asn.as_deref(),
        place: end.place.as_deref(),
        subject: subject.as_ref(),
    })
}

/// Twenty sessions of two addresses over days, 20 ms and a little more.
fn twenty(days: u64) -> Vec<EndpointSummary> {
    let of = |n: u64| {
        let ip = format!("192.0.2.{}", n % 2 + 1);
        session(&ip, n % days, 20_000_000 + n * 10_000, Some("e-1"))
    };
    (0..20).map(of).collect()
}

#[test]
fn too_little_is_no_baseline() {
    let all = twenty(3);
    let path = |sessions: &[EndpointSummary]| {
        known(&learned(sessions), "192.0.2.9", None, None).path.map(|b| b.of)
    };
    assert_eq!(path(&all), Some(BaselineOf::Prefix));
    assert_eq!(path(&all[1..]), None, "19 sessions");
    assert_eq!(path(&twenty(2)), None, "two days");
    let alone: Vec<_> = (0..30).map(|n| session("192.0.2.1", n % 5, 20_000_000, None)).collect();
    assert_eq!(path(&alone), None, "one address");
    let subject = known(&learned(&twenty(4)), "203.0.113.5", None, Some("e-1")).subject.unwrap();
    assert_eq!((subject.of, subject.sessions, subject.days), (BaselineOf::Subject, 20, 4));
    // The network's baseline is used if the prefix has none; a bucket is at most a sixteenth wide.
    let path = known(&learned(&all), "198.51.100.7", None, None).path.unwrap();
    assert_eq!(path.of, BaselineOf::Network);
    assert!((20_000_000..21_300_000).contains(&path.floor_ns), "{path:?}");
    assert_eq!(known(&learned(&all), "192.0.2.9", None, Some("e-2")).subject, None);
}

#[test]
fn a_service_has_its_own() {
    let out = |n: u64, port| going_out("192.0.2.1", n % 3, n % 7 + 90_000_000, port);
    let all: Vec<_> = twenty(3).into_iter().chain((0..20).map(|n| out(n, 22))).collect();
    let baselines = learned(&all);
    let of = |port| known(&baselines, "192.0.2.9", port, None).path.unwrap();
    assert_eq!(of(Some(22)).of, BaselineOf::Destination);
    assert!(of(Some(22)).floor_ns > 89_000_000);
    assert_eq!(of(Some(443)).of, BaselineOf::Prefix);
    assert_eq!(baselines.totals().tables, [(1, 1), (1, 1), (1, 1), (1, 1)]);
}

#[test]
fn it_learns_for_fourteen_days_of_packets() {
    let mut baselines = learned(&twenty(14));
    assert!(baselines.learning() && baselines.totals().learning());
    assert!(known(&baselines, "192.0.2.9", None, None).path.unwrap().learning);
    baselines.learn(&session("192.0.2.1", 14, 20_000_000, None));
    assert!(!baselines.learning() && !baselines.totals().learning());
    assert!(!known(&baselines, "192.0.2.9", None, None).path.unwrap().learning);
    assert!(Baselines::new(CONFIG).learning());
}

#[test]
fn ends_without_a_round_trip_and_home_ends_teach_nothing() {
    let mut dumb = session("192.0.2.1", 0, 1, Some("e-1"));
    dumb.initiator.transport_ns = None;
    let baselines = learned([&dumb]);
    let totals = baselines.totals();
    assert_eq!((totals.sessions, totals.tables), (0, BaselineTotals::default().tables));
    assert!(baselines.rows().is_empty());
    // But the time of learning passes: a state that measures nothing must not learn for ever.
    assert_eq!(totals.span, Some((dumb.first, dumb.last)));
    assert!(totals.learns_until.is_some());
    let doubtful = EndpointSummary { doubtful: true, ..dumb };
    assert_eq!(learned([&doubtful]).totals().span, None, "a forged time ends no learning");
}

#[test]
fn rows_say_what_is_stored() {
    let rows = learned(&twenty(3)).rows();
    let whose: Vec<&str> = rows.iter().map(|row| row.whose.as_str()).collect();
    assert_eq!(whose, ["192.0.2.0/24", "AS64500 US-WA", "e-1"]);
    let row = &rows[0];
    assert_eq!((row.sessions, row.days, row.addresses, row.lowest_ns), (20, 3, 2, 20_000_000));
    assert!(row.floor_ns.is_some() && row.p50_ns >= 20_000_000);
}

#[test]
fn what_is_foreign_or_damaged_is_refused_whole() {
    let bytes = learned(&twenty(3)).encode();
    let decode = |bytes: &[u8]| Baselines::decode(CONFIG, bytes).map(|_| ()).unwrap_err();
    assert_eq!(decode(b""), DecodeError::NotThis);
    assert_eq!(decode(b"home = []"), DecodeError::NotThis);
    let mut later = bytes.clone();
    later[9] = 9;
    assert_eq!(decode(&later), DecodeError::Version(9, VERSION));
    for cut in 10..bytes.len() {
        assert!(matches!(decode(&bytes[..cut]), DecodeError::Damaged(_)), "{cut}");
    }
    for at in 10..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        assert_eq!(decode(&flipped), DecodeError::Damaged("its checksum is another"), "{at}");
    }
}

#[test]
fn a_lower_cap_takes_effect_when_it_is_read() {
    let all: Vec<_> =
        (0..40).map(|n| session(&format!("192.0.{n}.1"), 0, 5_000_000, None)).collect();
    let bytes = learned(&all).encode();
    let config = BaselineConfig { cap: 16, ..CONFIG };
    let totals = Baselines::decode(config, &bytes).unwrap().totals();
    assert_eq!((totals.tables[0].0, totals.dropped), (16, 24));
}

fn sessions() -> impl Strategy<Value = Vec<EndpointSummary>> {
    let one = (0u8..40, 0u64..400, 0u64..1 << 38, any::<bool>(), prop::option::of(0u8..4));
    let made = one.prop_map(|(host, day, ns, out, who)| {
        let ip = match host % 3 {
            0 => format!("2001:db8:{host}::1"),
            _ => format!("192.0.{}.{host}", host / 8),
        };
        match (out, who.map(|who| format!("e-{who}"))) {
            (true, _) => going_out(&ip, day, ns, u16::from(host % 4)),
            (false, who) => session(&ip, day, ns, who.as_deref()),
        }
    });
    prop::collection::vec(made, 0..40)
}

fn merged(parts: &[&Baselines]) -> Vec<u8> {
    let mut all = Baselines::new(CONFIG);
    parts.iter().for_each(|part| all.merge((*part).clone()));
    all.encode()
}

proptest! {
    #[test]
    fn merging_is_the_same_in_any_order_and_grouping(
        a in sessions(), b in sessions(), c in sessions(),
    ) {
        let whole = learned(a.iter().chain(&b).chain(&c)).encode();
        let [a, b, c] = [learned(&a), learned(&b), learned(&c)];
        prop_assert_eq!(&merged(&[&a, &b, &c]), &whole);
        prop_assert_eq!(&merged(&[&c, &a, &b]), &whole);
        let mut right = b.clone();
        right.merge(c);
        prop_assert_eq!(&merged(&[&a, &right]), &whole);
        prop_assert_eq!(&merged(&[&right, &a]), &whole);
    }

    #[test]
    fn the_order_of_sessions_does_not_matter(mut all in sessions()) {
        let forth = learned(&all).encode();
        all.reverse();
        prop_assert_eq!(forth, learned(&all).encode());
    }

    #[test]
    fn what_is_stored_comes_back(all in sessions()) {
        let baselines = learned(&all);
        let bytes = baselines.encode();
        let back = Baselines::decode(CONFIG, &bytes).unwrap();
        prop_assert_eq!(back.totals(), baselines.totals());
        prop_assert_eq!(back.rows(), baselines.rows());
        prop_assert_eq!(back.encode(), bytes);
    }
}
