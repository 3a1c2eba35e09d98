//! How long after our messages the other end's come: replies that only its program can give.
//!
//! Owns: when our side ended messages in the last [`REACH`] cells, and for [`SLOTS`] sizes of small
//! messages of the other end how long before each of them ours were. In: messages of both sides of
//! one session. Out: a [`Reply`], where one lag prevails. Never: grows, or says which lag is right
//! where several fit.
//!
//! A relay acknowledges TCP itself and ends encryption, but it does not answer in a program's name:
//! a viewer asks for the next update of the screen when it has one (RFC 6143 section 7.5.3), or
//! sends a test message back. Such a reply comes a whole round trip after our message, so nearly
//! all messages of its size have one of ours that long before; keystrokes have ours at any lag.

use crate::model::Nanos;
use crate::model::interaction::Reply;

/// Width of a cell: how exactly times are kept.
const CELL_NS: u64 = 2_000_000;
/// Cells kept: 720 ms, more than a round trip by satellite.
const REACH: u32 = 360;
const WORDS: usize = 6;
/// Classes of lags: 24 of a cell each, 24 of two, 24 of four, 24 of eight.
const CLASSES: usize = 96;
/// Sizes of messages: viewers send requests, keys, and positions of the pointer.
const SLOTS: usize = 5;

/// Messages of one size that a verdict takes.
const LEAST: u8 = 12;
/// Least share of them with a message of ours one lag before, above what an average lag has.
const SHARE: f64 = 0.55;
const EXCESS: f64 = 0.35;
/// The largest average: of a side that sends all the time nothing can be told.
const BUSY: f64 = 0.25;
/// Shorter lags may have so much of that share. Where ours come at an interval, a lag less an
/// interval fits as well as the lag.
const SHORTER: f64 = 0.6;
/// Likewise longer ones: what comes before a cause is no effect of it.
const LONGER: f64 = 0.85;

/// The messages of one size.
#[derive(Clone, Copy, Debug)]
struct Slot {
    size: u16,
    /// How many there were; at the cap all counts halve.
    seen: u8,
    /// How many more than of sizes that found no place.
    lead: u8,
    /// Intervals that are like the one before, and the latest of them in cells.
    steady: u8,
    interval: u32,
    /// The latest message, and the interval before it, in cells.
    latest: u32,
    before: u32,
    /// How many had a message of ours so long before.
    counts: [u8; CLASSES],
}

const EMPTY: Slot = Slot {
    size: 0,
    seen: 0,
    lead: 0,
    steady: 0,
    interval: 0,
    latest: 0,
    before: 0,
    counts: [0; CLASSES],
};

/// The state of one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replies {
    /// The block of its session.
    pub(super) owner: u32,
    /// The latest cell, and a bit for each cell up to it in which a message of ours ended: the
    /// lowest bit is the latest cell's.
    cell: u64,
    ours: [u64; WORDS],
    slots: [Slot; SLOTS],
}

/// The class of a lag in cells.
const fn class(cells: u32) -> usize {
    let class = match cells {
        0..24 => cells,
        24..72 => 24 + (cells - 24) / 2,
        72..168 => 48 + (cells - 72) / 4,
        _ => 72 + (cells - 168) / 8,
    };
    class as usize
}

/// The shortest lag of a class, in cells.
const fn shortest(class: usize) -> u32 {
    let class = class as u32;
    match class {
        0..24 => class,
        24..48 => 24 + (class - 24) * 2,
        48..72 => 72 + (class - 48) * 4,
        _ => 168 + (class - 72) * 8,
    }
}

impl Replies {
    pub(super) const fn of(owner: u32) -> Replies {
        Replies { owner, cell: 0, ours: [0; WORDS], slots: [EMPTY; SLOTS] }
    }

    /// Our side ended a message.
    pub(super) fn sent(&mut self, time: Nanos) {
        self.advance(time);
        let ago = self.cell - (time.0 / CELL_NS).min(self.cell);
        let word = usize::try_from(ago / 64).unwrap_or(WORDS);
        if let Some(word) = self.ours.get_mut(word) {
            *word |= 1 << (ago % 64);
        }
    }

    /// A small message of the other end.
    pub(super) fn came(&mut self, time: Nanos, size: u16) {
        self.advance(time);
        let (ours, cell) = (self.ours, self.cell as u32);
        let Some(slot) = self.slot(size) else { return };
        slot.note_interval(cell);
        let mut last = CLASSES;
        for (word, mut bits) in (0u32..).zip(ours) {
            while bits != 0 {
                let cells = word * 64 + bits.trailing_zeros();
                bits &= bits - 1;
                let class = class(cells);
                if class != last && cells < REACH {
                    last = class;
                    if let Some(count) = slot.counts.get_mut(class) {
                        *count = count.saturating_add(1);
                    }
                }
            }
        }
    }

