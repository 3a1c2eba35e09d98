//! DNS messages (RFC 1035 section 4), with the mDNS, LLMNR and NetBIOS relatives that share the format.
//!
//! Owns: header, names, questions and resource records. In: one message. Out: views that borrow from it.
//! Never: follows a pointer forward, trusts a count, or allocates.

use std::fmt;
use std::fmt::Write;
use std::net::Ipv6Addr;

use crate::wire::Reader;
use crate::wire::WireError;

/// Octets of a name on the wire, its final zero included (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 255;
/// Labels of a name: 127 of one octet fill 255; one more than can be is the loop's bound.
const LABELS_MAX: usize = 128;
/// Size of the header (RFC 1035 section 4.1.1).
pub const HEADER_BYTES: usize = 12;
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

/// The registry's name of a record type, `None` where this table has none.
pub const fn type_name(rtype: u16) -> Option<&'static str> {
    Some(match rtype {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        10 => "NULL",
        12 => "PTR",
        13 => "HINFO",
        15 => "MX",
        16 => "TXT",
        24 => "SIG",
        25 => "KEY",
        28 => "AAAA",
        29 => "LOC",
        32 => "NB",
        33 => "SRV",
        35 => "NAPTR",
        37 => "CERT",
        39 => "DNAME",
        41 => "OPT",
        43 => "DS",
        44 => "SSHFP",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        50 => "NSEC3",
        52 => "TLSA",
        53 => "SMIMEA",
        59 => "CDS",
        60 => "CDNSKEY",
        61 => "OPENPGPKEY",
        64 => "SVCB",
        65 => "HTTPS",
        99 => "SPF",
        249 => "TKEY",
        250 => "TSIG",
        251 => "IXFR",
        252 => "AXFR",
        255 => "ANY",
        256 => "URI",
        257 => "CAA",
        _ => return None,
    })
}

/// A record type as text: `A`, or `TYPE65280` where it has no name (RFC 3597 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeText(pub u16);

impl fmt::Display for TypeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match type_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

/// A name somewhere in a message, already walked once: every label and pointer is good.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    message: &'a [u8],
    at: usize,
}

/// What stands at an offset inside a name.
enum Piece<'a> {
    Label(&'a [u8], usize),
    Pointer(usize),
    End,
}

fn piece(message: &[u8], at: usize) -> Result<Piece<'_>, WireError> {
    let mut r = Reader::new(message.get(at..).unwrap_or_default());
    let length = r.u8()?;
    match length >> 6 {
        0 if length == 0 => Ok(Piece::End),
        0 => {
            let label = r.take(usize::from(length))?;
            Ok(Piece::Label(label, at + 1 + label.len()))
        }
        3 => Ok(Piece::Pointer(usize::from(u16::from_be_bytes([length & 0x3f, r.u8()?])))),
        // RFC 6891 section 5: the extended label types 01 and 10 are obsolete.
        _ => Err(WireError::Malformed("label type")),
    }
}

impl<'a> Name<'a> {
    /// Walks the name at `at`; gives it and the offset behind it.
    fn read(message: &'a [u8], at: usize) -> Result<(Name<'a>, usize), WireError> {
        let mut here = at;
        let mut behind = None;
        let mut bytes = 1;
        // A pointer must lead before everything walked so far: strictly decreasing, so no loop.
        let mut floor = at;
        for _ in 0..LABELS_MAX * 2 {
            match piece(message, here)? {
                Piece::End => {
                    let name = Name { message, at };
                    return Ok((name, behind.unwrap_or(here + 1)));
                }
                Piece::Label(label, next) => {
                    bytes += label.len() + 1;
                    here = next;
                }
                Piece::Pointer(to) if to < floor => {
                    behind = behind.or(Some(here + 2));
                    floor = to;
                    here = to;
                }
                Piece::Pointer(_) => return Err(WireError::Malformed("name pointer")),
            }
            if bytes > NAME_BYTES_MAX {
                return Err(WireError::Malformed("name length"));
            }
        }
        Err(WireError::Malformed("name labels"))
    }

