//! Escapes untrusted text for output: file names, list entries, names and banners in packets.
//!
//! Owns: which characters are never printed raw, and their escapes.
//! In: text. Out: text, unchanged if it is safe. Never: loses a character.
//!
//! A control character moves the cursor or controls the terminal (ECMA-48); a direction mark makes
//! a line look different from what is stored (Unicode TR 9 section 2, CVE-2021-42574); an invisible
//! character makes two names look the same (Unicode TR 36 section 2).

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character is never printed raw.
pub const fn is_unsafe(c: char) -> bool {
    matches!(c,
        // C0, DEL and C1.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Direction marks, embeddings, overrides and isolates.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        // Line and paragraph separators.
        | '\u{2028}' | '\u{2029}'
        // Characters of no width, or invisible ones.
        | '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
        | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// For one line of a terminal or a log: replaces unsafe characters by `\n`, `\t`, `\r` or
/// `\u{202e}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, is_unsafe, |c, out| {
        // Writing into a String cannot fail.
        let _ = write!(out, "{}", c.escape_default());
    })
}

/// The same for our own text of several lines: line ends are kept.
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    let wrong = |c| c != '\n' && is_unsafe(c);
    replaced(text, wrong, |c, out| {
        let _ = write!(out, "{}", c.escape_default());
    })
}

/// For JSON from a writer that escapes only what RFC 8259 section 7 requires: other unsafe
/// characters become `\u202e`. Such characters occur in strings only.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    replaced(json, |c| c >= '\u{7f}' && is_unsafe(c), put_json)
}

/// A character as a JSON escape, with two surrogates if needed.
fn put_json(c: char, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

fn replaced(
    text: &str,
    wrong: impl Fn(char) -> bool,
    put: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    if !text.chars().any(&wrong) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if wrong(c) { put(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Input for the tests of all outputs: each of these must be escaped.
    pub(crate) const HOSTILE: &str = "a\u{1b}[31m\u{9b}2J\u{7f}\r\u{202e}\u{2066}\u{200f}\u{61c}b";

    #[test]
    fn nothing_unsafe_is_left_and_nothing_is_lost() {
        let every: String = ('\0'..='\u{e01ff}').filter(|c| is_unsafe(*c)).collect();
        assert!(every.chars().count() > 200);
        for text in [every.as_str(), HOSTILE] {
            assert!(!escaped(text).chars().any(is_unsafe));
            assert!(!escaped_lines(text).chars().any(|c| c != '\n' && is_unsafe(c)));
            let json = serde_json::to_string(text).unwrap();
            let json = escaped_json(&json);
            assert!(!json.chars().any(is_unsafe), "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
        assert_eq!(escaped("a\u{1b}\n\u{202e}"), "a\\u{1b}\\n\\u{202e}");
        assert_eq!(escaped_lines("a\n\u{9b}"), "a\n\\u{9b}");
    }

    #[test]
    fn text_of_any_script_is_not_escaped() {
        for text in ["Größe 東京 Ωμέγα עברית", "e\u{301}", "a b\u{a0}c", ""] {
            assert!(matches!(escaped(text), Cow::Borrowed(_)), "{text}");
        }
    }
}
