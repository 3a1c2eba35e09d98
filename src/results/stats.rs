//! How often each rule fires at a site.
//!
//! Owns: hits of rules, subjects hit, and what they are measured against. In: results. Out: counts
//! and rates. Never: a rate against something that was not counted.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Deserialize;

use crate::explain::Flat;
use crate::model::{Error, RuleInfo};
use crate::results::Results;

/// Most subjects and days that are told apart; with more, rates are upper bounds.
const SUBJECTS_MAX: usize = 4 << 20;
const DAYS_MAX: usize = 100_000;

/// What hits are measured against.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Base {
    /// Sessions of the runs.
    pub sessions: u64,
    /// Subjects of the session lines; none if no session lines were written.
    pub subjects: Option<u64>,
    /// There were more than were told apart.
    pub more_subjects: bool,
    /// Days (UTC) with sessions, or with alerts if no session lines were written.
    pub days: u64,
}

/// How often one rule fired.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleStats {
    /// Catalogue number, name and level.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its level.
    pub level: String,
    /// Alerts.
    pub alerts: u64,
    /// Alerts with those that were merged into them.
    pub hits: u64,
    /// Subjects hit.
    pub subjects: u64,
    /// Incidents that it is part of.
    pub incidents: u64,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// What the hits are measured against.
    pub base: Base,
    /// Rules that fired, by number and level.
    pub rules: Vec<RuleStats>,
    /// Rules that did not.
    pub quiet: Vec<String>,
    /// Incidents, each once.
    pub incidents: u64,
    /// Subjects of incidents.
    pub incident_subjects: u64,
}

impl Base {
    /// So many of a thousand sessions.
    pub fn per_1000_sessions(&self, n: u64) -> Option<f64> {
        (self.sessions > 0).then(|| n as f64 * 1_000.0 / self.sessions as f64)
    }

    /// So many of a thousand subjects on a day.
    pub fn per_1000_subject_days(&self, n: u64) -> Option<f64> {
        let days = self.subjects? * self.days;
        (days > 0).then(|| n as f64 * 1_000.0 / days as f64)
    }
}

/// What is read of a session's line.
#[derive(Deserialize)]
struct SessionLine<'l> {
    #[serde(rename = "@timestamp", borrow)]
    time: &'l str,
    #[serde(borrow)]
    longhaul: Option<SubjectOf<'l>>,
}

#[derive(Deserialize)]
struct SubjectOf<'l> {
    #[serde(borrow)]
    subject: Option<Id<'l>>,
}

#[derive(Deserialize)]
struct Id<'l> {
    #[serde(borrow)]
    id: std::borrow::Cow<'l, str>,
}

/// One rule while it is counted.
#[derive(Default)]
struct Tally {
    name: String,
    alerts: u64,
    hits: u64,
    subjects: HashSet<Box<str>>,
    incidents: u64,
}

/// Counts the results; `rules` are those that might have fired.
pub fn stats(results: &Results, rules: &[RuleInfo]) -> Result<Stats, Error> {
    let mut base = count_base(results)?;
    let mut days = BTreeSet::new();
    let mut tallies: BTreeMap<(String, String), Tally> = BTreeMap::new();
    let mut level_of: BTreeMap<String, String> = BTreeMap::new();
    results.each("alerts.ndjson", |line| {
        let (Some(id), Some(level)) = (line.text("rule.id"), line.text("log.level")) else {
            return Err("an alert without rule or level".to_owned());
        };
        if let Some(event) = line.text("event.id").filter(|_| level_of.len() < SUBJECTS_MAX) {
            level_of.insert(event.to_owned(), level.to_owned());
        }
        days.extend(day_of(line).filter(|_| days.len() < DAYS_MAX));
        let tally = tallies.entry((id.to_owned(), level.to_owned())).or_default();
        tally.take(line);
        Ok(())
    })?;
    let (incidents, incident_subjects) = count_incidents(results, &level_of, &mut tallies)?;
    if base.days == 0 {
        base.days = days.len() as u64;
    }
    let fired: HashSet<(&str, &str)> =
        tallies.keys().map(|(id, level)| (id.as_str(), level.as_str())).collect();
    let mut quiet: Vec<String> = rules
        .iter()
        .filter(|rule| !fired.contains(&(rule.id.as_str(), rule.level.as_str())))
        .map(|rule| format!("{} {}", rule.id, rule.level.as_str()))
        .collect();
    quiet.dedup();
    let rules = tallies.into_iter().map(Tally::finish).collect();
    Ok(Stats { base, rules, quiet, incidents, incident_subjects })
}

