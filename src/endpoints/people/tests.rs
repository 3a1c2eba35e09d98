use super::*;
use crate::endpoints::egress::Egress;
use crate::endpoints::people::site::PEOPLE_MAX;
use crate::endpoints::summary::Incoming;
use crate::endpoints::summary::{Print, SideSummary, StackSummary};
use crate::model::Transport;
use crate::model::endpoint::{Locality, Service};
use crate::model::record::AutonomousSystem;

pub(super) const DAY_S: u64 = 86_400;
pub(super) const ASHBURN: (f64, f64) = (39.04, -77.49);
pub(super) const SEATTLE: (f64, f64) = (47.61, -122.33);
pub(super) const HOUSE: Addr = Addr::v4([192, 0, 2, 7]);
pub(super) const CHICAGO: (f64, f64) = (41.88, -87.63);

pub(super) fn place(centre: (f64, f64)) -> ClaimedPlace {
    let sensor_km = crate::model::physics::distance_km(ASHBURN, centre);
    ClaimedPlace { centre, radius_km: 0.0, sensor_km }
}

/// Of a person who claims a place, from an address whose region is another, with a round trip.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) who: &'static str,
    pub(super) claim: (f64, f64),
    pub(super) region: (f64, f64),
    pub(super) rtt_ms: u64,
}

pub(super) fn session(ip: u8, day: u64, seen: &Seen) -> EndpointSummary {
    let side = |ip, side| SideSummary {
        ip: Addr::v4(ip),
        side,
        print: Print::None,
        handshake_ns: None,
        transport_ns: Some(seen.rtt_ms * 1_000_000),
        place: None,
        asn: None,
    };
    let time = Nanos::from_secs((20_000 + day) * DAY_S);
    EndpointSummary {
        doubtful: false,
        initiator: side([192, 0, 2, ip], Locality::Remote),
        responder: side([10, 0, 0, 1], Locality::Home),
        service: Some(Service { transport: Transport::TCP, port: 443 }),
        first: time,
        last: time,
        tags: Vec::new(),
        turns: None,
        stack: StackSummary::default(),
        refused: None,
        long: None,
        egress: None,
        incoming: Some(Box::new(Incoming {
            subject: Some((Arc::from(seen.who), None)),
            claim: Some(place(seen.claim)),
            region: Some(place(seen.region)),
            ..Incoming::default()
        })),
    }
}

fn observed(all: &[EndpointSummary]) -> People {
    let mut people = People::new(1 << 20);
    for session in all {
        people.observe(session, true);
    }
    people
}

pub(super) fn end(day: u64) -> Nanos {
    Nanos::from_secs((20_000 + day) * DAY_S)
}

#[test]
fn a_person_is_near_the_claimed_place_by_region_and_round_trip() {
    let at = |region, rtt_ms| Seen { who: "e-1", claim: CHICAGO, region, rtt_ms };
    let near = |seen: &Seen| {
        let people = observed(&[session(1, 0, seen)]);
        people.claim((&Arc::from("e-1"), HOUSE), None, end(0)).unwrap().near_days.unwrap()
    };
    // 930 km: 14 ms at 4/9 of the speed of light, and 60 for access.
    assert_eq!(near(&at(CHICAGO, 73)), 1);
    assert_eq!(near(&at(CHICAGO, 75)), 0, "too far behind a nearby address");
    assert_eq!(near(&at(SEATTLE, 20)), 0, "another region");
}

#[test]
fn days_near_are_counted_at_any_address_for_14_days() {
    let home = Seen { who: "e-1", claim: CHICAGO, region: CHICAGO, rtt_ms: 20 };
    let away = Seen { region: SEATTLE, ..home };
    let people = observed(&[session(1, 0, &home), session(1, 1, &home), session(2, 2, &away)]);
    let near = |day| {
        let region = place(SEATTLE);
        let claim = people.claim((&Arc::from("e-1"), HOUSE), Some(&region), end(day)).unwrap();
        assert!((claim.region_km.unwrap() - 2_790.0).abs() < 20.0, "{claim:?}");
        claim.near_days
    };
    assert_eq!((near(2), near(14), near(15)), (Some(2), Some(1), Some(0)));
}

/// Who claims Chicago and Seattle and works in Seattle's region.
pub(super) fn farm() -> Vec<EndpointSummary> {
    let one = Seen { who: "e-1", claim: CHICAGO, region: SEATTLE, rtt_ms: 70 };
    let two = Seen { who: "e-2", claim: ASHBURN, ..one };
    (0..3).flat_map(|day| [session(7, day, &one), session(7, day, &two)]).collect()
}

