//! Recognised protocols, their fields, and round trips over UDP, on captures whose content is known.
//!
//! Owns: the comparison by file. In: captures with labels. Out: a confusion matrix, round trips by
//! protocol. Never: passes a file silently that is recognised differently.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use longhaul::model::Record;
use longhaul::model::latency::Exchange;
use longhaul::model::record::Protocol;
use longhaul::model::schema::flat_json;

use crate::common::Seen;
use crate::common::Tally;
use crate::common::table;
use crate::own_corpus;
use crate::own_corpus::folders;

/// Our protocol, and the word of the table's protocol column for it.
const WORDS: [(Protocol, &str); 9] = [
    (Protocol::Ike, "isakmp"),
    (Protocol::Wireguard, "wg"),
    (Protocol::Openvpn, "openvpn"),
    (Protocol::Stun, "stun"),
    (Protocol::Dtls, "dtls"),
    (Protocol::Quic, "quic"),
    (Protocol::Socks, "socks"),
    (Protocol::Rdp, "rdp"),
    (Protocol::Rfb, "vnc"),
];

/// Files that are recognised differently, and why.
const DIFFERENT: [(&str, &str, &str); 7] = [
    (
        "benign-saas__ndpi__zoom.pcap",
        "stun",
        "STUN without a cookie (RFC 3489), as Zoom speaks it; the other program looks for the cookie",
    ),
    (
        "benign-saas__ndpi__zoom.pcap",
        "wg",
        "Zoom's own framing, of which each other packet begins like a WireGuard message of type 4",
    ),
    (
        "proxy-socks__arkime__socks5-reverse.pcap",
        "socks",
        "SOCKS 5 by its class and its bytes, on a port where the other program does not look",
    ),
    (
        "vpn-tailscale__ndpi__tailscale.part-a.pcap",
        "wg",
        "one session begins with disco frames: it is told as tailscale, which carries WireGuard",
    ),
    (
        "vpn-openvpn-obfuscated__ndpi__openvpn_obfuscated.part-a.pcapng",
        "openvpn",
        "OpenVPN under the scramble patch by its class; the other program does not know that",
    ),
    (
        "rdp__zeek__rdpeudp-handshake-success.pcap",
        "rdp",
        "RDP over UDP by its class; the other program calls it rdpudp",
    ),
    (
        "ipv6__ndpi__http_ipv6.pcap",
        "quic",
        "Google's QUIC before the standard, version Q0xx; the other program calls it gquic",
    ),
];

/// Whether a session is of a protocol; STUN also if DTLS follows it.
fn is_of(record: &Record, protocol: Protocol) -> bool {
    let pings = record.facts.turns.as_ref().is_some_and(|turns| {
        let ping = |turn: longhaul::model::latency::Turn| turn.exchange == Exchange::Ping;
        turns.near.is_some_and(ping) || turns.far.is_some_and(ping)
    });
    record.facts.protocol == Some(protocol) || (protocol == Protocol::Stun && pings)
}

#[test]
fn protocols_are_recognised_in_their_files_and_in_no_other() {
    for (folder, _) in folders(&[]) {
        let rows = table(&folder.join("labels.csv"));
        let seen = Seen::read(rows.iter().map(|row| folder.join(row.get("file"))).collect());
        let mut faults = Vec::new();
        for (protocol, word) in WORDS {
            let expected: BTreeSet<&str> = rows
                .iter()
                .filter(|row| row.get("tshark_protocols").split(' ').any(|name| name == word))
                .map(|row| row.get("file"))
                .collect();
            let found: BTreeSet<&str> = seen
                .records
                .iter()
                .filter(|record| is_of(record, protocol))
                .map(|record| seen.file(record))
                .collect();
            let both = expected.intersection(&found).count();
            println!("{word}: {both} of {} files, in {} found", expected.len(), found.len());
            let is_made = folder == own_corpus::folder();
            assert!(!is_made || !expected.is_empty(), "{word}: no capture is made of it");
            for file in expected.symmetric_difference(&found) {
                let why = DIFFERENT.iter().find(|(name, of, _)| name == file && *of == word);
                println!("  {file}: {}", why.map_or("NOT EXPECTED", |(_, _, why)| why));
                if why.is_none() {
                    faults.push(format!("{word}: {file}"));
                }
            }
        }
        legs(&seen.records);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[test]
fn made_conversations_have_the_values_they_were_made_with() {
    let folder = own_corpus::folder();
    let seen = Seen::read(vec![folder.to_owned()]);
    let mut tally = Tally::new("values.csv");
    let rows = table(&folder.join("values.csv"));
    for row in &rows {
        let (file, field) = (row.get("file"), row.get("field"));
        let records: Vec<_> = seen.records.iter().filter(|r| seen.file(r) == file).collect();
        let [record] = records[..] else { panic!("{file}: {} sessions", records.len()) };
        let want: serde_json::Value = serde_json::from_str(row.get("value")).unwrap();
        let got = flat_json(record).remove(field);
        tally.check(got.as_ref() == Some(&want), file, || format!("{field}: {got:?}, not {want}"));
    }
    assert!(rows.len() > 30, "{} values", rows.len());
    tally.conclude(&[]);
}

/// Prints round trips by exchange.
fn legs(records: &[Record]) {
    let mut legs: BTreeMap<(&str, bool), Vec<u64>> = BTreeMap::new();
    for record in records {
        for by_initiator in [true, false] {
            if let Some(turn) = record.facts.over_udp(by_initiator) {
                let key = (turn.exchange.as_str(), by_initiator);
                legs.entry(key).or_default().push(turn.round_trip_ns);
            }
        }
    }
    for ((word, by_initiator), mut all) in legs {
        all.sort_unstable();
        let leg = if by_initiator { "near" } else { "far" };
        let micros = |at: usize| all[at] as f64 / 1_000.0;
        let last = all.len() - 1;
        println!(
            "{word} {leg}: {} sessions, {} / {} / {} us",
            all.len(),
            micros(0),
            micros(last / 2),
            micros(last)
        );
    }
    let sum = |pick: fn(&longhaul::model::latency::Turns) -> usize| -> usize {
        records.iter().filter_map(|r| r.facts.turns.as_deref()).map(pick).sum()
    };
    println!("turns: {}", sum(|turns| turns.turns.len()));
    println!("sessions with exclusions: {}", sum(|turns| usize::from(turns.excluded.0 != 0)));
}
