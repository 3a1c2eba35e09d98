//! TLS over TCP, and the facts of hellos over any carrier.
//!
//! Owns: which hello counts: the first of each kind, and the ServerHello after a HelloRetryRequest.
//! In: one direction's bytes. Out: [`TlsFacts`]. Never: looks behind the hellos and the
//! certificate.

use crate::evidence::certificate::certificate;
use crate::evidence::held::Measure;
use crate::evidence::ja3::{ja3, ja3s};
use crate::evidence::ja4::{Carrier, ja4, ja4_unresumed};
use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::evidence::text::shown;
use crate::model::Peer;
use crate::model::record::{Facts, Protocol, TlsFacts};
use crate::wire::tls::{CLIENT_HELLO, ClientHello, SERVER_HELLO, ServerHello, is_grease};
use crate::wire::tls_record::{
    ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, Record, certificate_leaf, first_message, flight, record,
};
use crate::wire::{Fault, Reader, WireError};

/// Longest server name kept: a DNS name has at most 253 characters (RFC 1035 section 3.1).
const SERVER_NAME_MAX: usize = 255;
/// ALPN names kept; browsers offer two or three.
const ALPN_MAX: usize = 16;
/// Longest ALPN name kept; the longest registered has 24 characters, the format allows 255.
const ALPN_BYTES_MAX: usize = 64;
/// Cipher suites kept; scanners offer some 100, everything else fewer than 80. Fingerprints count
/// all.
const CIPHERS_MAX: usize = 256;

/// A ClientHello with many post-quantum shares, or a flight with certificates, fits (RFC 8446
/// records are 16 KiB; a handshake message may be 16 MiB, which nobody sends).
const HELD_MAX: usize = 64 * 1024;

/// TLS over TCP.
#[derive(Debug, Default)]
pub struct Tls;

impl Parser for Tls {
    type State = ();

    const PROTOCOL: Option<Protocol> = Some(Protocol::Tls);
    const HELD_MAX: usize = HELD_MAX;
    const MEASURE: Measure = Measure::Records;

    fn probe(bytes: &[u8], _look: &Look<'_, ()>) -> Probe {
        Probe::starts(bytes, &[0x16, 0x03]).or(|| alert(bytes))
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        observe_tls(bytes, context.from, context.facts())
    }
}

/// A TLS alert in clear is two bytes behind its record header; a server that does not know the
/// requested name sends one as a warning before its ServerHello (RFC 6066 section 3).
fn alert(bytes: &[u8]) -> Probe {
    const ALERT_BYTES: usize = 7;
    match bytes {
        [0x15, 0x03, _, 0, 2, ..] if bytes.len() >= ALERT_BYTES => Probe::Skip(ALERT_BYTES),
        [0x15]
        | [0x15, 0x03]
        | [0x15, 0x03, _]
        | [0x15, 0x03, _, 0]
        | [0x15, 0x03, _, 0, 2, ..] => Probe::Short,
        _ => Probe::No,
    }
}

/// Parses one side's data, from the start of a record. The sender of the ClientHello is the TLS
/// client, whichever side started the session.
pub fn observe_tls(bytes: &[u8], _role: Peer, facts: &mut Facts) -> ParseResult {
    observe_record(bytes, facts).unwrap_or_else(ParseResult::from)
}

fn observe_record(bytes: &[u8], facts: &mut Facts) -> Result<ParseResult, WireError> {
    let mut r = Reader::new(bytes);
    let first = record(&mut r)?;
    if first.kind != HANDSHAKE {
        return between_hellos(&first, bytes.len() - r.left(), facts);
    }
    match first.payload.first() {
        None => Err(WireError::NeedMore(1)),
        Some(&CLIENT_HELLO | &SERVER_HELLO) => observe_hello(bytes, facts),
        // Certificate to Finished (RFC 5246 section 7.4): the hello was before the capture.
        Some(11..=16 | 20) => Ok(ParseResult::Done),
        Some(_) => Err(WireError::NotThis),
    }
}

/// A server may send change_cipher_spec between its HelloRetryRequest and its ServerHello
/// (RFC 8446 appendix D.4).
fn between_hellos(
    first: &Record<'_>,
    used: usize,
    facts: &Facts,
) -> Result<ParseResult, WireError> {
    match first.kind {
        _ if facts.tls.is_none() => Err(WireError::NotThis),
        CHANGE_CIPHER_SPEC | ALERT if first.missing > 0 => Err(WireError::NeedMore(first.missing)),
        CHANGE_CIPHER_SPEC | ALERT => Ok(ParseResult::Used(used)),
        _ => Ok(ParseResult::Done),
    }
}

