//! A histogram of round trips: an HDR histogram with fixed bounds.
//!
//! Owns: the bounds. In: nanoseconds. Out: quantiles within 1 %.
//! Never: grows; a longer round trip counts as the longest.

/// The longest round trip resolved: one hour, in ns.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// Two significant digits.
const DIGITS: u8 = 2;

/// Counts of round trips. Merging histograms of several threads gives the same result in any order.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Option<hdrhistogram::Histogram<u64>>);

impl Histogram {
    /// Adds a value.
    pub fn observe(&mut self, ns: u64) {
        if let Some(counts) = self.counts() {
            counts.saturating_record(ns.max(1));
        }
    }

    /// Adds another histogram.
    pub fn merge(&mut self, other: &Histogram) {
        if let (Some(mine), Some(theirs)) = (self.counts(), &other.0) {
            // Both have the same bounds, so every value of one fits into the other.
            let _ = mine.add(theirs);
        }
    }

    /// The number of values.
    pub fn samples(&self) -> u64 {
        self.0.as_ref().map_or(0, |counts| counts.len())
    }

    /// The value below which `share` (0 to 1) of the samples lie, in ns; `None` without samples.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let counts = self.0.as_ref().filter(|counts| !counts.is_empty())?;
        Some(counts.value_at_quantile(share))
    }

    /// The counts, allocated on first use: a run without a handshake needs none.
    fn counts(&mut self) -> Option<&mut hdrhistogram::Histogram<u64>> {
        if self.0.is_none() {
            self.0 = hdrhistogram::Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).ok();
        }
        self.0.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_known_series() {
        let (mut odd, mut even) = (Histogram::default(), Histogram::default());
        assert_eq!(odd.quantile(0.5), None);
        for n in 1..=1_000u64 {
            if n % 2 == 1 { &mut odd } else { &mut even }.observe(n * 1_000_000);
        }
        odd.merge(&even);
        for (share, want) in [(0.5, 500e6), (0.95, 950e6), (1.0, 1_000e6)] {
            let got = odd.quantile(share).unwrap() as f64;
            assert!((got - want).abs() <= want / 100.0, "{share}: {got}");
        }
        assert_eq!(odd.samples(), 1_000);
    }

    #[test]
    fn a_round_trip_beyond_the_bounds_counts_as_the_longest() {
        let mut histogram = Histogram::default();
        histogram.observe(u64::MAX);
        histogram.observe(0);
        assert_eq!(histogram.samples(), 2);
        assert!(histogram.quantile(1.0).unwrap() >= LONGEST_NS);
    }
}
