//! DHCPv6 messages (RFC 8415 sections 8, 9 and 21).
//!
//! Owns: headers, options, addresses and identifiers in them. In: one datagram. Out: a view into
//! it. Never: reads more than one relay message around it.

use std::net::Ipv6Addr;

use crate::wire::dhcp::DomainName;
use crate::wire::{Fault, Reader, WireError};

/// Message types of relay agents (RFC 8415 section 7.3).
const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;
/// Options looked at of one message or one identity association.
const OPTIONS_MAX: usize = 256;
/// Hardware type Ethernet.
const HARDWARE_ETHERNET: u16 = 1;
/// A DUID has at most 128 octets after its type (RFC 8415 section 11.1).
const DUID_BYTES_MAX: usize = 130;

/// Option codes (RFC 8415 section 21).
mod code {
    pub const CLIENT_ID: u16 = 1;
    pub const SERVER_ID: u16 = 2;
    pub const IA_NA: u16 = 3;
    pub const IA_TA: u16 = 4;
    pub const IA_ADDRESS: u16 = 5;
    pub const RELAY_MESSAGE: u16 = 9;
    /// RFC 4704 section 4.
    pub const FQDN: u16 = 39;
    /// RFC 6939 section 4: relays may add the client's link-layer address.
    pub const LINK_LAYER: u16 = 79;
}

/// Message types (RFC 8415 section 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client looks for servers.
    Solicit,
    /// A server offers.
    Advertise,
    /// A client asks for addresses.
    Request,
    /// A client asks whether its addresses still fit the link.
    Confirm,
    /// A client asks for more time.
    Renew,
    /// The same, of any server.
    Rebind,
    /// A server answers: the addresses hold from here.
    Reply,
    /// A client gives addresses back.
    Release,
    /// A client found an address in use.
    Decline,
    /// A client asks for parameters only.
    InformationRequest,
}

/// A message of a client or server, taken out of a relay message if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Dhcp6Message<'a> {
    /// Its type.
    pub kind: Kind,
    /// Transaction id, 24 bits.
    pub transaction: u32,
    /// The client's DUID, raw.
    pub client_id: Option<&'a [u8]>,
    /// The client's Ethernet address as the relay saw it (RFC 6939).
    pub relayed_mac: Option<[u8; 6]>,
    /// The client's link-local address as a relay saw it (`peer-address`).
    pub peer: Option<Ipv6Addr>,
    /// The client's domain name (option 39), raw.
    pub domain_name: Option<DomainName<'a>>,
    options: &'a [u8],
}

/// One address of an identity association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv6Addr,
    /// Preferred lifetime in seconds.
    pub preferred: u32,
    /// Valid lifetime in seconds: 0 revokes it, `u32::MAX` is forever (RFC 8415 section 7.7).
    pub valid: u32,
}

impl<'a> Dhcp6Message<'a> {
    /// Reads a whole datagram of ports 546 and 547.
    ///
    /// # Errors
    /// `NotThis` if the type is not one of DHCPv6 or no option identifies a client or server; also
    /// for a relay message inside a relay message. `Malformed` if such an option comes first and
    /// the lengths of the others do not add up.
    pub fn parse(datagram: &'a [u8]) -> Result<Dhcp6Message<'a>, WireError> {
        match datagram.first() {
            Some(&(RELAY_FORWARD | RELAY_REPLY)) => relayed(datagram),
            _ => plain(datagram),
        }
        .map_err(|why| match why {
            WireError::Malformed(..) => why,
            _ => WireError::NotThis,
        })
    }

    /// The client's Ethernet address: as a relay saw it, else from its DUID (types 1 and 3, RFC
    /// 8415 sections 11.2 and 11.4: often, not always, that of the interface which asks).
    pub fn mac(&self) -> Option<[u8; 6]> {
        self.relayed_mac.or_else(|| mac_of_duid(self.client_id?))
    }

    /// The addresses of its identity associations (options 3 and 4), as far as well formed.
    pub fn leases(&self) -> impl Iterator<Item = Lease> + use<'a> {
        options(self.options).flat_map(|(kind, value)| {
            // IA_NA: IAID, T1, T2; IA_TA: IAID.
            let fixed = match kind {
                code::IA_NA => 12,
                code::IA_TA => 4,
                _ => value.len(),
            };
            let inner = value.get(fixed..).unwrap_or_default();
            options(inner).filter(|(kind, _)| *kind == code::IA_ADDRESS).filter_map(lease)
        })
    }

