//! Events in the words of others: OCSF, CEF, LEEF, and EVE as Suricata writes it.
//!
//! Owns: for each of them one table, from our field to theirs. In: a line of ECS JSON, as the files
//! have it. Out: a line of the other form. Never: a field that is not in the tables, or that the
//! line lacks.

mod cef;
mod eve;
mod leef;
mod map;
mod ocsf;

use serde_json::Value;

use crate::model::{EventKind, Form, Level};

/// The table of a form, as Markdown: our field, theirs, and what is done to the value.
pub fn mapping(form: Form) -> String {
    let tables: &[(&str, &[map::Row])] = match form {
        Form::Ecs => return "Fields keep their names: see `longhaul fields`.\n".to_owned(),
        Form::Ocsf => &[
            ("Network Activity (4001): sessions", ocsf::SESSION),
            ("Detection Finding (2004): alerts and incidents", ocsf::FINDING),
        ],
        Form::Cef => &[("Sessions", cef::SESSION), ("Alerts and incidents", cef::FINDING)],
        Form::Leef => &[("Sessions", leef::SESSION), ("Alerts and incidents", leef::FINDING)],
        Form::Eve => {
            &[("flow: sessions", eve::SESSION), ("alert: alerts and incidents", eve::FINDING)]
        }
    };
    tables.iter().map(|(title, rows)| map::markdown(title, rows)).collect()
}

/// Appends the line of an event, without its end. Nothing for kinds that the form lacks.
///
/// Errors: the line is no JSON.
pub fn render(
    form: Form,
    (kind, level): (EventKind, Level),
    line: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    if form == Form::Ecs {
        out.extend_from_slice(line);
        return Ok(());
    }
    if !form.has(kind) {
        return Ok(());
    }
    let event: Value = serde_json::from_slice(line)?;
    let event = Event { value: &event, is_finding: is_finding(kind), kind, level };
    match form {
        Form::Ecs => {}
        Form::Ocsf => ocsf::render(&event, out),
        Form::Cef => cef::render(&event, out),
        Form::Leef => leef::render(&event, out),
        Form::Eve => eve::render(&event, out),
    }
    Ok(())
}

const fn is_finding(kind: EventKind) -> bool {
    matches!(kind, EventKind::Alert | EventKind::Incident)
}

/// The value of a field of a line of JSON, by its dotted name.
pub use map::get;

/// An event to be written in another form.
struct Event<'a> {
    value: &'a Value,
    is_finding: bool,
    kind: EventKind,
    level: Level,
}

impl<'a> Event<'a> {
    /// The value of a field by its dotted name.
    fn get(&self, field: &str) -> Option<&'a Value> {
        map::get(self.value, field)
    }

    fn text(&self, field: &str) -> &'a str {
        self.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
