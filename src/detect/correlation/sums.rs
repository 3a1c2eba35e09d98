//! What the events of a window add up to.
//!
//! Owns: one aggregate for each type of correlation. In: values as they enter and leave. Out: a
//! number. Never: looks at the events again, except to renew a sum.

use crate::detect::correlation::shape::{Entry, Kind, Shape};

/// Bits of a number in an event.
pub(in crate::detect) const fn number(value: f64) -> u64 {
    value.to_bits()
}

/// Bits that sort like their numbers.
const fn sortable(bits: u64) -> u64 {
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

const fn unsorted(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

/// The sums of a window.
#[derive(Debug, Default)]
pub(super) enum Sums {
    /// To be made from the events.
    #[default]
    Unknown,
    /// The events themselves are counted.
    Count,
    /// A sum, and how many values were taken from it: each may leave a rounding error.
    Total { total: f64, taken: usize },
    /// Values in order, and how many different ones.
    Sorted { values: Vec<u64>, distinct: usize },
    /// By rule: when it matched last, and the latest beginning of a chain of all rules up to it.
    Rules { last: Box<[u64]>, chain: Box<[u64]> },
}

impl Sums {
    /// Of no event.
    pub(super) fn new(shape: &Shape) -> Sums {
        match shape.kind {
            Kind::EventCount => Sums::Count,
            Kind::ValueSum | Kind::ValueAvg => Sums::Total { total: 0.0, taken: 0 },
            Kind::ValueCount | Kind::ValuePercentile => {
                Sums::Sorted { values: Vec::new(), distinct: 0 }
            }
            Kind::Temporal | Kind::TemporalOrdered => {
                let none = || vec![0; shape.rules].into_boxed_slice();
                Sums::Rules { last: none(), chain: none() }
            }
        }
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        match self {
            Sums::Unknown | Sums::Count => {}
            Sums::Total { total, .. } => *total += f64::from_bits(entry.value),
            Sums::Sorted { values, distinct } => {
                let value = sortable(entry.value);
                let at = values.partition_point(|have| *have < value);
                *distinct += usize::from(values.get(at) != Some(&value));
                values.insert(at, value);
            }
            Sums::Rules { last, chain } => follow(last, chain, entry),
        }
    }

    /// A value leaves the window.
    pub(super) fn take(&mut self, value: u64) {
        match self {
            Sums::Unknown | Sums::Count | Sums::Rules { .. } => {}
            Sums::Total { total, taken } => {
                *total -= f64::from_bits(value);
                *taken += 1;
            }
            Sums::Sorted { values, distinct } => {
                let value = sortable(value);
                let at = values.partition_point(|have| *have < value);
                if values.get(at) == Some(&value) {
                    values.remove(at);
                    *distinct -= usize::from(values.get(at) != Some(&value));
                }
            }
        }
    }

    /// Whether so many values were taken from the sum of a window that it should be renewed.
    pub(super) const fn is_worn(&self, samples: usize) -> bool {
        matches!(self, Sums::Total { taken, .. } if *taken >= samples)
    }

    /// Adds the values up anew.
    pub(super) fn renew(&mut self, values: impl Iterator<Item = u64>) {
        if let Sums::Total { total, taken } = self {
            (*total, *taken) = (values.map(f64::from_bits).sum(), 0);
        }
    }

    /// The number that the condition is about; `begin` is the window's beginning.
    pub(super) fn value(&self, shape: &Shape, samples: usize, begin: u64) -> Option<f64> {
        match (self, shape.kind) {
            (Sums::Count, _) => Some(samples as f64),
            (Sums::Total { total, .. }, Kind::ValueAvg) => Some(total / samples.max(1) as f64),
            (Sums::Total { total, .. }, _) => Some(*total),
            (Sums::Sorted { distinct, .. }, Kind::ValueCount) => Some(*distinct as f64),
            (Sums::Sorted { values, .. }, _) => percentile(values, shape.percentile),
            (Sums::Rules { chain, .. }, Kind::TemporalOrdered) => {
                let whole = chain.last().is_some_and(|first| *first > 0 && *first >= begin);
                whole.then_some(shape.rules as f64)
            }
            (Sums::Rules { last, .. }, _) => {
                Some(last.iter().filter(|at| **at > 0 && **at >= begin).count() as f64)
            }
            (Sums::Unknown, _) => None,
        }
    }

    pub(super) fn heap(&self) -> usize {
        match self {
            Sums::Unknown | Sums::Count | Sums::Total { .. } => 0,
            Sums::Sorted { values, .. } => values.capacity() * size_of::<u64>(),
            Sums::Rules { last, chain } => (last.len() + chain.len()) * size_of::<u64>(),
        }
    }
}

/// A rule has matched: chains that reach it grow, and those of later rules at the same moment, for
/// which there is no order.
fn follow(last: &mut [u64], chain: &mut [u64], entry: &Entry) {
    let rule = usize::try_from(entry.value).unwrap_or(usize::MAX);
    let Some(at) = last.get_mut(rule) else { return };
    *at = entry.time;
    let mut before = match rule.checked_sub(1) {
        None => entry.time,
        Some(before) => chain.get(before).copied().unwrap_or(0),
    };
    let later = last.iter().zip(chain.iter_mut()).skip(rule);
    for (_, first) in later.take_while(|(last, _)| **last == entry.time) {
        *first = before.max(*first);
        before = *first;
    }
}

/// Linear interpolation between the closest ranks.
fn percentile(values: &[u64], percent: f64) -> Option<f64> {
    let rank = percent / 100.0 * values.len().checked_sub(1)? as f64;
    let at = |rank: f64| values.get(rank as usize).map(|bits| unsorted(*bits));
    let (low, high) = (at(rank.floor())?, at(rank.ceil())?);
    Some(low + (high - low) * rank.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_sort_like_their_numbers() {
        let numbers = [-1e9, -2.5, -0.0, 0.0, 1e-9, 3.0, 1e300];
        let sorted: Vec<u64> = numbers.iter().map(|n| sortable(number(*n))).collect();
        assert!(sorted.is_sorted());
        assert!(
            sorted.iter().zip(numbers).all(|(bits, n)| unsorted(*bits).to_bits() == n.to_bits())
        );
    }

    #[test]
    fn percentiles_lie_between_the_closest_ranks() {
        let values: Vec<u64> = [10.0, 20.0, 30.0, 40.0].map(|n| sortable(number(n))).to_vec();
        assert_eq!(percentile(&values, 50.0), Some(25.0));
        assert_eq!(percentile(&values, 0.0), Some(10.0));
        assert_eq!(percentile(&values, 100.0), Some(40.0));
        assert_eq!(percentile(&[], 50.0), None);
    }
}
