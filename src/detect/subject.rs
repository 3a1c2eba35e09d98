//! What is known of one subject: its alerts, and what they say together.
//!
//! Owns: the alerts of a subject within a window, the odds, and which alerts stay at the caps. In:
//! alerts in the order of the run. Out: an incident. Never: makes an incident of one group of
//! evidence, except of rules that stand alone.

use std::sync::Arc;

use crate::detect::likelihood::{Prior, odds, probability};
use crate::model::likelihood::Tenure;
use crate::model::{Alert, Change, Factor, Family, Group, Incident, Level, Member, Nanos};

/// Thresholds and caps of incidents.
#[derive(Clone, Copy)]
pub struct IncidentConfig {
    /// Posterior probability from which alerts are an incident.
    pub posterior_min: f64,
    /// What is believed of a person before anything is seen.
    pub prior: Prior,
    /// Span of packet time within which evidence adds up (7 days).
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
            posterior_min: 0.5,
            prior: Prior::default(),
            window: Nanos::from_secs(7 * 86_400),
            subjects_max: 8_192,
            bytes_max: 64 << 20,
            incidents_max: 8_192,
            alerts_max: 32,
        }
    }
}

/// Bytes of a subject beside its alerts.
const SUBJECT_BYTES: usize = size_of::<Subject>() + 128;

/// Maximum alerts of one rule in an incident.
const ALERTS_OF_RULE_MAX: usize = 4;

/// Devices of a subject that are told apart.
const DEVICES_MAX: usize = 16;

/// Groups of evidence that an incident needs.
const GROUPS_MIN: usize = 2;

/// Odds are products of some decimals: those of 0.5 must reach it.
const EPSILON: f64 = 1e-9;

const DAY_S: u64 = 86_400;

/// What was last reported of an incident.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Reported {
    pub(super) level: Level,
    pub(super) groups: usize,
    pub(super) people: usize,
    /// Not kept over a restart: then it is what the alerts that were kept say.
    pub(super) devices: usize,
}

impl Reported {
    pub(super) fn of(incident: &Incident) -> Reported {
        let (groups, people) = (incident.factors.len(), incident.subjects.len());
        Reported { level: incident.level, groups, people, devices: incident.devices.len() }
    }

    /// Whether an incident has got worse since.
    pub(super) fn is_worse(&self, now: &Reported) -> bool {
        let more = now.people > self.people || now.devices > self.devices;
        now.level > self.level || now.groups > self.groups || more
    }
}

/// A subject with alerts.
#[derive(Default)]
pub(super) struct Subject {
    pub(super) name: Option<Arc<str>>,
    pub(super) hits: Vec<Arc<Alert>>,
    /// Devices of ours that its alerts were seen on (capped), in the order of the run.
    pub(super) devices: Vec<Arc<str>>,
    /// When the posterior was reached, and the highest since.
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

/// The eviction order of subjects, lowest first.
///
/// Subjects with an incident are kept before those without; home subjects, or those in the subjects
/// file, before outside addresses, of which anybody can send from any number. Then the odds, the
/// level, and the time of the last alert.
pub(super) type Rank = (bool, bool, u64, Level, Nanos);

/// A number that is not negative as ordered bits.
pub(super) const fn score_bits(score: f64) -> u64 {
    score.max(0.0).to_bits()
}

/// The device of ours that opened the session of an alert: by its name, or else its address. Of
/// sessions from outside nothing: an address there is no device.
pub(super) fn device(alert: &Alert) -> Option<Arc<str>> {
    let of = |name: &str| {
        let (_, json) = alert.context.iter().find(|(have, _)| have == name)?;
        Some(json.trim_matches('"'))
    };
    if !matches!(of("network.direction"), Some("outbound" | "internal")) {
        return None;
    }
    let named = of("longhaul.device.name").map(Arc::from);
    named.or_else(|| alert.home.map(|home| Arc::from(home.to_string())))
}

/// Whether the subject is ours: in the subjects file, or not the remote end. A pseudonym stands for
/// one of ours too.
pub(super) fn is_ours(alert: &Alert) -> bool {
    let is_remote = alert.remote.is_some_and(|remote| {
        let network = alert.subject.strip_suffix("/64");
        network.map_or(remote, |_| remote.site()).to_string() == network.unwrap_or(&alert.subject)
    });
    alert.subject_name.is_some() || (alert.home.is_some() && !is_remote)
}

/// What alerts say together.
#[derive(Debug)]
pub(super) struct Verdict {
    factors: Vec<Factor>,
    tenure: Option<f64>,
    prior: f64,
    alone: bool,
}

impl Verdict {
    pub(super) fn of<'a>(hits: impl Iterator<Item = &'a Arc<Alert>>, prior: &Prior) -> Verdict {
        let (mut factors, mut hired, mut alone): (Vec<Factor>, _, _) = (Vec::new(), None, false);
        for hit in hits {
            alone |= hit.rule.alone;
            hired = hired.or_else(|| days_of_service(hit));
            let group = hit.rule.group;
            match factors.iter_mut().find(|factor| factor.group == group) {
                Some(best) if best.ratio < hit.ratio => {
                    (best.ratio, best.rule) = (hit.ratio, hit.rule.id.clone());
                }
                Some(_) => {}
                None if hit.ratio > 1.0 => {
                    factors.push(Factor { group, ratio: hit.ratio, rule: hit.rule.id.clone() });
                }
                None => {}
            }
        }
        factors.sort_by_key(|factor| factor.group);
        let tenure = prior.tenure.zip(hired).map(|(tenure, days)| ratio_of_service(tenure, days));
        Verdict { factors, tenure, prior: 1.0 / prior.one_in, alone }
    }

