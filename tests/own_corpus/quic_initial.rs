//! Makes QUIC Initial packets (RFC 9000 section 17.2.2) with their protection (RFC 9001 section 5).
//!
//! Owns: key derivation, encryption and header protection, written from the specification. In:
//! connection ids and frames. Out: packets. Never: code of the program under test.

use ring::aead;
use ring::hkdf;

/// Salt of version 1 (RFC 9001 section 5.2).
const SALT: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a,
];
/// Bytes of the packet number: the longest form, so that the sample begins right after it.
const NUMBER_BYTES: usize = 4;
const TAG_BYTES: usize = 16;

struct Size(usize);

impl hkdf::KeyType for Size {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446 section 7.1).
fn expand(secret: &hkdf::Prk, label: &str, size: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let info = [&[0, size as u8, label.len() as u8][..], label.as_bytes(), &[0]];
    let mut out = vec![0; size];
    secret.expand(&info, Size(size)).unwrap().fill(&mut out).unwrap();
    out
}

/// An Initial packet of the `sender` (`client` or `server`) of a connection whose first packet had
/// the destination id `original`.
pub fn initial(sender: &str, original: &[u8], ids: (&[u8], &[u8]), frames: &[u8]) -> Vec<u8> {
    let initial = hkdf::Salt::new(hkdf::HKDF_SHA256, &SALT).extract(original);
    let secret = expand(&initial, &format!("{sender} in"), 32);
    let secret = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &secret);
    let [key, iv, header_key] =
        [("quic key", 16), ("quic iv", 12), ("quic hp", 16)].map(|(l, n)| expand(&secret, l, n));

    // Long header, fixed bit, type Initial, packet number of four bytes; no token.
    let mut packet = vec![0xc0 | (NUMBER_BYTES as u8 - 1), 0, 0, 0, 1];
    for id in [ids.0, ids.1] {
        packet.push(id.len() as u8);
        packet.extend(id);
    }
    packet.push(0);
    let length = (NUMBER_BYTES + frames.len() + TAG_BYTES) as u16;
    packet.extend((0x4000 | length).to_be_bytes());
    let header = packet.len();
    // Packet number 0, so that the nonce is the IV.
    packet.extend([0; NUMBER_BYTES]);

    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_128_GCM, &key).unwrap());
    let nonce = aead::Nonce::try_assume_unique_for_key(&iv).unwrap();
    let mut body = frames.to_vec();
    key.seal_in_place_append_tag(nonce, aead::Aad::from(&packet), &mut body).unwrap();

    // The sample begins four bytes after the start of the packet number (section 5.4.2).
    let mask = aead::quic::HeaderProtectionKey::new(&aead::quic::AES_128, &header_key).unwrap();
    let mask = mask.new_mask(&body[..16]).unwrap();
    packet[0] ^= mask[0] & 0x0f;
    for (byte, mask) in packet[header..].iter_mut().zip(&mask[1..]) {
        *byte ^= mask;
    }
    packet.extend(body);
    packet
}
