//! QUIC in clear: long headers, and the frames of a decrypted Initial packet.
//!
//! Owns: versions and their packet types, variable-length integers, long headers, the frame walk.
//! In: a datagram, or the payload of a decrypted packet. Out: header fields and CRYPTO pieces.
//! Never: decrypts, keeps state between datagrams, or reads short headers.

use crate::wire::Fault;
use crate::wire::reader::{Reader, WireError};

/// Longest connection id of the versions read here (RFC 9000 section 17.2).
pub const CONNECTION_ID_MAX: usize = 20;
/// A protected packet holds a packet number and a ciphertext that together reach over the header
/// protection sample: 4 + 16 bytes (RFC 9001 section 5.4.2).
const PROTECTED_MIN: usize = 20;
/// Bytes of the integrity tag that ends a Retry packet (RFC 9000 section 17.2.5).
const RETRY_TAG_BYTES: usize = 16;

/// First byte of a long header: header form and fixed bit (RFC 9000 section 17.2).
const FORM_BIT: u8 = 0x80;
const FIXED_BIT: u8 = 0x40;

/// A version whose Initial packets can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Drafts 23 to 28.
    Draft23,
    /// Drafts 29 to 32.
    Draft29,
    /// RFC 9000, and drafts 33 and 34, which had its final salt already.
    One,
    /// RFC 9369.
    Two,
}

impl Version {
    /// From a version field.
    pub const fn from_field(field: u32) -> Option<Version> {
        match field {
            0x0000_0001 | 0xff00_0021..=0xff00_0022 => Some(Version::One),
            0x6b33_43cf => Some(Version::Two),
            0xff00_001d..=0xff00_0020 => Some(Version::Draft29),
            0xff00_0017..=0xff00_001c => Some(Version::Draft23),
            _ => None,
        }
    }

    /// The packet type of a first byte: version 2 numbers them differently (RFC 9369 section 3.2).
    const fn packet_type(self, first: u8) -> PacketType {
        let shift = match self {
            Version::Two => 3,
            _ => 0,
        };
        match (((first >> 4) & 3) + shift) & 3 {
            0 => PacketType::Initial,
            1 => PacketType::ZeroRtt,
            2 => PacketType::Handshake,
            _ => PacketType::Retry,
        }
    }
}

/// Packet types with a long header (RFC 9000 table 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketType {
    /// Initial: first handshake messages, encrypted with public keys.
    Initial,
    /// 0-RTT: early data.
    ZeroRtt,
    /// Handshake: the rest of the handshake.
    Handshake,
    /// Retry: the server validates the client's address.
    Retry,
}

/// One packet with a long header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongPacket<'a> {
    /// Its version.
    pub version: Version,
    /// Its type.
    pub packet_type: PacketType,
    /// Destination connection id.
    pub destination: &'a [u8],
    /// Source connection id.
    pub source: &'a [u8],
    /// The whole packet, header included.
    pub bytes: &'a [u8],
    /// Bytes before the packet number; for a Retry, before its token.
    pub header_bytes: usize,
}

impl<'a> LongPacket<'a> {
    /// Takes the first packet of a datagram, and gives the bytes after it (RFC 9000 section 12.2).
    ///
    /// # Errors
    ///
    /// `NotThis` for a short header, a version negotiation or a version that is not known;
    /// `Malformed` or `NeedMore` if the fields reach beyond the datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<(LongPacket<'a>, &'a [u8]), WireError> {
        let mut reader = Reader::new(datagram);
        let first = reader.u8()?;
        if first & FORM_BIT == 0 {
            return Err(WireError::NotThis);
        }
        let version = Version::from_field(reader.u32()?).ok_or(WireError::NotThis)?;
        let packet_type = version.packet_type(first);
        let destination = connection_id(&mut reader)?;
        let source = connection_id(&mut reader)?;
        if packet_type == PacketType::Initial {
            let token_bytes = varint_length(&mut reader)?;
            reader.skip(token_bytes)?;
        }
        let body_bytes = match packet_type {
            // Reaches to the end of the datagram.
            PacketType::Retry if reader.left() < RETRY_TAG_BYTES => {
                return Err(WireError::Malformed(Fault::Truncated, "QUIC Retry without its tag"));
            }
            PacketType::Retry => reader.left(),
            _ => varint_length(&mut reader)?,
        };
        if packet_type != PacketType::Retry && body_bytes < PROTECTED_MIN {
            return Err(WireError::Malformed(
                Fault::Truncated,
                "QUIC packet shorter than its protection",
            ));
        }
        let header_bytes = datagram.len() - reader.left();
        reader.skip(body_bytes)?;
        let mut whole = Reader::new(datagram);
        let bytes = whole.take(header_bytes + body_bytes)?;
        let packet = LongPacket { version, packet_type, destination, source, bytes, header_bytes };
        Ok((packet, whole.rest()))
    }

    /// Whether a datagram begins a connection of a version that is recognised but not read:
    /// Google's before the standard (Q024 to Q050, T050 and T051; with a public header up to Q043),
    /// and those of Meta's mvfst.
    pub fn is_of_another_version(datagram: &[u8]) -> bool {
        let version = match datagram {
            [0xc0..=0xff, version @ ..] => version,
            [0x09 | 0x0d, _, _, _, _, _, _, _, _, version @ ..] => version,
            _ => return false,
        };
        matches!(
            version,
            [b'Q' | b'T', b'0', b'0'..=b'9', b'0'..=b'9', _, ..]
                | [0xfa, 0xce, 0xb0, 0..=0x0f, _, ..]
        )
    }

    /// Whether the fixed bit is set, as it is in every first packet. Later ones may clear it where
    /// the other side allowed that (RFC 9287 section 3.1), a server already in its first answer.
    pub fn has_fixed_bit(&self) -> bool {
        self.bytes.first().is_some_and(|first| first & FIXED_BIT != 0)
    }
}

