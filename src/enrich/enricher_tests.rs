//! Tests of the enricher on whole records.
//!
//! Owns: nothing. In: records made by hand. Out: verdicts. Never: part of the program.

use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::model::latency::{Exchange, Turn, Turns};
use crate::model::record::*;
use crate::model::{Addr, Counter, Counters, Nanos, Record, Transport};

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

fn party(ip: &str, port: u16) -> Party {
    let ip = addr(ip);
    Party {
        ip,
        port,
        mac: None,
        bytes: 1,
        packets: 1,
        ttl: None,
        place: None,
        asn: None,
        behind: None,
        longest: None,
        path: None,
    }
}

pub(in crate::enrich) fn record(from: &str, to: &str, port: u16) -> Record {
    Record {
        at: Nanos(1),
        start: Nanos(1),
        end: Nanos(1),
        state: SessionState::Established,
        transport: Transport::TCP,
        version: if from.contains(':') { 6 } else { 4 },
        vlan: None,
        id: [0; 16],
        point: 0,
        initiator: party(from, 50_000),
        responder: party(to, port),
        near: Leg::default(),
        far: Leg::default(),
        syn: None,
        quality: Quality::default(),
        facts: Facts::default(),
        context: Context::default(),
        file: 0,
        frame_first: 1,
        frame_last: 1,
        twin: 0,
        doubtful: false,
        activity: None,
        interaction: None,
        remote_control: None,
        update: None,
        grain: crate::model::Grain::default(),
    }
}

pub(in crate::enrich) fn enricher(options: &EnrichOptions) -> Enricher {
    Enricher::new(Arc::new(EnrichData::load(options).map_err(|e| e[0].to_string()).unwrap()))
}

pub(in crate::enrich) fn enriched(mut record: Record) -> Record {
    let sensor = Some(parse_place("SEA").unwrap());
    enricher(&EnrichOptions { sensor, ..EnrichOptions::default() }).enrich(&mut record);
    record
}

fn hits(record: &Record) -> Vec<(&str, &str)> {
    record.context.hits.iter().map(|hit| (&*hit.tag, hit.on)).collect()
}

#[test]
fn directions_follow_the_home_networks() {
    let direction = |from, to| enriched(record(from, to, 443)).context.direction;
    assert_eq!(direction("10.0.0.5", "8.8.8.8"), Direction::Outbound);
    assert_eq!(direction("8.8.8.8", "192.168.1.1"), Direction::Inbound);
    assert_eq!(direction("10.0.0.5", "224.0.0.251"), Direction::Internal);
    assert_eq!(direction("fe80::1", "ff02::fb"), Direction::Internal);
    assert_eq!(direction("8.8.8.8", "1.1.1.1"), Direction::External);
    let home = vec![Prefix::parse("8.8.8.0/24").unwrap()];
    let mut enricher = enricher(&EnrichOptions { home, ..EnrichOptions::default() });
    let mut inbound = record("10.0.0.5", "8.8.8.8", 443);
    enricher.enrich(&mut inbound);
    assert_eq!(inbound.context.direction, Direction::Inbound);
}

#[test]
fn owners_places_and_lists_of_the_remote_end() {
    let outbound = enriched(record("10.0.0.5", "104.140.119.5", 443));
    assert_eq!(outbound.responder.asn.as_ref().unwrap().number, 62904);
    assert_eq!(outbound.responder.place.as_ref().unwrap().country.as_deref(), Some("US"));
    assert!(outbound.initiator.place.is_none() && outbound.initiator.asn.is_none());
    let found = hits(&outbound);
    assert!(found.contains(&("vpn:astrill", "destination.ip")), "{found:?}");
    assert!(found.contains(&("hosting", "destination.as.number")), "{found:?}");
    let inbound = enriched(record("104.140.119.5", "10.0.0.5", 443));
    assert!(hits(&inbound).contains(&("vpn:astrill", "source.ip")));
    assert_eq!(inbound.context.subject.as_ref().unwrap().to_string(), "104.140.119.5");
}

#[test]
fn an_indicator_on_the_home_side_gives_no_hit() {
    let home = vec![Prefix::parse("104.140.119.0/24").unwrap()];
    let mut enricher = enricher(&EnrichOptions { home, ..EnrichOptions::default() });
    let mut own = record("104.140.119.5", "17.1.1.1", 443);
    enricher.enrich(&mut own);
    assert!(hits(&own).iter().all(|(_, on)| !on.starts_with("source")), "{:?}", hits(&own));
}

#[test]
fn names_name_the_application_before_ports() {
    let mut named = record("10.0.0.5", "81.2.69.142", 7070);
    let tls =
        TlsFacts { server_name: Some("Relay-01.net.anydesk.com".into()), ..TlsFacts::default() };
    named.facts.tls = Some(Box::new(tls));
    let named = enriched(named);
    assert_eq!(named.context.application.as_deref(), Some("anydesk"));
    assert_eq!(named.context.application_reason, Some("sni"));
    assert_eq!(hits(&named), [("rmm:anydesk", "tls.client.server_name")]);
    assert_eq!(&*named.context.hits[0].entry, "net.anydesk.com");

    let mut dns = record("10.0.0.5", "10.0.0.1", 53);
    let facts = DnsFacts { name: Some("mullvad.net".into()), ..DnsFacts::default() };
    dns.facts.dns = Some(Box::new(facts));
    let dns = enriched(dns);
    assert_eq!(dns.context.application.as_deref(), Some("mullvad"));
    assert_eq!(dns.context.application_reason, Some("dns"));

    let port = enriched(record("10.0.0.5", "81.2.69.142", 7070));
    assert_eq!(port.context.application.as_deref(), Some("anydesk"));
    assert_eq!(port.context.application_reason, Some("port"));
    assert!(hits(&port).is_empty());

    let mut other = record("10.0.0.5", "81.2.69.142", 7070);
    other.facts.protocol = Some(Protocol::Http);
    assert_eq!(enriched(other).context.application, None);
    let mut scan = record("10.0.0.5", "81.2.69.142", 7070);
    scan.responder.packets = 0;
    assert_eq!(enriched(scan).context.application, None);
}