fn observe_hello(bytes: &[u8], facts: &mut Facts) -> Result<ParseResult, WireError> {
    let message = first_message(bytes)?;
    if message.kind == CLIENT_HELLO {
        let hello = ClientHello::parse(message.body())?;
        facts.protocol.get_or_insert(Protocol::Tls);
        record_client_hello(&hello, Carrier::Tcp, facts);
        return Ok(ParseResult::Done);
    }
    let hello = ServerHello::parse(message.body())?;
    if !hello.is_retry_request() {
        facts.protocol.get_or_insert(Protocol::Tls);
        record_server_hello(&hello, facts);
        return if hello.is_13() {
            Ok(ParseResult::Done)
        } else {
            observe_certificate(bytes, facts)
        };
    }
    if message.used > bytes.len() {
        return Err(WireError::NeedMore(message.used - bytes.len()));
    }
    if facts.tls.as_ref().is_some_and(|tls| tls.retry_request) {
        return Err(WireError::Malformed(Fault::Value, "second HelloRetryRequest"));
    }
    facts.protocol.get_or_insert(Protocol::Tls);
    record_server_hello(&hello, facts);
    Ok(ParseResult::Used(message.used))
}

/// Up to TLS 1.2 the server sends its certificate in clear right after its hello, unless an earlier
/// session is resumed or a pre-shared key is used (RFC 5246 section 7.3).
fn observe_certificate(bytes: &[u8], facts: &mut Facts) -> Result<ParseResult, WireError> {
    let flight = match flight(bytes) {
        // What follows is no record: nothing more is found here.
        Err(WireError::NotThis) => return Ok(ParseResult::Done),
        other => other?,
    };
    if let Some(leaf) = flight.second_is_certificate()? {
        keep_certificate(leaf, facts)?;
    }
    Ok(ParseResult::Done)
}

/// Puts the leaf of a whole Certificate message (RFC 5246 section 7.4.2) into the facts.
///
/// # Errors
/// `Malformed` where the message or the certificate is.
pub fn record_certificate(body: &[u8], facts: &mut Facts) -> Result<(), WireError> {
    match certificate_leaf(&mut Reader::new(body), body.len()) {
        Ok(Some(leaf)) => keep_certificate(leaf, facts),
        Ok(None) => Ok(()),
        Err(_) => Err(WireError::Malformed(Fault::Truncated, "certificate message cut short")),
    }
}

fn keep_certificate(leaf: &[u8], facts: &mut Facts) -> Result<(), WireError> {
    let leaf = certificate(leaf).map_err(|why| match why {
        // It states its own length.
        WireError::NeedMore(_) => WireError::Malformed(Fault::Truncated, "certificate cut short"),
        other => other,
    })?;
    let tls = facts.tls.get_or_insert_default();
    tls.certificate.get_or_insert_with(|| Box::new(leaf));
    Ok(())
}

/// Puts a ClientHello into the facts, unless there is one already. Leaves `protocol` to the caller.
pub fn record_client_hello(hello: &ClientHello<'_>, carrier: Carrier, facts: &mut Facts) {
    let tls: &mut TlsFacts = facts.tls.get_or_insert_default();
    if tls.ja3.is_some() {
        return;
    }
    tls.ja3 = Some(ja3(hello));
    let print = ja4(hello, carrier);
    tls.ja4_unresumed = ja4_unresumed(hello, carrier, &print);
    tls.ja4 = Some(print);
    tls.server_name = hello.server_name().map(|name| shown(name, SERVER_NAME_MAX));
    tls.alpn = hello.alpn().take(ALPN_MAX).map(|name| shown(name, ALPN_BYTES_MAX)).collect();
    tls.version_offered = Some(hello.version_highest());
    let suites = hello.cipher_suites().filter(|v| !is_grease(*v));
    tls.ciphers = suites.take(CIPHERS_MAX).collect();
    tls.early_data = hello.offers_early_data();
    tls.ech = hello.offers_ech();
    let hidden = hello.session_id.is_empty() && hello.offers_ticket();
    tls.session_offered = (!hidden).then(|| hello.session_id.into());
}

/// Puts a ServerHello into the facts, unless there is one already; of a HelloRetryRequest only that
/// there was one, and its JA3S. Leaves `protocol` to the caller.
pub fn record_server_hello(hello: &ServerHello<'_>, facts: &mut Facts) {
    let tls: &mut TlsFacts = facts.tls.get_or_insert_default();
    if tls.cipher.is_some() {
        return;
    }
    tls.ja3s.get_or_insert_with(|| ja3s(hello));
    if hello.is_retry_request() {
        tls.retry_request = true;
        return;
    }
    tls.version = Some(hello.version());
    tls.cipher = Some(hello.cipher_suite);
    tls.alpn_chosen = hello.alpn().map(|name| shown(name, ALPN_BYTES_MAX));
    tls.resumed = resumed(hello, tls.session_offered.as_deref());
}

/// Whether the server resumed an earlier session: a selected key from TLS 1.3 on (RFC 8446 section
/// 2.2), the client's own session id echoed before (RFC 5246 section 7.4.1.3, RFC 5077 section
/// 3.4).
fn resumed(hello: &ServerHello<'_>, offered: Option<&[u8]>) -> Option<bool> {
    if hello.is_13() {
        return Some(hello.selects_pre_shared_key());
    }
    offered.map(|id| !id.is_empty() && id == hello.session_id)
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
