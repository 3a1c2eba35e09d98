//! When one person's side spoke with IP-KVMs, or with their makers' clouds.
//!
//! Owns: some of these times. In: sessions from inside. Out: how soon one came after a moment.
//! Never: more than eight times.

use crate::model::Nanos;

/// Times that are kept. What is between the first and the latest goes first: a moment that is asked
/// for lies before one of these.
const TIMES_MAX: usize = 8;

/// Later than this it has nothing to do with that moment.
const APART_S: u64 = 86_400;

/// The times, the earliest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Kvms(pub(super) Vec<Nanos>);

impl Kvms {
    /// Adds a time, unless it is before the moment that counts.
    pub(super) fn add(&mut self, time: Nanos, since: Nanos) {
        if time < since {
            return;
        }
        if let Err(at) = self.0.binary_search(&time) {
            self.0.insert(at, time);
        }
        if self.0.len() > TIMES_MAX {
            self.0.remove(1);
        }
    }

    /// Minutes to the first from a time on.
    pub(super) fn after(&self, time: Nanos) -> Option<u32> {
        let first = self.0.iter().find(|at| **at >= time)?;
        let apart = first.since(time).as_secs();
        (apart <= APART_S).then_some((apart / 60) as u32)
    }

    /// Forgets what was before a time: another moment counts from then on.
    pub(super) fn forget_before(&mut self, time: Nanos) {
        self.0.retain(|at| *at >= time);
    }

    /// Adds what another sensor saw, from the moment on that counts for both.
    pub(super) fn merge(&mut self, other: &Kvms, since: Nanos) {
        self.forget_before(since);
        other.0.iter().for_each(|time| self.add(*time, since));
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Nanos>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_after_a_moment_stays() {
        let at = |minute: u64| Nanos::from_secs(minute * 60);
        let mut kvms = Kvms::default();
        assert_eq!(kvms.after(at(0)), None);
        (100..200).rev().for_each(|minute| kvms.add(at(minute), at(90)));
        kvms.add(at(100), at(90));
        kvms.add(at(89), at(90));
        assert_eq!((kvms.0.len(), kvms.after(at(90))), (TIMES_MAX, Some(10)));
        assert_eq!(kvms.after(at(200)), None);
        kvms.forget_before(at(150));
        assert_eq!(kvms.after(at(90)).map(|minutes| minutes > 60), Some(true));
        let mut other = Kvms(vec![at(5_000)]);
        assert_eq!(other.after(at(0)), None, "days later");
        other.merge(&kvms, at(0));
        assert!(other.0.is_sorted() && other.0.len() <= TIMES_MAX);
        // What was before the other's change of network neither counts nor takes a place.
        let mut later = Kvms::default();
        later.merge(&other, at(5_000));
        assert_eq!(later.0, [at(5_000)]);
        other.merge(&later, at(5_000));
        assert_eq!(other.0, [at(5_000)]);
    }
}
