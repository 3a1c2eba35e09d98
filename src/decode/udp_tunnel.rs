//! Tunnels in UDP, recognised by port: VXLAN, VXLAN-GPE, Geneve, GTP-U, Teredo, L2TP, TZSP.
//!
//! Owns: those headers. In: a walk behind a UDP header. Out: the type of the inner header, or
//! `None` for "no tunnel". Never: trusts the port alone: if the header does not fit, the UDP packet
//! is the result.

use crate::decode::tunnel::{self, TunnelKind};
use crate::decode::walk::{Next, Walk};
use crate::decode::{DecodeConfig, Reject, ip, link};

const L2TP: u16 = 1701;
const GTP_U: u16 = 2152;
const TEREDO: u16 = 3544;
const VXLAN: u16 = 4789;
const VXLAN_GPE: u16 = 4790;
const GENEVE: u16 = 6081;
/// Linux used this port before one was assigned, and it is still the default there.
const VXLAN_LINUX: u16 = 8472;
const TZSP: u16 = 37008;

/// Maximum extension headers in a tunnel header.
const EXTENSIONS_MAX: usize = 16;

/// Whether a UDP port may mean a tunnel: the fast path leaves such packets to the general one.
#[inline]
pub(super) const fn is_tunnel_port(port: u16) -> bool {
    matches!(port, L2TP | GTP_U | TEREDO | VXLAN | VXLAN_GPE | GENEVE | VXLAN_LINUX | TZSP)
}

/// Enters the tunnel that the ports announce, if the bytes agree and it is on.
pub(super) fn enter(
    config: &DecodeConfig,
    walk: &mut Walk<'_>,
    (src, dst): (u16, u16),
) -> Result<Option<Next>, Reject> {
    let on = |kind| config.tunnels.has(kind);
    match (src, dst) {
        (_, VXLAN | VXLAN_LINUX) if on(TunnelKind::Vxlan) => vxlan(walk),
        (_, VXLAN_GPE) if on(TunnelKind::VxlanGpe) => vxlan_gpe(walk),
        (_, GENEVE) if on(TunnelKind::Geneve) => geneve(walk),
        (_, TZSP) if on(TunnelKind::Tzsp) => tzsp(walk),
        (GTP_U, _) | (_, GTP_U) if on(TunnelKind::GtpU) => gtp_u(walk),
        (TEREDO, _) | (_, TEREDO) if on(TunnelKind::Teredo) => teredo(walk),
        (L2TP, _) | (_, L2TP) if on(TunnelKind::L2tp) => l2tp(walk),
        _ => Ok(None),
    }
}

/// RFC 7348 section 5: the I flag marks a valid network identifier.
fn vxlan(walk: &mut Walk<'_>) -> Result<Option<Next>, Reject> {
    let [flags, _, _, _, n0, n1, n2, _] = walk.take::<8>()?;
    if flags & 0x08 == 0 {
        return Ok(None);
    }
    walk.enter(TunnelKind::Vxlan, u32::from_be_bytes([0, n0, n1, n2]))?;
    Ok(Some(Next::Ethernet))
}

/// draft-ietf-nvo3-vxlan-gpe section 3: version 0; the P flag makes the fourth byte a protocol.
fn vxlan_gpe(walk: &mut Walk<'_>) -> Result<Option<Next>, Reject> {
    let [flags, _, _, protocol, n0, n1, n2, _] = walk.take::<8>()?;
    if flags & 0x30 != 0 || flags & 0x0c == 0 {
        return Ok(None);
    }
    walk.enter(TunnelKind::VxlanGpe, u32::from_be_bytes([0, n0, n1, n2]))?;
    let protocol = if flags & 0x04 == 0 { 3 } else { protocol };
    Ok(match protocol {
        1 | 2 => {
            walk.strict = true;
            Some(Next::Ip)
        }
        3 => Some(Next::Ethernet),
        4 => Some(tunnel::service_header(walk)?),
        5 => Some(Next::Mpls),
        _ => None,
    })
}

/// RFC 8926 section 3.4: version 0, options in words, an EtherType.
fn geneve(walk: &mut Walk<'_>) -> Result<Option<Next>, Reject> {
    let [first, _, t0, t1, n0, n1, n2, _] = walk.take::<8>()?;
    if first >> 6 != 0 {
        return Ok(None);
    }
    walk.skip(usize::from(first & 0x3f) * 4)?;
    walk.enter(TunnelKind::Geneve, u32::from_be_bytes([0, n0, n1, n2]))?;
    Ok(Some(Next::EtherType(u16::from_be_bytes([t0, t1]))))
}

