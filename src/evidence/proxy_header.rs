//! The PROXY header: whom a proxy or load balancer speaks for.
//!
//! Owns: nothing between segments. In: the bytes at hand of one direction. Out: the ends it names,
//! and how many bytes to step over: what it passes on begins behind. Never: believes it.

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::model::protocol::Protocol;
use crate::wire::{WireError, proxy_header};

/// The PROXY header, either version.
#[derive(Debug, Default)]
pub struct ProxyHeader;

impl Parser for ProxyHeader {
    type State = ();

    /// It is told by no protocol of its own, and what does not parse is not it.
    const PROTOCOL: Option<Protocol> = None;
    const HELD_MAX: usize = proxy_header::SIZE_MAX;

    fn probe(bytes: &[u8], _look: &Look<'_, ()>) -> Probe {
        Probe::starts(bytes, proxy_header::LINE_START)
            .or(|| Probe::starts(bytes, proxy_header::SIGNATURE))
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        match proxy_header::proxy_header(bytes) {
            Ok((size, named)) => {
                if let Some(named) = named {
                    let app_facts = context.facts().rare_mut().app_facts.get_or_insert_default();
                    app_facts.proxy.get_or_insert(named);
                }
                ParseResult::Preamble(size, 0)
            }
            Err(WireError::NeedMore(missing)) => ParseResult::NeedMore(missing),
            Err(_) => ParseResult::NotMine,
        }
    }
}
