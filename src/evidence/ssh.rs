//! SSH before its keys: identification strings and HASSH.
//!
//! Owns: the order of the two messages each side sends. In: one direction's bytes. Out:
//! [`SshFacts`].
//! Never: reads past KEXINIT.
//!
//! HASSH is the MD5 of `kex;encryption;mac;compression`, the name-lists as sent, those of the
//! sender's own direction (published by Salesforce, <https://github.com/salesforce/hassh>).

use md5::{Digest, Md5};

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::evidence::stream::LOOKED_BYTES_MAX;
use crate::evidence::text::shown;
use crate::model::Peer;
use crate::model::record::{Facts, Protocol, SshFacts};
use crate::wire::ssh::{
    IDENTIFICATION_MAX, KexInit, MSG_GENERIC_LAST, MSG_KEXINIT, PACKET_MAX, identification,
    identification_after_lines, plain_packet,
};
use crate::wire::{Fault, WireError};

/// SSH over TCP.
#[derive(Debug, Default)]
pub struct Ssh;

impl Parser for Ssh {
    type State = ();

    const PROTOCOL: Option<Protocol> = Some(Protocol::Ssh);
    const HELD_MAX: usize = PACKET_MAX + 4 + IDENTIFICATION_MAX;

    fn probe(bytes: &[u8], look: &Look<'_, ()>) -> Probe {
        Probe::starts(bytes, b"SSH-").or(|| server_lines(bytes, look.from))
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        observe_ssh(bytes, context.from, context.facts())
    }
}

/// A server may greet with other lines before its identification string (RFC 4253 section 4.2);
/// a response of HTTP is none.
fn server_lines(bytes: &[u8], from: Peer) -> Probe {
    let printable = bytes.first().is_some_and(|b| (0x20..0x7f).contains(b));
    if from != Peer::Responder || !printable || bytes.starts_with(b"HTTP/1.") {
        return Probe::No;
    }
    let head = bytes.get(..usize::from(LOOKED_BYTES_MAX)).unwrap_or(bytes);
    identification_after_lines(head).map_or(Probe::No, Probe::Skip)
}

/// Parses one side's data: its identification string, then packets up to its KEXINIT.
pub fn observe_ssh(bytes: &[u8], role: Peer, facts: &mut Facts) -> ParseResult {
    let named = facts.ssh.as_ref().is_some_and(|ssh| match role {
        Peer::Initiator => ssh.client.is_some(),
        Peer::Responder => ssh.server.is_some(),
    });
    let step =
        if named { observe_packet(bytes, role, facts) } else { observe_name(bytes, role, facts) };
    step.unwrap_or_else(ParseResult::from)
}

fn observe_name(bytes: &[u8], role: Peer, facts: &mut Facts) -> Result<ParseResult, WireError> {
    let id = identification(bytes)?;
    // A browser that connected to an SSH server sent HTTP and got no HTTP answer.
    let unanswered = facts.http.as_ref().is_some_and(|http| http.status.is_none());
    if role == Peer::Responder && unanswered && facts.protocol == Some(Protocol::Http) {
        facts.protocol = Some(Protocol::Ssh);
    }
    facts.protocol.get_or_insert(Protocol::Ssh);
    let ssh: &mut SshFacts = facts.ssh.get_or_insert_default();
    let slot = match role {
        Peer::Initiator => &mut ssh.client,
        Peer::Responder => &mut ssh.server,
    };
    *slot = Some(shown(id.text, IDENTIFICATION_MAX));
    // Version 1 packets (before RFC 4253) contain nothing for this observer.
    Ok(if id.speaks_v2() { ParseResult::Used(id.used) } else { ParseResult::Done })
}

fn observe_packet(bytes: &[u8], role: Peer, facts: &mut Facts) -> Result<ParseResult, WireError> {
    let Some(ssh) = facts.ssh.as_mut() else { return Err(WireError::NotThis) };
    let peer = match role {
        Peer::Initiator => &ssh.server,
        Peer::Responder => &ssh.client,
    };
    if peer.as_ref().is_some_and(|peer| peer.starts_with("SSH-1.") && !peer.starts_with("SSH-1.99"))
    {
        // A 1.99 side that met a version 1 peer continues with version 1.
        return Ok(ParseResult::Done);
    }
    let packet = plain_packet(bytes)?;
    match packet.payload.first() {
        Some(&MSG_KEXINIT) => {
            let hash = Some(hassh(&KexInit::parse(packet.payload)?, role));
            match role {
                Peer::Initiator => ssh.hassh = hash,
                Peer::Responder => ssh.hassh_server = hash,
            }
            Ok(ParseResult::Done)
        }
        Some(1..=MSG_GENERIC_LAST) => Ok(ParseResult::Used(packet.used)),
        _ => Err(WireError::Malformed(Fault::Value, "message before KEXINIT")),
    }
}

fn hassh(kex: &KexInit<'_>, role: Peer) -> [u8; 16] {
    let own = |[to_server, to_client]: [&'_ [u8]; 2]| match role {
        Peer::Initiator => to_server.to_vec(),
        Peer::Responder => to_client.to_vec(),
    };
    let lists = [kex.kex.to_vec(), own(kex.encryption), own(kex.mac), own(kex.compression)];
    Md5::digest(lists.join(&b';')).into()
}
