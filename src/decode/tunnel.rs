//! Tunnels that are IP protocols: GRE, ERSPAN, NVGRE, IP in IP, EtherIP, L2TPv3.
//!
//! Owns: which tunnels are on, and those headers. In: a walk behind an IP header. Out: the type of
//! the inner header, or `None` for "no tunnel". Never: tunnels in UDP ([`super::udp_tunnel`]), or
//! tags on one link.

use crate::decode::walk::{Next, Walk};
use crate::decode::{DecodeConfig, Reject, ip, link, mpls};

/// A kind of tunnel between IP hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TunnelKind {
    /// RFC 2784 and 2890; NVGRE (RFC 7637); the enhanced GRE of PPTP (RFC 2637).
    Gre,
    /// Cisco ERSPAN types I, II and III (draft-foschiano-erspan).
    Erspan,
    /// RFC 7348.
    Vxlan,
    /// draft-ietf-nvo3-vxlan-gpe.
    VxlanGpe,
    /// RFC 8926.
    Geneve,
    /// 3GPP TS 29.281.
    GtpU,
    /// IPv4 in IPv4 or IPv6 (RFC 2003, RFC 2473), and MPLS in IP (RFC 4023).
    Ipip,
    /// IPv6 in IPv4 or IPv6 (RFC 4213, RFC 2473).
    SixIn,
    /// RFC 4380.
    Teredo,
    /// RFC 2661 and RFC 3931.
    L2tp,
    /// TaZmen Sniffer Protocol.
    Tzsp,
    /// RFC 3378.
    EtherIp,
}

impl TunnelKind {
    /// Every kind.
    pub const ALL: [TunnelKind; 12] = [
        TunnelKind::Gre,
        TunnelKind::Erspan,
        TunnelKind::Vxlan,
        TunnelKind::VxlanGpe,
        TunnelKind::Geneve,
        TunnelKind::GtpU,
        TunnelKind::Ipip,
        TunnelKind::SixIn,
        TunnelKind::Teredo,
        TunnelKind::L2tp,
        TunnelKind::Tzsp,
        TunnelKind::EtherIp,
    ];

    /// Whether both directions of a session carry the same tunnel number, so that it can separate
    /// sessions. A GTP tunnel has one per direction.
    pub const fn has_network_id(self) -> bool {
        matches!(
            self,
            TunnelKind::Gre | TunnelKind::Vxlan | TunnelKind::VxlanGpe | TunnelKind::Geneve
        )
    }

    /// The name in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            TunnelKind::Gre => "gre",
            TunnelKind::Erspan => "erspan",
            TunnelKind::Vxlan => "vxlan",
            TunnelKind::VxlanGpe => "vxlan-gpe",
            TunnelKind::Geneve => "geneve",
            TunnelKind::GtpU => "gtp-u",
            TunnelKind::Ipip => "ipip",
            TunnelKind::SixIn => "6in4",
            TunnelKind::Teredo => "teredo",
            TunnelKind::L2tp => "l2tp",
            TunnelKind::Tzsp => "tzsp",
            TunnelKind::EtherIp => "etherip",
        }
    }
}

/// The set of decapsulations that are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelSet(u16);

impl TunnelSet {
    /// Every tunnel.
    pub const ALL: TunnelSet = TunnelSet(u16::MAX);
    /// None.
    pub const NONE: TunnelSet = TunnelSet(0);

    /// With `kind` on.
    #[must_use]
    pub const fn with(self, kind: TunnelKind) -> TunnelSet {
        TunnelSet(self.0 | 1 << kind as u16)
    }

    /// With `kind` off.
    #[must_use]
    pub const fn without(self, kind: TunnelKind) -> TunnelSet {
        TunnelSet(self.0 & !(1 << kind as u16))
    }

    /// Whether `kind` is on.
    pub const fn has(self, kind: TunnelKind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }
}

/// Enters the tunnel of IP protocol `protocol`, if it is a tunnel and on. After an error the caller
/// uses the outer packet.
pub(super) fn enter(
    config: &DecodeConfig,
    walk: &mut Walk<'_>,
    protocol: u8,
) -> Result<Option<Next>, Reject> {
    let simple = match protocol {
        4 => (TunnelKind::Ipip, Next::Ip),
        41 => (TunnelKind::SixIn, Next::Ip),
        137 => (TunnelKind::Ipip, Next::Mpls),
        47 => return gre(config, walk),
        97 => return ether_ip(config, walk),
        115 if config.tunnels.has(TunnelKind::L2tp) => {
            let session = walk.take_u32()?;
            return l2tp3_session(walk, session);
        }
        _ => return Ok(None),
    };
    let (kind, next) = simple;
    if !config.tunnels.has(kind) {
        return Ok(None);
    }
    walk.enter(kind, 0)?;
    Ok(Some(next))
}

