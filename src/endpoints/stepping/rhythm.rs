//! Whether input is made by a device or program instead of a person.
//!
//! Owns: the last [`RING`] bursts of one way into a host, and sizes of messages that come at a
//! fixed interval. In: the time and size of each small message. Out: a [`Verdict`] by one of four
//! tests. Never: grows; a message costs a few steps, a burst a walk over the ring.
//!
//! Devices that keep a screen awake send a few events at a time: PiKVM 10 or 11, 100 ms apart, each
//! 45 to 75 s; GL.iNet Comet 4 or 5 each 60 s; JetKVM one, 60 to 75 s after the last; NanoKVM two
//! each 15 s. A message alone that always has the same size and comes at the same interval is a
//! keep-alive of the protocol, unless keystrokes of the host follow it more often than by chance: a
//! busy host sends something soon after any moment.

use crate::endpoints::stepping::pair::SHIFTS;
use crate::endpoints::stepping::recent::{CELL_NS, CELLS, Recent};
use crate::model::Nanos;
use crate::model::endpoint_facts::InputTest;

/// Bursts kept.
const RING: usize = 64;

/// Silence after which another burst begins, in ms.
const APART_MS: u32 = 1_600;

/// Distance of the events of a device, in ms.
const COMB_MS: std::ops::RangeInclusive<u32> = 85..=115;

/// Silence on both sides of a burst that counts by itself, in ms: somebody who works has less.
const ISOLATED_MS: u32 = 10_000;

/// Sizes of messages that are watched for a fixed interval.
const SIZES: usize = 6;

/// Intervals that have to agree for a keep-alive.
const STEADY: u8 = 4;

/// Time within which a keystroke is the effect of a message, in cells of 4 ms.
const EFFECT: u64 = CELLS / 16;

/// Bursts and verdicts count for seven days.
const HOLDS_MS: u32 = 7 * 86_400_000;

/// A burst.
#[derive(Clone, Copy, Debug, Default)]
struct Burst {
    /// Milliseconds since the first message.
    start: u32,
    /// Size of its messages; 0 if they differ.
    size: u16,
    events: u8,
    /// All of them are as far apart as those of a device.
    comb: bool,
}

/// Messages of one size.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    size: u16,
    last: u32,
    interval: u32,
    /// Intervals in a row that agree.
    steady: u8,
    /// Messages, and those that a keystroke of the host followed; all halve at the cap.
    seen: u8,
    effects: u8,
    /// Shifted moments that one followed: as many as [`SHIFTS`] for a message.
    shifted: u16,
}

impl Size {
    /// Whether it is a keep-alive of the protocol.
    const fn is_keep_alive(&self) -> bool {
        let moments = SHIFTS.len() as u16;
        let excess = (self.effects as u16 * moments).saturating_sub(self.shifted);
        self.steady >= STEADY && excess < self.seen as u16 * moments / 2
    }
}

/// What a test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) confidence: f64,
    pub(super) test: InputTest,
    /// Its statistic: what it is, [`InputTest`] says.
    pub(super) statistic: f64,
    /// Median of the intervals, in ms.
    pub(super) period_ms: u32,
    /// The bursts it rests on.
    pub(super) bursts: u32,
}

/// The rhythm of one way.
#[derive(Clone, Debug)]
pub(super) struct Rhythm {
    began: Nanos,
    /// The time of the latest message that is no keep-alive.
    last: u32,
    /// The size of the latest message, and what a keystroke followed so far, one bit each: itself,
    /// and the shifted moments.
    size: u16,
    followed: u8,
    ring: [Burst; RING],
    /// Bursts so far; the last one is in progress.
    bursts: usize,
    sizes: [Size; SIZES],
    pub(super) verdict: Option<Verdict>,
    /// The message at which a test last said so, in ms.
    said: u32,
}

impl Rhythm {
    /// No message yet.
    pub(super) fn new(began: Nanos) -> Rhythm {
        Rhythm {
            began,
            last: 0,
            size: 0,
            followed: 0,
            ring: [Burst::default(); RING],
            bursts: 0,
            sizes: [Size::default(); SIZES],
            verdict: None,
            said: 0,
        }
    }

    /// Takes a message. Returns whether there is a verdict that was not there before.
    pub(super) fn add(&mut self, time: Nanos, size: u16) -> bool {
        let ms = time.0.saturating_sub(self.began.0) / 1_000_000;
        let Ok(now) = u32::try_from(ms) else {
            // After 49 days it starts anew; its verdict is confirmed within days or gone.
            *self = Rhythm::new(time);
            return self.add(time, size);
        };
        (self.size, self.followed) = (size, 0);
        if self.is_keep_alive(now, size) {
            return false;
        }
        let gap = now.saturating_sub(self.last);
        self.last = now;
        if self.bursts > 0 && gap <= APART_MS {
            self.lengthen(gap, size);
            return false;
        }
        let known = self.verdict.is_some();
        self.judge(now);
        self.bursts += 1;
        if let Some(slot) = self.ring.get_mut((self.bursts - 1) % RING) {
            *slot = Burst { start: now, size, events: 1, comb: false };
        }
        !known && self.verdict.is_some()
    }

