//! RADIUS (RFC 2865 section 3, accounting RFC 2866).
//!
//! Owns: header, attributes with users and their addresses. In: one datagram. Out: a view into it.
//! Never: decrypts attributes, or keeps a password.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::{Fault, Reader, WireError};

/// Bounds of a packet (RFC 2865 section 3).
const HEADER_BYTES: usize = 20;
const PACKET_BYTES_MAX: usize = 4_096;

/// Attribute types, with the RFC that defines each.
mod attribute {
    /// RFC 2865 section 5.1.
    pub const USER_NAME: u8 = 1;
    /// RFC 2865 section 5.4.
    pub const NAS_IP: u8 = 4;
    /// RFC 2865 section 5.8.
    pub const FRAMED_IP: u8 = 8;
    /// RFC 2865 section 5.31.
    pub const CALLING_STATION: u8 = 31;
    /// RFC 2865 section 5.32.
    pub const NAS_IDENTIFIER: u8 = 32;
    /// RFC 2866 section 5.1.
    pub const STATUS: u8 = 40;
    /// RFC 2866 section 5.5.
    pub const SESSION: u8 = 44;
    /// RFC 2868 section 3.3.
    pub const TUNNEL_CLIENT: u8 = 66;
    /// RFC 3162 section 2.3.
    pub const FRAMED_V6_PREFIX: u8 = 97;
    /// RFC 6911 section 3.1.
    pub const FRAMED_V6_ADDRESS: u8 = 168;
}

/// Packet type (RFC 2865 section 4, RFC 2866 section 4, RFC 5176 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Access-Request.
    AccessRequest,
    /// Access-Accept.
    AccessAccept,
    /// Access-Reject.
    AccessReject,
    /// Access-Challenge.
    AccessChallenge,
    /// Accounting-Request: a session begins, continues or ends.
    AccountingRequest,
    /// Accounting-Response.
    AccountingResponse,
    /// Status-Server (RFC 5997), disconnect or change of authorisation (RFC 5176).
    Other(u8),
}

/// What an accounting request reports (Acct-Status-Type, RFC 2866 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Start: the session begins.
    Start,
    /// Stop: the session ends.
    Stop,
    /// Interim-Update: the session continues.
    Interim,
    /// Accounting-On, Accounting-Off and others, about the device itself.
    Other(u32),
}

/// One packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its type.
    pub code: Code,
    /// Identifier that matches requests and responses.
    pub identifier: u8,
    /// User-Name, raw.
    pub user_name: Option<&'a [u8]>,
    /// Address assigned to the user; absent for 255.255.255.254 and .255, which assign none.
    pub framed_ip: Option<Ipv4Addr>,
    /// IPv6 prefix assigned to the user, and its length.
    pub framed_prefix: Option<(Ipv6Addr, u8)>,
    /// IPv6 address assigned to the user.
    pub framed_ipv6: Option<Ipv6Addr>,
    /// Calling-Station-Id: a VPN gateway writes the public address, an access point the device's
    /// link-layer address.
    pub calling_station: Option<&'a [u8]>,
    /// The far end of the user's tunnel, without its tag.
    pub tunnel_client: Option<&'a [u8]>,
    /// Acct-Status-Type.
    pub status: Option<Status>,
    /// Acct-Session-Id.
    pub session: Option<&'a [u8]>,
    /// Address of the reporting device.
    pub nas_ip: Option<Ipv4Addr>,
    /// Its name.
    pub nas_identifier: Option<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// Reads a whole datagram of ports 1812 and 1813 (1645 and 1646 before).
    ///
    /// # Errors
    /// `NotThis` if code or length are not those of RADIUS; `Malformed` if the datagram is shorter
    /// than the length, or the attributes do not fill it.
    pub fn parse(datagram: &'a [u8]) -> Result<Packet<'a>, WireError> {
        read(datagram)
    }

    fn take(&mut self, kind: u8, value: &'a [u8]) -> Result<(), WireError> {
        let mut r = Reader::new(value);
        let mut address = || r.u32().map(Ipv4Addr::from);
        match kind {
            attribute::USER_NAME => self.user_name = Some(value),
            attribute::NAS_IP => self.nas_ip = Some(address()?),
            attribute::FRAMED_IP => {
                let given = address()?;
                self.framed_ip = Some(given).filter(|ip| u32::from(*ip) < 0xffff_fffe);
            }
            attribute::CALLING_STATION => self.calling_station = Some(value),
            attribute::NAS_IDENTIFIER => self.nas_identifier = Some(value),
            attribute::STATUS => self.status = Some(status(r.u32()?)),
            attribute::SESSION => self.session = Some(value),
            // A first octet up to 0x1f is a tag (RFC 2868 section 3.3).
            attribute::TUNNEL_CLIENT => {
                self.tunnel_client = match value {
                    [0..=0x1f, rest @ ..] => Some(rest),
                    text => Some(text),
                }
            }
            attribute::FRAMED_V6_PREFIX => self.framed_prefix = Some(prefix(r)?),
            attribute::FRAMED_V6_ADDRESS => self.framed_ipv6 = Some(r.array::<16>()?.into()),
            _ => {}
        }
        Ok(())
    }
}

