//! Decryption of QUIC Initial packets, whose keys are derived from the connection id.
//!
//! Owns: salts and labels of the versions, key derivation, header protection, AEAD. In: a
//! connection id, a protected packet. Out: its payload in clear. Never: keeps keys between
//! packets, or opens packets of any other type.
//!
//! RFC 9001 section 5.

use ring::aead::{self, quic};
use ring::error::Unspecified;
use ring::hkdf;

use crate::wire::quic::{LongPacket, Version};

/// Bytes of the header protection sample, and its offset from the packet number (RFC 9001 section
/// 5.4.2).
const SAMPLE_BYTES: usize = 16;
const SAMPLE_OFFSET: usize = 4;

/// Salts of the Initial secret: RFC 9001 section 5.2, RFC 9369 section 3.3.1, and section 5.2 of
/// draft-ietf-quic-tls-23 and -29, whose salts stayed to -28 and -32.
const SALT_ONE: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a,
];
const SALT_TWO: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb,
    0xf9, 0xbd, 0x2e, 0xd9,
];
const SALT_DRAFT_29: [u8; 20] = [
    0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0,
    0x43, 0x90, 0xa8, 0x99,
];
const SALT_DRAFT_23: [u8; 20] = [
    0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65,
    0xbe, 0xf9, 0xf5, 0x02,
];

/// One side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Perspective {
    /// Sender of the ClientHello.
    Client,
    /// The other side.
    Server,
}

/// Keys of the Initial packets of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideKeys {
    /// AEAD key (AES-128-GCM).
    key: [u8; 16],
    /// AEAD nonce base.
    iv: [u8; 12],
    /// Header protection key (AES-128).
    header: [u8; 16],
}

/// Keys of the Initial packets of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialKeys {
    version: Version,
    client: SideKeys,
    server: SideKeys,
}

impl InitialKeys {
    /// Derives the keys from the destination connection id of the client's first Initial packet,
    /// or of its first after a Retry (RFC 9001 section 5.2). `None` only where the library refuses.
    pub fn derive(version: Version, connection_id: &[u8]) -> Option<InitialKeys> {
        let salt = match version {
            Version::One => &SALT_ONE,
            Version::Two => &SALT_TWO,
            Version::Draft29 => &SALT_DRAFT_29,
            Version::Draft23 => &SALT_DRAFT_23,
        };
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(connection_id);
        let side = |label: &[u8]| -> Result<SideKeys, Unspecified> {
            let secret = expand_label::<32>(&secret, label)?;
            SideKeys::derive(version, &hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &secret))
        };
        let client = side(b"client in").ok()?;
        let server = side(b"server in").ok()?;
        Some(InitialKeys { version, client, server })
    }

    /// The version they are for.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The packet number that `side` wrote into an Initial packet, which is not authenticated. With
    /// the wrong keys it is any number.
    pub fn number(&self, packet: &LongPacket<'_>, side: Perspective) -> Option<u32> {
        let keys = match side {
            Perspective::Client => &self.client,
            Perspective::Server => &self.server,
        };
        keys.unmask_number(packet).map(|(_, _, number)| number)
    }

    /// Decrypts an Initial packet that `side` sent: its frames, `None` if the keys do not match.
    pub fn open(&self, packet: &LongPacket<'_>, side: Perspective) -> Option<Vec<u8>> {
        let keys = match side {
            Perspective::Client => &self.client,
            Perspective::Server => &self.server,
        };
        keys.open(packet)
    }
}

impl SideKeys {
    fn derive(version: Version, secret: &hkdf::Prk) -> Result<SideKeys, Unspecified> {
        let (key, iv, header): (&[u8], &[u8], &[u8]) = match version {
            Version::Two => (b"quicv2 key", b"quicv2 iv", b"quicv2 hp"),
            _ => (b"quic key", b"quic iv", b"quic hp"),
        };
        Ok(SideKeys {
            key: expand_label(secret, key)?,
            iv: expand_label(secret, iv)?,
            header: expand_label(secret, header)?,
        })
    }

