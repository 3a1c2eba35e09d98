//! DHCP messages (RFC 2131 section 2, options of RFC 2132).
//!
//! Owns: the fixed header, options, facts about the client. In: one datagram. Out: a view into it.
//! Never: accepts a message without the magic cookie, or reads options overloaded into header
//! fields.

use std::net::Ipv4Addr;

use crate::wire::{Fault, Reader, WireError};

/// The magic cookie after the header (RFC 2131 section 3).
const MAGIC_COOKIE: u32 = 0x6382_5363;
/// Options looked at: 255 codes, each at most a few times (RFC 3396 splits long ones).
const OPTIONS_MAX: usize = 512;
/// Hardware type Ethernet (RFC 2132 names the registry of ARP; RFC 826).
const HARDWARE_ETHERNET: u8 = 1;

/// What a message is for (option 53, RFC 2132 section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client looks for servers.
    Discover,
    /// A server offers an address.
    Offer,
    /// A client asks for an address, renews it, or returns to it.
    Request,
    /// The client found the address in use.
    Decline,
    /// The server gives the address: the binding holds from here for the lease time.
    Ack,
    /// The server refuses.
    Nak,
    /// The client gives the address back.
    Release,
    /// A client with an address asks for parameters only.
    Inform,
    /// Another number (RFC 3203, RFC 4388 and later).
    Other(u8),
}

impl Kind {
    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Kind::Discover => 1,
            Kind::Offer => 2,
            Kind::Request => 3,
            Kind::Decline => 4,
            Kind::Ack => 5,
            Kind::Nak => 6,
            Kind::Release => 7,
            Kind::Inform => 8,
            Kind::Other(other) => other,
        }
    }
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct DhcpMessage<'a> {
    /// Sent by a server (op 2).
    pub from_server: bool,
    /// Its type.
    pub kind: Kind,
    /// Transaction id: the same in request and answer.
    pub transaction: u32,
    /// The client's Ethernet address; absent for other hardware.
    pub mac: Option<[u8; 6]>,
    /// The client's address according to itself, if it has one (`ciaddr`).
    pub client: Option<Ipv4Addr>,
    /// The client's address according to the server (`yiaddr`).
    pub yours: Option<Ipv4Addr>,
    /// The relay agent (`giaddr`).
    pub relay: Option<Ipv4Addr>,
    /// Host name (option 12), raw.
    pub host_name: Option<&'a [u8]>,
    /// The client's domain name (option 81, RFC 4702), raw.
    pub domain_name: Option<DomainName<'a>>,
    /// Address asked for (option 50).
    pub requested: Option<Ipv4Addr>,
    /// Lease time in seconds (option 51).
    pub lease: Option<u32>,
    /// Server identifier (option 54).
    pub server: Option<Ipv4Addr>,
    /// Vendor class of the client's software (option 60).
    pub vendor_class: Option<&'a [u8]>,
}

