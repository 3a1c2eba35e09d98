//! Terminal output of a live run: each alert when it fires, and a status line per minute.
//!
//! Owns: the sentences. In: alerts, counts. Out: lines of text. Never: unescaped text from a
//! packet.

use crate::model::{Alert, Counter, Counters, Nanos};
use crate::report::units;

/// Characters of an alert's message; the final summary has all of it.
const MESSAGE_MAX: usize = 400;
const SUBJECT_MAX: usize = 64;

/// One alert: time, level, rule, subject, message.
pub fn alert_line(alert: &Alert) -> String {
    format!(
        "{}  {:<6}  {} {}  {}: {}",
        units::moment(alert.time),
        alert.level.as_str(),
        units::safe(&alert.rule.id, 16),
        units::safe(&alert.rule.name, 40),
        units::safe(&alert.subject, SUBJECT_MAX),
        units::safe(&alert.message, MESSAGE_MAX),
    )
}

/// The status of a minute: its counters, `losses` by name, and how long the input has been silent.
pub fn minute_line(counted: &Counters, losses: &[(String, String)], silent: Nanos) -> String {
    let packets = units::number_of(counted.get(Counter::Frames) as usize, "packet");
    let sessions = units::number_of(counted.get(Counter::Sessions) as usize, "session");
    let alerts = units::number_of(counted.get(Counter::Alerts) as usize, "alert");
    let lost: Vec<String> =
        losses.iter().map(|(place, amount)| format!("{place}={amount}")).collect();
    let lost = if lost.is_empty() { "nothing".to_owned() } else { lost.join(" ") };
    let mut line = format!("{packets}, {sessions}, {alerts}; lost: {lost}");
    if silent > Nanos::ZERO {
        line.push_str(&format!("; {}", silence(silent)));
    }
    line
}

/// How long the input has been silent.
pub fn silence(silent: Nanos) -> String {
    format!("no packets for {} s", silent.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_of_a_live_run_is_one_status_line() {
        let mut counted = Counters::default();
        counted.add(Counter::Frames, 12_345);
        counted.add(Counter::Sessions, 1);
        let line = minute_line(&counted, &[], Nanos::ZERO);
        assert_eq!(line, "12,345 packets, 1 session, 0 alerts; lost: nothing");
        let lost = [("ring".to_owned(), "5".to_owned())];
        let line = minute_line(&Counters::default(), &lost, Nanos::from_secs(61));
        assert_eq!(line, "0 packets, 0 sessions, 0 alerts; lost: ring=5; no packets for 61 s");
    }
}
