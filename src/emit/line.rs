//! A line while it is written: values as JSON, straight into a byte buffer.
//!
//! Owns: the form of each value. In: values. Out: bytes. Never: names, an allocation of its own.

use crate::emit::Origin;
use crate::emit::json::put_string;
use crate::emit::text;
use crate::model::schema::{List, Value};
use crate::model::{Addr, names};

/// The text of an address between quotes, as it is copied: a block of known length.
type AddrText = ([u8; 48], u8);

/// A line, and what its values have in common.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) out: &'a mut Vec<u8>,
    origin: &'a Origin,
    moments: text::Moments,
    /// The text of the first addresses of the line: most come again.
    addrs: [Option<(Addr, AddrText)>; 2],
}

impl<'a> Line<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, origin: &'a Origin) -> Line<'a> {
        Line { out, origin, moments: text::Moments::new(), addrs: [None; 2] }
    }

    /// A value that is there.
    #[inline]
    pub(super) fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Str(text) => put_string(self.out, text),
            Value::Word(word) => self.word(word),
            Value::Int(n) => text::put_u64(self.out, n),
            Value::Micros(ns) => text::put_micros(self.out, ns),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Ip(addr) => self.addr(addr),
            Value::Time(time) => self.moments.put_quoted(self.out, time),
            Value::Float(number) => text::put_f64(self.out, number),
            Value::List(list) => self.list(list),
            other => self.rare(other),
        }
    }

    /// A value of another event that is JSON already; what is none becomes a string.
    pub(super) fn json(&mut self, json: &str) {
        match serde_json::from_str::<serde::de::IgnoredAny>(json) {
            Ok(_) => self.out.extend_from_slice(json.as_bytes()),
            Err(_) => put_string(self.out, json),
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
                text::put_u64(self.out, n.unsigned_abs());
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
        let out = &mut *self.out;
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
        text::put_addr(self.out, addr);
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
                    self.value(value);
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
            put_string(self.out, next);
            last = Some(next);
        }
    }
}
