//! NetBIOS name service (RFC 1002 section 4.2).
//!
//! Owns: decoded names, their addresses, node status. In: one datagram. Out: a view into it. Never:
//! other DNS: the name must be in first-level encoding, its type NB or NBSTAT.

use std::net::Ipv4Addr;

use crate::wire::dns::{DnsMessage as Header, HEADER_BYTES, Name as Folded, Names};
use crate::wire::{Reader, WireError};

/// Record types (RFC 1002 section 4.2.1.3).
const NB: u16 = 0x0020;
const NBSTAT: u16 = 0x0021;
/// Class IN.
const IN: u16 = 1;
/// Octets of one name in a node status answer: 15, suffix, flags.
const STATUS_BYTES: usize = 18;

/// A NetBIOS name: 15 octets padded with blanks, and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    octets: [u8; 15],
    /// The 16th octet: 0x00 workstation or domain, 0x20 file server, 0x1b to 0x1e browsing.
    pub suffix: u8,
}

impl Name {
    /// The name without padding.
    pub fn text(&self) -> &[u8] {
        let text = self.octets.split(|b| *b == 0).next().unwrap_or_default();
        text.trim_ascii_end()
    }

    /// Whether it is a workstation's or a server's own, not a service's (RFC 1001 section 14,
    /// [MS-NBTE] 1.8).
    pub const fn is_machine(&self) -> bool {
        matches!(self.suffix, 0x00 | 0x20)
    }

    /// Whether it is the wildcard `*`.
    pub fn is_wildcard(&self) -> bool {
        self.text() == b"*"
    }
}

/// Message type (OPCODE and R, RFC 1002 section 4.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Name query request.
    Query,
    /// Name query response; a negative one has no addresses.
    QueryResponse,
    /// Name registration request (also the overwrite demand, opcode 5).
    Registration,
    /// Name registration response.
    RegistrationResponse,
    /// Name refresh request (opcode 8, or 9 from Windows).
    Refresh,
    /// Name release request.
    Release,
    /// Name release response.
    ReleaseResponse,
    /// Wait for acknowledgement (WACK).
    Wait,
    /// Node status request.
    StatusRequest,
    /// Node status response.
    StatusResponse,
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct NbnsMessage<'a> {
    /// Its type.
    pub kind: Kind,
    /// Transaction id.
    pub transaction: u16,
    /// 0 for success (RFC 1002 section 4.2.6).
    pub rcode: u8,
    /// The name in question.
    pub name: Name,
    /// Lifetime of a registration or answer in seconds; 0 is infinite.
    pub lifetime: u32,
    data: &'a [u8],
    is_status: bool,
}

impl<'a> NbnsMessage<'a> {
    /// Reads a whole datagram of port 137.
    ///
    /// # Errors
    /// `NotThis` if opcode, counts, name or type are not those of NetBIOS.
    pub fn parse(datagram: &'a [u8]) -> Result<NbnsMessage<'a>, WireError> {
        read(datagram).map_err(|_| WireError::NotThis)
    }

    /// The addresses that go with the name, group names included; group members give only one.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + use<'a> {
        let mut r = Reader::new(if self.is_status { &[] } else { self.data });
        let next = move || {
            let [_, _, a, b, c, d] = r.array().ok()?;
            Some(Ipv4Addr::new(a, b, c, d))
        };
        std::iter::from_fn(next).filter(|address| !address.is_unspecified())
    }

    /// Whether the name is a group's (top bit of NB_FLAGS, RFC 1002 section 4.2.1.3): no device's.
    pub fn is_group(&self) -> bool {
        !self.is_status && self.data.first().is_some_and(|flags| flags & 0x80 != 0)
    }

    /// A node's own names (node status response), each with whether it is a group's.
    pub fn node_names(&self) -> impl Iterator<Item = (Name, bool)> + use<'a> {
        let mut r = Reader::new(if self.is_status { self.data } else { &[] });
        let mut left = r.u8().unwrap_or(0);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (octets, suffix) = (r.array().ok()?, r.u8().ok()?);
            Some((Name { octets, suffix }, r.u16().ok()? & 0x8000 != 0))
        })
    }

    /// A node's hardware address (the unit id behind its names); absent where it is zero, as Samba
    /// sends it.
    pub fn node_mac(&self) -> Option<[u8; 6]> {
        let mut r = Reader::new(if self.is_status { self.data } else { &[] });
        let names = usize::from(r.u8().ok()?);
        r.skip(names * STATUS_BYTES).ok()?;
        r.array().ok().filter(|mac| *mac != [0; 6])
    }
}

fn read(datagram: &[u8]) -> Result<NbnsMessage<'_>, WireError> {
    let header = Header::parse(datagram)?;
    let (mut name, mut behind) = named(datagram, HEADER_BYTES)?;
    let mut r = Reader::new(datagram.get(behind..).unwrap_or_default());
    let rtype = r.u16()?;
    if !matches!(rtype, NB | NBSTAT) || r.u16()? != IN {
        return Err(WireError::NotThis);
    }
    let is_status = rtype == NBSTAT;
    let kind = kind(&header, is_status)?;
    let is_question = (header.questions, header.answers) == (1, 0);
    let (mut lifetime, mut data) = (0, &[][..]);
    if !is_question || header.others > 0 {
        if is_question {
            // Registrations, refreshes and releases: the same name again, by a pointer.
            behind = datagram.len() - r.left();
            (name, behind) = named(datagram, behind)?;
            r = Reader::new(datagram.get(behind..).unwrap_or_default());
            if (r.u16()?, r.u16()?) != (NB, IN) {
                return Err(WireError::NotThis);
            }
        }
        lifetime = r.u32()?;
        data = r.sub_u16()?.rest();
    }
    let (transaction, rcode) = (header.id, header.rcode());
    Ok(NbnsMessage { kind, transaction, rcode, name, lifetime, data, is_status })
}

