//! `longhaul timeline`: one subject, day by day, for readers who are no analysts.
//!
//! Owns: which facts of a day are told. In: finished results, the id or name of a subject. Out:
//! text. Never: a judgement of its own, or a guess between two subjects.

use std::collections::{BTreeMap, BTreeSet};

use super::html::session::{Refuted, Session};
use super::html::words::{km, millis, time};
use crate::explain::{Flat, put_fact};
use crate::model::escape::escaped;
use crate::model::near_words::distance;
use crate::model::physics::KM_PER_RTT_MS_FIBRE;
use crate::model::{Error, Nanos, units};
use crate::results::Results;

/// Days that are told: the last ones.
const DAYS_MAX: usize = 62;
/// Most days that are told apart.
const DAYS_KEPT: usize = 4_000;
/// Addresses, programs, tools and findings of a day.
const FACTS_MAX: usize = 8;
/// Most of them that are told apart; more are counted.
const FACTS_KEPT: usize = 256;
/// Incidents whose lines are known to be of one.
const INCIDENTS_KEPT: usize = 10_000;
/// Subjects that are remembered to name the nearest.
const SUBJECTS_MAX: usize = 100_000;
const DAY: u64 = 86_400_000_000_000;

/// What was seen at or of a remote address on a day.
#[derive(Debug, Default)]
struct Place {
    is_origin: bool,
    sessions: u64,
    rtt_us: Option<f64>,
    about: String,
    refuted: Refuted,
}

/// One day.
#[derive(Debug, Default)]
struct Day {
    sessions: u64,
    bytes: u64,
    first: Option<Nanos>,
    last: Option<Nanos>,
    places: BTreeMap<String, Place>,
    programs: BTreeMap<String, u64>,
    tools: BTreeSet<String>,
    /// By id: an incident has a line for each of its changes, and the last one is told.
    findings: BTreeMap<String, (Option<Nanos>, String)>,
    /// Sessions with what has no room above, and findings.
    beyond: Beyond,
}

/// What is only counted, because the sets of a day are full.
#[derive(Debug, Default)]
struct Beyond {
    places: u64,
    programs: u64,
    tools: u64,
    findings: u64,
}

/// The days of a subject.
#[derive(Debug, Default)]
pub struct Timeline {
    id: String,
    name: Option<String>,
    days: BTreeMap<u64, Day>,
    /// Sessions of days beyond the cap.
    more: u64,
    limits: BTreeSet<String>,
    steps: BTreeSet<String>,
    /// Times that one of these had no room.
    more_texts: u64,
    /// When an incident began, by its first line.
    incidents: BTreeMap<String, Nanos>,
    others: BTreeSet<(String, Option<String>)>,
}

impl Timeline {
    /// Reads the lines of a subject, given by id or name.
    ///
    /// Errors: those of reading, and a subject that nothing is about.
    pub fn read(results: &Results, subject: &str) -> Result<Timeline, Error> {
        // Whoever has the id is meant, whatever others are called.
        let (mut exact, mut named) = (None::<Timeline>, Timeline::default());
        let wanted = subject.to_lowercase();
        let mut found = BTreeSet::new();
        for file in ["incidents.ndjson", "alerts.ndjson", "sessions.ndjson"] {
            results.each(file, |line| {
                let Some(id) = line.text("longhaul.subject.id") else { return Ok(()) };
                let name = line.text("longhaul.subject.name");
                if id == subject {
                    exact.get_or_insert_default().add(file, name, line);
                } else if exact.is_some() {
                    return Ok(());
                } else if name.is_some_and(|of| of.to_lowercase() == wanted) {
                    found.insert(id.to_owned());
                    named.add(file, name, line);
                } else if named.others.len() < SUBJECTS_MAX {
                    named.others.insert((id.to_owned(), name.map(str::to_owned)));
                }
                Ok(())
            })?;
        }
        if let Some(all) = exact {
            return Ok(Timeline { id: subject.to_owned(), ..all });
        }
        let what = format!("subject {subject}");
        let mut ids = found.into_iter();
        match (ids.next(), ids.next()) {
            (Some(id), None) => Ok(Timeline { id, ..named }),
            (Some(one), Some(other)) => {
                let cause = format!("several have that name: {one}, {other}");
                Err(Error::new(what, cause).help("give the id"))
            }
            (None, _) => {
                let cause = "no alert, incident or session is about it";
                Err(Error::new(what, cause).help(named.nearest(&wanted)))
            }
        }
    }

