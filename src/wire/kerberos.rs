//! Kerberos messages in clear (RFC 4120 sections 5.4, 5.9 and 7.2).
//!
//! Owns: client, service, realm and addresses of requests and replies. In: one datagram, or a
//! stream's message after its length. Out: a view into it. Never: decrypts.

use std::net::IpAddr;

use crate::wire::der::{self, Der};
use crate::wire::{Fault, Reader, WireError};

/// Protocol version number of every message.
const VERSION: u32 = 5;
/// HostAddress type of IPv4, IPv6 and NetBIOS (RFC 4120 section 7.5.3).
const ADDRESS_V4: u32 = 2;
const ADDRESS_V6: u32 = 24;
const ADDRESS_NETBIOS: u32 = 20;
/// Addresses looked at of one request, parts of one name.
const PARTS_MAX: usize = 8;

/// Message type (its application tag, RFC 4120 section 5.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// AS-REQ: the client's first request; it has the client's name.
    AsRequest,
    /// AS-REP: the name is valid.
    AsReply,
    /// TGS-REQ: a service ticket is requested; the client's name is encrypted in another ticket.
    TgsRequest,
    /// TGS-REP.
    TgsReply,
    /// KRB-ERROR, with a code.
    Error,
}

/// A principal's name: one or several parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// NT-PRINCIPAL 1, NT-SRV-INST 2, NT-SRV-HST 3, NT-ENTERPRISE 10 (RFC 4120 section 6.2).
    pub kind: u32,
    parts: &'a [u8],
}

impl<'a> Name<'a> {
    /// Its parts, at most eight: `ann`, or `host` and `pc.example.com`.
    pub fn parts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut r = Der::new(self.parts);
        let next = move || r.tagged(der::GENERAL_STRING).ok().map(|part| part.contents);
        std::iter::from_fn(next).take(PARTS_MAX)
    }
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct KerberosMessage<'a> {
    /// Its type.
    pub kind: Kind,
    /// The client; a device's name ends in `$`.
    pub client: Option<Name<'a>>,
    /// The realm; of a request, that of the server.
    pub realm: Option<&'a [u8]>,
    /// The service.
    pub service: Option<Name<'a>>,
    /// Error code (RFC 4120 section 7.5.9): 24 pre-authentication failed, 25 required.
    pub error: Option<u32>,
    addresses: &'a [u8],
}

/// An address that a client gives as its own (HostAddress, RFC 4120 section 5.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// IPv4 or IPv6.
    Ip(IpAddr),
    /// A NetBIOS name without padding: the device's name, from Windows.
    Netbios(&'a [u8]),
}

impl<'a> KerberosMessage<'a> {
    /// Reads a whole datagram of port 88.
    ///
    /// # Errors
    /// `NotThis` if tag, version and type do not match or the value does not fill the datagram;
    /// `Malformed` if what begins like a message is cut or contradicts itself.
    pub fn parse(datagram: &'a [u8]) -> Result<KerberosMessage<'a>, WireError> {
        let begins = matches!(datagram.first(), Some(0x6a..=0x6d | 0x7e));
        read(datagram).map_err(|why| match why {
            WireError::NeedMore(_) if begins => {
                WireError::Malformed(Fault::Truncated, "Kerberos message")
            }
            WireError::Malformed(..) if begins => why,
            _ => WireError::NotThis,
        })
    }

    /// Reads the first message of a stream, after its length (RFC 4120 section 7.2.2); gives the
    /// size of both.
    ///
    /// # Errors
    /// As [`KerberosMessage::parse`]; `NeedMore` where it is cut.
    pub fn parse_stream(bytes: &'a [u8]) -> Result<(KerberosMessage<'a>, usize), WireError> {
        /// Tickets with many groups have 64 KiB.
        const MESSAGE_MAX: usize = 1 << 17;
        let mut r = Reader::new(bytes);
        let length = r.u32()? as usize;
        let starts = r.rest().first().is_none_or(|tag| matches!(tag, 0x6a..=0x6d | 0x7e));
        if length > MESSAGE_MAX || !starts {
            return Err(WireError::NotThis);
        }
        let message = read(r.take(length)?).map_err(|_| WireError::NotThis)?;
        Ok((message, length + 4))
    }

    /// The addresses that a request names as the client's own, at most eight.
    pub fn addresses(&self) -> impl Iterator<Item = Address<'a>> + use<'a> {
        let mut r = Der::new(self.addresses);
        let next = move || r.enter(der::SEQUENCE).ok();
        std::iter::from_fn(next).take(PARTS_MAX).filter_map(|entry| address(entry).ok())
    }
}

fn read(bytes: &[u8]) -> Result<KerberosMessage<'_>, WireError> {
    let mut outer = Der::new(bytes);
    let value = outer.element()?;
    let (kind, number) = match value.tag {
        0x6a => (Kind::AsRequest, 10),
        0x6b => (Kind::AsReply, 11),
        0x6c => (Kind::TgsRequest, 12),
        0x6d => (Kind::TgsReply, 13),
        0x7e => (Kind::Error, 30),
        _ => return Err(WireError::NotThis),
    };
    let mut fields = value.open().enter(der::SEQUENCE)?;
    // A request's fields begin at [1], the others' at [0].
    let is_request = matches!(kind, Kind::AsRequest | Kind::TgsRequest);
    let first = u8::from(is_request);
    let version = integer(&mut fields, first)?;
    if !outer.is_empty() || version != VERSION || integer(&mut fields, first + 1)? != number {
        return Err(WireError::NotThis);
    }
    let mut message = KerberosMessage {
        kind,
        client: None,
        realm: None,
        service: None,
        error: None,
        addresses: &[],
    };
    if is_request {
        skip(&mut fields, 3)?;
        let mut body = fields.enter(tag(4))?.enter(der::SEQUENCE)?;
        message.take_request(&mut body)?;
    } else {
        message.take_answer(&mut fields)?;
    }
    Ok(message)
}

