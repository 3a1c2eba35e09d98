//! Tests of the table of hosts: what it finds, its bounds, and that order does not matter.

use super::*;
use crate::model::beats::BeatKind;
use crate::model::endpoint::Service as Listens;
use crate::model::{Nanos, Transport};

const MS: u64 = 1_000_000;
const SCREEN: Addr = Addr::v4([203, 0, 113, 1]);
const WORK: Addr = Addr::v4([198, 51, 100, 2]);

fn host(n: u32) -> Addr {
    Addr::v4((0x0a00_0000 + n).to_be_bytes())
}

fn beat(own: Addr, peer: Addr, ms: u64, kind: BeatKind) -> Beat {
    let sent = if peer == SCREEN { 2_000 } else { 36 };
    let (time, second) = (Nanos(ms * MS), (ms / 1_000) as u32);
    Beat { second, host: own, time, peer, kind, size: 36, service: 0, sent, received: 40, shard: 0 }
}

/// Somebody elsewhere types: each message is followed by a keystroke after 4 ms, in bursts of 8.
fn driven(own: Addr, from_ms: u64, keys: u64) -> Vec<Beat> {
    let each = |n: u64| {
        let at = from_ms + n * 137 + n / 8 * 1_900 + n * n % 61;
        [(SCREEN, at, BeatKind::Input), (WORK, at + 4, BeatKind::Key)]
    };
    let all = (0..keys).flat_map(each);
    all.map(|(peer, ms, kind)| beat(own, peer, ms, kind)).collect()
}

fn run(stepping: &mut Stepping, mut beats: Vec<Beat>) {
    beats.sort_unstable();
    for second in beats.chunk_by(|a, b| a.second == b.second) {
        stepping.take(second);
        stepping.end_second(second[0].second);
    }
}

#[test]
fn a_driven_host_is_found_and_where_its_keys_come_from() {
    let mut stepping = Stepping::new(1 << 20);
    run(&mut stepping, driven(host(1), 1_000_000, 60));
    let control = stepping.control(host(1)).unwrap();
    assert_eq!((control.from, control.to), (SCREEN, WORK));
    assert!(control.confidence >= 0.75, "{control:?}");
    assert!((3_000_000..=5_000_000).contains(&control.lag_ns), "{control:?}");
    assert_eq!(stepping.driven(), [host(1)]);
    assert_eq!(stepping.control(host(2)), None);
}

/// The same keystrokes, but what comes in is the answer of a server that is worked with: more comes
/// in than goes out there.
#[test]
fn a_server_that_answers_drives_nobody() {
    let mut beats = driven(host(1), 1_000_000, 60);
    for beat in beats.iter_mut().filter(|beat| beat.peer == SCREEN) {
        (beat.sent, beat.received) = (40, 2_000);
    }
    let mut stepping = Stepping::new(1 << 20);
    run(&mut stepping, beats);
    assert_eq!(stepping.control(host(1)), None);
}