    /// Moves to the cell of a time; times before the latest stay there.
    fn advance(&mut self, time: Nanos) {
        let cell = time.0 / CELL_NS;
        let by = cell.saturating_sub(self.cell);
        if by == 0 {
            return;
        }
        self.cell = cell;
        let words = usize::try_from(by / 64).unwrap_or(WORDS).min(WORDS);
        self.ours.copy_within(..WORDS - words, words);
        self.ours.iter_mut().take(words).for_each(|word| *word = 0);
        let bits = by % 64;
        if bits > 0 {
            let mut carried = 0;
            for word in &mut self.ours {
                let over = *word >> (64 - bits);
                *word = *word << bits | carried;
                carried = over;
            }
        }
    }

    /// The counts of a size. A new one takes the place of the rarest, once that has lost to as many
    /// of others as it had.
    fn slot(&mut self, size: u16) -> Option<&mut Slot> {
        let known = self.slots.iter().position(|slot| slot.size == size && slot.seen > 0);
        let at = match known {
            Some(at) => at,
            None => {
                let at = (0..SLOTS).min_by_key(|at| self.slots.get(*at).map(|slot| slot.lead))?;
                let rarest = self.slots.get_mut(at)?;
                if rarest.lead > 1 {
                    rarest.lead -= 1;
                    return None;
                }
                *rarest = Slot { size, ..EMPTY };
                at
            }
        };
        let slot = self.slots.get_mut(at)?;
        if slot.seen == u8::MAX {
            (slot.seen, slot.steady) = (slot.seen / 2, slot.steady / 2);
            slot.counts.iter_mut().for_each(|count| *count /= 2);
        }
        slot.seen += 1;
        slot.lead = slot.lead.saturating_add(1);
        Some(slot)
    }

    /// The lag that prevails, of the size that most rests on.
    pub(super) fn result(&self) -> Option<Reply> {
        let told = self.slots.iter().filter_map(Slot::reply);
        told.max_by(|a, b| {
            let weight = |reply: &Reply| f64::from(reply.samples) * reply.share;
            weight(a).total_cmp(&weight(b))
        })
    }
}

impl Slot {
    fn note_interval(&mut self, cell: u32) {
        let interval = cell.wrapping_sub(self.latest);
        if self.seen > 2 && interval.abs_diff(self.before) <= interval / 16 {
            self.steady = self.steady.saturating_add(1);
            self.interval = interval;
        }
        (self.latest, self.before) = (cell, interval);
    }

    /// The lag that prevails among two neighbouring classes, if one does.
    fn reply(&self) -> Option<Reply> {
        if self.seen < LEAST {
            return None;
        }
        let seen = f64::from(self.seen);
        let mut shares = [0.0f64; CLASSES - 1];
        for (share, pair) in shares.iter_mut().zip(self.counts.windows(2)) {
            *share = (pair.iter().map(|n| f64::from(*n)).sum::<f64>() / seen).min(1.0);
        }
        let most = shares.iter().copied().fold(0.0, f64::max);
        // The shortest of those that hardly differ; its neighbour, if that has more.
        let at = shares.iter().position(|share| *share >= 0.95 * most)?;
        let at = if shares.get(at + 1)? > shares.get(at)? { at + 1 } else { at };
        let share = *shares.get(at)?;
        let of = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
        let shorter = of(shares.get(..at.saturating_sub(2)).unwrap_or_default());
        let longer = of(shares.get(at + 3..).unwrap_or_default());
        let average = shares.iter().sum::<f64>() / shares.len() as f64;
        let prevails = share >= SHARE && share - average >= EXCESS && average <= BUSY;
        let alone = shorter <= SHORTER * share && longer <= LONGER * share;
        // Two clocks of one interval keep their distance, whatever the way between: only what
        // follows the lag itself at once, question on answer, may be steady.
        let (from, to) = (shortest(at), shortest(at + 2));
        let steady = u16::from(self.steady) * 2 >= u16::from(self.seen);
        let own_pace = !steady || self.interval <= to + to / 4;
        let us = from * (CELL_NS / 1_000) as u32;
        (prevails && alone && own_pace).then_some(Reply { us, samples: self.seen.into(), share })
    }
}

#[cfg(test)]
#[path = "replies_tests.rs"]
mod tests;