fn connection_id<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], WireError> {
    let length = usize::from(reader.u8()?);
    if length > CONNECTION_ID_MAX {
        return Err(WireError::Malformed(Fault::Length, "QUIC connection id over 20 bytes"));
    }
    reader.take(length)
}

/// A variable-length integer (RFC 9000 section 16).
///
/// # Errors
///
/// `NeedMore` where its bytes are not there.
pub fn varint(reader: &mut Reader<'_>) -> Result<u64, WireError> {
    let first = reader.u8()?;
    let mut value = u64::from(first & 0x3f);
    let further = (1_usize << (first >> 6)) - 1;
    for byte in reader.take(further)? {
        value = (value << 8) | u64::from(*byte);
    }
    Ok(value)
}

/// A variable-length integer that is a length within these bytes.
fn varint_length(reader: &mut Reader<'_>) -> Result<usize, WireError> {
    usize::try_from(varint(reader)?).map_err(|_| WireError::Malformed(Fault::Length, "QUIC length"))
}

/// A CRYPTO frame: a piece of the handshake's byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crypto<'a> {
    /// Offset in the stream.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Iterates over the CRYPTO frames of a decrypted Initial packet.
///
/// Ends after the first error: what follows a frame that does not parse has no start.
#[derive(Clone, Debug)]
pub struct CryptoFrames<'a> {
    reader: Reader<'a>,
}