    /// Whether a client sent it.
    pub const fn is_clients(&self) -> bool {
        !matches!(self.kind, Kind::Advertise | Kind::Reply)
    }

    /// Whether it assigns the addresses that it lists: a server's reply.
    pub fn is_binding(&self) -> bool {
        self.kind == Kind::Reply
    }
}

fn lease((_, value): (u16, &[u8])) -> Option<Lease> {
    let mut r = Reader::new(value);
    let address = Ipv6Addr::from(r.array::<16>().ok()?);
    let (preferred, valid) = (r.u32().ok()?, r.u32().ok()?);
    // RFC 8415 section 21.6: discard if the preferred lifetime is the longer one.
    (preferred <= valid).then_some(Lease { address, preferred, valid })
}

/// A DUID with time (1) or without (3): type, hardware type, [time,] address.
fn mac_of_duid(duid: &[u8]) -> Option<[u8; 6]> {
    let mut r = Reader::new(duid);
    let (kind, hardware) = (r.u16().ok()?, r.u16().ok()?);
    if kind == 1 {
        r.skip(4).ok()?;
    }
    let fits = matches!(kind, 1 | 3) && hardware == HARDWARE_ETHERNET && r.left() == 6;
    r.array().ok().filter(|_| fits)
}

fn relayed(datagram: &[u8]) -> Result<Dhcp6Message<'_>, WireError> {
    let mut r = Reader::new(datagram);
    let [_kind, _hops] = r.array()?;
    r.skip(16)?;
    let peer = Ipv6Addr::from(r.array::<16>()?);
    let outer = whole(r.rest())?;
    let inner = options(outer).find(|(kind, _)| *kind == code::RELAY_MESSAGE);
    let (_, inner) = inner.ok_or(WireError::NotThis)?;
    let mut message = plain(inner)?;
    message.peer = Some(peer);
    let seen = options(outer).find(|(kind, _)| *kind == code::LINK_LAYER);
    message.relayed_mac = seen.and_then(|(_, value)| {
        let mut r = Reader::new(value);
        let hardware = r.u16().ok()?;
        let fits = hardware == HARDWARE_ETHERNET && r.left() == 6;
        r.array().ok().filter(|_| fits)
    });
    Ok(message)
}

fn plain(bytes: &[u8]) -> Result<Dhcp6Message<'_>, WireError> {
    let mut r = Reader::new(bytes);
    let kind = kind(r.u8()?)?;
    let transaction = r.u24()?;
    let rest = whole(r.rest())?;
    let find = |wanted: u16| options(rest).find(|(kind, _)| *kind == wanted);
    let client_id = find(code::CLIENT_ID).map(|(_, value)| value);
    let ids = [client_id, find(code::SERVER_ID).map(|(_, value)| value)];
    // A DUID has a type and at least one octet; only messages without a client id lack one.
    let fits = |id: &[u8]| (3..=DUID_BYTES_MAX).contains(&id.len());
    if ids.iter().flatten().next().is_none() || !ids.into_iter().flatten().all(fits) {
        return Err(WireError::NotThis);
    }
    // One octet of flags before the name (RFC 4704 section 4.1).
    let name = find(code::FQDN).and_then(|(_, value)| value.get(1..));
    Ok(Dhcp6Message {
        kind,
        transaction,
        client_id,
        relayed_mac: None,
        peer: None,
        domain_name: name.map(DomainName::Labels),
        options: rest,
    })
}

/// The bytes, if options fill them completely.
fn whole(bytes: &[u8]) -> Result<&[u8], WireError> {
    let used: usize = options(bytes).map(|(_, value)| value.len() + 4).sum();
    let first = options(bytes).next().map(|(kind, _)| kind);
    match first {
        _ if used == bytes.len() => Ok(bytes),
        Some(code::CLIENT_ID | code::SERVER_ID) => {
            Err(WireError::Malformed(Fault::Truncated, "DHCPv6 options"))
        }
        _ => Err(WireError::NotThis),
    }
}