fn read(datagram: &[u8]) -> Result<Packet<'_>, WireError> {
    const ATTRIBUTE: WireError = WireError::Malformed(Fault::Length, "RADIUS attribute");
    let cut = |_| WireError::Malformed(Fault::Truncated, "RADIUS packet");
    let mut r = Reader::new(datagram);
    let [number, identifier, high, low] = r.array().map_err(|_| WireError::NotThis)?;
    let (code, length) = (code(number)?, usize::from(u16::from_be_bytes([high, low])));
    if !(HEADER_BYTES..=PACKET_BYTES_MAX).contains(&length) {
        return Err(WireError::NotThis);
    }
    // The authenticator; octets beyond the length are padding.
    r.skip(16).map_err(cut)?;
    let mut attributes = r.sub(length - HEADER_BYTES).map_err(cut)?;
    let mut packet = Packet {
        code,
        identifier,
        user_name: None,
        framed_ip: None,
        framed_prefix: None,
        framed_ipv6: None,
        calling_station: None,
        tunnel_client: None,
        status: None,
        session: None,
        nas_ip: None,
        nas_identifier: None,
    };
    while !attributes.is_empty() {
        let [kind, size] = attributes.array().map_err(|_| ATTRIBUTE)?;
        let length = usize::from(size).checked_sub(2).ok_or(ATTRIBUTE)?;
        let value = attributes.take(length).map_err(|_| ATTRIBUTE)?;
        packet.take(kind, value).map_err(|_| ATTRIBUTE)?;
    }
    Ok(packet)
}

fn prefix(mut r: Reader<'_>) -> Result<(Ipv6Addr, u8), WireError> {
    let [_, length] = r.array()?;
    if length > 128 || r.left() > 16 || r.left() < usize::from(length).div_ceil(8) {
        return Err(WireError::Malformed(Fault::Length, "RADIUS prefix"));
    }
    let mut octets = [0u8; 16];
    for (slot, b) in octets.iter_mut().zip(r.rest()) {
        *slot = *b;
    }
    Ok((octets.into(), length))
}

const fn code(number: u8) -> Result<Code, WireError> {
    Ok(match number {
        1 => Code::AccessRequest,
        2 => Code::AccessAccept,
        3 => Code::AccessReject,
        4 => Code::AccountingRequest,
        5 => Code::AccountingResponse,
        11 => Code::AccessChallenge,
        12 | 40..=45 => Code::Other(number),
        _ => return Err(WireError::NotThis),
    })
}

const fn status(number: u32) -> Status {
    match number {
        1 => Status::Start,
        2 => Status::Stop,
        3 => Status::Interim,
        other => Status::Other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(code: u8, attributes: &[u8]) -> Vec<u8> {
        let length = (HEADER_BYTES + attributes.len()) as u16;
        [&[code, 7][..], &length.to_be_bytes(), &[9; 16], attributes].concat()
    }

    fn attribute(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind, value.len() as u8 + 2][..], value].concat()
    }

    #[test]
    fn accounting_has_user_and_address() {
        let attributes = [
            attribute(1, b"ann@example.com"),
            attribute(4, &[192, 0, 2, 1]),
            attribute(8, &[10, 1, 2, 3]),
            attribute(31, b"203.0.113.9"),
            attribute(40, &[0, 0, 0, 1]),
            attribute(44, b"S-17"),
            attribute(66, b"\x01198.51.100.4"),
            attribute(97, &[0, 64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 5]),
            attribute(168, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]),
        ]
        .concat();
        let bytes = packet(4, &attributes);
        let got = Packet::parse(&bytes).unwrap();
        assert_eq!((got.code, got.status), (Code::AccountingRequest, Some(Status::Start)));
        assert_eq!(got.user_name, Some(&b"ann@example.com"[..]));
        assert_eq!(got.framed_ip, Some(Ipv4Addr::new(10, 1, 2, 3)));
        assert_eq!(got.calling_station, Some(&b"203.0.113.9"[..]));
        assert_eq!(got.tunnel_client, Some(&b"198.51.100.4"[..]));
        assert_eq!(got.session, Some(&b"S-17"[..]));
        assert_eq!(got.nas_ip, Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(got.framed_prefix, Some(("2001:db8:0:5::".parse().unwrap(), 64)));
        assert_eq!(got.framed_ipv6, Some("2001:db8::7".parse().unwrap()));
    }

    #[test]
    fn an_address_left_to_the_server_is_none() {
        let bytes = packet(2, &attribute(8, &[255, 255, 255, 254]));
        assert_eq!(Packet::parse(&bytes).unwrap().framed_ip, None);
    }

    #[test]
    fn attributes_have_to_fill_the_length() {
        let not_this = |bytes: &[u8]| Packet::parse(bytes).unwrap_err() == WireError::NotThis;
        let fault = |bytes: &[u8]| match Packet::parse(bytes).unwrap_err() {
            WireError::Malformed(fault, _) => Some(fault),
            _ => None,
        };
        for attribute in [&[1, 1][..], &[1, 9, b'a'], &[8, 5, 1, 2, 3]] {
            assert_eq!(fault(&packet(4, attribute)), Some(Fault::Length), "{attribute:?}");
        }
        let cut = packet(4, &[1, 3, b'a']);
        assert_eq!(fault(&cut[..cut.len() - 1]), Some(Fault::Truncated));
        assert!(not_this(&packet(99, &[])) && not_this(&cut[..3]));
        let mut short = packet(4, &[]);
        short[3] = 19;
        assert!(not_this(&short));
        let padded = [&packet(5, &[])[..], &[0; 4]].concat();
        assert_eq!(Packet::parse(&padded).unwrap().code, Code::AccountingResponse);
    }

    proptest! {
        #[test]
        fn never_panics(tail in proptest::collection::vec(any::<u8>(), 0..90)) {
            let _ = Packet::parse(&tail);
            if let Ok(got) = Packet::parse(&packet(4, &tail)) {
                prop_assert!(got.framed_prefix.is_none_or(|(_, length)| length <= 128));
            }
        }
    }
}
