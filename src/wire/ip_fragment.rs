//! Which part of its datagram an IP fragment is, read backwards from where its data begins.
//!
//! Owns: IPv4's fragment fields (RFC 791 section 3.1) and IPv6's Fragment header (RFC 8200 section
//! 4.5). In: a frame, where the data begins, who sends to whom. Out: a [`Piece`]. Never: guesses:
//! the header must stand directly before the data and name the addresses, or there is none.

use crate::wire::{Fault, Reader, WireError};

/// Protocol number of IPv6's Fragment header (RFC 8200 section 4.5).
const FRAGMENT: u8 = 44;

/// Sender and receiver that the header must name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// IPv4 addresses.
    V4([u8; 4], [u8; 4]),
    /// IPv6 addresses.
    V6([u8; 16], [u8; 16]),
}

/// A fragment's place in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
    /// Where its data belongs, in bytes from the start of the datagram's data: below 65,536.
    pub offset: u32,
    /// Bytes of data on the wire: below 65,536.
    pub len: u32,
    /// Whether more follow.
    pub more: bool,
}

/// Reads the IP header that ends where `data_at` bytes of the frame have passed.
///
/// `None` where no such header stands there, where it is no fragment's, and where two lengths of
/// IPv4 header would do: a header behind a header (AH, Hop-by-Hop and the like) is not looked for.
pub fn read(frame: &[u8], data_at: usize, ends: Ends) -> Option<Piece> {
    let before = frame.get(..data_at)?;
    match ends {
        Ends::V4(src, dst) => {
            let mut found = (5..=15).filter_map(|words| read_v4(before, words, src, dst).ok());
            let piece = found.next()?;
            found.next().is_none().then_some(piece)
        }
        Ends::V6(src, dst) => read_v6(before, src, dst).ok(),
    }
    .filter(|piece| piece.more || piece.offset > 0)
}

/// The last `n` bytes.
fn last(bytes: &[u8], n: usize) -> Result<Reader<'_>, WireError> {
    let at = bytes.len().checked_sub(n).ok_or(WireError::NotThis)?;
    let mut reader = Reader::new(bytes);
    reader.skip(at)?;
    Ok(reader)
}

/// A header of so many words of four bytes (RFC 791 section 3.1).
fn read_v4(before: &[u8], words: u8, src: [u8; 4], dst: [u8; 4]) -> Result<Piece, WireError> {
    let length = u32::from(words) * 4;
    let mut r = last(before, length as usize)?;
    let [version_and_words, _] = r.array()?;
    let total = u32::from(r.u16()?);
    let id = u32::from(r.u16()?);
    let place = r.u16()?;
    r.skip(4)?;
    let named = r.array()? == src && r.array()? == dst;
    if version_and_words != 0x40 | words || !named {
        return Err(WireError::NotThis);
    }
    let len = total
        .checked_sub(length)
        .ok_or(WireError::Malformed(Fault::Length, "IPv4 total length"))?;
    let offset = u32::from(place & 0x1fff) * 8;
    Ok(Piece { id, offset, len, more: place & 0x2000 != 0 })
}

/// A fixed header with a Fragment header behind it (RFC 8200 sections 3 and 4.5).
fn read_v6(before: &[u8], src: [u8; 16], dst: [u8; 16]) -> Result<Piece, WireError> {
    let mut r = last(before, 48)?;
    let [version, _, _, _] = r.array()?;
    let length = u32::from(r.u16()?);
    let [next, _] = r.array()?;
    let named = r.array()? == src && r.array()? == dst;
    if version >> 4 != 6 || next != FRAGMENT || !named {
        return Err(WireError::NotThis);
    }
    r.skip(2)?;
    let place = u32::from(r.u16()?);
    let id = r.u32()?;
    let len =
        length.checked_sub(8).ok_or(WireError::Malformed(Fault::Length, "IPv6 payload length"))?;
    Ok(Piece { id, offset: place & 0xfff8, len, more: place & 1 != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SRC: [u8; 4] = [192, 0, 2, 1];
    const DST: [u8; 4] = [198, 51, 100, 2];
    const V4: Ends = Ends::V4(SRC, DST);

    /// An Ethernet header's worth of zeros and an IPv4 header with options.
    fn v4(options: &[u8], place: u16, total: u16) -> Vec<u8> {
        let mut bytes = vec![0; 14];
        bytes.extend_from_slice(&[0x45 + (options.len() / 4) as u8, 0]);
        bytes.extend_from_slice(&total.to_be_bytes());
        bytes.extend_from_slice(&[0x12, 0x34]);
        bytes.extend_from_slice(&place.to_be_bytes());
        bytes.extend_from_slice(&[64, 17, 0, 0]);
        bytes.extend_from_slice(&SRC);
        bytes.extend_from_slice(&DST);
        bytes.extend_from_slice(options);
        bytes
    }

    #[test]
    fn an_ipv4_header_with_and_without_options() {
        let bytes = v4(&[], 0x2000 | 3, 100);
        let piece = Piece { id: 0x1234, offset: 24, len: 80, more: true };
        assert_eq!(read(&bytes, bytes.len(), V4), Some(piece));
        let bytes = v4(&[1; 40], 3, 100);
        let piece = Piece { id: 0x1234, offset: 24, len: 40, more: false };
        assert_eq!(read(&bytes, bytes.len(), V4), Some(piece));
    }

    #[test]
    fn quotes_of_other_packets_are_no_fragments() {
        let whole = v4(&[], 0x4000, 100);
        assert_eq!(read(&whole, whole.len(), V4), None);
        let bytes = v4(&[], 0x2000, 100);
        assert_eq!(read(&bytes, bytes.len(), Ends::V4(DST, SRC)), None);
        assert_eq!(read(&bytes, bytes.len() - 1, V4), None);
        assert_eq!(read(&bytes, bytes.len() + 1, V4), None);
        let short = v4(&[], 0x2000, 19);
        assert_eq!(read(&short, short.len(), V4), None);
    }

    #[test]
    fn options_that_read_as_a_second_header_leave_it_open() {
        let inner = v4(&[], 0x2000, 50);
        let bytes = v4(&inner[14..], 0x2000, 100);
        assert_eq!(read(&bytes, bytes.len(), V4), None);
    }

    #[test]
    fn an_ipv6_fragment_header_behind_the_fixed_one() {
        let (src, dst) = ([1; 16], [2; 16]);
        let mut bytes = vec![0x60, 0, 0, 0, 0, 108, FRAGMENT, 64];
        bytes.extend_from_slice(&src);
        bytes.extend_from_slice(&dst);
        bytes.extend_from_slice(&[17, 0, 0x05, 0xa9, 1, 2, 3, 4]);
        let piece = Piece { id: 0x0102_0304, offset: 1_448, len: 100, more: true };
        assert_eq!(read(&bytes, 48, Ends::V6(src, dst)), Some(piece));
        bytes[6] = 0;
        assert_eq!(read(&bytes, 48, Ends::V6(src, dst)), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_not(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80),
            at in 0usize..100,
        ) {
            if let Some(piece) = read(&bytes, at, Ends::V4([0; 4], [0; 4])) {
                proptest::prop_assert!(piece.offset < 65_536 && piece.len < 65_536);
            }
        }
    }
}