    /// Its labels, outermost last, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let message = self.message;
        let mut here = self.at;
        let mut budget = LABELS_MAX * 2;
        std::iter::from_fn(move || {
            while budget > 0 {
                budget -= 1;
                match piece(message, here).ok()? {
                    Piece::End => return None,
                    Piece::Pointer(to) => here = to,
                    Piece::Label(label, next) => {
                        here = next;
                        return Some(label);
                    }
                }
            }
            None
        })
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.labels().next().is_none()
    }

    /// The first label as a NetBIOS name (RFC 1001 section 14.1): 15 characters and a suffix.
    pub fn netbios(&self) -> Option<([u8; 15], u8)> {
        let label = self.labels().next().filter(|label| label.len() == 32)?;
        let mut halves = label.iter().map(|b| b.wrapping_sub(b'A'));
        let mut out = [0u8; 15];
        for slot in &mut out {
            *slot = nibbles(&mut halves)?;
        }
        Some((out, nibbles(&mut halves)?))
    }
}

fn nibbles(halves: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let (high, low) = (halves.next()?, halves.next()?);
    (high < 16 && low < 16).then_some(high << 4 | low)
}

/// Master-file style (RFC 1035 section 5.1, RFC 4343 section 2.1): case kept, no final dot, `\.` and `\\`
/// for a dot or backslash inside a label, `\DDD` for what is not printable ASCII. The root is `.`.
impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for (i, label) in self.labels().enumerate() {
            if i > 0 {
                f.write_char('.')?;
            }
            write_escaped(f, label, true)?;
        }
        Ok(())
    }
}

fn write_escaped(f: &mut impl Write, bytes: &[u8], dots: bool) -> fmt::Result {
    for &b in bytes {
        match b {
            b'.' if dots => f.write_str("\\.")?,
            b'\\' => f.write_str("\\\\")?,
            0x20..=0x7e => f.write_char(char::from(b))?,
            _ => write!(f, "\\{b:03}")?,
        }
    }
    Ok(())
}

/// The header of a message, and the whole of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// Transaction id.
    pub id: u16,
    /// QR, OPCODE, AA, TC, RD, RA, Z, AD, CD, RCODE.
    pub flags: u16,
    /// QDCOUNT as claimed.
    pub questions: u16,
    /// ANCOUNT as claimed.
    pub answers: u16,
    /// NSCOUNT + ARCOUNT as claimed.
    pub others: u32,
}

impl<'a> Message<'a> {
    /// Reads the header.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, WireError> {
        let mut r = Reader::new(bytes);
        let (id, flags) = (r.u16()?, r.u16()?);
        let (questions, answers) = (r.u16()?, r.u16()?);
        let others = u32::from(r.u16()?) + u32::from(r.u16()?);
        Ok(Message { bytes, id, flags, questions, answers, others })
    }

    /// QR bit: a response.
    pub const fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// OPCODE: 0 query, 4 notify, 5 update (NetBIOS: registration) and so on.
    pub const fn opcode(&self) -> u8 {
        (self.flags >> 11) as u8 & 0x0f
    }

    /// RCODE, the low four bits.
    pub const fn rcode(&self) -> u8 {
        self.flags as u8 & 0x0f
    }

    /// Begins the walk over questions and records.
    pub const fn walk(&self) -> Walk<'a> {
        Walk { bytes: self.bytes, at: HEADER_BYTES }
    }
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// QNAME.
    pub name: Name<'a>,
    /// QTYPE.
    pub qtype: u16,
    /// QCLASS (in mDNS the top bit asks for a unicast answer).
    pub class: u16,
}

/// One resource record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Owner.
    pub name: Name<'a>,
    /// Type.
    pub rtype: u16,
    /// Its data.
    pub data: RData<'a>,
}

