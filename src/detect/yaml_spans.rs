//! Positions in a rule's text, so that an error names its line.
//!
//! Owns: the lines of one YAML document as keys and indentation. In: text. Out: line numbers.
//! Never: understands YAML beyond block keys; if unsure it names the enclosing key.

use std::path::{Path, PathBuf};

use crate::model::Error;

/// One document of a rule file.
pub(super) struct Document {
    file: PathBuf,
    first: u32,
    lines: Vec<Line>,
}

struct Line {
    indent: usize,
    item: bool,
    key: Option<String>,
    text: String,
}

impl Document {
    /// The lines of a document that starts at line `first` of its file.
    pub(super) fn new(file: &Path, first: u32, text: &str) -> Document {
        Document { file: file.to_path_buf(), first, lines: text.lines().map(Line::new).collect() }
    }

    /// Its file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// An error at a line of this document (counted from 0).
    pub(super) fn refuse(&self, line: usize, cause: impl Into<String>) -> Error {
        let line = u32::try_from(line).unwrap_or(u32::MAX).saturating_add(self.first);
        Error::new("rule", cause).at(&self.file, line)
    }

    /// The number in the file of a line of this document.
    pub(super) fn number(&self, line: usize) -> u32 {
        u32::try_from(line).unwrap_or(u32::MAX).saturating_add(self.first)
    }

    /// The line of a top-level key, else the document's first.
    pub(super) fn top(&self, key: &str) -> usize {
        self.find_top(key).unwrap_or_else(|| self.start())
    }

    /// The line of a key directly below a top-level one, else that one's.
    pub(super) fn child(&self, top: &str, key: &str) -> usize {
        let parent = self.top(top);
        let mut inside = self.block(parent);
        let depth = inside.clone().find_map(|i| Some(self.lines.get(i)?.indent));
        inside.find(|i| self.is_key(*i, key, depth)).unwrap_or(parent)
    }

    /// Whether there is such a top-level key.
    pub(super) fn has_top(&self, key: &str) -> bool {
        self.find_top(key).is_some()
    }

    /// Whether it is a filter for rules elsewhere.
    pub(super) fn is_filter(&self) -> bool {
        self.has_top("filter") && !self.has_top("detection")
    }

    /// The line of a key below `detection` or `filter`, else that one's.
    pub(super) fn section(&self, key: &str) -> usize {
        self.child(if self.is_filter() { "filter" } else { "detection" }, key)
    }

    /// The text of a line.
    pub(super) fn line_text(&self, line: usize) -> &str {
        self.lines.get(line).map_or("", |line| &line.text)
    }

    /// The line of the nth use of a field below a selection, whatever its modifiers.
    pub(super) fn field(&self, name: &str, field: &str, nth: usize) -> usize {
        let parent = self.section(name);
        self.block(parent)
            .filter(|i| {
                let key = self.lines.get(*i).and_then(|line| line.key.as_deref());
                key.is_some_and(|key| key.split('|').next() == Some(field))
            })
            .nth(nth)
            .unwrap_or(parent)
    }

    /// The line at or below `line`, within its block, that is the list item `text`, else one that
    /// contains it; else `line`.
    pub(super) fn text(&self, line: usize, text: &str) -> usize {
        let is_item = |i: &usize| {
            let item = self.lines.get(*i).and_then(|line| line.text.strip_prefix("- "));
            item.is_some_and(|item| item.trim_matches(['\'', '"', ' ']) == text)
        };
        let holds = |i: &usize| self.lines.get(*i).is_some_and(|l| l.text.contains(text));
        let mut item = self.block(line).filter(is_item);
        let found = item.next();
        found.or_else(|| std::iter::once(line).chain(self.block(line)).find(holds)).unwrap_or(line)
    }

    /// Top-level keys and their lines.
    pub(super) fn top_keys(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.indent == 0)
            .filter_map(|(i, line)| Some((i, line.key.as_deref()?)))
    }

    fn find_top(&self, key: &str) -> Option<usize> {
        (0..self.lines.len()).find(|i| self.is_key(*i, key, Some(0)))
    }

    fn start(&self) -> usize {
        self.lines.iter().position(|line| line.key.is_some()).unwrap_or(0)
    }

    fn is_key(&self, i: usize, key: &str, indent: Option<usize>) -> bool {
        self.lines.get(i).is_some_and(|l| l.key.as_deref() == Some(key) && Some(l.indent) == indent)
    }

    /// The lines that belong to the key of line `parent`: deeper ones, and list items at its own
    /// depth.
    fn block(&self, parent: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        let depth = self.lines.get(parent).map_or(0, |line| line.indent);
        self.lines
            .iter()
            .enumerate()
            .skip(parent + 1)
            .take_while(move |(_, line)| {
                line.text.is_empty() || line.indent > depth || (line.item && line.indent == depth)
            })
            .filter(|(_, line)| !line.text.is_empty())
            .map(|(i, _)| i)
    }
}

impl Line {
    fn new(raw: &str) -> Line {
        let mut text = raw.trim_end().trim_start_matches(' ');
        let mut indent = raw.trim_end().len() - text.len();
        if text.starts_with('#') {
            text = "";
        }
        let whole = text.to_owned();
        let mut item = false;
        while let Some(after) = text.strip_prefix("- ") {
            item = true;
            let inner = after.trim_start_matches(' ');
            indent += text.len() - inner.len();
            text = inner;
        }
        Line { indent, item: item || text == "-", key: key_of(text), text: whole }
    }
}

/// The key of `key: value`, `key:`, `"key": value`.
fn key_of(text: &str) -> Option<String> {
    let (key, rest) = match text.chars().next()? {
        quote @ ('"' | '\'') => {
            let (key, rest) = text.strip_prefix(quote)?.split_once(quote)?;
            (key, rest.trim_start().strip_prefix(':')?)
        }
        _ => match text.split_once(": ") {
            Some(parts) => parts,
            None => (text.strip_suffix(':')?, ""),
        },
    };
    let fits = rest.is_empty() || rest.starts_with(' ') || !key.is_empty();
    fits.then(|| key.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# comment
title: x
detection:
  selection:
    network.direction: inbound
    'tls.version|contains':
    - '1.3'
    - 1.2
  other:
    - network.direction|cased: a
    - network.direction: b
  condition: selection
level: high
";

    #[test]
    fn lines_of_keys_fields_and_values() {
        let doc = Document::new(Path::new("r.yml"), 1, TEXT);
        let number = |line| doc.number(line);
        assert_eq!(number(doc.top("level")), 13);
        assert_eq!(number(doc.top("nothing")), 2);
        assert_eq!(number(doc.child("detection", "condition")), 12);
        assert_eq!(number(doc.field("selection", "network.direction", 0)), 5);
        assert_eq!(number(doc.field("other", "network.direction", 1)), 11);
        let field = doc.field("selection", "tls.version", 0);
        assert_eq!(number(field), 6);
        assert_eq!(number(doc.text(field, "1.2")), 8);
        assert_eq!(number(doc.field("other", "nothing", 0)), 9);
    }
}
