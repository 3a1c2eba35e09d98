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
/// Pointers of a name. RFC 1035 section 4.1.4 does not limit them, but real names have one, or two
/// if labels are shared; each costs a step and adds no label.
const POINTERS_MAX: u8 = 16;
/// The names of a message may take one step for so many of its bytes: a label has two or more, a
/// pointer two, and what pointers lead to is read once.
const BYTES_PER_STEP: usize = 2;
/// Steps that any message may take: a short one points into its question a few times.
const STEPS_FREE: usize = 256;
/// Names of a message that are remembered, each at a place of its offset.
const KNOWN_NAMES: usize = 32;
/// Size of the header (RFC 1035 section 4.1.1).
pub const HEADER_BYTES: usize = 12;

/// A validated name in a message: every label and pointer is good.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    message: &'a [u8],
    course: Course,
}

/// What is known of the name at an offset.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// Its first label, or its end: behind the pointers that it begins with.
    at: u16,
    /// Behind its own bytes.
    behind: u16,
    /// Behind all its bytes, wherever its pointers lead.
    end: u16,
    /// Steps to walk it from `at` on: labels, pointers and the end.
    steps: u8,
    /// Octets of its labels and their lengths.
    octets: u8,
    pointers: u8,
}

/// What a walk over a message knows of its names: the remaining steps, and the names that were
/// read, so that what many records point to is read once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    steps: usize,
    /// By offset; a name has at least one octet.
    known: [(u16, Course); KNOWN_NAMES],
}

impl Names {
    /// Of a message of this size.
    pub(super) fn of(bytes: usize) -> Names {
        let known = [(0, Course::default()); KNOWN_NAMES];
        Names { steps: bytes / BYTES_PER_STEP + STEPS_FREE, known }
    }

    fn step(&mut self) -> Result<(), WireError> {
        let left = self.steps.checked_sub(1);
        self.steps = left.ok_or(WireError::Malformed(Fault::Depth, "names of a message"))?;
        Ok(())
    }

    /// The name at an offset, if it was read and lies within so many bytes.
    fn find(&self, offset: usize, bytes: usize) -> Option<Course> {
        let (known, course) = *self.known.get(offset % KNOWN_NAMES)?;
        let is_it = course.octets > 0 && usize::from(known) == offset;
        (is_it && usize::from(course.end) <= bytes).then_some(course)
    }

    fn remember(&mut self, offset: usize, course: Course) {
        if let (Ok(offset), Some(place)) =
            (u16::try_from(offset), self.known.get_mut(offset % KNOWN_NAMES))
        {
            *place = (offset, course);
        }
    }

    /// Walks the name at an offset, with at most so many pointers.
    fn course(&mut self, message: &[u8], offset: usize, pointers: u8) -> Result<Course, WireError> {
        if let Some(course) = self.find(offset, message.len()) {
            return match course.pointers <= pointers {
                true => Ok(course),
                false => Err(TOO_MANY_POINTERS),
            };
        }
        let mut r = from(message, offset);
        let behind = |r: &Reader<'_>| place(message.len() - r.left());
        let (mut octets, mut labels) = (1, 0);
        let mut course = loop {
            self.step()?;
            match piece(&mut r)? {
                Piece::Label(label) => {
                    octets += label.len() + 1;
                    labels += 1;
                }
                Piece::End => {
                    let end = behind(&r)?;
                    let at = end.saturating_sub(1);
                    break Course { at, end, behind: end, steps: 1, octets: 1, pointers: 0 };
                }
                // Always back, before all that the name has so far: so there is no loop.
                Piece::Pointer(to) if to < offset && pointers > 0 => {
                    let mut course = self.course(message, to, pointers - 1)?;
                    course.pointers += 1;
                    course.steps += u8::from(labels > 0);
                    course.behind = behind(&r)?;
                    course.end = course.end.max(course.behind);
                    break course;
                }
                Piece::Pointer(_) => return Err(TOO_MANY_POINTERS),
            }
            if octets > NAME_BYTES_MAX {
                return Err(TOO_LONG);
            }
        };
        if labels > 0 {
            octets += usize::from(course.octets) - 1;
            course.octets = u8::try_from(octets).map_err(|_| TOO_LONG)?;
            course.at = place(offset)?;
            course.steps += labels;
        }
        // A single pointer to what is known costs one step: it takes no place of the names that
        // records point to.
        if labels > 0 || course.pointers != 1 {
            self.remember(offset, course);
        }
        Ok(course)
    }
}

