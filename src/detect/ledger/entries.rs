//! The table of alerts so far, by rule, subject and what they are about.
//!
//! Owns: when a rule has fired on a subject, the highest level, how often. In: alerts in the order
//! of the run. Out: whether an alert is reported, waits, or repeats an earlier one. Policy at the
//! cap: entries of the lowest rank are forgotten. Never: merges across rules or subjects; depends
//! on the order of a hash table.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detect::incidents::is_ours;
use crate::detect::merge::add;
use crate::model::alert::RuleInfo;
use crate::model::{Alert, Counter, Counters, Level, Nanos};

/// Packet time within which an alert joins the first of its kind: a day.
const DAY: Nanos = Nanos::from_secs(86_400);

/// Packet time within which a rule fires once on an endpoint: rules look at a week, and a live run
/// asks them again with each set of files.
const WEEK: Nanos = Nanos::from_secs(7 * 86_400);

/// Old entries are forgotten at most once in this span of packet time: an hour.
const TIDY_EVERY: Nanos = Nanos::from_secs(3_600);

/// At the cap a fraction (1/n) is evicted at once.
const ROOM: usize = 8;

/// Bytes that a table of ordered entries adds to each.
const NODE: usize = 48;

/// What an alert is about beside its subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// The endpoint that a rule looked at. Its subject is that of its last session, so the subject
    /// of the key is empty.
    Endpoint(String),
    /// The values that the rule merges by.
    Values(String),
}

/// Whom a rule fired on, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) subject: Arc<str>,
    /// The rule's UUID: rules of one's own may share a number. For an endpoint, [`statement`].
    pub(super) rule: String,
    pub(super) about: About,
}

/// What is known of the alerts of a key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// When the first of the window came, and the last.
    pub(super) first: Nanos,
    pub(super) last: Nanos,
    /// The highest level.
    pub(super) level: Level,
    pub(super) is_ours: bool,
    /// How many there were.
    pub(super) count: u64,
    /// Number of the alert that stands for all; `None` where it was not kept, or is an earlier
    /// run's.
    pub(super) index: Option<usize>,
    /// The alert itself, while there are fewer of its kind than its rule asks for.
    pub(super) waits: Option<Box<Alert>>,
}

/// What an entry is worth at the cap: the least is forgotten first. One of ours before an address
/// outside; one that waits for more before one whose alert stands, for that would only be reported
/// again; then the level, the number of alerts, and the time of the last.
type Rank = (bool, bool, Level, u64, Nanos);

/// What to do with an alert.
#[derive(Debug)]
pub enum Verdict {
    /// It stands for itself.
    New,
    /// It belongs to the alert kept under this number, or to one that was not kept.
    Again(Option<usize>),
    /// There are too few of its kind so far.
    Waits,
    /// With it there are enough: this is the alert, merged from all of them.
    Ripe(Box<Alert>),
}

/// What a rule states of an endpoint: the documents of one number and name state the same, each at
/// a level of its own.
fn statement(rule: &RuleInfo) -> String {
    if rule.name.is_empty() { rule.uuid.clone() } else { format!("{} {}", rule.id, rule.name) }
}

impl Key {
    fn bytes(&self) -> usize {
        let (About::Endpoint(about) | About::Values(about)) = &self.about;
        size_of::<Key>() + self.subject.len() + self.rule.len() + about.len()
    }

    /// Packet time in which the first alert stands for others.
    pub(super) const fn window(&self) -> Nanos {
        match self.about {
            About::Endpoint(_) => WEEK,
            About::Values(_) => DAY,
        }
    }
}

impl Entry {
    fn new(alert: &Alert, index: Option<usize>, alone: bool) -> Entry {
        let waits = (!alone).then(|| Box::new(alert.clone()));
        let (time, level, is_ours) = (alert.time, alert.level, is_ours(alert));
        Entry { first: time, last: time, level, is_ours, count: 1, index, waits }
    }

    const fn rank(&self) -> Rank {
        (self.is_ours, self.waits.is_some(), self.level, self.count, self.last)
    }

    fn bytes(&self) -> usize {
        NODE + size_of::<Entry>() + self.waits.as_ref().map_or(0, |alert| alert.bytes())
    }

    /// Another of its kind, within the window.
    fn again(&mut self, alert: &Alert, index: Option<usize>) -> Verdict {
        self.count += 1;
        self.last = self.last.max(alert.time);
        self.level = self.level.max(alert.level);
        let Some(mut all) = self.waits.take() else { return Verdict::Again(self.index) };
        add(&mut all, alert);
        if all.repeats.as_ref().is_some_and(|repeats| repeats.count < repeats.at_least) {
            self.waits = Some(all);
            return Verdict::Waits;
        }
        // The last of them raised the alert: output is ordered by time.
        all.time = alert.time;
        self.index = index;
        Verdict::Ripe(all)
    }
}

