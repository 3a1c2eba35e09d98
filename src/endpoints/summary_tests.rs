//! What a session contributes to its two endpoints.
//!
//! Owns: which fact goes to which end. In: made-up records. Out: assertions. Never: built into the
//! program.

use super::*;
use crate::model::latency::{Exchange, Turn};
use crate::model::protocol::Protocol;
use crate::model::record::*;

fn party(ip: [u8; 4], port: u16) -> Party {
    Party {
        ip: Addr::v4(ip),
        port,
        mac: None,
        bytes: 400,
        packets: 4,
        ttl: None,
        place: None,
        asn: None,
        behind: None,
        longest: None,
        path: None,
    }
}

fn record(direction: Direction) -> Record {
    let tls = TlsFacts { ja4: Some("a".repeat(36).into()), ..TlsFacts::default() };
    let ssh = SshFacts {
        client: Some("SSH-2.0-PuTTY_0.80".into()),
        server: Some("SSH-2.0-OpenSSH_9.6p1 Ubuntu-3".into()),
        ..SshFacts::default()
    };
    let facts = Facts { tls: Some(Box::new(tls)), ssh: Some(Box::new(ssh)), ..Facts::default() };
    Record {
        at: Nanos(9),
        start: Nanos(5),
        end: Nanos(8),
        state: SessionState::Closed,
        transport: Transport::TCP,
        version: 4,
        vlan: None,
        id: [1; 16],
        point: 0,
        initiator: party([10, 0, 0, 1], 50_000),
        responder: party([203, 0, 113, 1], 443),
        near: Leg { handshake_ns: Some(11), ..Leg::default() },
        far: Leg { handshake_ns: Some(22), ..Leg::default() },
        syn: None,
        quality: Quality::default(),
        facts,
        context: Context { direction, ..Context::default() },
        file: 0,
        frame_first: 1,
        frame_last: 8,
        twin: 0,
        doubtful: false,
        activity: None,
        interaction: None,
        remote_control: None,
        update: None,
        grain: crate::model::Grain::default(),
    }
}

#[test]
fn software_is_the_third_part_of_the_banner() {
    assert_eq!(software("SSH-2.0-OpenSSH_9.6p1 Ubuntu-3"), Some("OpenSSH_9.6p1"));
    assert_eq!(software("SSH-2.0-libssh-0.9.6\r\n"), Some("libssh-0.9.6"));
    assert_eq!(software("SSH-2.0-"), None);
    assert_eq!(software("HTTP/1.1 200 OK"), None);
}

#[test]
fn each_end_keeps_its_own_leg_and_a_remote_one_its_fingerprint() {
    let outbound = EndpointSummary::of(&mut record(Direction::Outbound));
    assert_eq!(
        (outbound.initiator.side, outbound.responder.side),
        (Locality::Home, Locality::Remote)
    );
    assert_eq!(outbound.initiator.handshake_ns, Some(11));
    assert_eq!(outbound.responder.handshake_ns, Some(22));
    assert_eq!(outbound.initiator.print, Print::None);
    assert_eq!(outbound.responder.print, Print::Ssh("OpenSSH_9.6p1".into()));
    assert_eq!(outbound.service, Some(Service { transport: Transport::TCP, port: 443 }));
    let inbound = EndpointSummary::of(&mut record(Direction::Inbound));
    assert_eq!(inbound.initiator.print, Print::Ja4("a".repeat(36).into(), None));
    assert_eq!(inbound.responder.print, Print::None);
}

#[test]
fn the_fingerprint_tells_a_family_although_it_goes() {
    let mut inbound = record(Direction::Inbound);
    let tls = inbound.facts.tls.as_deref_mut().unwrap();
    tls.ja4 = Some("t13d2014h2_a09f3c656075_14788d8d241b".into());
    inbound.facts.ssh = None;
    assert_eq!(EndpointSummary::of(&mut inbound).stack.program(), OsFamily::Apple);
}