    /// The posterior probability.
    pub(super) fn score(&self) -> f64 {
        probability(odds(self.prior, self.tenure, &self.factors))
    }

    fn is_enough(&self, posterior_min: f64) -> bool {
        let several = self.factors.len() >= GROUPS_MIN;
        self.alone || (several && self.score() + EPSILON >= posterior_min)
    }
}

/// Days since the subject was hired, by the alert's time.
fn days_of_service(alert: &Alert) -> Option<u64> {
    let (_, json) = alert.context.iter().find(|(name, _)| name == "longhaul.subject.hired")?;
    let hired = Nanos::from_date(json.trim_matches('"'))?;
    Some(alert.time.since(hired).as_secs() / DAY_S)
}

/// What the subject's time of service says before anything is seen.
pub(super) fn tenure(prior: &Prior, alert: &Alert) -> Option<f64> {
    let days = days_of_service(alert)?;
    prior.tenure.map(|tenure| ratio_of_service(tenure, days))
}

fn ratio_of_service(tenure: Tenure, days: u64) -> f64 {
    if days <= u64::from(tenure.recent_days) { tenure.recent } else { tenure.longer }
}

impl Subject {
    pub(super) fn weigh(&self) -> usize {
        let devices = self.devices.iter().map(|id| size_of::<Arc<str>>() + id.len());
        let hits = self.hits.iter().map(|hit| hit.bytes());
        SUBJECT_BYTES + hits.sum::<usize>() + devices.sum::<usize>()
    }

    pub(super) fn rank(&self, prior: &Prior) -> Rank {
        let level = self.hits.iter().map(|hit| hit.level).max().unwrap_or(Level::Informational);
        (
            self.reached.is_some(),
            self.is_ours,
            score_bits(self.verdict(prior).score()),
            level,
            self.last,
        )
    }

    /// Closes the incident that the window has passed, or else removes old hits.
    pub(super) fn close(
        &mut self,
        id: &Arc<str>,
        now: Nanos,
        config: &IncidentConfig,
        others: &[Arc<Alert>],
    ) -> Option<Incident> {
        let window = config.window;
        if self.reached.is_none() {
            self.hits.retain(|hit| now.since(hit.time) <= window);
            if self.hits.is_empty() {
                self.unlisted = 0;
            }
            return None;
        }
        if !self.is_over(now, window) {
            return None;
        }
        let done = self.incident(id, &config.prior, others);
        self.hits.clear();
        self.devices.clear();
        (self.reached, self.reported) = (None, None);
        self.unlisted = 0;
        done.map(|incident| Incident { change: Change::Closed, ..incident })
    }

    /// Whether the window of its first alert has passed.
    pub(super) fn is_over(&self, now: Nanos, window: Nanos) -> bool {
        let since = self.hits.iter().map(|hit| hit.time).min().unwrap_or(now);
        now.since(since) > window
    }

    /// Its strongest alert of each group.
    pub(super) fn strongest(&self) -> Vec<Arc<Alert>> {
        let of = |group: Group| {
            let hits = self.hits.iter().filter(|hit| hit.rule.group == group && hit.ratio > 1.0);
            hits.reduce(|best, next| if best.ratio < next.ratio { next } else { best })
        };
        Group::ALL.into_iter().filter_map(of).cloned().collect()
    }

