//! The sentence of an alert, with the record's values in it.
//!
//! Owns: `{field}` placeholders and numbers as people read them. In: a rule's message and a record.
//! Out: one sentence. Never: a field that is not in the table.

use crate::detect::compile::known_field;
use crate::detect::fields::Field;
use crate::detect::fields::Judged;
use crate::detect::fields::Value;

/// A message with its placeholders resolved to fields.
#[derive(Debug)]
pub(super) struct Template<S: 'static>(Vec<Piece<S>>);

#[derive(Debug)]
enum Piece<S: 'static> {
    Text(String),
    Field(&'static Field<S>),
}

impl<S: Judged> Template<S> {
    /// Parses a message; on failure the text near it, the cause and the help.
    pub(super) fn parse(text: &str) -> Result<Template<S>, (String, String, String)> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            pieces.push(Piece::Text(before.to_owned()));
            let Some((name, after)) = after.split_once('}') else {
                let help = "write `{field}`".to_owned();
                return Err(("{".to_owned(), "a `{` is not closed".to_owned(), help));
            };
            let field =
                known_field(name).map_err(|(cause, help)| (format!("{{{name}}}"), cause, help))?;
            pieces.push(Piece::Field(field));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Template(pieces))
    }

    /// The sentence for a record.
    pub(super) fn fill(&self, record: &S) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field(field) => out.push_str(&human(&(field.get)(record), field.unit)),
            }
        }
        out
    }
}

/// A value as a person reads it: `75.3 s`, `18.2 ms`, `1.4 MB`.
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
    }
}
