//! Event ids: what the hash of an event's identity is.
//!
//! Owns: the hash and its key, ids of alerts and incidents. In: what identifies an event. Out: 16
//! bytes, or their digits. Never: a random key.

use crate::model::Nanos;
use crate::model::schema;

/// The hash's key. It is public: the id names a session, it does not protect it.
pub const KEY: [u8; 16] = *b"longhaul session";

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

/// An id as the 32 hexadecimal digits that stand in `event.id`.
pub fn hex(id: [u8; 16]) -> String {
    schema::hex(&id)
}

/// SipHash-2-4 with 128 bits of output.
///
/// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, and the 128-bit variant
/// of the authors' reference code, whose vectors the tests hold.
pub fn siphash_128(key: [u8; 16], message: &[u8]) -> [u8; 16] {
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
}