/// A name of RFC 4702 section 2.3 or RFC 4704 section 4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainName<'a> {
    /// Deprecated form: text.
    Text(&'a [u8]),
    /// Labels, each after its length.
    Labels(&'a [u8]),
}

impl<'a> DomainName<'a> {
    /// Its labels, the first one the device's; empty from the first fault on.
    pub fn labels(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (mut r, is_text) = match *self {
            DomainName::Text(text) => (Reader::new(text), true),
            DomainName::Labels(wire) => (Reader::new(wire), false),
        };
        std::iter::from_fn(move || {
            let label = if is_text {
                let rest = r.rest();
                let end = rest.iter().position(|b| *b == b'.').unwrap_or(rest.len());
                let label = r.take(end).ok()?;
                let _ = r.skip(1);
                label
            } else {
                let length = r.u8().ok().filter(|length| *length < 64)?;
                r.take(usize::from(length)).ok()?
            };
            Some(label).filter(|label| !label.is_empty())
        })
    }
}

impl<'a> DhcpMessage<'a> {
    /// Reads a whole datagram of ports 67 and 68.
    ///
    /// # Errors
    /// `NotThis` where op, magic cookie or message type are not those of DHCP (BOOTP alone has no
    /// message type); `Malformed` where an option is cut.
    pub fn parse(datagram: &'a [u8]) -> Result<DhcpMessage<'a>, WireError> {
        let mut r = Reader::new(datagram);
        let mut message = header(&mut r).map_err(|_| WireError::NotThis)?;
        let mut has_kind = false;
        for _ in 0..OPTIONS_MAX {
            match r.u8() {
                Err(_) | Ok(255) => break,
                Ok(0) => {}
                Ok(code) => {
                    let value = r
                        .sub_u8()
                        .map_err(|_| WireError::Malformed(Fault::Truncated, "DHCP option"))?;
                    has_kind |= code == 53;
                    message.take(code, value)?;
                }
            }
        }
        if has_kind { Ok(message) } else { Err(WireError::NotThis) }
    }

    fn take(&mut self, code: u8, mut value: Reader<'a>) -> Result<(), WireError> {
        const SIZE: WireError = WireError::Malformed(Fault::Length, "DHCP option size");
        let mut address = || value.u32().map(Ipv4Addr::from).map(known).map_err(|_| SIZE);
        match code {
            12 => self.host_name = Some(trimmed(value.rest())),
            50 => self.requested = address()?,
            51 => self.lease = Some(value.u32().map_err(|_| SIZE)?),
            53 => self.kind = kind(value.u8().map_err(|_| SIZE)?),
            54 => self.server = address()?,
            60 => self.vendor_class = Some(trimmed(value.rest())),
            81 => {
                // Flags and two octets that are to be ignored (RFC 4702 section 2.1); 0x04: E.
                let [flags, _, _] = value.array().map_err(|_| SIZE)?;
                self.domain_name = Some(match flags & 0x04 {
                    0 => DomainName::Text(trimmed(value.rest())),
                    _ => DomainName::Labels(value.rest()),
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// The address this message binds to the client, and for how many seconds: an Ack to a request
    /// (one to an Inform has no lease).
    pub fn binding(&self) -> Option<(Ipv4Addr, u32)> {
        let given = self.from_server && self.kind == Kind::Ack;
        given.then_some(self.yours?).zip(self.lease)
    }
}

fn header<'a>(r: &mut Reader<'a>) -> Result<DhcpMessage<'a>, WireError> {
    let [op, hardware, length, _hops] = r.array()?;
    let transaction = r.u32()?;
    let _seconds_and_flags = r.u32()?;
    let [client, yours, _next] = [r.u32()?, r.u32()?, r.u32()?].map(Ipv4Addr::from).map(known);
    let relay = known(Ipv4Addr::from(r.u32()?));
    let mac: [u8; 6] = r.array()?;
    // The rest of chaddr, sname and file.
    r.skip(10 + 64 + 128)?;
    if !matches!(op, 1 | 2) || r.u32()? != MAGIC_COOKIE {
        return Err(WireError::NotThis);
    }
    let has_mac = hardware == HARDWARE_ETHERNET && length == 6;
    Ok(DhcpMessage {
        from_server: op == 2,
        kind: Kind::Other(0),
        transaction,
        mac: Some(mac).filter(|mac| has_mac && *mac != [0; 6]),
        client,
        yours,
        relay,
        host_name: None,
        domain_name: None,
        requested: None,
        lease: None,
        server: None,
        vendor_class: None,
    })
}

fn known(address: Ipv4Addr) -> Option<Ipv4Addr> {
    Some(address).filter(|address| !address.is_unspecified())
}

/// Some clients end text with a zero.
fn trimmed(text: &[u8]) -> &[u8] {
    text.split(|b| *b == 0).next().unwrap_or_default()
}

const fn kind(number: u8) -> Kind {
    match number {
        1 => Kind::Discover,
        2 => Kind::Offer,
        3 => Kind::Request,
        4 => Kind::Decline,
        5 => Kind::Ack,
        6 => Kind::Nak,
        7 => Kind::Release,
        8 => Kind::Inform,
        other => Kind::Other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(op: u8, yours: [u8; 4], options: &[u8]) -> Vec<u8> {
        let mut out = vec![op, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0, 0, 0, 0, 0];
        out.extend(yours);
        out.extend([0; 8]);
        out.extend([2, 0, 0, 0, 0, 9]);
        out.extend([0; 202]);
        out.extend(MAGIC_COOKIE.to_be_bytes());
        out.extend(options);
        out
    }

    #[test]
    fn a_request_identifies_its_client() {
        let mut options = vec![53, 1, 3, 0, 12, 6];
        options.extend(b"laptop");
        options.extend([50, 4, 192, 0, 2, 7, 60, 8]);
        options.extend(b"MSFT 5.0");
        options.extend([81, 9, 0, 0, 0]);
        options.extend(b"pc.ex\0");
        options.push(255);
        let bytes = message(1, [0; 4], &options);
        let got = DhcpMessage::parse(&bytes).unwrap();
        assert!(!got.from_server && got.kind == Kind::Request && got.transaction == 0xdead_beef);
        assert_eq!(got.mac, Some([2, 0, 0, 0, 0, 9]));
        assert_eq!((got.client, got.yours, got.relay), (None, None, None));
        assert_eq!(
            (got.host_name, got.vendor_class),
            (Some(&b"laptop"[..]), Some(&b"MSFT 5.0"[..]))
        );
        assert_eq!(got.requested, Some(Ipv4Addr::new(192, 0, 2, 7)));
        let labels: Vec<_> = got.domain_name.unwrap().labels().collect();
        assert_eq!(labels, [&b"pc"[..], b"ex"]);
        assert_eq!(got.binding(), None);
    }

    #[test]
    fn an_ack_binds_an_address_for_a_time() {
        let options = [53, 1, 5, 51, 4, 0, 0, 14, 16, 54, 4, 192, 0, 2, 1, 255, 99];
        let bytes = message(2, [192, 0, 2, 7], &options);
        let got = DhcpMessage::parse(&bytes).unwrap();
        assert_eq!(got.binding(), Some((Ipv4Addr::new(192, 0, 2, 7), 3_600)));
        assert_eq!(got.server, Some(Ipv4Addr::new(192, 0, 2, 1)));
        let offer = message(2, [192, 0, 2, 7], &[53, 1, 2, 51, 4, 0, 0, 14, 16]);
        assert_eq!(DhcpMessage::parse(&offer).unwrap().binding(), None);
    }

    #[test]
    fn names_in_label_form_are_read() {
        let options = [53, 1, 3, 81, 10, 4, 0, 0, 2, b'p', b'c', 2, b'e', b'x', 0];
        let bytes = message(1, [0; 4], &options);
        let labels: Vec<_> =
            DhcpMessage::parse(&bytes).unwrap().domain_name.unwrap().labels().collect();
        assert_eq!(labels, [&b"pc"[..], b"ex"]);
        let loose = DomainName::Labels(&[0xc0, 0x0c]);
        assert_eq!(loose.labels().count(), 0);
    }

    #[test]
    fn bootp_a_wrong_cookie_and_truncated_options_are_rejected() {
        assert_eq!(
            DhcpMessage::parse(&message(1, [0; 4], &[255])).unwrap_err(),
            WireError::NotThis
        );
        let mut wrong = message(1, [0; 4], &[53, 1, 1]);
        wrong[236] ^= 1;
        assert_eq!(DhcpMessage::parse(&wrong).unwrap_err(), WireError::NotThis);
        let cut = message(1, [0; 4], &[53, 1, 1, 12, 9, b'x']);
        assert_eq!(
            DhcpMessage::parse(&cut).unwrap_err(),
            WireError::Malformed(Fault::Truncated, "DHCP option")
        );
        let small = message(1, [0; 4], &[53, 1, 1, 51, 2, 0, 0]);
        assert_eq!(
            DhcpMessage::parse(&small).unwrap_err(),
            WireError::Malformed(Fault::Length, "DHCP option size")
        );
    }

    proptest! {
        #[test]
        fn never_panics(tail in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = DhcpMessage::parse(&tail);
            if let Ok(got) = DhcpMessage::parse(&message(2, [1, 2, 3, 4], &tail)) {
                prop_assert!(got.domain_name.is_none_or(|name| name.labels().count() <= 255));
            }
        }
    }
}
