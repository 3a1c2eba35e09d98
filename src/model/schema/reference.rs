//! Generates docs/fields.md from the tables of fields.
//!
//! Owns: layout and introduction. In: the tables. Out: Markdown. Never: the description of a field.

use std::fmt::Write;

use crate::model::Record;
use crate::model::endpoint::EndpointRow;
use crate::model::finding::Finding;
use crate::model::scan::Scan;
use crate::model::schema::{Described, Field, Judged, Kind, Shown};

/// docs/fields.md, whole.
pub fn reference_markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    put_judged::<Record>(&mut text, "Sessions");
    put_judged::<EndpointRow>(&mut text, "Endpoints");
    text.push_str(FINDINGS);
    put_table(&mut text, Finding::fields(), |field| {
        field.only.unwrap_or("alerts, incidents").to_owned()
    });
    text.push_str(SUMS);
    put_table(&mut text, Scan::fields(), |field| {
        if field.is_required() { "sums" } else { "sums where known" }.to_owned()
    });
    text
}

/// The fields of one kind, under a title that is the name of its file.
fn put_judged<S: Judged>(text: &mut String, title: &str) {
    let (file, rules) = (title.to_lowercase(), S::SERVICE);
    // Writing into a String cannot fail.
    let _ = write!(text, "\n## {title}\n\n{file}.ndjson, and rules with `service: {rules}`.\n\n");
    text.push_str(HEAD);
    put_table(text, S::fields(), |field| match field.shown {
        Shown::Always => format!("{file}, rules"),
        Shown::Sometimes => format!("{file} where known, rules"),
        Shown::Line | Shown::Fixed(_) | Shown::Sensor => file.clone(),
        Shown::Rules => "rules only".to_owned(),
    });
}

fn put_table<S>(text: &mut String, fields: &[Field<S>], place: impl Fn(&Field<S>) -> String) {
    for field in fields {
        let words = match field.kind {
            Kind::Word(words) => format!(" One of: {}.", words.join(", ")),
            _ => String::new(),
        };
        let Field { name, kind, unit, since, .. } = field;
        let (kind, place, meaning) = (kind.as_str(), place(field), field.meaning());
        // Writing into a String cannot fail.
        let _ =
            writeln!(text, "| `{name}` | {kind} | {unit} | {since} | {place} | {meaning}{words} |");
    }
}

const HEAD: &str = "\
| field | type | unit | since | where | meaning |
|---|---|---|---|---|---|
";

const INTRODUCTION: &str = "\
# Field reference

Names are those of the Elastic Common Schema 8.x; fields that it lacks are under `longhaul.` and
`endpoint.`. In the files they are nested JSON objects, here they are dotted. A field without a
value is left out: there is no null and no empty text. `source` is the initiator of a
session, `destination` the responder. Times of legs are full round trips between the sensor and one
end. `since` is the first `schema_version` that has the field. `longhaul fields` prints this page,
and `longhaul fields --json-schema` the same as JSON Schema.
This page is generated from the tables that also define lines and rules; do not edit it by hand
(`LONGHAUL_BLESS=1 cargo test --test rules` writes it).
";

const FINDINGS: &str = "
## Alerts, incidents

Beside these, an alert repeats fields of its session or endpoint, with the same names and types.
`longhaul.quality` of an incident is the sum over the sessions of its alerts; `longhaul.packets` has
an entry for each session.

| field | type | unit | since | files | meaning |
|---|---|---|---|---|---|
";

const SUMS: &str = "
## Sums

Lines of sessions.ndjson that sum up the unanswered sessions of one source which ended within one
second, if there are more than `--unanswered`.

| field | type | unit | since | where | meaning |
|---|---|---|---|---|---|
";
