//! DNS record types and the short text of their data (RFC 1035 section 3.3 and later).
//!
//! Owns: the table of type names, which data is shown and how. In: a record's place in its message.
//! Out: views that display themselves. Never: keeps a type it cannot show in one line.

use std::fmt;
use std::net::Ipv6Addr;

use crate::wire::Reader;
use crate::wire::WireError;
use crate::wire::dns::Name;
use crate::wire::dns::write_escaped;

/// Text of one TXT record that is worth keeping, in bytes of the wire.
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
    /// SVCB and HTTPS: priority, target, the value of the `alpn` parameter.
    Svcb(u16, Name<'a>, &'a [u8]),
    /// Any other type: not shown.
    Other,
}

impl<'a> RData<'a> {
    pub(super) fn read(
        rtype: u16,
        bytes: &'a [u8],
        start: usize,
        length: usize,
    ) -> Result<RData<'a>, WireError> {
        // Names may point back into the message but may not run past their own record.
        let message = bytes.get(..start + length).unwrap_or(bytes);
        let mut r = Reader::new(message.get(start..).unwrap_or_default());
        Ok(match rtype {
            rtype::A => RData::V4(r.array()?),
            rtype::AAAA => RData::V6(r.array()?),
            rtype::NS | rtype::CNAME | rtype::PTR => RData::Name(Name::read(message, start)?.0),
            rtype::MX => RData::Mx(r.u16()?, Name::read(message, start + 2)?.0),
            rtype::SRV => {
                let fields = [r.u16()?, r.u16()?, r.u16()?];
                RData::Srv(fields, Name::read(message, start + 6)?.0)
            }
            rtype::TXT => RData::Txt(r.rest()),
            rtype::SVCB | rtype::HTTPS => {
                let priority = r.u16()?;
                let (target, behind) = Name::read(message, start + 2)?;
                RData::Svcb(priority, target, svc_alpn(message.get(behind..).unwrap_or_default()))
            }
            _ => RData::Other,
        })
    }
}

/// The value of SvcParamKey 1, `alpn` (RFC 9460 section 7.1), empty where there is none.
fn svc_alpn(params: &[u8]) -> &[u8] {
    let mut r = Reader::new(params);
    while let (Ok(key), Ok(value)) = (r.u16(), r.sub_u16()) {
        if key == 1 {
            return value.rest();
        }
    }
    &[]
}

/// Character strings of one length octet each.
fn strings(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut r = Reader::new(bytes);
    std::iter::from_fn(move || r.sub_u8().ok().map(|s| s.rest()))
}

/// A short text form: the address, the name, `10 mail.example`, `1 . alpn=h2,h3`. Empty for
/// [`RData::Other`].
impl fmt::Display for RData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RData::V4([a, b, c, d]) => write!(f, "{a}.{b}.{c}.{d}"),
            RData::V6(octets) => write!(f, "{}", Ipv6Addr::from(*octets)),
            RData::Name(name) => write!(f, "{name}"),
            RData::Mx(preference, name) => write!(f, "{preference} {name}"),
            RData::Srv([priority, weight, port], name) => {
                write!(f, "{priority} {weight} {port} {name}")
            }
            RData::Txt(bytes) => {
                let shown = bytes.get(..TXT_BYTES_SHOWN).unwrap_or(bytes);
                for (i, text) in strings(shown).enumerate() {
                    f.write_str(if i > 0 { " " } else { "" })?;
                    write_escaped(f, text, false)?;
                }
                Ok(())
            }
            RData::Svcb(priority, name, alpn) => {
                write!(f, "{priority} {name}")?;
                for (i, id) in strings(alpn).enumerate() {
                    f.write_str(if i > 0 { "," } else { " alpn=" })?;
                    write_escaped(f, id, false)?;
                }
                Ok(())
            }
            RData::Other => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(rtype: u16, data: &[u8]) -> String {
        RData::read(rtype, data, 0, data.len()).unwrap().to_string()
    }

    #[test]
    fn short_texts_of_data() {
        assert_eq!(shown(rtype::MX, b"\0\x0a\x04mail\0"), "10 mail");
        assert_eq!(shown(rtype::SRV, b"\0\x01\0\x02\x01\xbb\x01a\0"), "1 2 443 a");
        assert_eq!(shown(rtype::TXT, b"\x03v=1\x02ok"), "v=1 ok");
        assert_eq!(shown(rtype::HTTPS, b"\0\x01\0\0\x01\0\x06\x02h2\x02h3"), "1 . alpn=h2,h3");
        let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(shown(rtype::AAAA, &v6), "2001:db8::1");
        assert_eq!(shown(6, b"\0"), "");
    }

    proptest! {
        #[test]
        fn never_panics(rtype in 0u16..70, data in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(data) = RData::read(rtype, &data, 0, data.len()) {
                let _ = data.to_string();
            }
        }
    }
}
