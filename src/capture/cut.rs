//! Where a set of many files ends, and from where the next set reads again.
//!
//! Owns: the places at which a file begins after all files before it have ended: only there nothing
//! is torn apart that belongs together. In: files as they are opened, bytes read so far. Out: the
//! first file that is left to the next set. Never: a file of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Nanos;

/// A set is at least so many times as long as what it reads again, so that reading again costs at
/// most a third, however long sessions last; and what they make it read again behind the last set.
const OWN_PARTS: u64 = 3;

/// Where a set ends. Shared by who reads and who asks.
#[derive(Debug)]
pub struct Cut {
    /// The set ends at the first place behind so many bytes of its own.
    bytes: u64,
    /// The first file of its own; those before it are read again.
    own: u16,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// First time of the first file of its own.
    since: Nanos,
    /// Bytes read before that.
    begun: Option<u64>,
    /// Files at whose beginning all others had ended, and bytes read before each.
    places: Vec<(u16, u64)>,
    /// The first file of the next set.
    next: Option<u16>,
}

impl Cut {
    /// A set of at least so many stored bytes, behind files that are read again.
    pub fn new(bytes: u64, own: u16) -> Cut {
        Cut { bytes, own, found: Mutex::default() }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file was found, whose first frame has this time.
    pub(crate) fn admit(&self, file: u16, first: Nanos) {
        if file == self.own {
            self.found().since = first;
        }
    }

    /// All files before this one have ended. Whether the set ends here.
    pub(super) fn ends_before(&self, file: u16, done: u64) -> bool {
        let mut found = self.found();
        let first = found.places.first().map_or(done, |(_, done)| *done);
        let is_over = |begun: u64| {
            let again = begun.saturating_sub(first).saturating_mul(OWN_PARTS);
            done.saturating_sub(begun) >= self.bytes.max(again)
        };
        if found.begun.is_some_and(is_over) {
            found.next = Some(file);
            return true;
        }
        if file >= self.own && found.begun.is_none() {
            found.begun = Some(done);
        }
        found.places.push((file, done));
        false
    }

    /// The first file of its own, and the time of its first frame.
    pub fn own(&self) -> (u16, Nanos) {
        (self.own, self.found().since)
    }

    /// The first file that is left to the next set; none in the last set.
    pub fn next(&self) -> Option<u16> {
        self.found().next
    }

    /// The last of those places that is not behind a file.
    pub fn place_before(&self, file: u16) -> Option<u16> {
        let found = self.found();
        found.places.iter().rev().map(|(place, _)| *place).find(|place| *place <= file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_ends_behind_its_bytes_where_a_file_follows_all_others() {
        let cut = Cut::new(100, 1);
        cut.admit(0, Nanos(5));
        cut.admit(1, Nanos(7));
        assert_eq!((cut.own(), cut.next()), ((1, Nanos(7)), None));
        // The first is read again; the fourth began before the third had ended.
        for (file, done) in [(0, 7), (1, 27), (2, 77), (4, 107), (5, 117)] {
            assert!(!cut.ends_before(file, done), "{file}");
        }
        assert!(cut.ends_before(6, 127));
        assert_eq!(cut.next(), Some(6));
        assert_eq!([3, 4, 9].map(|file| cut.place_before(file)), [Some(2), Some(4), Some(5)]);
    }

    #[test]
    fn a_set_is_long_by_what_it_reads_again() {
        let cut = Cut::new(10, 2);
        for (file, done) in [(0, 0), (1, 50), (2, 100), (3, 399)] {
            assert!(!cut.ends_before(file, done), "{file}");
        }
        assert!(cut.ends_before(4, 400));
    }
}
