//! Addresses of either family in one fixed-size value.
//!
//! Owns: the 16-byte form. In: IPv4 or IPv6 bytes. Out: `IpAddr`, ordering.
//! Never: names, prefixes or ownership (enrich does those).

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address. IPv4 is stored as `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2), so that
/// keys have one size; the flow key keeps the packet's IP version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Addr(pub [u8; 16]);

/// As numbers: the order of the bytes, without a call to compare them.
impl Ord for Addr {
    #[inline]
    fn cmp(&self, other: &Addr) -> Ordering {
        self.to_bits().cmp(&other.to_bits())
    }
}

impl PartialOrd for Addr {
    #[inline]
    fn partial_cmp(&self, other: &Addr) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Addr {
    /// Whether it is a multicast or broadcast address: no packet can come from there (RFC 1112
    /// section 4, RFC 919 section 7, RFC 4291 section 2.7).
    pub const fn is_group(&self) -> bool {
        let bits = u128::from_be_bytes(self.0);
        let four = bits as u32;
        match bits >> 32 {
            0xffff => four >> 28 == 14 || four == u32::MAX,
            upper => upper >> 88 == 0xff,
        }
    }

    /// From four bytes in network order.
    pub const fn v4(b: [u8; 4]) -> Addr {
        Addr([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, b[0], b[1], b[2], b[3]])
    }

    /// From sixteen bytes in network order.
    pub const fn v6(b: [u8; 16]) -> Addr {
        Addr(b)
    }

    /// The standard library's form; IPv4-mapped becomes IPv4.
    pub fn to_ip(self) -> IpAddr {
        match self.to_v4() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from(self.0)),
        }
    }

    /// The IPv4 address, if it is one.
    pub fn to_v4(self) -> Option<Ipv4Addr> {
        match self.0 {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => {
                Some(Ipv4Addr::new(a, b, c, d))
            }
            _ => None,
        }
    }

    /// What a home has: an address of IPv4; of IPv6 a /64, in which each device has several of its
    /// own (RFC 4291 section 2.5.1, RFC 8981).
    #[must_use]
    pub const fn site(self) -> Addr {
        match self.0 {
            // IPv4, also as a translator writes it (RFC 6052 section 2.1).
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..] | [0, 0x64, 0xff, 0x9b, ..] => self,
            [a, b, c, d, e, f, g, h, ..] => Addr([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]),
        }
    }

    /// The address as one big-endian number: the form used for prefix matching.
    pub const fn to_bits(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Addr {
        match ip {
            IpAddr::V4(v4) => Addr::v4(v4.octets()),
            IpAddr::V6(v6) => Addr::v6(v6.octets()),
        }
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(ip: Ipv4Addr) -> Addr {
        Addr::v4(ip.octets())
    }
}

impl From<Ipv6Addr> for Addr {
    fn from(ip: Ipv6Addr) -> Addr {
        Addr::v6(ip.octets())
    }
}

/// Parses a link-layer address: six octets in hexadecimal, without separators or with `:`, `-` or
/// `.` (RFC 3580 section 3.21 uses `-`).
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut octets = [0u8; 6];
    let mut digits = text.trim().chars().filter(|c| !matches!(c, ':' | '-' | '.'));
    for octet in &mut octets {
        let (high, low) = (digits.next()?.to_digit(16)?, digits.next()?.to_digit(16)?);
        *octet = (high << 4 | low) as u8;
    }
    digits.next().is_none().then_some(octets)
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_layer_addresses_are_written_in_three_ways() {
        let mac = Some([0x48, 0xda, 0x35, 0x60, 0, 0xff]);
        for text in ["48:da:35:60:00:ff", "48-DA-35-60-00-FF", "48da.3560.00ff", "48da356000ff"] {
            assert_eq!(parse_mac(text), mac, "{text}");
        }
        for text in ["48:da:35:60:00", "48:da:35:60:00:ff:01", "48:da:35:60:00:fg", "10.0.0.1", ""]
        {
            assert_eq!(parse_mac(text), None, "{text}");
        }
    }

    #[test]
    fn both_families_round_trip() {
        for text in ["192.0.2.1", "2001:db8::1", "0.0.0.0", "::"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(Addr::from(ip).to_ip(), ip);
        }
    }

    #[test]
    fn a_home_is_an_address_or_a_network() {
        let site = |text: &str| Addr::from(text.parse::<IpAddr>().unwrap()).site().to_string();
        assert_eq!(site("192.0.2.7"), "192.0.2.7");
        assert_eq!(site("64:ff9b::c000:207"), "64:ff9b::c000:207");
        assert_eq!(site("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
