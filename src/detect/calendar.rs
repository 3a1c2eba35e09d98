//! Numbers of a calendar: the hour of a time, the week of a day.
//!
//! Owns: `minute hour day week month year` of Sigma, in UTC. In: a time or a day. Out: a number.
//! Never: a clock or a time zone.

use crate::model::Nanos;
use crate::model::schema::Value;
use crate::model::time::civil_from_days;

/// A part of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CalendarPart {
    Minute,
    Hour,
    Day,
    /// ISO 8601: week 1 holds the year's first Thursday.
    Week,
    Month,
    Year,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

impl CalendarPart {
    /// The number, if the value is a time, or text that is one.
    pub(super) fn of(self, value: &Value<'_>) -> Option<u64> {
        match value {
            Value::Time(at) | Value::Day(at) => Some(self.of_seconds(at.as_secs())),
            Value::Str(text) => seconds_of(text).map(|seconds| self.of_seconds(seconds)),
            _ => None,
        }
    }

    fn of_seconds(self, seconds: u64) -> u64 {
        let (year, month, day) = civil_from_days(seconds / DAY);
        match self {
            CalendarPart::Minute => seconds % HOUR / MINUTE,
            CalendarPart::Hour => seconds % DAY / HOUR,
            CalendarPart::Day => day,
            CalendarPart::Week => week(seconds / DAY),
            CalendarPart::Month => month,
            CalendarPart::Year => year,
        }
    }
}

/// The ISO week of a day since 1970-01-01, which was a Thursday: the week belongs to the year of
/// its Thursday.
fn week(days: u64) -> u64 {
    let thursday = days + 3 - (days + 3) % 7;
    let (year, ..) = civil_from_days(thursday);
    let first = Nanos::from_date(&format!("{year:04}-01-01")).unwrap_or_default();
    thursday.saturating_sub(first.as_secs() / DAY) / 7 + 1
}

/// Seconds since 1970 of RFC 3339 in UTC, or of a day.
pub(super) fn seconds_of(text: &str) -> Option<u64> {
    let day = Nanos::from_date(text.get(..10)?)?.as_secs();
    let Some(time) = text.get(11..19) else { return Some(day) };
    let mut parts = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    Some(day + hour * HOUR + minute * MINUTE + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_known_times() {
        let at = Value::Str("2026-11-22T23:59:58.000000000Z");
        let all = [
            (CalendarPart::Minute, 59),
            (CalendarPart::Hour, 23),
            (CalendarPart::Day, 22),
            (CalendarPart::Week, 47),
            (CalendarPart::Month, 11),
            (CalendarPart::Year, 2026),
        ];
        for (part, want) in all {
            assert_eq!(part.of(&at), Some(want), "{part:?}");
        }
        assert_eq!(CalendarPart::Hour.of(&Value::Int(3)), None);
    }

    /// Days around the turn of a year, as `date +%V` has them.
    #[test]
    fn weeks_begin_on_monday_and_belong_to_the_year_of_their_thursday() {
        for (day, want) in [
            ("2021-01-03", 53),
            ("2021-01-04", 1),
            ("2024-12-29", 52),
            ("2024-12-30", 1),
            ("2026-01-01", 1),
            ("2027-01-01", 53),
            ("1970-01-01", 1),
        ] {
            assert_eq!(CalendarPart::Week.of(&Value::Str(day)), Some(want), "{day}");
        }
    }
}
