//! From one name and value to another.
//!
//! Owns: how values are changed. In: rows of a table, values as JSON. Out: values as JSON. Never: a
//! field by name.

use std::borrow::Cow;

use serde_json::Value;

use crate::formats::fields::{plain, quoted};
use crate::model::Nanos;
use crate::model::time::to_micros;

/// What is done to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Nothing.
    Same,
    /// A time as milliseconds since 1970.
    Millis,
    /// Nanoseconds as milliseconds.
    NanosToMillis,
    /// As a whole number.
    Number,
    /// Its items, joined by commas.
    Joined,
    /// Nanoseconds as seconds.
    NanosToSeconds,
    /// A time as EVE writes it: microseconds, and the zone as four digits.
    EveTime,
    /// In capitals.
    Upper,
    /// A number below 2^60 made of the first digits of an id.
    FlowId,
    /// The number in the id of a rule.
    RuleNumber,
    /// One of these words as a number; the last row stands for all others.
    Words(&'static [(&'static str, i64)]),
}

/// A row: our field, theirs, what is done to its value.
pub(super) type Row = (&'static str, &'static str, How);

/// The value of a field by its dotted name.
pub fn get<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    field.split('.').try_fold(value, |object, name| object.get(name))
}

impl How {
    /// The value of a field changed; none if it is of another kind than it should be.
    pub(super) fn apply(self, json: &str) -> Option<Cow<'_, str>> {
        let text = || json.starts_with('"').then(|| plain(json));
        let whole = || json.parse::<u64>().ok();
        Some(Cow::Owned(match self {
            How::Same => return Some(json.into()),
            How::Millis => millis(&text()?)?.to_string(),
            How::NanosToMillis => (whole()? / 1_000_000).to_string(),
            How::Number => plain(json).parse::<i64>().ok()?.to_string(),
            How::Joined => {
                let items: Vec<Value> = serde_json::from_str(json).ok()?;
                let items: Vec<String> = items.iter().map(shown).collect();
                quoted(&items.join(","))
            }
            How::NanosToSeconds => (whole()? / 1_000_000_000).to_string(),
            How::EveTime => quoted(&eve_time(&text()?)?),
            How::Upper => quoted(&text()?.to_uppercase()),
            How::FlowId => u64::from_str_radix(text()?.get(..15)?, 16).ok()?.to_string(),
            How::RuleNumber => {
                let text = text()?;
                let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
                digits.parse::<u64>().ok()?.to_string()
            }
            How::Words(words) => {
                let own = text()?;
                let found = words.iter().find(|(word, _)| *word == own).or(words.last());
                found?.1.to_string()
            }
        }))
    }

    fn words(self) -> String {
        match self {
            How::Same => String::new(),
            How::Millis => "milliseconds since 1970".to_owned(),
            How::NanosToMillis => "milliseconds".to_owned(),
            How::Number => "number".to_owned(),
            How::Joined => "joined by commas".to_owned(),
            How::NanosToSeconds => "seconds".to_owned(),
            How::EveTime => "microseconds, zone +0000".to_owned(),
            How::Upper => "in capitals".to_owned(),
            How::FlowId => "number of its first 15 digits".to_owned(),
            How::RuleNumber => "its number".to_owned(),
            How::Words(words) => {
                let one = |(word, number): &(&str, i64)| format!("{word} {number}");
                words.iter().map(one).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// A value as text, without quotes.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Milliseconds since 1970 of an RFC 3339 time.
fn millis(time: &str) -> Option<u64> {
    Nanos::parse(time).map(|time| time.0 / 1_000_000)
}

/// A time of ours, which is in UTC, with microseconds and the zone.
fn eve_time(time: &str) -> Option<String> {
    Some(format!("{}+0000", to_micros(time)?))
}

/// A table.
pub(super) fn markdown(title: &str, rows: &[Row]) -> String {
    let mut text = format!("## {title}\n\n| ECS | becomes | as |\n|---|---|---|\n");
    for (from, to, how) in rows {
        text.push_str(&format!("| `{from}` | `{to}` | {} |\n", how.words()));
    }
    text.push('\n');
    text
}