#[test]
fn people_of_distant_homes_at_one_address_are_told() {
    let mut all = farm();
    let found = observed(&all).colocated(HOUSE, end(2)).unwrap();
    let people: Vec<&str> = found.people.iter().map(|id| &**id).collect();
    assert_eq!((people, found.days, found.away), (vec!["e-1", "e-2"], 3, 2));
    assert!((found.apart_km - 930.0).abs() < 20.0, "{}", found.apart_km);
    // In any order.
    all.reverse();
    let same = observed(&all).colocated(HOUSE, end(2));
    assert_eq!(same, Some(found));
}

#[test]
fn a_visitor_of_one_day_is_not_of_the_house() {
    let guest = Seen { who: "e-9", claim: CHICAGO, region: SEATTLE, rtt_ms: 70 };
    let host = Seen { who: "e-1", claim: SEATTLE, ..guest };
    let mut all: Vec<EndpointSummary> = (0..3).map(|day| session(7, day, &host)).collect();
    all.push(session(7, 1, &guest));
    assert_eq!(observed(&all).colocated(HOUSE, end(2)), None);
}

#[test]
fn a_way_out_of_many_people_is_no_home() {
    let names: Vec<&'static str> = (0..20).map(|n| &*format!("e-{n}").leak()).collect();
    let all: Vec<EndpointSummary> = names
        .iter()
        .map(|who| Seen { who, claim: CHICAGO, region: SEATTLE, rtt_ms: 70 })
        .flat_map(|seen| [session(7, 0, &seen), session(7, 1, &seen), session(7, 2, &seen)])
        .collect();
    let people = observed(&all);
    assert_eq!(people.colocated(HOUSE, end(2)), None);
    assert_eq!(people.sites.values().map(|site| site.people.len()).max(), Some(PEOPLE_MAX));
}

#[test]
fn at_the_cap_addresses_of_one_person_go_first() {
    let cap = 24 << 10;
    let mut people = People::new(cap);
    for session in &farm() {
        people.observe(session, true);
    }
    let alone = Seen { who: "e-5", claim: CHICAGO, region: CHICAGO, rtt_ms: 20 };
    for ip in 20..220 {
        people.observe(&session(ip, 5, &alone), true);
        assert!(people.bytes <= cap, "{}", people.bytes);
    }
    assert!(people.colocated(HOUSE, end(5)).is_some());
    assert!(people.dropped > 0 && people.people.len() == 3);
    assert_eq!(people.dropped + people.sites.len() as u64, 201);
    let counted = people.bytes;
    people.recount();
    assert_eq!(people.bytes, counted);
}

#[test]
fn a_session_of_days_counts_on_each_of_them() {
    let seen = Seen { who: "e-1", claim: CHICAGO, region: SEATTLE, rtt_ms: 70 };
    let mut long = session(7, 3, &seen);
    long.first = end(0);
    let people = observed(&[long]);
    let claim = people.claim((&Arc::from("e-1"), HOUSE), None, end(3)).unwrap();
    assert_eq!((claim.days, claim.near_days), (4, Some(0)));
}

/// The same session of a home whose region nobody knows, as of many IPv6 addresses.
fn without_region(mut session: EndpointSummary) -> EndpointSummary {
    if let Some(incoming) = session.incoming.as_mut() {
        incoming.region = None;
    }
    session
}

#[test]
fn a_place_that_nobody_knows_is_not_away() {
    let near = Seen { who: "e-1", claim: CHICAGO, region: CHICAGO, rtt_ms: 20 };
    let days = |people: &People, day| {
        people.claim((&Arc::from("e-1"), HOUSE), None, end(day)).unwrap().near_days
    };
    // At home for ten days by an address without region, and abroad on four.
    let mut all: Vec<_> = (0..10).map(|day| without_region(session(1, day, &near))).collect();
    assert_eq!(days(&observed(&all), 9), None);
    let abroad = Seen { region: SEATTLE, ..near };
    all.extend((10..14).map(|day| session(2, day, &abroad)));
    assert_eq!(days(&observed(&all), 13), None);
    // It is known of most days.
    let known = observed(&all[6..]);
    assert_eq!((days(&known, 13), days(&observed(&all[7..]), 13)), (None, Some(0)));
    // Without a region a round trip that is too long says no.
    let far = without_region(session(1, 0, &Seen { rtt_ms: 250, ..near }));
    assert_eq!(days(&observed(&[far]), 0), Some(0));
    // People of one house without a region are not away.
    let seen = [near, Seen { who: "e-2", claim: ASHBURN, ..near }];
    let each = |day| [0, 1].map(|n| without_region(session(7, day, &seen[n])));
    let house: Vec<_> = (0..3).flat_map(each).collect();
    assert_eq!(observed(&house).colocated(HOUSE, end(2)).map(|found| found.away), Some(0));
}