    fn open(&self, packet: &LongPacket<'_>) -> Option<Vec<u8>> {
        #[cfg(test)]
        crate::wire::reader::visited::note(packet.bytes.len());
        let (mut header, mut body, number) = self.unmask(packet)?;
        // An Initial's packet numbers start at 0 and never get far enough to be cut short
        // (RFC 9000 sections 12.3 and 17.1).
        let mut nonce = self.iv;
        for (byte, part) in nonce.iter_mut().rev().zip(number.to_be_bytes().iter().rev()) {
            *byte ^= part;
        }
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, &self.key).ok()?;
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let associated = aead::Aad::from(header.as_mut_slice());
        let opened = aead::LessSafeKey::new(key).open_in_place(nonce, associated, &mut body);
        let opened_bytes = opened.ok()?.len();
        body.truncate(opened_bytes);
        Some(body)
    }

    /// Removes header protection: the header in clear, the ciphertext, the packet number.
    fn unmask(&self, packet: &LongPacket<'_>) -> Option<(Vec<u8>, Vec<u8>, u32)> {
        let (first, clear, number) = self.unmask_number(packet)?;
        let number_bytes = usize::from(first & 3) + 1;
        let (header, body) = packet.bytes.split_at_checked(packet.header_bytes + number_bytes)?;
        let mut header = header.to_vec();
        *header.first_mut()? = first;
        for (byte, clear) in header.iter_mut().skip(packet.header_bytes).zip(clear) {
            *byte = clear;
        }
        Some((header, body.to_vec(), number))
    }

    /// The first byte, the bytes of the packet number, and the number without header protection
    /// (RFC 9001 section 5.4.1).
    fn unmask_number(&self, packet: &LongPacket<'_>) -> Option<(u8, [u8; 4], u32)> {
        let sample_at = packet.header_bytes.checked_add(SAMPLE_OFFSET)?;
        let sample = packet.bytes.get(sample_at..)?.get(..SAMPLE_BYTES)?;
        let key = quic::HeaderProtectionKey::new(&quic::AES_128, &self.header).ok()?;
        let [mask_first, mask_number @ ..] = key.new_mask(sample).ok()?;
        let first = packet.bytes.first()? ^ (mask_first & 0x0f);
        let number_bytes = usize::from(first & 3) + 1;
        let masked = packet.bytes.get(packet.header_bytes..)?.get(..number_bytes)?;
        let (mut clear, mut number) = ([0; 4], 0);
        for ((clear, byte), mask) in clear.iter_mut().zip(masked).zip(mask_number) {
            *clear = byte ^ mask;
            number = (number << 8) | u32::from(*clear);
        }
        Some((first, clear, number))
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446 section 7.1). Labels here are short.
fn expand_label<const N: usize>(secret: &hkdf::Prk, label: &[u8]) -> Result<[u8; N], Unspecified> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(N).map_err(|_| Unspecified)?.to_be_bytes();
    let label_bytes = [u8::try_from(PREFIX.len() + label.len()).map_err(|_| Unspecified)?];
    let info: [&[u8]; 5] = [&length, &label_bytes, PREFIX, label, &[0]];
    let mut out = [0; N];
    secret.expand(&info, OutBytes(N))?.fill(&mut out)?;
    Ok(out)
}

/// How many bytes to expand to.
struct OutBytes(usize);

impl hkdf::KeyType for OutBytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// Makes Initial packets for tests of this and other modules.
#[cfg(test)]
pub mod testkit {
    use super::*;

