//! DNS messages (RFC 1035 section 4), with the mDNS, LLMNR and NetBIOS relatives that share the
//! format.
//!
//! Owns: header, names, questions and resource records. In: one message. Out: views that borrow
//! from it.
//! Never: follows a pointer forward, trusts a count, allocates, or does more work over a message
//! than a few steps a byte.

use std::fmt::{self, Write};

use crate::wire::dns_data::RData;
use crate::wire::{Fault, Reader, WireError};

/// Octets of a name on the wire, its final zero included (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 255;
/// Labels of a name: 127 of one octet fill 255; one more than can be is the loop's bound.
const LABELS_MAX: usize = 128;
/// Pointers of a name. RFC 1035 section 4.1.4 does not limit them, but real names have one, or two
/// if labels are shared; each costs a step and adds no label.
const POINTERS_MAX: usize = 16;
/// Steps that the names of a message may take for each of its bytes. A record of 16 bytes takes
/// one for each label of its name and of its data; a chain that many records point into would take
/// hundreds.
const STEPS_PER_BYTE: usize = 1;
/// Steps that any message may take: a short one points into its question a few times.
const STEPS_FREE: usize = 256;
/// Size of the header (RFC 1035 section 4.1.1).
pub const HEADER_BYTES: usize = 12;

/// A validated name in a message: every label and pointer is good.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    message: &'a [u8],
    at: usize,
    /// Steps to walk it again: labels, pointers and the end.
    steps: u16,
    /// Octets of its labels and their lengths.
    octets: u16,
}

/// The remaining steps that parsing a message may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// The steps for a message of this size.
    pub(super) const fn of(bytes: usize) -> Budget {
        Budget(bytes.saturating_mul(STEPS_PER_BYTE).saturating_add(STEPS_FREE))
    }

    fn step(&mut self) -> Result<(), WireError> {
        self.0 = self
            .0
            .checked_sub(1)
            .ok_or(WireError::Malformed(Fault::Depth, "names of a message"))?;
        Ok(())
    }
}

/// The element at an offset of a name.
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
        _ => Err(WireError::Malformed(Fault::Value, "label type")),
    }
}

impl<'a> Name<'a> {
    /// Walks the name at `at`; gives it and the offset behind it.
    pub(super) fn read(
        message: &'a [u8],
        at: usize,
        budget: &mut Budget,
    ) -> Result<(Name<'a>, usize), WireError> {
        let mut here = at;
        let mut behind = None;
        let mut bytes = 1;
        // A pointer must lead before everything walked so far: strictly decreasing, so no loop.
        let mut floor = at;
        let mut pointers = 0;
        for steps in 1..=LABELS_MAX + POINTERS_MAX {
            budget.step()?;
            match piece(message, here)? {
                Piece::End => {
                    let (steps, octets) = (steps as u16, bytes as u16);
                    let name = Name { message, at, steps, octets };
                    return Ok((name, behind.unwrap_or(here + 1)));
                }
                Piece::Label(label, next) => {
                    bytes += label.len() + 1;
                    here = next;
                }
                Piece::Pointer(to) if to < floor && pointers < POINTERS_MAX => {
                    pointers += 1;
                    behind = behind.or(Some(here + 2));
                    floor = to;
                    here = to;
                }
                Piece::Pointer(_) => {
                    return Err(WireError::Malformed(Fault::Depth, "name pointer"));
                }
            }
            if bytes > NAME_BYTES_MAX {
                return Err(WireError::Malformed(Fault::Length, "name length"));
            }
        }
        Err(WireError::Malformed(Fault::Depth, "name labels"))
    }

    /// Its labels, outermost last, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let message = self.message;
        let mut here = self.at;
        let mut budget = self.steps;
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

    /// Steps to walk it: labels, pointers and the end.
    pub const fn steps(&self) -> usize {
        self.steps as usize
    }

    /// Octets on the wire without compression, the final zero included.
    pub const fn octets(&self) -> usize {
        self.octets as usize
    }

