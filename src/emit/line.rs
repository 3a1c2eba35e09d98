//! An event as a line of nested JSON, straight into a byte buffer.
//!
//! Owns: the form of each value, and the objects that are opened and closed between two of them.
//! In: the fields of an event, in order. Out: bytes. Never: a field that the table has not, null,
//! an empty object, an allocation of its own.

use std::mem;
use std::ptr;

use crate::emit::Origin;
use crate::emit::json::put_string;
use crate::emit::text;
use crate::model::memo::Memo;
use crate::model::path::{Path, Within};
use crate::model::schema::{Described, List, Objects, Value, Visitor};
use crate::model::{Addr, names};

/// The text of an address between quotes, as it is copied: a block of known length.
type AddrText = ([u8; 48], u8);

/// A line, and what its values have in common.
#[derive(Debug)]
pub(super) struct Line<'a> {
    out: Vec<u8>,
    origin: &'a Origin,
    /// The objects that are open.
    open: Within,
    /// The list of objects that was written last.
    list: *const (),
    moments: text::Moments,
    /// The text of the first addresses of the line: most come again.
    addrs: [Option<(Addr, AddrText)>; 2],
}

/// Appends an event as one line, ending in a newline.
pub(super) fn put_line<S: Described>(event: &S, origin: &Origin, out: &mut Vec<u8>) {
    out.reserve(4_096);
    let mut line = Line::new(mem::take(out), origin);
    line.object(Within::NONE, |line| event.visit(line));
    line.out.push(b'\n');
    *out = line.out;
}

impl<S: Described> Visitor<S> for Line<'_> {
    #[inline(always)]
    fn value(&mut self, path: &'static Path, value: Value<'_>) {
        // JSON has no number that is none.
        if value.is_absent() || matches!(value, Value::Float(number) if !number.is_finite()) {
            return;
        }
        self.begin(path);
        self.put(value);
    }

    #[inline(always)]
    fn fixed(&mut self, path: &'static Path, json: &'static str) {
        self.begin(path);
        self.out.extend_from_slice(json.as_bytes());
    }

    /// What is no JSON becomes a string.
    fn carried(&mut self, path: &Path, json: &str) {
        self.begin(path);
        match serde_json::from_str::<serde::de::IgnoredAny>(json) {
            Ok(_) => self.out.extend_from_slice(json.as_bytes()),
            Err(_) => put_string(&mut self.out, json),
        }
    }

    fn sensor(&mut self, path: &Path) {
        self.begin(path);
        self.out.extend_from_slice(self.origin.sensor().as_bytes());
    }

    fn kept(&mut self, object: &Path, memo: &Memo, fields: impl FnOnce(&mut Self)) {
        // What was open before is part of what was written.
        if self.open.shared(object.within) == object.within.depth {
            self.close(self.open.depth - object.within.depth);
            self.open = object.within;
        }
        if let Some((text, open)) = memo.get(self.open) {
            self.out.extend_from_slice(text);
            self.open = open;
            return;
        }
        let (start, before) = (self.out.len(), self.open);
        fields(self);
        memo.set((before, self.open), self.out.get(start..).unwrap_or_default());
    }

    /// Writes the list at the first of its fields.
    fn objects(&mut self, list: &'static Objects<S>, event: &S) {
        let this = ptr::from_ref(list).cast();
        if self.list == this {
            return;
        }
        self.list = this;
        let count = (list.count)(event);
        if count == 0 {
            return;
        }
        self.begin(&list.path);
        for index in 0..count {
            self.out.push(if index == 0 { b'[' } else { b',' });
            self.object(list.path.inside(), |line| event.visit_member((list, index), line));
        }
        self.out.push(b']');
        self.open = list.path.within;
    }
}

impl<'a> Line<'a> {
    fn new(out: Vec<u8>, origin: &'a Origin) -> Line<'a> {
        let (open, list) = (Within::NONE, ptr::null());
        Line { out, origin, open, list, moments: text::Moments::new(), addrs: [None; 2] }
    }

    /// Writes an object. Each member begins with a comma; that of the first becomes the brace.
    fn object(&mut self, within: Within, members: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.open = within;
        members(self);
        self.close(self.open.depth.saturating_sub(within.depth));
        match self.out.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => self.out.push(b'{'),
        }
        self.out.push(b'}');
    }

    /// Writes what stands before a value: mostly it lies in the same object as the last.
    #[inline(always)]
    fn begin(&mut self, path: &Path) {
        if self.open == path.within {
            self.out.extend_from_slice(path.member());
        } else {
            self.enter(path);
        }
    }

    /// Closes the objects that the path is not in, and opens those that it is in.
    fn enter(&mut self, path: &Path) {
        let shared = self.open.shared(path.within);
        self.close(self.open.depth - shared);
        let start = self.out.len();
        path.put_opening(shared, &mut self.out);
        if let Some(brace) = self.out.get_mut(start) {
            *brace = b',';
        }
        self.open = path.within;
    }

