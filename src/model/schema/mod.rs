//! The output fields: ONE table per kind of event. Lines, rules, the reference, the index template
//! and JSON Schema are made from it.
//!
//! Owns: name, type, unit, meaning, first version and accessor of each field. In: a name, or a
//! record, an endpoint, a finding, a sum. Out: fields and their values. Never: a second list of
//! fields beside the tables, or text of an output.

pub mod derived;
mod endpoint;
mod finding;
mod people;
mod read;
mod read_endpoint;
mod reference;
mod session;
mod sum;
mod table;
mod value;

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::model::Record;
use crate::model::endpoint::EndpointRow;
use crate::model::field_path::FieldPath;
use crate::model::finding::Finding;
use crate::model::scan::Scan;
pub use crate::model::schema::finding::{CARRIED_OF_ENDPOINTS, CARRIED_OF_SESSIONS};
pub use crate::model::schema::read_endpoint::samples;
pub use crate::model::schema::reference::reference_markdown;
pub use crate::model::schema::table::Visitor;
pub use crate::model::schema::value::{List, TagScope, Value, hex};

/// Version of the field names and types; raised when one of them changes.
pub const SCHEMA_VERSION: u32 = 3;

/// The ECS release whose names are used.
pub const ECS_VERSION: &str = "8.17.0";

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A time: RFC 3339 in UTC.
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

/// A kind of event that has a table of fields.
pub trait Described: Sized + 'static {
    /// Its fields, in the order of the output.
    fn fields() -> &'static [Field<Self>];

    /// Fields of other kinds of events that it may repeat.
    fn carries() -> &'static [&'static [&'static str]] {
        &[]
    }

    /// Passes the fields that lines have to a visitor, in that order.
    fn visit<V: Visitor<Self>>(&self, visitor: &mut V);

    /// Passes the fields of one object of a list to a visitor.
    fn visit_member<V: Visitor<Self>>(&self, at: (&'static Objects<Self>, usize), visitor: &mut V);
}

/// A kind of event that rules can judge.
pub trait Judged: Described + Clone + Debug {
    /// `service` of the Sigma `logsource`; also the word for one such event.
    const SERVICE: &'static str;
}

impl Judged for Record {
    const SERVICE: &'static str = "session";
}

impl Judged for EndpointRow {
    const SERVICE: &'static str = "endpoint";
}

/// Where a field appears, and whether every line has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In each line.
    Always,
    /// In lines whose event has a value.
    Sometimes,
    /// In each line; not available to rules.
    Line,
    /// In each line with the same value, this JSON; not available to rules.
    Fixed(&'static str),
    /// In each line: the name of the sensor.
    Sensor,
    /// In rules only, not in lines.
    Rules,
}

/// How a field is read.
pub type Get<S = Record> = for<'a> fn(&'a S) -> Value<'a>;

/// A list of objects.
#[derive(Debug)]
pub struct Objects<S: 'static> {
    /// Dotted name of the list.
    pub name: &'static str,
    /// Where the list stands in a line.
    pub path: FieldPath,
    /// Number of objects.
    pub count: fn(&S) -> usize,
}

impl<S> Objects<S> {
    const fn new(name: &'static str, count: fn(&S) -> usize) -> Objects<S> {
        Objects { name, path: FieldPath::of(name), count }
    }
}

/// Reads a member of one of the objects of a list.
pub type GetAt<S> = for<'a> fn(&'a S, usize) -> Value<'a>;

/// A member of the objects of a list: the list, the accessor, and the type in the line if it
/// differs from that in rules, which see the values of all objects together.
pub type Member<S> = (&'static Objects<S>, GetAt<S>, Option<Kind>);

/// One field.
#[derive(Debug)]
pub struct Field<S: 'static = Record> {
    /// Name in rules and, dotted, in the output.
    pub name: &'static str,
    /// The first `schema_version` that has it.
    pub since: u32,
    /// Its type.
    pub kind: Kind,
    /// Unit of a number, empty if it has none.
    pub unit: &'static str,
    /// Where it is shown.
    pub shown: Shown,
    /// How it is read.
    pub get: Get<S>,
    /// How it is read if it is a member of a list of objects.
    pub each: Option<Member<S>>,
    /// The only file that has it; alerts and incidents share a table.
    pub only: Option<&'static str>,
    /// Its meaning; empty if a session has a field of the same name and meaning.
    pub description: &'static str,
}

// A derive would require that `S` is `Clone`.
impl<S> Clone for Field<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Field<S> {}

