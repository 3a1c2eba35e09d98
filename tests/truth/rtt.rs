//! Handshake legs against Wireshark's packet arithmetic.

use std::collections::HashSet;

use longhaul::model::Record;
use longhaul::model::Transport;

use crate::common::Exception;
use crate::common::Row;
use crate::common::Seen;
use crate::common::Tally;
use crate::common::initiator;
use crate::common::table;
use crate::own_corpus::folders;

/// Wireshark's arithmetic and the specification's, where they part.
const ARGUED: [Exception; 3] = [
    ("vnc__ndpi__vnc.pcap", "stream 1 ", CUT),
    ("vnc__ndpi__vnc.pcap", "stream 3 ", CUT),
    (
        "encap-ipip__ndpi__6in4tunnel.pcap",
        "stream 0 ",
        "a packet quoted in an ICMPv6 error (RFC 4443 section 3.1) was not sent here: no session",
    ),
];

const CUT: &str = "the rows before it are the same connection: its sequence numbers go on \
    (RFC 9293 section 3.4); the dissector cut it in two, and its legs are \
    told on the row with the SYN";

/// The table's unit is the microsecond with three decimals; captures of microseconds round.
const NEAR_ENOUGH_NS: u64 = 1_000;

/// `123.456` of a unit as thousandths. A negative span is no round trip: the leg must be absent.
fn thousandths(text: &str) -> Option<u64> {
    if text.starts_with('-') {
        return None;
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let whole: u64 = whole.parse().unwrap();
    Some(whole * 1_000 + format!("{part:0<3}")[..3].parse::<u64>().unwrap())
}

fn moment_ns(text: &str) -> u64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let seconds: u64 = whole.parse().unwrap();
    // Times before 1970 stand in the table as seconds modulo 2^64.
    seconds.saturating_mul(1_000_000_000).saturating_add(format!("{part:0<9}").parse().unwrap())
}

/// Whether a leg is the truth's, or neither has one.
pub fn near_enough(got: Option<u64>, want: Option<u64>) -> bool {
    match (got, want) {
        (Some(got), Some(want)) => got.abs_diff(want) <= NEAR_ENOUGH_NS,
        (got, want) => got.is_none() && want.is_none(),
    }
}

/// Far and near leg.
pub fn legs(record: &Record) -> (Option<u64>, Option<u64>) {
    (record.far.handshake_ns, record.near.handshake_ns)
}

/// Far and near leg as the table has them.
pub fn wanted(row: &Row) -> (Option<u64>, Option<u64>) {
    let leg = |column| row.some(column).and_then(thousandths);
    (leg("synack_delta_us"), leg("ack_delta_us"))
}

/// Whether the table and the specification part on this row.
pub fn is_argued(row: &Row) -> bool {
    let stream = format!("stream {} ", row.get("stream"));
    ARGUED.iter().any(|(file, words, _)| *file == row.get("file") && *words == stream)
}

/// The sessions a row may mean: the one nearest its SYN, else those no SYN of the table begins.
pub fn meant<'s>(seen: &'s Seen, row: &Row, claimed: &HashSet<*const Record>) -> Vec<&'s Record> {
    let (client, server) = (row.end("client", "client_port"), row.end("server", "server_port"));
    let found = seen.between(row.get("file"), Transport::TCP, client, server);
    match row.some("syn_ts").map(moment_ns) {
        Some(at) => {
            let nearest = found.into_iter().min_by_key(|record| record.start.0.abs_diff(at));
            nearest.into_iter().filter(|record| initiator(record) == client).collect()
        }
        None => found.into_iter().filter(|r| !claimed.contains(&std::ptr::from_ref(*r))).collect(),
    }
}

#[test]
fn every_handshake_leg_equals_that_of_wireshark() {
    for (folder, argued) in folders(&ARGUED) {
        let rows = table(&folder.join("rtt.csv"));
        let seen = Seen::read(vec![folder]);
        let mut claimed = HashSet::new();
        for row in rows.iter().filter(|row| row.some("syn_ts").is_some()) {
            claimed.extend(meant(&seen, row, &claimed).into_iter().map(std::ptr::from_ref));
        }
        let mut tally = Tally::new("rtt.csv");
        let (mut kept, mut voided) = (0, 0);
        for row in &rows {
            let want = wanted(row);
            let found = meant(&seen, row, &claimed);
            let doubtful = row.some("ambiguous").is_some();
            let right = |record: &&Record| {
                let got = legs(record);
                let one =
                    |got: Option<u64>, want| near_enough(got, want) || doubtful && got.is_none();
                one(got.0, want.0) && one(got.1, want.1)
            };
            if doubtful {
                let measured =
                    found.iter().any(|r| r.far.handshake_ns.or(r.near.handshake_ns).is_some());
                if measured { kept += 1 } else { voided += 1 }
            }
            tally.check(!found.is_empty() && found.iter().all(right), row.get("file"), || {
                let got: Vec<_> = found.iter().map(|record| (legs(record), record.state)).collect();
                format!(
                    "stream {} {}:{} > {}:{} frames {} {} {} {}: expected {want:?}, got {got:?}",
                    row.get("stream"),
                    row.get("client"),
                    row.get("client_port"),
                    row.get("server"),
                    row.get("server_port"),
                    row.get("syn_frame"),
                    row.get("synack_frame"),
                    row.get("ack_frame"),
                    row.get("ambiguous"),
                )
            });
        }
        println!(
            "rtt.csv: ambiguous rows: {voided} without legs, {kept} with legs equal to the truth"
        );
        tally.conclude(argued);
    }
}