/// Consecutive options: code, length, value.
fn options(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut r = Reader::new(bytes);
    let next = move || Some((r.u16().ok()?, r.sub_u16().ok()?.rest()));
    std::iter::from_fn(next).take(OPTIONS_MAX)
}

const fn kind(number: u8) -> Result<Kind, WireError> {
    Ok(match number {
        1 => Kind::Solicit,
        2 => Kind::Advertise,
        3 => Kind::Request,
        4 => Kind::Confirm,
        5 => Kind::Renew,
        6 => Kind::Rebind,
        7 => Kind::Reply,
        8 => Kind::Release,
        9 => Kind::Decline,
        11 => Kind::InformationRequest,
        _ => return Err(WireError::NotThis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DUID: [u8; 14] = [0, 1, 0, 1, 0x2a, 0, 0, 0, 2, 0, 0, 0, 0, 9];
    const ADDRESS: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

    fn option(code: u16, value: &[u8]) -> Vec<u8> {
        [&code.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat()
    }

    fn reply() -> Vec<u8> {
        let address = [&ADDRESS[..], &[0, 0, 0x0e, 0x10, 0, 0, 0x1c, 0x20]].concat();
        let ia = [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], &option(5, &address)].concat();
        let name = option(39, b"\x01\x06laptop\x02ex\0");
        [&[7, 0, 0x12, 0x34][..], &option(1, &DUID), &option(3, &ia), &name].concat()
    }

    #[test]
    fn a_reply_binds_addresses_to_a_client() {
        let bytes = reply();
        let got = Dhcp6Message::parse(&bytes).unwrap();
        assert!(got.is_binding() && got.transaction == 0x1234);
        assert_eq!(got.mac(), Some([2, 0, 0, 0, 0, 9]));
        let lease = Lease { address: ADDRESS.into(), preferred: 3_600, valid: 7_200 };
        assert_eq!(got.leases().collect::<Vec<_>>(), [lease]);
        let labels: Vec<_> = got.domain_name.unwrap().labels().collect();
        assert_eq!(labels, [&b"laptop"[..], b"ex"]);
    }

    #[test]
    fn a_relay_message_has_the_address_of_the_client() {
        let outer = [&[13, 0][..], &[0; 16], &ADDRESS].concat();
        let seen = option(79, &[0, 1, 2, 0, 0, 0, 0, 8]);
        let bytes = [&outer[..], &seen, &option(9, &reply())].concat();
        let got = Dhcp6Message::parse(&bytes).unwrap();
        assert_eq!((got.kind, got.peer), (Kind::Reply, Some(ADDRESS.into())));
        assert_eq!(got.mac(), Some([2, 0, 0, 0, 0, 8]));
        let twice = [&outer[..], &option(9, &bytes)].concat();
        assert_eq!(Dhcp6Message::parse(&twice).unwrap_err(), WireError::NotThis);
    }

    #[test]
    fn lengths_have_to_add_up() {
        let bytes = reply();
        let cut = WireError::Malformed(Fault::Truncated, "DHCPv6 options");
        assert_eq!(Dhcp6Message::parse(&bytes[..bytes.len() - 1]).unwrap_err(), cut);
        assert_eq!(Dhcp6Message::parse(&[7, 0, 0, 1]).unwrap_err(), WireError::NotThis);
        let uuid = [7, 0, 0, 1, 0, 1, 0, 18, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
        let uuid = [&uuid[..], &[15, 16]].concat();
        assert_eq!(Dhcp6Message::parse(&uuid).unwrap().mac(), None);
    }

    proptest! {
        #[test]
        fn never_panics(tail in proptest::collection::vec(any::<u8>(), 0..120), kind in 0u8..15) {
            let _ = Dhcp6Message::parse(&tail);
            let bytes = [&[kind, 0, 0, 1][..], &option(1, &DUID), &option(3, &tail)].concat();
            if let Ok(got) = Dhcp6Message::parse(&bytes) {
                prop_assert!(got.leases().count() <= OPTIONS_MAX);
            }
        }
    }
}
