//! The groups of all correlations.
//!
//! Owns: one window for each group that events were seen of, within a budget of bytes. In: events,
//! in the order of the run. Out: hits, each once in a span. Policy at the cap: groups go whose
//! window is over; then an eighth, those of the lowest level first, that have not fired, with the
//! fewest events, longest ago: whoever makes many groups of one event evicts these.
//! Never: knows a rule; a result that depends on the order within a hash table.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::detect::correlation::shape::{Entry, Shape};
use crate::detect::correlation::window::{Hit, LATE, Window};
use crate::model::{Counter, Counters, Level};

/// Groups whose window is over are looked for at most once in this span of packet time.
const TIDY_EVERY: u64 = 60_000_000_000;

/// The part of the budget that is freed at once.
const ROOM: usize = 8;

/// Which group: the correlation's fingerprint, and the hash of the values of its fields.
pub(in crate::detect) type GroupKey = (u64, u128);

/// A group.
#[derive(Debug)]
pub(in crate::detect) struct Group {
    pub(in crate::detect) window: Window,
    /// When the condition was last reported to hold.
    pub(in crate::detect) fired: Option<u64>,
    /// From then on nothing of it matters.
    pub(in crate::detect) until: u64,
    pub(in crate::detect) level: Level,
}

/// What stays first: level, whether it has fired, events, newest.
type Rank = (Level, bool, usize, u64);

impl Group {
    fn rank(&self) -> Rank {
        (self.level, self.fired.is_some(), self.window.entries().len(), self.until)
    }

    fn bytes(&self) -> usize {
        // The slot in the table, and half as much of empty ones.
        (size_of::<Group>() + size_of::<GroupKey>()) * 3 / 2 + self.window.heap()
    }
}

/// The groups of a run.
#[derive(Debug, Default)]
pub(in crate::detect) struct State {
    groups: HashMap<GroupKey, Group, RandomState>,
    bytes: usize,
    cap: usize,
    /// The latest time of an event.
    now: u64,
    tidied: u64,
    events: u64,
    groups_dropped: u64,
    events_dropped: u64,
}

impl State {
    /// Nothing seen yet.
    pub(in crate::detect) fn new(cap: usize) -> State {
        State { cap, ..State::default() }
    }

    /// Adds an event to its group. Returns the window that the condition holds for, unless it held
    /// within a span before or after.
    pub(in crate::detect) fn add(
        &mut self,
        key: GroupKey,
        entry: Entry,
        (shape, level): (&Shape, Level),
        holds: &impl Fn(f64) -> bool,
    ) -> Option<Hit> {
        self.events += 1;
        self.now = self.now.max(entry.time);
        let mut is_new = false;
        let group = self.groups.entry(key).or_insert_with(|| {
            is_new = true;
            Group { window: Window::default(), fired: None, until: 0, level }
        });
        let before = if is_new { 0 } else { group.bytes() };
        let (hit, dropped) = group.window.add(shape, entry, holds);
        let new = hit
            .filter(|hit| group.fired.is_none_or(|fired| hit.time.abs_diff(fired) >= shape.span));
        let newest = new.as_ref().map_or(entry.time, |hit| hit.time);
        if new.is_some() {
            group.fired = Some(newest);
        }
        let until = newest.saturating_add(shape.span).saturating_add(LATE);
        (group.until, group.level) = (group.until.max(until), level);
        let after = group.bytes();
        self.bytes = (self.bytes + after).saturating_sub(before);
        self.events_dropped += dropped;
        self.bound();
        new
    }

    /// Puts a group that was stored in place.
    pub(in crate::detect) fn restore(&mut self, key: GroupKey, group: Group) {
        let newest = group.window.entries().map(|entry| entry.time).max();
        self.now = self.now.max(newest.unwrap_or(0));
        self.bytes += group.bytes();
        if let Some(old) = self.groups.insert(key, group) {
            self.bytes = self.bytes.saturating_sub(old.bytes());
        }
        self.bound();
    }

    /// Every group, by key.
    pub(in crate::detect) fn sorted(&self) -> Vec<(&GroupKey, &Group)> {
        let mut all: Vec<_> = self.groups.iter().collect();
        all.sort_unstable_by_key(|(key, _)| **key);
        all
    }

    /// The same, to be brought together with others.
    pub(in crate::detect) fn into_groups(self) -> impl Iterator<Item = (GroupKey, Group)> {
        self.groups.into_iter()
    }

    /// Adds to `counters` what happened since the last call.
    pub(in crate::detect) fn count(&mut self, counters: &mut Counters) {
        counters.add(Counter::CorrelationEvents, std::mem::take(&mut self.events));
        counters.add(Counter::CorrelationGroupsDropped, std::mem::take(&mut self.groups_dropped));
        counters.add(Counter::CorrelationEventsDropped, std::mem::take(&mut self.events_dropped));
    }

    fn bound(&mut self) {
        if self.bytes <= self.cap {
            return;
        }
        if self.now.saturating_sub(self.tidied) >= TIDY_EVERY {
            self.tidied = self.now;
            let (now, bytes) = (self.now, &mut self.bytes);
            self.groups.retain(|_, group| {
                let stays = group.until >= now;
                if !stays {
                    *bytes = bytes.saturating_sub(group.bytes());
                }
                stays
            });
        }
        if self.bytes > self.cap {
            self.forget_least();
        }
    }

    #[cold]
    fn forget_least(&mut self) {
        let mut ranks: Vec<(Rank, GroupKey)> =
            self.groups.iter().map(|(key, group)| (group.rank(), *key)).collect();
        // No two compare equal: evictions depend on the run alone.
        ranks.sort_unstable();
        let keep = self.cap - self.cap / ROOM;
        for (_, key) in ranks {
            if self.bytes <= keep {
                break;
            }
            if let Some(group) = self.groups.remove(&key) {
                self.bytes = self.bytes.saturating_sub(group.bytes());
                // One whose window is over is no loss.
                self.groups_dropped += u64::from(group.until >= self.now);
            }
        }
        self.groups.shrink_to(self.groups.len() * 2);
    }

    /// Bytes held.
    pub(in crate::detect) const fn held(&self) -> usize {
        self.bytes
    }

    /// Groups that are held.
    pub(in crate::detect) fn len(&self) -> usize {
        self.groups.len()
    }
}

/// A group as one of several sensors that saw parts of it.
pub(in crate::detect) fn combine(all: Vec<Group>) -> Option<Group> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut one: Option<Group> = None;
    for group in all {
        entries.extend(group.window.entries());
        one = Some(match one {
            None => group,
            Some(have) => Group {
                fired: have.fired.max(group.fired),
                until: have.until.max(group.until),
                level: have.level.max(group.level),
                ..have
            },
        });
    }
    // One that two sensors saw is one.
    entries.sort_unstable();
    entries.dedup();
    one.map(|one| Group { window: Window::of(entries), ..one })
}
