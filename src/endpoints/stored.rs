//! Files of stored state, their numbers and texts.
//!
//! Owns: their form: a head, a body, a checksum. In: values, or bytes. Out: bytes, or values.
//! Never: two forms of one value.
//! A varint is LEB128 in its shortest form; other numbers are in network order.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::wire::{Fault, Reader, WireError};

/// Most bytes of a text: the subjects file is no larger.
const TEXT_MAX: usize = 64 << 20;

/// Bytes of the checksum.
const CHECKSUM: usize = 32;

/// A kind of file, by its first bytes: magic bytes, and the version.
pub(super) struct Form {
    pub(super) magic: [u8; 8],
    pub(super) version: u16,
}

impl Form {
    /// The head.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_be_bytes());
        out
    }

    /// Appends the checksum: the SHA-256 of everything before it.
    pub(super) fn seal(mut file: Vec<u8>) -> Vec<u8> {
        let sum = Sha256::digest(&file);
        file.extend(sum);
        file
    }

    /// The body of a file of this form and version whose checksum fits.
    pub(super) fn body<'b>(&self, bytes: &'b [u8]) -> Result<Reader<'b>, DecodeError> {
        let mut head = Reader::new(bytes);
        if head.array::<8>() != Ok(self.magic) {
            return Err(DecodeError::NotThis);
        }
        let version = head.u16()?;
        if version != self.version {
            return Err(DecodeError::Version(version, self.version));
        }
        let short = DecodeError::Damaged("it ends too early");
        let end = bytes.len().checked_sub(CHECKSUM).ok_or(short)?;
        let (stored, sum) = bytes.split_at_checked(end).ok_or(short)?;
        if Sha256::digest(stored).as_slice() != sum {
            return Err(DecodeError::Damaged("its checksum is another"));
        }
        let body = head.left().checked_sub(CHECKSUM).ok_or(short)?;
        Ok(head.sub(body)?)
    }
}

/// Why bytes are no file of stored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// They start differently.
    NotThis,
    /// A different version, and the one that is read.
    Version(u16, u16),
    /// They are damaged.
    Damaged(&'static str),
}

impl DecodeError {
    /// What helps.
    pub const fn remedy(self) -> &'static str {
        match self {
            DecodeError::NotThis => {
                "it was not changed; name another directory, or move it aside to begin anew"
            }
            DecodeError::Version(..) => {
                "it was not changed; use the longhaul that wrote it, or move it aside to begin anew"
            }
            DecodeError::Damaged(_) => {
                "it was not changed; put a copy back, or move it aside to begin anew"
            }
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::NotThis => f.write_str("it is no file of this kind"),
            DecodeError::Version(version, read) => {
                write!(f, "it is of version {version}, and this program reads version {read}")
            }
            DecodeError::Damaged(how) => write!(f, "it is damaged: {how}"),
        }
    }
}

impl From<WireError> for DecodeError {
    fn from(error: WireError) -> DecodeError {
        DecodeError::Damaged(match error {
            WireError::Malformed(_, how) => how,
            WireError::NeedMore(_) | WireError::NotThis => "it ends too early",
        })
    }
}

/// The error of stored state that contradicts itself.
pub(super) const fn damaged(how: &'static str) -> WireError {
    WireError::Malformed(Fault::Value, how)
}

/// Appends a varint.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a varint.
pub(super) fn number(from: &mut Reader<'_>) -> Result<u64, WireError> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = from.u8()?;
        let bits = u64::from(byte & 0x7f);
        if (bits << shift) >> shift != bits {
            return Err(damaged("a number is too large"));
        }
        number |= bits << shift;
        if byte < 0x80 {
            let shortest = byte != 0 || shift == 0;
            return shortest.then_some(number).ok_or(damaged("a number is written at length"));
        }
    }
    Err(damaged("a number is too long"))
}

/// Reads a varint of 32 bits.
pub(super) fn small(from: &mut Reader<'_>) -> Result<u32, WireError> {
    u32::try_from(number(from)?).map_err(|_| damaged("a number is too large"))
}

/// Appends a text with its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend(text.bytes());
}

/// Reads a text.
pub(super) fn text(from: &mut Reader<'_>) -> Result<Arc<str>, WireError> {
    let fits = |n: u64| usize::try_from(n).ok().filter(|n| *n <= TEXT_MAX);
    let length = fits(number(from)?).ok_or(damaged("a text is too long"))?;
    let text = std::str::from_utf8(from.take(length)?).map_err(|_| damaged("a text is none"))?;
    Ok(Arc::from(text))
}

/// Appends a value that may be absent.
pub(super) fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl Fn(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    value.into_iter().for_each(|value| put(out, value));
}

/// Reads a value that may be absent.
pub(super) fn option<'b, T>(
    from: &mut Reader<'b>,
    read: impl Fn(&mut Reader<'b>) -> Result<T, WireError>,
) -> Result<Option<T>, WireError> {
    match from.u8()? {
        0 => Ok(None),
        1 => read(from).map(Some),
        _ => Err(damaged("a value is neither there nor absent")),
    }
}
