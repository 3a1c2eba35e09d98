//! One field of a record, as rules and messages read it.
//!
//! Owns: the small set of value shapes and their text and JSON forms. In: borrowed parts of a
//! record.
//! Out: values for tests, sentences and evidence. Never: allocates for what a record already holds.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::model::Addr;
use crate::model::EvidenceValue;
use crate::model::app_facts::Rdp;
use crate::model::latency::Exclusions;
use crate::model::names;
use crate::model::record::Layer;
use crate::model::record::ListHit;

/// The value of a field in one record.
#[derive(Debug)]
pub enum Value<'a> {
    /// The record does not have it.
    Absent,
    /// Text held by the record or the program.
    Str(&'a str),
    /// Text made for the question: hashes in hexadecimal, moments.
    Text(String),
    /// A count.
    Int(u64),
    /// A measure.
    Float(f64),
    /// A duration in nanoseconds whose field is in microseconds: three decimals, always.
    Micros(u64),
    /// Yes or no.
    Bool(bool),
    /// An address.
    Ip(Addr),
    /// Several values; a test holds where it holds for one of them.
    List(List<'a>),
}

/// Which end of a session a list hit speaks of.
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
    /// Whether a hit speaks of this side.
    pub fn holds(self, hit: &ListHit) -> bool {
        let source = hit.on.starts_with("source.");
        match self {
            TagScope::Any => true,
            TagScope::Source => source,
            TagScope::Destination => !source,
        }
    }
}

