//! OpenVPN with the "scramble" patch: recognised by bytes that a client's first packet and its
//! answer share, although a key obfuscates them (methods xormask, xorptrpos, reverse and obfuscate,
//! as documented by Tunnelblick, "The Tunnelblick OpenVPN XOR patch").
//!
//! Owns: the arithmetic of these methods. In: both hard resets. Out: whether they belong together.
//! Never: a decision from one packet alone, or the key.

use crate::wire::{Reader, WireError};

/// XOR of the opcode bytes of both resets with key id 0: unchanged by a mask that depends only on
/// the position.
const RESETS: u8 = 0x38 ^ 0x40;
/// Opcode bytes, for methods that leave them in clear.
const CLEAR: (u8, u8) = (0x38, 0x40);
/// Extra bytes of the server's reset: one acknowledgement and the client's session id.
const ANSWER_MORE: usize = 12;
/// Bytes before the HMAC: opcode and session id.
const HEAD_BYTES: usize = 9;
/// Replay protection, count of acknowledgements, packet id.
const SEALED_BYTES: usize = 8 + 1 + 4;
/// Without HMAC and replay protection.
const PLAIN_BYTES: usize = 14;
/// Of tls-crypt, and of tls-auth with SHA-256.
const CRYPT_BYTES: usize = 54;

/// HMAC size by the size of a first packet, 0 for none.
fn hmac_of(length: usize) -> Option<usize> {
    match length {
        PLAIN_BYTES => Some(0),
        // MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512.
        38 | 42 | 50 | CRYPT_BYTES | 70 | 86 => Some(length - HEAD_BYTES - SEALED_BYTES),
        _ => None,
    }
}

/// Whether a packet of this size may be a scrambled reset of either side.
pub fn may_be(length: usize) -> bool {
    let answer = length.checked_sub(ANSWER_MORE);
    hmac_of(length).is_some() || answer.is_some_and(|length| hmac_of(length).is_some())
}

/// The bytes kept of a client's first packet: 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    length: u8,
    opcode: u8,
    /// The first bytes after the opcode: the session id, or, reversed, the packet id and more.
    head: [u8; 8],
    /// Replay protection, count and packet id; of a plain packet the last five only.
    tail: [u8; SEALED_BYTES],
    /// Replay protection of tls-crypt, which precedes the HMAC.
    crypt: [u8; 8],
}

impl First {
    /// Reads a packet that may be a client's first by its size.
    ///
    /// # Errors
    /// `NotThis` for any other size.
    pub fn parse(packet: &[u8]) -> Result<First, WireError> {
        let hmac = hmac_of(packet.len()).ok_or(WireError::NotThis)?;
        read(packet, hmac).map_err(|_| WireError::NotThis)
    }

    /// Whether `packet` of the other side answers it under one of the methods: by its size, its
    /// opcode and at least four bytes that are the same in every pair of resets.
    pub fn is_answered_by(&self, packet: &[u8]) -> bool {
        let length = usize::from(self.length);
        let Some(hmac) = hmac_of(length).filter(|_| packet.len() == length + ANSWER_MORE) else {
            return false;
        };
        let Ok(answer) = read(packet, hmac) else { return false };
        let differs = self.head != answer.head;
        if self.opcode ^ answer.opcode != RESETS || !differs {
            return false;
        }
        self.fits_mask(&answer, hmac) || self.fits_crypt(&answer) || self.fits_reversed(&answer)
    }

    /// xormask and xorptrpos: the mask depends on the position. Compares the counts of
    /// acknowledgements (one and none), packet id 0 with the acknowledged id 0, and the first
    /// replay ids.
    fn fits_mask(&self, answer: &First, hmac: usize) -> bool {
        let [c @ .., c_count, c0, c1, c2, c3] = self.tail;
        let [s @ .., s_count, s0, s1, s2, s3] = answer.tail;
        let replays = hmac == 0 || c.first_chunk::<4>() == s.first_chunk::<4>();
        c_count ^ s_count == 1 && [c0, c1, c2, c3] == [s0, s1, s2, s3] && replays
    }

    /// The same for tls-crypt: the first replay ids, and the upper half of both timestamps.
    fn fits_crypt(&self, answer: &First) -> bool {
        usize::from(self.length) == CRYPT_BYTES
            && self.crypt.first_chunk::<6>() == answer.crypt.first_chunk::<6>()
            && self.tail != answer.tail
    }