/// Walks a message behind its header: questions first, then records, as many as the header claims.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn name(&mut self) -> Result<Name<'a>, WireError> {
        let (name, behind) = Name::read(self.bytes, self.at)?;
        self.at = behind;
        Ok(name)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let fields = Reader::new(self.bytes.get(self.at..).unwrap_or_default()).array()?;
        self.at += N;
        Ok(fields)
    }

    /// The next entry as a question.
    pub fn question(&mut self) -> Result<Question<'a>, WireError> {
        let name = self.name()?;
        let [t0, t1, c0, c1] = self.fixed()?;
        let (qtype, class) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([c0, c1]));
        Ok(Question { name, qtype, class })
    }

    /// The next entry as a resource record.
    pub fn record(&mut self) -> Result<Record<'a>, WireError> {
        let name = self.name()?;
        let [t0, t1, _, _, _, _, _, _, n0, n1] = self.fixed()?;
        let rtype = u16::from_be_bytes([t0, t1]);
        let length = usize::from(u16::from_be_bytes([n0, n1]));
        let start = self.at;
        Reader::new(self.bytes.get(start..).unwrap_or_default()).take(length)?;
        self.at += length;
        let data = RData::read(rtype, self.bytes, start, length)?;
        Ok(Record { name, rtype, data })
    }

    /// Whether the walk used every byte.
    pub const fn at_end(&self) -> bool {
        self.at == self.bytes.len()
    }
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
    fn read(
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

/// A short text form: the address, the name, `10 mail.example`, `1 . alpn=h2,h3`. Empty for [`RData::Other`].
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

    /// A response for `F.ISI.ARPA` with one CNAME that points into the question and one A.
    fn response() -> Vec<u8> {
        let mut m = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
        m.extend(b"\x01F\x03ISI\x04ARPA\0\0\x01\0\x01");
        m.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03foo\xc0\x0e");
        m.extend(b"\x03foo\xc0\x0e\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x34");
        m
    }

    #[test]
    fn reads_questions_and_compressed_answers() {
        let bytes = response();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.id, message.is_response(), message.rcode()), (0x1234, true, 0));
        let mut walk = message.walk();
        let question = walk.question().unwrap();
        assert_eq!((question.name.to_string(), question.qtype), ("F.ISI.ARPA".into(), rtype::A));
        let alias = walk.record().unwrap();
        assert_eq!((alias.rtype, alias.data.to_string()), (rtype::CNAME, "foo.ISI.ARPA".into()));
        let address = walk.record().unwrap();
        assert_eq!(address.name.to_string(), "foo.ISI.ARPA");
        assert_eq!(address.data.to_string(), "10.0.0.52");
        assert!(walk.at_end());
    }

    #[test]
    fn a_pointer_that_does_not_go_back_is_refused() {
        for target in [12u8, 14, 200] {
            let bytes = [&[0u8; 12][..], &[1, b'a', 0xc0, target, 0, 1, 0, 1]].concat();
            let question = Message::parse(&bytes).unwrap().walk().question();
            assert_eq!(question.unwrap_err(), WireError::Malformed("name pointer"), "{target}");
        }
    }

    #[test]
    fn a_name_longer_than_255_octets_is_refused() {
        let mut bytes = vec![0u8; 12];
        for _ in 0..4 {
            bytes.push(63);
            bytes.extend([b'x'; 63]);
        }
        bytes.extend([0, 0, 1, 0, 1]);
        let question = Message::parse(&bytes).unwrap().walk().question();
        assert_eq!(question.unwrap_err(), WireError::Malformed("name length"));
    }

    #[test]
    fn odd_octets_are_escaped() {
        let bytes = [&[0u8; 12][..], b"\x06a.b\\ \x01\0\0\x10\0\x01"].concat();
        let question = Message::parse(&bytes).unwrap().walk().question().unwrap();
        assert_eq!(question.name.to_string(), "a\\.b\\\\ \\001");
        assert_eq!(TypeText(question.qtype).to_string(), "TXT");
        assert_eq!(TypeText(65_280).to_string(), "TYPE65280");
    }

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

    #[test]
    fn a_netbios_name_is_unfolded() {
        // RFC 1001 section 14.1, its example "The NetBIOS name": the 16th octet is the suffix.
        let label = b"\x20FEGIGFCAEOGFHEECEJEPFDCAGOGBGNGF\0";
        let (name, behind) = Name::read(label, 0).unwrap();
        assert_eq!((name.netbios(), behind), (Some((*b"The NetBIOS nam", b'e')), 34));
    }

    proptest! {
        #[test]
        fn never_panics(tail in proptest::collection::vec(any::<u8>(), 0..160), q in 0u16..4) {
            let bytes = [&[0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0][..], &tail].concat();
            let mut walk = Message::parse(&bytes).unwrap().walk();
            for _ in 0..q {
                if let Ok(question) = walk.question() {
                    prop_assert!(question.name.to_string().len() <= 4 * NAME_BYTES_MAX);
                    let _ = question.name.netbios();
                }
            }
            while let Ok(record) = walk.record() {
                let _ = record.data.to_string();
            }
            let _ = Message::parse(&tail);
        }
    }
}
