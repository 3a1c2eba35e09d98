//! MPLS: a label stack, and a guess at its payload.
//!
//! Owns: RFC 3032 label entries and the RFC 4385 control word. In: a walk at a label. Out: IP or
//! Ethernet. Never: label tables. The stack does not say what follows, so the bytes have to.

use crate::decode::Reject;
use crate::decode::ip::{self, Fit};
use crate::decode::walk::{Next, Walk};

/// Maximum labels in one stack.
const LABELS_MAX: usize = 16;

/// Maximum VLAN tags skipped to recognise an Ethernet frame.
const TAGS_MAX: usize = 4;

/// Skips a label stack and guesses its payload.
pub(super) fn labels(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    walk.nest()?;
    for _ in 0..LABELS_MAX {
        // RFC 3032 section 2.1: the lowest bit of the third byte ends the stack.
        let [l0, l1, third, _] = walk.take::<4>()?;
        let label = u32::from_be_bytes([0, l0, l1, third]) >> 4;
        walk.label(label);
        if third & 1 == 1 {
            return payload(walk);
        }
    }
    Err(Reject::Depth)
}

/// A label stack does not name its payload. RFC 4928 section 2 warns that the first nibble alone
/// says little: a pseudowire frame without control word starts with a MAC address, and many of
/// those start with 4 or 6. So the interpretation whose lengths fit is used.
fn payload(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    let (rest, wire) = (walk.rest(), walk.span.wire_len());
    let ip = ip::fit(rest, wire);
    if ip == Fit::Checksum {
        return Ok(Next::Ip);
    }
    // Checked before the control word: four bytes of a MAC address can look like one, and the
    // frame's tag would then be read as part of its addresses.
    if is_ethernet(rest, wire) {
        return Ok(Next::Ethernet);
    }
    // RFC 4385 section 3: a first nibble of 0 marks the control word.
    let behind_word = rest.get(4..).unwrap_or_default();
    let word = rest.first().is_some_and(|first| first >> 4 == 0);
    if word && is_ethernet(behind_word, wire.saturating_sub(4)) {
        walk.skip(4)?;
        return Ok(Next::Ethernet);
    }
    if ip == Fit::Length { Ok(Next::Ip) } else { Err(Reject::NotIp) }
}

/// Whether this is an Ethernet frame of `wire` bytes whose payload is known and fits.
pub(super) fn is_ethernet(bytes: &[u8], wire: usize) -> bool {
    let Some((head, mut rest)) = bytes.split_first_chunk::<14>() else { return false };
    let [.., t0, t1] = *head;
    let (mut ether_type, mut wire) = (u16::from_be_bytes([t0, t1]), wire.saturating_sub(14));
    for _ in 0..=TAGS_MAX {
        match ether_type {
            0x0800 | 0x86dd => return ip::fit(rest, wire) != Fit::No,
            // RFC 826: hardware type 1, protocol type IPv4, addresses of 6 and 4 bytes.
            0x0806 => return rest.starts_with(&[0, 1, 8, 0, 6, 4]),
            // A label stack of its own; PPPoE version 1, type 1.
            0x8847 => return rest.len() >= 4,
            0x8864 => return rest.first() == Some(&0x11),
            // Bridge protocol data units (IEEE 802.1D section 9).
            38..=128 => return rest.starts_with(&[0x42, 0x42, 3, 0, 0]),
            0x8100 | 0x88a8 | 0x9100 => {
                let Some((&[_, _, t0, t1], behind)) = rest.split_first_chunk::<4>() else {
                    return false;
                };
                ether_type = u16::from_be_bytes([t0, t1]);
                (rest, wire) = (behind, wire.saturating_sub(4));
            }
            _ => return false,
        }
    }
    false
}