/// Name, first version, type, unit, where shown, accessor, meaning.
type Row<S> = (&'static str, u32, Kind, &'static str, Shown, Get<S>, &'static str);

/// A row of a table. Tables are not formatted: rustfmt would give each cell a line.
const fn field_of<S>(row: Row<S>) -> Field<S> {
    let (name, since, kind, unit, shown, get, description) = row;
    Field { name, since, kind, unit, shown, get, each: None, only: None, description }
}

/// A row with a fixed value: name, first version, type, JSON, meaning.
const fn fixed<S>(row: (&'static str, u32, Kind, &'static str, &'static str)) -> Field<S> {
    let (name, since, kind, json, description) = row;
    field_of((name, since, kind, "", Shown::Fixed(json), |_| Value::Absent, description))
}

impl<S> Field<S> {
    /// A member of a list of objects.
    const fn each(self, list: &'static Objects<S>, get: GetAt<S>) -> Field<S> {
        Field { each: Some((list, get, None)), ..self }
    }

    /// The same, with another type in the line.
    const fn each_of(self, kind: Kind, list: &'static Objects<S>, get: GetAt<S>) -> Field<S> {
        Field { each: Some((list, get, Some(kind))), ..self }
    }

    /// Limits the field to one file.
    const fn only(self, file: &'static str) -> Field<S> {
        Field { only: Some(file), ..self }
    }

    /// Whether rules can use it.
    pub fn in_rules(&self) -> bool {
        matches!(self.shown, Shown::Always | Shown::Sometimes | Shown::Rules)
    }

    /// Whether lines can have it.
    pub fn in_lines(&self) -> bool {
        self.shown != Shown::Rules
    }

    /// Whether every line has it.
    pub fn is_required(&self) -> bool {
        !matches!(self.shown, Shown::Sometimes | Shown::Rules)
    }

    /// Its meaning.
    pub fn meaning(&self) -> &'static str {
        let same = || find(self.name).map_or("", |field| field.description);
        if self.description.is_empty() { same() } else { self.description }
    }

    /// Whether it is a field of the Elastic Common Schema.
    pub fn is_ecs(&self) -> bool {
        !self.name.starts_with("longhaul.") && !self.name.starts_with("endpoint.")
    }
}

/// Every field of sessions, in the order of the output.
pub fn all() -> &'static [Field] {
    Record::fields()
}

/// The field of a session of that name.
pub fn find(name: &str) -> Option<&'static Field> {
    find_in::<Record>(name)
}

/// What a field of that name means, whichever lines have it.
pub fn meaning(name: &str) -> Option<&'static str> {
    fn of<S: Described>(name: &str) -> Option<&'static str> {
        find_in::<S>(name).map(Field::meaning).filter(|text| !text.is_empty())
    }
    of::<Record>(name).or_else(|| of::<EndpointRow>(name)).or_else(|| of::<Finding>(name))
}

/// The field of that name.
pub fn find_in<S: Described>(name: &str) -> Option<&'static Field<S>> {
    S::fields().iter().find(|field| field.name == name)
}

/// A record or endpoint as a flat JSON object: field name to value, without absent fields.
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

/// Every field of sessions, endpoints, alerts, incidents and sums with its type, by name, including
/// those of rules, since alerts show some of them. A name has the same type everywhere.
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
            assert!(seen.insert(field.name), "{} occurs twice", field.name);
            assert_eq!(field.name, field.name.to_lowercase());
            let meaning = field.meaning();
            assert!(!meaning.is_empty() && !meaning.contains('|'), "{}", field.name);
            assert!((1..=SCHEMA_VERSION).contains(&field.since), "{}", field.name);
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
        // A name that other names continue is an object and cannot have a value.
        for name in types.keys() {
            let inside =
                |other: &&str| other.strip_prefix(name).is_some_and(|r| r.starts_with('.'));
            assert!(!types.keys().any(inside), "{name} is a value and an object");
        }
    }

    /// An object that was closed is not opened again, and no two objects have the same hash.
    fn check_order<'a>(names: impl Iterator<Item = &'a str>) {
        let mut open: Vec<&str> = Vec::new();
        let mut left = std::collections::HashSet::new();
        let mut hashes = BTreeMap::new();
        for name in names {
            let ends = name.match_indices('.').map(|(at, _)| &name[..at]);
            let around: Vec<&str> = ends.collect();
            left.extend(open.iter().filter(|object| !around.contains(object)).copied());
            let again = around.iter().find(|object| left.contains(*object));
            assert!(again.is_none(), "{name}: {again:?} is opened again");
            open = around;
            let within = format!("{:?}", FieldPath::of(name).parents);
            let parent = open.last().copied().unwrap_or_default();
            assert_eq!(*hashes.entry(within).or_insert(parent), parent, "{name}");
        }
    }

    #[test]
    fn fields_of_an_object_stand_together() {
        fn in_lines<S: Described>() -> impl Iterator<Item = &'static str> {
            S::fields().iter().filter(|field| field.in_lines()).map(|field| field.name)
        }
        check_order(in_lines::<Record>());
        check_order(in_lines::<EndpointRow>());
        check_order(in_lines::<Scan>());
        for carried in Finding::carries() {
            let is_person = |name: &&str| name.starts_with("longhaul.subject.");
            let is_own = |name: &&str| name.starts_with("longhaul.");
            let (heading, own) = in_lines::<Finding>().partition::<Vec<_>, _>(|name| !is_own(name));
            let (person, own) = own.into_iter().partition::<Vec<_>, _>(is_person);
            let carried = || carried.iter().copied();
            let names = heading.into_iter().chain(carried().filter(|name| !is_own(name)));
            let names = names.chain(carried().filter(is_person)).chain(person);
            let others = carried().filter(|name| is_own(name) && !is_person(name));
            check_order(names.chain(others).chain(own));
        }
    }

    #[test]
    fn fields_repeated_by_alerts_are_in_the_tables() {
        for name in CARRIED_OF_SESSIONS {
            assert!(find(name).is_some(), "{name}");
        }
        for name in CARRIED_OF_ENDPOINTS {
            let ends = ["source.ip", "destination.ip"].contains(name);
            assert!(ends || find_in::<EndpointRow>(name).is_some(), "{name}");
        }
    }
}
