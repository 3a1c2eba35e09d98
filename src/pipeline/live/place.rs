//! The sets of a live run: one after the other in a directory, with a limit on their total size.
//!
//! Owns: the directory's lock, names and ends of sets, what is removed for new ones. In: the plan.
//! Out: new sets. Never: writes a line.

use std::path::PathBuf;

use crate::config::live::{LivePlan, Rotate};
use crate::config::{Output, SessionLines};
use crate::model::time::civil_from_days;
use crate::model::{Counters, Error};
use crate::pipeline::live::set::Set;
use crate::pipeline::live::space::Space;
use crate::sinks::files::{Lock, OutDir, make_dir, unfinished_sets};
use crate::sinks::{Tell, room};

/// After a failure, writing continues once a twentieth of the file system is free, within these
/// bounds: less would be full again in a moment.
const FREE_PART: u64 = 20;
const FREE_BOUNDS: (u64, u64) = (512 * 1024, 64 * 1024 * 1024);

/// A line of an endpoint or an incident is rarely longer.
const ROW_BYTES: u64 = 2_048;

/// The directory of a live run.
pub(super) struct Place {
    root: PathBuf,
    force: bool,
    rotate: Rotate,
    pub(super) writes_sessions: bool,
    pub(super) writes_updates: bool,
    /// Keeps other runs out.
    lock: Option<Lock>,
    space: Option<Space>,
    /// Sets left by earlier runs.
    pub(super) left: Vec<String>,
}

impl Place {
    /// The directory of a plan, if it has one.
    pub(super) fn of(live: &LivePlan) -> Result<Option<Place>, Error> {
        let Output::Dir { path, force } = &live.plan.output else { return Ok(None) };
        let mut place = Place {
            root: path.clone(),
            force: *force,
            rotate: live.rotate,
            writes_sessions: live.plan.sessions == SessionLines::WithOutput,
            writes_updates: live.plan.write_updates,
            lock: None,
            space: None,
            left: Vec::new(),
        };
        if place.has_sets(live.plan.out_max) {
            make_dir(path)?;
            place.lock = Some(Lock::take(path)?);
            place.left = unfinished_sets(path);
            place.space = live.plan.out_max.map(|most| Space::new(path, most));
        }
        Ok(Some(place))
    }

    /// Whether results are in sets, each in a directory of its own.
    fn has_sets(&self, most: Option<u64>) -> bool {
        self.rotate.is_on() || most.is_some()
    }

    /// The first set of the run.
    pub(super) fn first_set(&mut self, second: u64) -> Result<Set, Error> {
        if self.has_sets(self.space.as_ref().map(Space::most)) {
            return self.next_set(second);
        }
        let dir = OutDir::create(&self.root, self.force)?;
        Set::begin(dir, self.writes_sessions, None, None)
    }

    /// A set named by its first second.
    pub(super) fn next_set(&mut self, second: u64) -> Result<Set, Error> {
        if self.lock.is_none() {
            self.lock = Some(Lock::take(&self.root)?);
        }
        let name = stamp(second);
        let free = |name: &String| !self.root.join(name).exists();
        let more = (1..u32::MAX).map(|n| format!("{name}-{n}"));
        let name = std::iter::once(name.clone()).chain(more).find(free).unwrap_or(name);
        let ends = self.rotate.seconds.map(|every| (second / every + 1).saturating_mul(every));
        let dir = OutDir::create(&self.root.join(name), false)?;
        Set::begin(dir, self.writes_sessions, ends, self.space.as_ref().map(Space::most))
    }

    /// Whether there is room to continue after a failure.
    pub(super) fn has_room(&self) -> bool {
        let (least, most) = FREE_BOUNDS;
        let wanted = |whole: u64| (whole / FREE_PART).clamp(least, most);
        room::free(&self.root).is_ok_and(|(free, whole)| free >= wanted(whole))
    }

    /// Whether a set is to be finished at this second of the run's clock.
    pub(super) fn is_full(&self, set: &Set, second: u64) -> bool {
        let most = self.rotate.bytes.into_iter().chain(self.space.as_ref().map(Space::set_most));
        set.ends.is_some_and(|end| second >= end) || most.min().is_some_and(|m| set.bytes >= m)
    }

    /// Whether a line of this size may be written to the set, after removing old sets if needed.
    pub(super) fn lets(&mut self, set: &Set, line: usize, own: &mut Counters, tell: &Tell) -> bool {
        let Some(space) = &mut self.space else { return true };
        let present = set.footprint().saturating_add(line as u64);
        if space.fits(present) {
            return true;
        }
        space.make_room(present, own).iter().for_each(|text| tell(text));
        space.fits(present)
    }

    /// How many endpoints may be written beside other lines to a set that ends, after removing old
    /// sets if needed; `None` means all. Also returns messages about removed sets.
    pub(super) fn rows(
        &mut self,
        set: &Set,
        (others, endpoints): (usize, usize),
        own: &mut Counters,
    ) -> (Option<usize>, Vec<String>) {
        let Some(space) = &mut self.space else { return (None, Vec::new()) };
        let present = set.footprint().saturating_add(others as u64 * ROW_BYTES);
        let wanted = present.saturating_add(endpoints as u64 * ROW_BYTES);
        let messages = space.make_room(wanted.min(space.most()), own);
        let rows = space.most().saturating_sub(present) / ROW_BYTES;
        (Some(usize::try_from(rows).unwrap_or(usize::MAX)), messages)
    }

    /// A set was finished. Returns messages about sets removed for it.
    pub(super) fn finished(&mut self, set: PathBuf, own: &mut Counters) -> Vec<String> {
        let Some(space) = &mut self.space else { return Vec::new() };
        space.add(set);
        space.make_room(0, own)
    }
}

/// `20261123T120000Z` for a second since 1970.
fn stamp(second: u64) -> String {
    let (year, month, day) = civil_from_days(second / 86_400);
    let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::stamp;

    #[test]
    fn sets_are_named_by_their_first_second() {
        assert_eq!(stamp(0), "19700101T000000Z");
        // date -u -d '2026-11-23 12:34:56' +%s
        assert_eq!(stamp(1_795_437_296), "20261123T123456Z");
    }
}
