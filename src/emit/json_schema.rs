//! JSON Schema (draft 2020-12) of each output file.
//!
//! Owns: the schema of each of our types. In: the tables of fields. Out: JSON. Never: a field that
//! is not in the tables.

use serde_json::{Map, Value, json};

use crate::emit::SCHEMA_VERSION;
use crate::model::Record;
use crate::model::endpoint::EndpointRow;
use crate::model::finding::Finding;
use crate::model::scan::Scan;
use crate::model::schema::{Described, Field, Kind, Shown, find, find_in};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const MOMENT: &str = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$";
const DAY: &str = r"^\d{4}-\d{2}-\d{2}$";

/// An NDJSON file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// sessions.ndjson: sessions, and sums of unanswered ones.
    Sessions,
    /// endpoints.ndjson.
    Endpoints,
    /// alerts.ndjson.
    Alerts,
    /// incidents.ndjson.
    Incidents,
}

impl Lines {
    /// All files.
    pub const ALL: [Lines; 4] =
        [Lines::Sessions, Lines::Endpoints, Lines::Alerts, Lines::Incidents];

    /// The file's name without its extension.
    pub const fn name(self) -> &'static str {
        match self {
            Lines::Sessions => "sessions",
            Lines::Endpoints => "endpoints",
            Lines::Alerts => "alerts",
            Lines::Incidents => "incidents",
        }
    }

    fn definition(self) -> Value {
        match self {
            Lines::Sessions => {
                json!({ "oneOf": [object_of::<Record>(None), object_of::<Scan>(None)] })
            }
            Lines::Endpoints => object_of::<EndpointRow>(None),
            Lines::Alerts => object_of::<Finding>(Some("alerts")),
            Lines::Incidents => object_of::<Finding>(Some("incidents")),
        }
    }
}

/// The schema of a line of one file, or of a line of any file.
pub fn json_schema(lines: Option<Lines>) -> Value {
    let (title, schema) = match lines {
        Some(lines) => (format!("a line of {}.ndjson", lines.name()), lines.definition()),
        None => {
            let reference = |l: Lines| json!({ "$ref": format!("#/$defs/{}", l.name()) });
            let definitions: Map<String, Value> =
                Lines::ALL.map(|l| (l.name().to_owned(), l.definition())).into_iter().collect();
            let schema = json!({ "oneOf": Lines::ALL.map(reference), "$defs": definitions });
            ("a line of any file".to_owned(), schema)
        }
    };
    let mut whole = json!({ "$schema": DIALECT, "title": format!("longhaul: {title}") });
    if let (Some(whole), Value::Object(schema)) = (whole.as_object_mut(), schema) {
        whole.insert("x-schema-version".to_owned(), json!(SCHEMA_VERSION));
        whole.extend(schema);
    }
    whole
}

/// The object of an event. Alerts and incidents share a table: `file` selects one of them.
fn object_of<S: Described>(file: Option<&str>) -> Value {
    let mut object = empty();
    let here = |field: &&Field<S>| {
        field.in_lines() && field.only.is_none_or(|only| file.is_none_or(|file| file == only))
    };
    for field in S::fields().iter().filter(here) {
        let path: Vec<&str> = field.name.split('.').collect();
        let list = field.each.map(|(list, ..)| list.name.split('.').count());
        put(&mut object, &path, list, (leaf_of(field), field.is_required()));
    }
    // Only alerts repeat fields of their session or endpoint.
    if file != Some("incidents") {
        for name in S::carries().concat() {
            let path: Vec<&str> = name.split('.').collect();
            put(&mut object, &path, None, (carried(name), false));
        }
    }
    object
}

fn empty() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": {}, "required": [] })
}

/// Puts a member under its path; if the path leads into a list of objects, `list` is the number of
/// names up to the list.
fn put(object: &mut Value, path: &[&str], list: Option<usize>, (leaf, required): (Value, bool)) {
    let Some((name, rest)) = path.split_first() else { return };
    // An empty list of objects is left out.
    let needed = required && list.is_none_or(|names| names == 0 || names > path.len());
    if let (true, Some(all)) = (needed, object.get_mut("required").and_then(Value::as_array_mut))
        && !all.iter().any(|known| known == name)
    {
        all.push(json!(name));
    }
    let Some(members) = object.get_mut("properties").and_then(Value::as_object_mut) else { return };
    if rest.is_empty() {
        members.entry(*name).or_insert(leaf);
        return;
    }
    let is_list = list == Some(1);
    let member = members.entry(*name).or_insert_with(|| match is_list {
        true => json!({ "type": "array", "minItems": 1, "items": empty() }),
        false => empty(),
    });
    let inner = if is_list { member.get_mut("items") } else { Some(member) };
    if let Some(inner) = inner {
        let list = list.map(|names| names.saturating_sub(1));
        put(inner, rest, list, (leaf, required));
    }
}

fn leaf_of<S: Described>(field: &Field<S>) -> Value {
    let mut leaf = match field.shown {
        Shown::Fixed(json) => json!({ "const": fixed(json) }),
        _ => leaf(field.each.and_then(|(.., kind)| kind).unwrap_or(field.kind)),
    };
    if let Some(leaf) = leaf.as_object_mut() {
        leaf.insert("description".to_owned(), json!(field.meaning()));
        leaf.insert("x-since".to_owned(), json!(field.since));
        if !field.unit.is_empty() {
            leaf.insert("x-unit".to_owned(), json!(field.unit));
        }
    }
    leaf
}

fn fixed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

/// A field of the session or endpoint that an alert repeats.
fn carried(name: &str) -> Value {
    let of_session = find(name).map(leaf_of);
    of_session.or_else(|| find_in::<EndpointRow>(name).map(leaf_of)).unwrap_or_default()
}

fn leaf(kind: Kind) -> Value {
    let text = || json!({ "type": "string" });
    let list = |items: Value| json!({ "type": "array", "minItems": 1, "items": items });
    match kind {
        Kind::Text => text(),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Time => json!({ "type": "string", "format": "date-time", "pattern": MOMENT }),
        Kind::Date => json!({ "type": "string", "format": "date", "pattern": DAY }),
        Kind::Int => json!({ "type": "integer", "minimum": 0 }),
        Kind::Signed => json!({ "type": "integer" }),
        Kind::Float => json!({ "type": "number" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Ip => address(),
        Kind::Texts => list(text()),
        Kind::Ips => list(address()),
    }
}

fn address() -> Value {
    json!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] })
}
