//! The times of updates of long sessions.
//!
//! Owns: bounds. In: spans as text. Out: seconds. Never: a clock.

use crate::config::live::parse_seconds;
use crate::model::Error;

/// Default times, in seconds after a session's beginning; the last repeats.
pub const UPDATES: [u32; 3] = [60, 300, 900];

/// Most times.
const TIMES_MAX: usize = 8;

/// The latest of them, in seconds: how far ahead timers are set.
const LATEST: u64 = 3_600;

/// Times such as `60s`, `5m`, `15m`; the single word `never` is none.
pub fn parse_updates(what: &str, words: &[String]) -> Result<Vec<u32>, Error> {
    let wrong = |cause: String| {
        Error::new(what, cause).help(
            "give up to eight times from 1s to 1h, each later than the one before, such as \
             60s,5m,15m, or never",
        )
    };
    if let [word] = words
        && word == "never"
    {
        return Ok(Vec::new());
    }
    if words.is_empty() || words.len() > TIMES_MAX {
        return Err(wrong(format!("{} times are not between 1 and {TIMES_MAX}", words.len())));
    }
    let mut times: Vec<u32> = Vec::with_capacity(words.len());
    for word in words {
        let seconds = parse_seconds(word).filter(|seconds| *seconds <= LATEST);
        let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
        match seconds.filter(|seconds| times.last().is_none_or(|before| seconds > before)) {
            Some(seconds) => times.push(seconds),
            None => return Err(wrong(format!("`{word}` is no time in bounds, or comes too late"))),
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Vec<u32>, Error> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        parse_updates("updates", &words)
    }

    #[test]
    fn times_ascend_within_bounds() {
        assert_eq!(parse(&["60s", "5m", "15m"]).unwrap(), UPDATES);
        assert_eq!(parse(&["1s", "1h"]).unwrap(), [1, 3_600]);
        assert_eq!(parse(&["never"]).unwrap(), [0_u32; 0]);
        let nine = ["1s", "2s", "3s", "4s", "5s", "6s", "7s", "8s", "9s"];
        for wrong in [&[][..], &["5m", "60s"], &["60s", "1m"], &["2h"], &["0s"], &["soon"], &nine] {
            assert!(parse(wrong).unwrap_err().help.is_some(), "{wrong:?}");
        }
    }
}
