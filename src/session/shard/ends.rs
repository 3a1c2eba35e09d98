//! Ends sessions of a shard: by timers, at the end of the input, at the cap.
//!
//! Owns: the order of ending sessions. In: the clock. Out: finished sessions, to the listener.
//! Never: opens a session.

use std::cmp::Reverse;

use crate::model::{Counter, Nanos};
use crate::session::close::{End, Ending};
use crate::session::shard::{Shard, spread};
use crate::session::state::Session;
use crate::session::{Listener, Weighed};

/// Sessions prefetched together when they are due.
const LOOK_AHEAD: usize = 16;

/// Sessions evicted together at the cap: evicted sessions stay in memory until written, and all
/// those of a busy second would take more memory than the table.
const EVICTED_AT_ONCE: usize = 128;

/// The fraction (1/n) of sessions that counts as the largest.
const LARGE_PART: usize = 8;

/// Capacity kept of the vector that sorts the sessions of a second.
const DUE_KEPT: usize = 1_024;

impl<X: Weighed> Shard<X> {
    /// The earliest second with a timer; the session may have been touched since.
    pub fn next_due(&mut self) -> Option<u32> {
        let ends = self.wheel.next_due();
        ends.into_iter().chain(self.updates.next_due()).min()
    }

    /// Ends every session whose deadline is before `clock`.
    pub fn expire(&mut self, clock: u32, listener: &mut impl Listener<X>) {
        self.end_due(clock, Ending::Silence, listener);
    }

    /// The input has ended: makes no more updates.
    pub fn close_updates(&mut self) {
        self.updates.close();
    }

    /// The input has ended: hands over the sessions that are due before `clock`, as open.
    pub fn drain(&mut self, clock: u32, listener: &mut impl Listener<X>) {
        self.shared.fragments.close(listener);
        self.read_beginnings(listener);
        self.end_due(clock, Ending::Cut, listener);
    }

    /// Hands over all other sessions.
    pub fn close(&mut self, listener: &mut impl Listener<X>) {
        self.shared.fragments.close(listener);
        self.read_beginnings(listener);
        self.wheel.clear();
        let ids: Vec<u32> = self.sessions.iter().map(|(id, _)| id).collect();
        let mut left: Vec<_> = ids.into_iter().filter_map(|id| self.place(id)).collect();
        left.sort_unstable();
        for (_, _, id) in left {
            let at = self.due(id).unwrap_or(u32::MAX);
            self.remove(id, End { ending: Ending::Cut, at, timed: true }, listener);
        }
    }

    /// Sessions of one second are handed over in output order, so that the receiver need not hold
    /// and sort them.
    fn end_due(&mut self, clock: u32, ending: Ending, listener: &mut impl Listener<X>) {
        while let Some((second, ids)) = self.wheel.expire(clock) {
            let mut ended = std::mem::take(&mut self.due);
            for group in ids.chunks(LOOK_AHEAD) {
                self.look_ahead(group);
                for id in group {
                    match self.due_in(*id, second) {
                        Some(due) if due < clock => ended.extend(self.place(*id)),
                        Some(due) => self.arm(*id, due),
                        None => {}
                    }
                }
            }
            self.wheel.give_back(ids);
            ended.sort_unstable();
            // A session armed twice for a second occurs twice.
            ended.dedup();
            for group in ended.chunks(LOOK_AHEAD) {
                if ended.len() > DUE_KEPT {
                    self.look_ahead(group.iter().map(|(.., id)| id));
                }
                for (_, _, id) in group {
                    // Data that fill the gap before a FIN shorten a timeout whose timer is armed.
                    // The session ends when the timer expires, not before: other shards have
                    // already written the sessions of earlier seconds.
                    let at = self.due(*id).unwrap_or(second).max(second);
                    self.remove(*id, End { ending, at, timed: true }, listener);
                }
            }
            ended.clear();
            ended.shrink_to(DUE_KEPT);
            self.due = ended;
        }
    }