#[test]
fn who_was_in_another_region_within_a_week_does_not_live_there() {
    let mut all = farm();
    let other = Seen { who: "e-1", claim: CHICAGO, region: (29.76, -95.37), rtt_ms: 70 };
    all.push(session(9, 0, &other));
    let away =
        |all: &[EndpointSummary], day| observed(all).colocated(HOUSE, end(day)).unwrap().away;
    assert_eq!((away(&all, 2), away(&all, 7)), (1, 2));
    // The exit of a VPN is no journey.
    let last = all.last_mut().unwrap();
    last.tags = vec![(true, Arc::from("vpn:mullvad"))];
    assert_eq!(away(&all, 2), 2);
}

/// A session of a person at some hours of a day, from an address.
pub(super) fn at(ip: u8, (day, from, to): (u64, u64, u64), seen: &Seen) -> EndpointSummary {
    let mut session = session(ip, day, seen);
    session.first = Nanos::from_secs((20_000 + day) * DAY_S + from * 3_600);
    session.last = Nanos::from_secs((20_000 + day) * DAY_S + to * 3_600);
    session
}

fn incoming(session: &mut EndpointSummary) -> &mut Incoming {
    session.incoming.as_deref_mut().unwrap()
}

pub(super) const ONE: Seen = Seen { who: "e-1", claim: CHICAGO, region: SEATTLE, rtt_ms: 70 };
pub(super) const TWO: Seen = Seen { who: "e-2", claim: ASHBURN, region: SEATTLE, rtt_ms: 70 };

#[test]
fn hours_that_two_share_are_counted_by_day() {
    let days = |of: &dyn Fn(u64) -> (u64, u64)| {
        let each = |day| {
            let (from, to) = of(day);
            [at(7, (day, 9, 17), &ONE), at(7, (day, from, to), &TWO)]
        };
        let all: Vec<_> = (0..3).flat_map(each).collect();
        observed(&all).colocated(HOUSE, end(2)).unwrap().overlap_days
    };
    // From 9 to 17 are nine hours that a session touches.
    assert_eq!(days(&|_| (14, 20)), 3, "14, 15, 16 and 17");
    assert_eq!(days(&|_| (15, 20)), 0);
    assert_eq!(days(&|day| (if day == 0 { 14 } else { 18 }, 20)), 1);
}

#[test]
fn the_hire_counts_on_a_day_with_somebody_else() {
    let hired = |date: &str, second: u64| {
        let mut new = at(7, (second, 9, 17), &TWO);
        incoming(&mut new).hired = Some(date.into());
        let all = [at(7, (0, 9, 17), &ONE), new];
        let people = observed(&all);
        people.facts(HOUSE, None, end(2)).and_then(|facts| facts.shared)
    };
    // Day 20,000 is 2024-10-04.
    let shared = hired("2024-09-04", 0).unwrap();
    assert_eq!((shared.people.len(), shared.days), (2, 1));
    assert_eq!((shared.hired_days, shared.new_away), (Some(30), true));
    assert!((shared.apart_km.unwrap() - 930.0).abs() < 20.0, "{shared:?}");
    assert_eq!(hired("2024-10-05", 0).unwrap().hired_days, None, "not hired yet");
    assert_eq!(hired("2024-09-04", 1), None, "on another day");
}

#[test]
fn vpn_clients_that_are_connected_at_once_are_devices() {
    let tunnel = |n: u8, from: u64, minutes: u64| {
        let mut session = session(7, 0, &ONE);
        session.first = Nanos::from_secs(20_000 * DAY_S + from * 60);
        session.last = session.first.plus(Nanos::from_secs(minutes * 60));
        let incoming = incoming(&mut session);
        (incoming.subject, incoming.tunnel, incoming.id) = (None, true, [n; 16]);
        session
    };
    let behind = |all: &[EndpointSummary]| {
        let facts = observed(all).facts(HOUSE, None, end(0));
        facts.and_then(|facts| facts.behind).map(|behind| (behind.min, behind.method.as_str()))
    };
    let all: Vec<_> = (0..5).map(|n| tunnel(n, u64::from(n), 30)).collect();
    assert_eq!(behind(&all), Some((5, "tunnels")));
    // One that connects again leaves its old session behind for a few minutes.
    let again: Vec<_> = (0..5).map(|n| tunnel(n, u64::from(n) * 30, 35)).collect();
    assert_eq!(behind(&again), None);
    // An update and the end of one session are one.
    assert_eq!(behind(&[tunnel(1, 0, 20), tunnel(1, 0, 40), tunnel(2, 0, 40)]).unwrap().0, 2);
}

