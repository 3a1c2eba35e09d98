//! The keys of baselines: prefixes, networks in a region, people, services.
//!
//! Owns: identity, order and text of each. In: an end of a session. Out: keys.
//! Never: a key of unbounded size.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::model::record::{AutonomousSystem, Place};
use crate::model::{Addr, Transport};

/// Longest id of a person; longer texts are no ids.
pub(super) const SUBJECT_BYTES: usize = 128;

/// Maximum bytes of a region: ISO 3166-2 codes have at most six.
pub(super) const REGION_BYTES: usize = 8;

/// Set in a /24 of IPv4, beside its 24 bits; a /48 of IPv6 is its 48 bits.
const IS_V4: u64 = 1 << 48;

/// A /24 of IPv4 or a /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Prefix(u64);

impl Prefix {
    /// The prefix of an address.
    pub(super) fn of(ip: Addr) -> Prefix {
        match ip.to_v4() {
            Some(v4) => Prefix(u64::from(u32::from(v4) >> 8) | IS_V4),
            None => Prefix((ip.to_bits() >> 80) as u64),
        }
    }

    /// The prefix as a number.
    pub(super) const fn number(self) -> u64 {
        self.0
    }

    /// The prefix of a number; `None` for an invalid one.
    pub(super) const fn from_number(number: u64) -> Option<Prefix> {
        let v4 = number & IS_V4 != 0 && number < IS_V4 | 1 << 24;
        if v4 || number < IS_V4 { Some(Prefix(number)) } else { None }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 & IS_V4 != 0 {
            return write!(f, "{}/24", Ipv4Addr::from_bits((self.0 << 8) as u32));
        }
        write!(f, "{}/48", Ipv6Addr::from_bits(u128::from(self.0) << 80))
    }
}

/// An autonomous system in a region. A whole country has no meaningful floor, so the region is
/// required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Network {
    pub(super) asn: u32,
    /// Country, padded with zeros.
    pub(super) country: [u8; 2],
    pub(super) region: [u8; REGION_BYTES],
}

impl Network {
    /// The network of an end; `None` if AS, country or region is unknown.
    pub(super) fn of(asn: Option<&AutonomousSystem>, place: Option<&Place>) -> Option<Network> {
        let (asn, place) = (asn?, place?);
        let country = place.country.as_deref()?;
        let region = place.region.as_deref().filter(|region| !region.is_empty())?;
        Some(Network { asn: asn.number, country: padded(country), region: padded(region) })
    }
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(text.bytes()).for_each(|(slot, byte)| *slot = byte);
    bytes
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let shown = text.trim_end_matches('\0').chars().filter(|c| !c.is_control());
            shown.collect::<String>()
        };
        let (country, region) = (text(&self.country), text(&self.region));
        match region.starts_with(&country) {
            true => write!(f, "AS{} {region}", self.asn),
            false => write!(f, "AS{} {country}-{region}", self.asn),
        }
    }
}

/// A service at a prefix: the target of a far leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Destination {
    pub(super) prefix: Prefix,
    pub(super) transport: u8,
    pub(super) port: u16,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Destination { prefix, transport, port } = self;
        match Transport(*transport).name() {
            Some(name) => write!(f, "{prefix} {port}/{name}"),
            None => write!(f, "{prefix} {port}/{transport}"),
        }
    }
}

/// A person in the subjects file, by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Subject(pub(super) Arc<str>);

impl Subject {
    /// The person with that id; `None` if it is too long.
    pub(super) fn of(id: &Arc<str>) -> Option<Subject> {
        (id.len() <= SUBJECT_BYTES).then(|| Subject(Arc::clone(id)))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().filter(|c| !c.is_control()).try_for_each(|c| write!(f, "{c}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn keys_read_as_people_write_them() {
        let prefix = |ip: &str| Prefix::of(Addr::from(ip.parse::<IpAddr>().unwrap()));
        assert_eq!(prefix("192.0.2.77").to_string(), "192.0.2.0/24");
        assert_eq!(prefix("2001:db8:5:6::1").to_string(), "2001:db8:5::/48");
        let destination = Destination { prefix: prefix("192.0.2.9"), transport: 6, port: 443 };
        assert_eq!(destination.to_string(), "192.0.2.0/24 443/tcp");
        let asn =
            AutonomousSystem { number: 64_500, organization: None, cached: Default::default() };
        let place = |region: Option<&str>| Place {
            cached: Default::default(),
            country: Some("US".into()),
            region: region.map(Into::into),
            location: None,
            radius_km: None,
        };
        let network = |region| Network::of(Some(&asn), Some(&place(region)));
        assert_eq!(network(Some("US-WA")).unwrap().to_string(), "AS64500 US-WA");
        assert_eq!(network(Some("WA")).unwrap().to_string(), "AS64500 US-WA");
        assert_eq!(network(None), None);
    }

    #[test]
    fn prefixes_survive_as_numbers_and_others_are_refused() {
        for ip in ["0.0.0.0", "255.255.255.255", "2001:db8::1", "ffff:ffff:ffff::"] {
            let prefix = Prefix::of(Addr::from(ip.parse::<IpAddr>().unwrap()));
            assert_eq!(Prefix::from_number(prefix.number()), Some(prefix), "{ip}");
        }
        assert_eq!(Prefix::from_number(IS_V4 | 1 << 24), None);
        assert_eq!(Prefix::from_number(1 << 49), None);
    }
}
