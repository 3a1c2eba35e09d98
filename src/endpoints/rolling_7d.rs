//! Response times of an endpoint over its last seven days.
//!
//! Owns: one [`Gathered`] for each of those days. In: the turns of sessions and their end times.
//! Out: one [`Gathered`] for the estimator. Never: a result that depends on the order of sessions,
//! or a session that is older than a week when the last one ends.

use std::borrow::Cow;

use crate::endpoints::exchange_minima::Gathered;
use crate::model::Nanos;
use crate::model::latency::Turns;

/// Days (UTC) that count, including the last one, so that the data never span more than seven times
/// 24 hours.
const DAYS: u64 = 7;

const DAY_S: u64 = 86_400;

/// The last seven days on which the endpoint answered exchanges.
#[derive(Clone, Debug)]
pub(super) struct Week {
    /// The latest day: most runs see no other.
    latest: Day,
    /// The other days, unordered, at most six.
    earlier: Vec<Day>,
}

#[derive(Clone, Debug)]
struct Day {
    /// Days since 1970.
    number: u64,
    sums: Gathered,
}

impl Day {
    const fn new(number: u64) -> Day {
        Day { number, sums: Gathered::new() }
    }
}

impl Week {
    /// An empty week; its first session ends at `first`.
    pub(super) const fn new(first: Nanos) -> Week {
        Week { latest: Day::new(first.as_secs() / DAY_S), earlier: Vec::new() }
    }

    /// Adds the exchanges that the initiator answered in a session that ended at `end`.
    pub(super) fn add(&mut self, turns: &Turns, transport_ns: Option<u64>, salt: u64, end: Nanos) {
        if let Some(sums) = self.day(end.as_secs() / DAY_S) {
            sums.add(turns, transport_ns, salt);
        }
    }

    /// The values of a day; `None` if it is too long ago.
    fn day(&mut self, number: u64) -> Option<&mut Gathered> {
        if number > self.latest.number {
            let before = std::mem::replace(&mut self.latest, Day::new(number));
            self.earlier.push(before);
            self.earlier.retain(|day| number - day.number < DAYS);
        }
        let ago = self.latest.number - number;
        if ago == 0 {
            return Some(&mut self.latest.sums);
        }
        if ago >= DAYS {
            return None;
        }
        let at = self.earlier.iter().position(|day| day.number == number);
        let at = at.unwrap_or_else(|| {
            self.earlier.push(Day::new(number));
            self.earlier.len() - 1
        });
        self.earlier.get_mut(at).map(|day| &mut day.sums)
    }

    /// All days together.
    pub(super) fn whole(&self) -> Cow<'_, Gathered> {
        if self.earlier.is_empty() {
            return Cow::Borrowed(&self.latest.sums);
        }
        let mut whole = self.latest.sums.clone();
        self.earlier.iter().for_each(|day| whole.merge(&day.sums));
        Cow::Owned(whole)
    }

    /// Reads some of the memory that the next session needs, for prefetching.
    pub(super) const fn peek(&self) -> u64 {
        self.latest.sums.floor_ns
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::endpoints::hidden::estimate;
    use crate::model::latency::{Exchange, Turn};

    const MS: u64 = 1_000_000;

    fn at(day: u64, hour: u64) -> Nanos {
        Nanos((20_000 + day) * DAY_S * 1_000_000_000 + hour * 3_600_000_000_000)
    }

    fn turns(gap_ms: u64) -> Turns {
        let turn = |exchange| Turn::new(exchange, true, (20 + gap_ms) * MS);
        let turns = vec![turn(Exchange::FirstData), turn(Exchange::Tls)];
        Turns { turns, ..Turns::default() }
    }

    fn week(sessions: &[(u64, u64)]) -> Week {
        let mut week = Week::new(at(sessions[0].0, 0));
        for (salt, (day, gap_ms)) in (0u64..).zip(sessions) {
            week.add(&turns(*gap_ms), Some(20 * MS), salt, at(*day, 9));
        }
        week
    }

    fn gap_ms(week: &Week) -> u64 {
        estimate(&week.whole()).unwrap().ns / MS
    }

    #[test]
    fn a_direct_session_of_last_week_clears_nobody() {
        assert_eq!(gap_ms(&week(&[(0, 1), (6, 150)])), 1);
        assert_eq!(gap_ms(&week(&[(0, 1), (7, 150)])), 150);
        assert_eq!(gap_ms(&week(&[(7, 150), (0, 1)])), 150);
        assert_eq!(gap_ms(&week(&[(7, 150), (1, 1), (3, 9)])), 1);
        let leg = estimate(&week(&[(0, 150), (2, 150), (8, 150), (9, 150)]).whole()).unwrap();
        assert_eq!((leg.samples, leg.handshakes), (4, 2));
    }

    proptest! {
        #[test]
        fn the_order_of_sessions_does_not_matter(
            days in prop::collection::vec((0u64..20, 0u64..200), 1..40)
        ) {
            let straight: Vec<(u64, (u64, u64))> = (0..).zip(days).collect();
            let sum = |order: &mut dyn Iterator<Item = &(u64, (u64, u64))>| {
                let mut order = order.peekable();
                let mut week = Week::new(at(order.peek().unwrap().1.0, 0));
                for (salt, (day, gap_ms)) in order {
                    week.add(&turns(*gap_ms), Some(20 * MS), *salt, at(*day, 9));
                }
                assert!(week.earlier.len() < DAYS as usize);
                estimate(&week.whole())
            };
            let forth = sum(&mut straight.iter());
            prop_assert_eq!(&forth, &sum(&mut straight.iter().rev()));
            // The same as for the last seven days alone.
            let last = straight.iter().map(|(_, (day, _))| *day).max().unwrap();
            let kept: Vec<_> = straight.iter().filter(|(_, s)| last - s.0 < DAYS).collect();
            prop_assert_eq!(forth, sum(&mut kept.into_iter()));
        }
    }
}