impl Tally {
    fn take(&mut self, line: &Flat) {
        self.name = line.text("rule.name").unwrap_or_default().to_owned();
        self.alerts += 1;
        self.hits += line.count("longhaul.count").max(1);
        if let Some(id) = line.text("longhaul.subject.id")
            && self.subjects.len() < SUBJECTS_MAX
            && !self.subjects.contains(id)
        {
            self.subjects.insert(id.into());
        }
    }

    fn finish(((id, level), tally): ((String, String), Tally)) -> RuleStats {
        let Tally { name, alerts, hits, subjects, incidents } = tally;
        RuleStats { id, name, level, alerts, hits, subjects: subjects.len() as u64, incidents }
    }
}

/// Incidents and their subjects, each once: an incident has a line for each change.
fn count_incidents(
    results: &Results,
    level_of: &BTreeMap<String, String>,
    tallies: &mut BTreeMap<(String, String), Tally>,
) -> Result<(u64, u64), Error> {
    let (mut ids, mut subjects) = (HashSet::new(), HashSet::new());
    let mut counted: HashSet<(Box<str>, (String, String))> = HashSet::new();
    results.each("incidents.ndjson", |line| {
        let id = line.text("event.id").unwrap_or_default();
        if ids.len() < SUBJECTS_MAX {
            ids.insert(Box::<str>::from(id));
            subjects.extend(line.text("longhaul.subject.id").map(Box::<str>::from));
        }
        for alert in line.objects("longhaul.alerts") {
            let (Some(rule), Some(event)) = (alert.text("rule.id"), alert.text("event.id")) else {
                continue;
            };
            // An alert of an earlier run has no line here.
            let Some(level) = level_of.get(event) else { continue };
            let key = (rule.to_owned(), level.clone());
            if counted.len() < SUBJECTS_MAX
                && counted.insert((id.into(), key.clone()))
                && let Some(tally) = tallies.get_mut(&key)
            {
                tally.incidents += 1;
            }
        }
        Ok(())
    })?;
    Ok((ids.len() as u64, subjects.len() as u64))
}

fn count_base(results: &Results) -> Result<Base, Error> {
    let sessions = results.runs()?.iter().map(|run| run.count("counters.session.sessions")).sum();
    let (mut days, mut subjects, mut more) = (BTreeSet::new(), HashSet::new(), false);
    let files = results.each_line("sessions.ndjson", |line| {
        let read: Result<SessionLine<'_>, _> = serde_json::from_slice(line);
        let line = read.map_err(|error| format!("it is no session: {error}"))?;
        let day = line.time.get(..10).unwrap_or_default();
        if !days.contains(day) && days.len() < DAYS_MAX {
            days.insert(day.to_owned());
        }
        let subject = line.longhaul.and_then(|of| of.subject);
        if let Some(Id { id }) = subject.filter(|of| !subjects.contains(&*of.id)) {
            more |= subjects.len() >= SUBJECTS_MAX;
            if subjects.len() < SUBJECTS_MAX {
                subjects.insert(Box::<str>::from(id));
            }
        }
        Ok(())
    })?;
    Ok(Base {
        sessions,
        subjects: (files > 0).then_some(subjects.len() as u64),
        more_subjects: more,
        days: days.len() as u64,
    })
}

fn day_of(line: &Flat) -> Option<String> {
    line.text("@timestamp")?.get(..10).map(str::to_owned)
}
