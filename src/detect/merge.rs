//! Alerts that say the same again, told once with a count.
//!
//! Owns: what counts as the same, and for how long. In: alerts in the order of the run. Out: the
//! verdict, and the first alert with the others added. Never: merges across rules or subjects.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detect::incidents::is_ours;
use crate::model::Alert;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::EvidenceItem;
use crate::model::Level;
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

/// At the cap the ROOMth part of what is remembered makes room at once.
const ROOM: usize = 8;

/// What a kind is worth at the cap: the least is forgotten first. One of ours before an address
/// outside; one that waits for more before one whose alert stands, for that would only be told
/// again; then the level, how often it was heard, and when last.
type Rank = (bool, bool, Level, u64, Nanos);

/// Where the first alert of a kind went.
struct First {
    time: Nanos,
    last: Nanos,
    level: Level,
    is_ours: bool,
    /// How many there were.
    count: u64,
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
    /// It belongs to the alert kept at this index, or to one that was not kept.
    Again(Option<usize>),
    /// There are too few of its kind so far.
    Waits,
    /// With it there are enough: this is the alert, of all of them.
    Ripe(Box<Alert>),
}

impl First {
    fn new(alert: &Alert, index: Option<usize>, alone: bool) -> First {
        let waits = (!alone).then(|| Box::new(alert.clone()));
        let (time, level, is_ours) = (alert.time, alert.level, is_ours(alert));
        First { time, last: time, level, is_ours, count: 1, index, waits }
    }

    const fn rank(&self) -> Rank {
        (self.is_ours, self.waits.is_some(), self.level, self.count, self.last)
    }

    /// Another of its kind, within the window.
    fn again(&mut self, alert: &Alert, index: Option<usize>) -> Verdict {
        self.count += 1;
        self.last = self.last.max(alert.time);
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
pub struct Merger {
    kinds: BTreeMap<Kind, First>,
    kinds_max: usize,
    tidied: Nanos,
    /// Kinds forgotten although their alert stands: what repeats it is told anew.
    unmerged: u64,
    /// Alerts that waited for more and were forgotten.
    forgotten: u64,
}

impl Default for Merger {
    fn default() -> Merger {
        Merger::new(KINDS_MAX)
    }
}

impl Merger {
    /// Nothing seen, and room for so many kinds.
    pub fn new(kinds_max: usize) -> Merger {
        let (kinds, tidied) = (BTreeMap::new(), Nanos::ZERO);
        Merger { kinds, kinds_max, tidied, unmerged: 0, forgotten: 0 }
    }

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
        if !is_known && self.kinds.len() >= self.kinds_max {
            self.tidy(alert.time);
            if self.kinds.len() >= self.kinds_max {
                self.forget_least(alert.time);
            }
        }
        self.kinds.insert(kind, First::new(alert, index, alone));
        if alone { Verdict::New } else { Verdict::Waits }
    }

    /// Adds to `counters` what fell off since the last call.
    pub fn count(&mut self, counters: &mut Counters) {
        counters.add(Counter::AlertsUnmerged, std::mem::take(&mut self.unmerged));
        counters.add(Counter::AlertsForgotten, std::mem::take(&mut self.forgotten));
    }

    fn tidy(&mut self, now: Nanos) {
        if now.since(self.tidied) >= TIDY_EVERY {
            self.tidied = now;
            self.kinds.retain(|_, first| now.since(first.time) <= WINDOW);
        }
    }

    /// Makes room for an eighth of the kinds: those go that are worth least.
    fn forget_least(&mut self, now: Nanos) {
        let mut ranks: Vec<(Rank, &Kind)> =
            self.kinds.iter().map(|(kind, first)| (first.rank(), kind)).collect();
        // No two compare equal: which of them go depends on the run alone.
        ranks.sort_unstable();
        let keep = self.kinds_max - self.kinds_max.div_ceil(ROOM);
        let goes = ranks.len().saturating_sub(keep);
        let least: Vec<Kind> = ranks.into_iter().take(goes).map(|(_, kind)| kind.clone()).collect();
        for kind in least {
            match self.kinds.remove(&kind) {
                // What is older than the window is no loss.
                Some(first) if now.since(first.time) > WINDOW => {}
                Some(First { waits: Some(_), count, .. }) => self.forgotten += count,
                Some(_) => self.unmerged += 1,
                None => {}
            }
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
