use super::*;
use crate::endpoints::summary::{Print, SideSummary, StackSummary};
use crate::model::Transport;
use crate::model::endpoint::{Locality, Service};

const ASHBURN: (f64, f64) = (39.04, -77.49);
const SEATTLE: (f64, f64) = (47.61, -122.33);
const HOUSE: Addr = Addr::v4([192, 0, 2, 7]);
const CHICAGO: (f64, f64) = (41.88, -87.63);

fn place(centre: (f64, f64)) -> ClaimedPlace {
    let sensor_km = crate::model::physics::distance_km(ASHBURN, centre);
    ClaimedPlace { centre, radius_km: 0.0, sensor_km }
}

/// Of a person who claims a place, from an address whose region is another, with a round trip.
#[derive(Clone, Copy)]
struct Seen {
    who: &'static str,
    claim: (f64, f64),
    region: (f64, f64),
    rtt_ms: u64,
}

fn session(ip: u8, day: u64, seen: &Seen) -> EndpointSummary {
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
        incoming: Some(Box::new(Incoming {
            subject: Some((Arc::from(seen.who), None)),
            claim: Some(place(seen.claim)),
            region: Some(place(seen.region)),
            ..Incoming::default()
        })),
    }
}

fn observed(all: &[EndpointSummary]) -> People {
    let mut people = People::new(100);
    all.iter().for_each(|session| people.observe(session));
    people
}

fn end(day: u64) -> Nanos {
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
fn farm() -> Vec<EndpointSummary> {
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
    let mut people = People::new(8);
    farm().iter().for_each(|session| people.observe(session));
    let alone = Seen { who: "e-5", claim: CHICAGO, region: CHICAGO, rtt_ms: 20 };
    for ip in 20..120 {
        people.observe(&session(ip, 5, &alone));
        assert!(people.sites.len() <= 8);
    }
    assert!(people.colocated(HOUSE, end(5)).is_some());
    assert_eq!(people.dropped + people.sites.len() as u64, 101);
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