/// Several values, read where they stand.
#[derive(Clone, Copy, Debug)]
pub enum List<'a> {
    /// Text.
    Strings(&'a [Box<str>]),
    /// Words of the program.
    Words(&'a [&'static str]),
    /// Security protocols of RDP.
    RdpProtocols(&'a Rdp),
    /// TLS cipher suites, shown by name.
    Ciphers(&'a [u16]),
    /// Types of DNS answers.
    AnswerTypes(&'a [(u16, Box<str>)]),
    /// Data of DNS answers.
    AnswerData(&'a [(u16, Box<str>)]),
    /// Tags of list hits on one side; a tag may stand twice.
    Tags(&'a [ListHit], TagScope),
    /// Kinds of tunnels.
    Layers(&'a [Layer]),
    /// Why exchanges are left out.
    Excluded(Exclusions),
    /// Tags of an endpoint.
    Names(&'a [Arc<str>]),
}

impl List<'_> {
    /// Whether `test` holds for one of the values.
    pub fn any(&self, test: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        match *self {
            List::Strings(all) => all.iter().any(|s| test(Value::Str(s))),
            List::Words(all) => all.iter().any(|s| test(Value::Str(s))),
            List::Names(all) => all.iter().any(|s| test(Value::Str(s))),
            List::RdpProtocols(rdp) => rdp.requested_words().any(|s| test(Value::Str(s))),
            List::Ciphers(all) => all.iter().any(|code| test(cipher(*code))),
            List::AnswerTypes(all) => all.iter().any(|(code, _)| test(dns_type(*code))),
            List::AnswerData(all) => all.iter().any(|(_, data)| test(Value::Str(data))),
            List::Layers(all) => all.iter().any(|layer| test(Value::Str(layer.kind))),
            List::Excluded(excluded) => excluded.words().any(|word| test(Value::Str(word))),
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
            List::RdpProtocols(rdp) => rdp.requested_words().next().is_none(),
            List::Ciphers(all) => all.is_empty(),
            List::Layers(all) => all.is_empty(),
            List::Excluded(excluded) => excluded == Exclusions::default(),
            List::AnswerTypes(all) | List::AnswerData(all) => all.is_empty(),
            List::Tags(hits, side) => !hits.iter().any(|hit| side.holds(hit)),
        }
    }

    fn is_set(&self) -> bool {
        matches!(self, List::Tags(..) | List::Names(_))
    }
}

impl<'a> Value<'a> {
    /// Text, or absent where there is none.
    pub fn non_empty(text: &'a str) -> Value<'a> {
        Value::str_opt(Some(text).filter(|text| !text.is_empty()))
    }

    /// Text, or absent.
    pub fn str_opt(text: Option<&'a str>) -> Value<'a> {
        text.map_or(Value::Absent, Value::Str)
    }

    /// A count, or absent.
    pub fn int_opt(number: Option<impl Into<u64>>) -> Value<'a> {
        number.map_or(Value::Absent, |n| Value::Int(n.into()))
    }

    /// A measure, or absent (also where it is not finite: JSON has no such number).
    pub fn float_opt(number: Option<f64>) -> Value<'a> {
        number.filter(|n| n.is_finite()).map_or(Value::Absent, Value::Float)
    }

    /// True, or absent: for facts that are written only where they hold.
    pub fn flag(set: bool) -> Value<'a> {
        if set { Value::Bool(true) } else { Value::Absent }
    }

    /// An address, or absent.
    pub fn ip_opt(addr: Option<Addr>) -> Value<'a> {
        addr.map_or(Value::Absent, Value::Ip)
    }

    /// Bytes in lower-case hexadecimal, or absent.
    pub fn hex_opt(bytes: Option<impl AsRef<[u8]>>) -> Value<'a> {
        bytes.map_or(Value::Absent, |bytes| Value::Text(hex(bytes.as_ref())))
    }

    /// A list, or absent where it is empty.
    pub fn list(list: List<'a>) -> Value<'a> {
        if list.is_empty() { Value::Absent } else { Value::List(list) }
    }

    /// Whether the record lacks it.
    pub fn is_absent(&self) -> bool {
        matches!(self, Value::Absent)
    }

    /// The number, where it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Float(n) => Some(*n),
            Value::Micros(ns) => Some(*ns as f64 / 1_000.0),
            _ => None,
        }
    }

    /// The form of sessions.ndjson. Absent is null; tags are a set in order.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Absent => Json::Null,
            Value::Str(text) => Json::from(*text),
            Value::Text(text) => Json::from(text.as_str()),
            Value::Int(n) => Json::from(*n),
            Value::Float(n) => Json::from(*n),
            Value::Micros(ns) => Json::from(*ns as f64 / 1_000.0),
            Value::Bool(flag) => Json::from(*flag),
            Value::Ip(addr) => Json::from(addr.to_string()),
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
        }
    }

    /// The form of sessions.ndjson as text, digit by digit.
    pub fn to_json_text(&self) -> String {
        if let Value::Micros(_) = self { self.to_text() } else { self.to_json().to_string() }
    }

    /// The form of evidence and sentences; a list is joined by commas.
    pub fn to_text(&self) -> String {
        if let Value::Micros(ns) = self {
            return format!("{}.{:03}", ns / 1_000, ns % 1_000);
        }
        match self.to_json() {
            Json::Null => String::new(),
            Json::String(text) => text,
            Json::Array(all) => {
                let words: Vec<String> = all
                    .iter()
                    .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
                    .collect();
                words.join(", ")
            }
            other => other.to_string(),
        }
    }

    /// As evidence: what it is follows from the field, not from how a text happens to read.
    pub fn to_evidence(&self) -> EvidenceValue {
        match self {
            Value::Int(_) | Value::Float(_) | Value::Micros(_) => {
                EvidenceValue::Number(self.to_text())
            }
            _ => EvidenceValue::Text(self.to_text()),
        }
    }
}

/// Bytes in lower-case hexadecimal: the form of hashes and of `event.id`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A cipher suite by its registered name, else as `0x` and four hexadecimal digits.
pub(super) fn cipher(code: u16) -> Value<'static> {
    match names::cipher_suite(code) {
        Some(name) => Value::Str(name),
        None => Value::Text(format!("0x{code:04x}")),
    }
}

/// A DNS type by its mnemonic, else in the style of RFC 3597.
pub(super) fn dns_type(code: u16) -> Value<'static> {
    match names::dns_type(code) {
        Some(name) => Value::Str(name),
        None => Value::Text(format!("TYPE{code}")),
    }
}
