//! A timer wheel of whole seconds.
//!
//! Owns: which ids are due in which second. In: ids with a deadline. Out: the ids that are due.
//! Never: knows what an id means; re-arms on its own; reads a clock; touches a value.
//!
//! An id that is armed twice is in the wheel twice. The caller remembers the second it armed last
//! and ignores the id when it comes up in another. So arming appends one number to a list and never
//! touches a neighbour, which would cost a cache miss each time; and a live value is visited once
//! per timeout instead of being moved with every packet.

/// Emptied lists kept for reuse.
const SPARE_MAX: usize = 16;

/// A wheel with one list per second.
#[derive(Debug)]
pub struct Wheel {
    seconds: Box<[Vec<u32>]>,
    spare: Vec<Vec<u32>>,
    /// All seconds before this one have been taken.
    now: u32,
    armed: usize,
    /// No id is armed before this second.
    earliest: u32,
}

impl Wheel {
    /// A wheel for deadlines up to `span` seconds ahead (rounded up to a power of two). A later
    /// deadline is stored at the far end; it comes up early and must be armed again. Lists are
    /// allocated on first use.
    pub fn new(span: u32) -> Wheel {
        let slots = span.max(1).saturating_add(1).next_power_of_two();
        let seconds = (0..slots).map(|_| Vec::new()).collect();
        Wheel { seconds, spare: Vec::new(), now: 0, armed: 0, earliest: u32::MAX }
    }

    /// The first second that has not been taken yet.
    pub const fn now(&self) -> u32 {
        self.now
    }

    /// The number of armed entries; an id counts once per arming.
    pub const fn armed(&self) -> usize {
        self.armed
    }

    const fn slot(&self, second: u32) -> usize {
        second as usize & (self.seconds.len() - 1)
    }

    fn list(&mut self, second: u32) -> Option<&mut Vec<u32>> {
        let slot = self.slot(second);
        self.seconds.get_mut(slot)
    }

    /// Arms `id` for `second`, or for the nearest second in range; returns the second used.
    pub fn arm(&mut self, id: u32, second: u32) -> u32 {
        let farthest = self.now.saturating_add(self.seconds.len() as u32 - 1);
        let due = second.clamp(self.now, farthest);
        let (slot, spare) = (self.slot(due), &mut self.spare);
        if let Some(list) = self.seconds.get_mut(slot) {
            if list.capacity() == 0 {
                *list = spare.pop().unwrap_or_default();
            }
            list.push(id);
            self.armed += 1;
            self.earliest = self.earliest.min(due);
        }
        due
    }

    /// Takes the ids of the earliest due second before `clock`, and returns that second too. `None`
    /// when nothing is due: the wheel is then at `clock`. Call until `None`, and return the lists
    /// with [`Wheel::give_back`].
    pub fn expire(&mut self, clock: u32) -> Option<(u32, Vec<u32>)> {
        while self.now < clock {
            if self.armed == 0 {
                (self.now, self.earliest) = (clock, u32::MAX);
                return None;
            }
            let second = self.now;
            self.now += 1;
            let list = self.take_second(second);
            if !list.is_empty() {
                return Some((second, list));
            }
            self.give_back(list);
        }
        None
    }

    /// The earliest second with an armed id.
    pub fn next_due(&mut self) -> Option<u32> {
        if self.armed == 0 {
            return None;
        }
        let from = self.earliest.max(self.now);
        let ahead = (0..self.seconds.len() as u32).find(|ahead| {
            let slot = self.slot(from.saturating_add(*ahead));
            self.seconds.get(slot).is_some_and(|list| !list.is_empty())
        })?;
        self.earliest = from.saturating_add(ahead);
        Some(self.earliest)
    }

    /// Takes all ids of one second.
    fn take_second(&mut self, second: u32) -> Vec<u32> {
        let list = self.list(second).map(std::mem::take).unwrap_or_default();
        self.armed -= list.len();
        list
    }

    /// Takes at most `most` ids of the earliest second that has any, in arming order. The wheel is
    /// then at that second, or at `clock` if that is earlier, so that ids can still be armed in
    /// between. Return the list with [`Wheel::give_back`].
    pub fn take_next(&mut self, most: usize, clock: u32) -> Option<(u32, Vec<u32>)> {
        let second = self.next_due()?;
        self.now = self.now.max(second.min(clock));
        let mut out = self.spare.pop().unwrap_or_default();
        if let Some(list) = self.list(second) {
            out.extend(list.drain(..most.min(list.len())));
        }
        self.armed -= out.len();
        Some((second, out))
    }

