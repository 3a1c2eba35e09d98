//! Sessions by day and hour.
//!
//! Owns: the grid of days and hours. In: open sessions of each hour. Out: a figure. Never: a day
//! left out without a word.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Nanos, units};
use crate::report::html::dossier::{Dossier, HOUR, HOURS_ONE};
use crate::report::html::markup::Html;
use crate::report::html::svg::{Figure, WIDTH};
use crate::report::html::table::{Cell, Table};

/// Most days that are drawn: the last ones.
const DAYS_MAX: usize = 62;
const LEFT: f64 = 76.0;
const TOP: f64 = 20.0;
const CELL: f64 = 16.0;

/// The figure, if anything was seen.
pub(in crate::report::html) fn figure(dossier: &Dossier, id: &str) -> Option<Html> {
    let days: BTreeSet<u64> = dossier.hours.keys().map(|hour| hour / 24).collect();
    let left_out = days.len().saturating_sub(DAYS_MAX);
    let shown: Vec<u64> = days.into_iter().skip(left_out).collect();
    let most = *dossier.hours.values().max()?;
    let mut table = Table::new(
        "Sessions that were open, by day and hour (UTC)",
        &["Day", "Hours with sessions (UTC)", "Most at once in an hour", "Session hours"],
    );
    let mut drawing = Html::default();
    for hour in (0..24_u32).step_by(3) {
        let x = LEFT + (f64::from(hour) + 0.5) * CELL;
        drawing.raw(format_args!("<text class=\"m\" x=\"{x:.1}\" y=\"14\">{hour:02}</text>"));
    }
    for (row, day) in shown.iter().enumerate() {
        let y = TOP + row as f64 * CELL;
        let date = Nanos(day * 24 * HOUR).date();
        let text = y + 12.0;
        drawing.raw(format_args!("<text class=\"s\" x=\"0\" y=\"{text:.1}\">{date}</text>"));
        let hours = hours_of(dossier, *day);
        for hour in 0..24_u64 {
            let count = hours.get(&hour).copied().unwrap_or_default();
            let (x, shade) = (LEFT + hour as f64 * CELL, shade(count, most));
            drawing.raw(format_args!(
                "<rect class=\"h{shade}\" x=\"{x}\" y=\"{y:.0}\" width=\"15\" height=\"15\"/>"
            ));
        }
        table.row(row_of(&date, &hours));
    }
    let height = TOP + shown.len() as f64 * CELL + 4.0;
    let mut text = format!(
        "{} on {}; the darker a cell, the more sessions were open in that hour (UTC), at most {}.",
        units::number_of(dossier.sessions as usize, "session"),
        units::number_of(shown.len() + left_out, "day"),
        units::count(u64::from(most)),
    );
    if left_out > 0 {
        text.push_str(&format!(" The first {left_out} days are left out: sessions.ndjson."));
    }
    if dossier.hours_cut > 0 {
        text.push_str(&format!(
            " Not all hours of {} are here: at most {} days of a session, and 731 of a subject.",
            units::number_of(dossier.hours_cut as usize, "session"),
            HOURS_ONE / 24,
        ));
    }
    let size = (WIDTH, height);
    let title = "Sessions by day and hour";
    let figure = Figure { id: format!("{id}-days"), title, text, size, key: &[], drawing, table };
    Some(figure.html())
}

fn hours_of(dossier: &Dossier, day: u64) -> BTreeMap<u64, u32> {
    let range = dossier.hours.range(day * 24..(day + 1) * 24);
    range.map(|(hour, count)| (hour % 24, *count)).collect()
}

fn row_of(date: &str, hours: &BTreeMap<u64, u32>) -> Vec<Cell> {
    let named: Vec<String> = hours.keys().map(|hour| format!("{hour:02}")).collect();
    let most = hours.values().copied().max().unwrap_or_default();
    let sum: u64 = hours.values().map(|count| u64::from(*count)).sum();
    vec![
        Cell::Text(date.to_owned()),
        Cell::Text(named.join(" ")),
        Cell::count(u64::from(most)),
        Cell::count(sum),
    ]
}

/// Four steps, by the logarithm: one session is seen beside a hundred.
fn shade(count: u32, most: u32) -> u32 {
    match count {
        0 => 0,
        _ if most <= 1 => 3,
        count => {
            let share = f64::from(count).ln_1p() / f64::from(most).ln_1p();
            ((share * 4.0).ceil() as u32).clamp(1, 4)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::session::Session;

    #[test]
    fn hours_that_are_not_counted_are_told() {
        let of = |days: &[(u64, u64)]| {
            let mut dossier = Dossier::default();
            for (from, to) in days {
                let at = |day: u64| Some(Nanos((20_000 + day) * 24 * HOUR));
                let session = Session { start: at(*from), end: at(*to), ..Session::default() };
                dossier.add(session, 12);
            }
            let html = figure(&dossier, "s1").map(Html::into_string).unwrap_or_default();
            (dossier.hours.len(), dossier.hours_cut, html)
        };
        let (hours, cut, whole) = of(&[(0, 30)]);
        assert_eq!((hours, cut, whole.contains("Not all hours")), (30 * 24 + 1, 0, false));
        let (hours, cut, long) = of(&[(0, 60)]);
        assert_eq!((hours, cut), (31 * 24, 1));
        assert!(long.contains("Not all hours of 1 session are here"), "{long}");
        // 26 sessions of 30 days, one after the other: more than 731 days.
        let many: Vec<(u64, u64)> = (0..26).map(|at| (at * 30, at * 30 + 30)).collect();
        assert_eq!(of(&many).1, 2);
    }
}
