//! The message of an alert, with the record's values in it.
//!
//! Owns: `{field}` placeholders and numbers in readable form. In: a rule's message and a record.
//! Out: one sentence. Never: a field that is not in the table.

use crate::detect::case::Values;
use crate::detect::known_field::known_field;
use crate::model::schema::{Field, Judged, Value};

/// A message with its placeholders resolved to fields.
#[derive(Debug)]
pub(super) struct Template<S: 'static>(Vec<Piece<S>>);

#[derive(Debug)]
enum Piece<S: 'static> {
    Text(String),
    /// The first of these fields that is present.
    Fields(Vec<&'static Field<S>>),
    /// Shown if every placeholder in it has a value.
    Aside(Vec<Piece<S>>),
}

/// The text near it, the cause, the help.
type Fault = (String, String, String);

impl<S: Judged> Template<S> {
    /// Parses a message. `{a|b}` is the value of `a`, or if absent that of `b`; a part in square
    /// brackets is left out if a placeholder in it has no value.
    pub(super) fn parse(text: &str) -> Result<Template<S>, Fault> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('[') {
            let aside = after.split_once(']').filter(|(inside, _)| inside.contains('{'));
            let Some((inside, after)) = aside else {
                // A bracket that is just text.
                pieces.extend(Template::parse_flat(before)?);
                pieces.push(Piece::Text("[".to_owned()));
                rest = after;
                continue;
            };
            pieces.extend(Template::parse_flat(before)?);
            pieces.push(Piece::Aside(Template::parse_flat(inside)?));
            rest = after;
        }
        pieces.extend(Template::parse_flat(rest)?);
        Ok(Template(pieces))
    }

    /// Text and placeholders.
    fn parse_flat(text: &str) -> Result<Vec<Piece<S>>, Fault> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            pieces.push(Piece::Text(before.to_owned()));
            let Some((names, after)) = after.split_once('}') else {
                let help = "write `{field}`".to_owned();
                return Err(("{".to_owned(), "a `{` is not closed".to_owned(), help));
            };
            let fields = names
                .split('|')
                .map(|name| known_field(name.trim()))
                .collect::<Result<Vec<_>, _>>();
            let fields = fields.map_err(|(cause, help)| (format!("{{{names}}}"), cause, help))?;
            pieces.push(Piece::Fields(fields));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(pieces)
    }

    /// The message for a record.
    pub(super) fn fill(&self, record: &impl Values<S>) -> String {
        let mut out = String::new();
        fill(&self.0, record, &mut out);
        out
    }
}

fn fill<S: Judged>(pieces: &[Piece<S>], record: &impl Values<S>, out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Fields(fields) => match present(fields, record) {
                Some((field, value)) => out.push_str(&human(&value, field.unit)),
                None => out.push_str(&human(&Value::Absent, "")),
            },
            Piece::Aside(pieces) => {
                let known = |piece: &Piece<S>| match piece {
                    Piece::Fields(fields) => present(fields, record).is_some(),
                    _ => true,
                };
                if pieces.iter().all(known) {
                    fill(pieces, record, out);
                }
            }
        }
    }
}

/// The first of the fields that is present, and its value.
fn present<'r, S: Judged>(
    fields: &[&'static Field<S>],
    record: &'r impl Values<S>,
) -> Option<(&'static Field<S>, Value<'r>)> {
    let values = fields.iter().map(|field| (*field, record.value(field)));
    values.into_iter().find(|(_, value)| !value.is_absent())
}

/// A value in readable form: `75.3 s`, `18.2 ms`, `1.4 MB`.
pub(super) fn human(value: &Value<'_>, unit: &str) -> String {
    let Some(number) = value.as_number() else {
        return if value.is_absent() { "unknown".to_owned() } else { value.to_text() };
    };
    match unit {
        "ns" => duration(number / 1e9),
        "us" => duration(number / 1e6),
        "bytes" => bytes(number),
        "km" => format!("{number:.0} km"),
        "packets" => format!("{number:.0} packets"),
        "" if matches!(value, Value::Float(_)) => format!("{number:.2}"),
        _ => value.to_text(),
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.1} us", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7_200.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

fn bytes(count: f64) -> String {
    match count {
        n if n < 1e3 => format!("{n:.0} B"),
        n if n < 1e6 => format!("{:.1} kB", n / 1e3),
        n if n < 1e9 => format!("{:.1} MB", n / 1e6),
        n => format!("{:.1} GB", n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::case::Case;
    use crate::model::Record;

    #[test]
    fn numbers_for_people() {
        assert_eq!(human(&Value::Int(75_300_000_000), "ns"), "75.3 s");
        assert_eq!(human(&Value::Int(900_000_000_000), "ns"), "15.0 min");
        assert_eq!(human(&Value::Float(18_234.5), "us"), "18.2 ms");
        assert_eq!(human(&Value::Int(1_400_000), "bytes"), "1.4 MB");
        assert_eq!(human(&Value::Micros(18_234_500), "us"), "18.2 ms");
        assert_eq!(Value::Micros(15_000).to_text(), "15.000");
        assert_eq!(Value::Micros(962_007).to_json_text(), "962.007");
        assert_eq!(human(&Value::Float(1234.4), "km"), "1234 km");
        assert_eq!(human(&Value::Absent, "km"), "unknown");
        assert_eq!(human(&Value::Int(443), ""), "443");
        assert_eq!(human(&Value::Float(0.982_013), ""), "0.98");
    }

    #[test]
    fn placeholders_are_checked() {
        assert!(Template::<Record>::parse("a {source.ip} b").is_ok());
        let (near, cause, help) = Template::<Record>::parse("a {source.pi}").unwrap_err();
        assert_eq!((near.as_str(), cause.as_str()), ("{source.pi}", "unknown field `source.pi`"));
        assert!(help.contains("source.ip"), "{help}");
        assert!(Template::<Record>::parse("a {source.ip").is_err());
        let (near, ..) = Template::<Record>::parse("a[ ({source.ip|source.pi})]").unwrap_err();
        assert_eq!(near, "{source.ip|source.pi}");
    }

    #[test]
    fn unknown_values_are_left_out_of_a_message() {
        let text = "x[ at {tls.client.server_name|url.domain}] y [1] {tls.client.server_name}[";
        let template = Template::<Record>::parse(text).unwrap();
        let record =
            |case: serde_json::Value| Case::read::<Record>(case.as_object().unwrap()).unwrap();
        let nothing = record(serde_json::json!({}));
        assert_eq!(template.fill(&nothing), "x y [1] unknown[");
        let host = record(serde_json::json!({"url.domain": "a.example"}));
        assert_eq!(template.fill(&host), "x at a.example y [1] unknown[");
        let both =
            record(serde_json::json!({"url.domain": "a.b", "tls.client.server_name": "c.d"}));
        assert_eq!(template.fill(&both), "x at c.d y [1] c.d[");
    }
}
