//! From one name and value to another.
//!
//! Owns: how values are changed. In: rows of a table, an event. Out: values. Never: a field by
//! name.

use serde_json::{Map, Value, json};

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

/// Puts a value under a dotted name.
pub(super) fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.') else {
        object.insert(name.to_owned(), value);
        return;
    };
    let inner = object.entry(first).or_insert_with(|| json!({}));
    if let Some(inner) = inner.as_object_mut() {
        put(inner, rest, value);
    }
}

/// Fields of an event under other names.
pub(super) fn fields<'e>(
    rows: &'static [Row],
    event: &'e Value,
) -> impl Iterator<Item = (&'static str, Value)> + 'e {
    rows.iter().filter_map(|(from, to, how)| Some((*to, how.apply(get(event, from)?)?)))
}

impl How {
    fn apply(self, value: &Value) -> Option<Value> {
        Some(match self {
            How::Same => value.clone(),
            How::Millis => json!(millis(value.as_str()?)?),
            How::NanosToMillis => json!(value.as_u64()? / 1_000_000),
            How::Number => json!(value.as_i64().or_else(|| value.as_str()?.parse().ok())?),
            How::Joined => {
                let items: Vec<String> = value.as_array()?.iter().map(text).collect();
                json!(items.join(","))
            }
            How::NanosToSeconds => json!(value.as_u64()? / 1_000_000_000),
            How::EveTime => json!(eve_time(value.as_str()?)?),
            How::Upper => json!(value.as_str()?.to_uppercase()),
            How::FlowId => json!(u64::from_str_radix(value.as_str()?.get(..15)?, 16).ok()?),
            How::RuleNumber => {
                let digits = value.as_str()?.trim_start_matches(|c: char| !c.is_ascii_digit());
                json!(digits.parse::<u64>().ok()?)
            }
            How::Words(words) => {
                let own = value.as_str()?;
                let found = words.iter().find(|(word, _)| *word == own).or(words.last());
                json!(found?.1)
            }
        })
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
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Milliseconds since 1970 of an RFC 3339 time.
pub(super) fn millis(time: &str) -> Option<u64> {
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
