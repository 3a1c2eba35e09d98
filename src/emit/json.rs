//! A writer of nested JSON objects straight into a byte buffer.
//!
//! Owns: commas, braces, string escapes; an object nothing was written into leaves no trace.
//! In: names known at compile time, values. Out: bytes. Never: a tree, an allocation of its own, null.

use crate::emit::text;
use crate::model::{Addr, Nanos};

/// A member's name with quotes and colon, ready to be copied.
macro_rules! key {
    ($name:literal) => {
        concat!("\"", $name, "\":")
    };
}
pub(crate) use key;

/// Where an object or list began, for the writer to close it.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    before: usize,
    inside: usize,
}

/// Writes one line. Names are given through [`key!`].
#[derive(Debug)]
pub struct Json<'a> {
    out: &'a mut Vec<u8>,
    moments: text::Moments,
}

impl<'a> Json<'a> {
    /// Begins an object at the end of `out`.
    pub fn begin(out: &'a mut Vec<u8>) -> Json<'a> {
        out.reserve(2_048);
        out.push(b'{');
        Json { out, moments: text::Moments::new() }
    }

    /// Ends the object and the line.
    pub fn end_line(self) {
        self.out.extend_from_slice(b"}\n");
    }

    #[inline]
    fn comma(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    #[inline]
    fn name(&mut self, key: &'static str) {
        self.comma();
        self.out.extend_from_slice(key.as_bytes());
    }

    /// Members or elements that are valid JSON already.
    #[inline]
    pub fn literal(&mut self, members: &'static str) {
        self.name(members);
    }

    /// Begins an object member.
    #[inline]
    pub fn open(&mut self, key: &'static str) -> Mark {
        let before = self.out.len();
        self.name(key);
        self.out.push(b'{');
        Mark { before, inside: self.out.len() }
    }

    /// Begins an object as the next element of a list.
    pub fn open_element(&mut self) -> Mark {
        self.open("")
    }

    /// Begins a list member.
    #[inline]
    pub fn open_list(&mut self, key: &'static str) -> Mark {
        let before = self.out.len();
        self.name(key);
        self.out.push(b'[');
        Mark { before, inside: self.out.len() }
    }

    /// Ends an object, or takes it back where it stayed empty.
    #[inline]
    pub fn close(&mut self, mark: Mark) {
        self.close_with(mark, b'}');
    }

    /// Ends a list, or takes it back where it stayed empty.
    #[inline]
    pub fn close_list(&mut self, mark: Mark) {
        self.close_with(mark, b']');
    }

    #[inline]
    fn close_with(&mut self, mark: Mark, end: u8) {
        if self.out.len() == mark.inside {
            self.out.truncate(mark.before);
        } else {
            self.out.push(end);
        }
    }

    /// A number member.
    #[inline]
    pub fn number(&mut self, key: &'static str, value: impl Into<u64>) {
        self.name(key);
        text::put_u64(self.out, value.into());
    }

    /// A float member; left out where it is not finite, since JSON has no such number.
    pub fn float(&mut self, key: &'static str, value: f64) {
        if value.is_finite() {
            self.name(key);
            text::put_f64(self.out, value);
        }
    }

    /// Nanoseconds as a member in microseconds.
    #[inline]
    pub fn micros(&mut self, key: &'static str, ns: Option<u64>) {
        if let Some(ns) = ns {
            self.name(key);
            text::put_micros(self.out, ns);
        }
    }

    /// A boolean member.
    pub fn flag(&mut self, key: &'static str, value: bool) {
        self.name(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A string member from anywhere: escaped.
    #[inline]
    pub fn string(&mut self, key: &'static str, value: &str) {
        self.name(key);
        put_string(self.out, value);
    }

    /// The same, where there is one.
    #[inline]
    pub fn string_opt(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.string(key, value);
        }
    }

    /// A string member whose text needs no escape, such as a word of our own.
    #[inline]
    pub fn word(&mut self, key: &'static str, value: &'static str) {
        self.quoted(key, |out| out.extend_from_slice(value.as_bytes()));
    }

    /// A member between quotes whose text `write` appends; it must need no escape.
    #[inline]
    pub fn quoted(&mut self, key: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(key);
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }

    /// An element of a list, between quotes; its text must need no escape.
    pub fn quoted_element(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.quoted("", write);
    }

    /// A string element of a list.
    pub fn string_element(&mut self, value: &str) {
        self.string("", value);
    }

    /// An address member.
    #[inline]
    pub fn addr(&mut self, key: &'static str, addr: Addr) {
        self.quoted(key, |out| text::put_addr(out, addr));
    }

    /// A moment member.
    #[inline]
    pub fn moment(&mut self, key: &'static str, time: Nanos) {
        self.name(key);
        self.out.push(b'"');
        self.moments.put(self.out, time);
        self.out.push(b'"');
    }

    /// A hash member in lower-case hexadecimal.
    pub fn hex(&mut self, key: &'static str, bytes: Option<[u8; 16]>) {
        if let Some(bytes) = bytes {
            self.quoted(key, |out| text::put_hex(out, &bytes));
        }
    }
}

/// A JSON string with its quotes (RFC 8259 section 7).
pub fn put_string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    if needs_escape(value.as_bytes()) {
        for b in value.bytes() {
            put_escaped(out, b);
        }
    } else {
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'"');
}

/// Whether any byte is a control character, a quote or a backslash; eight bytes at a time.
fn needs_escape(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [b' '; 8];
    for (slot, b) in last.iter_mut().zip(rest) {
        *slot = *b;
    }
    let hit = words.iter().fold(0, |hit, word| hit | escape_bits(u64::from_le_bytes(*word)));
    hit | escape_bits(u64::from_le_bytes(last)) != 0
}

/// Non-zero where one of the eight bytes needs an escape (borrows can only add marks above a true one).
fn escape_bits(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |w: u64| w.wrapping_sub(ONES) & !w;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero_byte(word ^ (ONES * b'"' as u64));
    let backslash = zero_byte(word ^ (ONES * b'\\' as u64));
    (control | quote | backslash) & HIGH
}

fn put_escaped(out: &mut Vec<u8>, b: u8) {
    match b {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..0x20 => {
            out.extend_from_slice(b"\\u00");
            text::put_hex(out, &[b]);
        }
        _ => out.push(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_objects_leave_no_trace() {
        let mut out = Vec::new();
        let mut json = Json::begin(&mut out);
        json.number(key!("a"), 1u8);
        let outer = json.open(key!("b"));
        let inner = json.open(key!("c"));
        json.close(inner);
        let list = json.open_list(key!("d"));
        json.close_list(list);
        json.close(outer);
        json.word(key!("e"), "f");
        json.float(key!("g"), f64::NAN);
        json.end_line();
        assert_eq!(out, b"{\"a\":1,\"e\":\"f\"}\n");
    }

    #[test]
    fn every_ascii_byte_survives_at_every_place_of_a_word() {
        for b in 0..0x80u8 {
            for at in 0..17 {
                let mut text = "x".repeat(17);
                text.replace_range(at..=at, char::from(b).encode_utf8(&mut [0; 4]));
                let mut out = Vec::new();
                put_string(&mut out, &text);
                assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            }
        }
    }

    proptest! {
        #[test]
        fn any_string_reads_back(text: String) {
            let mut out = Vec::new();
            put_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
