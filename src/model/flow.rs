//! The canonical session key.
//!
//! Owns: which packets belong together. In: addresses, ports, protocol, tag, capture point.
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

    /// ECS `network.transport`: the keyword of IANA's registry of assigned Internet protocol
    /// numbers in lower case (89 is OSPFIGP there, but commonly `ospf`), `None` if the number has
    /// none here. Numbers of IPv6 extension headers have none, as no session has such a protocol.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "icmp",
            2 => "igmp",
            3 => "ggp",
            4 => "ipv4",
            5 => "st",
            6 => "tcp",
            8 => "egp",
            9 => "igp",
            17 => "udp",
            27 => "rdp",
            33 => "dccp",
            41 => "ipv6",
            46 => "rsvp",
            47 => "gre",
            48 => "dsr",
            50 => "esp",
            51 => "ah",
            54 => "narp",
            58 => "ipv6-icmp",
            59 => "ipv6-nonxt",
            later => return Transport::later_name(later),
        })
    }

    /// More recent numbers of the registry.
    const fn later_name(number: u8) -> Option<&'static str> {
        Some(match number {
            88 => "eigrp",
            89 => "ospf",
            92 => "mtp",
            94 => "ipip",
            97 => "etherip",
            98 => "encap",
            103 => "pim",
            108 => "ipcomp",
            112 => "vrrp",
            113 => "pgm",
            115 => "l2tp",
            132 => "sctp",
            133 => "fc",
            136 => "udplite",
            137 => "mpls-in-ip",
            138 => "manet",
            139 => "hip",
            140 => "shim6",
            141 => "wesp",
            142 => "rohc",
            143 => "ethernet",
            144 => "aggfrag",
            _ => return None,
        })
    }
}

/// The canonical key of a bidirectional session: side `a` is the numerically lower (address, port).
///
/// For ICMP the ports are type and code in the manner of Community ID v1, so that a request and its
/// reply share a key. For protocols without ports both are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Lower side's address.
    pub a: Addr,
    /// Upper side's address.
    pub b: Addr,
    /// VLAN or VNI if configured as part of the key, else 0.
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

impl FlowKey {
    /// Orders otherwise equal records, the same on every run: a hash of all but the capture point,
    /// whose number depends on the names of inputs. It is predictable for senders.
    pub fn order(&self) -> u64 {
        let half = |addr: &Addr| {
            let bits = addr.to_bits();
            ((bits >> 64) as u64).rotate_left(32) ^ bits as u64
        };
        let ports = u64::from(self.a_port) << 16 | u64::from(self.b_port);
        let rest = u64::from(self.scope) << 8 | u64::from(self.transport.0);
        let words = [half(&self.a), half(&self.b), ports << 32 | rest];
        // Golden ratio and the fractional part of the square root of 2, made odd.
        words.iter().fold(0x9e37_79b9_7f4a_7c15u64, |all, word| {
            (all ^ word).wrapping_mul(0x6a09_e667_f3bc_c909).rotate_left(31)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_numbers_share_a_keyword_and_none_reads_like_a_number() {
        let mut seen = std::collections::HashSet::new();
        for name in (0..=255).filter_map(|number| Transport(number).name()) {
            assert!(seen.insert(name), "{name} twice");
            assert!(name.parse::<u8>().is_err() && name == name.to_lowercase());
        }
        assert_eq!((Transport(4).name(), Transport(94).name()), (Some("ipv4"), Some("ipip")));
        assert_eq!(Transport(253).name(), None);
    }
}
