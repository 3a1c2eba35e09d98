//! Every subject with alerts, and the incidents among them.
//!
//! Owns: the table of subjects, who of them is behind one address, what was reported. In: alerts in
//! the order of the run. Out: incidents. Policy at the caps: the least important are evicted.
//! Never: reports people behind one address apart once that address is an incident.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use crate::detect::advice::{does_not_prove, next_steps, of_alert};
use crate::detect::likelihood::Prior;
use crate::detect::subject::{Rank, Reported, Subject, score_bits};
use crate::model::{Alert, Change, Counter, Counters, Incident, Level, Nanos};

pub use crate::detect::subject::IncidentConfig;
pub(super) use crate::detect::subject::is_ours;

/// At a cap a fraction (1/n) is evicted at once.
const ROOM: usize = 8;

/// An incident that was closed.
struct Done {
    incident: Incident,
    /// Somebody was told that it was opened.
    reported: bool,
}

/// Every subject with alerts within the window.
pub struct Incidents {
    config: IncidentConfig,
    subjects: BTreeMap<Arc<str>, Subject>,
    /// The address behind which each person is, by the alerts about that address.
    site_of: BTreeMap<Arc<str>, Arc<str>>,
    /// Subjects with changes since the last call.
    changed: BTreeSet<Arc<str>>,
    /// Incidents that were closed since then.
    done: Vec<Done>,
    /// Bytes of subjects, and of these.
    bytes: usize,
    done_bytes: usize,
    subjects_dropped: u64,
    incidents_dropped: u64,
    alerts_unlisted: u64,
}

impl Incidents {
    /// No subjects yet.
    pub fn new(config: IncidentConfig) -> Incidents {
        Incidents {
            config,
            subjects: BTreeMap::new(),
            site_of: BTreeMap::new(),
            changed: BTreeSet::new(),
            done: Vec::new(),
            bytes: 0,
            done_bytes: 0,
            subjects_dropped: 0,
            incidents_dropped: 0,
            alerts_unlisted: 0,
        }
    }

    /// Bytes of subjects, and of incidents that were closed since the last call.
    pub(super) const fn held(&self) -> usize {
        self.bytes + self.done_bytes
    }

    /// Adds an alert. Alerts must come in the order of the run. If the alert is past the window of
    /// its subject's incident, that incident is closed and a new window starts.
    pub fn push(&mut self, alert: &Arc<Alert>) {
        let full = self.subjects.len() >= self.config.subjects_max;
        if full && !self.subjects.contains_key(&alert.subject) {
            self.forget_quiet(alert.time);
            self.forget_least();
        }
        let done = self.close(&alert.subject, alert.time);
        let config = &self.config;
        let subject = self.subjects.entry(Arc::clone(&alert.subject)).or_default();
        subject.last = subject.last.max(alert.time);
        subject.is_ours |= is_ours(alert);
        if alert.subject_name.is_some() {
            subject.name.clone_from(&alert.subject_name);
        }
        if !subject.add(alert, config) {
            subject.unlisted += 1;
            self.alerts_unlisted += 1;
        }
        let before = std::mem::replace(&mut subject.bytes, 0);
        subject.bytes = subject.weigh();
        self.bytes = (self.bytes + subject.bytes).saturating_sub(before);
        for person in &alert.people {
            self.site_of.insert(Arc::clone(person), Arc::clone(&alert.subject));
        }
        self.judge(&alert.subject, alert.time);
        if let Some(site) = self.site_of.get(&alert.subject).cloned() {
            self.judge(&site, alert.time);
        }
        if self.bytes > self.config.bytes_max {
            self.forget_quiet(alert.time);
            self.forget_least();
        }
        done.into_iter().for_each(|done| self.finish(done));
    }