impl<'a> KerberosMessage<'a> {
    /// KDC-REQ-BODY (RFC 4120 section 5.4.1).
    fn take_request(&mut self, body: &mut Der<'a>) -> Result<(), WireError> {
        // Options, a bit string.
        body.tagged(tag(0))?;
        self.client = name(body, 1)?;
        self.realm = text(body, 2)?;
        self.service = name(body, 3)?;
        if self.realm.is_none() {
            return Err(WireError::NotThis);
        }
        for number in 4..=8 {
            skip(body, number)?;
        }
        if let Some(addresses) = body.optional(tag(9))? {
            self.addresses = addresses.open().enter(der::SEQUENCE)?.rest();
        }
        Ok(())
    }

    /// KDC-REP and KRB-ERROR (RFC 4120 sections 5.4.2 and 5.9.1).
    fn take_answer(&mut self, fields: &mut Der<'a>) -> Result<(), WireError> {
        if self.kind != Kind::Error {
            skip(fields, 2)?;
            self.realm = text(fields, 3)?;
            self.client = name(fields, 4)?;
            return Ok(());
        }
        for number in 2..=5 {
            skip(fields, number)?;
        }
        self.error = Some(integer(fields, 6)?);
        let client_realm = text(fields, 7)?;
        self.client = name(fields, 8)?;
        self.realm = client_realm.or(text(fields, 9)?);
        self.service = name(fields, 10)?;
        Ok(())
    }
}

/// Explicit `[number]`.
const fn tag(number: u8) -> u8 {
    der::context_constructed(number)
}

fn skip(r: &mut Der<'_>, number: u8) -> Result<(), WireError> {
    r.optional(tag(number)).map(|_| ())
}

fn integer(r: &mut Der<'_>, number: u8) -> Result<u32, WireError> {
    r.enter(tag(number))?.u32()
}

fn text<'a>(r: &mut Der<'a>, number: u8) -> Result<Option<&'a [u8]>, WireError> {
    let Some(field) = r.optional(tag(number))? else { return Ok(None) };
    Ok(Some(field.open().tagged(der::GENERAL_STRING)?.contents))
}

fn name<'a>(r: &mut Der<'a>, number: u8) -> Result<Option<Name<'a>>, WireError> {
    let Some(field) = r.optional(tag(number))? else { return Ok(None) };
    let mut fields = field.open().enter(der::SEQUENCE)?;
    // Name types are signed (RFC 4120 section 5.2.2); those of Microsoft below zero are 0 here.
    let kind = fields.enter(tag(0))?.u32().unwrap_or(0);
    let parts = fields.enter(tag(1))?.enter(der::SEQUENCE)?.rest();
    Ok(Some(Name { kind, parts }))
}

