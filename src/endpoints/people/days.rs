//! Days and hours on which somebody was somewhere.
//!
//! Owns: the last days, as bits. In: times. Out: days and hours. Never: allocates for days.

use crate::model::Nanos;

/// Days looked back at.
pub(super) const DAYS: u32 = 14;

const DAY_S: u64 = 86_400;

const HOUR_S: u64 = 3_600;

/// The day (UTC) of a time, since 1970.
pub(super) const fn day(time: Nanos) -> u32 {
    (time.as_secs() / DAY_S) as u32
}

/// The days that a session shows somebody on: a tunnel that stays up shows them on each.
pub(super) fn days_of(first: Nanos, last: Nanos) -> impl Iterator<Item = u32> {
    let today = day(last);
    day(first).max(today.saturating_sub(DAYS))..=today
}

/// The latest days: 32 bits that end with the latest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) latest: u32,
    /// Bit 0 is the latest day.
    pub(super) bits: u32,
}

impl Days {
    pub(super) fn add(&mut self, day: u32) {
        if self.bits == 0 {
            *self = Days { latest: day, bits: 1 };
        } else if day > self.latest {
            self.bits = self.bits.checked_shl(day - self.latest).unwrap_or(0) | 1;
            self.latest = day;
        } else {
            self.bits |= 1u32.checked_shl(self.latest - day).unwrap_or(0);
        }
    }

    /// Adds the days of another.
    pub(super) fn merge(&mut self, other: Days) {
        other.all().for_each(|day| self.add(day));
    }

    fn all(self) -> impl Iterator<Item = u32> {
        let set = move |back: &u32| self.bits >> back & 1 == 1;
        (0..u32::BITS).rev().filter(set).filter_map(move |back| self.latest.checked_sub(back))
    }

    /// The last 14 days up to one, the earliest first.
    pub(super) fn until(self, now: u32) -> impl Iterator<Item = u32> {
        let since = now.saturating_sub(DAYS);
        self.all().filter(move |day| (since + 1..=now).contains(day))
    }

    /// The latest day.
    pub(super) fn last(self) -> Option<u32> {
        (self.bits != 0).then_some(self.latest)
    }
}

/// The latest days with the hours (UTC) of each: bit 0 is midnight to one o'clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hours(Vec<(u32, u32)>);

impl Hours {
    /// Adds the hours of a session.
    pub(super) fn add(&mut self, first: Nanos, last: Nanos) {
        for day in days_of(first, last) {
            let starts = u64::from(day) * DAY_S;
            let hour = |time: Nanos| time.as_secs().saturating_sub(starts) / HOUR_S;
            let (from, to) = (hour(first.min(last)), hour(last).min(23));
            self.set(day, u32::MAX >> (31 - to as u32) & u32::MAX << from.min(23) as u32);
        }
    }

    /// Adds hours to a day.
    pub(super) fn set(&mut self, day: u32, hours: u32) {
        match self.0.binary_search_by_key(&day, |(day, _)| *day) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known |= hours;
                }
            }
            Err(at) => {
                self.0.insert(at, (day, hours));
                if self.0.len() > DAYS as usize {
                    self.0.remove(0);
                }
            }
        }
    }

    /// Each day with its hours, the earliest first.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + '_ {
        self.0.iter().copied()
    }

    /// The last 14 days up to one.
    pub(super) fn until(&self, now: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let since = now.saturating_sub(DAYS);
        self.iter().filter(move |(day, _)| (since + 1..=now).contains(day))
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(u32, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_kept_in_any_order() {
        let order = [7u32, 3, 9, 9, 40, 12];
        let all = |order: &mut dyn Iterator<Item = &u32>| {
            let mut days = Days::default();
            order.for_each(|day| days.add(*day));
            days
        };
        let forth = all(&mut order.iter());
        assert_eq!(forth, all(&mut order.iter().rev()));
        assert_eq!(forth.all().collect::<Vec<u32>>(), [9, 12, 40]);
        assert_eq!(forth.until(22).collect::<Vec<u32>>(), [9, 12]);
        assert_eq!(forth.until(23).collect::<Vec<u32>>(), [12]);
        assert_eq!((forth.last(), Days::default().last()), (Some(40), None));
    }

    #[test]
    fn hours_are_those_that_a_session_touches() {
        let at = |hour: u64| Nanos::from_secs(20_000 * DAY_S + hour * HOUR_S);
        let of = |from: u64, to: u64| {
            let mut hours = Hours::default();
            hours.add(at(from), at(to));
            hours.iter().collect::<Vec<(u32, u32)>>()
        };
        assert_eq!(of(9, 11), [(20_000, 0b1110_0000_0000)]);
        assert_eq!(of(22, 25), [(20_000, 0xc0_0000), (20_001, 0b11)]);
        assert_eq!(of(0, 47), [(20_000, 0xff_ffff), (20_001, 0xff_ffff)]);
    }
}
