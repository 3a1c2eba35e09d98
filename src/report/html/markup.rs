//! HTML as text: what others chose never becomes markup.
//!
//! Owns: escapes, elements that repeat. In: our own markup, texts of others. Out: HTML. Never: a
//! text of others without its escapes, or a character that hides or reorders others.

use std::fmt::{Display, Write};

use crate::model::escape;

/// Most characters of one text.
const TEXT_MAX: usize = 600;

/// HTML that grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Our own markup.
    pub(super) fn raw(&mut self, markup: impl Display) -> &mut Html {
        // Writing into a String cannot fail.
        let _ = write!(self.0, "{markup}");
        self
    }

    /// A text, escaped.
    pub(super) fn text(&mut self, text: &str) -> &mut Html {
        put_escaped(text, &mut self.0);
        self
    }

    /// An element that holds a text only.
    pub(super) fn element(&mut self, tag: &'static str, text: &str) -> &mut Html {
        self.raw('<').raw(tag).raw('>').text(text).raw("</").raw(tag).raw(">")
    }

    /// A list, unless it is empty.
    pub(super) fn list<S: AsRef<str>>(&mut self, texts: &[S]) -> &mut Html {
        if texts.is_empty() {
            return self;
        }
        self.raw("<ul>");
        for text in texts {
            self.element("li", text.as_ref());
        }
        self.raw("</ul>\n")
    }

    /// Another piece of HTML.
    pub(super) fn add(&mut self, other: &Html) -> &mut Html {
        self.0.push_str(&other.0);
        self
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of it.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// A text as it may stand between tags and in a quoted attribute (WHATWG HTML, 13.3, escaping a
/// string), without characters that are not shown as they are stored.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    put_escaped(text, &mut out);
    out
}

fn put_escaped(text: &str, out: &mut String) {
    let end = text.char_indices().nth(TEXT_MAX).map_or(text.len(), |(at, _)| at);
    let shown = text.get(..end).unwrap_or_default();
    for c in escape::escaped(shown).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    if end < text.len() {
        out.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let hostile = "</script><img src=x onerror=\"a('b')\">&amp;\u{202e}\u{2066}\u{0}\u{1b}\n";
        let safe = escaped(hostile);
        assert!(
            !safe.contains(['<', '>', '"', '\'', '\u{202e}', '\u{2066}', '\0', '\u{1b}', '\n'])
        );
        assert!(safe.starts_with("&lt;/script&gt;&lt;img"), "{safe}");
        assert!(safe.contains("&amp;amp;\\u{202e}\\u{2066}"), "{safe}");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let long = escaped(&"<".repeat(TEXT_MAX + 1));
        assert_eq!((long.matches("&lt;").count(), long.ends_with('…')), (TEXT_MAX, true));
    }
}
