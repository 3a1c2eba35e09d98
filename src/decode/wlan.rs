//! 802.11 data frames, behind radiotap or Prism headers.
//!
//! Owns: the length of those headers, and the packets of an aggregate. In: a walk. Out: LLC. Never:
//! management or control frames, or decryption.

use crate::decode::transport::Span;
use crate::decode::walk::{Next, Walk};
use crate::decode::{DecodeConfig, Reject, link};
use crate::model::{Frame, LinkType};

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

/// The payload of a data frame.
enum Body {
    /// One packet, starting with its LLC header.
    Single,
    /// Several packets, each with addresses and a length of its own (A-MSDU).
    Aggregate,
}

/// Skips the header. Inside a tunnel only the first packet of an aggregate is read.
pub(super) fn header(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    match body(walk)? {
        Body::Single => Ok(Next::Llc),
        Body::Aggregate => subframe(walk),
    }
}

/// Skips the header of a subframe (IEEE 802.11 section 9.3.2.2): addresses, then a length which,
/// unlike that of Ethernet, may exceed 1500.
pub(super) fn subframe(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    walk.skip(12)?;
    let length = walk.take_u16()?;
    walk.bound(usize::from(length));
    Ok(Next::Llc)
}

/// IEEE 802.11 section 9.2.4: data frames only; null and encrypted ones carry nothing to read.
fn body(walk: &mut Walk<'_>) -> Result<Body, Reject> {
    let begin = walk.span.at;
    let [control, flags] = walk.take::<2>()?;
    let (kind, subtype) = (control >> 2 & 0x03, control >> 4);
    let (no_data, protected) = (subtype & 0x04 != 0, flags & 0x40 != 0);
    if control & 0x03 != 0 || kind != 2 || no_data || protected {
        return Err(Reject::NotIp);
    }
    walk.skip(22)?;
    // To and from a distribution system: there is a fourth address.
    if flags & 0x03 == 0x03 {
        walk.skip(6)?;
    }
    let mut body = Body::Single;
    if subtype & 0x08 != 0 {
        let [qos, _] = walk.take::<2>()?;
        // The order bit of a QoS frame announces HT control.
        if flags & 0x80 != 0 {
            walk.skip(4)?;
        }
        if qos & 0x80 != 0 {
            body = Body::Aggregate;
        }
    }
    let ahead = match body {
        Body::Single => 0,
        Body::Aggregate => 14,
    };
    let is_llc = |at: usize| walk.rest().get(at + ahead..).is_some_and(begins_llc);
    // Some cards align the bytes behind the header to 4 bytes. Radiotap has a flag for it
    // (<https://www.radiotap.org/fields/Flags.html>), which some drivers do not set, so the bytes
    // decide.
    if !(walk.span.at - begin).is_multiple_of(4) && !is_llc(0) && is_llc(2) {
        walk.skip(2)?;
    }
    Ok(body)
}

/// The LLC headers that lead to IP: SNAP, and SAP 6.
fn begins_llc(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xaa, 0xaa, 0x03]) || bytes.starts_with(&[0x06, 0x06, 0x03])
}

/// The packets of an aggregate frame.
#[derive(Clone, Copy, Debug)]
pub struct Subframes<'f> {
    frame: Frame<'f>,
    span: Span,
}

impl<'f> Subframes<'f> {
    /// The subframes of `frame`; `None` if it is not an 802.11 aggregate.
    pub(super) fn of(config: &DecodeConfig, frame: &Frame<'f>) -> Option<Subframes<'f>> {
        // Called for every frame that is not plain: for Ethernet it costs one comparison.
        if !matches!(frame.link, LinkType::IEEE802_11 | LinkType::IEEE802_11_RADIOTAP | link::PRISM)
        {
            return None;
        }
        let mut walk = Walk::new(config, frame, 0);
        if link::first(&mut walk, frame.link) != Ok(Next::Wlan) {
            return None;
        }
        match body(&mut walk) {
            Ok(Body::Aggregate) => Some(Subframes { frame: *frame, span: walk.span }),
            _ => None,
        }
    }
}

/// The offset of a subframe, and the subframe as a frame of its own.
impl<'f> Iterator for Subframes<'f> {
    type Item = (usize, Frame<'f>);

    fn next(&mut self) -> Option<(usize, Frame<'f>)> {
        let at = self.span.at;
        let rest = self.span.of(self.frame.bytes);
        // Anything shorter than a subframe header is padding or the frame check sequence.
        let [.., l0, l1] = *rest.first_chunk::<14>()?;
        let wire = 14 + usize::from(u16::from_be_bytes([l0, l1]));
        // Each subframe but the last is padded to 4 bytes.
        self.span.at = at.saturating_add(wire.next_multiple_of(4)).min(self.span.end);
        let bytes = rest.get(..wire).unwrap_or(rest);
        Some((at, Frame { bytes, wire_len: wire as u32, ..self.frame }))
    }
}
