//! A writer of nested JSON objects straight into a byte buffer.
//!
//! Owns: commas, braces, string escapes; an object nothing was written into leaves no trace.
//! In: names known at compile time, values. Out: bytes. Never: a tree, an allocation of its own,
//! null.

use crate::emit::text;
use crate::model::escape::is_unsafe;
use crate::model::{Addr, Nanos};

/// A member's name as it is copied: comma, quotes, colon. For values that stand alone.
#[derive(Clone, Copy, Debug)]
pub struct Key(pub &'static str);

/// The same, and the quote a string begins with.
#[derive(Clone, Copy, Debug)]
pub struct Quoted(pub &'static str);

/// The name of a member whose value is a number, a boolean, an object or a list.
macro_rules! key {
    ($name:literal) => {
        $crate::emit::json::Key(concat!(",\"", $name, "\":"))
    };
}
pub(crate) use key;

/// The name of a member whose value stands between quotes.
macro_rules! quoted {
    ($name:literal) => {
        $crate::emit::json::Quoted(concat!(",\"", $name, "\":\""))
    };
}
pub(crate) use quoted;

/// What stands before an element of a list.
pub const ELEMENT: Key = Key(",");
/// What stands before a string in a list.
pub const QUOTED_ELEMENT: Quoted = Quoted(",\"");

/// Where an object or list began, for the writer to close it.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    before: usize,
    inside: usize,
}

/// Writes one line. Every member is written with a comma before it; closing an object turns the
/// first member's comma into the brace. So no member has to ask whether it is the first.
#[derive(Debug)]
pub struct Json<'a> {
    out: &'a mut Vec<u8>,
    line: usize,
    moments: text::Moments,
    /// Where the text of the first addresses of the line stands: most come again.
    addrs: [Option<(Addr, usize, usize)>; 2],
}