    /// Whether its text form is `text`; `None` if it has bytes that need an escape.
    pub fn is_plainly(&self, text: &str) -> Option<bool> {
        // A byte is written as one character or more: a shorter text is another name.
        if text.len() + 2 < self.octets() {
            return Some(false);
        }
        let (mut rest, mut first) = (text.as_bytes(), true);
        for label in self.labels() {
            if !are_plain(label, true) {
                return None;
            }
            let dot: &[u8] = if first { b"" } else { b"." };
            match rest.strip_prefix(dot).and_then(|rest| rest.strip_prefix(label)) {
                Some(behind) => (rest, first) = (behind, false),
                None => return Some(false),
            }
        }
        // The root is written as a dot.
        if first { None } else { Some(rest.is_empty()) }
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

/// What has a text form. Formatting machinery costs more than the text of a name or an address.
pub trait Text {
    /// Writes it.
    fn write_to<W: Write>(&self, out: &mut W) -> fmt::Result;
}

/// Master-file style (RFC 1035 section 5.1, RFC 4343 section 2.1): case kept, no final dot, `\.`
/// and `\\` for a dot or backslash inside a label, `\DDD` for what is not printable ASCII. The
/// root is `.`.
impl Text for Name<'_> {
    fn write_to<W: Write>(&self, out: &mut W) -> fmt::Result {
        if self.is_root() {
            return out.write_str(".");
        }
        for (i, label) in self.labels().enumerate() {
            if i > 0 {
                out.write_char('.')?;
            }
            write_escaped(out, label, true)?;
        }
        Ok(())
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

/// Whether a byte is written as it is; `dots`: a dot is not.
const fn is_plain(b: u8, dots: bool) -> bool {
    matches!(b, 0x20..=0x7e) && b != b'\\' && !(dots && b == b'.')
}

/// Whether all of them are. Looks at every byte, so that several are compared at once.
fn are_plain(bytes: &[u8], dots: bool) -> bool {
    bytes.iter().fold(true, |plain, b| plain & is_plain(*b, dots))
}

/// Master-file escapes; `dots`: a dot is escaped too. Runs without escapes are written at once.
pub(super) fn write_escaped(f: &mut impl Write, bytes: &[u8], dots: bool) -> fmt::Result {
    let plain = |b: &u8| is_plain(*b, dots);
    if are_plain(bytes, dots) {
        return f.write_str(str::from_utf8(bytes).map_err(|_| fmt::Error)?);
    }
    for piece in bytes.chunk_by(|a, b| plain(a) && plain(b)) {
        match piece {
            [b @ (b'.' | b'\\')] if !plain(b) => write!(f, "\\{}", char::from(*b))?,
            [b] if !plain(b) => write!(f, "\\{b:03}")?,
            _ => f.write_str(str::from_utf8(piece).map_err(|_| fmt::Error)?)?,
        }
    }
    Ok(())
}

/// The header of a message, and the whole of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct DnsMessage<'a> {
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

impl<'a> DnsMessage<'a> {
    /// Reads the header.
    pub fn parse(bytes: &'a [u8]) -> Result<DnsMessage<'a>, WireError> {
        let mut r = Reader::new(bytes);
        let (id, flags) = (r.u16()?, r.u16()?);
        let (questions, answers) = (r.u16()?, r.u16()?);
        let others = u32::from(r.u16()?) + u32::from(r.u16()?);
        Ok(DnsMessage { bytes, id, flags, questions, answers, others })
    }

    /// Its length in bytes.
    pub const fn size(&self) -> usize {
        self.bytes.len()
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
        let budget = Budget::of(self.bytes.len());
        Walk { bytes: self.bytes, at: HEADER_BYTES, budget }
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
    budget: Budget,
}

impl<'a> Walk<'a> {
    fn name(&mut self) -> Result<Name<'a>, WireError> {
        let (name, behind) = Name::read(self.bytes, self.at, &mut self.budget)?;
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
        let data = RData::read(rtype, self.bytes, start..start + length, &mut self.budget)?;
        Ok(Record { name, rtype, data })
    }

    /// Whether the walk used every byte.
    pub const fn at_end(&self) -> bool {
        self.at == self.bytes.len()
    }
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
