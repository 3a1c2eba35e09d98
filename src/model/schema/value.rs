//! The value of a field, as rules, messages and lines read it.
//!
//! Owns: the variants of values, with their text and JSON forms. In: borrowed parts of a record.
//! Out: values for rules, messages, evidence and lines. Never: an allocation of its own: a value is
//! copied out of the record or borrows from it, and is formatted only when needed.

use std::fmt::{Display, Formatter, Write};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::model::app_facts::Rdp;
use crate::model::latency::Exclusions;
use crate::model::record::{Layer, ListHit};
use crate::model::{Addr, EvidenceValue, Factor, Family, Nanos, names};

/// The value of a field in one record.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// No value.
    Absent,
    /// Untrusted text.
    Str(&'a str),
    /// A constant of the program: it needs no escape.
    Word(&'static str),
    /// A count.
    Int(u64),
    /// A whole number that may be negative.
    Signed(i64),
    /// A number with a fraction.
    Float(f64),
    /// A duration in nanoseconds whose field is in microseconds: always three decimals.
    Micros(u64),
    /// Yes or no.
    Bool(bool),
    /// An address.
    Ip(Addr),
    /// A time: RFC 3339 in UTC, nine digits of fraction.
    Time(Nanos),
    /// A day: `YYYY-MM-DD`.
    Day(Nanos),
    /// A link-layer address as in ECS (RFC 7042 section 2.1): upper case, hyphens.
    Mac([u8; 6]),
    /// A hash in lower-case hexadecimal.
    Hash(&'a [u8; 16]),
    /// A calculated hash in lower-case hexadecimal.
    Id([u8; 16]),
    /// Community ID v1: `1:` and the base64 (RFC 4648 section 4) of a SHA-1.
    CommunityId(&'a [u8; 20]),
    /// A number that is a name: text.
    Digits(u64),
    /// A code without a registered name: a prefix and its number.
    Code(&'static str, u64),
    /// A cipher suite without a registered name: `0x` and four hexadecimal digits.
    Suite(u16),
    /// A version: major, minor.
    Version(u16, u16),
    /// An input file or interface by index; `emit::Origin` has its name.
    Input(u16),
    /// A number in decimal digits, kept as written.
    Decimal(&'a str),
    /// Several values; a condition holds if it holds for one of them.
    List(List<'a>),
}

/// The end of a session that a list hit refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagScope {
    /// Either.
    Any,
    /// The initiator.
    Source,
    /// The responder, its names and its port.
    Destination,
}

impl TagScope {
    /// Whether a hit refers to this side.
    pub fn holds(self, hit: &ListHit) -> bool {
        let source = hit.is_of_source();
        match self {
            TagScope::Any => true,
            TagScope::Source => source,
            TagScope::Destination => !source,
        }
    }
}

/// Several borrowed values.
#[derive(Clone, Copy, Debug)]
pub enum List<'a> {
    /// Text.
    Strings(&'a [Box<str>]),
    /// Constants of the program.
    Words(&'a [&'static str]),
    /// Security protocols of RDP.
    RdpProtocols(&'a Rdp),
    /// TLS cipher suites, shown by name.
    Ciphers(&'a [u16]),
    /// Types of DNS answers.
    AnswerTypes(&'a [(u16, Box<str>)]),
    /// Data of DNS answers.
    AnswerData(&'a [(u16, Box<str>)]),
    /// Tags of list hits on one side; may contain duplicates.
    Tags(&'a [ListHit], TagScope),
    /// Kinds of tunnels.
    Layers(&'a [Layer]),
    /// The reasons why exchanges are excluded.
    Excluded(Exclusions),
    /// Tags of an endpoint.
    Names(&'a [Arc<str>]),
    /// Owned texts.
    Texts(&'a [String]),
    /// Families of rules.
    Families(&'a [Family]),
    /// Groups of evidence.
    Factors(&'a [Factor]),
    /// Addresses.
    Addrs(&'a [Addr]),
    /// The addresses of both ends, each once.
    Ends(&'a Addr, &'a Addr),
}

impl<'a> List<'a> {
    /// The least tag of a set above `last`.
    pub fn next_above(self, last: Option<&str>) -> Option<&'a str> {
        let above = |tag: &&str| last.is_none_or(|last| *tag > last);
        match self {
            List::Tags(hits, side) => {
                let of_side = hits.iter().filter(|hit| side.holds(hit));
                of_side.map(|hit| &*hit.tag).filter(above).min()
            }
            List::Names(all) => all.iter().map(|tag| &**tag).filter(above).min(),
            _ => None,
        }
    }

    /// Whether `test` holds for one of the values.
    pub fn any(&self, test: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        match *self {
            List::Strings(all) => all.iter().any(|s| test(Value::Str(s))),
            List::Words(all) => all.iter().any(|s| test(Value::Word(s))),
            List::Names(all) => all.iter().any(|s| test(Value::Str(s))),
            List::Texts(all) => all.iter().any(|s| test(Value::Str(s))),
            List::Families(all) => all.iter().any(|f| test(Value::Word(f.as_str()))),
            List::Factors(all) => all.iter().any(|f| test(Value::Word(f.group.as_str()))),
            List::Addrs(all) => all.iter().any(|addr| test(Value::Ip(*addr))),
            List::Ends(a, b) => test(Value::Ip(*a)) || (a != b && test(Value::Ip(*b))),
            List::RdpProtocols(rdp) => rdp.requested_words().any(|s| test(Value::Word(s))),
            List::Ciphers(all) => all.iter().any(|code| test(cipher(*code))),
            List::AnswerTypes(all) => all.iter().any(|(code, _)| test(dns_type(*code))),
            List::AnswerData(all) => all.iter().any(|(_, data)| test(Value::Str(data))),
            List::Layers(all) => all.iter().any(|layer| test(Value::Word(layer.kind))),
            List::Excluded(excluded) => excluded.words().any(|word| test(Value::Word(word))),
            List::Tags(hits, side) => {
                hits.iter().filter(|hit| side.holds(hit)).any(|hit| test(Value::Str(&hit.tag)))
            }
        }
    }

    fn is_empty(&self) -> bool {
        match *self {
            List::Strings(all) => all.is_empty(),
            List::Words(all) => all.is_empty(),
            List::Names(all) => all.is_empty(),
            List::Texts(all) => all.is_empty(),
            List::Families(all) => all.is_empty(),
            List::Factors(all) => all.is_empty(),
            List::Addrs(all) => all.is_empty(),
            List::Ends(..) => false,
            List::RdpProtocols(rdp) => rdp.requested_words().next().is_none(),
            List::Ciphers(all) => all.is_empty(),
            List::Layers(all) => all.is_empty(),
            List::Excluded(excluded) => excluded == Exclusions::default(),
            List::AnswerTypes(all) | List::AnswerData(all) => all.is_empty(),
            List::Tags(hits, side) => !hits.iter().any(|hit| side.holds(hit)),
        }
    }

    /// Whether it is written as a set: sorted, without duplicates.
    pub fn is_set(&self) -> bool {
        matches!(self, List::Tags(..) | List::Names(_))
    }
}

impl<'a> Value<'a> {
    /// Text, or absent if empty.
    #[inline]
    pub fn non_empty(text: &'a str) -> Value<'a> {
        Value::str_opt(Some(text).filter(|text| !text.is_empty()))
    }

    /// Text, or absent.
    #[inline]
    pub fn str_opt(text: Option<&'a str>) -> Value<'a> {
        text.map_or(Value::Absent, Value::Str)
    }

    /// A count, or absent.
    #[inline]
    pub fn int_opt(number: Option<impl Into<u64>>) -> Value<'a> {
        number.map_or(Value::Absent, |n| Value::Int(n.into()))
    }

    /// A number with a fraction; absent if it is not finite, which JSON cannot represent.
    #[inline]
    pub fn float_opt(number: Option<f64>) -> Value<'a> {
        number.filter(|n| n.is_finite()).map_or(Value::Absent, Value::Float)
    }

    /// True, or absent: for facts that are written only if they hold.
    #[inline]
    pub fn flag(set: bool) -> Value<'a> {
        if set { Value::Bool(true) } else { Value::Absent }
    }

    /// An address, or absent.
    #[inline]
    pub fn ip_opt(addr: Option<Addr>) -> Value<'a> {
        addr.map_or(Value::Absent, Value::Ip)
    }

    /// A hash, or absent.
    #[inline]
    pub fn hash_opt(hash: Option<&'a [u8; 16]>) -> Value<'a> {
        hash.map_or(Value::Absent, Value::Hash)
    }

    /// A constant of the program, or absent.
    #[inline]
    pub fn word_opt(word: Option<&'static str>) -> Value<'a> {
        word.map_or(Value::Absent, Value::Word)
    }

    /// Nanoseconds in a field of microseconds, or absent.
    #[inline]
    pub fn micros_opt(nanos: Option<u64>) -> Value<'a> {
        nanos.map_or(Value::Absent, Value::Micros)
    }

    /// A list, or absent if empty.
    #[inline]
    pub fn list(list: List<'a>) -> Value<'a> {
        if list.is_empty() { Value::Absent } else { Value::List(list) }
    }

    /// Whether there is no value.
    #[inline]
    pub fn is_absent(&self) -> bool {
        matches!(self, Value::Absent)
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Signed(n) => Some(*n as f64),
            Value::Decimal(digits) => digits.parse().ok(),
            Value::Float(n) => Some(*n),
            Value::Micros(ns) => Some(*ns as f64 / 1_000.0),
            _ => None,
        }
    }

    /// Calls `test` with the value as text; false if it is not text.
    pub fn with_text(&self, test: impl FnOnce(&str) -> bool) -> bool {
        match self {
            Value::Str(text) | Value::Word(text) => test(text),
            one if one.is_text() => test(&one.to_string()),
            _ => false,
        }
    }

    /// Whether text conditions of rules apply to it.
    fn is_text(&self) -> bool {
        !matches!(self, Value::Absent | Value::Bool(_) | Value::List(_)) && !self.is_number()
    }

    fn is_number(&self) -> bool {
        matches!(
            self,
            Value::Int(_)
                | Value::Signed(_)
                | Value::Float(_)
                | Value::Micros(_)
                | Value::Decimal(_)
        )
    }

    /// The form of sessions.ndjson. Absent is null; tags are sorted, without duplicates.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Absent => Json::Null,
            Value::Int(n) => Json::from(*n),
            Value::Signed(n) => Json::from(*n),
            Value::Float(n) => Json::from(*n),
            Value::Micros(ns) => Json::from(*ns as f64 / 1_000.0),
            Value::Decimal(_) => self.as_number().map_or(Json::Null, Json::from),
            Value::Bool(flag) => Json::from(*flag),
            Value::List(list) => {
                let mut all = Vec::new();
                list.any(&mut |value| {
                    all.push(value.to_json());
                    false
                });
                if list.is_set() {
                    all.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                    all.dedup();
                }
                Json::from(all)
            }
            text => Json::from(text.to_string()),
        }
    }

    /// The form of sessions.ndjson as text, digit by digit.
    pub fn to_json_text(&self) -> String {
        if let Value::Micros(_) = self { self.to_text() } else { self.to_json().to_string() }
    }

    /// The form of evidence and messages; lists are joined by commas.
    pub fn to_text(&self) -> String {
        self.to_string()
    }

    /// As evidence: number or text by the type of the field, never by the look of a text.
    pub fn to_evidence(&self) -> EvidenceValue {
        if self.is_number() {
            EvidenceValue::Number(self.to_text())
        } else {
            EvidenceValue::Text(self.to_text())
        }
    }
}

impl Display for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Absent => Ok(()),
            Value::Str(text) | Value::Word(text) | Value::Decimal(text) => f.write_str(text),
            Value::Int(n) | Value::Digits(n) => n.fmt(f),
            Value::Signed(n) => n.fmt(f),
            Value::Float(n) => f.write_str(&Json::from(*n).to_string()),
            Value::Micros(ns) => write!(f, "{}.{:03}", ns / 1_000, ns % 1_000),
            Value::Bool(flag) => flag.fmt(f),
            Value::Ip(addr) => addr.fmt(f),
            Value::Time(time) => time.fmt(f),
            Value::Day(time) => f.write_str(&time.date()),
            Value::Mac([a, b, c, d, e, g]) => {
                write!(f, "{a:02X}-{b:02X}-{c:02X}-{d:02X}-{e:02X}-{g:02X}")
            }
            Value::Hash(bytes) => f.write_str(&hex(*bytes)),
            Value::Id(bytes) => f.write_str(&hex(bytes)),
            Value::CommunityId(digest) => put_community_id(digest, f),
            Value::Code(prefix, n) => write!(f, "{prefix}{n}"),
            Value::Suite(code) => write!(f, "0x{code:04x}"),
            Value::Version(major, minor) => write!(f, "{major}.{minor}"),
            Value::Input(index) => index.fmt(f),
            Value::List(list) => {
                let Json::Array(all) = Value::List(*list).to_json() else { return Ok(()) };
                for (i, one) in all.iter().enumerate() {
                    f.write_str(if i > 0 { ", " } else { "" })?;
                    match one.as_str() {
                        Some(text) => f.write_str(text)?,
                        None => one.fmt(f)?,
                    }
                }
                Ok(())
            }
        }
    }
}

fn put_community_id(digest: &[u8; 20], f: &mut Formatter<'_>) -> std::fmt::Result {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    f.write_str("1:")?;
    for chunk in digest.chunks(3) {
        let bits = (0..3).fold(0u32, |all, i| all << 8 | chunk.get(i).map_or(0, |b| u32::from(*b)));
        for i in 0..4 {
            let six = (bits >> (18 - 6 * i)) & 63;
            let letter = ALPHABET.get(six as usize).copied().unwrap_or(b'=');
            f.write_char(if i > chunk.len() { '=' } else { char::from(letter) })?;
        }
    }
    Ok(())
}

/// Bytes in lower-case hexadecimal: the form of hashes and of `event.id`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A cipher suite by its registered name, or as `0x` and four hexadecimal digits.
pub(super) fn cipher(code: u16) -> Value<'static> {
    match names::cipher_suite(code) {
        Some(name) => Value::Word(name),
        None => Value::Suite(code),
    }
}

/// A DNS type by its mnemonic, or in the style of RFC 3597.
pub(super) fn dns_type(code: u16) -> Value<'static> {
    match names::dns_type(code) {
        Some(name) => Value::Word(name),
        None => Value::Code("TYPE", u64::from(code)),
    }
}
