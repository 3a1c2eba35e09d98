//! How many sessions began when, in a fixed number of bins.
//!
//! Owns: the bins. In: times, in any order. Out: counts from the first to the last one. Never: more
//! bins: where they do not suffice, each becomes twice as wide.

use crate::model::Nanos;

const BINS: usize = 240;

/// The bins.
#[derive(Debug)]
pub(super) struct History {
    bins: Vec<u64>,
    /// The number of the first bin, counted from 1970.
    first: u64,
    /// Seconds of a bin.
    width: u64,
}

impl Default for History {
    fn default() -> History {
        History { bins: Vec::new(), first: 0, width: 1 }
    }
}

impl History {
    /// Counts a time.
    pub(super) fn add(&mut self, time: Nanos) {
        let second = time.as_secs();
        if self.bins.is_empty() {
            self.first = second / self.width;
        }
        loop {
            let number = second / self.width;
            let last = self.first + (self.bins.len() as u64).saturating_sub(1);
            let needed = last.max(number) - self.first.min(number) + 1;
            if needed <= BINS as u64 {
                self.count(number);
                return;
            }
            self.widen();
        }
    }

    fn count(&mut self, number: u64) {
        let before = self.first.saturating_sub(number) as usize;
        if before > 0 {
            self.bins.splice(..0, std::iter::repeat_n(0, before));
            self.first = number;
        }
        let at = (number - self.first) as usize;
        if self.bins.len() <= at {
            self.bins.resize(at + 1, 0);
        }
        if let Some(bin) = self.bins.get_mut(at) {
            *bin += 1;
        }
    }

    fn widen(&mut self) {
        let mut bins: Vec<u64> = Vec::with_capacity(BINS);
        for (number, count) in (self.first..).zip(&self.bins) {
            let at = (number / 2 - self.first / 2) as usize;
            bins.resize(bins.len().max(at + 1), 0);
            if let Some(bin) = bins.get_mut(at) {
                *bin += count;
            }
        }
        (self.bins, self.first, self.width) = (bins, self.first / 2, self.width * 2);
    }

    /// The counts, and the seconds of each.
    pub(super) fn bins(&self) -> (&[u64], u64) {
        (&self.bins, self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_any_order_fit_into_the_bins_and_none_is_lost() {
        let mut history = History::default();
        for n in 0..1_000_u64 {
            history.add(Nanos::from_secs(1_700_000_000 + n * 7_919 % 100_003));
        }
        let (bins, width) = history.bins();
        assert_eq!(bins.iter().sum::<u64>(), 1_000);
        assert!(bins.len() <= BINS && bins.len() > BINS / 3, "{}", bins.len());
        assert!(width.is_power_of_two() && width * 240 >= 99_000, "{width}");
        history.add(Nanos::ZERO);
        history.add(Nanos(u64::MAX));
        assert_eq!(history.bins().0.iter().sum::<u64>(), 1_002);
    }

    #[test]
    fn one_second_is_one_bin() {
        let mut history = History::default();
        [5, 5, 3].into_iter().for_each(|s| history.add(Nanos::from_secs(s)));
        assert_eq!(history.bins(), (&[1, 0, 2][..], 1));
    }
}
