//! Event ids: the same for the same session on every run and every machine.
//!
//! Owns: what identifies a session, and the hash of it. In: a record. Out: 16 bytes.
//! Never: a random key, or anything that depends on workers, paths or the clock.

use crate::emit::text;
use crate::model::endpoint::EndpointRow;
use crate::model::endpoint::Fingerprint;
use crate::model::endpoint::Locality;
use crate::model::scan::Scan;
use crate::model::{Nanos, Record};

/// The hash's key. It is public: the id names a session, it does not protect it.
const KEY: [u8; 16] = *b"longhaul session";

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

/// The id of an alert: the same for the same rule (its UUID: rules of one's own may share a
/// number), session, subject and packet time.
pub fn alert_id(rule: &str, session: &str, subject: &str, time: Nanos) -> String {
    let message = format!("alert\n{rule}\n{session}\n{subject}\n{}", time.0);
    hex(siphash_128(KEY, message.as_bytes()))
}

/// The id of an incident: the same for the same subject and span of packet time.
pub fn incident_id(subject: &str, since: Nanos, time: Nanos) -> String {
    let message = format!("incident\n{subject}\n{}\n{}", since.0, time.0);
    hex(siphash_128(KEY, message.as_bytes()))
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

/// An id as the 32 hexadecimal digits that stand in `event.id`.
pub fn hex(id: [u8; 16]) -> String {
    let mut out = Vec::with_capacity(32);
    text::put_hex(&mut out, id);
    String::from_utf8(out).unwrap_or_default()
}

fn halves(bytes: [u8; 16]) -> [[u8; 8]; 2] {
    let n = u128::from_be_bytes(bytes);
    [((n >> 64) as u64).to_be_bytes(), (n as u64).to_be_bytes()]
}

/// SipHash-2-4 with 128 bits of output.
///
/// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, and the 128-bit variant
/// of the authors' reference code, whose vectors the tests hold.
fn siphash_128(key: [u8; 16], message: &[u8]) -> [u8; 16] {
    let n = u128::from_le_bytes(key);
    let (k0, k1) = (n as u64, (n >> 64) as u64);
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = message.as_chunks::<8>();
    for word in words {
        absorb(&mut state, u64::from_le_bytes(*word));
    }
    let mut last = [0u8; 8];
    for (slot, b) in last.iter_mut().zip(rest) {
        *slot = *b;
    }
    absorb(&mut state, u64::from_le_bytes(last) | (message.len() as u64) << 56);
    let low = squeeze(&mut state, 2, 0xee);
    let high = squeeze(&mut state, 1, 0xdd);
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

#[inline]
fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    round(state);
    state[0] ^= word;
}

/// Four rounds behind a mark in one lane; the lanes folded together.
fn squeeze(state: &mut [u64; 4], lane: usize, mark: u64) -> u64 {
    if let Some(word) = state.get_mut(lane) {
        *word ^= mark;
    }
    for _ in 0..4 {
        round(state);
    }
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

#[inline]
fn round(state: &mut [u64; 4]) {
    let [mut a, mut b, mut c, mut d] = *state;
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::samples;

    /// From `vectors_sip128` of the reference code; also what `openssl mac -macopt size:16 SIPHASH`
    /// prints.
    #[test]
    fn siphash_matches_the_reference_vectors() {
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let message: Vec<u8> = (0..63).collect();
        for (len, want) in [
            (0, "a3817f04ba25a8e66df67214c7550293"),
            (1, "da87c1d86b99af44347659119b22fc45"),
            (63, "5150d1772f50834a503e069a973fbd7c"),
        ] {
            assert_eq!(hex(siphash_128(key, &message[..len])), want);
        }
    }

    /// Also what `openssl mac -macopt size:16 SIPHASH` says of the 56 bytes under the key.
    #[test]
    fn the_id_of_a_known_session_never_changes() {
        assert_eq!(hex(event_id(&samples::tls_record())), "40b2577c480db69bcee7c5db696708c8");
    }

    #[test]
    fn every_part_of_the_identity_counts_and_nothing_else_does() {
        let base = samples::tls_record();
        let id = event_id(&base);
        let changes: [fn(&mut Record); 8] = [
            |r| r.point += 1,
            |r| r.transport.0 = 17,
            |r| r.vlan = Some(5),
            |r| r.start.0 += 1,
            |r| r.twin += 1,
            |r| r.initiator.port += 1,
            |r| r.responder.ip = crate::model::Addr::v4([203, 0, 113, 9]),
            |r| std::mem::swap(&mut r.initiator, &mut r.responder),
        ];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(event_id(&other), id);
        }
        let mut later = base.clone();
        later.end.0 += 1;
        later.at.0 += 9;
        later.initiator.bytes += 1;
        later.file += 1;
        assert_eq!(event_id(&later), id);
    }
}
