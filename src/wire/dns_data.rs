//! DNS record types and the short text of their data (RFC 1035 section 3.3 and later).
//!
//! Owns: the table of type names, which data is shown and how. In: a record's place in its message.
//! Out: views that display themselves. Never: keeps a type it cannot show in one line.

use std::fmt::{self, Write};
use std::net::Ipv6Addr;
use std::ops::Range;

use crate::model::Addr;
use crate::wire::dns::{Name, Names, Text, write_escaped};
use crate::wire::{Reader, WireError};

/// Longest text of a TXT record that is kept, in bytes.
const TXT_BYTES_SHOWN: usize = 255;

/// Record types with a name here (IANA "Domain Name System (DNS) Parameters").
pub mod rtype {
    /// IPv4 address, RFC 1035.
    pub const A: u16 = 1;
    /// Name server, RFC 1035.
    pub const NS: u16 = 2;
    /// Alias, RFC 1035.
    pub const CNAME: u16 = 5;
    /// Pointer, RFC 1035.
    pub const PTR: u16 = 12;
    /// Mail exchange, RFC 1035.
    pub const MX: u16 = 15;
    /// Text, RFC 1035.
    pub const TXT: u16 = 16;
    /// IPv6 address, RFC 3596.
    pub const AAAA: u16 = 28;
    /// Service, RFC 2782.
    pub const SRV: u16 = 33;
    /// Service binding, RFC 9460.
    pub const SVCB: u16 = 64;
    /// HTTPS service binding, RFC 9460.
    pub const HTTPS: u16 = 65;
}

/// The data of a record, as far as it is shown.
#[derive(Clone, Copy, Debug)]
pub enum RData<'a> {
    /// A.
    V4([u8; 4]),
    /// AAAA.
    V6([u8; 16]),
    /// CNAME, NS, PTR.
    Name(Name<'a>),
    /// MX: preference and exchange.
    Mx(u16, Name<'a>),
    /// SRV: priority, weight, port and target.
    Srv([u16; 3], Name<'a>),
    /// TXT: its character strings.
    Txt(&'a [u8]),
    /// SVCB and HTTPS: priority, target, parameters.
    Svcb(u16, Name<'a>, SvcParams<'a>),
    /// Any other type: not shown.
    Other,
}

impl<'a> RData<'a> {
    /// Steps that it takes to write it: a label or pointer of a name is one.
    pub const fn steps(&self) -> usize {
        match self {
            RData::Name(name) | RData::Mx(_, name) | RData::Srv(_, name) => name.steps(),
            RData::Svcb(_, name, params) => name.steps() + params.0.len() / 8,
            RData::Txt(bytes) => 1 + bytes.len() / 8,
            // Eight groups.
            RData::V6(_) => 8,
            RData::V4(_) | RData::Other => 1,
        }
    }

    pub(super) fn read(
        rtype: u16,
        bytes: &'a [u8],
        place: Range<usize>,
        names: &mut Names,
    ) -> Result<RData<'a>, WireError> {
        let start = place.start;
        // Names may point back into the message but may not run past their own record.
        let message = bytes.get(..place.end).unwrap_or(bytes);
        let mut r = Reader::new(message.get(start..).unwrap_or_default());
        Ok(match rtype {
            rtype::A => RData::V4(r.array()?),
            rtype::AAAA => RData::V6(r.array()?),
            rtype::NS | rtype::CNAME | rtype::PTR => {
                RData::Name(Name::read(message, start, names)?.0)
            }
            rtype::MX => RData::Mx(r.u16()?, Name::read(message, start + 2, names)?.0),
            rtype::SRV => {
                let fields = [r.u16()?, r.u16()?, r.u16()?];
                RData::Srv(fields, Name::read(message, start + 6, names)?.0)
            }
            rtype::TXT => RData::Txt(r.rest()),
            rtype::SVCB | rtype::HTTPS => {
                let priority = r.u16()?;
                let (target, behind) = Name::read(message, start + 2, names)?;
                let params = SvcParams(message.get(behind..).unwrap_or_default());
                RData::Svcb(priority, target, params)
            }
            _ => RData::Other,
        })
    }

    /// The address of an address record.
    pub fn address(&self) -> Option<Addr> {
        match self {
            RData::V4(octets) => Some(Addr::v4(*octets)),
            RData::V6(octets) => Some(Addr::v6(*octets)),
            _ => None,
        }
    }

    /// The addresses in a record: of an address record, or the hints of a service binding, which a
    /// client may use without a further query (RFC 9460 section 7.3). An alias (priority 0) has no
    /// parameters (section 2.4.2).
    pub fn addresses(&self) -> impl Iterator<Item = Addr> + use<'a> {
        let own = self.address();
        let params = match self {
            RData::Svcb(priority, _, params) if *priority > 0 => *params,
            _ => SvcParams(&[]),
        };
        own.into_iter().chain(params.hints())
    }
}

/// The parameters of a service binding (RFC 9460 section 2.2): keys with values, in the order of
/// their keys.
#[derive(Clone, Copy, Debug)]
pub struct SvcParams<'a>(&'a [u8]);

