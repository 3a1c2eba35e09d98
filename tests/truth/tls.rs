//! TLS, QUIC and DTLS hellos against values made from another dissector's fields.

use std::collections::BTreeMap;

use longhaul::model::Record;
use longhaul::model::record::TlsFacts;

use crate::common::Exception;
use crate::common::Row;
use crate::common::Seen;
use crate::common::Tally;
use crate::common::table;
use crate::common::transport;
use crate::own_corpus::folders;

/// Values that the table has and a session has not.
const ARGUED: [Exception; 8] = [
    ("vpn-openvpn__ndpi__openvpn.pcap", "tls udp:4 frame 594 ", AGAIN),
    (
        "vpn-enterprise-tls__ndpi__anyconnect-vpn.pcap",
        "expected ds1i010000_",
        "JA4 (technical_details/JA4.md, TLS and DTLS version) no longer names version 0x0100: 00",
    ),
    ("dtls__ndpi__dtls.pcap", "dtls udp:3 frame 9 ", SECOND),
    ("tls__ja4__tls-handshake.pcapng", "tls tcp:38 frame 125 ", SECOND),
    ("tls__ja4__tls-handshake.pcapng", "tls tcp:41 frame 142 ", SECOND),
    ("tls__ja4__tls-handshake.pcapng", "tls tcp:42 frame 146 ", SECOND),
    ("tls__ja4__tls-handshake.pcapng", "tls tcp:44 frame 156 ", SECOND),
    ("tls__ja4__tls-handshake.pcapng", "tls tcp:45 frame 160 ", SECOND),
];

const AGAIN: &str = "another client's ClientHello on the same ports: a session keeps the first";
const SECOND: &str = "the second ClientHello, after a HelloRetryRequest or HelloVerifyRequest: \
    a session keeps the first, which is the client's own choice";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The column, and how a session says the same.
type Said = (&'static str, fn(&TlsFacts) -> Option<String>);

const CLIENT: [Said; 3] = [
    ("sni", |tls| tls.server_name.as_deref().map(str::to_owned)),
    ("ja3", |tls| tls.ja3.map(|hash| hex(&hash))),
    ("ja4_computed", |tls| tls.ja4.as_deref().map(str::to_owned)),
];
const SERVER: [Said; 1] = [("ja3s_or_note", |tls| tls.ja3s.map(|hash| hex(&hash)))];

fn values(found: &[&Record], said: Said) -> Vec<String> {
    found.iter().filter_map(|r| r.facts.tls.as_deref()).filter_map(said.1).collect()
}

fn compare(seen: &Seen, row: &Row, tally: &mut Tally) {
    let found = seen.between(
        row.get("file"),
        transport(row.get("stream")),
        row.end("src", "sport"),
        row.end("dst", "dport"),
    );
    let said = if row.get("message") == "client_hello" { &CLIENT[..] } else { &SERVER[..] };
    for said in said {
        let Some(want) = row.some(said.0) else { continue };
        let got = values(&found, *said);
        tally.check(got.iter().any(|got| got == want), row.get("file"), || {
            format!(
                "{} {} frame {} {}: expected {want}, {} sessions have {got:?}",
                row.get("transport"),
                row.get("stream"),
                row.get("frame"),
                said.0,
                found.len()
            )
        });
    }
}

#[test]
fn every_hello_has_the_values_of_another_dissector() {
    for (folder, argued) in folders(&ARGUED) {
        let rows = table(&folder.join("tls.csv"));
        let seen = Seen::read(vec![folder]);
        let mut tally = Tally::new("tls.csv");
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for row in &rows {
            let before = tally.counts();
            compare(&seen, row, &mut tally);
            let after = tally.counts();
            let count = counts.entry(row.get("transport")).or_default();
            *count = (count.0 + after.0 - before.0, count.1 + after.1 - before.1);
        }
        for (transport, (equal, values)) in counts {
            println!("tls.csv: {transport}: {equal} of {values} values equal");
        }
        tally.conclude(argued);
    }
}