    /// The host sends a keystroke after a pause. A message has one effect at most, however many
    /// sessions the host is busy in, and as many by chance as there are shifted moments.
    pub(super) fn follow(&mut self, time: Nanos, recent: &Recent) {
        let before = |cells: u64| Nanos(time.0.saturating_sub(cells * CELL_NS));
        let moments = std::iter::once(0).chain(SHIFTS);
        let size = self.size;
        let Some(own) = self.sizes.iter_mut().find(|own| own.size == size) else { return };
        for (n, cells) in moments.enumerate() {
            let bit = 1 << n;
            if self.followed & bit != 0 || recent.since(before(cells), EFFECT).is_none() {
                continue;
            }
            self.followed |= bit;
            if n == 0 {
                own.effects = own.effects.saturating_add(1);
            } else {
                own.shifted = own.shifted.saturating_add(1);
            }
        }
    }

    /// Forgets a verdict that nothing confirmed for seven days.
    pub(super) fn age(&mut self, now: Nanos) {
        let ms = now.0.saturating_sub(self.began.0) / 1_000_000;
        if ms.saturating_sub(self.said.into()) > HOLDS_MS.into() {
            self.verdict = None;
        }
    }

    fn lengthen(&mut self, gap: u32, size: u16) {
        let Some(burst) = self.ring.get_mut((self.bursts - 1) % RING) else { return };
        let fits = COMB_MS.contains(&gap) && (burst.comb || burst.events == 1);
        burst.comb = fits;
        burst.size = if burst.size == size { size } else { 0 };
        burst.events = burst.events.saturating_add(1);
    }

    /// Notes the size of a message, and says whether it is one of a keep-alive. What looked like
    /// bursts before was the same.
    fn is_keep_alive(&mut self, now: u32, size: u16) -> bool {
        let at = self.sizes.iter().position(|own| own.size == size);
        let oldest = || (0..SIZES).min_by_key(|at| self.sizes.get(*at).map(|own| own.last));
        let Some(at) = at.or_else(oldest) else { return false };
        let Some(own) = self.sizes.get_mut(at) else { return false };
        if own.size != size {
            *own = Size { size, last: now, seen: 1, ..Size::default() };
            return false;
        }
        let interval = now.saturating_sub(own.last);
        let agrees = interval > APART_MS && interval.abs_diff(own.interval) <= interval / 32 + 20;
        own.steady = if agrees { own.steady.saturating_add(1) } else { 0 };
        (own.last, own.interval) = (now, interval);
        if own.seen == u8::MAX {
            (own.seen, own.effects, own.shifted) = (own.seen / 2, own.effects / 2, own.shifted / 2);
        }
        own.seen += 1;
        let keep_alive = own.is_keep_alive();
        if keep_alive && own.steady == STEADY {
            self.forget(size);
        }
        keep_alive
    }

    /// Removes the bursts that are one message of that size.
    fn forget(&mut self, size: u16) {
        let mut kept: Vec<Burst> = self.in_order().collect();
        kept.retain(|burst| burst.events != 1 || burst.size != size);
        self.bursts = kept.len();
        self.ring = [Burst::default(); RING];
        self.ring.iter_mut().zip(kept).for_each(|(slot, burst)| *slot = burst);
    }

    /// The bursts kept, the first one first.
    fn in_order(&self) -> impl Iterator<Item = Burst> {
        let from = self.bursts.saturating_sub(RING);
        (from..self.bursts).filter_map(|at| self.ring.get(at % RING).copied())
    }

    /// The last burst is over. Bursts of the last seven days count.
    fn judge(&mut self, now: u32) {
        let mut bursts = [Burst::default(); RING];
        let mut n = 0;
        let lately = |burst: &Burst| now.saturating_sub(burst.start) <= HOLDS_MS;
        for (slot, burst) in bursts.iter_mut().zip(self.in_order().filter(lately)) {
            (*slot, n) = (burst, n + 1);
        }
        let bursts = bursts.get(..n).unwrap_or_default();
        for verdict in [comb(bursts), fixed(bursts), bounded(bursts), phase(bursts)] {
            let Some(new) = verdict else { continue };
            if self.verdict.is_none_or(|had| new.confidence >= had.confidence) {
                self.said = now;
            }
            if self.verdict.is_none_or(|had| new.confidence > had.confidence) {
                self.verdict = Some(new);
            }
        }
    }
}

