//! Finds an alert, incident or session by its id, with what belongs to it.
//!
//! Owns: the search, and which other lines go with a line. In: results, an id or the beginning of
//! one. Out: its line, or an explanation. Never: a guess between two events.

use std::borrow::Cow;

use serde::Deserialize;

use crate::explain::{self, Explanation, Flat};
use crate::model::Error;
use crate::results::{Results, parse};

/// Fewest digits of an id, and all of them.
const DIGITS_MIN: usize = 8;
const DIGITS_MAX: usize = 32;

/// `event.dataset` of a session.
const SESSION: &str = "longhaul.session";

/// Other lines that are named.
const RELATED_MAX: usize = 32;

/// Ids that an unknown one may have been meant to be: at most so many, that differ in so many
/// digits, or begin with so many equal ones.
const NEAR_MAX: usize = 3;
const DIFFER_MAX: usize = 2;
const BEGINS_MIN: usize = 6;

/// The lines that go with an event.
#[derive(Default)]
struct Related {
    alerts: Vec<String>,
    incidents: Vec<String>,
    history: Vec<String>,
}

/// What an event was found to be, last line of it.
#[derive(Clone, Debug)]
pub enum Event {
    /// An alert or incident.
    Finding(Flat),
    /// A session.
    Session(Flat),
}

impl Event {
    /// Its line.
    pub fn line(&self) -> &Flat {
        let (Event::Finding(line) | Event::Session(line)) = self;
        line
    }
}

/// Explains the event of an id.
///
/// Errors: no event or several have it.
pub fn explain(results: &Results, id: &str) -> Result<Explanation, Error> {
    let event = find(results, id)?;
    let full = event.line().text("event.id").unwrap_or(id).to_owned();
    Ok(tell(&event, related(results, &full)?, &results.inputs()?))
}

/// The event of an id.
///
/// Errors: no event or several have it.
pub fn find(results: &Results, id: &str) -> Result<Event, Error> {
    find_exactly(results, id)?.map_or_else(|| Err(unknown(results, id)?), Ok)
}

/// The same, and none if no line has it: nothing that it may have been meant to be is looked for.
///
/// Errors: several have it; a damaged line.
pub fn find_exactly(results: &Results, id: &str) -> Result<Option<Event>, Error> {
    let is_hex = id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !(DIGITS_MIN..=DIGITS_MAX).contains(&id.len()) || !is_hex {
        let cause = format!("an id has {DIGITS_MIN} to {DIGITS_MAX} digits of 0-9 and a-f");
        return Err(Error::new(format!("event {id}"), cause).help(HELP));
    }
    let mut found = Vec::new();
    for file in ["incidents.ndjson", "alerts.ndjson"] {
        collect(results, file, id, &mut |line| keep(&mut found, Event::Finding(line)))?;
    }
    if found.is_empty() {
        let keep_session = &mut |line| keep(&mut found, Event::Session(line));
        collect(results, "sessions.ndjson", id, keep_session)?;
    }
    if found.len() > 1 {
        let ids = found.iter().filter_map(|event| event.line().text("event.id"));
        return Err(several(id, ids));
    }
    Ok(found.pop())
}

/// The events of several ids begin so.
pub fn several<'a>(id: &str, ids: impl Iterator<Item = &'a str>) -> Error {
    let ids: Vec<&str> = ids.collect();
    let first = ids.get(..8).unwrap_or(&ids);
    let cause = format!("{} events begin so: {}", ids.len(), first.join(", "));
    Error::new(format!("event {id}"), cause).help("give more digits")
}

/// What is said of an id that no line has.
///
/// Errors: those of reading.
pub fn unknown(results: &Results, id: &str) -> Result<Error, Error> {
    let what = format!("event {id}");
    if results.files("sessions.ndjson").is_empty() {
        let cause = "no alert or incident has it, and no sessions were written";
        return Ok(Error::new(what, cause)
            .help("run again without --no-sessions, or take the id of an alert"));
    }
    let near = near(results, id)?;
    let help = match near.is_empty() {
        true => HELP.to_owned(),
        false => format!("did you mean {}?", near.join(" or ")),
    };
    Ok(Error::new(what, "no alert, incident or session has it").help(help))
}

/// Ids that differ from this one in few digits, or begin like it; the nearest first.
fn near(results: &Results, id: &str) -> Result<Vec<String>, Error> {
    let mut all: Vec<(usize, String)> = Vec::new();
    let mut keep = |own: &str| {
        let begins = own.bytes().zip(id.bytes()).take_while(|(a, b)| a == b).count();
        let differ = own.bytes().zip(id.bytes()).filter(|(a, b)| a != b).count();
        let far = if begins >= BEGINS_MIN { differ.min(DIFFER_MAX) } else { differ };
        let known = all.iter().any(|(_, have)| have == own);
        if far > DIFFER_MAX || known {
            return;
        }
        all.push((far, own.to_owned()));
        all.sort();
        all.truncate(NEAR_MAX);
    };
    for file in ["incidents.ndjson", "alerts.ndjson", "sessions.ndjson"] {
        results.each_line(file, |line| {
            let read: Result<WithId<'_>, _> = serde_json::from_slice(line);
            let read = read.map_err(|error| format!("it is no event: {error}"))?;
            keep(&read.event.id);
            Ok(())
        })?;
    }
    Ok(all.into_iter().map(|(_, id)| id).collect())
}

