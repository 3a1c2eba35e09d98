//! The times of updates of a long session, in seconds after its start.
//!
//! Owns: the list. In: seconds since the start. Out: the next time. Never: a clock.

/// Ascending seconds, of which the last repeats: `60, 300, 900` means 1, 5, 15, 30, 45 minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(Vec<u32>);

impl Schedule {
    /// Updates at these times; none for an empty list. Values that do not ascend are ignored.
    pub fn new(seconds: &[u32]) -> Schedule {
        let mut times: Vec<u32> = Vec::with_capacity(seconds.len());
        for time in seconds {
            if *time > times.last().copied().unwrap_or(0) {
                times.push(*time);
            }
        }
        Schedule(times)
    }

    /// Whether there are no updates.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The longest time between two of them.
    pub fn span(&self) -> u32 {
        self.0.last().copied().unwrap_or(0)
    }

    /// The first time later than this many seconds after the start.
    pub fn after(&self, seconds: u32) -> u32 {
        let listed = self.0.iter().copied().find(|time| *time > seconds);
        let last = self.span().max(1);
        listed.unwrap_or_else(|| (seconds / last).saturating_add(1).saturating_mul(last))
    }

    /// The first time that is not earlier.
    pub fn at_or_after(&self, seconds: u32) -> u32 {
        seconds.checked_sub(1).map_or_else(|| self.after(0), |before| self.after(before))
    }

    /// The last time that is earlier; 0 before the first.
    pub fn before(&self, seconds: u32) -> u32 {
        let (last, earlier) = (self.span(), seconds.saturating_sub(1));
        if last > 0 && earlier >= last {
            return earlier / last * last;
        }
        self.0.iter().rev().copied().find(|time| *time < seconds).unwrap_or(0)
    }

    /// How many are earlier.
    pub fn count_before(&self, seconds: u32) -> u32 {
        let listed = self.0.iter().filter(|time| **time < seconds).count() as u32;
        listed + (self.before(seconds) / self.span().max(1)).saturating_sub(1)
    }

    /// Whether there is an update at this time.
    pub fn has(&self, seconds: u32) -> bool {
        seconds > 0 && !self.is_empty() && self.at_or_after(seconds) == seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_repeats() {
        let schedule = Schedule::new(&[60, 300, 900]);
        let mut times = vec![schedule.after(0)];
        while times.len() < 6 {
            times.push(schedule.after(times[times.len() - 1]));
        }
        assert_eq!(times, [60, 300, 900, 1_800, 2_700, 3_600]);
        for pair in times.windows(2) {
            assert_eq!(schedule.before(pair[1]), pair[0]);
            assert_eq!((schedule.at_or_after(pair[0] + 1), schedule.has(pair[0])), (pair[1], true));
        }
        assert_eq!((schedule.before(60), schedule.before(59), schedule.before(901)), (0, 0, 900));
        assert_eq!((schedule.at_or_after(0), schedule.at_or_after(60)), (60, 60));
        assert!(!schedule.has(0) && !schedule.has(61) && !schedule.has(1_799));
    }

    #[test]
    fn times_that_do_not_ascend_are_ignored() {
        assert_eq!(Schedule::new(&[0, 5, 5, 3, 9]), Schedule::new(&[5, 9]));
        assert!(Schedule::new(&[]).is_empty() && !Schedule::new(&[]).has(60));
    }
}