/// The intervals between bursts, sorted.
fn intervals(bursts: &[Burst]) -> Vec<u32> {
    let pairs = bursts.windows(2).filter_map(|pair| match pair {
        [a, b] => Some(b.start.saturating_sub(a.start)),
        _ => None,
    });
    let mut all: Vec<u32> = pairs.collect();
    all.sort_unstable();
    all
}

fn median(sorted: &[u32]) -> u32 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

/// Groups of events 100 ms apart, with silence around: ten of two events, or five of four and more.
/// Its statistic is the share of isolated bursts that are such groups.
fn comb(bursts: &[Burst]) -> Option<Verdict> {
    let mut isolated: Vec<Burst> = Vec::new();
    for (at, burst) in bursts.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| bursts.get(at));
        let after = bursts.get(at + 1);
        let far = |a: u32, b: u32| b.saturating_sub(a) >= ISOLATED_MS;
        let alone = before.is_none_or(|one| far(one.start, burst.start))
            && after.is_none_or(|one| far(burst.start, one.start));
        isolated.extend(alone.then_some(*burst));
    }
    let groups = |least: u8| isolated.iter().filter(|b| b.comb && b.events >= least).count();
    let share = |n: usize| n as f64 / isolated.len().max(1) as f64;
    let (of_two, of_four) = (groups(2), groups(4));
    let (n, confidence) = match (of_four, of_two) {
        (10.., _) if share(of_four) >= 0.5 => (of_four, 0.95),
        (5.., _) if share(of_four) >= 0.5 => (of_four, 0.8),
        (_, 10..) if share(of_two) >= 0.9 => (of_two, 0.7),
        _ => return None,
    };
    let period_ms = median(&intervals(&isolated));
    let (test, statistic) = (InputTest::Comb, share(n));
    Some(Verdict { confidence, test, statistic, period_ms, bursts: n as u32 })
}

/// Twelve bursts or more at the same interval. Its statistic is the median deviation from the
/// median interval, as a share of it.
fn fixed(bursts: &[Burst]) -> Option<Verdict> {
    let all = intervals(bursts.get(bursts.len().saturating_sub(24)..)?);
    let period_ms = median(&all);
    if all.len() < 11 || period_ms < ISOLATED_MS {
        return None;
    }
    let mut off: Vec<u32> = all.iter().map(|one| one.abs_diff(period_ms)).collect();
    off.sort_unstable();
    let statistic = f64::from(median(&off)) / f64::from(period_ms);
    let (test, bursts) = (InputTest::Fixed, all.len() as u32 + 1);
    let verdict = Verdict { confidence: 0.85, test, statistic, period_ms, bursts };
    (statistic < 0.03).then_some(verdict)
}

/// Forty intervals or more of which the longest is at most 1.7 times the shortest. Its statistic is
/// that ratio.
fn bounded(bursts: &[Burst]) -> Option<Verdict> {
    let all = intervals(bursts.get(bursts.len().saturating_sub(41)..)?);
    let (shortest, longest) = (*all.first()?, *all.last()?);
    if all.len() < 40 || shortest < ISOLATED_MS {
        return None;
    }
    let statistic = f64::from(longest) / f64::from(shortest);
    let (test, period_ms, bursts) = (InputTest::Bounded, median(&all), all.len() as u32 + 1);
    let verdict = Verdict { confidence: 0.9, test, statistic, period_ms, bursts };
    (statistic <= 1.7).then_some(verdict)
}

/// Thirty bursts or more over forty minutes, all within a quarter of the minute. Its statistic is
/// the part of the minute, in seconds, that has them all.
fn phase(bursts: &[Burst]) -> Option<Verdict> {
    const MINUTE_MS: u32 = 60_000;
    let (first, last) = (bursts.first()?, bursts.last()?);
    if bursts.len() < 30 || last.start.saturating_sub(first.start) < 40 * MINUTE_MS {
        return None;
    }
    let mut phases: Vec<u32> = bursts.iter().map(|burst| burst.start % MINUTE_MS).collect();
    phases.sort_unstable();
    let around = phases.first()?.saturating_add(MINUTE_MS).saturating_sub(*phases.last()?);
    let gaps = phases.windows(2).filter_map(|pair| match pair {
        [a, b] => Some(b - a),
        _ => None,
    });
    let part = MINUTE_MS - gaps.chain([around]).max()?;
    let (test, statistic) = (InputTest::Phase, f64::from(part) / 1_000.0);
    let period_ms = median(&intervals(bursts));
    let bursts = bursts.len() as u32;
    let verdict = Verdict { confidence: 0.9, test, statistic, period_ms, bursts };
    (part <= MINUTE_MS / 4).then_some(verdict)
}

#[cfg(test)]
#[path = "rhythm_tests.rs"]
mod tests;