    /// A session's position among those that end with it.
    pub(super) fn place(&self, id: u32) -> Option<(Nanos, u64, u32)> {
        self.sessions.get(id).map(|session| (session.start, session.key.order(), id))
    }

    /// Prefetches the lines of some sessions and their index entries before any is processed, so
    /// that the cache misses overlap.
    fn look_ahead<'i>(&self, ids: impl IntoIterator<Item = &'i u32, IntoIter: Clone>) {
        let ids = ids.into_iter();
        let sessions = || ids.clone().filter_map(|id| self.sessions.get(*id));
        let lines = |session: &Session<X>| {
            u64::from(session.hash ^ session.armed) ^ session.end.0 ^ session.handshake.warm()
        };
        std::hint::black_box(sessions().map(lines).fold(0, |all, one| all ^ one));
        let known = |session: &Session<X>| {
            self.index.find(spread(session.hash), |entry| entry.hash == session.hash).is_some()
        };
        std::hint::black_box(sessions().filter(|session| known(session)).count());
    }

    /// Makes room: evicts sessions of the earliest second with a timer, in arming order.
    pub(super) fn evict(&mut self, clock: u32, listener: &mut impl Listener<X>) {
        let before = self.sessions.len();
        while self.sessions.len() == before {
            let Some((second, ids)) = self.wheel.take_next(EVICTED_AT_ONCE, clock) else { return };
            for id in &ids {
                match self.due_in(*id, second) {
                    Some(due) if due > second => self.arm(*id, due),
                    Some(due) if due < clock => {
                        self.remove(
                            *id,
                            End { ending: Ending::Silence, at: due, timed: true },
                            listener,
                        );
                    }
                    Some(_) => {
                        listener.count(Counter::SessionsEvicted, 1);
                        self.remove(
                            *id,
                            End { ending: Ending::Cut, at: clock, timed: false },
                            listener,
                        );
                    }
                    None => {}
                }
            }
            self.wheel.give_back(ids);
        }
    }

    /// Average bytes of facts of a session.
    fn fair_share(&self) -> usize {
        self.shared.holdings.kept.held() / self.sessions.len().max(1)
    }

    /// Makes room for facts: evicts the largest sessions until there is enough, but none that holds
    /// less than the average, and not `asker`, which needs the room.
    pub(super) fn evict_large(&mut self, asker: u32, clock: u32, listener: &mut impl Listener<X>) {
        let (mut evicted, mut ranked) = (0, false);
        while self.shared.holdings.kept.is_over() && evicted < EVICTED_AT_ONCE {
            let Some(id) = self.heavy.pop() else {
                if ranked {
                    return;
                }
                ranked = true;
                self.rank_large();
                continue;
            };
            let fair = self.fair_share().max(1);
            let is_large = |session: &Session<X>| session.weight().kept >= fair;
            if id == asker || !self.sessions.get(id).is_some_and(is_large) {
                continue;
            }
            evicted += 1;
            let due = self.due(id).filter(|due| *due < clock);
            let end = due.map(|at| End { ending: Ending::Silence, at, timed: true });
            if end.is_none() {
                listener.count(Counter::SessionsEvicted, 1);
            }
            let cut = End { ending: Ending::Cut, at: clock, timed: false };
            self.remove(id, end.unwrap_or(cut), listener);
        }
    }

    /// Finds the eighth of the sessions that holds most; of equal ones those nearest to their
    /// timeout. Scans all sessions, once per eighth of the memory.
    fn rank_large(&mut self) {
        let all = self.sessions.iter();
        let mut all: Vec<_> = all
            .map(|(id, session)| (session.weight().kept, Reverse(session.armed), Reverse(id)))
            .collect();
        all.sort_unstable();
        let light = all.len() - all.len().div_ceil(LARGE_PART);
        self.heavy.extend(all.into_iter().skip(light).map(|(.., Reverse(id))| id));
    }
}