/// 3GPP TS 29.281 section 5.1: version 1, protocol type GTP, message type 255 (G-PDU); extension
/// headers (section 5.2) state their length in words and the next type in their last byte.
fn gtp_u(walk: &mut Walk<'_>) -> Result<Option<Next>, Reject> {
    let [flags, kind, l0, l1] = walk.take::<4>()?;
    let teid = walk.take_u32()?;
    if flags & 0xf0 != 0x30 || kind != 255 {
        return Ok(None);
    }
    walk.bound(usize::from(u16::from_be_bytes([l0, l1])));
    if flags & 0x07 != 0 {
        let [_, _, _, mut extension] = walk.take::<4>()?;
        if flags & 0x04 == 0 {
            extension = 0;
        }
        for _ in 0..EXTENSIONS_MAX {
            if extension == 0 {
                break;
            }
            let [words] = walk.take::<1>()?;
            let Some(content) = (usize::from(words) * 4).checked_sub(2) else {
                return Ok(None);
            };
            walk.skip(content)?;
            [extension] = walk.take::<1>()?;
        }
        if extension != 0 {
            return Ok(None);
        }
    }
    inner_ip(walk, TunnelKind::GtpU, teid)
}

/// RFC 4380 section 5.1.1: authentication, then origin indication, both optional, then IPv6.
fn teredo(walk: &mut Walk<'_>) -> Result<Option<Next>, Reject> {
    if walk.rest().starts_with(&[0, 1]) {
        let [_, _, id, value] = walk.take::<4>()?;
        walk.skip(usize::from(id) + usize::from(value) + 9)?;
    }
    if walk.rest().starts_with(&[0, 0]) {
        walk.skip(8)?;
    }
    match walk.rest().first() {
        Some(first) if first >> 4 == 6 => inner_ip(walk, TunnelKind::Teredo, 0),
        _ => Ok(None),
    }
}

/// RFC 2661 section 3.1 (version 2, PPP inside), RFC 3931 section 4.1.2 (version 3, Ethernet
/// inside).
fn l2tp(walk: &mut Walk<'_>) -> Result<Option<Next>, Reject> {
    let flags = walk.take_u16()?;
    let (control, version) = (flags & 0x8000 != 0, flags & 0x000f);
    match version {
        2 if !control => {}
        3 if !control => {
            walk.skip(2)?;
            let session = walk.take_u32()?;
            return tunnel::l2tp3_session(walk, session);
        }
        _ => return Ok(None),
    }
    if flags & 0x4000 != 0 {
        walk.skip(2)?;
    }
    let ids = walk.take_u32()?;
    if flags & 0x0800 != 0 {
        walk.skip(4)?;
    }
    if flags & 0x0200 != 0 {
        let pad = walk.take_u16()?;
        walk.skip(usize::from(pad))?;
    }
    walk.enter(TunnelKind::L2tp, ids)?;
    walk.strict = true;
    link::address_and_control(walk);
    Ok(Some(Next::Ppp))
}

/// TaZmen Sniffer Protocol version 1: type, encapsulation, tagged fields up to the end tag.
fn tzsp(walk: &mut Walk<'_>) -> Result<Option<Next>, Reject> {
    let [version, kind, e0, e1] = walk.take::<4>()?;
    // Types 0 and 1 carry a received frame and a frame to send.
    if version != 1 || kind > 1 {
        return Ok(None);
    }
    let next = match u16::from_be_bytes([e0, e1]) {
        1 => Next::Ethernet,
        18 => Next::Wlan,
        _ => return Ok(None),
    };
    loop {
        match walk.take::<1>()? {
            [0] => {}
            [1] => break,
            _ => {
                let [length] = walk.take::<1>()?;
                walk.skip(usize::from(length))?;
            }
        }
    }
    walk.enter(TunnelKind::Tzsp, 0)?;
    Ok(Some(next))
}

/// IP directly behind the tunnel header: it must look like IP, and fit.
fn inner_ip(walk: &mut Walk<'_>, kind: TunnelKind, id: u32) -> Result<Option<Next>, Reject> {
    if !ip::plausible(walk.rest()) {
        return Ok(None);
    }
    walk.enter(kind, id)?;
    walk.strict = true;
    Ok(Some(Next::Ip))
}
