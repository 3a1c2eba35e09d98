//! Whether messages into a host by one way are followed by keystrokes out by another.
//!
//! Owns: counts of the window in progress, and the best one of each of the last seven days. In:
//! each keystroke, with the time since the latest message of the other way. Out: a [`Score`].
//! Never: grows.
//!
//! The statistic: the share of keystrokes that follow a message within a few milliseconds, minus
//! the same share for six moments shortly before each keystroke, when the same person was as busy.
//! It is taken twice: over all keystrokes, and over the first after each pause (Zhang and Paxson,
//! "Detecting Stepping Stones", 2000), since a person who types and a screen that is shown to
//! somebody else are busy at the same times, but only a person elsewhere ends the pause of both;
//! and since SSH since 9.5 adds keystrokes nobody made while somebody types.

use crate::endpoints::stepping::recent::{CELL_NS, Recent};
use crate::model::{Addr, Nanos};

/// Windows of time within which a keystroke may follow, in cells of 4 ms: programs differ, from SSH
/// (3 ms) to MeshCentral, which injects keys in batches (median 72 ms).
const WINDOWS: [u64; 5] = [3, 6, 13, 30, 65];

/// The longest of them, and one.
const WITHIN: u64 = 66;

/// The shifted moments, in cells: 0.6 to 3.3 s.
pub(super) const SHIFTS: [u64; 6] = [150, 225, 325, 475, 650, 825];

/// Bounds of the classes of lags, in microseconds.
const LAGS_US: [u32; 26] = [
    250, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 12_000, 16_000,
    20_000, 24_000, 32_000, 40_000, 52_000, 64_000, 80_000, 100_000, 120_000, 150_000, 190_000,
    264_000,
];

/// Keystrokes that a verdict takes at least.
const KEYS_MIN: u32 = 12;

/// Pauses that it takes.
const RESUMED_MIN: u32 = 5;

/// A window is over after so many keystrokes and pauses,
const WINDOW_KEYS: u32 = 256;
const WINDOW_RESUMED: u32 = 8;

/// or, with enough for a verdict, after this time.
const WINDOW_NS: u64 = 1_200_000_000_000;

/// For this time, or so many keystrokes, a pair is worth as much as one with so many above chance.
const STAY_NS: u64 = 60_000_000_000;
const STAY_KEYS: u32 = 2 * KEYS_MIN;
const STAY_WORTH: u32 = KEYS_MIN / 2;

/// Days that a verdict holds: whoever had the address before is not held against who has it now.
pub(super) const HOLDS_DAYS: usize = 7;
const DAY_S: u64 = 86_400;

/// A score from which on a host counts as driven.
pub(super) const DRIVEN: f64 = 0.5;

/// Keystrokes, and those that followed within each window.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    keys: u32,
    hits: [u32; WINDOWS.len()],
    /// The same at the shifted moments: six a keystroke.
    shifted: [u32; WINDOWS.len()],
}

impl Counts {
    fn add(&mut self, lag: Option<u64>, shifted: &[Option<u64>]) {
        self.keys += 1;
        let within = |hits: &mut [u32], lag: Option<u64>| {
            let Some(lag) = lag else { return };
            for (hits, window) in hits.iter_mut().zip(WINDOWS) {
                *hits += u32::from(lag <= window);
            }
        };
        within(&mut self.hits, lag);
        shifted.iter().for_each(|lag| within(&mut self.shifted, *lag));
    }

    /// The window with the largest share above the baseline: its number, the share, the baseline.
    fn best(&self) -> (usize, f64, f64) {
        let keys = f64::from(self.keys.max(1));
        let shares = self.hits.iter().zip(&self.shifted).map(|(hits, shifted)| {
            (f64::from(*hits) / keys, f64::from(*shifted) / keys / SHIFTS.len() as f64)
        });
        let mut best = (0, 0.0, 0.0);
        for (at, (share, base)) in shares.enumerate() {
            if at == 0 || share - base > best.1 - best.2 {
                best = (at, share, base);
            }
        }
        best
    }

    /// Keystrokes that follow, less those by chance and two standard deviations of these.
    fn excess(&self) -> u32 {
        let (n, (_, share, base)) = (f64::from(self.keys), self.best());
        let sigma = (n * base * (1.0 - base).max(0.0)).sqrt();
        (n * (share - base) - 2.0 * sigma).ceil().max(0.0) as u32
    }
}

