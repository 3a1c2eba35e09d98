//! Which packets belong together.
//!
//! Owns: the canonical session key. In: addresses, ports, protocol, tag, capture point.
//! Out: equality and bytes to hash. Never: direction (that is `Heading`) or state.

use crate::model::Addr;

/// IANA protocol number of the innermost IP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transport(pub u8);

impl Transport {
    /// RFC 792.
    pub const ICMP: Transport = Transport(1);
    /// RFC 9293.
    pub const TCP: Transport = Transport(6);
    /// RFC 768.
    pub const UDP: Transport = Transport(17);
    /// RFC 4443.
    pub const ICMP6: Transport = Transport(58);
    /// RFC 9260.
    pub const SCTP: Transport = Transport(132);

    /// ECS `network.transport`: the keyword in lower case, `None` where the number has none here.
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            1 => Some("icmp"),
            2 => Some("igmp"),
            4 => Some("ipip"),
            6 => Some("tcp"),
            17 => Some("udp"),
            41 => Some("ipv6"),
            47 => Some("gre"),
            50 => Some("esp"),
            51 => Some("ah"),
            58 => Some("ipv6-icmp"),
            88 => Some("eigrp"),
            89 => Some("ospf"),
            103 => Some("pim"),
            112 => Some("vrrp"),
            115 => Some("l2tp"),
            132 => Some("sctp"),
            _ => None,
        }
    }
}

/// The canonical key of a bidirectional session: side `a` is the numerically lower (address, port).
///
/// For ICMP the ports hold type and code in the manner of Community ID v1, so that a request and
/// its reply share a key. For protocols without ports both are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Lower side's address.
    pub a: Addr,
    /// Upper side's address.
    pub b: Addr,
    /// VLAN or VNI where configured as part of the key, else 0.
    pub scope: u32,
    /// Lower side's port.
    pub a_port: u16,
    /// Upper side's port.
    pub b_port: u16,
    /// Capture point: sessions never mix packets of two points.
    pub point: u16,
    /// IANA protocol.
    pub transport: Transport,
    /// 4 or 6: the version on the wire.
    pub version: u8,
}