/// `alpn` (RFC 9460 section 7.1.1).
const SVC_ALPN: u16 = 1;
/// `port` (section 7.2).
const SVC_PORT: u16 = 3;
/// `ipv4hint` and `ipv6hint` (section 7.3).
const SVC_IPV4HINT: u16 = 4;
const SVC_IPV6HINT: u16 = 6;
/// Most addresses of a parameter that are read: the order is the server's preference.
const HINTS_MAX: usize = 8;

impl<'a> SvcParams<'a> {
    /// Each key with its value, as far as they can be read.
    fn each(self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut r = Reader::new(self.0);
        std::iter::from_fn(move || Some((r.u16().ok()?, r.sub_u16().ok()?.rest())))
    }

    /// The value of a key, empty where there is none.
    fn value(self, key: u16) -> &'a [u8] {
        self.each().find(|(k, _)| *k == key).map_or(&[], |(_, value)| value)
    }

    /// Addresses at which the service is likely to be.
    pub fn hints(self) -> impl Iterator<Item = Addr> + use<'a> {
        let (v4, _) = self.value(SVC_IPV4HINT).as_chunks::<4>();
        let (v6, _) = self.value(SVC_IPV6HINT).as_chunks::<16>();
        let v4 = v4.iter().take(HINTS_MAX).map(|octets| Addr::v4(*octets));
        v4.chain(v6.iter().take(HINTS_MAX).map(|octets| Addr::v6(*octets)))
    }
}

/// As in a zone file (RFC 9460 section 2.1), the known ones: ` alpn=h2,h3 port=8443`.
impl fmt::Display for SvcParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, id) in strings(self.value(SVC_ALPN)).enumerate() {
            f.write_str(if i > 0 { "," } else { " alpn=" })?;
            write_escaped(f, id, false)?;
        }
        if let Some(port) = self.value(SVC_PORT).first_chunk::<2>() {
            write!(f, " port={}", u16::from_be_bytes(*port))?;
        }
        let (v4, v6): (Vec<Addr>, Vec<Addr>) = self.hints().partition(|a| a.to_v4().is_some());
        for (key, list) in [(" ipv4hint=", v4), (" ipv6hint=", v6)] {
            for (i, addr) in list.iter().enumerate() {
                f.write_str(if i > 0 { "," } else { key })?;
                write!(f, "{addr}")?;
            }
        }
        Ok(())
    }
}

/// Character strings of one length octet each.
fn strings(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut r = Reader::new(bytes);
    std::iter::from_fn(move || r.sub_u8().ok().map(|s| s.rest()))
}

