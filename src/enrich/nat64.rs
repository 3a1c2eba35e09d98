//! IPv4 addresses embedded in IPv6 addresses by NAT64 translators (RFC 6052).
//!
//! Owns: the prefixes of a run. In: an address. Out: the embedded IPv4 address. Never: guesses a
//! prefix: beside the well-known one only configured prefixes count.

use std::net::Ipv4Addr;

use crate::enrich::geo::is_public;
use crate::enrich::lpm::Prefix;
use crate::model::Addr;

/// 64:ff9b::/96 (RFC 6052 section 2.1).
const WELL_KNOWN: u128 = 0x0064_ff9b << 96;

/// The prefixes of a run.
#[derive(Clone, Debug, Default)]
pub struct Nat64(Vec<Prefix>);

impl Nat64 {
    /// The well-known prefix and `own`. 64:ff9b:1::/48 (RFC 8215) is for use within a site, with a
    /// length that the site chooses: it counts only if it is in `own`.
    pub fn new(own: Vec<Prefix>) -> Nat64 {
        Nat64(own)
    }

    /// Parses a prefix.
    ///
    /// Errors: why it cannot be a NAT64 prefix.
    pub fn parse(text: &str) -> Result<Prefix, String> {
        let prefix = Prefix::parse(text)?;
        let len = prefix.length();
        if !text.contains(':') {
            return Err(format!("`{text}` is an IPv4 network"));
        }
        // RFC 6052 section 2.2.
        if !matches!(len, 32 | 40 | 48 | 56 | 64 | 96) {
            return Err(format!("/{len} is none of the lengths 32, 40, 48, 56, 64 and 96"));
        }
        Ok(prefix)
    }

    /// The IPv4 address embedded in `addr`; `None` if there is none.
    #[inline]
    pub fn inside(&self, addr: Addr) -> Option<Ipv4Addr> {
        if addr.to_bits() >> 32 == WELL_KNOWN >> 32 {
            let v4 = Ipv4Addr::from_bits(addr.to_bits() as u32);
            // Section 3.1: the well-known prefix must not represent non-global addresses.
            return is_public(Addr::from(v4)).then_some(v4);
        }
        let mut own = self.0.iter().filter(|prefix| prefix.contains(addr));
        own.find_map(|prefix| embedded(addr, prefix.length()))
    }
}

/// RFC 6052 section 2.2: the 32 bits behind the prefix, except for bits 64 to 71, which are zero,
/// as are the bits after the address.
fn embedded(addr: Addr, len: u8) -> Option<Ipv4Addr> {
    let begin = usize::from(len) / 8;
    let mut rest = addr.0.into_iter().enumerate().skip(begin).filter(|(at, _)| *at != 8);
    let mut octets = [0u8; 4];
    for octet in &mut octets {
        *octet = rest.next()?.1;
    }
    let reserved = if begin <= 8 { addr.0.get(8).copied()? } else { 0 };
    (reserved == 0 && rest.all(|(_, byte)| byte == 0)).then(|| Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn addr(text: &str) -> Addr {
        text.parse::<IpAddr>().unwrap().into()
    }

    /// The table of RFC 6052 section 2.4: 192.0.2.33 behind each length.
    #[test]
    fn the_examples_of_the_standard() {
        for (prefix, text) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
        ] {
            let nat64 = Nat64::new(vec![Nat64::parse(prefix).unwrap()]);
            assert_eq!(nat64.inside(addr(text)), Some(Ipv4Addr::new(192, 0, 2, 33)), "{prefix}");
            assert_eq!(Nat64::default().inside(addr(text)), None, "{prefix} unless configured");
        }
    }

    #[test]
    fn the_well_known_prefix_embeds_global_addresses_only() {
        let inside = |text| Nat64::default().inside(addr(text));
        assert_eq!(inside("64:ff9b::8.8.8.8"), Some(Ipv4Addr::new(8, 8, 8, 8)));
        for other in [
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b::1:808:808",
            "::8.8.8.8",
            "8.8.8.8",
        ] {
            assert_eq!(inside(other), None, "{other}");
        }
    }

    #[test]
    fn nonzero_reserved_bits_are_not_a_translated_address() {
        let own = |text| Nat64::new(vec![Nat64::parse(text).unwrap()]);
        assert_eq!(own("2001:db8::/32").inside(addr("2001:db8:c000:221:100::")), None);
        assert_eq!(own("2001:db8::/32").inside(addr("2001:db8:c000:221::1")), None);
        assert_eq!(
            own("2001:db8:122:344::/64").inside(addr("2001:db8:122:344:1c0:2:2100::")),
            None
        );
        let site = own("64:ff9b:1::/48");
        assert_eq!(site.inside(addr("64:ff9b:1:a00:0:501::")), None);
        assert_eq!(site.inside(addr("64:ff9b:1:a00:0:500::")), Some(Ipv4Addr::new(10, 0, 0, 5)));
    }

    #[test]
    fn prefixes_that_no_translator_may_use_are_refused() {
        for text in ["2001:db8::/33", "2001:db8::/128", "10.0.0.0/8", "2001:db8::1/96", "x", "/96"]
        {
            assert!(Nat64::parse(text).is_err(), "{text}");
        }
    }
}