#[test]
fn a_port_that_never_answered_or_refused_is_no_service() {
    let mut refused = record(Direction::Outbound);
    refused.state = SessionState::Reset;
    (refused.far, refused.facts.protocol) = (Leg::default(), None);
    (refused.initiator.packets, refused.responder.packets) = (3, 3);
    assert_eq!(EndpointSummary::of(&mut refused).service, None);
    refused.far.handshake_ns = Some(1_000);
    assert!(EndpointSummary::of(&mut refused).service.is_some());
    let mut silent = record(Direction::Outbound);
    silent.state = SessionState::Opened;
    assert_eq!(EndpointSummary::of(&mut silent).service, None);
}

#[test]
fn a_tag_is_of_the_end_that_it_was_found_on() {
    let hit = |on: &'static str| ListHit { list: 0, tag: on.into(), entry: "e".into(), on };
    let fields = [
        "source.ip",
        "destination.ip",
        "tls.client.server_name",
        "tls.client.ja4",
        "dns.question.name",
    ];
    let tags = |direction, unconfirmed| {
        let mut record = record(direction);
        record.quality.unconfirmed = unconfirmed;
        record.context.hits = fields.map(hit).to_vec();
        let tags = EndpointSummary::of(&mut record).tags;
        let text = |(of_initiator, tag): (bool, Arc<str>)| format!("{of_initiator} {tag}");
        tags.into_iter().map(text).collect::<Vec<_>>()
    };
    let addresses = ["true source.ip", "false destination.ip"];
    let outbound = [&addresses[..], &["false tls.client.server_name", "false tls.client.ja4"]];
    assert_eq!(tags(Direction::Outbound, false), outbound.concat());
    // The name that somebody outside asks for is one of ours, whatever they ask for.
    let inbound = [&addresses[..], &["true tls.client.ja4"]];
    assert_eq!(tags(Direction::Inbound, false), inbound.concat());
    for direction in [Direction::Outbound, Direction::Inbound] {
        assert_eq!(tags(direction, true), addresses);
    }
}

/// Whoever copies the fingerprint or protocol of a gateway is none.
#[test]
fn what_a_client_from_outside_says_accuses_but_excuses_nothing() {
    let tags = |direction, on: &'static str| {
        let hit = |tag: &str| ListHit { list: 0, tag: tag.into(), entry: "e".into(), on };
        let mut record = record(direction);
        record.context.hits = ["sase", "relay", "mobile", "office", "vpn:x"].map(hit).to_vec();
        EndpointSummary::of(&mut record).tags.len()
    };
    let chosen = [
        "tls.client.ja4",
        "longhaul.tls.alpn",
        "longhaul.ssh.server",
        "network.protocol",
        "network.application",
    ];
    for on in chosen {
        assert_eq!(tags(Direction::Inbound, on), 1, "{on}: the VPN");
        assert_eq!(tags(Direction::Outbound, on), 5, "{on}: of the server that our side chose");
    }
    for on in ["source.ip", "source.as.number", "destination.ip"] {
        assert_eq!(tags(Direction::Inbound, on), 5, "{on}");
    }
}

#[test]
fn over_udp_the_leg_is_what_is_answered_without_thought() {
    let turn = Turn::new;
    let mut udp = record(Direction::Inbound);
    udp.transport = Transport::UDP;
    (udp.near, udp.far) = (Leg::default(), Leg::default());
    let turns = Turns {
        near: Some(turn(Exchange::Quic, true, 31)),
        turns: vec![turn(Exchange::Quic, true, 75), turn(Exchange::Ike, false, 44)],
        ..Turns::default()
    };
    udp.facts.turns = Some(Box::new(turns.clone()));
    let summary = EndpointSummary::of(&mut udp.clone());
    let told = (summary.initiator.handshake_ns, summary.initiator.transport_ns);
    assert_eq!(told, (None, Some(31)));
    // IKE_AUTH needs public-key arithmetic: it is no transport round trip.
    assert_eq!(summary.responder.transport_ns, None);
    assert!(summary.turns.is_some());
    // OpenVPN over TCP passes through a proxy; TCP has a leg of its own or none.
    udp.transport = Transport::TCP;
    udp.facts.turns = Some(Box::new(turns));
    let summary = EndpointSummary::of(&mut udp);
    assert_eq!((summary.initiator.transport_ns, summary.turns), (None, None));
}

