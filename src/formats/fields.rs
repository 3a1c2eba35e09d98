//! The fields of a line that a form needs, read in one pass.
//!
//! Owns: the tree of their names, the text of their values. In: a line of JSON. Out: each value as
//! JSON text by its slot. Never: a tree of values: what nobody needs is passed over, what is needed
//! is copied once.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The names that are needed.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    root: Node,
    names: Vec<&'static str>,
}

/// A name among those of one object.
#[derive(Debug, Default)]
struct Node {
    name: &'static str,
    slot: Option<usize>,
    members: Vec<Node>,
}

impl Wanted {
    /// These dotted names; one that comes twice has one slot.
    pub(super) fn new(names: impl Iterator<Item = &'static str>) -> Wanted {
        let mut wanted = Wanted::default();
        for name in names.filter(|name| !name.is_empty()) {
            if wanted.names.contains(&name) {
                continue;
            }
            let mut node = &mut wanted.root;
            for part in name.split('.') {
                let at = node.members.iter().position(|member| member.name == part);
                let at = at.unwrap_or_else(|| {
                    node.members.push(Node { name: part, ..Node::default() });
                    node.members.len() - 1
                });
                let Some(member) = node.members.get_mut(at) else { break };
                node = member;
            }
            node.slot = Some(wanted.names.len());
            wanted.names.push(name);
        }
        wanted
    }

    /// The slot of a name; none has the slot of a name that is not wanted.
    pub(super) fn slot(&self, name: &str) -> usize {
        self.names.iter().position(|known| *known == name).unwrap_or(usize::MAX)
    }

    /// Reads a line.
    pub(super) fn read(&self, line: &[u8]) -> Result<Fields<'_>, serde_json::Error> {
        let places = vec![0..0; self.names.len()];
        let mut found = Found { text: String::with_capacity(line.len()), places };
        let mut input = serde_json::Deserializer::from_slice(line);
        let seed = Seed { node: Some(&self.root), keep: false, found: &mut found };
        seed.deserialize(&mut input)?;
        input.end()?;
        Ok(Fields { wanted: self, found })
    }
}

/// What was found.
#[derive(Debug)]
struct Found {
    text: String,
    /// By slot; an empty range is no value.
    places: Vec<Range<usize>>,
}

/// The fields of a line.
#[derive(Debug)]
pub(super) struct Fields<'w> {
    wanted: &'w Wanted,
    found: Found,
}

impl Fields<'_> {
    /// The value of a slot as JSON.
    pub(super) fn at(&self, slot: usize) -> Option<&str> {
        let place = self.found.places.get(slot)?;
        self.found.text.get(place.clone()).filter(|text| !text.is_empty())
    }

    /// The value of a field as JSON.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.at(self.wanted.slot(name))
    }
}

/// A value of JSON as text, without quotes.
pub(super) fn plain(json: &str) -> Cow<'_, str> {
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        None => json.into(),
        Some(text) if !text.contains('\\') => text.into(),
        // It was written here: it can be read.
        Some(_) => serde_json::from_str::<String>(json).unwrap_or_default().into(),
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A value on its way: its node, if it is or holds something that is needed; whether all of it is
/// copied.
struct Seed<'a> {
    node: Option<&'a Node>,
    keep: bool,
    found: &'a mut Found,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        let Seed { node, keep, found } = self;
        if node.is_none() && !keep {
            return input.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        let slot = node.and_then(|node| node.slot);
        let begin = found.text.len();
        let inner = Seed { node, keep: keep || slot.is_some(), found: &mut *found };
        input.deserialize_any(inner)?;
        let end = found.text.len();
        if let Some(place) = slot.and_then(|slot| found.places.get_mut(slot)) {
            *place = begin..end;
        }
        Ok(())
    }
}

impl Seed<'_> {
    fn write(self, text: impl fmt::Display) {
        if self.keep {
            use fmt::Write;
            // Writing into a String cannot fail.
            let _ = write!(self.found.text, "{text}");
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.write(value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.write(value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.write(value);
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        // With a point or exponent, as it came.
        self.write(serde_json::Number::from_f64(value).ok_or(E::custom("no finite number"))?);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.write("null");
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        if self.keep {
            self.found.text.push_str(&quoted(value));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        if !self.keep {
            while all.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        self.found.text.push('[');
        let mut is_first = true;
        loop {
            let before = self.found.text.len();
            if !is_first {
                self.found.text.push(',');
            }
            is_first = false;
            let item = Seed { node: None, keep: true, found: &mut *self.found };
            if all.next_element_seed(item)?.is_none() {
                self.found.text.truncate(before);
                break;
            }
        }
        self.found.text.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        let Seed { node, keep, found } = self;
        let members = node.map(|node| node.members.as_slice()).unwrap_or_default();
        let mut before = if keep { "{" } else { "" };
        loop {
            let key = Key { members, before: before.get(..usize::from(keep)), found: &mut *found };
            let Some(node) = all.next_key_seed(key)? else { break };
            before = ",";
            all.next_value_seed(Seed { node, keep, found: &mut *found })?;
        }
        if keep {
            found.text.push_str(if before == "{" { "{}" } else { "}" });
        }
        Ok(())
    }
}

/// A name of a member: it is looked up, and copied behind `before` if its object is.
struct Key<'a, 'm> {
    members: &'m [Node],
    before: Option<&'static str>,
    found: &'a mut Found,
}

impl<'de, 'm> DeserializeSeed<'de> for Key<'_, 'm> {
    type Value = Option<&'m Node>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'de, 'm> Visitor<'de> for Key<'_, 'm> {
    type Value = Option<&'m Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        if let Some(before) = self.before.filter(|before| !before.is_empty()) {
            self.found.text.push_str(before);
            self.found.text.push_str(&quoted(name));
            self.found.text.push(':');
        }
        Ok(self.members.iter().find(|member| member.name == name))
    }
}
