//! Protocols recognised by one or two messages: the claims of each side, and when they are
//! believed.
//!
//! Owns: the claims of both sides. In: the available bytes of one direction. Out: the protocol.
//! Never: believes one side alone if other protocols start alike.

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::evidence::text::shown;
use crate::model::protocol::Protocol;
use crate::model::record::Facts;
use crate::model::{Heap, Peer};
use crate::wire::{WireError, app_signatures};

/// Bytes after which an opening is passed to its parser although it is incomplete.
const SIGN_BYTES: usize = 12;
/// A line of text is examined when it is complete, or this long.
const LINE_BYTES: usize = 64;
/// Longest name of a bind kept: a distinguished name.
const BIND_BYTES_MAX: usize = 256;
/// Size of a request for TLS, after which TLS starts (PostgreSQL).
const SSL_REQUEST_BYTES: usize = 8;

/// The claims of each side so far.
#[derive(Debug, Default)]
pub struct AppSignatures {
    greeted: Option<Protocol>,
    initiator: Option<Protocol>,
    responder: Option<Protocol>,
}

impl Heap for AppSignatures {
    fn heap(&self) -> usize {
        0
    }
}

impl Parser for AppSignatures {
    type State = AppSignatures;

    /// Most of them are text or a claim of one side; a fault is never an error here.
    const PROTOCOL: Option<Protocol> = None;
    const HELD_MAX: usize = app_signatures::HELD_MAX;

    fn probe(bytes: &[u8], look: &Look<'_, AppSignatures>) -> Probe {
        Probe::of(sign(bytes, look.from, look.state))
    }

    fn feed(
        state: &mut AppSignatures,
        bytes: &[u8],
        context: &mut ParseContext<'_>,
    ) -> ParseResult {
        match state.observe(bytes, context.from, context.facts()) {
            ParseResult::Used(bytes) => ParseResult::Preamble(bytes, 0),
            other => other,
        }
    }

    fn is_live(state: &AppSignatures) -> bool {
        state.has_begun()
    }
}

/// Whether bytes may start one of these; `None` if too few to decide.
pub fn sign(bytes: &[u8], role: Peer, openings: Option<&AppSignatures>) -> Option<bool> {
    if role == Peer::Responder && matches!(bytes.first(), Some(b'2' | b'*' | b'+')) {
        return line_sign(bytes, || app_signatures::greeting(bytes).is_some());
    }
    if let Some(greeted) =
        openings.and_then(|known| known.greeted).filter(|_| role == Peer::Initiator)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
    {
        return line_sign(bytes, || app_signatures::answer(bytes, greeted).is_some());
    }
    match app_signatures::claim(bytes) {
        Ok(_) => Some(true),
        Err(WireError::NeedMore(_)) if bytes.len() < SIGN_BYTES => None,
        Err(WireError::NeedMore(_)) => Some(true),
        Err(_) => Some(false),
    }
}

fn line_sign(bytes: &[u8], fits: impl Fn() -> bool) -> Option<bool> {
    let whole = bytes.contains(&b'\n') || bytes.len() >= LINE_BYTES;
    if whole { Some(fits()) } else { None }
}

impl AppSignatures {
    /// Whether either side has claimed anything.
    pub const fn has_begun(&self) -> bool {
        self.greeted.is_some() || self.initiator.is_some() || self.responder.is_some()
    }

