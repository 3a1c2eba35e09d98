//! Adds up the alerts of one subject across families.
//!
//! Owns: the hits of each subject within a window, and the score. In: alerts in the order of the
//! run.
//! Out: incidents. Never: makes an incident of one family, except for rules that stand alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use crate::detect::advice::{does_not_prove, next_steps};
use crate::model::{Alert, Change, Counter, Counters, Family, Incident, Level, Member, Nanos};

/// Thresholds and caps of incidents.
#[derive(Clone, Copy)]
pub struct IncidentConfig {
    /// Score from which alerts are an incident (DOMAIN section 4: 0.8).
    pub score_min: f64,
    /// Span of packet time within which families add up (7 days).
    pub window: Nanos,
    /// Maximum subjects kept; beyond it the least important are evicted, and their alerts counted.
    pub subjects_max: usize,
    /// Most bytes of subjects with their alerts, and of incidents that wait to be reported; beyond
    /// it the least important are evicted.
    pub bytes_max: usize,
    /// Maximum incidents kept until they are taken; beyond it those of the lowest score are
    /// evicted.
    pub incidents_max: usize,
    /// Maximum alerts listed per incident; at most four of one rule.
    pub alerts_max: usize,
}

impl Default for IncidentConfig {
    /// The catalogue's numbers.
    fn default() -> IncidentConfig {
        IncidentConfig {
            score_min: 0.8,
            window: Nanos::from_secs(7 * 86_400),
            subjects_max: 8_192,
            bytes_max: 64 << 20,
            incidents_max: 8_192,
            alerts_max: 32,
        }
    }
}

/// Rules that make an incident without a second family (DOMAIN section 4).
const ALONE: &[&str] = &["D10", "D29"];

/// At a cap a fraction (1/n) is evicted at once.
const ROOM: usize = 8;

/// Bytes of a subject beside its alerts.
const SUBJECT_BYTES: usize = size_of::<Subject>() + 128;

/// Maximum alerts of one rule in an incident.
const ALERTS_OF_RULE_MAX: usize = 4;

/// Scores are sums of a few decimals: 1 - 0.4 * 0.5 must reach 0.8.
const EPSILON: f64 = 1e-9;

/// Every subject with alerts within the window.
pub struct Incidents {
    config: IncidentConfig,
    subjects: BTreeMap<Arc<str>, Subject>,
    /// Subjects with changes since the last call.
    changed: BTreeSet<Arc<str>>,
    /// Incidents that were closed since then.
    done: Vec<Incident>,
    /// Bytes of subjects, and of these.
    bytes: usize,
    done_bytes: usize,
    subjects_dropped: u64,
    incidents_dropped: u64,
    alerts_unlisted: u64,
}

/// The severity of an incident when it was last reported.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Reported {
    pub(super) level: Level,
    pub(super) score: f64,
    pub(super) families: usize,
}

impl Reported {
    fn of(incident: &Incident) -> Reported {
        let families = incident.families.len();
        Reported { level: incident.level, score: incident.score, families }
    }

    /// Whether an incident has got worse since.
    fn is_worse(&self, now: &Reported) -> bool {
        now.level > self.level || now.score > self.score + EPSILON || now.families > self.families
    }
}

/// A subject with alerts.
#[derive(Default)]
pub(super) struct Subject {
    pub(super) name: Option<Arc<str>>,
    pub(super) hits: Vec<Arc<Alert>>,
    /// When the score was reached, and the highest score since.
    pub(super) reached: Option<(Nanos, f64)>,
    /// What was last reported of the incident.
    pub(super) reported: Option<Reported>,
    /// Alerts that are not listed.
    pub(super) unlisted: u64,
    /// Time of the last alert.
    pub(super) last: Nanos,
    /// It is home, or named in the subjects file.
    pub(super) is_ours: bool,
    /// What it takes, of those of all.
    pub(super) bytes: usize,
}

impl Incidents {
    /// No subjects yet.
    pub fn new(config: IncidentConfig) -> Incidents {
        Incidents {
            config,
            subjects: BTreeMap::new(),
            changed: BTreeSet::new(),
            done: Vec::new(),
            bytes: 0,
            done_bytes: 0,
            subjects_dropped: 0,
            incidents_dropped: 0,
            alerts_unlisted: 0,
        }
    }

