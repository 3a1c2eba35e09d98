//! Event ids: the same for the same session on every run and every machine.
//!
//! Owns: what identifies a session, and the hash of it. In: a record. Out: 16 bytes.
//! Never: a random key, or anything that depends on workers, paths or the clock.

use crate::model::Record;
use crate::model::endpoint::{EndpointRow, Fingerprint, Locality};
use crate::model::id::{KEY, siphash_128};
pub use crate::model::id::{alert_id, hex, incident_id};
use crate::model::record::Party;
use crate::model::scan::Scan;

/// The id of a session: SipHash-2-4-128 of capture point, transport, IP version, VLAN, both
/// endpoints in initiator/responder order, the first packet's time, and how many sessions of the
/// five-tuple began before it at that very time.
///
/// `event.id` is its 32 hexadecimal digits. Two sessions share an id only by a collision of 128
/// bits, or where one five-tuple opens twice within one tick of the capture's clock and the full
/// session table pushed the first out in between.
pub fn event_id(record: &Record) -> [u8; 16] {
    let (from, to) = (&record.initiator, &record.responder);
    let [f0, f1] = halves(from.ip.0);
    let [t0, t1] = halves(to.ip.0);
    let [p0, p1] = from.port.to_be_bytes();
    let [p2, p3] = to.port.to_be_bytes();
    let [c0, c1] = record.point.to_be_bytes();
    let [v0, v1, v2, v3] = record.vlan.map_or(u32::MAX, u32::from).to_be_bytes();
    let [n0, n1] = record.twin.to_be_bytes();
    let message = [
        f0,
        f1,
        t0,
        t1,
        record.start.0.to_be_bytes(),
        [p0, p1, p2, p3, c0, c1, record.transport.0, record.version],
        [v0, v1, v2, v3, n0, n1, 0, 0],
    ];
    siphash_128(KEY, message.as_flattened())
}

/// The same while nobody knows yet which end will turn out to have started the session.
pub fn open_id(record: &Record) -> [u8; 16] {
    let end = |party: &Party| (party.ip.0, party.port);
    let (one, other) = (end(&record.initiator), end(&record.responder));
    let (lower, upper) = if one <= other { (one, other) } else { (other, one) };
    let mut message = b"open    ".to_vec();
    for (ip, port) in [lower, upper] {
        message.extend_from_slice(&ip);
        message.extend_from_slice(&port.to_be_bytes());
    }
    message.extend_from_slice(&record.point.to_be_bytes());
    message.extend_from_slice(&[record.transport.0, record.version]);
    message.extend_from_slice(&record.vlan.map_or(u32::MAX, u32::from).to_be_bytes());
    message.extend_from_slice(&record.start.0.to_be_bytes());
    message.extend_from_slice(&record.twin.to_be_bytes());
    siphash_128(KEY, &message)
}

/// The id of a sum of unanswered sessions: the same for the same source and second.
pub fn scan_id(scan: &Scan) -> [u8; 16] {
    let source = scan.source.map_or([0; 16], |source| source.0);
    let mut message = b"summed  ".to_vec();
    message.extend_from_slice(&source);
    message.extend_from_slice(&scan.second.0.to_be_bytes());
    message.extend_from_slice(&[scan.source.is_some().into(), scan.transport.0]);
    siphash_128(KEY, &message)
}

/// The id of an endpoint's line: the same for the same endpoint and span of packet time.
pub fn endpoint_id(row: &EndpointRow) -> [u8; 16] {
    let key = &row.key;
    let (kind, text) = match &key.fingerprint {
        Some(Fingerprint::Ja4(ja4)) => (b"ja4", &**ja4),
        Some(Fingerprint::Ssh(software)) => (b"ssh", &**software),
        None => (b"non", ""),
    };
    let service = key.service.map_or((0, 0), |service| (service.transport.0, service.port));
    let mut message = Vec::with_capacity(128);
    message.extend_from_slice(b"endpoint");
    message.extend_from_slice(&key.ip.to_bits().to_be_bytes());
    message.extend_from_slice(&[(key.side == Locality::Remote).into(), service.0]);
    message.extend_from_slice(&service.1.to_be_bytes());
    message.extend_from_slice(&row.first.0.to_be_bytes());
    message.extend_from_slice(&row.last.0.to_be_bytes());
    // What somebody else chose comes last: no text of theirs can read like the rest.
    message.extend_from_slice(kind);
    message.extend_from_slice(text.as_bytes());
    siphash_128(KEY, &message)
}

fn halves(bytes: [u8; 16]) -> [[u8; 8]; 2] {
    let n = u128::from_be_bytes(bytes);
    [((n >> 64) as u64).to_be_bytes(), (n as u64).to_be_bytes()]
}