impl<'a> CryptoFrames<'a> {
    /// Starts at the first frame of `payload`.
    pub const fn new(payload: &'a [u8]) -> CryptoFrames<'a> {
        CryptoFrames { reader: Reader::new(payload) }
    }

    /// Skips to the next CRYPTO frame.
    fn advance(&mut self) -> Result<Option<Crypto<'a>>, WireError> {
        // The frames an Initial packet may hold: RFC 9000 table 3.
        while !self.reader.is_empty() {
            match self.reader.u8()? {
                // PADDING and PING.
                0x00 | 0x01 => {}
                kind @ (0x02 | 0x03) => skip_ack(&mut self.reader, kind == 0x03)?,
                0x06 => {
                    let offset = varint(&mut self.reader)?;
                    let length = varint_length(&mut self.reader)?;
                    return Ok(Some(Crypto { offset, bytes: self.reader.take(length)? }));
                }
                // CONNECTION_CLOSE: error code, frame type, reason.
                0x1c => {
                    varint(&mut self.reader)?;
                    varint(&mut self.reader)?;
                    let reason_bytes = varint_length(&mut self.reader)?;
                    self.reader.skip(reason_bytes)?;
                }
                _ => {
                    return Err(WireError::Malformed(
                        Fault::Value,
                        "QUIC frame that an Initial cannot hold",
                    ));
                }
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for CryptoFrames<'a> {
    type Item = Result<Crypto<'a>, WireError>;

    fn next(&mut self) -> Option<Result<Crypto<'a>, WireError>> {
        // The packet is complete: a frame that needs more bytes is malformed.
        let frame = self.advance().map_err(|error| match error {
            WireError::NeedMore(_) => {
                WireError::Malformed(Fault::Truncated, "QUIC frame leaves its packet")
            }
            other => other,
        });
        if frame.is_err() {
            self.reader = Reader::new(&[]);
        }
        frame.transpose()
    }
}

/// The largest packet number that a decrypted Initial packet acknowledges (RFC 9000 section 19.3).
pub fn largest_acknowledged(payload: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(payload);
    loop {
        match reader.u8().ok()? {
            0x00 | 0x01 => {}
            0x02 | 0x03 => return varint(&mut reader).ok(),
            0x06 => {
                varint(&mut reader).ok()?;
                let length = varint_length(&mut reader).ok()?;
                reader.skip(length).ok()?;
            }
            _ => return None,
        }
    }
}

/// RFC 9000 section 19.3.
fn skip_ack(reader: &mut Reader<'_>, with_ecn_counts: bool) -> Result<(), WireError> {
    // Largest acknowledged, delay; then the count of ranges, and the first of them.
    varint(reader)?;
    varint(reader)?;
    let ranges = varint(reader)?;
    varint(reader)?;
    // Each takes a byte at least, so the payload bounds the loop.
    for _ in 0..ranges {
        varint(reader)?;
        varint(reader)?;
    }
    if with_ecn_counts {
        for _ in 0..3 {
            varint(reader)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_integers_of_rfc_9000_appendix_a_1() {
        let cases: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, value) in cases {
            assert_eq!(varint(&mut Reader::new(bytes)), Ok(value));
        }
        assert_eq!(varint(&mut Reader::new(&[0x7b])), Err(WireError::NeedMore(1)));
    }

    fn header(first: u8, version: u32) -> Vec<u8> {
        let mut bytes = vec![first];
        bytes.extend(version.to_be_bytes());
        bytes.extend([2, 0xaa, 0xbb, 1, 0xcc]);
        bytes
    }

    #[test]
    fn reads_coalesced_packets_one_by_one() {
        let mut datagram = header(0xc0, 1);
        datagram.extend([1, 0x77, 20]);
        datagram.extend([0x11; 20]);
        let first_bytes = datagram.len();
        datagram.extend(header(0xe0, 1));
        datagram.push(21);
        datagram.extend([0x22; 21]);
        let (initial, rest) = LongPacket::parse(&datagram).unwrap();
        assert_eq!(initial.packet_type, PacketType::Initial);
        assert_eq!((initial.destination, initial.source), (&[0xaa, 0xbb][..], &[0xcc][..]));
        assert_eq!((initial.bytes.len(), initial.header_bytes), (first_bytes, first_bytes - 20));
        let (handshake, rest) = LongPacket::parse(rest).unwrap();
        assert_eq!(handshake.packet_type, PacketType::Handshake);
        assert!(rest.is_empty());
    }

    #[test]
    fn reads_the_fixed_bit() {
        for (first, set) in [(0xc0, true), (0x80, false)] {
            let mut datagram = header(first, 1);
            datagram.extend([0, 20]);
            datagram.extend([0; 20]);
            let (packet, _) = LongPacket::parse(&datagram).unwrap();
            assert_eq!(packet.has_fixed_bit(), set);
        }
    }

    #[test]
    fn version_2_has_other_type_numbers() {
        let types = [0xc0, 0xd0, 0xe0, 0xf0].map(|first| Version::Two.packet_type(first));
        let expected =
            [PacketType::Retry, PacketType::Initial, PacketType::ZeroRtt, PacketType::Handshake];
        assert_eq!(types, expected);
    }

    #[test]
    fn rejects_short_headers_and_unknown_versions() {
        let parse = |bytes: &[u8]| LongPacket::parse(bytes).map(|_| ());
        assert_eq!(parse(&[0x40, 0, 0, 0, 1]), Err(WireError::NotThis));
        assert_eq!(parse(&header(0xc0, 0)), Err(WireError::NotThis));
        assert_eq!(parse(&header(0xc0, 0x1a2a_3a4a)), Err(WireError::NotThis));
        let mut long_id = vec![0xc0, 0, 0, 0, 1, 21];
        long_id.extend([0; 64]);
        assert!(matches!(parse(&long_id), Err(WireError::Malformed(..))));
        let mut cut = header(0xc0, 1);
        cut.extend([0, 30, 1, 2, 3]);
        assert_eq!(parse(&cut), Err(WireError::NeedMore(27)));
    }

    #[test]
    fn reads_every_frame_type_of_an_initial() {
        let mut payload = vec![0, 0, 1];
        payload.extend([0x02, 5, 0, 1, 2, 0, 1]);
        payload.extend([0x06, 0x40, 0x64, 3, 7, 8, 9]);
        payload.extend([0x03, 5, 0, 0, 2, 1, 2, 3]);
        payload.extend([0x06, 0, 1, 4]);
        payload.extend([0x1c, 1, 6, 2, b'n', b'o', 0]);
        let found: Vec<_> = CryptoFrames::new(&payload).map(Result::unwrap).collect();
        let expected =
            [Crypto { offset: 100, bytes: &[7, 8, 9] }, Crypto { offset: 0, bytes: &[4] }];
        assert_eq!(found, expected);
    }

    #[test]
    fn ends_at_a_frame_that_leaves_its_packet() {
        let mut frames = CryptoFrames::new(&[0x06, 0, 9, 1]);
        assert!(matches!(frames.next(), Some(Err(WireError::Malformed(..)))));
        assert_eq!(frames.next(), None);
        let mut frames = CryptoFrames::new(&[0x08, 0, 0]);
        assert!(matches!(frames.next(), Some(Err(WireError::Malformed(..)))));
    }

    proptest! {
        #[test]
        fn any_bytes_end(first in 0xc0_u8.., tail in prop::collection::vec(any::<u8>(), 0..96)) {
            let mut datagram = vec![first, 0, 0, 0, 1];
            datagram.extend(&tail);
            if let Ok((packet, rest)) = LongPacket::parse(&datagram) {
                prop_assert_eq!(packet.bytes.len() + rest.len(), datagram.len());
                prop_assert!(packet.header_bytes < packet.bytes.len());
            }
            prop_assert!(CryptoFrames::new(&tail).count() <= tail.len());
        }
    }
}
