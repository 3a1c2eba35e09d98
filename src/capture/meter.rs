//! Measures the granularity of a capture clock from its readings.
//!
//! Owns: a few statistics of the readings of one capture interface. In: times in reading order.
//! Out: the grain. Never: more than a comparison per frame once a clock is known to be fine.
//!
//! The resolution in a file is only an upper bound: a system whose timer ticks every 10 ms still
//! writes nanoseconds.

use crate::model::{Grain, Nanos};

/// Grains below this (10 ms) are not measured; the file format states finer ones.
const COARSE: u64 = 10_000_000;

/// Readings needed to believe a common divisor: if two of them were equal, and if none were.
const READINGS: u32 = 4;
const READINGS_UNEQUAL: u32 = 16;

/// If at least one in this many readings equals the one before, the clock is coarse with inexact
/// ticks.
const EQUAL_SHARE: u32 = 8;

/// Statistics of a clock's readings.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    last: Option<Nanos>,
    readings: u32,
    /// Readings equal to the one before.
    equal: u32,
    /// The shortest step between two readings, 0 before the first.
    step: u64,
    /// The greatest common divisor of all steps.
    divisor: u64,
    /// A step was below the threshold.
    fine: bool,
}

impl Meter {
    /// Whether it is known to be a fine clock: further readings do not matter.
    #[inline]
    pub(super) const fn is_fine(&self) -> bool {
        self.fine
    }

    /// Adds one reading.
    #[inline]
    pub(super) fn read(&mut self, time: Nanos) {
        if !self.fine {
            self.compare(time);
        }
    }

    #[cold]
    fn compare(&mut self, time: Nanos) {
        self.readings = self.readings.saturating_add(1);
        let Some(last) = self.last.replace(time) else { return };
        let step = time.0.abs_diff(last.0);
        if step == 0 {
            self.equal = self.equal.saturating_add(1);
            return;
        }
        self.step = if self.step == 0 { step } else { self.step.min(step) };
        self.fine = self.step < COARSE;
        if self.divisor == 0 || self.divisor >= COARSE {
            self.divisor = greatest_common_divisor(self.divisor, step);
        }
    }

    /// The grain measured so far.
    #[inline]
    pub(super) fn grain(&self) -> Grain {
        if self.fine { Grain::default() } else { self.estimate() }
    }

    fn estimate(&self) -> Grain {
        let wanted = if self.equal > 0 { READINGS } else { READINGS_UNEQUAL };
        if self.divisor >= COARSE && self.readings >= wanted {
            return Grain::of(self.divisor);
        }
        let often = self.equal >= READINGS && self.equal >= self.readings / EQUAL_SHARE;
        if often { Grain::of(self.step) } else { Grain::default() }
    }
}

/// Euclid's algorithm: at most about ninety steps for 64 bits.
const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grain(micros: &[u64]) -> Grain {
        let mut meter = Meter::default();
        let base = 1_700_000_000_000_000;
        micros.iter().for_each(|at| meter.read(Nanos((base + at) * 1_000)));
        meter.grain()
    }

    #[test]
    fn a_coarse_clock_shows_in_its_readings() {
        // A timer of 10 ms, and one of 1/64 s.
        assert_eq!(grain(&[0, 30_000, 30_000, 40_000, 70_000]), Grain::of(10_000_000));
        assert_eq!(grain(&[0, 31_250, 31_250, 46_875, 62_500]), Grain::of(15_625_000));
        // Inexact ticks: none is shorter than 15.6 ms and many readings are equal.
        let ticks = [0, 0, 15_601, 15_601, 31_203, 46_801, 46_801, 46_801, 62_405];
        assert_eq!(grain(&ticks), Grain::of(15_598_000));
    }

    #[test]
    fn a_fine_clock_is_not_called_coarse() {
        assert_eq!(grain(&[0, 30_123, 32_500, 40_001, 71_000]), Grain::default());
        assert_eq!(grain(&[0, 30_000, 40_000, 60_000]), Grain::default(), "too few to tell");
        assert_eq!(grain(&[0, 30_000, 30_000, 60_000, 61_000]), Grain::default());
        assert_eq!(grain(&[0, 0, 0, 0, 0]), Grain::default(), "no step tells nothing");
    }
}