/// What the keystrokes of a window say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Score {
    /// From 0 to 1.
    pub(super) confidence: f64,
    /// Share of the keystrokes that follow a message.
    pub(super) share: f64,
    /// The same at the shifted moments.
    pub(super) baseline: f64,
    /// Median of the lags of those that follow, in ns.
    pub(super) lag_ns: u64,
    /// The keystrokes.
    pub(super) keys: u32,
}

/// The counts in progress.
#[derive(Clone, Copy, Debug)]
struct Window {
    began: Nanos,
    /// Its latest keystroke.
    last: Nanos,
    all: Counts,
    resumed: Counts,
    lags: [u32; LAGS_US.len()],
}

impl Window {
    fn new(began: Nanos) -> Window {
        let (all, resumed) = (Counts::default(), Counts::default());
        Window { began, last: began, all, resumed, lags: [0; LAGS_US.len()] }
    }

    /// Whether it is over before a keystroke at this time.
    const fn is_over(&self, time: Nanos) -> bool {
        let (keys, resumed) = (self.all.keys, self.resumed.keys);
        let long = time.0.saturating_sub(self.began.0) >= WINDOW_NS;
        let enough = keys >= KEYS_MIN && resumed >= RESUMED_MIN;
        keys >= WINDOW_KEYS && resumed >= WINDOW_RESUMED || enough && long
    }

    /// What it says, if there is enough.
    fn score(&self) -> Option<Score> {
        let keys = self.all.keys;
        // Without pauses it cannot be known whether both are only busy at the same time.
        if keys < KEYS_MIN || self.resumed.keys < RESUMED_MIN {
            return None;
        }
        let (at, share, baseline) = self.all.best();
        let excess = share - baseline;
        let (_, resumed, usual) = self.resumed.best();
        let resumed = resumed - usual;
        let n = f64::from(keys);
        let sigma = (n * baseline * (1.0 - baseline) + 1.0).sqrt();
        let by_chance = n * excess < SIGMAS * sigma;
        // Both have to say so: who is shown a screen answers each keystroke before the next one.
        let confidence = by_score(excess.min(resumed) / 2.0 + (excess + resumed) / 4.0);
        let confidence = if by_chance { confidence.min(0.4) } else { confidence };
        Some(Score { confidence, share, baseline, lag_ns: self.lag(at), keys })
    }

    /// Median of the lags within a window, in ns.
    fn lag(&self, window: usize) -> u64 {
        let limit = WINDOWS.get(window).map_or(u64::MAX, |cells| (cells + 1) * CELL_NS / 1_000);
        let classes = || LAGS_US.iter().zip(&self.lags).filter(|(us, _)| u64::from(**us) <= limit);
        let all: u32 = classes().map(|(_, n)| *n).sum();
        let (mut below, mut from) = (0u32, 0u32);
        for (to, n) in classes() {
            if *n > 0 && (below + n) * 2 >= all {
                let part = f64::from(all) / 2.0 - f64::from(below);
                let us = f64::from(from) + f64::from(to - from) * part / f64::from(*n);
                return (us * 1_000.0) as u64;
            }
            (below, from) = (below + n, *to);
        }
        0
    }
}

/// Standard deviations that the hits have to be above the baseline.
const SIGMAS: f64 = 4.0;

/// Confidence by score: between these points it is linear. In captures of remote-control software
/// and of what looks like it, driven hosts had 0.3 to 0.9, others up to 0.1.
fn by_score(score: f64) -> f64 {
    const POINTS: [(f64, f64); 5] =
        [(0.0, 0.0), (0.2, 0.5), (0.4, 0.85), (0.75, 0.97), (1.0, 0.99)];
    let mut before = (0.0, 0.0);
    for point in POINTS {
        if score <= point.0 {
            let width = point.0 - before.0;
            let part = if width > 0.0 { (score - before.0) / width } else { 0.0 };
            return before.1 + (point.1 - before.1) * part.max(0.0);
        }
        before = point;
    }
    before.1
}

/// What the windows of a day said.
#[derive(Clone, Copy, Debug, Default)]
struct Day {
    /// Days since 1970 (UTC).
    number: u32,
    best: Option<Score>,
    /// Windows that were over and said that the host is driven.
    windows: u32,
}

/// The day of a time.
const fn day_of(time: Nanos) -> u32 {
    (time.as_secs() / DAY_S) as u32
}

