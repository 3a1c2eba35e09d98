//! Compiled Sigma strings with wildcards.
//!
//! Owns: equality, prefix, suffix, substring and wildcards, with or without case. In: parsed Sigma
//! strings.
//! Out: whether a text matches. Never: regular expressions; allocation for plain ASCII text.

use std::borrow::Cow;

use rsigma_parser::value::{SpecialChar, StringPart};

/// The position of a pattern in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// It is the whole text.
    Whole,
    /// Anywhere.
    Contains,
    /// At the start.
    Starts,
    /// At the end.
    Ends,
}

/// A compiled Sigma string.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern {
    shape: Shape,
    cased: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Shape {
    Plain(Anchor, Box<str>),
    Wild(Box<[Piece]>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    Is(char),
    /// Any dash.
    Dash,
    One,
    Many,
}

/// What begins an option of a command line, which programs take one for the other.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// The pieces of a text without wildcards. With `dashes`, one that begins a word (none is before
/// it, one follows) stands for each of them.
fn plain(text: &str, dashes: bool) -> impl Iterator<Item = Piece> {
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let mut before = None;
    let mut rest = text.chars();
    std::iter::from_fn(move || {
        let c = rest.next()?;
        let begins = !before.replace(c).is_some_and(|c| is_word(&c));
        let dash = dashes && begins && DASHES.contains(&c);
        let dash = dash && rest.clone().next().is_some_and(|next| is_word(&next));
        Some(if dash { Piece::Dash } else { Piece::Is(c) })
    })
}

impl Pattern {
    /// Compiles the parts of a Sigma string; ignores case unless `cased`.
    pub(super) fn new(parts: &[StringPart], anchor: Anchor, cased: bool, dashes: bool) -> Pattern {
        let mut pieces = Vec::new();
        if matches!(anchor, Anchor::Contains | Anchor::Ends) {
            pieces.push(Piece::Many);
        }
        for part in parts {
            match part {
                StringPart::Plain(text) if cased => pieces.extend(plain(text, dashes)),
                StringPart::Plain(text) => pieces.extend(plain(&text.to_lowercase(), dashes)),
                StringPart::Special(SpecialChar::WildcardMulti) => pieces.push(Piece::Many),
                StringPart::Special(SpecialChar::WildcardSingle) => pieces.push(Piece::One),
            }
        }
        if matches!(anchor, Anchor::Contains | Anchor::Starts) {
            pieces.push(Piece::Many);
        }
        pieces.dedup_by(|a, b| *a == Piece::Many && *b == Piece::Many);
        Pattern { shape: simplify(pieces), cased }
    }

    /// Whether `text` matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        if let Shape::Plain(anchor, literal) = &self.shape
            && !self.cased
            && *anchor != Anchor::Contains
            && text.is_ascii()
        {
            return ascii_matches(*anchor, literal.as_bytes(), text.as_bytes());
        }
        let text = if self.cased { Cow::Borrowed(text) } else { fold(text) };
        match &self.shape {
            Shape::Plain(Anchor::Whole, literal) => *text == **literal,
            Shape::Plain(Anchor::Contains, literal) => text.contains(&**literal),
            Shape::Plain(Anchor::Starts, literal) => text.starts_with(&**literal),
            Shape::Plain(Anchor::Ends, literal) => text.ends_with(&**literal),
            Shape::Wild(pieces) => wild_matches(pieces, &text),
        }
    }

    /// Whether case counts.
    pub(super) fn is_cased(&self) -> bool {
        self.cased
    }

    /// The same as patterns of SQL's LIKE, any of which may match; none if there would be too many.
    pub(super) fn likes(&self, escape: char) -> Option<Vec<String>> {
        const LIKES_MAX: usize = 125;
        let put = |c: char, out: &mut String| {
            if c == escape || c == '%' || c == '_' {
                out.push(escape);
            }
            out.push(c);
        };
        let mut all = vec![String::new()];
        match &self.shape {
            Shape::Plain(anchor, literal) => {
                let ends = matches!(anchor, Anchor::Contains | Anchor::Ends);
                let starts = matches!(anchor, Anchor::Contains | Anchor::Starts);
                for out in &mut all {
                    out.push_str(if ends { "%" } else { "" });
                    literal.chars().for_each(|c| put(c, out));
                    out.push_str(if starts { "%" } else { "" });
                }
            }
            Shape::Wild(pieces) => {
                for piece in pieces {
                    if *piece == Piece::Dash {
                        let each =
                            all.iter().flat_map(|out| DASHES.map(|dash| format!("{out}{dash}")));
                        all = each.collect();
                    }
                    for out in &mut all {
                        match piece {
                            Piece::Is(c) => put(*c, out),
                            Piece::One => out.push('_'),
                            Piece::Many => out.push('%'),
                            Piece::Dash => {}
                        }
                    }
                    if all.len() > LIKES_MAX {
                        return None;
                    }
                }
            }
        }
        Some(all)
    }

    /// The whole text to match, if there is no wildcard.
    pub(super) fn as_whole(&self) -> Option<&str> {
        match &self.shape {
            Shape::Plain(Anchor::Whole, literal) => Some(literal),
            _ => None,
        }
    }
}

