//! What is spoken inside a WebSocket, as far as its first frames show it.
//!
//! Owns: how far frames are followed. In: one direction's bytes after the upgrade. Out: SSH or TLS
//! inside. Never: joins messages of several frames.

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::evidence::{ssh, tls};
use crate::model::Peer;
use crate::model::record::{Facts, Protocol};
use crate::wire::WireError;
use crate::wire::websocket::{BINARY, TEXT, frame};

/// Longest frame looked into: a flight of TLS or a KEXINIT fits, and what is sent in pieces is
/// followed no further.
pub const FRAME_MAX: usize = 8 * 1024;

/// Status of a server that agrees to another protocol (RFC 9110 section 15.2.2).
const SWITCHING: u16 = 101;

/// Frames of a direction looked at.
const FRAMES_MAX: u8 = 15;

/// The frames behind an upgrade.
#[derive(Debug, Default)]
pub struct Websocket;

impl Parser for Websocket {
    type State = ();

    const PROTOCOL: Option<Protocol> = Some(Protocol::Websocket);
    const HELD_MAX: usize = FRAME_MAX;
    const MESSAGES_MAX: u8 = FRAMES_MAX;

    fn probe(bytes: &[u8], look: &Look<'_, ()>) -> Probe {
        Probe::of(Some(is_agreed(bytes, look.facts)))
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        observe(bytes, context.from, context.facts())
    }
}

/// Whether a frame may begin here after a server agreed to a WebSocket: its client sends them too.
pub fn is_agreed(bytes: &[u8], facts: Option<&Facts>) -> bool {
    let agreed = facts.is_some_and(|facts| {
        let told = matches!(facts.protocol, Some(Protocol::Websocket | Protocol::Ssh));
        told && facts.http.as_ref().is_some_and(|http| http.status == Some(SWITCHING))
    });
    agreed && matches!(bytes.first(), Some(0x81 | 0x82 | 0x88..=0x8a))
}

/// Looks at a frame. Tunnels put a segment of what they carry into each.
pub fn observe(bytes: &[u8], role: Peer, facts: &mut Facts) -> ParseResult {
    let frame = match frame(bytes) {
        Ok(frame) => frame,
        Err(WireError::NeedMore(_)) => return ParseResult::NeedMore(1),
        Err(_) => return ParseResult::Done,
    };
    if !matches!(frame.opcode, TEXT | BINARY) {
        return ParseResult::Used(frame.size);
    }
    if frame.size > FRAME_MAX {
        return ParseResult::Done;
    }
    if !frame.is_whole(bytes.len()) {
        return ParseResult::NeedMore(frame.size.saturating_sub(bytes.len()).max(1));
    }
    if observe_payload(&frame.unmasked(FRAME_MAX), role, facts) {
        ParseResult::Used(frame.size)
    } else {
        ParseResult::Done
    }
}

/// Whether more of the same is to come.
fn observe_payload(payload: &[u8], role: Peer, facts: &mut Facts) -> bool {
    let ssh_side = facts.ssh.as_ref().map(|ssh| match role {
        Peer::Initiator => ssh.client.is_some(),
        Peer::Responder => ssh.server.is_some(),
    });
    if payload.starts_with(b"SSH-") || ssh_side == Some(true) {
        let step = ssh::observe_ssh(payload, role, facts);
        // What is inside says more than what carries it; the upgrade stays in the HTTP facts.
        if facts.ssh.is_some() && facts.protocol == Some(Protocol::Websocket) {
            facts.protocol = Some(Protocol::Ssh);
        }
        return match step {
            // The KEXINIT stands behind the name in the same frame, or in the next.
            ParseResult::Used(n) => match payload.get(n..).filter(|rest| !rest.is_empty()) {
                Some(rest) => matches!(ssh::observe_ssh(rest, role, facts), ParseResult::Used(_)),
                None => true,
            },
            _ => false,
        };
    }
    if payload.starts_with(&[0x16, 3]) {
        tls::observe_tls(payload, role, facts);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_inside_is_named() {
        let mut facts = Facts::default();
        let name = b"SSH-2.0-inside\r\n";
        let framed = [&[0x82, name.len() as u8][..], name].concat();
        let step = observe(&framed, Peer::Responder, &mut facts);
        assert_eq!(step, ParseResult::Used(framed.len()));
        assert_eq!(facts.ssh.unwrap().server.as_deref(), Some("SSH-2.0-inside"));
        let mut none = Facts::default();
        assert_eq!(observe(b"\x81\x02hi", Peer::Responder, &mut none), ParseResult::Done);
        assert_eq!(observe(&[0x89, 0, 1], Peer::Responder, &mut none), ParseResult::Used(2));
        let cut = observe(&framed[..5], Peer::Responder, &mut none);
        assert_eq!(cut, ParseResult::NeedMore(framed.len() - 5));
        assert_eq!(none, Facts::default());
        let mut carried = Facts { protocol: Some(Protocol::Websocket), ..Facts::default() };
        observe(&framed, Peer::Responder, &mut carried);
        assert_eq!(carried.protocol, Some(Protocol::Ssh), "what is inside says more");
    }
}