    /// reverse, and obfuscate, which XORs each byte with its position before and after reversing:
    /// packet id 0 comes first in both.
    fn fits_reversed(&self, answer: &First) -> bool {
        let pairs = || self.head.iter().zip(answer.head.iter()).take(4).zip(1u8..);
        let place = |first: &First, at: u8| first.length.wrapping_sub(at).wrapping_add(1);
        let obfuscated = pairs().all(|((c, s), at)| c ^ s == place(self, at) ^ place(answer, at));
        let is_clear = (self.opcode, answer.opcode) == CLEAR;
        let reversed = is_clear && pairs().all(|((c, s), _)| *c == 0 && *s == 0);
        obfuscated || reversed
    }
}

fn read(packet: &[u8], hmac: usize) -> Result<First, WireError> {
    let mut r = Reader::new(packet);
    let opcode = r.u8()?;
    let head = r.array()?;
    let crypt = Reader::new(r.rest()).array().unwrap_or_default();
    let mut tail = [0; SEALED_BYTES];
    if hmac == 0 {
        let [count, a, b, c, d] = r.array()?;
        tail = [0, 0, 0, 0, 0, 0, 0, 0, count, a, b, c, d];
    } else {
        r.skip(hmac)?;
        tail.copy_from_slice(r.take(SEALED_BYTES)?);
    }
    Ok(First { length: packet.len() as u8, opcode, head, tail, crypt })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Both resets in clear, with an HMAC of this size (0: none).
    fn resets(hmac: usize) -> [Vec<u8>; 2] {
        let seal = |fill: u8| match hmac {
            0 => Vec::new(),
            size => [vec![fill; size], vec![0, 0, 0, 1, 0x66, 0x12, 0x34, fill]].concat(),
        };
        let client = [&[0x38][..], &[0xc1; 8], &seal(0x5a), &[0], &[0; 4]].concat();
        let server =
            [&[0x40][..], &[0x53; 8], &seal(0xa5), &[1], &[0; 4], &[0xc1; 8], &[0; 4]].concat();
        [client, server]
    }

    fn mask(packet: &[u8], key: &[u8]) -> Vec<u8> {
        packet.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k).collect()
    }

    fn places(packet: &[u8]) -> Vec<u8> {
        packet.iter().zip(1u8..).map(|(b, at)| b ^ at).collect()
    }

    fn reverse(packet: &[u8]) -> Vec<u8> {
        let mut out = packet.to_vec();
        out[1..].reverse();
        out
    }

    fn pairs(scramble: impl Fn(&[u8]) -> Vec<u8>) -> bool {
        [0, 16, 20, 28, 32, 48, 64].into_iter().all(|hmac| {
            let [client, server] = resets(hmac).map(|packet| scramble(&packet));
            assert!(may_be(client.len()) && may_be(server.len()));
            First::parse(&client).unwrap().is_answered_by(&server)
        })
    }

    #[test]
    fn each_form_leaves_something_in_common() {
        let key = b"a key of some length";
        assert!(pairs(|packet| mask(packet, key)));
        assert!(pairs(places));
        assert!(pairs(reverse));
        assert!(pairs(|packet| mask(&places(&reverse(&places(packet))), key)));
    }

    #[test]
    fn an_encrypted_control_channel_shows_its_replay_id() {
        let packet = |opcode: u8, fill: u8, size: usize| {
            let head = [&[opcode][..], &[fill; 8], &[0, 0, 0, 1, 0x66, 0x12, fill, fill]].concat();
            let mut out = head;
            out.resize(size, fill ^ 0x11);
            mask(&out, b"key")
        };
        let first = First::parse(&packet(0x38, 7, 54)).unwrap();
        assert!(first.is_answered_by(&packet(0x40, 9, 66)));
        assert!(!first.is_answered_by(&packet(0x41, 9, 66)), "another opcode");
        assert!(!first.is_answered_by(&packet(0x40, 9, 67)), "another size");
    }

    #[test]
    fn packets_with_the_right_sizes_only_are_rejected() {
        let [client, server] = resets(20);
        let first = First::parse(&client).unwrap();
        for at in [0, 29, 37, 38] {
            let mut other = server.clone();
            other[at] ^= 0x81;
            assert!(!first.is_answered_by(&other), "{at}");
        }
        assert!(First::parse(&client[1..]).is_err());
        let echo = [&client[..], &[0; 12]].concat();
        assert!(!first.is_answered_by(&echo));
        let zeros = First::parse(&[0; 42]).unwrap();
        assert!(!zeros.is_answered_by(&[&[0x78][..], &[0; 53]].concat()));
    }

    proptest! {
        #[test]
        fn random_bytes_are_no_pair(
            client in proptest::collection::vec(any::<u8>(), 42),
            server in proptest::collection::vec(any::<u8>(), 54),
            cut in 0usize..54,
        ) {
            let first = First::parse(&client).unwrap();
            prop_assert!(!first.is_answered_by(&server));
            let _ = First::parse(&server[..cut]);
            let _ = first.is_answered_by(&server[..cut]);
        }
    }
}
