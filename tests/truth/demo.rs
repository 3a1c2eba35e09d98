//! The demonstration capture against facts told by another dissector (tests/data/demo/README.md).

use std::sync::Mutex;

use longhaul::config::Plan;
use longhaul::model::Record;
use longhaul::model::Transport;
use longhaul::model::names::tls_version;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::run_tapped;
use serde_json::Value;

use crate::common::End;
use crate::common::Seen;
use crate::common::Tally;
use crate::common::demo;
use crate::common::initiator;
use crate::common::own;

const FILE: &str = "farm.pcap.zst";

fn expected() -> Value {
    let path = own("tests/data/demo/expected.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Microseconds with three decimals as nanoseconds, exactly.
fn exact_ns(value: &Value) -> u64 {
    (value.as_f64().unwrap() * 1_000.0).round() as u64
}

fn end(of: &Value, address: &str, port: &str) -> End {
    let port = of[port].as_u64().unwrap_or(53) as u16;
    (of[address].as_str().unwrap().parse().unwrap(), port)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Base64 (RFC 4648 section 4) of a Community ID's hash.
fn community_id(hash: &[u8; 20]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = "1:".to_owned();
    for three in hash.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - three.len()));
        for at in 0..4 {
            let letter = char::from(LETTERS[(word >> (18 - 6 * at)) as usize & 63]);
            out.push(if at <= three.len() { letter } else { '=' });
        }
    }
    out
}

/// What a session says under a key of the facts; `None` for keys that no record holds.
fn said(record: &Record, key: &str) -> Option<Value> {
    let tls = record.facts.tls.as_deref();
    let ssh = record.facts.ssh.as_deref();
    let syn = record.syn.as_ref();
    Some(match key {
        "start_ns" => record.start.0.into(),
        "duration_us" => (record.end.0 - record.start.0).into(),
        "syn_synack_us" => record.far.handshake_ns.into(),
        "synack_ack_us" => record.near.handshake_ns.into(),
        "community_id" => record.context.community_id.as_ref().map(community_id).into(),
        "syn_mss" => syn.and_then(|syn| syn.mss).into(),
        "syn_ttl" => record.initiator.ttl.into(),
        "client_packets" => record.initiator.packets.into(),
        "server_packets" => record.responder.packets.into(),
        "retransmissions" => record.quality.retransmits.into(),
        "sni" => tls?.server_name.as_deref().into(),
        "tls_version" => tls?.version.and_then(tls_version).map(|(version, _)| version).into(),
        "ja4" => tls?.ja4.as_deref().into(),
        "ja3_md5" => tls?.ja3.map(|hash| hex(&hash)).into(),
        "ssh_client" => ssh?.client.as_deref().into(),
        "ssh_server" => ssh?.server.as_deref().into(),
        "hassh" => ssh?.hassh.map(|hash| hex(&hash)).into(),
        "hasshserver" => ssh?.hassh_server.map(|hash| hex(&hash)).into(),
        _ => return None,
    })
}

/// Keys of the facts that name the session, or that a record does not hold.
const BESIDE: [&str; 9] = [
    "client",
    "client_port",
    "server",
    "server_port",
    "handshake_repeated",
    "client_payload_bytes",
    "server_payload_bytes",
    "ack_first_data_us",
    "tls_gap_us",
];

#[test]
fn every_session_of_the_demonstration_is_exact() {
    let expected = expected();
    let seen = Seen::read(vec![demo()]);
    let mut tally = Tally::new("demo sessions");
    for want in expected["sessions"].as_array().unwrap() {
        let client = end(want, "client", "client_port");
        let found = seen.between(FILE, Transport::TCP, client, end(want, "server", "server_port"));
        let [record] = found[..] else { panic!("{want}: {} sessions", found.len()) };
        assert_eq!(initiator(record), client);
        for (key, want) in want.as_object().unwrap() {
            if BESIDE.contains(&key.as_str()) {
                continue;
            }
            let got = said(record, key).unwrap_or(Value::Null);
            let want = if key.ends_with("_us") { exact_ns(want).into() } else { want.clone() };
            tally.check(got == want, FILE, || format!("{client:?} {key}: {want}, got {got}"));
        }
    }
    tally.conclude(&[]);
    let tcp = seen.records.iter().filter(|record| record.transport == Transport::TCP).count();
    assert_eq!(tcp, expected["sessions"].as_array().unwrap().len());
}

#[test]
fn every_dns_exchange_of_the_demonstration_is_a_session() {
    let seen = Seen::read(vec![demo()]);
    let mut tally = Tally::new("demo DNS");
    for want in expected()["dns"].as_array().unwrap() {
        let (client, resolver) = (want["client"].as_str(), want["resolver"].as_str());
        let told = seen.records.iter().any(|record| {
            let ends = (record.initiator.ip.to_string(), record.responder.ip.to_string());
            let Some(dns) = record.facts.dns.as_deref() else { return false };
            let named = dns.name.as_deref() == want["name"].as_str();
            let answers: Vec<&str> = dns.answers.iter().map(|(_, data)| &**data).collect();
            (Some(&*ends.0), Some(&*ends.1)) == (client, resolver)
                && (named || dns.more_names.iter().any(|n| Some(&**n) == want["name"].as_str()))
                // A and AAAA are asked from one port: a session keeps the type of the first.
                && (!named || want["type"] == dns.qtype || dns.questions > 1)
                && want["rcode"] == dns.rcode.unwrap_or(99)
                && want["a"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|a| answers.contains(&a.as_str().unwrap()))
        });
        tally.check(told, FILE, || want.to_string());
    }
    tally.conclude(&[]);
}

#[test]
fn every_ping_of_the_demonstration_is_a_session() {
    let seen = Seen::read(vec![demo()]);
    for want in expected()["icmp"].as_array().unwrap() {
        let pinged = seen.records.iter().any(|record| {
            record.transport == Transport::ICMP
                && want["client"] == record.initiator.ip.to_string()
                && want["server"] == record.responder.ip.to_string()
                && want["echoes"] == record.initiator.packets
                && want["echoes"] == record.responder.packets
        });
        assert!(pinged, "{want}");
    }
}

#[test]
fn without_latency_evidence_handshakes_are_all_that_is_measured() {
    let run = |latency| {
        let records = Mutex::new(Vec::new());
        let plan = Plan { inputs: vec![demo()], quiet: true, latency, ..Plan::default() };
        run_tapped(
            &plan,
            &mut NoProgress,
            Some(&|r: &Record| records.lock().unwrap().push(r.clone())),
        )
        .unwrap();
        records.into_inner().unwrap()
    };
    let within = |record: &Record| record.near.in_session.or(record.far.in_session).is_some();
    let turns =
        |record: &Record| record.transport == Transport::TCP && record.facts.turns.is_some();
    let (with, without) = (run(true), run(false));
    assert!(with.iter().any(within) && with.iter().any(turns));
    assert!(!without.iter().any(within) && !without.iter().any(turns));
    let kept = |record: &Record| {
        (record.start, record.near.handshake_ns, record.far.handshake_ns, record.facts.protocol)
    };
    let kept = |records: &[Record]| records.iter().map(kept).collect::<Vec<_>>();
    assert_eq!(kept(&with), kept(&without));
}
