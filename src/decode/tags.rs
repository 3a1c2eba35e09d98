//! Headers that switches insert between the Ethernet addresses and the EtherType: 802.1 and vendor
//! tags.
//!
//! Owns: those headers, and the search for IP behind an unknown EtherType. In: a walk behind the
//! EtherType. Out: the type of the next header, or `None` for "no tag". Never: stores VLAN ids
//! outside the walk.

use crate::decode::Reject;
use crate::decode::ip::{self, Fit};
use crate::decode::link::type_or_length;
use crate::decode::walk::{Next, Walk};

/// How far behind an unknown EtherType to search for IP, in bytes.
const HIDDEN_MAX: usize = 32;

/// Skips the tag that `ether_type` announces.
pub(super) fn pass(walk: &mut Walk<'_>, ether_type: u16) -> Result<Option<Next>, Reject> {
    let skipped = match ether_type {
        // 802.1Q, 802.1ad, and the older QinQ numbers that some switches still use.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => {
            let tci = walk.take_u16()?;
            walk.tag(tci)?;
            return type_or_length(walk).map(Some);
        }
        // VN-Tag (before 802.1BR): direction, policy and two virtual interfaces.
        0x8926 => 4,
        // E-Tag (IEEE 802.1BR section 7.5): priority and two extended identifiers.
        0x893f => 6,
        // R-Tag (IEEE 802.1CB section 7.8) and HSR (IEC 62439-3 section 5.7): a sequence number.
        0xf1c1 | 0x892f => 4,
        // Cisco ttag, of ACI fabrics and Nexus switches: a 48-bit timestamp.
        0x8988 => 6,
        0x8909 => return security_group(walk).map(Some),
        0x88e5 => return unencrypted_macsec(walk).map(Some),
        0xd28b => return arista_time(walk).map(Some),
        // Cisco FabricPath: forwarding tag, then the original frame.
        0x8903 => {
            walk.nest()?;
            walk.skip(2)?;
            return Ok(Some(Next::Ethernet));
        }
        // 802.1ah I-TAG: priority and service id, then the customer's frame.
        0x88e7 => {
            walk.nest()?;
            walk.skip(4)?;
            return Ok(Some(Next::Ethernet));
        }
        0x22f3 => return trill(walk).map(Some),
        _ => return Ok(None),
    };
    walk.nest()?;
    walk.skip(skipped)?;
    type_or_length(walk).map(Some)
}

/// Cisco metadata (TrustSec): version 1, then the length of its options in words of 4 bytes; the
/// security group is one of them.
fn security_group(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    walk.nest()?;
    let [version, words] = walk.take::<2>()?;
    if version != 1 || words == 0 {
        return Err(Reject::Malformed("Cisco metadata of another version"));
    }
    walk.skip(usize::from(words) * 4)?;
    type_or_length(walk)
}

/// IEEE 802.1AE section 9: a frame that is signed but not encrypted can be read. The integrity
/// check value is behind the packet, outside the packet's own length.
fn unencrypted_macsec(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    walk.nest()?;
    let [control, _, _, _, _, _] = walk.take::<6>()?;
    // Version 0, neither encrypted nor changed.
    if control & 0x8c != 0 {
        return Err(Reject::NotIp);
    }
    // An explicit channel identifier.
    if control & 0x20 != 0 {
        walk.skip(8)?;
    }
    type_or_length(walk)
}

/// Arista timestamp header: subtype 1, then timescale, format (1 is 64 bits, 2 is 48) and hardware.
fn arista_time(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    walk.nest()?;
    let [s0, s1, _, format] = walk.take::<4>()?;
    match (s0, s1, format >> 4) {
        (0, 1, 1) => walk.skip(8)?,
        (0, 1, 2) => walk.skip(6)?,
        _ => return Err(Reject::NotIp),
    }
    type_or_length(walk)
}

/// RFC 6325 section 3: version 0, options in words, two nicknames, the original frame.
fn trill(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    walk.nest()?;
    let first = walk.take_u16()?;
    if first >> 14 != 0 {
        return Err(Reject::NotIp);
    }
    let options = usize::from(first >> 6 & 0x1f) * 4;
    walk.skip(4 + options)?;
    Ok(Next::Ethernet)
}

/// Whether an IP packet, announced by its own EtherType, follows shortly behind an unknown
/// EtherType. Then the frame has an unknown tag, and its sessions are missed.
pub(super) fn hides_ip(walk: &Walk<'_>) -> bool {
    let (rest, wire) = (walk.rest(), walk.span.wire_len());
    (0..HIDDEN_MAX).step_by(2).any(|at| {
        let announced = rest.get(at..).unwrap_or_default();
        let Some((&[t0, t1], packet)) = announced.split_first_chunk::<2>() else { return false };
        let fit = ip::fit(packet, wire.saturating_sub(at + 2));
        match u16::from_be_bytes([t0, t1]) {
            // A 20-byte header with a correct checksum is no coincidence.
            0x0800 => fit == Fit::Checksum,
            0x86dd => packet.first().is_some_and(|first| first >> 4 == 6) && fit == Fit::Length,
            _ => false,
        }
    })
}
