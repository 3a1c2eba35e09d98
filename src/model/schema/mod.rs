//! The fields of what longhaul writes: ONE table for each kind of event, and everything that needs
//! to know a field reads it: lines, rules, the reference, index templates, JSON Schema.
//!
//! Owns: name, type, unit, meaning of each field, since when it is there, and how it is read. In: a
//! name, or a record, an endpoint, a finding, a sum. Out: fields and their values.
//! Never: a second list of fields beside the tables, or text of an output.

pub mod derived;
mod endpoint;
mod finding;
mod read;
mod read_endpoint;
mod reference;
mod session;
mod sum;
mod value;

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::model::Record;
use crate::model::endpoint::EndpointRow;
use crate::model::finding::Finding;
use crate::model::record::Quality;
use crate::model::scan::Scan;
pub use crate::model::schema::finding::CARRIED_OF_ENDPOINTS;
pub use crate::model::schema::finding::CARRIED_OF_SESSIONS;
pub use crate::model::schema::read_endpoint::samples;
pub use crate::model::schema::reference::reference_markdown;
pub use crate::model::schema::value::List;
pub use crate::model::schema::value::TagScope;
pub use crate::model::schema::value::Value;
pub use crate::model::schema::value::hex;

/// Version of the field names and types this build writes; grows when one of them changes.
pub const SCHEMA_VERSION: u32 = 3;

/// The ECS release whose names are used.
pub const ECS_VERSION: &str = "8.17.0";

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A moment: RFC 3339 in UTC.
    Time,
    /// A day: `YYYY-MM-DD`.
    Date,
    /// A whole number, not below 0.
    Int,
    /// A whole number.
    Signed,
    /// A number.
    Float,
    /// True or false.
    Bool,
    /// An address.
    Ip,
    /// Several texts.
    Texts,
    /// Several addresses.
    Ips,
}

impl Kind {
    /// The word in the reference.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Text | Kind::Word(_) => "text",
            Kind::Time => "time",
            Kind::Date => "date",
            Kind::Int | Kind::Signed => "integer",
            Kind::Float => "number",
            Kind::Bool => "boolean",
            Kind::Ip => "address",
            Kind::Texts => "list of text",
            Kind::Ips => "list of address",
        }
    }
}

/// What has a table of fields: a kind of event.
pub trait Described: Sized + 'static {
    /// Every field of it, in the order of the output.
    fn fields() -> &'static [Field<Self>];

    /// Parts that one of it may lack, with the objects that come from them alone.
    fn parts() -> &'static [Part<Self>] {
        &[]
    }

    /// Objects that mostly have the same values, and whether one of them has these: all its fields
    /// are the same then.
    fn usual() -> &'static [Part<Self>] {
        &[]
    }

    /// Names of fields of other events that it may carry.
    fn carries() -> &'static [&'static [&'static str]] {
        &[]
    }

    /// The value of one of these as JSON, where it is carried.
    fn carried(&self, _name: &str) -> Option<&str> {
        None
    }
}

impl Described for Record {
    fn fields() -> &'static [Field] {
        &session::FIELDS
    }

    fn parts() -> &'static [Part<Record>] {
        session::PARTS
    }

    fn usual() -> &'static [Part<Record>] {
        &[("longhaul.quality", |r| r.quality == Quality::default())]
    }
}

impl Described for EndpointRow {
    fn fields() -> &'static [Field<EndpointRow>] {
        endpoint::ENDPOINT_FIELDS
    }

    fn parts() -> &'static [Part<EndpointRow>] {
        endpoint::PARTS
    }
}

impl Described for Finding {
    fn fields() -> &'static [Field<Finding>] {
        finding::FINDING_FIELDS
    }

    fn carries() -> &'static [&'static [&'static str]] {
        &[CARRIED_OF_SESSIONS, CARRIED_OF_ENDPOINTS]
    }

    fn carried(&self, name: &str) -> Option<&str> {
        self.context.iter().find(|(known, _)| known == name).map(|(_, json)| json.as_str())
    }
}

impl Described for Scan {
    fn fields() -> &'static [Field<Scan>] {
        sum::SUM_FIELDS
    }
}