    /// Judges a subject by its alerts, and those of the people it stands for.
    fn judge(&mut self, id: &Arc<str>, now: Nanos) {
        let others = self.others(id);
        let Some(subject) = self.subjects.get_mut(id) else { return };
        subject.judge(now, &self.config, &others);
        if subject.reached.is_some() {
            // Its people are no longer reported apart.
            self.changed.extend(subject.people());
            self.changed.insert(Arc::clone(id));
        }
    }

    /// The strongest alerts of the people whom a subject stands for.
    fn others(&self, id: &Arc<str>) -> Vec<Arc<Alert>> {
        let Some(subject) = self.subjects.get(id) else { return Vec::new() };
        let people = subject.people();
        let of = people.iter().filter_map(|person| self.subjects.get(person));
        of.flat_map(Subject::strongest).collect()
    }

    /// Whether what is known of a person is reported as part of an incident of an address.
    fn is_absorbed(&self, id: &Arc<str>) -> bool {
        let site = self.site_of.get(id).and_then(|site| self.subjects.get(site));
        site.is_some_and(|site| site.reached.is_some() && site.people().contains(id))
    }

    /// Closes the incident that the window has passed, or else removes old alerts.
    fn close(&mut self, id: &Arc<str>, now: Nanos) -> Option<Done> {
        let absorbed = self.is_absorbed(id);
        let others = self.others(id);
        let subject = self.subjects.get_mut(id)?;
        let reported = subject.reported.is_some();
        let done = subject.close(id, now, &self.config, &others).filter(|_| !absorbed);
        if subject.hits.is_empty() {
            self.site_of.retain(|_, site| site != id);
        }
        done.map(|incident| Done { incident, reported })
    }

    fn finish(&mut self, done: Done) {
        self.done_bytes += weigh(&done.incident);
        self.done.push(done);
        self.bound_done();
    }

    /// Closes the incidents whose window is over by now; whether there was one.
    pub(super) fn close_old(&mut self, now: Nanos) -> bool {
        let reached = self.subjects.iter().filter(|(_, subject)| subject.reached.is_some());
        let over = reached.filter(|(_, subject)| subject.is_over(now, self.config.window));
        let over: Vec<Arc<str>> = over.map(|(id, _)| Arc::clone(id)).collect();
        let mut done = Vec::new();
        for id in &over {
            done.extend(self.close(id, now));
            let Some(subject) = self.subjects.get_mut(id) else { continue };
            let before = std::mem::replace(&mut subject.bytes, 0);
            subject.bytes = subject.weigh();
            self.bytes = (self.bytes + subject.bytes).saturating_sub(before);
        }
        let any = !over.is_empty();
        done.into_iter().for_each(|done| self.finish(done));
        any
    }