#[test]
fn hits_stay_within_their_cap() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..40 {
        let text = format!(
            "# name: many-{i}\n# kind: name\n# source: s\n# date: 2026-01-01\n\
             # licence: x\na.example\n"
        );
        std::fs::write(dir.path().join(format!("{i}.txt")), text).unwrap();
    }
    let lists = Some(dir.path().to_path_buf());
    let mut enricher = enricher(&EnrichOptions { lists, ..EnrichOptions::default() });
    let mut many = record("10.0.0.5", "17.1.1.1", 443);
    let facts = DnsFacts { name: Some("a.example".into()), ..DnsFacts::default() };
    many.facts.dns = Some(Box::new(facts));
    enricher.enrich(&mut many);
    assert_eq!(many.context.hits.len(), HITS_MAX);
    // On 40 lists, and one of the embedded ones knows the owner of 17.1.1.1.
    for expected in [25, 25] {
        let mut counters = crate::model::Counters::default();
        enricher.drain_counters(&mut counters);
        assert_eq!(counters.get(crate::model::Counter::ListHitsDropped), expected);
        enricher.enrich(&mut many);
    }
}

#[test]
fn physics_uses_the_leg_of_the_remote_end() {
    // 81.2.69.142 is in England: 7 700 km from Seattle.
    let far = |ns| Leg { handshake_ns: Some(ns), ..Leg::default() };
    let mut fast = record("10.0.0.5", "81.2.69.142", 443);
    fast.far = far(5_000_000);
    fast.near = far(500_000_000);
    let physics = enriched(fast).context.physics.unwrap();
    assert_eq!(physics.verdict, PhysicsVerdict::TooFast);
    assert!(physics.claim_km.unwrap() > 7_000.0);
    let mut slow = record("81.2.69.142", "10.0.0.5", 443);
    slow.near = far(140_000_000);
    assert_eq!(enriched(slow).context.physics.unwrap().verdict, PhysicsVerdict::Possible);
    // Over UDP: exchanges answered without computing.
    let mut udp = record("10.0.0.5", "81.2.69.142", 443);
    udp.transport = Transport::UDP;
    let turn = Turn::new(Exchange::Quic, false, 5_000_000);
    udp.facts.turns = Some(Box::new(Turns { far: Some(turn), ..Turns::default() }));
    assert_eq!(enriched(udp).context.physics.unwrap().verdict, PhysicsVerdict::TooFast);
    // Google's anycast: tags take precedence.
    let mut anycast = record("10.0.0.5", "8.8.8.8", 443);
    anycast.far = far(1_000_000);
    let physics = enriched(anycast).context.physics.unwrap();
    assert_eq!(physics.verdict, PhysicsVerdict::Unknown);
    assert_eq!(physics.withheld_by, Some("cdn"));
    assert!(enriched(record("10.0.0.5", "81.2.69.142", 443)).context.physics.is_none());
}

#[test]
fn caches_change_no_answer() {
    let data = Arc::new(EnrichData::load(&EnrichOptions::default()).map_err(|_| ()).unwrap());
    let mut warm = Enricher::new(Arc::clone(&data));
    let mut state = 7u64;
    for i in 0..6_000u32 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Few networks, many hosts: the cache is hit and slots are replaced.
        let ip =
            Addr::v4([23, (state >> 60) as u8, (state >> 50) as u8 & 0x3f, (state >> 40) as u8]);
        let mut a = record("10.0.0.5", &ip.to_string(), 443);
        let mut b = a.clone();
        warm.enrich(&mut a);
        if i % 20 == 0 {
            Enricher::new(Arc::clone(&data)).enrich(&mut b);
            assert_eq!(a.responder.place, b.responder.place, "{ip}");
            assert_eq!(a.responder.asn, b.responder.asn, "{ip}");
        }
    }
    let mut counters = Counters::default();
    warm.drain_counters(&mut counters);
    assert_eq!(counters.get(Counter::GeoErrors), 0);
}

#[test]
fn subjects_of_the_file_precede_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("subjects.csv");
    std::fs::write(&path, "match,id,name\n17.0.0.0/8,e-1,Ann\n").unwrap();
    let options = EnrichOptions { subjects: Some(path), ..EnrichOptions::default() };
    let mut enricher = enricher(&options);
    let mut inbound = record("17.1.1.1", "10.0.0.5", 443);
    enricher.enrich(&mut inbound);
    assert_eq!(inbound.context.subject.as_ref().unwrap().to_string(), "e-1");
    assert_eq!(inbound.context.subject_name.as_deref(), Some("Ann"));
    let mut external = record("23.1.1.1", "23.1.1.2", 443);
    enricher.enrich(&mut external);
    assert_eq!(external.context.subject, None);
}

#[test]
fn all_load_errors_are_reported_together() {
    let missing = Some("/nonexistent".into());
    let options = EnrichOptions {
        geo: missing.clone(),
        lists: missing.clone(),
        subjects: missing,
        ..EnrichOptions::default()
    };
    assert_eq!(EnrichData::load(&options).err().unwrap().len(), 3);
}
