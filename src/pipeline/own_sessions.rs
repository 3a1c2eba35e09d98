//! Which of the sessions that a set of a run reads are its own.
//!
//! A set reads some files of the one before it again, so that sessions that were open at its end
//! are seen from their first packet. Of those files it takes these sessions only.
//!
//! Owns: that choice; what the next set must know of sessions that are open at the end of this one.
//! In: sessions that have ended. Out: whether their lines belong here. Never: a session in both
//! sets, or in neither without being counted.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;

use crate::capture::Cut;
use crate::model::event_id::open_id;
use crate::model::{Counter, Counters, Nanos, Record};

/// Ids of sessions.
type Ids = HashSet<[u8; 16], RandomState>;

/// What a set leaves for the next one.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Sessions that are open.
    pub(super) open: Vec<[u8; 16]>,
    /// The earliest file with the first packet of one.
    pub(super) first: Option<u16>,
    /// The run's clock at the end, in seconds.
    pub(super) clock: u32,
    /// Sessions of the last set's `open` that were found.
    pub(super) found: u64,
}

impl Left {
    fn add(&mut self, more: Left) {
        self.open.extend(more.open);
        self.first = self.first.into_iter().chain(more.first).min();
        self.clock = self.clock.max(more.clock);
        self.found += more.found;
    }
}

/// What decides. One for all workers of a set.
#[derive(Debug)]
pub(super) struct Scope {
    cut: Arc<Cut>,
    /// Of the set before: its clock at the end, open sessions.
    clock: Nanos,
    open: Ids,
    left: Mutex<Left>,
}

impl Scope {
    /// For a set behind one that left this.
    pub(super) fn new(cut: Arc<Cut>, before: &Left) -> Scope {
        Scope {
            cut,
            clock: Nanos::from_secs(before.clock.into()),
            open: before.open.iter().copied().collect(),
            left: Mutex::default(),
        }
    }

    /// The first file that is left to the next set; none in the last set.
    pub(super) fn next(&self) -> Option<u16> {
        self.cut.next()
    }

    /// The last file up to this one that begins after all before it have ended.
    pub(super) fn place_before(&self, file: u16) -> Option<u16> {
        self.cut.place_before(file)
    }

    /// What this set leaves; and how many sessions of the one before were not found.
    pub(super) fn take_left(&self) -> (Left, u64) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = std::mem::take(&mut *left);
        // The same order at any number of workers.
        left.open.sort_unstable();
        let missed = (self.open.len() as u64).saturating_sub(left.found);
        (left, missed)
    }
}

/// A worker's part of it.
pub(super) struct OwnSessions {
    scope: Arc<Scope>,
    left: Left,
    /// All that comes now is open and left to the next set.
    leaves: bool,
}

impl OwnSessions {
    pub(super) fn new(scope: &Arc<Scope>) -> OwnSessions {
        OwnSessions { scope: Arc::clone(scope), left: Left::default(), leaves: false }
    }

    /// The input has ended: what comes now was open, by the run's clock in seconds.
    pub(super) fn end(&mut self, clock: u32) {
        self.left.clock = clock;
        self.leaves = self.scope.next().is_some();
    }

    /// Whether a session that has ended belongs to this set.
    pub(super) fn takes(&mut self, record: &Record, counters: &mut Counters) -> bool {
        let (own, since) = self.scope.cut.own();
        let of_before = record.file < own && self.scope.open.contains(&open_id(record));
        self.left.found += u64::from(of_before);
        let is_own = record.file >= own || of_before;
        if is_own && !self.leaves {
            return true;
        }
        counters.bump(Counter::SessionsElsewhere);
        if !is_own && record.end >= since {
            // Read from here, it began before this set's own files and goes on in them; read from
            // further back it was over before them, and what goes on is another: in no set.
            counters.bump(Counter::SessionsMissed);
        }
        if is_own {
            self.left.first = self.left.first.into_iter().chain([record.file]).min();
            self.left.open.push(open_id(record));
        }
        false
    }

    /// Whether this set tells of an open session: not of a second of which the last one has.
    pub(super) fn tells(&self, record: &Record) -> bool {
        let (own, _) = self.scope.cut.own();
        let is_open = || self.scope.open.contains(&open_id(record));
        record.file >= own || (record.at >= self.scope.clock && is_open())
    }

    /// The worker is done.
    pub(super) fn leave(self) {
        self.scope.left.lock().unwrap_or_else(PoisonError::into_inner).add(self.left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::samples::bare_record;

    #[test]
    fn a_session_that_goes_on_behind_the_border_and_is_in_no_set_is_a_loss() {
        let cut = Arc::new(Cut::new(1, 1));
        cut.admit(1, Nanos(100));
        let known = bare_record();
        let mut other = bare_record();
        other.initiator.port += 1;
        let left = Left { open: vec![open_id(&known)], ..Left::default() };
        let scope = Arc::new(Scope::new(cut, &left));
        let mut own = OwnSessions::new(&scope);
        let mut counters = Counters::default();
        let mut takes = |record: &Record, end: u64, file: u16| {
            let record = Record { end: Nanos(end), file, ..record.clone() };
            let taken = own.takes(&record, &mut counters);
            let counted = [Counter::SessionsElsewhere, Counter::SessionsMissed];
            (taken, counted.map(|counter| counters.get(counter)))
        };
        assert_eq!(takes(&known, 200, 0), (true, [0, 0]));
        assert_eq!(takes(&other, 200, 1), (true, [0, 0]));
        assert_eq!(takes(&other, 99, 0), (false, [1, 0]), "its line is in the set before");
        assert_eq!(takes(&other, 100, 0), (false, [2, 1]));
    }
}