/// What is read of a line that is only asked for its id.
#[derive(Deserialize)]
struct WithId<'a> {
    #[serde(borrow)]
    event: IdOnly<'a>,
}

#[derive(Deserialize)]
struct IdOnly<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

const HELP: &str = "`event.id` of alerts.ndjson, incidents.ndjson or sessions.ndjson, and the \
                    directory it is in";

/// The last line of an event stands for it: an incident has one for each change.
fn keep(found: &mut Vec<Event>, event: Event) {
    let id = event.line().text("event.id").map(str::to_owned);
    match found.iter_mut().find(|have| have.line().text("event.id") == id.as_deref()) {
        Some(have) => *have = event,
        None => found.push(event),
    }
}

/// Calls `each` with the lines whose own id begins so. Most lines are not parsed.
fn collect(
    results: &Results,
    file: &str,
    id: &str,
    each: &mut dyn FnMut(Flat),
) -> Result<(), Error> {
    results.each_line_with(file, &[id.as_bytes()], |line| {
        let line = parse(line)?;
        if !line.text("event.id").is_some_and(|own| own.starts_with(id)) {
            return Ok(true);
        }
        // No other session has all digits of its id; that of an open one has more lines.
        let is_last = id.len() == DIGITS_MAX
            && line.text("event.dataset") == Some(SESSION)
            && line.number("longhaul.update").is_none();
        each(line);
        Ok(!is_last)
    })?;
    Ok(())
}

/// Explains an event among lines that name it, without files.
pub fn explain_among(event: &Event, id: &str, alerts: &[Flat], incidents: &[Flat]) -> Explanation {
    let mut all = Related::default();
    alerts.iter().for_each(|alert| all.alert(alert, id));
    incidents.iter().for_each(|incident| all.incident(incident, id));
    tell(event, all, &[])
}

/// The alerts and incidents that name an event.
fn related(results: &Results, id: &str) -> Result<Related, Error> {
    let mut all = Related::default();
    results.each_line_with("alerts.ndjson", &[id.as_bytes()], |line| {
        all.alert(&parse(line)?, id);
        Ok(true)
    })?;
    results.each_line_with("incidents.ndjson", &[id.as_bytes()], |line| {
        all.incident(&parse(line)?, id);
        Ok(true)
    })?;
    Ok(all)
}

impl Related {
    fn alert(&mut self, alert: &Flat, id: &str) {
        if alert.text("event.id") != Some(id) && self.alerts.len() < RELATED_MAX {
            self.alerts.push(named(alert));
        }
    }

    fn incident(&mut self, incident: &Flat, id: &str) {
        let (own, texts) = match incident.text("event.id") == Some(id) {
            true => (true, &mut self.history),
            false => (false, &mut self.incidents),
        };
        if texts.len() < RELATED_MAX {
            texts.push(if own { change(incident) } else { named(incident) });
        }
    }
}

fn named(line: &Flat) -> String {
    let id = line.text("event.id").unwrap_or_default();
    let rule = match line.text("event.dataset") {
        Some("longhaul.incident") => "incident",
        _ => line.text("rule.id").unwrap_or_default(),
    };
    let message: String = line.text("message").unwrap_or_default().chars().take(255).collect();
    format!("{rule} {id}: {message}")
}

fn change(line: &Flat) -> String {
    let change = line.text("longhaul.change").unwrap_or("reported");
    let level = line.text("log.level").unwrap_or("unknown");
    let score = line.number("longhaul.score").unwrap_or_default();
    let groups = line.texts("longhaul.groups").join(", ");
    format!("{change}: level {level}, probability {score:.2}, groups {groups}")
}

fn tell(event: &Event, related: Related, inputs: &[String]) -> Explanation {
    let mut all = match event {
        Event::Finding(line) => explain::finding(line),
        Event::Session(line) => explain::session(line, inputs),
    };
    if related.history.len() > 1 {
        all.add("How the incident went", related.history);
    }
    let members = match event {
        Event::Finding(line) => line.objects("longhaul.alerts"),
        Event::Session(_) => Vec::new(),
    };
    let ids = members.iter().filter_map(|alert| {
        Some(format!("{} {}", alert.text("rule.id")?, alert.text("event.id")?))
    });
    let ids: Vec<String> = ids.collect();
    all.add("Alerts in it", ids);
    all.add("Incidents it is part of", related.incidents);
    all.add("Alerts that name it", related.alerts);
    all
}
