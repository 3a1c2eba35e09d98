//! Packet time.
//!
//! Owns: the time type. In: integers from capture headers. Out: ordering and RFC 3339.
//! Never: reads a clock.

use std::fmt;

/// Nanoseconds since 1970-01-01T00:00:00Z, as in the capture. Valid until the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Time zero; also "not seen yet" in some states.
    pub const ZERO: Nanos = Nanos(0);

    /// A span or moment of whole seconds (saturating).
    pub const fn from_secs(secs: u64) -> Nanos {
        Nanos(secs.saturating_mul(1_000_000_000))
    }

    /// A span of whole milliseconds (saturating).
    pub const fn from_millis(millis: u64) -> Nanos {
        Nanos(millis.saturating_mul(1_000_000))
    }

    /// The span from `earlier` to `self`, zero if the clock stepped back.
    pub const fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved later by `span` (saturating).
    pub const fn plus(self, span: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(span.0))
    }

    /// The span from `earlier` to `self`, `None` if the clock stepped back.
    pub const fn checked_since(self, earlier: Nanos) -> Option<Nanos> {
        match self.0.checked_sub(earlier.0) {
            Some(span) => Some(Nanos(span)),
            None => None,
        }
    }

    /// Parses `YYYY-MM-DD` as midnight UTC, `None` if that is no date of 1970 to 2500. Source:
    /// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
    pub fn from_date(text: &str) -> Option<Nanos> {
        let mut parts = text.split('-').map(|part| part.parse::<u64>().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        let whole = parts.next().is_none() && text.len() == 10;
        if !whole || !(1970..=2500).contains(&year) || !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        let year = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (year / 400, year % 400);
        let shifted = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
        let at = Nanos::from_secs(days * 86_400);
        // The 31st of February would be converted to another day.
        at.to_string().starts_with(text).then_some(at)
    }

    /// Parses a time as [`Display`](fmt::Display) writes it, with any number of digits of fraction.
    pub fn parse(text: &str) -> Option<Nanos> {
        let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let mut parts = clock.split(':').map(|part| part.parse::<u64>().ok());
        let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
        let fits = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
        let digits = fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
        let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
        let seconds = Nanos::from_date(date)?.as_secs() + (hour * 60 + minute) * 60 + second;
        (fits && digits).then(|| Nanos::from_secs(seconds).plus(Nanos(nanos)))
    }

    /// The day in UTC: `2026-11-22`.
    pub fn date(self) -> String {
        let (year, month, day) = civil_from_days(self.as_secs() / 86_400);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Microseconds with a fraction for the nanoseconds.
    pub fn as_micros_f64(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// Whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }
}

/// A time as [`Nanos`] are displayed, cut to microseconds and without its zone: many formats have
/// no more digits.
pub fn to_micros(time: &str) -> Option<&str> {
    let bare = time.strip_suffix('Z')?;
    bare.get(..26).or(Some(bare))
}

/// RFC 3339 in UTC with nine digits of fraction: `2026-11-22T10:00:00.123456789Z`.
impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.as_secs() / 86_400);
        let second = self.as_secs() % 86_400;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let nanos = self.0 % 1_000_000_000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
    }
}

/// Days since 1970-01-01 to (year, month, day) in the proleptic Gregorian calendar.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
pub fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_of_known_moments() {
        assert_eq!(Nanos(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        // date -u -d @951782400 -> 2000-02-29
        assert_eq!(Nanos::from_secs(951_782_400).to_string(), "2000-02-29T00:00:00.000000000Z");
        let leap = Nanos(1_703_593_377_933_911_008);
        assert_eq!(leap.to_string(), "2023-12-26T12:22:57.933911008Z");
    }

    #[test]
    fn what_is_displayed_is_parsed_again() {
        for time in [Nanos(0), Nanos(1_703_593_377_933_911_008)] {
            assert_eq!(Nanos::parse(&time.to_string()), Some(time));
        }
        assert_eq!(Nanos::parse("1970-01-02T00:00:01.5Z"), Some(Nanos(86_401_500_000_000)));
        for wrong in ["", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01T24:00:00Z"] {
            assert_eq!(Nanos::parse(wrong), None, "{wrong}");
        }
        assert_eq!(to_micros("1970-01-01T00:00:00.123456789Z"), Some("1970-01-01T00:00:00.123456"));
    }

    #[test]
    fn a_backward_step_never_wraps() {
        assert_eq!(Nanos(5).since(Nanos(9)), Nanos::ZERO);
        assert_eq!(Nanos(5).checked_since(Nanos(9)), None);
    }
}