/// What rules may judge.
pub trait Judged: Described + Clone + Debug {
    /// `service` of the Sigma `logsource`, and what one of it is called.
    const SERVICE: &'static str;
}

impl Judged for Record {
    const SERVICE: &'static str = "session";
}

impl Judged for EndpointRow {
    const SERVICE: &'static str = "endpoint";
}

/// Where a field is shown, and whether every line has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In each line.
    Always,
    /// In lines whose event has it.
    Sometimes,
    /// In each line; rules cannot ask for it.
    Line,
    /// In each line, the same in all of them: this JSON; rules cannot ask for it.
    Fixed(&'static str),
    /// In each line: the name of the sensor.
    Sensor,
    /// Rules only.
    Rules,
}

/// How a field is read.
pub type Get<S = Record> = for<'a> fn(&'a S) -> Value<'a>;

/// A list of objects.
#[derive(Debug)]
pub struct Objects<S: 'static> {
    /// Dotted name of the list.
    pub name: &'static str,
    /// How many objects.
    pub count: fn(&S) -> usize,
}

/// Reads a member of one of the objects of a list.
pub type GetAt<S> = for<'a> fn(&'a S, usize) -> Value<'a>;

/// A member of the objects of a list: which list, how it is read, and what it holds there where
/// rules see those of all objects together.
pub type Member<S> = (&'static Objects<S>, GetAt<S>, Option<Kind>);

/// A part that an event may lack: the object whose fields come from it alone, and whether it is
/// there.
pub type Part<S> = (&'static str, fn(&S) -> bool);

/// One field.
#[derive(Debug)]
pub struct Field<S: 'static = Record> {
    /// Name in rules and, dotted, in the output.
    pub name: &'static str,
    /// The `schema_version` it came with.
    pub since: u32,
    /// What it holds.
    pub kind: Kind,
    /// Unit of a number, empty where it has none.
    pub unit: &'static str,
    /// Where it is shown.
    pub shown: Shown,
    /// How it is read.
    pub get: Get<S>,
    /// How it is read where it is a member of a list of objects.
    pub each: Option<Member<S>>,
    /// The one file that has it, where its table is that of two.
    pub only: Option<&'static str>,
    /// What it means; empty where a session has a field of that name and meaning.
    pub description: &'static str,
}

// A derive would ask that what is judged can be cloned.
impl<S> Clone for Field<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Field<S> {}

/// Name, since when, type, unit, where shown, how read, meaning.
type Row<S> = (&'static str, u32, Kind, &'static str, Shown, Get<S>, &'static str);

/// A row of a table. Tables are not formatted: rustfmt would give each cell a line.
const fn field_of<S>(row: Row<S>) -> Field<S> {
    let (name, since, kind, unit, shown, get, description) = row;
    Field { name, since, kind, unit, shown, get, each: None, only: None, description }
}

/// A row that is the same in every line: name, since when, type, JSON, meaning.
const fn fixed<S>(row: (&'static str, u32, Kind, &'static str, &'static str)) -> Field<S> {
    let (name, since, kind, json, description) = row;
    field_of((name, since, kind, "", Shown::Fixed(json), |_| Value::Absent, description))
}

impl<S> Field<S> {
    /// A member of a list of objects.
    const fn each(self, list: &'static Objects<S>, get: GetAt<S>) -> Field<S> {
        Field { each: Some((list, get, None)), ..self }
    }

    /// The same, of that type there.
    const fn each_of(self, kind: Kind, list: &'static Objects<S>, get: GetAt<S>) -> Field<S> {
        Field { each: Some((list, get, Some(kind))), ..self }
    }

    /// A field of that file only.
    const fn only(self, file: &'static str) -> Field<S> {
        Field { only: Some(file), ..self }
    }

    /// Whether a rule may name it.
    pub fn in_rules(&self) -> bool {
        matches!(self.shown, Shown::Always | Shown::Sometimes | Shown::Rules)
    }

    /// Whether a line may hold it.
    pub fn in_lines(&self) -> bool {
        self.shown != Shown::Rules
    }

    /// Whether every line holds it.
    pub fn is_required(&self) -> bool {
        !matches!(self.shown, Shown::Sometimes | Shown::Rules)
    }

    /// What it means.
    pub fn meaning(&self) -> &'static str {
        let same = || find(self.name).map_or("", |field| field.description);
        if self.description.is_empty() { same() } else { self.description }
    }

    /// Whether it is one of the Elastic Common Schema, not of ours.
    pub fn is_ecs(&self) -> bool {
        !self.name.starts_with("longhaul.") && !self.name.starts_with("endpoint.")
    }
}

/// Every field, in the order of the output.
pub fn all() -> &'static [Field] {
    &session::FIELDS
}

/// The field of a session of that name.
pub fn find(name: &str) -> Option<&'static Field> {
    find_in::<Record>(name)
}