#[test]
fn people_and_systems_of_one_hour_are_devices() {
    let mut other = at(7, (0, 11, 12), &TWO);
    let facts = |all: &[EndpointSummary]| observed(all).facts(HOUSE, None, end(0)).unwrap().behind;
    let both = |other: &EndpointSummary| facts(&[at(7, (0, 9, 11), &ONE), other.clone()]);
    assert_eq!(both(&other).map(|behind| behind.min), Some(2));
    other.first = Nanos::from_secs(20_000 * DAY_S + 12 * 3_600);
    assert_eq!(both(&other), None, "not in the same hour");
    let system = |name| {
        let mut session = at(7, (0, 9, 9), &ONE);
        session.stack = StackSummary::new(None, Some(name), None);
        session
    };
    let three = facts(&["linux", "windows", "apple"].map(system)).unwrap();
    assert_eq!((three.min, three.method.as_str()), (3, "stacks"));
}

/// A session from an access network, or from one with a tag.
fn from_network(mut session: EndpointSummary, tag: Option<&str>, udp: bool) -> EndpointSummary {
    let system =
        AutonomousSystem { number: 64_500, organization: None, cached: Default::default() };
    session.initiator.asn = Some(Arc::new(system));
    session.tags = tag.map(|tag| (true, Arc::from(tag))).into_iter().collect();
    if udp && let Some(service) = &mut session.service {
        service.transport = Transport::UDP;
    }
    session
}

fn facts_at(all: &[EndpointSummary], ip: u8) -> PeopleFacts {
    let ip = Addr::v4([192, 0, 2, ip]);
    observed(all).facts(ip, Some(&Arc::from("e-1")), end(1)).map(|facts| *facts).unwrap_or_default()
}

#[test]
fn one_person_in_two_places_is_told_with_the_speed() {
    let home = |tag| from_network(at(1, (0, 9, 10), &Seen { region: CHICAGO, ..ONE }), tag, false);
    let away = |tag| from_network(at(2, (0, 11, 12), &ONE), tag, false);
    let travel = |all: &[EndpointSummary]| facts_at(all, 2).travel;
    let found = travel(&[home(None), away(None)]).unwrap();
    assert!((found.km - 2_790.0).abs() < 20.0 && found.minutes == 60, "{found:?}");
    assert!((found.kmh() - found.km).abs() < 1.0);
    assert_eq!(found.from, Addr::v4([192, 0, 2, 1]));
    // Networks whose users are elsewhere.
    for tag in ["mobile", "sase", "relay", "hosting", "vpn:mullvad", "cgnat"] {
        assert_eq!(travel(&[home(Some(tag)), away(None)]), None, "{tag}");
        assert_eq!(travel(&[home(None), away(Some(tag))]), None, "{tag}");
    }
    // Light needs 25 ms to Seattle and back: it is no place of that address.
    let mut near = away(None);
    near.initiator.transport_ns = Some(20_000_000);
    assert_eq!(travel(&[home(None), near]), None);
}

#[test]
fn a_change_between_home_and_an_exit_counts_by_day() {
    let home = |day| from_network(at(1, (day, 9, 10), &ONE), None, false);
    let exit = |day, hour| from_network(at(2, (day, hour, hour), &ONE), Some("vpn:mullvad"), false);
    let flip =
        |all: &[EndpointSummary]| facts_at(all, 2).flip.map(|flip| (flip.minutes, flip.days));
    assert_eq!(flip(&[home(0), exit(0, 10)]), Some((0, 1)));
    assert_eq!(flip(&[home(0), exit(0, 10), home(1), exit(1, 11)]), Some((60, 2)));
    assert_eq!(flip(&[home(0), exit(0, 12)]), None);
}

#[test]
fn tcp_and_udp_from_two_networks_are_told() {
    let home = |udp| from_network(at(1, (0, 9, 10), &ONE), None, udp);
    let exit = |tag, udp| from_network(at(2, (0, 10, 10), &ONE), Some(tag), udp);
    let split = |all: &[EndpointSummary]| facts_at(all, 2).split;
    let found = split(&[home(true), exit("hosting", false)]).unwrap();
    assert_eq!((found.seconds, found.differs.as_str()), (0, "class"));
    assert_eq!((found.tcp, found.udp), (Addr::v4([192, 0, 2, 2]), Addr::v4([192, 0, 2, 1])));
    assert_eq!(split(&[home(true), exit("hosting", true)]), None);
    assert_eq!(split(&[home(true), exit("mobile", false)]), None);
    assert_eq!(split(&[home(true), exit("relay", false)]), None);
}

