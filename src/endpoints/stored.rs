//! Numbers and texts of stored state.
//!
//! Owns: their form. In: values, or bytes. Out: bytes, or values. Never: two forms of one value.
//! A varint is LEB128 in its shortest form; other numbers are in network order.

use std::sync::Arc;

use crate::wire::{Fault, Reader, WireError};

/// Most bytes of a text: the subjects file is no larger.
const TEXT_MAX: usize = 64 << 20;

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
