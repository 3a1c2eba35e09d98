//! The lines of the output files.
//!
//! Owns: which table each kind of line uses. In: records, sums, endpoints, alerts, incidents. Out:
//! bytes appended to a buffer. Never: a field that is not in the tables of `model::schema`.

use crate::emit::line::{put_line, put_next_line};
use crate::emit::{Origin, Repeated};
use crate::explain::{self, Flat};
use crate::model::endpoint::EndpointRow;
use crate::model::finding::{Advice, Finding};
use crate::model::scan::Scan;
use crate::model::{Alert, Incident, Record};

/// Appends a session's line, ending in a newline.
///
/// `@timestamp` is the last packet's time, as in Suricata and Packetbeat: a search for "the last
/// hour" then finds every session that ended in it. The first packet's time is `event.start`.
pub fn render_session(record: &Record, origin: &Origin, out: &mut Vec<u8>) {
    put_line(record, origin, out);
}

/// The same of one of many sessions, whose lines repeat texts of others.
pub fn render_next_session(
    record: &Record,
    origin: &Origin,
    repeated: &mut Repeated,
    out: &mut Vec<u8>,
) {
    put_next_line(record, origin, repeated, out);
}

/// Appends the line of a sum of unanswered sessions.
pub fn render_scan(scan: &Scan, origin: &Origin, out: &mut Vec<u8>) {
    put_line(scan, origin, out);
}

/// Appends an endpoint's line.
pub fn render_endpoint(row: &EndpointRow, origin: &Origin, out: &mut Vec<u8>) {
    put_line(row, origin, out);
}

/// Appends an alert's line.
pub fn render_alert(alert: &Alert, advice: Advice<'_>, origin: &Origin, out: &mut Vec<u8>) {
    put_explained(Finding::of_alert(alert, advice), origin, out);
}

/// Appends an incident's line.
pub fn render_incident(
    incident: &Incident,
    advice: Advice<'_>,
    origin: &Origin,
    out: &mut Vec<u8>,
) {
    put_explained(Finding::of_incident(incident, advice), origin, out);
}

/// Writes the line, explains it, and writes it again with the explanation: so that who explains a
/// line that was read from a file says the same.
fn put_explained(mut finding: Finding, origin: &Origin, out: &mut Vec<u8>) {
    let start = out.len();
    put_line(&finding, origin, out);
    if let Ok(line) = Flat::parse(out.get(start..).unwrap_or_default()) {
        finding.explanation = explain::finding(&line).sentences();
        out.truncate(start);
        put_line(&finding, origin, out);
    }
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod alert_tests;
#[cfg(test)]
#[path = "app_facts_tests.rs"]
mod app_facts_tests;
#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod endpoint_tests;
#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
