//! A histogram of round trips.
//!
//! Owns: a sparse HDR histogram. In: nanoseconds. Out: quantiles, and counts to store.
//! Never: more buckets than [`BUCKETS`]; the sum of two depends neither on order nor on grouping.
//!
//! Buckets are those of an HDR histogram (<http://hdrhistogram.org>) of one significant digit from
//! 16.384 us to 68.7 s: 16 per octave, so that a value lies within a sixteenth of its bucket's
//! edge. A dense one takes 1.2 kB; of a hundred thousand prefixes most use about ten buckets.

/// The resolution is 2^14 ns: finer than a mirror port's jitter.
const UNIT_BITS: u32 = 14;
/// Round trips from 2^36 ns (69 s) on count as the longest.
const LONGEST_BITS: u32 = 36;
/// Buckets per octave, as a power of two.
const HALF_BITS: u32 = 4;

/// The number of buckets.
pub(super) const BUCKETS: u16 = 304;

/// Counts by bucket, in order, none of them 0. Additions saturate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(Vec<(u16, u32)>);

impl Counts {
    /// Counts a round trip.
    pub(super) fn record(&mut self, ns: u64) {
        self.add_to(bucket(ns), 1);
    }

    /// Adds another histogram.
    pub(super) fn add(&mut self, other: &Counts) {
        other.0.iter().for_each(|(bucket, count)| self.add_to(*bucket, *count));
    }

    fn add_to(&mut self, bucket: u16, more: u32) {
        match self.0.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, count)) = self.0.get_mut(at) {
                    *count = count.saturating_add(more);
                }
            }
            Err(at) => self.0.insert(at, (bucket, more)),
        }
    }

    /// Appends a stored bucket; false if it is out of order.
    pub(super) fn restore(&mut self, bucket: u16, count: u32) -> bool {
        let follows = self.0.last().is_none_or(|(last, _)| *last < bucket);
        let sound = follows && bucket < BUCKETS && count > 0;
        if sound {
            self.0.push((bucket, count));
        }
        sound
    }

    /// The number of round trips counted.
    pub(super) fn samples(&self) -> u64 {
        self.0.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// Buckets and their counts, in order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (u16, u32)> + '_ {
        self.0.iter().copied()
    }

    /// The upper edge of the bucket that contains the given percentile, in ns; `None` without
    /// samples.
    pub(super) fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = (self.samples().saturating_mul(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        let reached = |(_, count): &&(u16, u32)| {
            seen += u64::from(*count);
            seen >= rank
        };
        self.0.iter().find(reached).map(|(bucket, _)| longest(*bucket))
    }
}

/// The bucket of a round trip.
pub(super) fn bucket(ns: u64) -> u16 {
    let units = ns.min((1 << LONGEST_BITS) - 1) >> UNIT_BITS;
    let shift = (u64::BITS - units.leading_zeros()).saturating_sub(HALF_BITS + 1);
    (u64::from(shift << HALF_BITS) + (units >> shift)) as u16
}

/// The longest round trip of a bucket, in ns.
fn longest(bucket: u16) -> u64 {
    let shift = u32::from(bucket >> HALF_BITS).saturating_sub(1);
    let within = u64::from(bucket) - u64::from(shift << HALF_BITS);
    ((within + 1) << (shift + UNIT_BITS)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    fn counts(values: &[u64]) -> Counts {
        let mut counts = Counts::default();
        values.iter().for_each(|ns| counts.record(*ns));
        counts
    }

    /// A dense histogram with the same bounds.
    fn dense(values: &[u64]) -> Histogram<u64> {
        let mut dense = Histogram::new_with_bounds(1 << UNIT_BITS, 1 << LONGEST_BITS, 1).unwrap();
        values.iter().for_each(|ns| dense.record(*ns).unwrap());
        dense
    }

    #[test]
    fn the_last_bucket_is_the_longest() {
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(longest(BUCKETS - 1), (1 << LONGEST_BITS) - 1);
        assert_eq!(counts(&[]).percentile(5), None);
    }

    proptest! {
        #[test]
        fn it_says_what_a_dense_hdr_histogram_says(
            mine in prop::collection::vec(0u64..1 << LONGEST_BITS, 1..60),
            theirs in prop::collection::vec(0u64..1 << 30, 0..60),
            percent in 1u64..=100,
        ) {
            let (mut sparse, mut dense_sum) = (counts(&mine), dense(&mine));
            sparse.add(&counts(&theirs));
            dense_sum.add(dense(&theirs)).unwrap();
            prop_assert_eq!(sparse.samples(), dense_sum.len());
            let rank = (sparse.samples() * percent).div_ceil(100);
            let at = dense_sum.iter_recorded().find(|step| step.count_since_last_iteration() > 0
                && dense_sum.count_between(0, step.value_iterated_to()) >= rank).unwrap();
            prop_assert_eq!(sparse.percentile(percent), Some(at.value_iterated_to()));
        }

        #[test]
        fn a_bucket_holds_what_falls_into_it(ns in 0u64..1 << LONGEST_BITS) {
            let at = bucket(ns);
            prop_assert!(at < BUCKETS && ns <= longest(at));
            prop_assert!(at == 0 || longest(at - 1) < ns);
            prop_assert!(longest(at) - ns <= (ns / 16).max(1 << UNIT_BITS));
        }
    }
}
