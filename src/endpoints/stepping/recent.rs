//! When messages came in lately.
//!
//! Owns: one bit for each 4 ms of the last four seconds. In: times, in any order. Out: how long
//! before a time the latest one was. Never: grows; each question and answer costs a few steps.

use crate::model::Nanos;

/// Width of a cell.
pub(super) const CELL_NS: u64 = 4_000_000;

/// Words of the ring.
const WORDS: usize = 16;

/// Cells of the ring.
pub(super) const CELLS: u64 = 64 * WORDS as u64;

/// The ring.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    words: [u64; WORDS],
    /// The latest cell with a message.
    latest: u64,
}

impl Recent {
    /// One message.
    pub(super) fn new(time: Nanos) -> Recent {
        let mut recent = Recent { words: [0; WORDS], latest: time.0 / CELL_NS };
        recent.mark(recent.latest);
        recent
    }

    /// Adds a message; one before the ring is too old to matter.
    pub(super) fn add(&mut self, time: Nanos) {
        let cell = time.0 / CELL_NS;
        if cell > self.latest {
            if cell - self.latest >= CELLS {
                self.words = [0; WORDS];
            } else {
                self.clear(self.latest + 1, cell);
            }
            self.latest = cell;
        } else if self.latest - cell >= CELLS {
            return;
        }
        self.mark(cell);
    }

    /// Cells between a time and the latest message up to it, if less than `within`.
    pub(super) fn since(&self, time: Nanos, within: u64) -> Option<u64> {
        let cell = time.0 / CELL_NS;
        // What is later than the latest message has that much more to look back.
        let (from, skipped) = match cell.checked_sub(self.latest) {
            Some(after) => (self.latest, after),
            None => (cell, 0),
        };
        let oldest = (self.latest + 1).saturating_sub(CELLS);
        let mut at = from;
        while from - at + skipped < within && at >= oldest {
            let (word, bit) = place(at);
            let bits = self.words.get(word).copied().unwrap_or(0) << (63 - bit);
            if bits != 0 {
                let lag = from - at + skipped + u64::from(bits.leading_zeros());
                let fits = lag < within && at - u64::from(bits.leading_zeros()) >= oldest;
                return fits.then_some(lag);
            }
            at = at.checked_sub(u64::from(bit) + 1)?;
        }
        None
    }

    fn mark(&mut self, cell: u64) {
        let (word, bit) = place(cell);
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    /// Clears the cells from one to another, fewer than a ring.
    fn clear(&mut self, from: u64, to: u64) {
        let mut at = from;
        while at <= to {
            let (word, bit) = place(at);
            let last = (at | 63).min(to);
            let bits = (u64::MAX >> (63 - (last - at))) << bit;
            if let Some(word) = self.words.get_mut(word) {
                *word &= !bits;
            }
            at = last + 1;
        }
    }
}

/// A cell's word and bit.
const fn place(cell: u64) -> (usize, u32) {
    ((cell % CELLS / 64) as usize, (cell % 64) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(cell: u64) -> Nanos {
        Nanos(cell * CELL_NS + 1)
    }

    #[test]
    fn the_latest_message_before_a_time_is_found() {
        let mut recent = Recent::new(at(5_000));
        recent.add(at(5_100));
        assert_eq!(recent.since(at(5_100), 66), Some(0));
        assert_eq!(recent.since(at(5_165), 66), Some(65));
        assert_eq!(recent.since(at(5_166), 66), None);
        assert_eq!(recent.since(at(5_040), 66), Some(40), "before the latest");
        assert_eq!(recent.since(at(4_999), 66), None);
    }

    proptest! {
        #[test]
        fn it_answers_like_a_list(
            times in proptest::collection::vec(0u64..6_000, 1..40),
            asked in proptest::collection::vec(0u64..7_000, 1..20),
        ) {
            let mut recent = Recent::new(at(times[0]));
            let mut latest = times[0];
            let mut kept = vec![times[0]];
            for cell in &times[1..] {
                latest = latest.max(*cell);
                recent.add(at(*cell));
                kept.push(*cell);
                kept.retain(|have| latest - have < CELLS);
            }
            for asked in asked {
                let before = kept.iter().filter(|have| **have <= asked).max();
                let lag = before.map(|have| asked - have).filter(|lag| *lag < 66);
                prop_assert_eq!(recent.since(at(asked), 66), lag);
            }
        }
    }
}
