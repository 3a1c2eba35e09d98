//! The rows of a list, as they are asked for: filtered and in order.
//!
//! Owns: the orders. In: the board, a filter. Out: references to rows. Never: a row that the filter
//! does not let through, or an order that two equal rows could change.

use std::cmp::Reverse;

use super::board::{Board, Findings};
use super::rows::{Finding, Session, Subject};
use crate::model::Nanos;

/// What a row must have to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// In lower case; any of its texts holds it.
    pub(super) text: String,
    /// It is about this subject.
    pub(super) subject: Option<String>,
}

impl Filter {
    fn passes(&self, subject: &str, texts: &[&str]) -> bool {
        self.subject.as_deref().is_none_or(|only| only == subject)
            && (self.text.is_empty()
                || texts.iter().any(|text| text.to_lowercase().contains(&self.text)))
    }
}

/// Names of the orders of findings.
pub(super) const FINDING_ORDERS: [&str; 2] = ["gravest first", "newest first"];
/// Names of the orders of sessions.
pub(super) const SESSION_ORDERS: [&str; 4] =
    ["newest first", "longest round trip first", "most bytes first", "named by alerts first"];
/// Names of the orders of subjects.
pub(super) const SUBJECT_ORDERS: [&str; 3] =
    ["gravest first", "most sessions first", "longest round trip first"];

/// The longest first; those without one last.
fn longest(us: Option<f64>) -> Reverse<u64> {
    Reverse(us.map_or(0, |us| us.max(0.0).to_bits().saturating_add(1)))
}

/// The order of a number that is not negative.
fn bits(number: f64) -> u64 {
    number.max(0.0).to_bits()
}

pub(super) fn findings<'b>(of: &'b Findings, filter: &Filter, order: usize) -> Vec<&'b Finding> {
    let passes = |row: &&Finding| filter.passes(&row.subject, &row.texts());
    let mut rows: Vec<&Finding> = of.rows.iter().filter(passes).collect();
    let newest = |row: &Finding| Reverse(row.time.unwrap_or(Nanos::ZERO));
    match order {
        0 => rows.sort_by_key(|row| (Reverse((bits(row.severity), bits(row.weight))), newest(row))),
        _ => rows.sort_by_key(|row| newest(row)),
    }
    rows
}

pub(super) fn sessions<'b>(board: &'b Board, filter: &Filter, order: usize) -> Vec<&'b Session> {
    let passes = |row: &&Session| filter.passes(&row.subject, &row.texts());
    let mut rows: Vec<&Session> = board.sessions.iter().filter(passes).collect();
    let newest = |row: &Session| Reverse(row.start.unwrap_or(Nanos::ZERO));
    rows.sort_by_key(|row| newest(row));
    match order {
        1 => rows.sort_by_key(|row| longest(row.remote_us())),
        2 => rows.sort_by_key(|row| Reverse(row.bytes)),
        3 => rows.sort_by_key(|row| !row.is_named),
        _ => {}
    }
    rows
}

pub(super) fn subjects<'b>(board: &'b Board, filter: &Filter, order: usize) -> Vec<&'b Subject> {
    let passes = |row: &&Subject| filter.passes(&row.id, &row.texts());
    let mut rows: Vec<&Subject> = board.subjects.values().filter(passes).collect();
    rows.sort_by(|a, b| b.worth().cmp(&a.worth()).then_with(|| a.id.cmp(&b.id)));
    match order {
        1 => rows.sort_by_key(|row| Reverse(row.sessions)),
        2 => rows.sort_by_key(|row| longest(row.rtt_us)),
        _ => {}
    }
    rows
}