#[test]
fn an_address_with_two_roles_is_told_for_30_days() {
    let tool = |day: u64| {
        let mut session = at(1, (day, 9, 10), &ONE);
        std::mem::swap(&mut session.initiator, &mut session.responder);
        session.responder.ip = HOUSE;
        session.incoming = None;
        let by = Some(Arc::from("rmm:anydesk"));
        session.egress = Some(Box::new(Egress { by, ..Egress::default() }));
        session
    };
    let dual = |all: &[EndpointSummary]| observed(all).facts(HOUSE, None, end(40))?.dual;
    let found = dual(&[tool(0), at(7, (30, 9, 10), &ONE)]).unwrap();
    assert_eq!((&*found.by, found.days), ("rmm:anydesk", 30));
    assert_eq!(dual(&[at(7, (31, 9, 10), &ONE), tool(0)]), None);
    assert_eq!(dual(&[tool(0), at(9, (1, 9, 10), &ONE)]), None, "from another address");
    let mut short = tool(0);
    short.last = short.first.plus(Nanos::from_secs(59));
    assert_eq!(dual(&[short, at(7, (1, 9, 10), &ONE)]), None);
}

/// What is stored says the same, and a second sensor's days add up to those of one that saw all.
#[test]
fn stored_people_are_the_same_and_add_up() {
    let each =
        |day| [at(7, (day, 9, 17), &ONE), at(7, (day, 12, 20), &TWO), at(9, (day, 1, 2), &ONE)];
    let all: Vec<_> = (0..4).flat_map(each).collect();
    let whole = observed(&all);
    let bytes = whole.encode();
    let again = People::decode(1 << 20, &bytes).unwrap();
    assert_eq!(again.encode(), bytes);
    assert_eq!(again.colocated(HOUSE, end(3)), whole.colocated(HOUSE, end(3)));
    let (a, b) = all.split_at(5);
    let mut one = observed(a);
    one.merge(observed(b));
    let mut other = observed(b);
    other.merge(observed(a));
    assert_eq!((one.encode(), other.encode()), (bytes.clone(), bytes.clone()));
    // Each bit that is not there.
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(People::decode(1 << 20, &damaged).is_err(), "{at}");
        assert!(People::decode(1 << 20, &bytes[..at]).is_err(), "{at}");
    }
    // A smaller cap holds at once.
    assert!(People::decode(2_000, &bytes).unwrap().bytes <= 2_000);
}

/// Who shares an address stays, however many others come after.
#[test]
fn a_hundred_thousand_people_stay_within_the_cap() {
    let cap = 256 << 10;
    let mut people = People::new(cap);
    for session in &farm() {
        people.observe(session, true);
    }
    let template = session(1, 5, &ONE);
    let mut most = 0;
    for n in 0..100_000u32 {
        let mut session = template.clone();
        session.initiator.ip = Addr::v4((0x0a00_0000 + n).to_be_bytes());
        let own = incoming(&mut session);
        own.subject = Some((format!("e-{n}x").into(), None));
        (own.role, own.messages) = (Some(Arc::from("developer")), 1_000);
        people.observe(&session, true);
        most = most.max(people.bytes);
    }
    assert!(most <= cap && most > cap / 2, "{most}");
    let found = people.colocated(HOUSE, end(5)).unwrap();
    assert_eq!((found.people.len(), found.away), (2, 2));
    let kept = (people.people.len() + people.sites.len()) as u64;
    assert_eq!(people.dropped + kept, 200_003);
}

/// Each laptop of a home has addresses of its own in IPv6, and changes them.
#[test]
fn people_of_one_network_of_ipv6_share_it() {
    let home = |n: u8, network: u8| {
        let mut ip = [0x20, 1, 0xd, 0xb8, 0, 0, 0, network, 0, 0, 0, 0, 0, 0, 0, n];
        ip[8] = n.wrapping_mul(37);
        Addr::v6(ip)
    };
    let all: Vec<EndpointSummary> = farm()
        .into_iter()
        .zip(1..)
        .map(|(mut session, n)| {
            session.initiator.ip = home(n, 1);
            session
        })
        .collect();
    let people = observed(&all);
    let found = people.colocated(home(99, 1), end(2)).unwrap();
    assert_eq!((found.people.len(), found.days, found.away), (2, 3, 2));
    assert_eq!(people.colocated(home(1, 2), end(2)), None, "another network");
    assert_eq!(people.sites.len(), 1);
}