/// The field of that name.
pub fn find_in<S: Described>(name: &str) -> Option<&'static Field<S>> {
    S::fields().iter().find(|field| field.name == name)
}

/// A record or endpoint as one flat JSON object: field name to value, absent fields left out.
pub fn flat_json<S: Described>(subject: &S) -> serde_json::Map<String, serde_json::Value> {
    S::fields()
        .iter()
        .map(|field| (field.name.to_owned(), json_of(field, subject)))
        .filter(|(_, value)| !value.is_null())
        .collect()
}

fn json_of<S: Described>(field: &Field<S>, subject: &S) -> serde_json::Value {
    match field.shown {
        Shown::Fixed(json) => serde_json::from_str(json).unwrap_or_default(),
        _ => (field.get)(subject).to_json(),
    }
}

/// Every field that a line of NDJSON may hold, with its type, by name: of sessions, endpoints,
/// alerts and incidents together, and what rules ask for, since alerts show some of that. A name
/// has one type wherever it stands.
pub fn types() -> BTreeMap<&'static str, Kind> {
    all_types().collect()
}

fn all_types() -> impl Iterator<Item = (&'static str, Kind)> {
    fn of<S: Described>() -> impl Iterator<Item = (&'static str, Kind)> {
        S::fields().iter().map(|field| (field.name, field.kind))
    }
    of::<Record>().chain(of::<EndpointRow>()).chain(of::<Finding>()).chain(of::<Scan>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_names<S: Described>() {
        let mut seen = std::collections::HashSet::new();
        for field in S::fields() {
            assert!(seen.insert(field.name), "{} stands twice", field.name);
            assert_eq!(field.name, field.name.to_lowercase());
            let meaning = field.meaning();
            assert!(!meaning.is_empty() && !meaning.contains('|'), "{}", field.name);
            assert!((1..=SCHEMA_VERSION).contains(&field.since), "{}", field.name);
        }
        for (prefix, _) in S::parts() {
            let inside = |name: &str| name.strip_prefix(prefix).is_some_and(|r| r.starts_with('.'));
            assert!(S::fields().iter().any(|field| inside(field.name)), "{prefix}");
        }
    }

    #[test]
    fn names_are_unique_and_lower_case() {
        check_names::<Record>();
        check_names::<EndpointRow>();
        check_names::<Finding>();
        check_names::<Scan>();
    }

    #[test]
    fn a_name_has_one_type_in_all_files() {
        let types = types();
        for (name, kind) in all_types() {
            assert_eq!(types.get(name).map(|one| one.as_str()), Some(kind.as_str()), "{name}");
        }
        // What stands inside another is an object's member; an object is no value.
        for name in types.keys() {
            let inside =
                |other: &&str| other.strip_prefix(name).is_some_and(|r| r.starts_with('.'));
            assert!(!types.keys().any(inside), "{name} is a value and an object");
        }
    }

    #[test]
    fn what_findings_carry_is_in_the_tables() {
        for name in CARRIED_OF_SESSIONS {
            assert!(find(name).is_some(), "{name}");
        }
        for name in CARRIED_OF_ENDPOINTS {
            let ends = ["source.ip", "destination.ip"].contains(name);
            assert!(ends || find_in::<EndpointRow>(name).is_some(), "{name}");
        }
    }
}
