//! The fields of what longhaul writes: what rules may name, what the outputs show, what the
//! reference says.
//!
//! Owns: the tables of fields, their lookup and the generated reference. In: a name. Out: its
//! accessor, type and text.
//! Never: a second list of fields beside the tables.

mod endpoint;
mod others;
mod read;
mod read_endpoint;
mod session;
mod value;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fmt::Write;

use crate::model::Record;
use crate::model::endpoint::EndpointRow;
use crate::model::schema::endpoint::ENDPOINT_FIELDS;
pub use crate::model::schema::others::OTHER_FIELDS;
pub use crate::model::schema::read_endpoint::samples;
use crate::model::schema::session::FIELDS;
pub use crate::model::schema::value::List;
pub use crate::model::schema::value::TagScope;
pub use crate::model::schema::value::Value;
pub use crate::model::schema::value::hex;

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
    /// A whole number.
    Int,
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
            Kind::Int => "integer",
            Kind::Float => "number",
            Kind::Bool => "boolean",
            Kind::Ip => "address",
            Kind::Texts => "list of text",
            Kind::Ips => "list of address",
        }
    }
}

/// What rules may judge: something with a table of fields.
pub trait Judged: Clone + Debug + Sized + 'static {
    /// `service` of the Sigma `logsource`, and what one of it is called.
    const SERVICE: &'static str;

    /// Every field of it, in the order of the output.
    fn fields() -> &'static [Field<Self>];
}

impl Judged for Record {
    const SERVICE: &'static str = "session";

    fn fields() -> &'static [Field] {
        &FIELDS
    }
}

impl Judged for EndpointRow {
    const SERVICE: &'static str = "endpoint";

    fn fields() -> &'static [Field<EndpointRow>] {
        ENDPOINT_FIELDS
    }
}

/// Where a field is shown, and whether every record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In each line of sessions.ndjson.
    Always,
    /// In lines of sessions.ndjson whose session has it.
    Sometimes,
    /// In each line of sessions.ndjson, but said by emit: rules cannot ask for it.
    Constant,
    /// Rules only.
    Rules,
}

/// How a field is read from what is judged.
pub type Get<S = Record> = for<'a> fn(&'a S) -> Value<'a>;

/// One field.
#[derive(Debug)]
pub struct Field<S: 'static = Record> {
    /// Name in rules and, dotted, in the output.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Unit of a number, empty where it has none.
    pub unit: &'static str,
    /// Where it is shown.
    pub shown: Shown,
    /// Its accessor.
    pub get: Get<S>,
    /// What it means.
    pub description: &'static str,
}

// A derive would ask that what is judged can be cloned.
impl<S> Clone for Field<S> {
    fn clone(&self) -> Self {
        Field { ..*self }
    }
}

impl<S> Field<S> {
    /// Whether a rule may name it.
    pub fn in_rules(&self) -> bool {
        self.shown != Shown::Constant
    }

    /// Whether a line of sessions.ndjson may hold it.
    pub fn in_sessions(&self) -> bool {
        self.shown != Shown::Rules
    }
}

/// A field of another output file.
#[derive(Debug)]
pub struct OtherField {
    /// Dotted name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// The files that hold it: `alerts`, `incidents`, `sessions`.
    pub files: &'static str,
    /// What it means.
    pub description: &'static str,
}

/// Every field, in the order of the output.
pub fn all() -> &'static [Field] {
    &FIELDS
}

/// The field of a session of that name.
pub fn find(name: &str) -> Option<&'static Field> {
    find_in::<Record>(name)
}

/// The field of that name.
pub fn find_in<S: Judged>(name: &str) -> Option<&'static Field<S>> {
    S::fields().iter().find(|field| field.name == name)
}

/// A record or endpoint as one flat JSON object: field name to value, absent fields left out.
pub fn flat_json<S: Judged>(subject: &S) -> serde_json::Map<String, serde_json::Value> {
    S::fields()
        .iter()
        .map(|field| (field.name.to_owned(), (field.get)(subject).to_json()))
        .filter(|(_, value)| !value.is_null())
        .collect()
}