    fn add(&mut self, file: &str, name: Option<&str>, line: &Flat) {
        self.name = self.name.take().or_else(|| name.map(str::to_owned));
        match file {
            "sessions.ndjson" => self.add_session(line),
            _ => self.add_finding(line),
        }
    }

    /// The subjects whose names are most like one.
    fn nearest(&self, wanted: &str) -> String {
        let mut all: Vec<(usize, String)> = Vec::new();
        for (id, name) in &self.others {
            let far = |text: &str| {
                let text = text.to_lowercase();
                if text.contains(wanted) { 0 } else { distance(&text, wanted) }
            };
            let least = name.as_deref().map_or(usize::MAX, far).min(far(id));
            let shown = name.as_ref().map_or(id.clone(), |name| format!("{id} ({name})"));
            all.push((least, shown));
        }
        all.sort();
        let names: Vec<String> = all.into_iter().take(5).map(|of| of.1).collect();
        if names.is_empty() {
            return "these results are about nobody: give another directory".to_owned();
        }
        format!("the nearest are: {}", names.join(", "))
    }

    fn day(&mut self, at: Option<Nanos>) -> Option<&mut Day> {
        let day = at?.0 / DAY;
        if self.days.len() >= DAYS_KEPT && !self.days.contains_key(&day) {
            self.more += 1;
            return None;
        }
        Some(self.days.entry(day).or_default())
    }

    fn add_session(&mut self, line: &Flat) {
        if line.text("event.action") == Some("session-update") {
            return;
        }
        let session = Session::of(line);
        let Some(day) = self.day(session.start) else { return };
        day.sessions += 1;
        day.bytes = day.bytes.saturating_add(session.bytes);
        day.first = day.first.or(session.start).min(session.start);
        day.last = day.last.max(session.end);
        let program = session.program().to_owned();
        if day.programs.len() < FACTS_KEPT || day.programs.contains_key(&program) {
            *day.programs.entry(program).or_default() += 1;
        } else {
            day.beyond.programs += 1;
        }
        let control = session.tool.as_ref().map(|tool| format!("remote control with {tool}"));
        let looks = session.class.as_deref() == Some("remote_control");
        let looks = looks.then(|| "traffic that looks like remote control".to_owned());
        let tags = session.tags.iter().filter(|tag| {
            ["rmm:", "vpn:", "proxy:", "mesh:", "kvm:"].iter().any(|kind| tag.starts_with(kind))
        });
        for tool in control.into_iter().chain(looks).chain(tags.cloned()) {
            if !keep(tool, &mut day.tools) {
                day.beyond.tools += 1;
            }
        }
        let Some(remote) = &session.remote else { return };
        if day.places.len() >= FACTS_KEPT && !day.places.contains_key(remote) {
            day.beyond.places += 1;
            return;
        }
        let place = day.places.entry(remote.clone()).or_default();
        place.is_origin |= session.is_inbound;
        place.sessions += 1;
        place.refuted = place.refuted.or(session.refuted);
        place.rtt_us = match (place.rtt_us, session.remote_us) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if place.about.is_empty() {
            let about = [&session.owner, &session.place];
            let about: Vec<&str> = about.iter().filter_map(|of| of.as_deref()).collect();
            place.about = about.join(", ");
        }
    }

