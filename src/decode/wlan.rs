//! 802.11 data frames, behind radiotap or Prism headers.
//!
//! Owns: the length of those headers. In: a walk. Out: LLC. Never: management or control frames, or
//! decryption.

use crate::decode::Reject;
use crate::decode::walk::Next;
use crate::decode::walk::Walk;

/// Radiotap (<https://www.radiotap.org>): version 0, pad, header length, little-endian.
pub(super) fn radiotap(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    let [version, _, l0, l1] = walk.take::<4>()?;
    if version != 0 {
        return Err(Reject::Malformed("radiotap version is not 0"));
    }
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let Some(left) = length.checked_sub(4) else {
        return Err(Reject::Malformed("radiotap length below 8"));
    };
    walk.skip(left)?;
    Ok(Next::Wlan)
}

/// Prism: message code and length in the byte order of the capturing host.
pub(super) fn prism(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    walk.skip(4)?;
    let length = walk.take::<4>()?;
    let length = u32::from_le_bytes(length).min(u32::from_be_bytes(length));
    let Some(left) = usize::try_from(length).ok().and_then(|n| n.checked_sub(8)) else {
        return Err(Reject::Malformed("Prism length below 8"));
    };
    walk.skip(left)?;
    Ok(Next::Wlan)
}

/// IEEE 802.11 section 9.2.4: data frames only; null and encrypted ones carry nothing to read.
pub(super) fn header(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    let [control, flags] = walk.take::<2>()?;
    let (kind, subtype) = (control >> 2 & 0x03, control >> 4);
    let (no_data, protected) = (subtype & 0x04 != 0, flags & 0x40 != 0);
    if control & 0x03 != 0 || kind != 2 || no_data || protected {
        return Err(Reject::NotIp);
    }
    walk.skip(22)?;
    // To and from a distribution system: a fourth address.
    if flags & 0x03 == 0x03 {
        walk.skip(6)?;
    }
    if subtype & 0x08 != 0 {
        let [qos, _] = walk.take::<2>()?;
        // The order bit of a QoS frame announces HT control.
        if flags & 0x80 != 0 {
            walk.skip(4)?;
        }
        // An aggregate: the first subframe's addresses and length.
        if qos & 0x80 != 0 {
            walk.skip(12)?;
            let length = walk.take_u16()?;
            walk.bound(usize::from(length));
        }
    }
    Ok(Next::Llc)
}