fn named(datagram: &[u8], at: usize) -> Result<(Name, usize), WireError> {
    let (folded, behind) = Folded::read(datagram, at, &mut Names::of(datagram.len()))?;
    let (octets, suffix) = folded.netbios().ok_or(WireError::NotThis)?;
    Ok((Name { octets, suffix }, behind))
}

fn kind(header: &Header<'_>, is_status: bool) -> Result<Kind, WireError> {
    let counts = (header.questions, header.answers, header.others);
    Ok(match (header.opcode(), header.is_response(), counts) {
        (0, false, (1, 0, 0)) if is_status => Kind::StatusRequest,
        (0, true, (0, 1, _)) if is_status => Kind::StatusResponse,
        (0, false, (1, 0, 0)) => Kind::Query,
        (0, true, (0, 1, _)) => Kind::QueryResponse,
        (5, false, (1, 0, 1)) => Kind::Registration,
        (5, true, (0, 1, 0)) => Kind::RegistrationResponse,
        (6, false, (1, 0, 1)) => Kind::Release,
        (6, true, (0, 1, 0)) => Kind::ReleaseResponse,
        (7, true, (0, 1, 0)) => Kind::Wait,
        (8 | 9, false, (1, 0, 1)) => Kind::Refresh,
        // Multi-homed registration (MS-NBTE section 2.2.2).
        (15, false, (1, 0, 1)) => Kind::Registration,
        _ => return Err(WireError::NotThis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folded(name: &[u8; 15], suffix: u8) -> Vec<u8> {
        let mut out = vec![32];
        for b in name.iter().chain([&suffix]) {
            out.extend([b'A' + (b >> 4), b'A' + (b & 15)]);
        }
        out.push(0);
        out
    }

    fn registration(opcode: u8) -> Vec<u8> {
        let head = [0x12, 0x34, opcode << 3 | 1, 0x10, 0, 1, 0, 0, 0, 0, 0, 1];
        let tail = [0xc0, 12, 0, 0x20, 0, 1, 0, 4, 0x93, 0xe0, 0, 6, 0, 0, 192, 0, 2, 7];
        [&head[..], &folded(b"LAPTOP-7       ", 0), &[0, 0x20, 0, 1], &tail].concat()
    }

    #[test]
    fn a_registration_binds_a_name_to_an_address() {
        for (opcode, kind) in [(5, Kind::Registration), (8, Kind::Refresh), (6, Kind::Release)] {
            let bytes = registration(opcode);
            let got = NbnsMessage::parse(&bytes).unwrap();
            assert_eq!((got.kind, got.name.text(), got.name.suffix), (kind, &b"LAPTOP-7"[..], 0));
            assert_eq!(got.addresses().collect::<Vec<_>>(), [Ipv4Addr::new(192, 0, 2, 7)]);
            assert!(got.lifetime == 300_000 && !got.is_group());
        }
    }

    #[test]
    fn an_answer_names_who_has_it() {
        let head = [0, 1, 0x85, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let tail = [0, 0x20, 0, 1, 0, 0, 0, 60, 0, 12, 0, 0, 192, 0, 2, 7, 0, 0, 192, 0, 2, 8];
        let bytes = [&head[..], &folded(b"SERVER         ", 0x20), &tail].concat();
        let got = NbnsMessage::parse(&bytes).unwrap();
        assert_eq!((got.kind, got.addresses().count()), (Kind::QueryResponse, 2));
        assert!(got.node_names().next().is_none() && got.node_mac().is_none());
    }

    #[test]
    fn a_node_status_has_names_and_link_layer_address() {
        let head = [0, 1, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let mut data = vec![2];
        data.extend(b"LAPTOP-7       \0\x04\0");
        data.extend(b"WORKGROUP      \0\x84\0");
        data.extend([2, 0, 0, 0, 0, 9]);
        let tail = [&[0, 0x21, 0, 1, 0, 0, 0, 0, 0, data.len() as u8][..], &data].concat();
        let bytes = [&head[..], &folded(b"*\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 0), &tail].concat();
        let got = NbnsMessage::parse(&bytes).unwrap();
        assert!(got.kind == Kind::StatusResponse && got.name.is_wildcard());
        let names: Vec<_> = got.node_names().map(|(n, g)| (n.text().to_vec(), g)).collect();
        assert_eq!(names, [(b"LAPTOP-7".to_vec(), false), (b"WORKGROUP".to_vec(), true)]);
        assert_eq!(got.node_mac(), Some([2, 0, 0, 0, 0, 9]));
        assert_eq!(got.addresses().count(), 0);
    }

    #[test]
    fn dns_and_truncated_messages_are_rejected() {
        let dns = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01";
        assert_eq!(NbnsMessage::parse(dns).unwrap_err(), WireError::NotThis);
        let bytes = registration(5);
        assert_eq!(NbnsMessage::parse(&bytes[..bytes.len() - 1]).unwrap_err(), WireError::NotThis);
    }

    proptest! {
        #[test]
        fn never_panics(
            tail in proptest::collection::vec(any::<u8>(), 0..90),
            status in any::<bool>(),
        ) {
            let _ = NbnsMessage::parse(&tail);
            let head = [0, 1, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
            let fixed = [0, 0x20 + u8::from(status), 0, 1, 0, 0, 0, 0, 0, tail.len() as u8];
            let bytes = [&head[..], &folded(b"A              ", 0), &fixed, &tail].concat();
            let got = NbnsMessage::parse(&bytes).unwrap();
            prop_assert!(got.addresses().count() <= 15 && got.node_names().count() <= 5);
            let _ = (got.node_mac(), got.is_group());
        }
    }
}