    /// Adds an alert. Alerts must come in the order of the run. If the alert is past the window of
    /// its subject's incident, that incident is closed and a new window starts.
    pub fn push(&mut self, alert: &Arc<Alert>) {
        let full = self.subjects.len() >= self.config.subjects_max;
        if full && !self.subjects.contains_key(&alert.subject) {
            self.forget_quiet(alert.time);
            self.forget_least();
        }
        let config = &self.config;
        let subject = self.subjects.entry(Arc::clone(&alert.subject)).or_default();
        let done = subject.close(&alert.subject, alert.time, config);
        subject.last = subject.last.max(alert.time);
        subject.is_ours |= is_ours(alert);
        if alert.subject_name.is_some() {
            subject.name.clone_from(&alert.subject_name);
        }
        if !subject.add(alert, config) {
            subject.unlisted += 1;
            self.alerts_unlisted += 1;
        }
        subject.judge(alert.time, config.score_min);
        if subject.reached.is_some() {
            self.changed.insert(Arc::clone(&alert.subject));
        }
        let before = std::mem::replace(&mut subject.bytes, 0);
        subject.bytes = subject.weigh();
        self.bytes = (self.bytes + subject.bytes).saturating_sub(before);
        if self.bytes > self.config.bytes_max {
            self.forget_quiet(alert.time);
            self.forget_least();
        }
        done.into_iter().for_each(|incident| self.finish(incident));
    }

    fn finish(&mut self, incident: Incident) {
        self.done_bytes += weigh(&incident);
        self.done.push(incident);
        self.bound_done();
    }

    /// Closes the incidents whose window is over by now; whether there was one.
    pub(super) fn close_old(&mut self, now: Nanos) -> bool {
        let mut done = Vec::new();
        for (id, subject) in &mut self.subjects {
            if subject.reached.is_none() {
                continue;
            }
            if let Some(incident) = subject.close(id, now, &self.config) {
                let before = std::mem::replace(&mut subject.bytes, 0);
                subject.bytes = subject.weigh();
                self.bytes = (self.bytes + subject.bytes).saturating_sub(before);
                done.push(incident);
            }
        }
        let any = !done.is_empty();
        done.into_iter().for_each(|incident| self.finish(incident));
        any
    }

    /// Thresholds and caps.
    pub(super) const fn config(&self) -> IncidentConfig {
        self.config
    }

    /// Every subject, by its name.
    pub(super) fn into_subjects(self) -> BTreeMap<Arc<str>, Subject> {
        self.subjects
    }

    /// The same.
    pub(super) fn subjects(&self) -> impl Iterator<Item = (&Arc<str>, &Subject)> {
        self.subjects.iter()
    }

    /// Puts back a subject of an earlier run.
    pub(super) fn restore(&mut self, id: Arc<str>, mut subject: Subject) {
        subject.bytes = subject.weigh();
        self.bytes += subject.bytes;
        if subject.reached.is_some() {
            // What has changed since it was reported is reported now.
            self.changed.insert(Arc::clone(&id));
        }
        self.subjects.insert(id, subject);
        if self.bytes > self.config.bytes_max || self.subjects.len() > self.config.subjects_max {
            self.forget_least();
        }
    }

    /// The incidents that were opened, got worse or were closed since the last call, at this level
    /// or a higher one; more alerts of the same kind are no change.
    pub fn take_changes(&mut self, level: Level) -> Vec<Incident> {
        self.done_bytes = 0;
        let mut changes = std::mem::take(&mut self.done);
        changes.retain(|incident| incident.level >= level);
        for id in std::mem::take(&mut self.changed) {
            let Some(subject) = self.subjects.get_mut(&id) else { continue };
            let Some(mut incident) = subject.incident(&id) else { continue };
            let now = Reported::of(&incident);
            incident.change = match subject.reported {
                None => Change::Opened,
                Some(reported) if reported.is_worse(&now) => Change::Worse,
                Some(_) => continue,
            };
            if incident.level >= level {
                subject.reported = Some(now);
                changes.push(incident);
            }
        }
        changes
    }

    /// The incidents that are still open, as they are now, by subject.
    pub fn open(&self) -> Vec<Incident> {
        let open = |(id, subject): (&Arc<str>, &Subject)| subject.incident(id);
        self.subjects.iter().filter_map(open).collect()
    }

    /// Adds losses since the last call to `counters`.
    pub fn count(&mut self, counters: &mut Counters) {
        counters.add(Counter::SubjectsDropped, std::mem::take(&mut self.subjects_dropped));
        counters.add(Counter::IncidentsDropped, std::mem::take(&mut self.incidents_dropped));
        counters.add(Counter::AlertsUnlisted, std::mem::take(&mut self.alerts_unlisted));
    }

