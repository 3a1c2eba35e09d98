//! The title of a web page: devices name themselves there.
//!
//! Owns: how far it is searched for. In: the first bytes of a body. Out: the title. Never: parses
//! HTML, decompresses, or looks past its bound.

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::evidence::text::shown;
use crate::model::protocol::Protocol;
use crate::model::record::Facts;

/// Bytes of a page that are searched: its head starts there.
pub const PAGE_MAX: usize = 4 * 1024;
/// Longest title kept.
const TITLE_BYTES_MAX: usize = 128;

/// The first bytes of a page, behind the head of a response.
#[derive(Debug, Default)]
pub struct HtmlTitle;

impl Parser for HtmlTitle {
    type State = ();

    const PROTOCOL: Option<Protocol> = Some(Protocol::Http);
    const HELD_MAX: usize = PAGE_MAX;

    /// Only a head tells that a page follows.
    fn probe(_bytes: &[u8], _look: &Look<'_, ()>) -> Probe {
        Probe::No
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        observe_page(bytes, context.facts())
    }
}

/// Searches for a title; waits until it is there or cannot be.
pub fn observe_page(bytes: &[u8], facts: &mut Facts) -> ParseResult {
    let window = bytes.get(..PAGE_MAX).unwrap_or(bytes);
    #[cfg(test)]
    crate::wire::reader::visited::note(window.len());
    let found = element(window, b"<title");
    if let Some(text) = found {
        let title = shown(text.trim_ascii(), TITLE_BYTES_MAX);
        if !title.is_empty() {
            facts.http.get_or_insert_default().title.get_or_insert(title);
        }
        return ParseResult::Done;
    }
    if bytes.len() >= PAGE_MAX { ParseResult::Done } else { ParseResult::NeedMore(1) }
}

/// The text of the first element of this name, once its end is there.
fn element<'a>(window: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = window.windows(name.len()).position(|w| w.eq_ignore_ascii_case(name))?;
    let rest = window.get(at + name.len()..)?;
    let open = rest.iter().position(|b| *b == b'>')?;
    let inside = rest.get(open + 1..)?;
    let end = inside.iter().position(|b| *b == b'<')?;
    inside.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(bytes: &[u8]) -> (ParseResult, Option<Box<str>>) {
        let mut facts = Facts::default();
        let step = observe_page(bytes, &mut facts);
        (step, facts.http.and_then(|http| http.title))
    }

    #[test]
    fn a_title_counts_once_it_is_complete() {
        let page = b"<html><head><TITLE lang=en>\n A device </TITLE>";
        assert_eq!(title(page), (ParseResult::Done, Some("A device".into())));
        assert_eq!(title(&page[..38]), (ParseResult::NeedMore(1), None));
        assert_eq!(title(b"<title></title>"), (ParseResult::Done, None));
        assert_eq!(title(&vec![b'<'; PAGE_MAX]), (ParseResult::Done, None));
        let long = [b"<title>".to_vec(), vec![b'x'; 500], b"</title>".to_vec()].concat();
        assert_eq!(title(&long).1.unwrap().len(), TITLE_BYTES_MAX);
    }
}
