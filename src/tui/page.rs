//! The page of an event: its explanation, or why there is none.
//!
//! Owns: how an explanation is asked for and scrolled. In: what was asked and answered. Out: lines.
//! Never: waits: whoever answers does so on a thread of its own.

use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;

use super::board::Board;
use crate::explain::{Explanation, Flat, Section, put_fact};
use crate::model::Error;
use crate::model::escape::escaped;
use crate::results::find::{self, Event};

/// An explanation, or why there is none.
pub type Told = Result<Explanation, Error>;

/// An answer, once there is one.
pub type Answer = Arc<Mutex<Option<Told>>>;

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) answer: Answer,
    /// Lines above the first one that is shown.
    pub(super) top: usize,
    /// The last line on the screen, and all of them.
    pub(super) shown: (usize, usize),
}

/// A line of a page.
pub(super) enum Line {
    Heading(String),
    Text(String),
    Fault(String),
}

impl Page {
    pub(super) fn new() -> Page {
        Page { answer: Answer::default(), top: 0, shown: (0, 0) }
    }

    /// Whether there is an answer.
    pub(super) fn is_answered(&self) -> bool {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The lines for a width.
    pub(super) fn lines(&self, width: usize) -> Vec<Line> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        match &*answer {
            None => vec![Line::Text("looks for it ...".to_owned())],
            Some(Ok(told)) => told.sections.iter().flat_map(|of| lines_of(of, width)).collect(),
            Some(Err(error)) => {
                let mut text = String::new();
                put_fact(&format!("{error}"), width, &mut text);
                text.lines().map(|line| Line::Fault(line.to_owned())).collect()
            }
        }
    }
}

fn lines_of(section: &Section, width: usize) -> Vec<Line> {
    let mut lines = vec![Line::Heading(escaped(section.heading).into_owned())];
    let mut text = String::new();
    section.sentences.iter().for_each(|fact| put_fact(fact, width, &mut text));
    lines.extend(text.lines().map(|line| Line::Text(line.to_owned())));
    lines.push(Line::Text(String::new()));
    lines
}

/// The explanation of an event by the lines that a board keeps: of a run that has no files yet.
///
/// Errors: it keeps none of that event.
pub fn explain(board: &Board, id: &str) -> Told {
    let read = |bytes: &[u8]| Flat::parse(bytes).ok();
    let alerts = board.alerts.rows.iter().flat_map(|row| &row.lines);
    let alerts: Vec<&[u8]> = alerts.map(|line| &**line).collect();
    let incidents = board.incidents.rows.iter().flat_map(|row| &row.lines);
    let incidents: Vec<&[u8]> = incidents.map(|line| &**line).collect();
    let findings = board.incidents.rows.iter().chain(&board.alerts.rows);
    let finding = findings.filter(|row| row.id == id).find_map(|row| read(row.lines.last()?));
    let session = || board.sessions.iter().find(|row| row.id == id);
    let event = finding.map(Event::Finding);
    let event = event.or_else(|| read(&session()?.line).map(Event::Session)).ok_or_else(|| {
        Error::new(format!("event {id}"), "its line is kept no more")
            .help("`longhaul explain` finds it in the files of the run, if --out was given")
    })?;
    let needle = memmem::Finder::new(id.as_bytes());
    let names = |line: &&&[u8]| needle.find(line).is_some();
    let of = |lines: &[&[u8]]| -> Vec<Flat> {
        lines.iter().filter(names).filter_map(|line| read(line)).collect()
    };
    Ok(find::explain_among(&event, id, &of(&alerts), &of(&incidents)))
}