    /// The header fields of a test packet.
    #[derive(Clone, Copy)]
    pub struct Envelope<'a> {
        /// The sender.
        pub side: Perspective,
        /// Destination and source connection id.
        pub ids: (&'a [u8], &'a [u8]),
        /// Packet number, sent in 4 bytes.
        pub number: u32,
        /// The fixed bit.
        pub fixed_bit: bool,
    }

    /// Seals `payload` into an Initial packet of version 1 or 2.
    pub fn seal(keys: &InitialKeys, envelope: &Envelope<'_>, payload: &[u8]) -> Vec<u8> {
        let Envelope { side, ids, number, fixed_bit } = *envelope;
        let (first, field) = match keys.version {
            Version::Two => (0x93, 0x6b33_43cf_u32),
            _ => (0x83, 1),
        };
        let mut packet = vec![first | u8::from(fixed_bit) << 6];
        packet.extend(field.to_be_bytes());
        for id in [ids.0, ids.1] {
            packet.push(id.len() as u8);
            packet.extend(id);
        }
        packet.push(0);
        packet.extend((0x4000 | (payload.len() + 20) as u16).to_be_bytes());
        let header_bytes = packet.len();
        packet.extend(number.to_be_bytes());
        let side = if side == Perspective::Client { &keys.client } else { &keys.server };
        let mut nonce = side.iv;
        for (byte, part) in nonce.iter_mut().rev().zip(number.to_be_bytes().iter().rev()) {
            *byte ^= part;
        }
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, &side.key).unwrap();
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let mut body = payload.to_vec();
        aead::LessSafeKey::new(key)
            .seal_in_place_append_tag(nonce, aead::Aad::from(&packet), &mut body)
            .unwrap();
        let header_key = quic::HeaderProtectionKey::new(&quic::AES_128, &side.header).unwrap();
        let mask = header_key.new_mask(&body[..16]).unwrap();
        packet[0] ^= mask[0] & 0x0f;
        for (byte, mask) in packet[header_bytes..].iter_mut().zip(&mask[1..]) {
            *byte ^= mask;
        }
        packet.extend(body);
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn derives_the_keys_of_rfc_9001_appendix_a_1() {
        let keys = InitialKeys::derive(Version::One, &ID).unwrap();
        assert_eq!(hex(&keys.client.key), "1f369613dd76d5467730efcbe3b1a22d");
        assert_eq!(hex(&keys.client.iv), "fa044b2f42a3fd3b46fb255c");
        assert_eq!(hex(&keys.client.header), "9f50449e04a0e810283a1e9933adedd2");
        assert_eq!(hex(&keys.server.key), "cf3a5331653c364c88f0f379b6067e37");
        assert_eq!(hex(&keys.server.iv), "0ac1493ca1905853b0bba03e");
        assert_eq!(hex(&keys.server.header), "c206b8d9b9f0f37644430b490eeaa314");
    }

    #[test]
    fn derives_the_keys_of_rfc_9369_appendix_a_1() {
        let keys = InitialKeys::derive(Version::Two, &ID).unwrap();
        assert_eq!(hex(&keys.client.key), "8b1a0bc121284290a29e0971b5cd045d");
        assert_eq!(hex(&keys.client.iv), "91f73e2351d8fa91660e909f");
        assert_eq!(hex(&keys.client.header), "45b95e15235d6f45a6b19cbcb0294ba9");
    }

    #[test]
    fn masks_the_header_of_rfc_9001_appendix_a_2() {
        // Its header in clear is c3 ... 00000002, its sample d1b1c98dd7689fb8ec11d242b123dc9b.
        let keys = InitialKeys::derive(Version::One, &ID).unwrap();
        let mut bytes = vec![0xc0, 0, 0, 0, 1, 8];
        bytes.extend(ID);
        bytes.extend([0, 0, 0x44, 0x9e, 0x7b, 0x9a, 0xec, 0x34]);
        let sample = 0xd1b1_c98d_d768_9fb8_ec11_d242_b123_dc9b_u128;
        bytes.extend(sample.to_be_bytes());
        let packet = LongPacket {
            version: Version::One,
            packet_type: crate::wire::quic::PacketType::Initial,
            destination: &ID,
            source: &[],
            bytes: &bytes,
            header_bytes: 18,
        };
        let (header, _, number) = keys.client.unmask(&packet).unwrap();
        assert_eq!((header[0], header.len(), number), (0xc3, 22, 2));
    }

    #[test]
    fn decrypts_its_own_packets_and_rejects_others() {
        for version in [Version::One, Version::Two] {
            let keys = InitialKeys::derive(version, &ID).unwrap();
            let envelope = testkit::Envelope {
                side: Perspective::Server,
                ids: (&[], &ID),
                number: 7,
                fixed_bit: true,
            };
            let mut sealed = testkit::seal(&keys, &envelope, b"frames");
            let (packet, _) = LongPacket::parse(&sealed).unwrap();
            assert_eq!(packet.version, version);
            assert_eq!(keys.open(&packet, Perspective::Server).unwrap(), b"frames");
            assert_eq!(keys.open(&packet, Perspective::Client), None);
            *sealed.last_mut().unwrap() ^= 1;
            let (packet, _) = LongPacket::parse(&sealed).unwrap();
            assert_eq!(keys.open(&packet, Perspective::Server), None);
        }
    }
}
