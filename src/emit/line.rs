//! Writes an event as one line of nested JSON into a byte buffer.
//!
//! Owns: the text of each value, and the objects that open and close between values.
//! In: the fields of an event, in order. Out: bytes.
//! Never: a field that the table lacks, null, an empty object, an allocation per value.

use std::{mem, ptr};

use crate::emit::json::put_string;
use crate::emit::repeated::Repeated;
use crate::emit::{Origin, text};
use crate::model::cached_text::CachedText;
use crate::model::field_path::{FieldPath, ObjectStack};
use crate::model::schema::{Described, List, Objects, Value, Visitor};
use crate::model::{Addr, names};

/// A line being written.
#[derive(Debug)]
pub(super) struct Line<'a> {
    out: Vec<u8>,
    origin: &'a Origin,
    /// The objects that are open.
    open: ObjectStack,
    /// Address of the list of objects that was written last.
    list: *const (),
    repeated: &'a mut Repeated,
}

/// Appends an event as one line, ending in a newline.
pub(super) fn put_line<S: Described>(event: &S, origin: &Origin, out: &mut Vec<u8>) {
    put_next_line(event, origin, &mut Repeated::of_one(), out);
}

/// The same of one of many lines, which repeat texts of others.
pub(super) fn put_next_line<S: Described>(
    event: &S,
    origin: &Origin,
    repeated: &mut Repeated,
    out: &mut Vec<u8>,
) {
    out.reserve(4_096);
    let mut line = Line::new(mem::take(out), origin, repeated);
    line.object(ObjectStack::EMPTY, |line| event.visit(line));
    line.out.push(b'\n');
    *out = line.out;
}

impl<S: Described> Visitor<S> for Line<'_> {
    #[inline(always)]
    fn value(&mut self, path: &'static FieldPath, value: Value<'_>) {
        // JSON has no NaN and no infinity.
        if value.is_absent() || matches!(value, Value::Float(number) if !number.is_finite()) {
            return;
        }
        self.begin(path);
        self.put(value);
    }

    #[inline(always)]
    fn fixed(&mut self, path: &'static FieldPath, json: &'static str) {
        self.begin(path);
        self.out.extend_from_slice(json.as_bytes());
    }

    /// Text that is not JSON is written as a string.
    fn carried(&mut self, path: &FieldPath, json: &str) {
        self.begin(path);
        match serde_json::from_str::<serde::de::IgnoredAny>(json) {
            Ok(_) => self.out.extend_from_slice(json.as_bytes()),
            Err(_) => put_string(&mut self.out, json),
        }
    }

    fn sensor(&mut self, path: &FieldPath) {
        self.begin(path);
        self.out.extend_from_slice(self.origin.sensor().as_bytes());
    }

    fn of_run(&mut self, object: &FieldPath, fields: impl FnOnce(&mut Self)) {
        Visitor::<S>::cached(self, object, self.origin.observer(), fields);
    }

    fn cached(&mut self, object: &FieldPath, cached: &CachedText, fields: impl FnOnce(&mut Self)) {
        // The cached text depends on the objects open before it. If they are inside the object's
        // own parents, closing them first makes that state the same in most lines.
        if self.open.common_depth(object.parents) == object.parents.depth {
            self.close(self.open.depth - object.parents.depth);
            self.open = object.parents;
        }
        if let Some((text, open)) = cached.get(self.open) {
            self.out.extend_from_slice(text);
            self.open = open;
            return;
        }
        let (start, before) = (self.out.len(), self.open);
        fields(self);
        cached.set((before, self.open), self.out.get(start..).unwrap_or_default());
    }

    /// Writes the whole list at the first of its fields, and ignores the calls for the others.
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
            self.object(list.path.stack(), |line| event.visit_member((list, index), line));
        }
        self.out.push(b']');
        self.open = list.path.parents;
    }
}

impl<'a> Line<'a> {
    fn new(out: Vec<u8>, origin: &'a Origin, repeated: &'a mut Repeated) -> Line<'a> {
        let (open, list) = (ObjectStack::EMPTY, ptr::null());
        Line { out, origin, open, list, repeated }
    }

    /// Writes an object. Each member begins with a comma; the first comma is replaced by a brace.
    fn object(&mut self, objects: ObjectStack, members: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.open = objects;
        members(self);
        self.close(self.open.depth.saturating_sub(objects.depth));
        match self.out.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => self.out.push(b'{'),
        }
        self.out.push(b'}');
    }

    /// Writes a member's name. Mostly it is in the same object as the member before.
    #[inline(always)]
    fn begin(&mut self, path: &FieldPath) {
        if self.open == path.parents {
            self.out.extend_from_slice(path.member());
        } else {
            self.enter(path);
        }
    }

    /// Closes the objects that are not around the field, opens those that are, and writes its name.
    fn enter(&mut self, path: &FieldPath) {
        let shared = self.open.common_depth(path.parents);
        self.close(self.open.depth - shared);
        path.put_opening(shared, &mut self.out);
        self.open = path.parents;
    }

    /// Closes that many objects. Copying a constant length and truncating is faster than copying a
    /// variable length.
    #[inline]
    fn close(&mut self, objects: u8) {
        let len = self.out.len();
        self.out.extend_from_slice(b"}}}}}}}}");
        self.out.truncate(len + usize::from(objects));
    }

    /// Writes a value that is not absent.
    #[inline(always)]
    fn put(&mut self, value: Value<'_>) {
        match value {
            Value::Str(text) => put_string(&mut self.out, text),
            Value::Word(word) => self.word(word),
            Value::Int(n @ 0..10) => self.out.push(b'0' + n as u8),
            Value::Int(n) => text::put_u64(&mut self.out, n),
            Value::Micros(ns) => text::put_micros(&mut self.out, ns),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Ip(addr) => self.addr(addr),
            Value::Time(time) => self.repeated.put_time(&mut self.out, time),
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

    /// A word in a list, after its comma.
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

    /// Text that needs no escaping, without its quotes.
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

    /// Digits as given. A whole number gets `.0`, so that all values of the field are floats.
    fn decimal(&mut self, digits: &str) {
        self.out.extend_from_slice(digits.as_bytes());
        if digits.bytes().all(|b| b.is_ascii_digit()) {
            self.out.extend_from_slice(b".0");
        }
    }

    fn addr(&mut self, addr: Addr) {
        self.repeated.put_addr(&mut self.out, addr);
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

    /// Each text once, in ascending order. Lists are short: a search for the next greater text each
    /// time costs less than a sorted copy.
    fn set(&mut self, list: List<'_>) {
        let mut last: Option<&str> = None;
        while let Some(next) = list.next_above(last) {
            self.out.push(b',');
            put_string(&mut self.out, next);
            last = Some(next);
        }
    }
}