    /// What is believed of a person before anything is seen, from here on.
    pub(super) fn set_prior(&mut self, prior: Prior) {
        self.config.prior = prior;
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

    /// Judges every subject by all there is, as evidence about one person may have come from
    /// several sensors: once all are put back.
    pub(super) fn judge_all(&mut self) {
        for id in self.subjects.keys().cloned().collect::<Vec<_>>() {
            let own = self.subjects.get(&id).into_iter().flat_map(|subject| &subject.hits);
            let last = own.chain(&self.others(&id)).map(|hit| hit.time).max();
            self.judge(&id, last.unwrap_or_default());
        }
    }

    /// Puts back a subject of an earlier run.
    pub(super) fn restore(&mut self, id: Arc<str>, mut subject: Subject) {
        subject.bytes = subject.weigh();
        self.bytes += subject.bytes;
        for person in subject.people() {
            self.site_of.insert(person, Arc::clone(&id));
        }
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
        let mut changes = self.take_closed(level);
        for id in std::mem::take(&mut self.changed) {
            let (absorbed, others) = (self.is_absorbed(&id), self.others(&id));
            let Some(subject) = self.subjects.get_mut(&id) else { continue };
            let Some(mut incident) = subject.incident(&id, &self.config.prior, &others) else {
                continue;
            };
            let now = Reported::of(&incident);
            let was = subject.reported;
            incident.change = match was {
                Some(_) if absorbed => Change::Closed,
                _ if absorbed => continue,
                None => Change::Opened,
                Some(reported) if reported.is_worse(&now) => Change::Worse,
                Some(_) => continue,
            };
            if incident.level >= level {
                subject.reported = Some(now).filter(|_| !absorbed);
                changes.push(incident);
            }
        }
        changes
    }

    /// The incidents that were closed since the last call, at this level or a higher one.
    pub(super) fn take_closed(&mut self, level: Level) -> Vec<Incident> {
        self.done_bytes = 0;
        let done = std::mem::take(&mut self.done).into_iter().map(|done| done.incident);
        done.filter(|incident| incident.level >= level).collect()
    }

    /// Forgets incidents that were closed since the last call without having been reported, whose
    /// last alert was before a time; how many there were at this level or a higher one.
    pub(super) fn discard_unreported(&mut self, until: Nanos, level: Level) -> u64 {
        let mut count = 0;
        self.done.retain(|Done { incident, reported }| {
            let stays = *reported || incident.time >= until;
            count += u64::from(!stays && incident.level >= level);
            stays
        });
        self.done_bytes = self.done.iter().map(|done| weigh(&done.incident)).sum();
        count
    }

    /// The incidents that are still open, as they are now, by subject.
    pub fn open(&self) -> Vec<Incident> {
        let open = |(id, subject): (&Arc<str>, &Subject)| {
            subject.incident(id, &self.config.prior, &self.others(id))
        };
        let apart = self.subjects.iter().filter(|(id, _)| !self.is_absorbed(id));
        apart.filter_map(open).collect()
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
        let mut ranks: Vec<(Rank, Arc<str>)> = self
            .subjects
            .iter()
            .map(|(id, subject)| (subject.rank(&self.config.prior), Arc::clone(id)))
            .collect();
        // Two subjects never compare equal: evictions depend on the run alone.
        ranks.sort_unstable();
        for (_, id) in ranks {
            if self.subjects.len() <= keep && self.bytes <= keep_bytes {
                break;
            }
            let (absorbed, others) = (self.is_absorbed(&id), self.others(&id));
            let Some(subject) = self.subjects.remove(&id) else { continue };
            self.site_of.retain(|person, site| *site != id && *person != id);
            self.bytes = self.bytes.saturating_sub(subject.bytes);
            self.changed.remove(&id);
            let incident = subject.incident(&id, &self.config.prior, &others);
            let reported = subject.reported.is_some();
            match incident.filter(|_| !absorbed) {
                Some(incident) => {
                    let incident = Incident { change: Change::Closed, ..incident };
                    self.finish(Done { incident, reported });
                }
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
        self.done.sort_by(|Done { incident: a, .. }, Done { incident: b, .. }| {
            let key = |i: &Incident| (i.level, score_bits(i.score));
            key(b).cmp(&key(a)).then_with(|| (a.time, &a.subject).cmp(&(b.time, &b.subject)))
        });
        self.done.truncate(incidents_max - incidents_max.div_ceil(ROOM));
        while self.done_bytes > bytes_max - bytes_max / ROOM {
            let Some(least) = self.done.pop() else { break };
            self.done_bytes = self.done_bytes.saturating_sub(weigh(&least.incident));
        }
        self.done_bytes = self.done.iter().map(|done| weigh(&done.incident)).sum();
        self.incidents_dropped += (before - self.done.len()) as u64;
    }
}

/// Bytes of an incident, with those of its alerts.
fn weigh(incident: &Incident) -> usize {
    let alerts = incident.alerts.iter().map(|member| member.alert.bytes());
    size_of::<Incident>() + alerts.sum::<usize>()
}

#[cfg(test)]
#[path = "incidents_tests.rs"]
mod tests;