/// Two ways of a host: messages come in by one, keystrokes go out by the other.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// Whose messages come in.
    pub(super) from: Addr,
    /// To whom keystrokes go.
    pub(super) to: Addr,
    began: Nanos,
    window: Window,
    /// Each at its number modulo seven.
    days: [Day; HOLDS_DAYS],
}

/// A keystroke.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stroke {
    /// Its time.
    pub(super) time: Nanos,
    /// It is the first after a pause.
    pub(super) resumes: bool,
    /// The host sends more to where messages come from than it receives, and more than to where
    /// the keystroke goes: a screen goes there. Otherwise an answer of the work itself would look
    /// like the message that caused it.
    pub(super) shows: bool,
}

impl Pair {
    /// Two ways, from here on.
    pub(super) fn new((from, to): (Addr, Addr), time: Nanos) -> Pair {
        let (window, days) = (Window::new(time), [Day::default(); HOLDS_DAYS]);
        Pair { from, to, began: time, window, days }
    }

    /// Counts a keystroke; `exact` is the time of the latest message up to it, if it is known
    /// better than by cell.
    pub(super) fn add(&mut self, stroke: &Stroke, recent: &Recent, exact: Option<Nanos>) {
        if self.window.is_over(stroke.time) {
            self.conclude(stroke);
        }
        self.window.last = stroke.time;
        let lag = recent.since(stroke.time, WITHIN);
        let before = |cells: u64| Nanos(stroke.time.0.saturating_sub(cells * CELL_NS));
        let shifted = SHIFTS.map(|cells| recent.since(before(cells), WITHIN));
        self.window.all.add(lag, &shifted);
        if stroke.resumes {
            self.window.resumed.add(lag, &shifted);
        }
        if let Some(cells) = lag {
            let exact = exact.map(|time| stroke.time.0.saturating_sub(time.0));
            let us = exact.unwrap_or(cells * CELL_NS) / 1_000;
            let class = LAGS_US.partition_point(|bound| u64::from(*bound) < us);
            if let Some(count) = self.window.lags.get_mut(class) {
                *count += 1;
            }
        }
    }

    /// The window is over.
    fn conclude(&mut self, stroke: &Stroke) {
        let window = std::mem::replace(&mut self.window, Window::new(stroke.time));
        let Some(score) = window.score().filter(|_| stroke.shows) else { return };
        let number = day_of(window.last);
        let Some(day) = self.days.get_mut(number as usize % HOLDS_DAYS) else { return };
        if day.number != number {
            *day = Day { number, ..Day::default() };
        }
        day.windows = day.windows.saturating_add(u32::from(score.confidence >= DRIVEN));
        day.best = better(day.best, Some(score));
    }

    /// Forgets what was said before the last seven days (UTC).
    pub(super) fn age(&mut self, now: Nanos) {
        let holds = |time: u32| u64::from(time) + HOLDS_DAYS as u64 > u64::from(day_of(now));
        for day in self.days.iter_mut().filter(|day| !holds(day.number)) {
            *day = Day::default();
        }
        if !holds(day_of(self.window.last)) {
            self.window = Window::new(now);
        }
    }

    /// The best of its windows, with the one in progress.
    pub(super) fn score(&self, shows: bool) -> Option<Score> {
        let best = self.days.iter().fold(None, |best, day| better(best, day.best));
        better(best, self.window.score().filter(|_| shows))
    }

    /// Windows that were over and said that the host is driven.
    pub(super) fn windows(&self) -> u32 {
        self.days.iter().fold(0, |all, day| day.windows.saturating_add(all))
    }

    /// Days (UTC) with such a window.
    pub(super) fn days(&self) -> u32 {
        self.days.iter().filter(|day| day.windows > 0).count() as u32
    }

    /// What would be lost with it: windows, and keystrokes that follow above what chance gives.
    /// Raw ones would keep whoever sends most.
    pub(super) fn evidence(&self) -> (u32, u32) {
        (self.windows(), self.window.all.excess())
    }

    /// Its evidence; while it is too new to tell anything, a few keystrokes at least.
    pub(super) fn worth(&self, now: Nanos) -> (u32, u32) {
        let young = now.0.saturating_sub(self.began.0) < STAY_NS;
        let is_new = young && self.window.all.keys < STAY_KEYS;
        self.evidence().max(if is_new { (0, STAY_WORTH) } else { (0, 0) })
    }
}

/// The one that says more.
fn better(a: Option<Score>, b: Option<Score>) -> Option<Score> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.confidence > a.confidence { b } else { a }),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
#[path = "pair_tests.rs"]
mod tests;
