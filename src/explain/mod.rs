//! What an alert, incident or session means, in plain sentences with its numbers.
//!
//! Owns: the order and the words. In: the fields of one line, and lines that go with it. Out:
//! headings with sentences. Never: a number that the lines do not hold, or a judgement of its own.
//!
//! A line of an alert or incident carries these sentences itself (`longhaul.explanation`), so that
//! every tool that shows the line says the same.

mod distance;
mod finding;
mod flat;
mod session;
mod words;

use crate::model::escape::escaped;
use crate::model::units;

pub use finding::finding;
pub use flat::Flat;
pub use session::session;

/// A heading and its sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it is about.
    pub heading: &'static str,
    /// One fact each.
    pub sentences: Vec<String>,
}

/// The whole story of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The sections that have something to say, in order.
    pub sections: Vec<Section>,
}

impl Explanation {
    /// Adds a section, unless it has nothing to say.
    pub fn add(&mut self, heading: &'static str, sentences: Vec<String>) {
        if !sentences.is_empty() {
            self.sections.push(Section { heading, sentences });
        }
    }

    /// One text for each fact, with its heading, as lines carry it.
    pub fn sentences(&self) -> Vec<String> {
        let of = |section: &Section| {
            let heading = section.heading;
            let texts = section.sentences.iter().map(|text| format!("{heading}: {text}"));
            texts.collect::<Vec<_>>()
        };
        self.sections.iter().flat_map(of).collect()
    }

    /// Text for a terminal of so many columns, headings in bold if it has colours. What the lines
    /// quote cannot control the terminal.
    pub fn text(&self, width: usize, colour: bool) -> String {
        let mut out = String::new();
        let (on, off) = if colour { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        for section in &self.sections {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&format!("{on}{}{off}\n", section.heading));
            section.sentences.iter().for_each(|text| put_fact(text, width, &mut out));
        }
        out
    }
}

/// One fact, wrapped and indented, for a terminal of so many columns.
pub fn put_fact(text: &str, width: usize, out: &mut String) {
    let room = width.saturating_sub(4).max(20);
    out.push_str("  - ");
    let mut used = 0;
    for word in escaped(text).split_whitespace() {
        let word = units::safe(word, room);
        let len = word.chars().count();
        if used > 0 && used + 1 + len > room {
            out.push_str("\n    ");
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(&word);
        used += len;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests;