    /// Examines the available bytes. Protocols recognised by text, or by both sides only, are
    /// skipped over: another protocol may start later.
    pub fn observe(&mut self, bytes: &[u8], role: Peer, facts: &mut Facts) -> ParseResult {
        if self.observe_text(bytes, role, facts) {
            return ParseResult::NotMine;
        }
        let claim = match app_signatures::claim(bytes) {
            Ok(claim) => claim,
            Err(WireError::NeedMore(_)) => return ParseResult::NeedMore(1),
            Err(_) => return ParseResult::NotMine,
        };
        if let Some(name) = claim.name.filter(|name| !name.is_empty()) {
            let app_facts = facts.rare_mut().app_facts.get_or_insert_default();
            app_facts.ldap_bind.get_or_insert_with(|| shown(name, BIND_BYTES_MAX));
        }
        let (own, peer) = match role {
            Peer::Initiator => (&mut self.initiator, self.responder),
            Peer::Responder => (&mut self.responder, self.initiator),
        };
        // Consecutive Telnet commands count like adjacent ones.
        let again = claim.protocol == Protocol::Telnet && *own == Some(Protocol::Telnet);
        *own = Some(claim.protocol);
        if claim.certain || again || peer == Some(claim.protocol) {
            facts.protocol.get_or_insert(claim.protocol);
        }
        match claim.protocol {
            Protocol::Postgresql if bytes.len() >= SSL_REQUEST_BYTES => {
                ParseResult::Used(SSL_REQUEST_BYTES)
            }
            // TLS may follow, or one side's claim is not enough.
            Protocol::Ldap
            | Protocol::Mysql
            | Protocol::Amqp
            | Protocol::Telnet
            | Protocol::Websocket => ParseResult::NotMine,
            _ => ParseResult::Done,
        }
    }

    /// Whether this is a line of a text dialogue.
    fn observe_text(&mut self, bytes: &[u8], role: Peer, facts: &mut Facts) -> bool {
        match (role, self.greeted) {
            (Peer::Responder, None) => {
                self.greeted = app_signatures::greeting(bytes);
                self.greeted.is_some()
            }
            (Peer::Initiator, Some(greeted)) => match app_signatures::answer(bytes, greeted) {
                Some(protocol) => {
                    facts.protocol.get_or_insert(protocol);
                    true
                }
                None => false,
            },
            (Peer::Responder, Some(_)) => app_signatures::greeting(bytes).is_some(),
            (Peer::Initiator, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Peer::{Initiator, Responder};

    fn told(pieces: &[(Peer, &[u8])]) -> Option<Protocol> {
        let (mut openings, mut facts) = (AppSignatures::default(), Facts::default());
        for (role, bytes) in pieces {
            if sign(bytes, *role, Some(&openings)) == Some(true) {
                openings.observe(bytes, *role, &mut facts);
            }
        }
        facts.protocol
    }

    #[test]
    fn a_command_of_telnet_and_a_frame_need_both_sides() {
        let (ask, offer): (&[u8], &[u8]) = (&[0xff, 0xfd, 0x18], &[0xff, 0xfb, 0x18]);
        assert_eq!(told(&[(Responder, ask)]), None);
        let twice = told(&[(Responder, ask), (Responder, offer)]);
        assert_eq!(twice, Some(Protocol::Telnet), "two commands of one side");
        assert_eq!(told(&[(Responder, ask), (Initiator, offer)]), Some(Protocol::Telnet));
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(told(&[(Initiator, &masked)]), None);
        let both: [(Peer, &[u8]); 2] = [(Initiator, &masked), (Responder, b"\x81\x05Hello")];
        assert_eq!(told(&both), Some(Protocol::Websocket));
    }

    #[test]
    fn text_needs_a_greeting_and_an_answer() {
        let greeting: (Peer, &[u8]) = (Responder, b"220 mail.example ESMTP\r\n");
        assert_eq!(told(&[greeting]), None);
        assert_eq!(told(&[(Initiator, b"EHLO me\r\n")]), None);
        assert_eq!(told(&[greeting, (Initiator, b"EHLO me\r\n")]), Some(Protocol::Smtp));
        assert_eq!(told(&[greeting, (Initiator, b"GET / HTTP/1.1\r\n")]), None);
    }

    #[test]
    fn a_bind_gives_its_name() {
        let (mut openings, mut facts) = (AppSignatures::default(), Facts::default());
        let bind = [&[0x30, 15, 2, 1, 1, 0x60, 10, 2, 1, 3, 4, 3][..], b"me@\x80\0"].concat();
        assert_eq!(openings.observe(&bind, Initiator, &mut facts), ParseResult::NotMine);
        assert_eq!(facts.protocol, Some(Protocol::Ldap));
        assert_eq!(facts.app_facts().cloned().unwrap().ldap_bind.as_deref(), Some("me@"));
    }
}
