//! RDP over TCP: the connection request and its confirm.
//!
//! Owns: what they say that is kept. In: the bytes at hand of one direction. Out: the protocol, and
//! how many bytes to step over: TLS begins behind. Never: follows it further.

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::evidence::text::shown;
use crate::model::protocol::Protocol;
use crate::model::record::Facts;
use crate::wire::{WireError, rdp};

/// A cookie is shorter than a host name, which has at most 253 characters.
const NAME_BYTES_MAX: usize = 253;
/// Longest request or confirm that may have to wait for its rest.
const HELD_MAX: usize = 513;

/// RDP over TCP.
#[derive(Debug, Default)]
pub struct Rdp;

impl Parser for Rdp {
    type State = ();

    const PROTOCOL: Option<Protocol> = Some(Protocol::Rdp);
    const HELD_MAX: usize = HELD_MAX;

    fn probe(bytes: &[u8], _look: &Look<'_, ()>) -> Probe {
        match bytes {
            [3] | [3, 0] | [3, 0, _] | [3, 0, _, _] | [3, 0, _, _, _] => Probe::Short,
            [3, 0, _, _, _, 0xd0 | 0xe0, ..] => Probe::Fits,
            _ => Probe::No,
        }
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        let on_port = context.ports.0 == rdp::PORT || context.ports.1 == rdp::PORT;
        match observe_rdp(bytes, on_port, context.facts()) {
            Ok(size) => ParseResult::Preamble(size, 0),
            Err(WireError::NeedMore(missing)) => ParseResult::NeedMore(missing),
            Err(_) => ParseResult::NotMine,
        }
    }
}

/// A connection request or confirm; without cookie or negotiation only RDP's port proves it.
fn observe_rdp(bytes: &[u8], on_port: bool, facts: &mut Facts) -> Result<usize, WireError> {
    let opening = rdp::opening(bytes)?;
    let told = facts.protocol == Some(Protocol::Rdp);
    if !opening.certain && !on_port && !told {
        return Err(WireError::NotThis);
    }
    facts.protocol.get_or_insert(Protocol::Rdp);
    let rdp = facts.rare_mut().app_facts.get_or_insert_default().rdp.get_or_insert_default();
    if opening.confirm {
        rdp.chosen = rdp.chosen.or(opening.protocols);
    } else {
        rdp.requested = rdp.requested.or(opening.protocols);
        if let Some(name) = opening.cookie.filter(|_| rdp.cookie.is_none()) {
            rdp.cookie = Some(shown(name, NAME_BYTES_MAX));
        }
    }
    Ok(opening.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_with_a_cookie_or_on_its_port() {
        let request = b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0";
        let mut facts = Facts::default();
        assert_eq!(observe_rdp(request, false, &mut facts), Ok(19));
        assert_eq!(facts.protocol, Some(Protocol::Rdp));
        let bare = b"\x03\0\0\x0b\x06\xe0\0\0\0\0\0";
        let mut facts = Facts::default();
        assert_eq!(observe_rdp(bare, false, &mut facts), Err(WireError::NotThis));
        assert_eq!(facts.protocol, None);
        assert_eq!(observe_rdp(bare, true, &mut facts), Ok(11));
        assert_eq!(facts.protocol, Some(Protocol::Rdp), "on its port");
    }
}