const TOO_MANY_POINTERS: WireError = WireError::Malformed(Fault::Depth, "name pointer");
const TOO_LONG: WireError = WireError::Malformed(Fault::Length, "name length");

/// An offset; no message has more than 65,535 bytes (RFC 1035 section 4.2.2).
fn place(offset: usize) -> Result<u16, WireError> {
    u16::try_from(offset).map_err(|_| WireError::Malformed(Fault::Length, "message length"))
}

/// The next element of a name.
enum Piece<'a> {
    Label(&'a [u8]),
    Pointer(usize),
    End,
}

/// Reads from an offset of a message on.
fn from(message: &[u8], offset: usize) -> Reader<'_> {
    Reader::new(message.get(offset..).unwrap_or_default())
}

#[inline]
fn piece<'a>(r: &mut Reader<'a>) -> Result<Piece<'a>, WireError> {
    let length = r.u8()?;
    match length >> 6 {
        0 if length == 0 => Ok(Piece::End),
        0 => r.take(usize::from(length)).map(Piece::Label),
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
        names: &mut Names,
    ) -> Result<(Name<'a>, usize), WireError> {
        let course = names.course(message, at, POINTERS_MAX)?;
        Ok((Name { message, course }, usize::from(course.behind)))
    }

    /// Its labels, outermost last, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let message = self.message;
        let mut r = from(message, self.start());
        let mut steps = self.course.steps;
        std::iter::from_fn(move || {
            while steps > 0 {
                steps -= 1;
                match piece(&mut r).ok()? {
                    Piece::End => return None,
                    Piece::Pointer(to) => r = from(message, to),
                    Piece::Label(label) => return Some(label),
                }
            }
            None
        })
    }

    /// Whether it is the root.
    pub const fn is_root(&self) -> bool {
        self.course.octets <= 1
    }

    /// Steps to walk it: labels, pointers and the end.
    pub const fn steps(&self) -> usize {
        self.course.steps as usize
    }

    /// The offset of its first label: names that begin at the same one are the same.
    pub const fn start(&self) -> usize {
        self.course.at as usize
    }

    fn write_escaped<W: Write>(&self, out: &mut W) -> fmt::Result {
        for (i, label) in self.labels().enumerate() {
            if i > 0 {
                out.write_char('.')?;
            }
            write_escaped(out, label, true)?;
        }
        Ok(())
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
        // Most names are plain: written at once.
        let (mut text, mut length) = ([b'.'; NAME_BYTES_MAX], 0);
        for label in self.labels() {
            let end = length + label.len();
            match text.get_mut(length..end) {
                Some(place) if are_plain(label, true) => place.copy_from_slice(label),
                _ => return self.write_escaped(out),
            }
            length = end + 1;
        }
        let text = text.get(..length.saturating_sub(1)).unwrap_or_default();
        out.write_str(str::from_utf8(text).map_err(|_| fmt::Error)?)
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
        return put(f, bytes);
    }
    for piece in bytes.chunk_by(|a, b| plain(a) && plain(b)) {
        match piece {
            [b @ (b'.' | b'\\')] if !plain(b) => put(f, &[b'\\', *b])?,
            [b] if !plain(b) => {
                // Digit by digit: formatting machinery takes five times as long.
                let digits = [100, 10, 1].map(|unit| b'0' + b / unit % 10);
                let [hundreds, tens, ones] = digits;
                put(f, &[b'\\', hundreds, tens, ones])?;
            }
            _ => put(f, piece)?,
        }
    }
    Ok(())
}

/// Writes ASCII.
fn put(f: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    f.write_str(str::from_utf8(bytes).map_err(|_| fmt::Error)?)
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
    pub fn walk(&self) -> Walk<'a> {
        let names = Names::of(self.bytes.len());
        Walk { bytes: self.bytes, at: HEADER_BYTES, names }
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
    names: Names,
}

impl<'a> Walk<'a> {
    fn name(&mut self) -> Result<Name<'a>, WireError> {
        let (name, behind) = Name::read(self.bytes, self.at, &mut self.names)?;
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
        let data = RData::read(rtype, self.bytes, start..start + length, &mut self.names)?;
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