/// Every field that a line of NDJSON may hold, with its type, by name: of sessions, endpoints,
/// alerts and incidents together, and what rules ask for, since alerts show some of that. A name
/// has one type wherever it stands.
pub fn types() -> BTreeMap<&'static str, Kind> {
    let sessions = all().iter().map(|field| (field.name, field.kind));
    let endpoints = ENDPOINT_FIELDS.iter().map(|field| (field.name, field.kind));
    let others = OTHER_FIELDS.iter().map(|field| (field.name, field.kind));
    sessions.chain(endpoints).chain(others).collect()
}

/// docs/fields.md, whole.
pub fn reference_markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    put_table::<Record>(&mut text, "Sessions");
    put_table::<EndpointRow>(&mut text, "Endpoints");
    text.push_str(OTHERS);
    for OtherField { name, kind, files, description } in OTHER_FIELDS {
        let kind = kind.as_str();
        let _ = writeln!(text, "| `{name}` | {kind} | {files} | {description} |");
    }
    text
}

/// The fields of one kind, under a title that is the name of its file.
fn put_table<S: Judged>(text: &mut String, title: &str) {
    let (file, rules) = (title.to_lowercase(), S::SERVICE);
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "\n## {title}\n\n{file}.ndjson, and rules with `service: {rules}`.\n\n\
         | field | type | unit | where | meaning |\n|---|---|---|---|---|\n"
    );
    for field in S::fields() {
        let place = match field.shown {
            Shown::Always => format!("{file}, rules"),
            Shown::Sometimes => format!("{file} where known, rules"),
            Shown::Constant => file.clone(),
            Shown::Rules => "rules only".to_owned(),
        };
        let words = match field.kind {
            Kind::Word(words) => format!(" One of: {}.", words.join(", ")),
            _ => String::new(),
        };
        let (name, kind, unit) = (field.name, field.kind.as_str(), field.unit);
        let meaning = field.description;
        let _ = writeln!(text, "| `{name}` | {kind} | {unit} | {place} | {meaning}{words} |");
    }
}

const INTRODUCTION: &str = "\
# Field reference

Names are those of the Elastic Common Schema 8.x; fields of our own stand under `longhaul.`. In
the files they are nested JSON objects, here they are dotted. A field that a session does not
have is left out: there is no null and no empty text. `source` is the initiator of a session,
`destination` the responder. Times of legs are full round trips between the sensor and one end.
This page is generated from the table that rules are compiled against; do not edit it by hand
(`LONGHAUL_BLESS=1 cargo test --test rules` writes it).
";

const OTHERS: &str = "
## Alerts, incidents, sums

Beside these, alerts and incidents hold the fields of sessions or endpoints that say what they are
about, under the same names and of the same types: `longhaul.quality` (of an incident: the sessions
of its alerts added up) and `longhaul.packets` (a place for each session) among them.

| field | type | files | meaning |
|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut seen = std::collections::HashSet::new();
        for field in all() {
            assert!(seen.insert(field.name), "{} stands twice", field.name);
            assert_eq!(field.name, field.name.to_lowercase());
            assert!(!field.description.is_empty() && !field.description.contains('|'));
        }
    }

    #[test]
    fn a_name_has_one_type_in_all_files() {
        let types = types();
        let endpoints = ENDPOINT_FIELDS.iter().map(|field| (field.name, field.kind.as_str()));
        let others = OTHER_FIELDS.iter().map(|field| (field.name, field.kind.as_str()));
        let sessions = all().iter().map(|field| (field.name, field.kind.as_str()));
        for (name, kind) in sessions.chain(endpoints).chain(others) {
            assert!(types.get(name).is_none_or(|one| one.as_str() == kind), "{name}");
        }
        // What stands inside another is an object's member; an object is no value.
        for name in types.keys() {
            let inside =
                |other: &&str| other.strip_prefix(name).is_some_and(|r| r.starts_with('.'));
            assert!(!types.keys().any(inside), "{name} is a value and an object");
        }
    }
}