    /// A block of known length is one move; the excess is taken back.
    #[inline]
    fn close(&mut self, objects: u8) {
        let len = self.out.len();
        self.out.extend_from_slice(b"}}}}}}}}");
        self.out.truncate(len + usize::from(objects));
    }

    /// A value that is there.
    #[inline(always)]
    fn put(&mut self, value: Value<'_>) {
        match value {
            Value::Str(text) => put_string(&mut self.out, text),
            Value::Word(word) => self.word(word),
            Value::Int(n) => text::put_u64(&mut self.out, n),
            Value::Micros(ns) => text::put_micros(&mut self.out, ns),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Ip(addr) => self.addr(addr),
            Value::Time(time) => self.moments.put_quoted(&mut self.out, time),
            Value::Float(number) => text::put_f64(&mut self.out, number),
            Value::List(list) => self.list(list),
            other => self.rare(other),
        }
    }

    fn word(&mut self, word: &'static str) {
        self.out.push(b'"');
        self.out.extend_from_slice(word.as_bytes());
        self.out.push(b'"');
    }

    /// A word in a list, behind its comma.
    fn element(&mut self, word: &'static str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(word.as_bytes());
        self.out.push(b'"');
    }

    fn rare(&mut self, value: Value<'_>) {
        match value {
            Value::Signed(n) => {
                if n < 0 {
                    self.out.push(b'-');
                }
                text::put_u64(&mut self.out, n.unsigned_abs());
            }
            Value::Decimal(digits) => self.decimal(digits),
            Value::Input(index) => self.out.extend_from_slice(self.origin.file(index).as_bytes()),
            text => {
                self.out.push(b'"');
                self.name(text);
                self.out.push(b'"');
            }
        }
    }

    /// What needs no escape, without its quotes.
    fn name(&mut self, value: Value<'_>) {
        let out = &mut self.out;
        match value {
            Value::Mac(mac) => text::put_mac(out, mac),
            Value::Hash(hash) => text::put_hex(out, *hash),
            Value::Id(hash) => text::put_hex(out, hash),
            Value::CommunityId(digest) => {
                out.extend_from_slice(b"1:");
                text::put_base64(out, digest);
            }
            Value::Digits(n) => text::put_u64(out, n),
            Value::Code(prefix, n) => {
                out.extend_from_slice(prefix.as_bytes());
                text::put_u64(out, n);
            }
            Value::Suite(code) => {
                out.extend_from_slice(b"0x");
                text::put_hex(out, code.to_be_bytes());
            }
            Value::Version(major, minor) => {
                text::put_u64(out, major.into());
                out.push(b'.');
                text::put_u64(out, minor.into());
            }
            other => out.extend_from_slice(other.to_text().as_bytes()),
        }
    }

    /// Digits as they were first written; a whole number with a fraction, as all other values of
    /// its field have.
    fn decimal(&mut self, digits: &str) {
        self.out.extend_from_slice(digits.as_bytes());
        if digits.bytes().all(|b| b.is_ascii_digit()) {
            self.out.extend_from_slice(b".0");
        }
    }

    fn addr(&mut self, addr: Addr) {
        let known = self.addrs.iter().flatten().find(|(known, _)| *known == addr);
        if let Some((_, (block, len))) = known {
            let before = self.out.len();
            self.out.extend_from_slice(block);
            self.out.truncate(before + usize::from(*len));
            return;
        }
        let from = self.out.len();
        self.out.push(b'"');
        text::put_addr(&mut self.out, addr);
        self.out.push(b'"');
        if let Some(free) = self.addrs.iter_mut().find(|known| known.is_none()) {
            let written = self.out.get(from..).unwrap_or_default();
            let mut block = [0; 48];
            if let Some(slot) = block.get_mut(..written.len()) {
                slot.copy_from_slice(written);
            }
            *free = Some((addr, (block, written.len() as u8)));
        }
    }

    fn list(&mut self, list: List<'_>) {
        let start = self.out.len();
        match list {
            List::Words(words) => {
                words.iter().for_each(|word| self.element(word));
            }
            List::Ciphers(codes) => {
                for code in codes {
                    match names::cipher_suite(*code) {
                        Some(name) => self.element(name),
                        None => {
                            self.out.push(b',');
                            self.rare(Value::Suite(*code));
                        }
                    }
                }
            }
            List::Ends(a, b) => {
                self.out.push(b',');
                self.addr(*a);
                if a != b {
                    self.out.push(b',');
                    self.addr(*b);
                }
            }
            set if set.is_set() => self.set(set),
            other => {
                other.any(&mut |value| {
                    self.out.push(b',');
                    self.put(value);
                    false
                });
            }
        }
        match self.out.get_mut(start) {
            Some(comma) => *comma = b'[',
            None => self.out.push(b'['),
        }
        self.out.push(b']');
    }

    /// Each text once, in order. There are a handful, so looking for the next greater one each time
    /// is cheaper than a sorted copy.
    fn set(&mut self, list: List<'_>) {
        let mut last: Option<&str> = None;
        while let Some(next) = list.next_above(last) {
            self.out.push(b',');
            put_string(&mut self.out, next);
            last = Some(next);
        }
    }
}
