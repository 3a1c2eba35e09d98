//! A timer wheel of whole seconds.
//!
//! Owns: which id is due in which second. In: ids with a deadline. Out: the ids of a second that
//! has come.
//! Never: knows what an id means; re-arms by itself; reads a clock.
//!
//! Touching a session does not move its timer: an id stays in the second it was armed for, and when
//! that second comes its owner looks at the true deadline and arms it again if it has moved. That
//! turns two cache misses a packet into one visit per time-out.

/// No id.
const NONE: u32 = u32::MAX;

/// Where an id hangs in the wheel; lives inside the caller's value so that the wheel allocates
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    next: u32,
    prev: u32,
    /// The second it is armed for.
    due: u32,
}

impl Default for Link {
    fn default() -> Link {
        Link { next: NONE, prev: NONE, due: 0 }
    }
}

/// Gives the wheel access to the links inside the caller's values.
pub trait Links {
    /// The link of the value with this id, `None` if there is no such value.
    fn link(&mut self, id: u32) -> Option<&mut Link>;
}

/// A wheel with one slot a second.
#[derive(Debug)]
pub struct Wheel {
    heads: Box<[u32]>,
    /// Every second before this one has been taken out.
    now: u32,
    armed: usize,
}

impl Wheel {
    /// A wheel that can hold deadlines up to `span` seconds ahead (rounded up to a power of two); a
    /// later deadline is held at the far end and comes up early, to be armed again.
    pub fn new(span: u32) -> Wheel {
        let slots = span.max(1).saturating_add(1).next_power_of_two() as usize;
        Wheel { heads: vec![NONE; slots].into_boxed_slice(), now: 0, armed: 0 }
    }

    /// The first second that has not been taken out yet.
    pub const fn now(&self) -> u32 {
        self.now
    }

    fn slot(&self, second: u32) -> usize {
        second as usize & (self.heads.len() - 1)
    }

    /// Arms `id` for `second` (a second already past counts as the current one).
    pub fn arm(&mut self, id: u32, second: u32, links: &mut impl Links) {
        let farthest = self.now.saturating_add(self.heads.len() as u32 - 1);
        let due = second.clamp(self.now, farthest);
        let slot = self.slot(due);
        let head = self.heads.get(slot).copied().unwrap_or(NONE);
        let Some(link) = links.link(id) else { return };
        *link = Link { next: head, prev: NONE, due };
        if let Some(old) = links.link(head) {
            old.prev = id;
        }
        if let Some(place) = self.heads.get_mut(slot) {
            *place = id;
            self.armed += 1;
        }
    }

    /// Takes `id` out of the wheel.
    pub fn disarm(&mut self, id: u32, links: &mut impl Links) {
        let Some(link) = links.link(id).map(|link| *link) else { return };
        match links.link(link.prev) {
            Some(prev) => prev.next = link.next,
            None => {
                let slot = self.slot(link.due);
                if let Some(head) = self.heads.get_mut(slot) {
                    *head = link.next;
                }
            }
        }
        if let Some(next) = links.link(link.next) {
            next.prev = link.prev;
        }
        self.armed -= 1;
    }

    /// Takes out one id whose second is before `clock`, `None` when there is none: then the wheel
    /// stands at `clock`. Call until `None`.
    pub fn expire(&mut self, clock: u32, links: &mut impl Links) -> Option<u32> {
        while self.now < clock {
            if self.armed == 0 {
                self.now = clock;
                return None;
            }
            let slot = self.slot(self.now);
            let head = self.heads.get(slot).copied().unwrap_or(NONE);
            if head != NONE {
                self.disarm(head, links);
                return Some(head);
            }
            self.now += 1;
        }
        None
    }

    /// The earliest second that has an id armed, looking from the present on.
    pub fn next_due(&self) -> Option<u32> {
        if self.armed == 0 {
            return None;
        }
        let ahead = (0..self.heads.len() as u32).find(|ahead| {
            let slot = self.slot(self.now.saturating_add(*ahead));
            self.heads.get(slot).is_some_and(|head| *head != NONE)
        })?;
        Some(self.now.saturating_add(ahead))
    }

    /// The first id armed for `second`.
    pub fn peek(&self, second: u32) -> Option<u32> {
        self.heads.get(self.slot(second)).copied().filter(|head| *head != NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Links for Vec<Link> {
        fn link(&mut self, id: u32) -> Option<&mut Link> {
            self.get_mut(id as usize)
        }
    }

    #[test]
    fn ids_come_out_when_their_second_has_passed() {
        let mut links = vec![Link::default(); 3];
        let mut wheel = Wheel::new(10);
        wheel.expire(100, &mut links);
        wheel.arm(0, 105, &mut links);
        wheel.arm(1, 103, &mut links);
        wheel.arm(2, 105, &mut links);
        assert_eq!(wheel.expire(103, &mut links), None);
        assert_eq!(wheel.expire(105, &mut links), Some(1));
        assert_eq!(wheel.expire(105, &mut links), None);
        assert_eq!(wheel.next_due(), Some(105));
        wheel.disarm(2, &mut links);
        assert_eq!(wheel.expire(106, &mut links), Some(0));
        assert_eq!(wheel.expire(106, &mut links), None);
        assert_eq!(wheel.next_due(), None);
    }

    #[test]
    fn a_deadline_beyond_the_span_comes_up_early() {
        let mut links = vec![Link::default(); 1];
        let mut wheel = Wheel::new(7);
        wheel.arm(0, 1_000_000, &mut links);
        assert_eq!(wheel.expire(8, &mut links), Some(0));
    }

    proptest! {
        /// Against the plain list of (due, id): the same ids come out, in the same second.
        #[test]
        fn agrees_with_a_sorted_list(
            steps in proptest::collection::vec((0u32..50, 0u32..20), 1..200),
        ) {
            let mut links = vec![Link::default(); steps.len()];
            let mut wheel = Wheel::new(64);
            let mut model: Vec<(u32, u32)> = Vec::new();
            let mut clock = 0;
            for (id, (ahead, advance)) in steps.iter().enumerate() {
                let id = id as u32;
                wheel.arm(id, clock + ahead, &mut links);
                model.push((clock + ahead, id));
                clock += advance;
                let mut out = Vec::new();
                while let Some(id) = wheel.expire(clock, &mut links) { out.push(id); }
                let mut due: Vec<u32> =
                    model.iter().filter(|(at, _)| *at < clock).map(|(_, id)| *id).collect();
                model.retain(|(at, _)| *at >= clock);
                out.sort_unstable();
                due.sort_unstable();
                prop_assert_eq!(out, due);
            }
        }
    }
}