/// The entries, up to a number of bytes.
pub(super) struct Entries {
    table: BTreeMap<Key, Entry>,
    bytes: usize,
    cap: usize,
    tidied: Nanos,
    /// Entries forgotten although their alert stands: what repeats it is reported anew.
    unmerged: u64,
    /// Alerts evicted while waiting for more.
    forgotten: u64,
}

impl Entries {
    /// None, and room for so many bytes.
    pub(super) fn new(cap: usize) -> Entries {
        let (table, tidied) = (BTreeMap::new(), Nanos::ZERO);
        Entries { table, bytes: 0, cap, tidied, unmerged: 0, forgotten: 0 }
    }

    /// Bytes held.
    pub(super) const fn held(&self) -> usize {
        self.bytes
    }

    /// A rule has fired on an endpoint. Whether that is reported: not again within a week, but at a
    /// higher level.
    pub(super) fn fires(&mut self, endpoint: String, alert: &Alert) -> bool {
        let rule = statement(&alert.rule);
        let key = Key { subject: Arc::from(""), rule, about: About::Endpoint(endpoint) };
        if let Some(entry) = self.table.get_mut(&key)
            && alert.time.since(entry.first) <= WEEK
            && alert.level <= entry.level
        {
            entry.count += 1;
            entry.last = entry.last.max(alert.time);
            return false;
        }
        self.insert(key, Entry::new(alert, None, true), alert.time);
        true
    }

    /// Judges the next alert of the run; `index` is the number it would be kept under.
    pub(super) fn judge(&mut self, alert: &Alert, index: Option<usize>) -> Verdict {
        let Some(repeats) = &alert.repeats else { return Verdict::New };
        let (subject, rule) = (Arc::clone(&alert.subject), alert.rule.uuid.clone());
        let key = Key { subject, rule, about: About::Values(repeats.key.clone()) };
        let known = self.table.get_mut(&key);
        if let Some(entry) = known.filter(|entry| alert.time.since(entry.first) <= DAY) {
            let before = entry.bytes();
            let verdict = entry.again(alert, index);
            let after = entry.bytes();
            self.bytes = (self.bytes + after).saturating_sub(before);
            self.bound(alert.time);
            return verdict;
        }
        let alone = repeats.at_least <= 1;
        self.insert(key, Entry::new(alert, index, alone), alert.time);
        if alone { Verdict::New } else { Verdict::Waits }
    }

    /// Puts an entry in place of what is known of its key.
    pub(super) fn insert(&mut self, key: Key, entry: Entry, now: Nanos) {
        let of_key = key.bytes();
        self.bytes += of_key + entry.bytes();
        if let Some(old) = self.table.insert(key, entry) {
            self.bytes = self.bytes.saturating_sub(of_key + old.bytes());
        }
        self.bound(now);
    }

    /// Every entry, by key.
    pub(super) fn into_table(self) -> BTreeMap<Key, Entry> {
        self.table
    }

    /// The same.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.table.iter()
    }

    /// Adds to `counters` what fell off since the last call.
    pub(super) fn count(&mut self, counters: &mut Counters) {
        counters.add(Counter::AlertsUnmerged, std::mem::take(&mut self.unmerged));
        counters.add(Counter::AlertsForgotten, std::mem::take(&mut self.forgotten));
    }

    fn bound(&mut self, now: Nanos) {
        if self.bytes <= self.cap {
            return;
        }
        if now.since(self.tidied) >= TIDY_EVERY {
            self.tidied = now;
            self.forget_old(now);
        }
        if self.bytes > self.cap {
            self.forget_least(now);
        }
    }

    /// Forgets what may be reported again anyway.
    fn forget_old(&mut self, now: Nanos) {
        let bytes = &mut self.bytes;
        self.table.retain(|key, entry| {
            let stays = now.since(entry.first) <= key.window();
            if !stays {
                *bytes = bytes.saturating_sub(key.bytes() + entry.bytes());
            }
            stays
        });
    }

    /// Makes room for an eighth: those go that are worth least.
    #[cold]
    fn forget_least(&mut self, now: Nanos) {
        let mut ranks: Vec<(Rank, &Key, usize)> = self
            .table
            .iter()
            .map(|(key, entry)| (entry.rank(), key, key.bytes() + entry.bytes()))
            .collect();
        // No two compare equal: evictions depend on the run alone.
        ranks.sort_unstable();
        let keep = self.cap - self.cap / ROOM;
        let mut left = self.bytes;
        let goes = ranks.into_iter().take_while(|(_, _, bytes)| {
            let goes = left > keep;
            left = left.saturating_sub(*bytes);
            goes
        });
        let least: Vec<Key> = goes.map(|(_, key, _)| key.clone()).collect();
        for key in least {
            let Some(entry) = self.table.remove(&key) else { continue };
            self.bytes = self.bytes.saturating_sub(key.bytes() + entry.bytes());
            match entry {
                // Anything older than the window is no loss.
                entry if now.since(entry.first) > key.window() => {}
                Entry { waits: Some(_), count, .. } => self.forgotten += count,
                _ => self.unmerged += 1,
            }
        }
    }
}

#[cfg(test)]
#[path = "entries_tests.rs"]
mod tests;
