//! What the first bytes of a datagram of a session with STUN look like (RFC 7983 section 7), and
//! what TURN carries in it.
//!
//! Owns: the ranges. In: bytes. Out: a kind. Never: more than a guess: without STUN anything may
//! begin so.

/// The kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// STUN, by its cookie.
    Stun,
    /// DTLS, records of version 1.3 too.
    Dtls,
    /// RTP or RTCP.
    Media,
    /// Anything else.
    Unknown,
}

impl Payload {
    pub(crate) const fn of(bytes: &[u8]) -> Payload {
        match bytes {
            [0..=0x3f, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..] => Payload::Stun,
            // DTLS 1.3's records begin with 001 and flags (RFC 9147 section 4).
            [20..=63, ..] => Payload::Dtls,
            [128..=191, ..] => Payload::Media,
            _ => Payload::Unknown,
        }
    }
}

/// What TURN's ChannelData carries and its length, if that fits: it is padded over TCP only (RFC
/// 8656 section 12.5).
pub(crate) fn in_channel(bytes: &[u8], payload: u32) -> Option<(&[u8], u32)> {
    let [0x40..=0x4f, _, high, low, rest @ ..] = bytes else { return None };
    let length = u32::from(u16::from_be_bytes([*high, *low]));
    let fits = length + 4 <= payload && payload <= length.next_multiple_of(4) + 4;
    fits.then_some((rest, length))
}