#[test]
fn it_is_judged_while_it_lasts_and_once_for_each_news() {
    let mut stepping = Stepping::new(1 << 20);
    let mut beats = driven(host(1), 1_000_000, 200);
    beats.sort_unstable();
    let mut judged = Vec::new();
    for second in beats.chunk_by(|a, b| a.second == b.second) {
        stepping.take(second);
        stepping.end_second(second[0].second);
        while let Some(addr) = stepping.next_due() {
            judged.push((second[0].second, addr));
        }
    }
    let (first, last) = (judged[0].0, beats[beats.len() - 1].second);
    assert!(first < 1_020 && judged.len() as u32 >= (last - first) / 10, "{judged:?}");
    assert!(judged.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

/// A hundred thousand hosts that do many things, in their share of the least memory: the few that
/// are driven stay.
#[test]
fn a_flood_of_hosts_is_bounded_and_hides_none_that_is_driven() {
    const CAP: usize = 4 << 20;
    let mut stepping = Stepping::new(CAP);
    let few = [host(1), host(2), host(3)];
    let mut beats: Vec<Beat> = few.iter().flat_map(|own| driven(*own, 1_000_000, 60)).collect();
    let peers = [SCREEN, WORK, host(9)];
    for n in 0..100_000u32 {
        let at = 1_005_000 + u64::from(n) / 4;
        let kinds = [BeatKind::Input, BeatKind::Key, BeatKind::Volume];
        for (at, (peer, kind)) in (at..).zip(peers.into_iter().zip(kinds)) {
            beats.push(beat(host(1_000 + n), peer, at, kind));
        }
    }
    run(&mut stepping, beats);
    assert!(stepping.held() <= CAP, "{}", stepping.held());
    let held: usize = stepping.hosts.values().map(|host| host.bytes() + PLACE).sum();
    assert_eq!(held, stepping.bytes, "every byte is accounted for");
    assert!(stepping.dropped > 50_000, "{}", stepping.dropped);
    assert_eq!(stepping.driven(), few);
}

#[test]
fn peers_and_pairs_of_a_host_are_bounded_and_the_one_that_tells_stays() {
    let mut stepping = Stepping::new(16 << 20);
    let mut beats = driven(host(1), 1_000_000, 120);
    for n in 0..40_000u64 {
        let peer = host(5_000 + n as u32 % 700);
        let kind = if n % 2 == 0 { BeatKind::Input } else { BeatKind::Key };
        beats.push(beat(host(1), peer, 1_000_000 + n, kind));
    }
    run(&mut stepping, beats);
    assert!(stepping.bytes < 32_768, "{}", stepping.bytes);
    let control = stepping.control(host(1)).unwrap();
    assert_eq!((control.from, control.to), (SCREEN, WORK), "{control:?}");
}

/// Eight other ends come first and send much, all the time: what follows them is chance.
#[test]
fn busy_pairs_that_come_first_do_not_push_out_the_one_that_tells() {
    let mut stepping = Stepping::new(16 << 20);
    let mut beats = driven(host(1), 1_200_000, 400);
    for n in 0..12u32 {
        let peer = host(6_000 + n);
        let each = (0..3_000u64).map(|k| 1_000_000 + k * 90 + k * k % 71 + u64::from(n) * 7);
        beats.extend(each.map(|ms| beat(host(1), peer, ms, BeatKind::Input)));
    }
    // Another session of the host keeps their pairs full.
    let keys = (0..500u64).map(|k| 1_000_000 + k * 400 + k * k % 307);
    beats.extend(keys.map(|ms| beat(host(1), WORK, ms, BeatKind::Key)));
    run(&mut stepping, beats);
    let control = stepping.control(host(1)).unwrap();
    assert_eq!((control.from, control.to), (SCREEN, WORK), "{control:?}");
    assert!(control.confidence >= DRIVEN, "{control:?}");
}

/// Driven once, then other traffic for two weeks.
#[test]
fn what_was_found_is_dropped_after_seven_days() {
    const DAY: u64 = 86_400_000;
    let mut stepping = Stepping::new(16 << 20);
    run(&mut stepping, driven(host(1), 1_000_000, 600));
    let found = stepping.control(host(1)).unwrap();
    assert!(found.windows > 0 && found.days == 1, "{found:?}");
    for day in 1..15 {
        let plain = beat(host(1), WORK, 1_000_000 + day * DAY, BeatKind::Volume);
        run(&mut stepping, vec![plain]);
        assert_eq!(stepping.driven().is_empty(), day >= 7, "day {day}");
    }
}

#[test]
fn the_next_holder_of_an_address_is_not_blamed() {
    let mut stepping = Stepping::new(16 << 20);
    run(&mut stepping, driven(host(1), 1_000_000, 60));
    let held = |who: &str, first| {
        let mut session = served(who);
        session.first = Nanos(first);
        session
    };
    stepping.note(&held("laptop-7", 5));
    stepping.note(&held("laptop-7", 7));
    stepping.note(&held("laptop-8", 6));
    assert_eq!(stepping.driven(), [host(1)], "an earlier session that ended later");
    stepping.note(&held("laptop-8", 9));
    assert!(stepping.driven().is_empty());
    let held: usize = stepping.hosts.values().map(|host| host.bytes() + PLACE).sum();
    assert_eq!(held, stepping.bytes, "every byte is accounted for");
}

#[test]
fn hosts_that_were_silent_for_long_are_forgotten() {
    let mut stepping = Stepping::new(1 << 20);
    let plain = |n, ms| beat(host(n), WORK, ms, BeatKind::Volume);
    run(&mut stepping, vec![plain(1, 1_000_000), plain(2, 1_900_000), plain(3, 2_000_000)]);
    assert_eq!(stepping.hosts.len(), 2);
    assert_eq!(stepping.dropped, 0, "nothing is lost with one");
}

const FAR: ControllerLeg = ControllerLeg {
    whole_ns: 230_000_000,
    hidden_ns: Some(190_000_000),
    samples: 2,
    method: "handshake",
};

/// A session by which somebody outside drives a host that has that name.
fn served(name: &str) -> EndpointSummary {
    use crate::endpoints::summary::{Incoming, SideSummary, StackSummary};

    let side = |ip, side| SideSummary {
        ip,
        side,
        print: Default::default(),
        handshake_ns: None,
        transport_ns: None,
        place: None,
        asn: None,
    };
    let long = LongSession {
        session: Incoming { subject: Some(("caller".into(), None)), ..Incoming::default() },
        kind: "rdp".into(),
        responder: Some((name.into(), None)),
        legs: [Some(FAR), None],
        ..LongSession::default()
    };
    EndpointSummary {
        doubtful: false,
        initiator: side(SCREEN, Locality::Remote),
        responder: side(host(1), Locality::Home),
        service: None,
        first: Nanos(1),
        last: Nanos(2),
        tags: Vec::new(),
        turns: None,
        stack: StackSummary::default(),
        refused: None,
        long: Some(Box::new(long)),
        egress: None,
        incoming: None,
    }
}

/// Whoever connects to a host that serves is not whom its alert is about.
#[test]
fn the_driven_host_is_the_subject() {
    let mut stepping = Stepping::new(1 << 20);
    run(&mut stepping, driven(host(1), 1_000_000, 60));
    stepping.note(&served("laptop-7"));
    let control = stepping.control(host(1)).unwrap();
    assert!(control.serves && control.via.as_deref() == Some("rdp"), "{control:?}");
    assert_eq!(control.leg, Some(FAR));
    let session = control.session.unwrap();
    assert_eq!((session.subject.as_deref(), session.began), (Some("laptop-7"), host(1)));
    assert_eq!((session.peer, session.peer_home), (SCREEN, false));
}

/// Checks go on for as long as the session does; a later session without a leg takes nothing away.
#[test]
fn the_surest_leg_of_a_way_counts() {
    let mut stepping = Stepping::new(1 << 20);
    run(&mut stepping, driven(host(1), 1_000_000, 60));
    let stun = ControllerLeg { samples: 20, method: "stun", ..FAR };
    for (end, leg) in [(2, Some(FAR)), (3, Some(stun)), (4, Some(FAR)), (5, None)] {
        let mut session = served("laptop-7");
        session.last = Nanos(end);
        session.long.as_mut().unwrap().legs = [leg, None];
        stepping.note(&session);
    }
    let control = stepping.control(host(1)).unwrap();
    assert_eq!((control.leg, control.session.unwrap().end), (Some(stun), Nanos(5)));
}

/// Four clients of a service of ours that work, and one that sends the same each minute.
fn one_each_minute(stepping: &mut Stepping) {
    let served = |n: u8, ms, size| {
        let peer = Addr::v4([203, 0, 113, n]);
        Beat { size, service: 443, ..beat(host(1), peer, ms, BeatKind::Input) }
    };
    let mut beats: Vec<Beat> = (0..60).map(|n| served(1, 1_000_000 + n * 60_000, 73)).collect();
    for n in 2..6 {
        let each = |k: u64| served(n, 1_000_000 + k * 9_000 + k * k * 37, 60 + (k % 9) as u16);
        beats.extend((0..300).map(each));
    }
    run(stepping, beats);
}

#[test]
fn a_client_that_is_no_host_of_ours_and_has_no_approved_tool_is_told_of() {
    let told = |side: Locality, approved: bool| {
        let mut stepping = Stepping::new(1 << 20);
        one_each_minute(&mut stepping);
        let mut session = served("laptop-7");
        session.initiator.side = side;
        session.service = Some(Listens { transport: Transport::TCP, port: 443 });
        session.long.as_mut().unwrap().approved = approved;
        stepping.note(&session);
        stepping.next_alone().map(|(client, _)| client)
    };
    assert_eq!(told(Locality::Remote, false), Some(SCREEN));
    assert_eq!(told(Locality::Home, false), None, "one of our own");
    assert_eq!(told(Locality::Remote, true), None, "approved");
}

/// Many services with many clients take no host's place.
#[test]
fn a_flood_of_clients_is_bounded_counted_and_costs_no_host() {
    const CAP: usize = 4 << 20;
    let mut stepping = Stepping::new(CAP);
    run(&mut stepping, driven(host(1), 1_000_000, 60));
    let mut beats = Vec::new();
    for n in 0..60_000u32 {
        let peer = Addr::v4((0xc633_0000 + n).to_be_bytes());
        let at = 1_010_000 + u64::from(n);
        let one = beat(host(1 + n % 20), peer, at, BeatKind::Input);
        beats.push(Beat { service: 443 + (n / 20 % 5) as u16, ..one });
    }
    run(&mut stepping, beats);
    assert_eq!((stepping.dropped, stepping.driven()), (0, vec![host(1)]));
    assert!(stepping.service_bytes <= CAP / SERVED, "{}", stepping.service_bytes);
    let held: usize = stepping.services.values().map(|one| one.bytes() + SERVICE).sum();
    assert_eq!(held, stepping.service_bytes, "every byte is accounted for");
    let kept: usize = stepping.services.values().map(Service::len).sum();
    assert_eq!(kept as u64 + stepping.clients_dropped, 60_000);
}