/// A short text form: the address, the name, `10 mail.example`, `1 . alpn=h2,h3`. Empty for
/// [`RData::Other`].
impl Text for RData<'_> {
    fn write_to<W: Write>(&self, out: &mut W) -> fmt::Result {
        match self {
            RData::V4(octets) => write_v4(out, *octets),
            RData::V6(octets) => write!(out, "{}", Ipv6Addr::from(*octets)),
            RData::Name(name) => name.write_to(out),
            RData::Mx(preference, name) => write!(out, "{preference} {name}"),
            RData::Srv([priority, weight, port], name) => {
                write!(out, "{priority} {weight} {port} {name}")
            }
            RData::Txt(bytes) => {
                let shown = bytes.get(..TXT_BYTES_SHOWN).unwrap_or(bytes);
                for (i, text) in strings(shown).enumerate() {
                    out.write_str(if i > 0 { " " } else { "" })?;
                    write_escaped(out, text, false)?;
                }
                Ok(())
            }
            RData::Svcb(priority, name, params) => write!(out, "{priority} {name}{params}"),
            RData::Other => Ok(()),
        }
    }
}

fn write_v4<W: Write>(out: &mut W, octets: [u8; 4]) -> fmt::Result {
    for (i, octet) in octets.into_iter().enumerate() {
        if i > 0 {
            out.write_char('.')?;
        }
        if octet >= 100 {
            out.write_char(char::from(b'0' + octet / 100))?;
        }
        if octet >= 10 {
            out.write_char(char::from(b'0' + octet / 10 % 10))?;
        }
        out.write_char(char::from(b'0' + octet % 10))?;
    }
    Ok(())
}

impl fmt::Display for RData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(rtype: u16, data: &[u8]) -> String {
        let mut names = Names::of(data.len());
        RData::read(rtype, data, 0..data.len(), &mut names).unwrap().to_string()
    }

    #[test]
    fn short_texts_of_data() {
        assert_eq!(shown(rtype::MX, b"\0\x0a\x04mail\0"), "10 mail");
        assert_eq!(shown(rtype::SRV, b"\0\x01\0\x02\x01\xbb\x01a\0"), "1 2 443 a");
        assert_eq!(shown(rtype::TXT, b"\x03v=1\x02ok"), "v=1 ok");
        assert_eq!(shown(rtype::HTTPS, b"\0\x01\0\0\x01\0\x06\x02h2\x02h3"), "1 . alpn=h2,h3");
        let service = b"\0\x01\0\0\x01\0\x03\x02h3\0\x03\0\x02\x20\xfb\0\x04\0\x08\x5d\xb8\xd8\x22\
            \xc0\0\x02\x01\0\x06\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02";
        let text = "1 . alpn=h3 port=8443 ipv4hint=93.184.216.34,192.0.2.1 ipv6hint=2001:db8::2";
        assert_eq!(shown(rtype::HTTPS, service), text);
        let addresses = |data: &[u8]| -> Vec<String> {
            let data =
                RData::read(rtype::SVCB, data, 0..data.len(), &mut Names::of(data.len())).unwrap();
            data.addresses().map(|addr| addr.to_string()).collect()
        };
        assert_eq!(addresses(service), ["93.184.216.34", "192.0.2.1", "2001:db8::2"]);
        // Neither an alias nor a truncated address has one.
        assert!(addresses(b"\0\0\0\0\x04\0\x04\x5d\xb8\xd8\x22").is_empty());
        assert!(addresses(b"\0\x01\0\0\x04\0\x03\x5d\xb8\xd8").is_empty());
        let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(shown(rtype::AAAA, &v6), "2001:db8::1");
        assert_eq!(shown(6, b"\0"), "");
    }

    proptest! {
        #[test]
        fn never_panics(rtype in 0u16..70, data in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut names = Names::of(data.len());
            if let Ok(data) = RData::read(rtype, &data, 0..data.len(), &mut names) {
                prop_assert!(data.addresses().count() <= 2 * HINTS_MAX);
                let _ = data.to_string();
            }
        }
    }
}