    /// Makes room: removes subjects without an incident whose alerts are all past the window.
    fn forget_quiet(&mut self, now: Nanos) {
        let window = self.config.window;
        let bytes = &mut self.bytes;
        self.subjects.retain(|_, subject| {
            let stays = subject.reached.is_some()
                || subject.hits.iter().any(|hit| now.since(hit.time) <= window);
            if !stays {
                *bytes = bytes.saturating_sub(subject.bytes);
            }
            stays
        });
    }
}

impl Incidents {
    /// Makes room for an eighth of the subjects, if there is less: evicts the least important. An
    /// incident among them is closed. All are scanned once per eighth, even if subjects expire one
    /// by one.
    fn forget_least(&mut self) {
        let IncidentConfig { subjects_max, bytes_max, .. } = self.config;
        let keep = subjects_max - subjects_max.div_ceil(ROOM);
        let keep_bytes = bytes_max - bytes_max / ROOM;
        if self.subjects.len() <= keep && self.bytes <= keep_bytes {
            return;
        }
        let mut ranks: Vec<(Rank, Arc<str>)> =
            self.subjects.iter().map(|(id, subject)| (subject.rank(), Arc::clone(id))).collect();
        // Two subjects never compare equal: evictions depend on the run alone.
        ranks.sort_unstable();
        for (_, id) in ranks {
            if self.subjects.len() <= keep && self.bytes <= keep_bytes {
                break;
            }
            let Some(subject) = self.subjects.remove(&id) else { continue };
            self.bytes = self.bytes.saturating_sub(subject.bytes);
            self.changed.remove(&id);
            match subject.incident(&id) {
                Some(incident) => self.finish(Incident { change: Change::Closed, ..incident }),
                None => self.subjects_dropped += subject.hits.len() as u64 + subject.unlisted,
            }
        }
    }

    /// Evicts closed incidents of the lowest score, if there are too many.
    fn bound_done(&mut self) {
        let IncidentConfig { incidents_max, bytes_max, .. } = self.config;
        if self.done.len() <= incidents_max && self.done_bytes <= bytes_max {
            return;
        }
        let before = self.done.len();
        self.done.sort_by(|a, b| {
            let key = |i: &Incident| (i.level, score_bits(i.score));
            key(b).cmp(&key(a)).then_with(|| (a.time, &a.subject).cmp(&(b.time, &b.subject)))
        });
        self.done.truncate(incidents_max - incidents_max.div_ceil(ROOM));
        while self.done_bytes > bytes_max - bytes_max / ROOM {
            let Some(least) = self.done.pop() else { break };
            self.done_bytes = self.done_bytes.saturating_sub(weigh(&least));
        }
        self.done_bytes = self.done.iter().map(weigh).sum();
        self.incidents_dropped += (before - self.done.len()) as u64;
    }
}

/// The eviction order of subjects, lowest first.
///
/// Subjects with an incident are kept before those without; home subjects, or those in the subjects
/// file, before outside addresses, of which anybody can send from any number. Then the score, the
/// level, and the time of the last alert.
type Rank = (bool, bool, u64, Level, Nanos);

/// A score from 0 to 1 as ordered bits.
const fn score_bits(score: f64) -> u64 {
    score.max(0.0).to_bits()
}

/// Whether the subject is ours: in the subjects file, or not the remote end. A pseudonym stands for
/// one of ours too.
pub(super) fn is_ours(alert: &Alert) -> bool {
    let is_remote = alert.remote.is_some_and(|remote| remote.to_string() == *alert.subject);
    alert.subject_name.is_some() || (alert.home.is_some() && !is_remote)
}

/// Bytes of an incident, with those of its alerts.
fn weigh(incident: &Incident) -> usize {
    let alerts = incident.alerts.iter().map(|member| member.alert.bytes());
    size_of::<Incident>() + alerts.sum::<usize>()
}

impl Subject {
    fn weigh(&self) -> usize {
        SUBJECT_BYTES + self.hits.iter().map(|hit| hit.bytes()).sum::<usize>()
    }

    fn rank(&self) -> Rank {
        let level = self.hits.iter().map(|hit| hit.level).max().unwrap_or(Level::Informational);
        (self.reached.is_some(), self.is_ours, score_bits(self.score()), level, self.last)
    }

    /// Closes the incident that the window has passed, or else removes old hits.
    fn close(&mut self, id: &Arc<str>, now: Nanos, config: &IncidentConfig) -> Option<Incident> {
        let window = config.window;
        if self.reached.is_none() {
            self.hits.retain(|hit| now.since(hit.time) <= window);
            if self.hits.is_empty() {
                self.unlisted = 0;
            }
            return None;
        }
        let since = self.hits.iter().map(|hit| hit.time).min().unwrap_or(now);
        if now.since(since) <= window {
            return None;
        }
        let done = self.incident(id);
        self.hits.clear();
        (self.reached, self.reported) = (None, None);
        self.unlisted = 0;
        done.map(|incident| Incident { change: Change::Closed, ..incident })
    }