    fn add_finding(&mut self, line: &Flat) {
        let at = time(line, "event.start");
        let is_incident = line.text("event.dataset") == Some("longhaul.incident");
        let kind = if is_incident { "Incident" } else { "Alert" };
        let change = line.text("longhaul.change").map_or(String::new(), |word| format!(" {word}"));
        let text = format!(
            "{kind}{change}, level {}: {} [{}]",
            line.text("log.level").unwrap_or("unknown"),
            line.text("message").unwrap_or_default(),
            line.text("event.id").unwrap_or_default(),
        );
        for (name, set) in [
            ("longhaul.does_not_prove", &mut self.limits),
            ("longhaul.next_steps", &mut self.steps),
        ] {
            for text in line.texts(name) {
                self.more_texts += u64::from(!keep(text.to_owned(), set));
            }
        }
        let id = line.text("event.id").unwrap_or_default().to_owned();
        let known = self.incidents.get(&id).copied();
        let is_full = self.incidents.len() >= INCIDENTS_KEPT;
        let at = known.or(at);
        if is_incident
            && !is_full
            && let Some(at) = at
        {
            self.incidents.insert(id.clone(), at);
        }
        // Of an incident that is not remembered only its first line counts.
        let is_new = known.is_none() && (!is_incident || !is_full || change == " opened");
        let Some(day) = self.day(at) else { return };
        if let Some((_, told)) = day.findings.get_mut(&id) {
            *told = text;
        } else if day.findings.len() < FACTS_KEPT {
            day.findings.insert(id, (at, text));
        } else if is_new {
            day.beyond.findings += 1;
        }
    }

    /// Text for a terminal of so many columns.
    pub fn text(&self, width: usize, colour: bool) -> String {
        let mut out = String::new();
        let (on, off) = if colour { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        let head = |text: &str, out: &mut String| {
            let line = if out.is_empty() { "" } else { "\n" };
            out.push_str(&format!("{line}{on}{}{off}\n", escaped(text)));
        };
        let name = self.name.as_ref().filter(|name| **name != self.id);
        let title = name.map_or(self.id.clone(), |name| format!("{name} ({})", self.id));
        head(&title, &mut out);
        put_fact(&self.summary(), width, &mut out);
        let left_out = self.days.len().saturating_sub(DAYS_MAX);
        if left_out > 0 || self.more > 0 {
            let text = format!(
                "{left_out} earlier days, and {} lines of days beyond the cap, are not told here: \
                 see sessions.ndjson.",
                self.more
            );
            put_fact(&text, width, &mut out);
        }
        for (number, day) in self.days.iter().skip(left_out) {
            head(&format!("{} {}", Nanos(number * DAY).date(), weekday(*number)), &mut out);
            day.facts(*number).iter().for_each(|fact| put_fact(fact, width, &mut out));
        }
        for (title, texts) in
            [("What to do next", &self.steps), ("What it does not prove", &self.limits)]
        {
            if !texts.is_empty() {
                head(title, &mut out);
                texts.iter().for_each(|text| put_fact(text, width, &mut out));
            }
        }
        if self.more_texts > 0 {
            let text = format!(
                "Of what to do next and what it does not prove, {} more are not told here: see \
                 alerts.ndjson and incidents.ndjson.",
                units::number_of(self.more_texts as usize, "sentence")
            );
            put_fact(&text, width, &mut out);
        }
        out
    }

    fn summary(&self) -> String {
        let sessions: u64 = self.days.values().map(|day| day.sessions).sum();
        let findings: u64 = self.days.values().map(Day::findings).sum();
        format!(
            "{} on {}, {}. Times are UTC; a session stands on the \
             day on which it began.",
            units::number_of(sessions as usize, "session"),
            units::number_of(self.days.len(), "day"),
            units::number_of(findings as usize, "finding"),
        )
    }
}

impl Day {
    fn findings(&self) -> u64 {
        self.beyond.findings + self.findings.len() as u64
    }

