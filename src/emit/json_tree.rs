//! A small tree of JSON members given by dotted names, for lines that are rare.
//!
//! Owns: nesting. In: `a.b.c` and a value that is JSON already. Out: nested objects in order of
//! first mention. Never: two values under one name: the first stays.

use crate::emit::json::put_string;

/// An object under construction.
#[derive(Debug, Default)]
pub struct Tree {
    members: Vec<(String, Node)>,
}

#[derive(Debug)]
enum Node {
    Value(String),
    Object(Tree),
}

impl Tree {
    /// Sets `name` (dots nest) to `json`, which must be one valid JSON value. Where the name, or a
    /// part of it, is taken by something it cannot share with, the earlier one stays.
    pub fn put(&mut self, name: &str, json: String) {
        let (first, rest) = match name.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (name, None),
        };
        let known = self.members.iter_mut().find(|(known, _)| known == first);
        match (known, rest) {
            (Some((_, Node::Object(inner))), Some(rest)) => inner.put(rest, json),
            (Some(_), _) => {}
            (None, Some(rest)) => {
                let mut inner = Tree::default();
                inner.put(rest, json);
                self.members.push((first.to_owned(), Node::Object(inner)));
            }
            (None, None) => self.members.push((first.to_owned(), Node::Value(json))),
        }
    }

    /// Sets a string.
    pub fn put_str(&mut self, name: &str, value: &str) {
        self.put(name, quoted(value));
    }

    /// Sets a string, where there is one that is not empty.
    pub fn put_opt(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            self.put_str(name, value);
        }
    }

    /// Sets a list of strings, where it is not empty.
    pub fn put_strs<S: AsRef<str>>(&mut self, name: &str, values: impl IntoIterator<Item = S>) {
        self.put_list(name, values.into_iter().map(|v| quoted(v.as_ref())));
    }

    /// Sets a list of values that are JSON already, where it is not empty.
    pub fn put_list(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        let values: Vec<String> = values.into_iter().collect();
        if !values.is_empty() {
            self.put(name, format!("[{}]", values.join(",")));
        }
    }

    /// The object as JSON.
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Appends the object and a newline.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        self.write(out);
        out.push(b'\n');
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (i, (name, node)) in self.members.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            put_string(out, name);
            out.push(b':');
            match node {
                Node::Value(json) => out.extend_from_slice(json.as_bytes()),
                Node::Object(inner) => inner.write(out),
            }
        }
        out.push(b'}');
    }
}

/// A JSON string.
pub fn quoted(value: &str) -> String {
    let mut out = Vec::new();
    put_string(&mut out, value);
    String::from_utf8(out).unwrap_or_default()
}

/// `text` as it is where it is one JSON value, else as a JSON string.
pub fn json_or_quoted(text: &str) -> String {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => text.to_owned(),
        Err(_) => quoted(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_names_nest_and_merge() {
        let mut tree = Tree::default();
        tree.put("longhaul.subject.id", quoted("s\"1"));
        tree.put("rule.id", "1".into());
        tree.put("longhaul.subject.name", "2".into());
        tree.put("longhaul.near.handshake_us", "190.902".into());
        tree.put("rule.id", "3".into());
        tree.put("rule.id.deeper", "4".into());
        tree.put("longhaul", "5".into());
        tree.put_strs("none", Vec::<String>::new());
        assert_eq!(
            tree.to_json(),
            concat!(
                r#"{"longhaul":{"subject":{"id":"s\"1","name":2},"#,
                r#""near":{"handshake_us":190.902}},"#,
                r#""rule":{"id":1}}"#
            )
        );
    }

    #[test]
    fn what_is_not_json_becomes_a_string() {
        assert_eq!(json_or_quoted("[1,\"a\"]"), "[1,\"a\"]");
        assert_eq!(json_or_quoted("oops\n"), "\"oops\\n\"");
    }
}
