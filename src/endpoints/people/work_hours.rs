//! Hours in which one person works.
//!
//! Owns: messages of each hour (UTC) of the latest days. In: messages of the person's side, by
//! time. Out: active hours, and how many of them are in office hours elsewhere. Never: more than 14
//! days, or a place where such hours are.
//!
//! A machine that is left on is not silent: keep-alives, mail and clocks go on. So an hour needs a
//! rate that keep-alives do not reach, and a part of what the person makes in the busiest hour of
//! an ordinary day: a weekend of a machine that nobody is at has no such hour.

use crate::endpoints::people::days::{DAYS, day};
use crate::endpoints::people::outbound::{ByDay, add_day};
use crate::model::Nanos;
use crate::model::people_facts::WorkHours;
use crate::model::physics::ClaimedPlace;

/// Messages of an hour that is active: five a minute. Keep-alives come each 15 s and more seldom.
const ACTIVE: u16 = 300;

/// And this part (1/n) of those of the busiest hour of a day, median of the days.
const OF_BUSIEST: u16 = 10;

/// So many active hours make a long day.
const LONG_DAY: u32 = 14;

/// Long days are looked for in so many.
const WEEK: u32 = 7;

/// The day at a place, in hours by the sun.
const DAYTIME: std::ops::Range<f64> = 8.0..18.0;

/// Messages of each hour.
pub(super) type Hourly = [u16; 24];

/// The latest days.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(pub(super) ByDay<Hourly>);

impl Activity {
    /// Adds messages that were sent up to a time.
    pub(super) fn add(&mut self, until: Nanos, messages: u32) {
        if messages == 0 {
            return;
        }
        let hour = (until.as_secs() / 3_600 % 24) as usize;
        let mut new = Hourly::default();
        if let Some(count) = new.get_mut(hour) {
            *count = u16::try_from(messages).unwrap_or(u16::MAX);
        }
        self.add_day(day(until), &new);
    }

    /// Adds what is known of a day.
    pub(super) fn add_day(&mut self, day: u32, new: &Hourly) {
        let add = |known: Hourly| {
            std::array::from_fn(|hour| {
                let of = |all: &Hourly| all.get(hour).copied().unwrap_or_default();
                of(&known).saturating_add(of(new))
            })
        };
        add_day(&mut self.0, day, DAYS as usize, add, Hourly::default());
    }

    /// Adds what another sensor saw.
    pub(super) fn merge(&mut self, other: Activity) {
        other.0.iter().for_each(|(day, hours)| self.add_day(*day, hours));
    }

    /// What the last 14 days tell, if there is an active hour.
    pub(super) fn facts(
        &self,
        now: u32,
        foreign: u32,
        claim: Option<&ClaimedPlace>,
    ) -> Option<WorkHours> {
        let recent =
            || self.0.iter().filter(|(day, _)| day.saturating_add(DAYS) > now && *day <= now);
        let least = least(recent().map(|(_, hours)| hours));
        let all: Vec<(u32, u32)> = recent()
            .map(|(day, hours)| (*day, active(hours, least)))
            .filter(|(_, hours)| *hours > 0)
            .collect();
        let mut a_day: Vec<u32> = all.iter().map(|(_, hours)| hours.count_ones()).collect();
        a_day.sort_unstable();
        let long = |(day, hours): &&(u32, u32)| {
            day.saturating_add(WEEK) > now && hours.count_ones() >= LONG_DAY
        };
        let foreign = foreign & !claim.map_or(0, daytime);
        let sum = |mask: u32| all.iter().map(|(_, hours)| (hours & mask).count_ones()).sum::<u32>();
        Some(WorkHours {
            days: all.len() as u32,
            active_p50: a_day.get(a_day.len() / 2).copied()?,
            active_max: a_day.last().copied()?,
            long_days: all.iter().filter(long).count() as u32,
            foreign_share: (foreign != 0)
                .then(|| f64::from(sum(foreign)) / f64::from(sum(u32::MAX))),
        })
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(u32, Hourly)>()
    }
}

/// The fewest messages of an active hour.
fn least<'a>(days: impl Iterator<Item = &'a Hourly>) -> u16 {
    let mut busiest: Vec<u16> = days.filter_map(|hours| hours.iter().max().copied()).collect();
    busiest.sort_unstable();
    let median = busiest.get(busiest.len() / 2).copied().unwrap_or_default();
    ACTIVE.max(median.div_ceil(OF_BUSIEST))
}

/// The hours of a day with so many messages.
fn active(hours: &Hourly, least: u16) -> u32 {
    let is_active = |(_, count): &(u32, &u16)| **count >= least;
    (0..).zip(hours).filter(is_active).fold(0, |bits, (hour, _)| bits | 1u32 << hour)
}

