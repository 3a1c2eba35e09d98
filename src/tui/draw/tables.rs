//! The columns of each list.
//!
//! Owns: which columns a screen of a width has. In: rows. Out: cells. Never: a row that is not on
//! the screen.

use super::super::board::Board;
use super::super::lists::{self, Filter};
use super::super::paint::{Cell, Column, Tone, cell};
use super::super::rows::{Finding, Session, Subject};
use crate::model::{Nanos, units};

/// Columns and the rows that are on the screen.
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Vec<Cell>>,
}

/// Which rows: those that pass, their order, the first one and how many.
type Shown<'f> = (&'f Filter, usize, (usize, usize));

const fn left(title: &'static str, width: u16, from: u16) -> Column {
    Column { title, width, is_right: false, from }
}

const fn right(title: &'static str, width: u16, from: u16) -> Column {
    Column { title, width, is_right: true, from }
}

fn some<R>(rows: Vec<&R>, (top, height): (usize, usize), row: impl Fn(&R) -> Vec<Cell>) -> Rows {
    rows.into_iter().skip(top).take(height).map(row).collect()
}

type Rows = Vec<Vec<Cell>>;

/// Month, day and time: years are in explanations.
fn moment(time: Option<Nanos>) -> String {
    time.map_or(String::new(), |time| units::moment(time).chars().skip(5).collect())
}

fn millis(us: Option<f64>) -> String {
    us.map_or(String::new(), |us| units::millis((us.max(0.0) * 1_000.0) as u64))
}

fn level(text: &str) -> Cell {
    let tone = match text {
        "critical" | "high" => Tone::Bad,
        "medium" => Tone::Warn,
        _ => Tone::Plain,
    };
    // The columns of the longest one are needed for others.
    cell(if text == "informational" { "info" } else { text }).tone(tone)
}

/// What was found, without the subject, which has a column of its own.
fn message(row: &Finding) -> Cell {
    let rest = row.message.strip_prefix(&row.subject).and_then(|rest| rest.strip_prefix(": "));
    cell(rest.unwrap_or(&row.message))
}

/// Name, or id where there is none.
fn who(name: &str, id: &str) -> Cell {
    cell(if name.is_empty() { id } else { name })
}

/// Never rounded to certainty.
fn probability(share: f64) -> String {
    if share >= 0.995 { format!("{share:.4}") } else { format!("{share:.2}") }
}

pub(super) fn incidents(board: &Board, (filter, order, part): Shown<'_>) -> Table {
    const COLUMNS: &[Column] = &[
        left("time, UTC", 14, 0),
        left("level", 8, 0),
        right("prob.", 6, 0),
        left("subject", 18, 0),
        left("change", 7, 100),
        left("evidence", 12, 100),
        left("what", 0, 0),
    ];
    let row = |row: &Finding| {
        vec![
            cell(moment(row.time)),
            level(&row.level),
            cell(probability(row.weight)),
            who(&row.name, &row.subject),
            cell(&*row.change),
            cell(&*row.what),
            message(row),
        ]
    };
    let rows = some(lists::findings(&board.incidents, filter, order), part, row);
    Table { columns: COLUMNS, rows }
}

pub(super) fn alerts(board: &Board, (filter, order, part): Shown<'_>) -> Table {
    const COLUMNS: &[Column] = &[
        left("time, UTC", 14, 0),
        left("level", 8, 0),
        left("subject", 18, 0),
        left("rule", 22, 64),
        right("ratio", 7, 110),
        left("what", 0, 0),
    ];
    let row = |row: &Finding| {
        vec![
            cell(moment(row.time)),
            level(&row.level),
            who(&row.name, &row.subject),
            cell(&*row.what),
            cell(format!("{:.1}", row.weight)),
            message(row),
        ]
    };
    let rows = some(lists::findings(&board.alerts, filter, order), part, row);
    Table { columns: COLUMNS, rows }
}

pub(super) fn subjects(board: &Board, (filter, order, part): Shown<'_>) -> Table {
    const COLUMNS: &[Column] = &[
        left("subject", 18, 0),
        left("id", 18, 120),
        left("level", 8, 0),
        right("prob.", 6, 0),
        right("inc.", 5, 0),
        right("alerts", 7, 0),
        right("sessions", 9, 0),
        right("far end", 8, 70),
        left("place", 6, 90),
        left("last end outside", 0, 100),
    ];
    let row = |row: &Subject| {
        let score = if row.incidents > 0 { probability(row.score) } else { String::new() };
        vec![
            who(&row.name, &row.id),
            cell(&*row.id),
            level(&row.level),
            cell(score),
            cell(units::count(row.incidents)),
            cell(units::count(row.alerts)),
            cell(units::count(row.sessions)),
            cell(millis(row.rtt_us)),
            cell(&*row.place),
            cell(&*row.remote),
        ]
    };
    let rows = some(lists::subjects(board, filter, order), part, row);
    Table { columns: COLUMNS, rows }
}

pub(super) fn sessions(board: &Board, (filter, order, part): Shown<'_>) -> Table {
    const COLUMNS: &[Column] = &[
        left("begun, UTC", 14, 0),
        left("!", 1, 0),
        left("initiator", 15, 0),
        left("responder", 20, 0),
        right("near", 8, 0),
        right("far", 8, 56),
        left("place", 6, 100),
        right("bytes", 8, 110),
        left("subject", 16, 130),
        left("program", 0, 0),
    ];
    let row = |row: &Session| {
        let mark = match (row.is_named, row.is_open) {
            (true, _) => cell("!").tone(Tone::Bad),
            (_, true) => cell("+").tone(Tone::Accent),
            _ => cell(""),
        };
        let texts = [&row.tool, &row.program, &row.server];
        let program: Vec<&str> =
            texts.into_iter().filter(|text| !text.is_empty()).map(String::as_str).collect();
        vec![
            cell(moment(row.start)),
            mark,
            cell(&*row.from),
            cell(&*row.to),
            cell(millis(row.near_us)),
            cell(millis(row.far_us)),
            cell(&*row.place),
            cell(units::bytes(row.bytes)),
            who(&row.name, &row.subject),
            cell(program.join(" ")),
        ]
    };
    let rows = some(lists::sessions(board, filter, order), part, row);
    Table { columns: COLUMNS, rows }
}
