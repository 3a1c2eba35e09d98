//! What shares a port with WebRTC: STUN, DTLS, TURN channels, media (RFC 7983).
//!
//! Owns: telling them apart by their first bytes. In: the captured start of a payload and its size
//! on the wire. Out: the kind, and the size of what a channel carries.
//! Never: reads beyond the first twelve bytes, or keeps state.

use crate::wire::{Reader, stun};

/// The kind of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multiplexed {
    /// STUN: checks of the path and of consent (RFC 7675).
    Stun,
    /// DTLS that is no data: handshake, alert, acknowledgement.
    Handshake,
    /// DTLS data: a record of version 1.2 (RFC 6347 section 4.1, RFC 9146 section 4) or a
    /// ciphertext of version 1.3 (RFC 9147 section 4), whose first byte is 0x20 to 0x3f.
    Data,
    /// RTP or RTCP (RFC 3550).
    Media,
    /// Something else.
    Other,
}

/// A payload, without the header of a TURN channel (RFC 8656 section 12.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    /// Its kind. Where there is no WebRTC anything may begin so.
    pub kind: Multiplexed,
    /// Its captured start.
    pub bytes: &'a [u8],
    /// Its size on the wire.
    pub size: u32,
    /// Whether a channel carries it.
    pub in_channel: bool,
}

impl<'a> Content<'a> {
    /// Of a payload of this size on the wire.
    pub fn of(bytes: &'a [u8], size: u32) -> Content<'a> {
        let inner = channel(bytes, size);
        let (bytes, size) = inner.unwrap_or((bytes, size));
        Content { kind: kind(bytes, size), bytes, size, in_channel: inner.is_some() }
    }
}

/// The content of a TURN channel, if the payload is exactly one message of one: over TCP they are
/// padded to four bytes.
fn channel(bytes: &[u8], size: u32) -> Option<(&[u8], u32)> {
    if bytes.first().is_none_or(|first| first >> 4 != 4) {
        return None;
    }
    let mut reader = Reader::new(bytes);
    let (number, length) = (reader.u16().ok()?, u32::from(reader.u16().ok()?));
    let whole = length + 4;
    let fits = size == whole || size == whole.next_multiple_of(4);
    ((0x4000..0x5000).contains(&number) && fits).then(|| (reader.rest(), length))
}

fn kind(bytes: &[u8], size: u32) -> Multiplexed {
    let mut reader = Reader::new(bytes);
    let Ok(first) = reader.u8() else { return Multiplexed::Other };
    match first {
        0..=3 => {
            let cookie = reader.skip(3).and_then(|()| reader.u32());
            if cookie == Ok(stun::MAGIC_COOKIE) { Multiplexed::Stun } else { Multiplexed::Other }
        }
        20..=26 if !is_dtls(&mut reader) => Multiplexed::Other,
        20..=22 | 24 | 26 => Multiplexed::Handshake,
        23 | 25 | 32..=63 => Multiplexed::Data,
        128..=191 if size >= 12 => Multiplexed::Media,
        _ => Multiplexed::Other,
    }
}

/// Whether a version of DTLS follows.
fn is_dtls(reader: &mut Reader<'_>) -> bool {
    matches!(reader.u16(), Ok(0xfeff | 0xfefd | 0xfefc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun() -> Vec<u8> {
        let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        message.resize(20, 7);
        message
    }

    fn in_channel(inner: &[u8], padded: bool) -> Vec<u8> {
        let mut message = vec![0x40, 0x01, 0, inner.len() as u8];
        message.extend_from_slice(inner);
        let whole = message.len().next_multiple_of(4);
        message.resize(if padded { whole } else { message.len() }, 0);
        message
    }

    fn within(bytes: &[u8], size: u32) -> (Multiplexed, u32) {
        let content = Content::of(bytes, size);
        (content.kind, content.size)
    }

    fn of(bytes: &[u8]) -> (Multiplexed, u32) {
        within(bytes, bytes.len() as u32)
    }

    #[test]
    fn each_kind_is_told_by_its_first_bytes() {
        assert_eq!(of(&stun()), (Multiplexed::Stun, 20));
        assert_eq!(of(&[22, 0xfe, 0xfd, 0]), (Multiplexed::Handshake, 4));
        assert_eq!(of(&[23, 0xfe, 0xfd, 0]), (Multiplexed::Data, 4));
        for first in [0x2e, 0x2f] {
            assert_eq!(of(&[first, 1, 2, 3, 4]), (Multiplexed::Data, 5), "DTLS 1.3");
        }
        assert_eq!(of(&[0x80; 40]), (Multiplexed::Media, 40));
        let others: [&[u8]; 5] = [&[], &[23, 3, 3, 0], &[4, 0, 0, 0, 1], &[0xc0; 30], &[0, 1, 0]];
        for other in others {
            assert_eq!(of(other).0, Multiplexed::Other, "{other:?}");
        }
    }

    #[test]
    fn what_a_turn_channel_carries_is_seen() {
        for padded in [false, true] {
            assert_eq!(of(&in_channel(&stun(), padded)), (Multiplexed::Stun, 20));
            let data = [0x2f, 1, 2, 3, 4, 5];
            assert_eq!(of(&in_channel(&data, padded)), (Multiplexed::Data, 6));
        }
        // Only the start was captured.
        assert_eq!(within(&in_channel(&stun(), false)[..12], 24), (Multiplexed::Stun, 20));
        assert_eq!(of(b"GET / HTTP/1.1\r\n").0, Multiplexed::Other);
        assert_eq!(within(&in_channel(&stun(), false), 90).1, 90, "longer than the channel says");
    }

    #[test]
    fn no_prefix_is_too_short() {
        let message = in_channel(&stun(), true);
        for end in 0..message.len() {
            let _ = within(&message[..end], 24);
        }
    }
}