/// The hours (UTC) of the day at a place. Its longitude is close enough: laws move clocks by an
/// hour or two, and offices open within more.
fn daytime(place: &ClaimedPlace) -> u32 {
    let ahead = place.centre.1 / 15.0;
    let is_day = |hour: &u32| DAYTIME.contains(&(f64::from(*hour) + 0.5 + ahead).rem_euclid(24.0));
    (0..24).filter(is_day).fold(0, |bits, hour| bits | 1u32 << hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 20_010;

    fn at(day: u32, hour: u64) -> Nanos {
        Nanos::from_secs(u64::from(day) * 86_400 + hour * 3_600 + 1_800)
    }

    fn worked(days: std::ops::RangeInclusive<u32>, hours: &[u64]) -> Activity {
        let mut activity = Activity::default();
        for day in days {
            hours.iter().for_each(|hour| activity.add(at(day, *hour), 1_000));
        }
        activity
    }

    #[test]
    fn long_days_are_those_of_the_last_week() {
        let long: Vec<u64> = (0..14).collect();
        let short: Vec<u64> = (0..13).collect();
        let of = |days, hours: &[u64]| worked(days, hours).facts(NOW, 0, None).unwrap();
        let found = of(NOW - 9..=NOW, &long);
        assert_eq!(
            (found.days, found.active_p50, found.active_max, found.long_days),
            (10, 14, 14, 7)
        );
        assert_eq!((of(NOW - 9..=NOW, &short).long_days, found.foreign_share), (0, None));
        assert_eq!(of(NOW - 20..=NOW - 6, &long).long_days, 1);
        assert_eq!(worked(NOW - 20..=NOW - 14, &long).facts(NOW, 0, None), None);
    }

    #[test]
    fn a_machine_that_is_left_on_is_not_active() {
        let mut activity = worked(NOW..=NOW, &[9, 10, 11]);
        // A keep-alive each 15 s.
        (0..24).for_each(|hour| activity.add(at(NOW, hour), 240));
        assert_eq!(activity.facts(NOW, 0, None).unwrap().active_max, 3);
        // Its programs, beside somebody who works through a tunnel.
        let mut busy = Activity::default();
        (0..24).for_each(|hour| busy.add(at(NOW, hour), 900));
        (14..22).for_each(|hour| busy.add(at(NOW, hour), 20_000));
        assert_eq!(busy.facts(NOW, 0, None).unwrap().active_max, 8);
        // At the weekend, too.
        (1..3).for_each(|day| (0..24).for_each(|hour| busy.add(at(NOW - day, hour), 900)));
        (3..8).for_each(|day| busy.add(at(NOW - day, 15), 20_000));
        let found = busy.facts(NOW, 0, None).unwrap();
        assert_eq!((found.days, found.active_max), (6, 8));
        // An hour is a sum.
        let mut slow = Activity::default();
        (0..3).for_each(|_| slow.add(at(NOW, 9), 100));
        assert_eq!(slow.facts(NOW, 0, None).unwrap().active_max, 1);
        assert_eq!(Activity::default().facts(NOW, 0, None), None);
    }

    #[test]
    fn hours_elsewhere_are_those_that_are_none_at_home() {
        let night = worked(NOW - 10..=NOW, &[0, 1, 2, 3, 14]);
        let foreign = 0b1_1111_1111;
        let share =
            |claim: Option<&ClaimedPlace>| night.facts(NOW, foreign, claim).unwrap().foreign_share;
        assert_eq!(share(None), Some(0.8));
        let place = |east| ClaimedPlace { centre: (0.0, east), radius_km: 0.0, sensor_km: 0.0 };
        // 00:30 UTC is 8:30 by the sun at 120 degrees east: all nine are in the day there.
        assert_eq!(share(Some(&place(120.0))), None, "no hour is left that tells");
        assert_eq!(share(Some(&place(-75.0))), Some(0.8), "evening and night");
    }

    #[test]
    fn sensors_add_up_and_old_days_go() {
        let mut one = worked(NOW - 13..=NOW, &[9]);
        let mut other = worked(NOW..=NOW + 1, &[9]);
        let mut swapped = other.clone();
        swapped.merge(one.clone());
        one.merge(std::mem::take(&mut other));
        assert_eq!((one.0.len(), &one.0), (14, &swapped.0));
        assert_eq!(one.0.iter().find(|(day, _)| *day == NOW).unwrap().1[9], 2_000);
        (0..100).for_each(|_| one.add(at(NOW, 9), u32::MAX));
        assert_eq!(one.0.iter().find(|(day, _)| *day == NOW).unwrap().1[9], u16::MAX);
    }
}