/// Wildcards only at the ends are a prefix, a suffix or a substring.
fn simplify(pieces: Vec<Piece>) -> Shape {
    let starts_open = pieces.first() == Some(&Piece::Many);
    let ends_open = pieces.len() > 1 && pieces.last() == Some(&Piece::Many);
    let inner = pieces.len() - usize::from(starts_open) - usize::from(ends_open);
    let literal: Option<String> = pieces
        .iter()
        .skip(usize::from(starts_open))
        .take(inner)
        .map(|piece| if let Piece::Is(c) = piece { Some(*c) } else { None })
        .collect();
    let anchor = match (starts_open, ends_open) {
        (true, true) => Anchor::Contains,
        (true, false) => Anchor::Ends,
        (false, true) => Anchor::Starts,
        (false, false) => Anchor::Whole,
    };
    match literal {
        Some(literal) => Shape::Plain(anchor, literal.into()),
        None => Shape::Wild(pieces.into()),
    }
}

fn ascii_matches(anchor: Anchor, literal: &[u8], text: &[u8]) -> bool {
    let part = match anchor {
        Anchor::Whole => Some(text),
        Anchor::Starts => text.get(..literal.len()),
        Anchor::Ends | Anchor::Contains => {
            text.len().checked_sub(literal.len()).and_then(|from| text.get(from..))
        }
    };
    part.is_some_and(|part| part.eq_ignore_ascii_case(literal))
}

/// Lower case, borrowed if nothing changes.
fn fold(text: &str) -> Cow<'_, str> {
    if !text.is_ascii() {
        return Cow::Owned(text.to_lowercase());
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    Cow::Borrowed(text)
}

/// Wildcard match that backtracks to the last `*` only: at most text times pattern steps.
fn wild_matches(pieces: &[Piece], text: &str) -> bool {
    let mut rest = text.chars();
    let mut left = pieces;
    let mut back: Option<(&[Piece], std::str::Chars<'_>)> = None;
    loop {
        match left.split_first() {
            Some((Piece::Many, after)) => {
                left = after;
                back = Some((after, rest.clone()));
                continue;
            }
            None if rest.as_str().is_empty() => return true,
            first => {
                let mut next = rest.clone();
                let fits = match (first, next.next()) {
                    (Some((Piece::Is(want), _)), Some(have)) => *want == have,
                    (Some((Piece::Dash, _)), Some(have)) => DASHES.contains(&have),
                    (Some((Piece::One, _)), Some(_)) => true,
                    _ => false,
                };
                if let (true, Some((_, after))) = (fits, first) {
                    left = after;
                    rest = next;
                    continue;
                }
            }
        }
        // No match: let the last `*` take one more character.
        let Some((after, from)) = back.as_mut() else { return false };
        if from.next().is_none() {
            return false;
        }
        left = after;
        rest = from.clone();
    }
}

#[cfg(test)]
mod tests {
    use rsigma_parser::SigmaString;

    use super::*;

    fn holds(pattern: &str, anchor: Anchor, text: &str) -> bool {
        Pattern::new(&SigmaString::new(pattern).parts, anchor, false, false).matches(text)
    }

    #[test]
    fn anchors_and_case() {
        assert!(holds("relay", Anchor::Contains, "myRELAYx"));
        assert!(holds(".anydesk.com", Anchor::Ends, "boot.net.AnyDesk.com"));
        assert!(!holds("anydesk.com", Anchor::Whole, "boot.anydesk.com"));
        assert!(holds("vpn:", Anchor::Starts, "VPN:astrill"));
        assert!(holds("straße", Anchor::Contains, "In der STRAßE"));
        let cased = Pattern::new(&SigmaString::new("Tor").parts, Anchor::Whole, true, false);
        assert!(cased.matches("Tor") && !cased.matches("tor"));
    }

    #[test]
    fn a_dash_before_a_word_stands_for_each_dash() {
        let dashed = |pattern: &str, anchor, text: &str| {
            Pattern::new(&SigmaString::new(pattern).parts, anchor, false, true).matches(text)
        };
        for text in ["x -Enc", "x /enc", "x \u{2013}enc", "x \u{2014}enc", "x \u{2015}enc"] {
            assert!(dashed(" -enc", Anchor::Contains, text), "{text}");
            assert!(dashed(" /enc", Anchor::Contains, text), "{text}");
        }
        assert!(!dashed(" -enc", Anchor::Contains, "x +enc"));
        // Within a word, or before none, it is itself.
        assert!(!dashed("a-b", Anchor::Whole, "a/b") && dashed("a-b", Anchor::Whole, "A-B"));
        assert!(!dashed("- ", Anchor::Whole, "/ "));
        assert!(dashed("-a -b", Anchor::Whole, "/a \u{2014}b"), "each for itself");
    }

    #[test]
    fn wildcards() {
        assert!(holds("relay-*.net.anydesk.com", Anchor::Whole, "relay-9af1.net.anydesk.com"));
        assert!(!holds("relay-*.net.anydesk.com", Anchor::Whole, "relay.net.anydesk.com"));
        assert!(holds("a?c*e", Anchor::Whole, "abcde") && !holds("a?c", Anchor::Whole, "ac"));
        assert!(holds("*a*b*a*", Anchor::Whole, "xxaxxbxxaxx"));
        assert!(holds("*", Anchor::Whole, "") && holds("a*", Anchor::Whole, "A"));
        assert!(holds(r"a\*b", Anchor::Whole, "a*b") && !holds(r"a\*b", Anchor::Whole, "axb"));
        assert!(holds("", Anchor::Whole, "") && !holds("", Anchor::Whole, "a"));
        assert!(!holds("?b", Anchor::Ends, "b") && holds("?b", Anchor::Ends, "aab"));
    }
}