    fn facts(&self, number: u64) -> Vec<String> {
        let mut all = Vec::new();
        // With its date if that is not the heading's.
        let clock = |at: Option<Nanos>| {
            let text = at.map(units::moment).unwrap_or_default();
            let is_here = at.is_some_and(|at| at.0 / DAY == number);
            text.get(if is_here { 11..16 } else { 0..16 }).unwrap_or("unknown").to_owned()
        };
        if self.sessions > 0 {
            all.push(format!(
                "{}, the first began at {}, the last ended at {}; {}.",
                units::number_of(self.sessions as usize, "session"),
                clock(self.first),
                clock(self.last),
                units::bytes(self.bytes),
            ));
        }
        let mut places: Vec<_> = self.places.iter().collect();
        let rank = |of: &Place| (of.refuted.any(), of.is_origin, of.sessions);
        places.sort_by(|a, b| rank(b.1).cmp(&rank(a.1)).then_with(|| a.0.cmp(b.0)));
        all.extend(places.iter().take(FACTS_MAX).map(|(ip, place)| place.fact(ip)));
        more(places.len() as u64, "other addresses", &mut all);
        beyond(self.beyond.places, "sessions with further addresses", &mut all);
        let mut programs: Vec<_> = self.programs.iter().collect();
        programs.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        let named = programs.iter().take(FACTS_MAX).map(|(name, n)| format!("{name} {n}"));
        let named: Vec<String> = named.collect();
        if !named.is_empty() {
            all.push(format!("Programs and protocols, by sessions: {}.", named.join(", ")));
        }
        more(programs.len() as u64, "programs or protocols", &mut all);
        beyond(self.beyond.programs, "sessions of further programs", &mut all);
        let tools: Vec<&str> = self.tools.iter().map(String::as_str).take(FACTS_MAX).collect();
        if !tools.is_empty() {
            all.push(format!("Tools: {}.", tools.join(", ")));
        }
        more(self.tools.len() as u64, "tools", &mut all);
        beyond(self.beyond.tools, "signs of further tools", &mut all);
        let mut findings: Vec<_> = self.findings.values().collect();
        findings.sort();
        let told = findings.iter().take(FACTS_MAX);
        all.extend(told.map(|(at, text)| format!("{} {text}", clock(*at))));
        more(self.findings(), "alerts or incidents", &mut all);
        all
    }
}

impl Place {
    fn fact(&self, ip: &str) -> String {
        let mut text = String::from(if self.is_origin { "From " } else { "To " });
        text.push_str(ip);
        if !self.about.is_empty() {
            text.push_str(&format!(" [{}]", self.about));
        }
        text.push_str(&format!(", {}", units::number_of(self.sessions as usize, "session")));
        if let Some(us) = self.rtt_us {
            let reach = km(us / 1_000.0 * KM_PER_RTT_MS_FIBRE);
            let ms = millis(us);
            text.push_str(&format!("; round trip {ms} at the least, so within {reach} by fibre"));
        }
        if let Some(whose) = self.refuted.words() {
            text.push_str(&format!("; too far away for that: the place that the {whose} claims"));
        }
        text.push('.');
        text
    }
}

/// Adds a text to a set; whether it is in there.
fn keep(text: String, set: &mut BTreeSet<String>) -> bool {
    (set.len() < FACTS_KEPT || set.contains(&text)) && {
        set.insert(text);
        true
    }
}

fn more(count: u64, noun: &str, all: &mut Vec<String>) {
    let left = count.saturating_sub(FACTS_MAX as u64);
    if left > 0 {
        all.push(format!("And {left} more {noun}."));
    }
}

/// What is known by its number only.
fn beyond(count: u64, noun: &str, all: &mut Vec<String>) {
    if count > 0 {
        all.push(format!("Beyond these, {count} {noun}, which are not told apart."));
    }
}

/// The name of a day since 1970-01-01, a Thursday.
const fn weekday(day: u64) -> &'static str {
    match day % 7 {
        0 => "Thursday",
        1 => "Friday",
        2 => "Saturday",
        3 => "Sunday",
        4 => "Monday",
        5 => "Tuesday",
        _ => "Wednesday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_the_names_of_the_calendar() {
        let day = |date: &str| weekday(Nanos::from_date(date).unwrap().0 / DAY);
        assert_eq!(day("1970-01-01"), "Thursday");
        assert_eq!(day("2026-11-28"), "Saturday");
        assert_eq!(day("2000-02-29"), "Tuesday");
    }
}
