//! A table of rows, compiled once: what of a line is needed, and in which order it is written.
//!
//! Owns: the order of output. In: tables. Out: a plan. Never: anything that depends on a line.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::formats::fields::{Fields, Wanted, plain};
use crate::formats::map::{How, Row};
use crate::model::{EventKind, Level};

/// The plans of a form: of sessions, and of findings.
pub(super) type Plans = (LazyLock<Plan>, LazyLock<Plan>);

/// A value that is made of several, as JSON; none if there is none.
pub(super) type Made = (&'static str, fn(&Event<'_>) -> Option<String>);

/// Where a value comes from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// A field by its slot, and what is done to it.
    Field(usize, How),
    /// Made of several.
    Made(fn(&Event<'_>) -> Option<String>),
}

/// A compiled table.
pub(super) struct Plan {
    /// The fields that are needed.
    pub(super) wanted: Wanted,
    /// Names in the order of the table.
    pub(super) rows: Vec<(&'static str, Source)>,
    /// The same and what is made, sorted, so that each object stands together. Of equal names the
    /// first counts that has a value: what is made, then rows.
    pub(super) nested: Vec<(&'static str, Source)>,
}

impl Plan {
    /// Compiles rows; `more` are fields that made values need.
    pub(super) fn new(rows: &[Row], made: &[Made], more: &[&'static str]) -> Plan {
        let names = rows.iter().map(|(from, ..)| *from).chain(more.iter().copied());
        let wanted = Wanted::new(names);
        let of_row = |(from, to, how): &Row| (*to, Source::Field(wanted.slot(from), *how));
        let made = made.iter().map(|(to, make)| (*to, Source::Made(*make)));
        let rows: Vec<_> = rows.iter().map(of_row).collect();
        let mut nested: Vec<_> = made.chain(rows.iter().copied()).collect();
        nested.sort_by_key(|(to, _)| to.split('.').collect::<Vec<_>>());
        Plan { wanted, rows, nested }
    }
}

impl Source {
    /// The value as JSON, for whoever takes it.
    pub(super) fn with(self, event: &Event<'_>, take: impl FnOnce(&str)) -> bool {
        match self {
            Source::Field(slot, How::Same) => event.fields.at(slot).map(take).is_some(),
            Source::Field(slot, how) => {
                let value = event.fields.at(slot).and_then(|raw| how.apply(raw));
                value.map(|value| take(&value)).is_some()
            }
            Source::Made(make) => make(event).map(|value| take(&value)).is_some(),
        }
    }
}

/// An event to be written in another form.
pub(super) struct Event<'a> {
    pub(super) fields: &'a Fields<'a>,
    pub(super) plan: &'a Plan,
    pub(super) is_finding: bool,
    pub(super) kind: EventKind,
    pub(super) level: Level,
}

impl<'a> Event<'a> {
    /// The value of a field as JSON, by its dotted name. The plan must want it.
    pub(super) fn get(&self, field: &str) -> Option<&'a str> {
        self.fields.get(field)
    }

    /// The text of a field; none is empty.
    pub(super) fn text(&self, field: &str) -> Cow<'a, str> {
        self.get(field).filter(|json| json.starts_with('"')).map(plain).unwrap_or_default()
    }

    /// The texts of a field that is a list.
    pub(super) fn texts(&self, field: &str) -> Vec<String> {
        self.get(field).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// Each value of the table that the event has, in its order: name and JSON.
    pub(super) fn each(&self, mut take: impl FnMut(&'static str, &str)) {
        for (name, source) in &self.plan.rows {
            source.with(self, |value| take(name, value));
        }
    }
}

/// Writes an object with objects in it, member by member, in sorted order.
pub(super) struct Nest<'o> {
    out: &'o mut String,
    /// The objects that are open, and whether the innermost has no member yet.
    open: Vec<&'static str>,
    is_empty: bool,
}

impl<'o> Nest<'o> {
    /// Begins the object.
    pub(super) fn new(out: &'o mut String) -> Nest<'o> {
        out.push('{');
        Nest { out, open: Vec::new(), is_empty: true }
    }

    /// Writes the values of an event that a plan has, sorted.
    pub(super) fn all(&mut self, rows: &[(&'static str, Source)], event: &Event<'_>) {
        let mut last = "";
        for (name, source) in rows {
            if *name != last && source.with(event, |value| self.put(name, value)) {
                last = name;
            }
        }
    }

    /// Writes a member under a dotted name.
    fn put(&mut self, name: &'static str, value: &str) {
        let (parents, own) = name.rsplit_once('.').unwrap_or(("", name));
        let mut parents = parents.split('.').filter(|parent| !parent.is_empty()).peekable();
        let mut depth = 0;
        while self.open.get(depth).is_some_and(|open| parents.peek() == Some(open)) {
            (depth, _) = (depth + 1, parents.next());
        }
        while self.open.len() > depth {
            self.out.push('}');
            (_, self.is_empty) = (self.open.pop(), false);
        }
        for parent in parents {
            self.begin(parent);
            self.out.push('{');
            self.open.push(parent);
            self.is_empty = true;
        }
        self.begin(own);
        self.out.push_str(value);
    }

    fn begin(&mut self, name: &str) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(',');
        }
        // Names are those of tables: they have nothing to escape.
        for part in ["\"", name, "\":"] {
            self.out.push_str(part);
        }
    }

    /// Ends the object; whether it has any member.
    pub(super) fn end(self) -> bool {
        let is_empty = self.is_empty && self.open.is_empty();
        self.open.iter().for_each(|_| self.out.push('}'));
        self.out.push('}');
        !is_empty
    }
}