fn address(mut entry: Der<'_>) -> Result<Address<'_>, WireError> {
    let kind = integer(&mut entry, 0)?;
    let octets = entry.enter(tag(1))?.tagged(der::OCTET_STRING)?.contents;
    let mut r = Reader::new(octets);
    match kind {
        ADDRESS_V4 => Ok(Address::Ip(IpAddr::from(r.array::<4>()?))),
        ADDRESS_V6 => Ok(Address::Ip(IpAddr::from(r.array::<16>()?))),
        ADDRESS_NETBIOS => Ok(Address::Netbios(octets.trim_ascii_end())),
        _ => Err(WireError::NotThis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, 0x82, (content.len() >> 8) as u8, content.len() as u8][..], content].concat()
    }

    fn explicit(number: u8, inner: Vec<u8>) -> Vec<u8> {
        der(0xa0 | number, &inner)
    }

    fn principal(kind: u8, parts: &[&str]) -> Vec<u8> {
        let parts: Vec<u8> = parts.iter().flat_map(|p| der(0x1b, p.as_bytes())).collect();
        der(0x30, &[explicit(0, vec![2, 1, kind]), explicit(1, der(0x30, &parts))].concat())
    }

    fn request(kind: u8) -> Vec<u8> {
        let host = [explicit(0, vec![2, 1, 20]), explicit(1, der(4, b"LAPTOP-7        "))];
        let v4 = [explicit(0, vec![2, 1, 2]), explicit(1, der(4, &[192, 0, 2, 7]))];
        let hosts = [der(0x30, &host.concat()), der(0x30, &v4.concat())].concat();
        let body = [
            explicit(0, vec![3, 5, 0, 0x40, 0, 0, 0]),
            explicit(1, principal(1, &["ann"])),
            explicit(2, der(0x1b, b"EXAMPLE.COM")),
            explicit(3, principal(2, &["krbtgt", "EXAMPLE.COM"])),
            explicit(5, der(0x18, b"20370913024805Z")),
            explicit(7, vec![2, 1, 9]),
            explicit(8, der(0x30, &[2, 1, 18])),
            explicit(9, der(0x30, &hosts)),
        ];
        let fields = [
            explicit(1, vec![2, 1, 5]),
            explicit(2, vec![2, 1, kind]),
            explicit(3, der(0x30, &[])),
            explicit(4, der(0x30, &body.concat())),
        ];
        der(0x60 | kind, &der(0x30, &fields.concat()))
    }

    fn parts(name: Option<Name<'_>>) -> Vec<String> {
        let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
        name.unwrap().parts().map(text).collect()
    }

    #[test]
    fn a_request_names_user_realm_and_device() {
        let bytes = request(10);
        let got = KerberosMessage::parse(&bytes).unwrap();
        assert_eq!((got.kind, got.realm), (Kind::AsRequest, Some(&b"EXAMPLE.COM"[..])));
        assert_eq!(parts(got.client), ["ann"]);
        assert_eq!(parts(got.service), ["krbtgt", "EXAMPLE.COM"]);
        let hosts: Vec<_> = got.addresses().collect();
        let ip = Address::Ip(IpAddr::from([192, 0, 2, 7]));
        assert_eq!(hosts, [Address::Netbios(b"LAPTOP-7"), ip]);
        assert_eq!(KerberosMessage::parse(&request(12)).unwrap().kind, Kind::TgsRequest);
    }

    #[test]
    fn answers_and_errors_name_the_client() {
        let fields = [
            explicit(0, vec![2, 1, 5]),
            explicit(1, vec![2, 1, 11]),
            explicit(3, der(0x1b, b"EXAMPLE.COM")),
            explicit(4, principal(1, &["ann"])),
            explicit(5, der(0x61, &[])),
        ];
        let bytes = der(0x6b, &der(0x30, &fields.concat()));
        let got = KerberosMessage::parse(&bytes).unwrap();
        assert_eq!((got.kind, parts(got.client)), (Kind::AsReply, vec!["ann".to_owned()]));
        let fields = [
            explicit(0, vec![2, 1, 5]),
            explicit(1, vec![2, 1, 30]),
            explicit(4, der(0x18, b"20370913024805Z")),
            explicit(5, vec![2, 1, 0]),
            explicit(6, vec![2, 1, 25]),
            explicit(9, der(0x1b, b"EXAMPLE.COM")),
            explicit(10, principal(2, &["krbtgt"])),
        ];
        let bytes = der(0x7e, &der(0x30, &fields.concat()));
        let got = KerberosMessage::parse(&bytes).unwrap();
        assert_eq!((got.error, got.realm), (Some(25), Some(&b"EXAMPLE.COM"[..])));
    }

    #[test]
    fn a_stream_has_lengths_and_a_datagram_no_tail() {
        let bytes = request(10);
        let framed = [&(bytes.len() as u32).to_be_bytes()[..], &bytes, &[1]].concat();
        let (got, size) = KerberosMessage::parse_stream(&framed).unwrap();
        assert_eq!((got.kind, size), (Kind::AsRequest, bytes.len() + 4));
        let cut = KerberosMessage::parse_stream(&framed[..20]).unwrap_err();
        assert_eq!(cut, WireError::NeedMore(bytes.len() - 16));
        let tailed = [&bytes[..], &[0]].concat();
        assert_eq!(KerberosMessage::parse(&tailed).unwrap_err(), WireError::NotThis);
        let other = KerberosMessage::parse_stream(&[0, 0, 0, 9, 0x30]).unwrap_err();
        assert_eq!(other, WireError::NotThis);
    }

    proptest! {
        #[test]
        fn never_panics(at in 0usize..400, value in any::<u8>(), cut in 0usize..400) {
            let mut bytes = request(10);
            if let Some(slot) = bytes.get_mut(at) {
                *slot = value;
            }
            let _ = KerberosMessage::parse(bytes.get(..cut).unwrap_or(&bytes));
            if let Ok(got) = KerberosMessage::parse(&bytes) {
                prop_assert!(got.addresses().count() <= PARTS_MAX);
                let _ = got.client.map(|name| name.parts().count());
            }
            let _ = KerberosMessage::parse_stream(&bytes);
        }
    }
}
