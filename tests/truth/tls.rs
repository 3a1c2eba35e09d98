//! TLS, QUIC and DTLS hellos against values made from another dissector's fields.

use longhaul::model::Record;
use longhaul::model::record::TlsFacts;

use crate::common::Exception;
use crate::common::Row;
use crate::common::Seen;
use crate::common::Tally;
use crate::common::shared;
use crate::common::table;
use crate::common::transport;

const ARGUED: [Exception; 0] = [];

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
fn every_hello_is_read_as_others_read_it() {
    let Some(folder) = shared("pcaps") else { return };
    let rows = table(&folder.join("tls.csv"));
    let seen = Seen::read(vec![folder]);
    let mut tally = Tally::new("tls.csv");
    for row in &rows {
        compare(&seen, row, &mut tally);
    }
    tally.conclude(&ARGUED);
}