/// A session by which a home host may be driven.
fn drives(direction: Direction) -> Record {
    let mut record = record(direction);
    record.activity = Some(crate::model::activity::Activity::default());
    (record.initiator.bytes, record.responder.bytes) = (5_000, 5_000);
    record.interaction = Some(Box::default());
    record
}

#[test]
fn a_relay_passes_on_what_whoever_opened_the_session_answers() {
    use crate::model::controller_leg::ControllerLeg;

    let legs = |record: &mut Record| EndpointSummary::of(record).long.unwrap().legs;
    let mut inbound = drives(Direction::Inbound);
    let turns = inbound.facts.turns.get_or_insert_default();
    turns.turns = vec![
        Turn::new(Exchange::Tls, true, 200_000_011),
        Turn::new(Exchange::Rdp, true, 210_000_011),
        Turn::new(Exchange::Tls, false, 900_000_000),
    ];
    let leg = ControllerLeg {
        whole_ns: 200_000_011,
        hidden_ns: Some(200_000_000),
        samples: 2,
        method: "handshake",
    };
    assert_eq!(legs(&mut inbound), [Some(leg), None]);
    assert_eq!(legs(&mut drives(Direction::Inbound)), [None, None]);
}

#[test]
fn checks_of_both_ends_tell_the_way_between_them() {
    use crate::model::controller_leg::ControllerLeg;
    use crate::model::remote_control::{Checks, RoundTrip};

    let trip = |min_us| RoundTrip { min_us, samples: 9 };
    let legs = |checks: Checks| {
        let mut record = drives(Direction::Outbound);
        record.interaction.as_mut().unwrap().checks = checks;
        EndpointSummary::of(&mut record).long.unwrap().legs[1]
    };
    let mut checks = Checks::NONE;
    checks.outer[1] = trip(180_000);
    assert_eq!(legs(checks), None, "a server that only answers");
    checks.outer[0] = trip(2_000);
    let whole =
        ControllerLeg { whole_ns: 180_000_000, hidden_ns: None, samples: 9, method: "stun" };
    assert_eq!(legs(checks), Some(whole));
    checks.inner[1] = trip(230_000);
    let hidden = legs(checks).unwrap();
    // The way to the relay is the lowest that was measured.
    assert_eq!((hidden.whole_ns, hidden.hidden_ns), (230_000_000, Some(229_999_978)));
}

/// Only a server of QUIC searches for the path MTU, and only fragments of the remote end were made
/// on the way to us.
#[test]
fn sizes_count_where_they_are_about_the_path() {
    let path = |fragments| Some(PathMtu { at_least: 1_415, below: 1_423, fragments });
    let told = |protocol, initiator, responder| {
        let mut one = record(Direction::Inbound);
        one.transport = Transport::UDP;
        one.facts.protocol = protocol;
        (one.initiator.path, one.responder.path) = (initiator, responder);
        EndpointSummary::of(&mut one).incoming.and_then(|incoming| incoming.path)
    };
    assert_eq!(told(Some(Protocol::Quic), None, path(false)), path(false));
    assert_eq!(told(Some(Protocol::Openvpn), None, path(false)), None);
    assert_eq!(told(None, None, path(true)), None, "for a link of our own, perhaps");
    assert_eq!(told(Some(Protocol::Openvpn), path(true), path(false)), path(true));
    assert_eq!(told(Some(Protocol::Quic), path(true), path(false)), path(false), "harder to forge");
    assert_eq!(told(Some(Protocol::Quic), path(false), None), None);
}
