//! STUN and TURN messages (RFC 8489 sections 5 and 14, RFC 8656 section 18).
//!
//! Owns: header, attributes, XORed addresses. In: one datagram. Out: views into it.
//! Never: verifies integrity, or keeps state between datagrams.

use std::net::IpAddr;

use crate::wire::{Fault, Reader, WireError};

/// The value at offset 4 of every message (RFC 8489 section 5).
pub const MAGIC_COOKIE: u32 = 0x2112_a442;
/// Header size.
const HEADER_BYTES: usize = 20;
/// XOR-MAPPED-ADDRESS.
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// CHANGE-REQUEST (RFC 3489 section 11.2.4), and its flags: another address and another port.
const CHANGE_REQUEST: u16 = 0x0003;
const CHANGE_BOTH: [u8; 4] = [0, 0, 0, 6];
/// XOR-PEER-ADDRESS (RFC 8656 section 18.3).
const XOR_PEER_ADDRESS: u16 = 0x0012;
/// XOR-RELAYED-ADDRESS (RFC 8656 section 18.5).
const XOR_RELAYED_ADDRESS: u16 = 0x0016;

/// Class of a message (RFC 8489 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Request.
    Request,
    /// Indication.
    Indication,
    /// Success response.
    Success,
    /// Error response.
    Error,
}

/// The kind of address in an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// The client as the server sees it.
    Mapped,
    /// The peer that the client reaches through a relay.
    Peer,
    /// The client's address at the relay.
    Relayed,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StunMessage<'a> {
    /// Its class.
    pub class: Class,
    /// Method: 1 Binding, 3 to 9 TURN; 0x080 is Google's GOOG-PING (types 0x0200, 0x0300).
    pub method: u16,
    /// Transaction id.
    pub transaction: [u8; 12],
    attributes: &'a [u8],
}

/// Reads a whole datagram.
///
/// # Errors
/// `NotThis` if cookie, length or first bits are not those of STUN.
pub fn parse(datagram: &[u8]) -> Result<StunMessage<'_>, WireError> {
    let mut r = Reader::new(datagram);
    read(&mut r).map_err(|_| WireError::NotThis)
}

fn read<'a>(r: &mut Reader<'a>) -> Result<StunMessage<'a>, WireError> {
    let kind = r.u16()?;
    let length = usize::from(r.u16()?);
    let cookie = r.u32()?;
    let transaction = r.array()?;
    let fits = length == r.left() && length.is_multiple_of(4);
    if kind & 0xc000 != 0 || cookie != MAGIC_COOKIE || !fits {
        return Err(WireError::NotThis);
    }
    let (class, method) = split(kind);
    Ok(StunMessage { class, method, transaction, attributes: r.rest() })
}

/// Class bits lie at 0x0100 and 0x0010 of the type (RFC 8489 section 5, figure 3). GOOG-PING's
/// types 0x0200 and 0x0300 are a request and a success response of method 0x080 by this rule.
const fn split(kind: u16) -> (Class, u16) {
    let method = (kind & 0x000f) | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2;
    let class = match kind & 0x0110 {
        0x0000 => Class::Request,
        0x0010 => Class::Indication,
        0x0100 => Class::Success,
        _ => Class::Error,
    };
    (class, method)
}

impl<'a> StunMessage<'a> {
    /// Its attributes, up to the first malformed one.
    fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut r = Reader::new(self.attributes);
        std::iter::from_fn(move || {
            let kind = r.u16().ok()?;
            let length = usize::from(r.u16().ok()?);
            let value = r.take(length).ok()?;
            // Padded to four bytes; the message's length counts that.
            let _ = r.skip(length.next_multiple_of(4) - length);
            Some((kind, value))
        })
    }

    /// Whether all it says is that the answer shall come from another address and port.
    pub fn asks_for_change(&self) -> bool {
        let mut attributes = self.attributes();
        attributes.next() == Some((CHANGE_REQUEST, &CHANGE_BOTH)) && attributes.next().is_none()
    }

    /// The addresses in it, up to the first malformed attribute.
    pub fn addresses(&self) -> impl Iterator<Item = (AddressKind, IpAddr, u16)> + use<'a> {
        let transaction = self.transaction;
        self.attributes().filter_map(move |(kind, value)| {
            let kind = match kind {
                XOR_MAPPED_ADDRESS => AddressKind::Mapped,
                XOR_PEER_ADDRESS => AddressKind::Peer,
                XOR_RELAYED_ADDRESS => AddressKind::Relayed,
                _ => return None,
            };
            let (ip, port) = address(value, &transaction).ok()?;
            Some((kind, ip, port))
        })
    }

    /// Size of the whole message.
    pub fn size(&self) -> usize {
        HEADER_BYTES + self.attributes.len()
    }
}