/// RFC 2784 section 2, RFC 2890 section 2; version 1 is RFC 2637 section 4.1.
fn gre(config: &DecodeConfig, walk: &mut Walk<'_>) -> Result<Option<Next>, Reject> {
    let flags = walk.take_u16()?;
    let protocol = walk.take_u16()?;
    let (checksum, routing) = (flags & 0x8000 != 0, flags & 0x4000 != 0);
    let (keyed, sequenced) = (flags & 0x2000 != 0, flags & 0x1000 != 0);
    let acknowledged = flags & 0x0080 != 0;
    let version = flags & 0x0007;
    if routing || version > 1 {
        return Ok(None);
    }
    if checksum {
        walk.skip(4)?;
    }
    let mut key = if keyed { walk.take_u32()? } else { 0 };
    if sequenced {
        walk.skip(4)?;
    }
    if version == 1 {
        if acknowledged {
            walk.skip(4)?;
        }
        // Payload length and call id.
        walk.bound((key >> 16) as usize);
        key &= 0xffff;
    }
    if protocol == 0x88be || protocol == 0x22eb {
        return erspan(config, walk, (protocol, sequenced));
    }
    if !config.tunnels.has(TunnelKind::Gre) {
        return Ok(None);
    }
    // RFC 7637 section 3.2: the upper 24 bits are the virtual subnet.
    let id = if protocol == 0x6558 { key >> 8 } else { key };
    walk.enter(TunnelKind::Gre, id)?;
    match protocol {
        0x880b => {
            link::address_and_control(walk);
            Ok(Some(Next::Ppp))
        }
        // WCCP version 2 puts a redirect header before the packet.
        0x883e => {
            if !ip::plausible(walk.rest()) {
                walk.skip(4)?;
            }
            Ok(Some(Next::Ip))
        }
        0..=1535 => Ok(None),
        ether_type => Ok(Some(Next::EtherType(ether_type))),
    }
}

/// draft-foschiano-erspan section 4: type I has no header of its own (and no GRE sequence number),
/// type II eight bytes, type III twelve and perhaps eight more.
fn erspan(
    config: &DecodeConfig,
    walk: &mut Walk<'_>,
    (protocol, sequenced): (u16, bool),
) -> Result<Option<Next>, Reject> {
    if !config.tunnels.has(TunnelKind::Erspan) {
        return Ok(None);
    }
    if protocol == 0x88be && !sequenced {
        walk.enter(TunnelKind::Erspan, 0)?;
        return Ok(Some(Next::Ethernet));
    }
    let [first, _, session0, session1] = walk.take::<4>()?;
    let session = u32::from(u16::from_be_bytes([session0, session1]) & 0x03ff);
    walk.enter(TunnelKind::Erspan, session)?;
    match first >> 4 {
        1 => {
            walk.skip(4)?;
            Ok(Some(Next::Ethernet))
        }
        2 => {
            walk.skip(6)?;
            let last = walk.take_u16()?;
            if last & 1 == 1 {
                walk.skip(8)?;
            }
            match last >> 10 & 0x1f {
                0 => Ok(Some(Next::Ethernet)),
                2 => Ok(Some(Next::Ip)),
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// RFC 3378: a version nibble of 3 and twelve zero bits.
fn ether_ip(config: &DecodeConfig, walk: &mut Walk<'_>) -> Result<Option<Next>, Reject> {
    if !config.tunnels.has(TunnelKind::EtherIp) || walk.take_u16()? != 0x3000 {
        return Ok(None);
    }
    walk.enter(TunnelKind::EtherIp, 0)?;
    Ok(Some(Next::Ethernet))
}

/// RFC 3931 section 4.1: session 0 is control. Only the two ends know the lengths of cookie and
/// sublayer, so the first possible offset at which an Ethernet header leads to IP is used.
pub(super) fn l2tp3_session(walk: &mut Walk<'_>, session: u32) -> Result<Option<Next>, Reject> {
    if session == 0 {
        return Ok(None);
    }
    let (rest, wire) = (walk.rest(), walk.span.wire_len());
    for skipped in [0, 4, 8, 12] {
        let behind = rest.get(skipped..).unwrap_or_default();
        if mpls::is_ethernet(behind, wire.saturating_sub(skipped)) {
            walk.skip(skipped)?;
            walk.enter(TunnelKind::L2tp, session)?;
            return Ok(Some(Next::Ethernet));
        }
    }
    Ok(None)
}

/// RFC 8300 section 2: the length in words, then what follows.
pub(super) fn service_header(walk: &mut Walk<'_>) -> Result<Next, Reject> {
    walk.nest()?;
    let [_, length, _, protocol] = walk.take::<4>()?;
    let Some(left) = (usize::from(length & 0x3f) * 4).checked_sub(4) else {
        return Err(Reject::Malformed("NSH length below 4"));
    };
    walk.skip(left)?;
    match protocol {
        1 | 2 => Ok(Next::Ip),
        3 => Ok(Next::Ethernet),
        5 => Ok(Next::Mpls),
        _ => Err(Reject::NotIp),
    }
}
