//! What a site says of countries and hours; by default nothing.
//!
//! Owns: bounds. In: words of the configuration file. Out: countries, hours of the day (UTC).
//! Never: a country or an hour of its own.

use crate::model::Error;

/// Most countries, and most ranges of hours.
const VALUES_MAX: usize = 256;

const MINUTES_OF_DAY: i32 = 24 * 60;

/// Countries by their codes (ISO 3166-1 alpha-2).
pub fn parse_countries(words: &[String]) -> Result<Vec<[u8; 2]>, Error> {
    let wrong = |cause: String| {
        let help = "give codes of ISO 3166-1 in capitals, such as [\"AA\", \"ZZ\"]";
        Error::new("controller_countries", cause).help(help)
    };
    if words.len() > VALUES_MAX {
        return Err(wrong(format!("{} countries are more than {VALUES_MAX}", words.len())));
    }
    let code = |word: &String| {
        let code: [u8; 2] = word.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(code)
    };
    words
        .iter()
        .map(|word| code(word).ok_or_else(|| wrong(format!("`{word}` is no code"))))
        .collect()
}

/// Hours of the day in UTC, a bit each, that ranges such as `09:00-18:00+05:30` cover: those whose
/// middle is in one. Without an offset the range is in UTC.
pub fn parse_hours(words: &[String]) -> Result<u32, Error> {
    let wrong = |cause: String| {
        let help = "give ranges of the day with their offset from UTC, such as \
                    [\"09:00-18:00+05:30\"]";
        Error::new("foreign_hours", cause).help(help)
    };
    if words.len() > VALUES_MAX {
        return Err(wrong(format!("{} ranges are more than {VALUES_MAX}", words.len())));
    }
    words.iter().try_fold(0, |all, word| {
        let hours = range(word).ok_or_else(|| wrong(format!("`{word}` is no range of hours")))?;
        Ok(all | hours)
    })
}

/// The hours of one range. It may go past midnight; one without length is none.
fn range(word: &str) -> Option<u32> {
    let (from, rest) = word.split_once('-')?;
    let at = rest.find(['+', '-']).unwrap_or(rest.len());
    let (to, offset) = rest.split_at_checked(at)?;
    let offset = match offset.split_at_checked(1) {
        Some(("+", ahead)) => minutes(ahead)?,
        Some((_, behind)) => -minutes(behind)?,
        None => 0,
    };
    let (from, to) = (minutes(from)?, minutes(to)?);
    let length = (to - from).rem_euclid(MINUTES_OF_DAY);
    let covers = |hour: &i32| {
        let middle = hour * 60 + 30 + offset;
        (middle - from).rem_euclid(MINUTES_OF_DAY) < length
    };
    let hours = (0..24).filter(covers).fold(0u32, |hours, hour| hours | 1 << hour);
    (length > 0 && offset.abs() <= 14 * 60).then_some(hours)
}

/// `09:30` as minutes; 24:00 is the end of the day.
fn minutes(text: &str) -> Option<i32> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        if digits { text.parse::<i32>().ok() } else { None }
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= MINUTES_OF_DAY).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(words: &[&str]) -> Option<u32> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        parse_hours(&words).ok()
    }

    #[test]
    fn ranges_are_hours_in_utc() {
        let bits = |all: &[u32]| Some(all.iter().fold(0, |bits, hour| bits | 1u32 << hour));
        assert_eq!(hours(&[]), Some(0));
        assert_eq!(hours(&["01:00-04:00"]), bits(&[1, 2, 3]));
        assert_eq!(hours(&["09:00-12:00+09:00"]), bits(&[0, 1, 2]));
        assert_eq!(hours(&["22:00-02:00"]), bits(&[22, 23, 0, 1]));
        assert_eq!(hours(&["20:00-24:00-05:00"]), bits(&[1, 2, 3, 4]));
        assert_eq!(hours(&["09:00-12:00+05:30"]), bits(&[4, 5, 3]), "03:30 to 06:30");
        assert_eq!(hours(&["09:00-10:00", "12:00-13:00"]), bits(&[9, 12]));
        assert_eq!(hours(&["00:00-24:00"]), None, "a whole day says nothing");
        for wrong in ["9-17", "09:00", "09:00-09:00", "09:00-25:00", "09:60-10:00", "+9:00-10:00"] {
            assert_eq!(hours(&[wrong]), None, "{wrong}");
        }
        assert_eq!(hours(&["09:00-10:00+15:00"]), None);
    }

    #[test]
    fn countries_are_codes() {
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            parse_countries(&words).ok()
        };
        assert_eq!(parse(&["AA", "ZZ"]), Some(vec![*b"AA", *b"ZZ"]));
        assert_eq!((parse(&[]), parse(&["aa"]), parse(&["AAA"])), (Some(vec![]), None, None));
    }
}