/// An address XORed with cookie and transaction id (RFC 8489 section 14.2).
fn address(value: &[u8], transaction: &[u8; 12]) -> Result<(IpAddr, u16), WireError> {
    let mut r = Reader::new(value);
    let [_, family] = r.array()?;
    let port = r.u16()? ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match family {
        1 => IpAddr::from((r.u32()? ^ MAGIC_COOKIE).to_be_bytes()),
        2 => {
            let mut mask = Reader::new(transaction);
            let high = u128::from(MAGIC_COOKIE) << 96;
            let low = u128::from(mask.u32()?) << 64 | u128::from(mask.u64()?);
            IpAddr::from((u128::from_be_bytes(r.array()?) ^ (high | low)).to_be_bytes())
        }
        _ => return Err(WireError::Malformed(Fault::Value, "STUN address family")),
    };
    if !r.is_empty() {
        return Err(WireError::Malformed(Fault::Length, "STUN address with a tail"));
    }
    Ok((ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, attributes: &[u8]) -> Vec<u8> {
        let mut out = kind.to_be_bytes().to_vec();
        out.extend((attributes.len() as u16).to_be_bytes());
        out.extend(MAGIC_COOKIE.to_be_bytes());
        out.extend([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);
        out.extend(attributes);
        out
    }

    #[test]
    fn classes_and_methods_are_decoded() {
        let of = |kind| parse(&message(kind, &[])).map(|m| (m.class, m.method));
        assert_eq!(of(0x0001), Ok((Class::Request, 1)));
        assert_eq!(of(0x0101), Ok((Class::Success, 1)));
        assert_eq!(of(0x0111), Ok((Class::Error, 1)));
        assert_eq!(of(0x0016), Ok((Class::Indication, 6)));
        assert_eq!(of(0x0200), Ok((Class::Request, 0x80)));
        assert_eq!(of(0x0300), Ok((Class::Success, 0x80)));
        assert_eq!(of(0x4001), Err(WireError::NotThis));
    }

    /// Address attributes of RFC 5769 sections 2.2 and 2.3.
    #[test]
    fn xored_addresses_are_decoded() {
        let v4 = [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let found: Vec<_> = parse(&message(0x0101, &v4)).unwrap().addresses().collect();
        assert_eq!(found, [(AddressKind::Mapped, "192.0.2.1".parse().unwrap(), 32_853)]);
        let v6 = [
            0, 0x20, 0, 0x14, 0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79,
            0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        let found: Vec<_> = parse(&message(0x0101, &v6)).unwrap().addresses().collect();
        let ip = "2001:db8:1234:5678:11:2233:4455:6677".parse().unwrap();
        assert_eq!(found, [(AddressKind::Mapped, ip, 32_853)]);
    }

    #[test]
    fn attributes_are_padded_and_may_be_cut() {
        let peer = [0, 0x12, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let attributes = [&[0x80, 0x22, 0, 1, 65, 0, 0, 0][..], &peer].concat();
        let bytes = message(0x0016, &attributes);
        let message = parse(&bytes).unwrap();
        assert_eq!(message.addresses().count(), 1);
        assert_eq!(message.size(), bytes.len());
        assert_eq!(parse(&bytes[..bytes.len() - 4]), Err(WireError::NotThis));
    }

    proptest! {
        #[test]
        fn never_panics(tail in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&tail);
            let even = &tail[..tail.len() / 4 * 4];
            prop_assert!(parse(&message(1, even)).unwrap().addresses().count() <= 15);
        }
    }
}