    /// Returns an emptied list for reuse.
    pub fn give_back(&mut self, mut list: Vec<u32>) {
        list.clear();
        if list.capacity() > 0 && self.spare.len() < SPARE_MAX {
            self.spare.push(list);
        }
    }

    /// Removes every id.
    pub fn clear(&mut self) {
        for list in &mut self.seconds {
            *list = Vec::new();
        }
        self.armed = 0;
        self.earliest = u32::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_expire_when_their_second_has_passed() {
        let mut wheel = Wheel::new(64);
        assert_eq!(wheel.expire(100), None);
        assert_eq!((wheel.arm(0, 105), wheel.arm(1, 103), wheel.arm(2, 105)), (105, 103, 105));
        assert_eq!(wheel.expire(103), None);
        assert_eq!(wheel.next_due(), Some(103));
        assert_eq!(wheel.expire(105), Some((103, vec![1])));
        assert_eq!(wheel.expire(105), None);
        assert_eq!(wheel.next_due(), Some(105));
        assert_eq!((wheel.take_next(8, 105), wheel.armed()), (Some((105, vec![0, 2])), 0));
        assert_eq!((wheel.expire(500), wheel.now(), wheel.next_due()), (None, 500, None));
    }

    #[test]
    fn part_of_a_second_expires_in_arming_order() {
        let mut wheel = Wheel::new(64);
        (0..5).for_each(|id| {
            wheel.arm(id, 9);
        });
        assert_eq!((wheel.take_next(2, 3), wheel.armed()), (Some((9, vec![0, 1])), 3));
        assert_eq!((wheel.now(), wheel.arm(7, 5)), (3, 5), "one that is due before them");
        assert_eq!((wheel.take_next(8, 3), wheel.armed()), (Some((5, vec![7])), 3));
        assert_eq!((wheel.take_next(8, 20), wheel.armed()), (Some((9, vec![2, 3, 4])), 0));
        assert_eq!((wheel.take_next(8, 20), wheel.next_due(), wheel.now()), (None, None, 9));
    }

    #[test]
    fn a_deadline_beyond_the_span_expires_early() {
        let mut wheel = Wheel::new(7);
        assert_eq!(wheel.arm(0, 1_000_000), 7);
        assert_eq!(wheel.expire(8), Some((7, vec![0])));
        assert_eq!(wheel.arm(0, 3), 8, "a second that has passed is the present one");
    }

    #[test]
    fn memory_of_past_seconds_is_reused() {
        let mut wheel = Wheel::new(64);
        for second in 0..10_000 {
            for id in 0..100 {
                wheel.arm(id, second + 5);
            }
            while let Some((_, list)) = wheel.expire(second) {
                wheel.give_back(list);
            }
        }
        let held = wheel.seconds.iter().chain(&wheel.spare).map(Vec::capacity).sum::<usize>();
        assert!(held <= (5 + 1 + SPARE_MAX) * 256, "{held}");
    }

    proptest! {
        /// Compared with a plain list of (due, id): the same ids come out, in the same second.
        #[test]
        fn agrees_with_a_sorted_list(
            steps in proptest::collection::vec((0u32..50, 0u32..20), 1..200),
        ) {
            let mut wheel = Wheel::new(64);
            let mut model: Vec<(u32, u32)> = Vec::new();
            let mut clock = 0;
            for (id, (ahead, advance)) in steps.iter().enumerate() {
                let id = id as u32;
                wheel.arm(id, clock + ahead);
                model.push((clock + ahead, id));
                clock += advance;
                let mut out = Vec::new();
                while let Some((second, ids)) = wheel.expire(clock) {
                    out.extend(ids.iter().map(|id| (second, *id)));
                    wheel.give_back(ids);
                }
                let mut due = model.clone();
                due.retain(|(at, _)| *at < clock);
                model.retain(|(at, _)| *at >= clock);
                out.sort_unstable();
                due.sort_unstable();
                prop_assert_eq!(out, due);
                prop_assert_eq!(wheel.armed(), model.len());
            }
        }
    }
}