impl<'a> Json<'a> {
    /// Begins an object at the end of `out`. At least one member must follow.
    pub fn begin(out: &'a mut Vec<u8>) -> Json<'a> {
        out.reserve(4_096);
        let line = out.len();
        Json { out, line, moments: text::Moments::new(), addrs: [None; 2] }
    }

    /// Ends the object and the line.
    pub fn end_line(self) {
        if let Some(first) = self.out.get_mut(self.line) {
            *first = b'{';
            self.out.extend_from_slice(b"}\n");
        }
    }

    // Inlined always: only then is the length of the name known where it is copied, and the copy a
    // few moves instead of a call.
    #[inline(always)]
    fn copy(&mut self, name: &'static str) {
        self.out.extend_from_slice(name.as_bytes());
    }

    /// Members that are valid JSON already, each with a comma before it.
    #[inline(always)]
    pub fn literal(&mut self, members: &'static str) {
        self.copy(members);
    }

    /// A member whose value is JSON already.
    #[inline(always)]
    pub fn raw(&mut self, key: Key, value: &str) {
        self.copy(key.0);
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Begins an object or a list member.
    #[inline(always)]
    pub fn open(&mut self, key: Key) -> Mark {
        let before = self.out.len();
        self.copy(key.0);
        Mark { before, inside: self.out.len() }
    }

    /// Ends an object, or takes it back where it stayed empty.
    #[inline]
    pub fn close(&mut self, mark: Mark) {
        self.close_with(mark, [b'{', b'}']);
    }

    /// Ends a list, or takes it back where it stayed empty.
    #[inline]
    pub fn close_list(&mut self, mark: Mark) {
        self.close_with(mark, [b'[', b']']);
    }

    #[inline]
    fn close_with(&mut self, mark: Mark, [first, last]: [u8; 2]) {
        match self.out.get_mut(mark.inside) {
            Some(comma) => {
                *comma = first;
                self.out.push(last);
            }
            None => self.out.truncate(mark.before),
        }
    }

    /// A number member.
    #[inline(always)]
    pub fn number(&mut self, key: Key, value: impl Into<u64>) {
        self.copy(key.0);
        text::put_u64(self.out, value.into());
    }

    /// A float member; left out where it is not finite, since JSON has no such number.
    #[inline(always)]
    pub fn float(&mut self, key: Key, value: f64) {
        if value.is_finite() {
            self.copy(key.0);
            text::put_f64(self.out, value);
        }
    }

    /// Nanoseconds as a member in microseconds.
    #[inline(always)]
    pub fn micros(&mut self, key: Key, ns: Option<u64>) {
        if let Some(ns) = ns {
            self.copy(key.0);
            text::put_micros(self.out, ns);
        }
    }

    /// A boolean member.
    #[inline(always)]
    pub fn flag(&mut self, key: Key, value: bool) {
        self.copy(key.0);
        self.copy(if value { "true" } else { "false" });
    }

    /// A string member from anywhere: escaped.
    #[inline(always)]
    pub fn string(&mut self, key: Quoted, value: &str) {
        self.copy(key.0);
        put_text(self.out, value);
    }

    /// The same, where there is one.
    #[inline(always)]
    pub fn string_opt(&mut self, key: Quoted, value: Option<&str>) {
        if let Some(value) = value {
            self.string(key, value);
        }
    }

    /// A string member whose text needs no escape, such as a word of our own.
    #[inline(always)]
    pub fn word(&mut self, key: Quoted, value: &'static str) {
        self.quoted(key, |out| out.extend_from_slice(value.as_bytes()));
    }

    /// A member between quotes whose text `write` appends; it must need no escape.
    #[inline(always)]
    pub fn quoted(&mut self, key: Quoted, write: impl FnOnce(&mut Vec<u8>)) {
        self.copy(key.0);
        write(self.out);
        self.out.push(b'"');
    }

    /// An address member.
    pub fn addr(&mut self, key: Quoted, addr: Addr) {
        self.copy(key.0);
        let known = self.addrs.iter().flatten().find(|(known, ..)| *known == addr);
        if let Some((_, from, to)) = known.copied().filter(|(.., to)| *to <= self.out.len()) {
            self.out.extend_from_within(from..to);
        } else {
            let from = self.out.len();
            text::put_addr(self.out, addr);
            let place = (addr, from, self.out.len());
            if let Some(free) = self.addrs.iter_mut().find(|known| known.is_none()) {
                *free = Some(place);
            }
        }
        self.out.push(b'"');
    }

    /// A moment member.
    #[inline(always)]
    pub fn moment(&mut self, key: Quoted, time: Nanos) {
        self.copy(key.0);
        self.moments.put(self.out, time);
        self.out.push(b'"');
    }

    /// A hash member in lower-case hexadecimal.
    #[inline(always)]
    pub fn hex(&mut self, key: Quoted, bytes: Option<[u8; 16]>) {
        if let Some(bytes) = bytes {
            self.quoted(key, |out| text::put_hex(out, bytes));
        }
    }
}

/// A JSON string with its quotes (RFC 8259 section 7).
pub fn put_string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    put_text(out, value);
}

/// The inside of a JSON string and the quote that ends it.
pub fn put_text(out: &mut Vec<u8>, value: &str) {
    let start = out.len();
    if copy_plain(out, value.as_bytes()) {
        out.push(b'"');
        return;
    }
    out.truncate(start);
    for c in value.chars() {
        put_escaped(out, c);
    }
    out.push(b'"');
}

/// Duplicates eight bytes at a time and tells whether all of them are ASCII that needs no escape.
fn copy_plain(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hits = 0;
    for word in words {
        hits |= escape_bits(u64::from_le_bytes(*word));
        out.extend_from_slice(word);
    }
    match bytes.last_chunk::<8>() {
        Some(_) if rest.is_empty() => {}
        Some(last) => {
            // The last eight bytes overlap what is there already.
            out.truncate(out.len() + rest.len() - 8);
            hits |= escape_bits(u64::from_le_bytes(*last));
            out.extend_from_slice(last);
        }
        None => {
            for b in rest {
                hits |= u64::from(matches!(b, 0..0x20 | b'"' | b'\\' | 0x7f..));
                out.push(*b);
            }
        }
    }
    hits == 0
}

/// Non-zero where one of the eight bytes may need an escape (borrows can only add marks above a
/// true one).
fn escape_bits(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |w: u64| w.wrapping_sub(ONES) & !w;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero_byte(word ^ (ONES * b'"' as u64));
    let backslash = zero_byte(word ^ (ONES * b'\\' as u64));
    let delete = zero_byte(word ^ (ONES * 0x7f));
    // Beyond ASCII: to be looked at character by character.
    (control | quote | backslash | delete | word) & HIGH
}

fn put_escaped(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        c if is_unsafe(c) => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                text::put_hex(out, unit.to_be_bytes());
            }
        }
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_objects_leave_no_trace() {
        let mut out = b"before".to_vec();
        let mut json = Json::begin(&mut out);
        json.number(key!("a"), 1u8);
        let outer = json.open(key!("b"));
        let inner = json.open(key!("c"));
        json.close(inner);
        let list = json.open(key!("d"));
        json.close_list(list);
        json.close(outer);
        let list = json.open(key!("e"));
        json.number(ELEMENT, 2u8);
        json.word(QUOTED_ELEMENT, "f");
        json.close_list(list);
        json.float(key!("g"), f64::NAN);
        json.end_line();
        assert_eq!(out, b"before{\"a\":1,\"e\":[2,\"f\"]}\n");
    }

    #[test]
    fn addresses_that_come_again_are_written_again() {
        let all: Vec<Addr> = (1..4).chain(1..4).map(|n| Addr::v4([192, 0, 2, n])).collect();
        let mut out = b"before".to_vec();
        let mut json = Json::begin(&mut out);
        let list = json.open(key!("a"));
        all.iter().for_each(|addr| json.addr(QUOTED_ELEMENT, *addr));
        json.close_list(list);
        json.end_line();
        let want: Vec<String> = all.iter().map(|addr| format!("\"{addr}\"")).collect();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("before{{\"a\":[{}]}}\n", want.join(","))
        );
    }

    #[test]
    fn every_ascii_byte_survives_at_every_place_of_a_word() {
        for b in 0..0x80u8 {
            for (len, at) in (1..18).flat_map(|len| (0..len).map(move |at| (len, at))) {
                let mut text = "x".repeat(len);
                text.replace_range(at..=at, char::from(b).encode_utf8(&mut [0; 4]));
                let mut out = Vec::new();
                put_string(&mut out, &text);
                assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            }
        }
    }

    proptest! {
        #[test]
        fn any_string_reads_back(text: String, unsafe_one in 0u32..0x800, at in 0usize..20) {
            let mut text = text;
            let at = text.char_indices().map(|(i, _)| i).nth(at).unwrap_or(text.len());
            text.insert(at, char::from_u32(unsafe_one + 0x1f80 * (unsafe_one & 1)).unwrap_or('x'));
            let mut out = Vec::new();
            put_string(&mut out, &text);
            let json = std::str::from_utf8(&out).unwrap();
            prop_assert!(!json.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(json).unwrap(), text);
        }
    }
}
