//! Events in the words of others: OCSF, CEF, LEEF, and EVE as Suricata writes it.
//!
//! Owns: for each of them one table, from our field to theirs. In: a line of ECS JSON, as the files
//! have it. Out: a line of the other form. Never: a field that is not in the tables, or that the
//! line lacks.

mod cef;
mod eve;
mod fields;
mod leef;
mod map;
mod ocsf;
mod plan;

use crate::formats::plan::{Event, Plans};
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
    let is_finding = is_finding(kind);
    let ((of_session, of_finding), write): (&Plans, Write) = match form {
        Form::Ecs => return Ok(()),
        Form::Ocsf => (&ocsf::PLANS, ocsf::render),
        Form::Cef => (&cef::PLANS, cef::render),
        Form::Leef => (&leef::PLANS, leef::render),
        Form::Eve => (&eve::PLANS, eve::render),
    };
    let plan = if is_finding { of_finding } else { of_session };
    let fields = plan.wanted.read(line)?;
    let event = Event { fields: &fields, plan, is_finding, kind, level };
    let mut text = String::with_capacity(line.len());
    write(&event, &mut text);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

type Write = fn(&Event<'_>, &mut String);

const fn is_finding(kind: EventKind) -> bool {
    matches!(kind, EventKind::Alert | EventKind::Incident)
}

/// The value of a field of a line of JSON, by its dotted name.
pub use map::get;

#[cfg(test)]
mod tests;