    /// Adds an alert; false if it, or another one instead, is no longer listed.
    pub(super) fn add(&mut self, hit: &Arc<Alert>, config: &IncidentConfig) -> bool {
        // A capture that is read again says the same again.
        if !hit.id.is_empty() && self.hits.iter().any(|have| have.id == hit.id) {
            return true;
        }
        self.note_device(hit);
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

    /// Notes the device of an alert, if it is another one.
    pub(super) fn note_device(&mut self, hit: &Alert) {
        let is_new = |id: &Arc<str>| !self.devices.contains(id);
        if self.devices.len() < DEVICES_MAX
            && let Some(id) = device(hit).filter(is_new)
        {
            self.devices.push(id);
        }
    }

    /// A rule that is new here replaces the lightest alert of another that has several.
    fn give_way(&mut self, hit: &Arc<Alert>) {
        let several = |have: &Arc<Alert>| {
            self.hits.iter().filter(|other| other.rule.uuid == have.rule.uuid).count() > 1
        };
        let weight = |at: &usize| self.hits.get(*at).map_or(0, |hit| score_bits(hit.ratio));
        // The first one stays: the incident started with it.
        let candidates =
            (1..self.hits.len()).rev().filter(|at| self.hits.get(*at).is_some_and(several));
        let lightest = candidates.min_by_key(weight);
        if let Some(place) = lightest.and_then(|at| self.hits.get_mut(at)) {
            *place = Arc::clone(hit);
        }
    }

    /// An alert of a rule at its limit replaces the rule's last one if that is lighter; before
    /// there is an incident also if it is equal, so that a rule that keeps firing keeps its group
    /// within the window.
    fn renew(&mut self, hit: &Arc<Alert>) {
        let reached = self.reached.is_some();
        let of_rule = self.hits.iter().enumerate().rev();
        let mut of_rule = of_rule.filter(|(_, have)| have.rule.uuid == hit.rule.uuid);
        let Some((at, last)) = of_rule.next() else { return };
        let more = last.ratio < hit.ratio && at > 0;
        let as_much = last.ratio <= hit.ratio && !reached;
        if let Some(place) = self.hits.get_mut(at).filter(|_| more || as_much) {
            *place = Arc::clone(hit);
        }
    }

    /// What its alerts say.
    pub(super) fn verdict(&self, prior: &Prior) -> Verdict {
        Verdict::of(self.hits.iter(), prior)
    }

    /// Notes whether all these alerts, its own and those of people it stands for, are an incident.
    pub(super) fn judge(&mut self, now: Nanos, config: &IncidentConfig, others: &[Arc<Alert>]) {
        let verdict = Verdict::of(self.hits.iter().chain(others), &config.prior);
        let score = verdict.score();
        match &mut self.reached {
            Some((_, highest)) => *highest = highest.max(score),
            None if verdict.is_enough(config.posterior_min) => self.reached = Some((now, score)),
            None => {}
        }
    }

    /// The people that its alerts stand for, each once, in order.
    pub(super) fn people(&self) -> Vec<Arc<str>> {
        let mut all: Vec<Arc<str>> =
            self.hits.iter().flat_map(|hit| hit.people.iter().cloned()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(super) fn incident(
        &self,
        id: &Arc<str>,
        prior: &Prior,
        others: &[Arc<Alert>],
    ) -> Option<Incident> {
        let (time, _) = self.reached?;
        let hits = || self.hits.iter().chain(others);
        let verdict = Verdict::of(hits(), prior);
        let score = verdict.score();
        let fired =
            |family: &&Family| hits().any(|hit| hit.rule.family == **family && hit.ratio > 1.0);
        let mut topologies: Vec<String> =
            hits().flat_map(|hit| hit.rule.topologies.iter().cloned()).collect();
        topologies.sort();
        topologies.dedup();
        let member = |hit: &Arc<Alert>| Member { id: hit.id.clone(), alert: Arc::clone(hit) };
        Some(Incident {
            id: String::new(),
            change: Change::default(),
            time,
            since: hits().map(|hit| hit.time).min().unwrap_or(time),
            subject: Arc::clone(id),
            subject_name: self.name.clone(),
            families: FAMILIES.iter().filter(fired).copied().collect(),
            factors: verdict.factors,
            prior: verdict.prior,
            tenure: verdict.tenure,
            score,
            subjects: self.people(),
            devices: self.devices.clone(),
            level: hits().map(|hit| hit.level).max().unwrap_or(Level::Informational),
            alerts: hits().map(member).collect(),
            alerts_more: self.unlisted,
            topologies,
        })
    }
}

const FAMILIES: [Family; 5] = [Family::N, Family::P, Family::R, Family::C, Family::B];
