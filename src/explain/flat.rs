//! A line of a result as a flat map: dotted name of a field to its value.
//!
//! Owns: the map, and reading one type of value from it. In: a line of JSON. Out: values; a value
//! of another type than asked for is absent. Never: a panic on a line that is not ours.

use serde_json::{Map, Value};

/// A line, nested as it was written. Lists stay lists: those of objects are read with
/// [`Flat::objects`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flat(Map<String, Value>);

impl Flat {
    /// Of one line. Errors: it is no JSON object.
    pub fn parse(line: &[u8]) -> Result<Flat, serde_json::Error> {
        serde_json::from_slice(line).map(Flat)
    }

    /// The value of a dotted name; objects have none.
    fn get(&self, name: &str) -> Option<&Value> {
        let mut parts = name.split('.');
        let first = self.0.get(parts.next()?)?;
        let value = parts.try_fold(first, |value, part| value.get(part))?;
        (!value.is_object()).then_some(value)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.as_f64()
    }

    /// A count; 0 if it is absent.
    pub fn count(&self, name: &str) -> u64 {
        self.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    /// Whether a flag is set.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    /// A list of texts; a single text is a list of one.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        match self.get(name) {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one],
            _ => Vec::new(),
        }
    }

    /// A list of objects.
    pub fn objects(&self, name: &str) -> Vec<Flat> {
        let Some(Value::Array(all)) = self.get(name) else { return Vec::new() };
        let objects = all.iter().filter_map(Value::as_object);
        objects.map(|object| Flat(object.clone())).collect()
    }

    /// Every field and its value, by name.
    pub fn fields(&self) -> Vec<(String, &Value)> {
        let mut all = Vec::new();
        collect("", &self.0, &mut all);
        all
    }
}

/// As deep as the parser lets objects nest.
fn collect<'v>(prefix: &str, nested: &'v Map<String, Value>, all: &mut Vec<(String, &'v Value)>) {
    for (key, value) in nested {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(inner) => collect(&name, inner, all),
            value => all.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_type_is_absent() {
        let line = br#"{"a":{"b":1.5,"c":["x",2]},"d":[{"e":{"f":"y"}},3],"g":"t"}"#;
        let flat = Flat::parse(line).unwrap();
        assert_eq!((flat.number("a.b"), flat.text("a.b"), flat.count("a.b")), (Some(1.5), None, 0));
        assert_eq!((flat.texts("a.c"), flat.texts("g")), (vec!["x"], vec!["t"]));
        let objects = flat.objects("d");
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].text("e.f"), Some("y"));
        assert!(Flat::parse(b"[1]").is_err() && Flat::parse(b"{").is_err());
    }
}
