//! Event ids: what the hash of an event's identity is.
//!
//! Owns: the hash and its key, ids of alerts and incidents. In: what identifies an event. Out: 16
//! bytes, or their digits. Never: a random key.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::model::Nanos;

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
    use std::fmt::Write;
    id.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SipHash-2-4 with 128 bits of output.
///
/// Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; the tests hold the vectors of
/// the authors' reference code for its 128-bit variant.
pub fn siphash_128(key: [u8; 16], message: &[u8]) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(&key);
    hasher.write(message);
    hasher.finish128().as_bytes()
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