    /// Adds an alert; false if it, or another one instead, is no longer listed.
    pub(super) fn add(&mut self, hit: &Arc<Alert>, config: &IncidentConfig) -> bool {
        // A capture that is read again says the same again.
        if !hit.id.is_empty() && self.hits.iter().any(|have| have.id == hit.id) {
            return true;
        }
        let of_rule = self.hits.iter().filter(|have| have.rule.uuid == hit.rule.uuid).count();
        if of_rule < ALERTS_OF_RULE_MAX && self.hits.len() < config.alerts_max {
            self.hits.push(Arc::clone(hit));
            return true;
        }
        match of_rule {
            0 => self.give_way(hit),
            _ => self.renew(hit),
        }
        false
    }

    /// A rule that is new here replaces the lightest alert of another that has several.
    fn give_way(&mut self, hit: &Arc<Alert>) {
        let several = |have: &Arc<Alert>| {
            self.hits.iter().filter(|other| other.rule.uuid == have.rule.uuid).count() > 1
        };
        let weight = |at: &usize| self.hits.get(*at).map_or(0, |hit| score_bits(hit.weight));
        // The first one stays: the incident started with it.
        let candidates =
            (1..self.hits.len()).rev().filter(|at| self.hits.get(*at).is_some_and(several));
        let lightest = candidates.min_by_key(weight);
        if let Some(place) = lightest.and_then(|at| self.hits.get_mut(at)) {
            *place = Arc::clone(hit);
        }
    }

    /// An alert of a rule at its limit replaces the rule's last one if that is lighter; before
    /// there is an incident also if it is equal, so that a rule that keeps firing keeps its family
    /// within the window.
    fn renew(&mut self, hit: &Arc<Alert>) {
        let reached = self.reached.is_some();
        let of_rule = self.hits.iter().enumerate().rev();
        let mut of_rule = of_rule.filter(|(_, have)| have.rule.uuid == hit.rule.uuid);
        let Some((at, last)) = of_rule.next() else { return };
        let more = last.weight < hit.weight && at > 0;
        let as_much = last.weight <= hit.weight && !reached;
        if let Some(place) = self.hits.get_mut(at).filter(|_| more || as_much) {
            *place = Arc::clone(hit);
        }
    }

    pub(super) fn judge(&mut self, now: Nanos, score_min: f64) {
        let score = self.score();
        let alone = self.hits.iter().any(|hit| ALONE.contains(&hit.rule.id.as_str()));
        let several = self.best().iter().filter(|weight| **weight > 0.0).count() >= 2;
        let enough = alone || (several && score + EPSILON >= score_min);
        match &mut self.reached {
            Some((_, highest)) => *highest = highest.max(score),
            None if enough => self.reached = Some((now, score)),
            None => {}
        }
    }

    /// Best weight of each family, in the order N P R C B.
    fn best(&self) -> [f64; 5] {
        FAMILIES.map(|family| {
            let of_family = self.hits.iter().filter(|hit| hit.rule.family == family);
            of_family.map(|hit| hit.weight).fold(0.0, f64::max)
        })
    }

    fn score(&self) -> f64 {
        1.0 - self.best().iter().map(|weight| 1.0 - weight).product::<f64>()
    }

    fn incident(&self, id: &Arc<str>) -> Option<Incident> {
        let (time, score) = self.reached?;
        let weights = self.best();
        let fired = FAMILIES.iter().zip(weights).filter(|(_, weight)| *weight > 0.0);
        let mut topologies: Vec<String> =
            self.hits.iter().flat_map(|hit| hit.rule.topologies.iter().cloned()).collect();
        topologies.sort();
        topologies.dedup();
        let member = |hit: &Arc<Alert>| Member { id: hit.id.clone(), alert: Arc::clone(hit) };
        Some(Incident {
            id: String::new(),
            change: Change::default(),
            time,
            since: self.hits.iter().map(|hit| hit.time).min().unwrap_or(time),
            subject: Arc::clone(id),
            subject_name: self.name.clone(),
            families: fired.map(|(family, _)| *family).collect(),
            score,
            level: self.hits.iter().map(|hit| hit.level).max().unwrap_or(Level::Informational),
            alerts: self.hits.iter().map(member).collect(),
            alerts_more: self.unlisted,
            topologies,
        })
    }
}

const FAMILIES: [Family; 5] = [Family::N, Family::P, Family::R, Family::C, Family::B];

#[cfg(test)]
#[path = "incidents_tests.rs"]
mod tests;
