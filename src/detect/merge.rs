//! Alerts that say the same again, told once with a count.
//!
//! Owns: what counts as the same, and for how long. In: alerts in the order of the run. Out: the
//! verdict, and the first alert with the others added. Never: merges across rules or subjects.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Alert;
use crate::model::EvidenceItem;
use crate::model::Nanos;

/// Packet time within which an alert joins the first of its kind: a day.
const WINDOW: Nanos = Nanos::from_secs(86_400);

/// Most kinds remembered (rule, subject and key).
const KINDS_MAX: usize = 65_536;

/// Old kinds are forgotten at most once in this span of packet time: an hour.
const TIDY_EVERY: Nanos = Nanos::from_secs(3_600);

/// Most sessions, pieces of evidence and places of packets of a merged alert.
const SESSIONS_MAX: usize = 8;
const EVIDENCE_MAX: usize = 24;
const PACKETS_MAX: usize = 8;

/// Subject, UUID of the rule, and the values that the rule merges by.
type Kind = (Arc<str>, String, String);

/// Where the first alert of a kind went.
struct First {
    time: Nanos,
    /// Its index among the alerts kept; `None` where it was not kept.
    index: Option<usize>,
    /// Itself, while there are fewer of its kind than its rule asks for.
    waits: Option<Box<Alert>>,
}

/// What to do with an alert.
#[derive(Debug)]
pub enum Verdict {
    /// It stands for itself.
    New,
    /// It stands for itself, though a rule asks to merge it: no room to remember its kind.
    Unremembered,
    /// It belongs to the alert kept at this index, or to one that was not kept.
    Again(Option<usize>),
    /// There are too few of its kind so far.
    Waits,
    /// With it there are enough: this is the alert, of all of them.
    Ripe(Box<Alert>),
}

impl First {
    /// Another of its kind, within the window.
    fn again(&mut self, alert: &Alert, index: Option<usize>) -> Verdict {
        let Some(mut all) = self.waits.take() else { return Verdict::Again(self.index) };
        add(&mut all, alert);
        if all.repeats.as_ref().is_some_and(|repeats| repeats.count < repeats.at_least) {
            self.waits = Some(all);
            return Verdict::Waits;
        }
        // The last of them made it an alert: the order of output is that of time.
        all.time = alert.time;
        self.index = index;
        Verdict::Ripe(all)
    }
}

/// The kinds seen within the window.
#[derive(Default)]
pub struct Merger {
    kinds: BTreeMap<Kind, First>,
    tidied: Nanos,
}

impl Merger {
    /// Judges the next alert of the run; `index` is where it would be kept.
    pub fn judge(&mut self, alert: &Alert, index: Option<usize>) -> Verdict {
        let Some(repeats) = &alert.repeats else { return Verdict::New };
        let kind = (Arc::clone(&alert.subject), alert.rule.uuid.clone(), repeats.key.clone());
        let known = self.kinds.get_mut(&kind);
        let is_known = known.is_some();
        if let Some(first) = known.filter(|first| alert.time.since(first.time) <= WINDOW) {
            return first.again(alert, index);
        }
        let alone = repeats.at_least <= 1;
        if !is_known && self.kinds.len() >= KINDS_MAX {
            self.tidy(alert.time);
            if self.kinds.len() >= KINDS_MAX {
                return if alone { Verdict::Unremembered } else { Verdict::Waits };
            }
        }
        let waits = (!alone).then(|| Box::new(alert.clone()));
        self.kinds.insert(kind, First { time: alert.time, index, waits });
        if alone { Verdict::New } else { Verdict::Waits }
    }

    fn tidy(&mut self, now: Nanos) {
        if now.since(self.tidied) >= TIDY_EVERY {
            self.tidied = now;
            self.kinds.retain(|_, first| now.since(first.time) <= WINDOW);
        }
    }
}

/// Adds an alert of the same kind to the first.
pub fn add(first: &mut Alert, other: &Alert) {
    first.since = first.since.min(other.since);
    first.weight = first.weight.max(other.weight);
    first.quality = first.quality.with(&other.quality);
    for item in &other.evidence {
        add_evidence(first, item);
    }
    for source in &other.sources {
        // As many as there are lists and databases in the run.
        if !first.sources.contains(source) {
            first.sources.push(source.clone());
        }
    }
    let Some(repeats) = &mut first.repeats else { return };
    repeats.count = repeats.count.saturating_add(1);
    repeats.last = repeats.last.max(other.time);
    if repeats.packets.len() + 1 < PACKETS_MAX {
        repeats.packets.push(other.packets);
    } else {
        repeats.left_out += 1;
    }
}

fn add_evidence(first: &mut Alert, item: &EvidenceItem) {
    let room = first.evidence.len() < EVIDENCE_MAX;
    let known = first.evidence.iter_mut().find(|have| {
        (&have.name, &have.value, &have.unit) == (&item.name, &item.value, &item.unit)
    });
    match known {
        Some(have) => {
            have.samples = have.samples.saturating_add(item.samples);
            let free = SESSIONS_MAX.saturating_sub(have.sessions.len());
            have.sessions.extend(item.sessions.iter().take(free).cloned());
        }
        None if room => first.evidence.push(item.clone()),
        None => {
            if let Some(repeats) = &mut first.repeats {
                repeats.left_out += 1;
            }
        }
    }
}

/// Whether it stands for more than itself.
pub fn is_repeated(alert: &Alert) -> bool {
    alert.repeats.as_ref().is_some_and(|repeats| repeats.count > 1)
}

/// Says in the sentence of a merged alert how often; to be called once, when all were added.
pub fn conclude(alert: &mut Alert) {
    if let Some(repeats) = alert.repeats.as_ref().filter(|repeats| repeats.count > 1) {
        alert.message = format!("{}, {} times", alert.message, repeats.count);
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
