//! HTTP/1: the first requests of a session, and the first response's status.
//!
//! Owns: which requests are kept and what may follow a head. In: one direction's bytes, or a
//! datagram.
//! Out: [`HttpFacts`]. Never: reads a body.

use crate::evidence::held::Measure;
use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::evidence::protocols::StreamProtocol;
use crate::evidence::text::shown;
use crate::model::record::{Facts, HttpFacts, HttpRequest, Protocol};
use crate::wire::http::{
    FORWARDED, HEAD_MAX, METHOD_MAX, Request, Source, authority, looks_like_request, request,
    response,
};

/// Further distinct requests kept of a session: a page load re-uses its connection with the same
/// host and user agent; more than a handful of different ones is a proxy.
const REQUESTS_MAX: usize = 4;
/// After a longer body parsing ends: skipping it would mean following a bulk transfer to its end.
const BODY_SKIPPED_MAX: u64 = 16 * 1024;
/// A DNS name has at most 253 characters, and a port six more.
const HOST_BYTES_MAX: usize = 260;
/// User agents are short; what exceeds this is an attack or a cookie in the wrong field.
const AGENT_BYTES_MAX: usize = 512;
/// Longest text kept of a server about itself, and of a proxy about its client.
const NOTE_BYTES_MAX: usize = 128;
/// The method of SSTP (MS-SSTP section 3.2.4.1).
const SSTP_METHOD: &[u8] = b"SSTP_DUPLEX_POST";

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// This many bytes of a body, then perhaps another request.
    Body(u32),
    /// Another protocol: this was CONNECT.
    Tunnel,
    /// Frames of a WebSocket, in both directions.
    Frames,
    /// An uncompressed page.
    Page,
    /// Something that this observer cannot follow.
    Unknown,
}

/// HTTP/1 over TCP.
#[derive(Debug, Default)]
pub struct Http;

/// How a response begins.
const STATUS: &[u8] = b"HTTP/1.";

impl Parser for Http {
    type State = ();

    const PROTOCOL: Option<Protocol> = Some(Protocol::Http);
    const HELD_MAX: usize = HEAD_MAX;
    const MEASURE: Measure = Measure::Head;

    fn probe(bytes: &[u8], _look: &Look<'_, ()>) -> Probe {
        Probe::starts(bytes, STATUS).or(|| Probe::of(looks_like_request(bytes)))
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        let (result, after) = match bytes.starts_with(STATUS) {
            true => observe_response(bytes, Source::Stream, context.facts()),
            false => observe_request(bytes, Source::Stream, context.facts()),
        };
        let ParseResult::Used(used) = result else { return result };
        match after {
            After::Unknown => ParseResult::Done,
            After::Page => ParseResult::Becomes(used, StreamProtocol::HtmlTitle),
            After::Frames => ParseResult::Becomes(used, StreamProtocol::Websocket),
            After::Body(bytes) => ParseResult::Preamble(used, bytes),
            After::Tunnel => ParseResult::Preamble(used, 0),
        }
    }
}

/// SSDP: HTTP heads in datagrams (UPnP Device Architecture 2.0 section 1.1.1).
#[derive(Debug, Default)]
pub struct Ssdp;

/// SSDP's port (UPnP Device Architecture 2.0 section 1.3).
const PORT_SSDP: u16 = 1900;

impl Parser for Ssdp {
    type State = ();

    const PROTOCOL: Option<Protocol> = Some(Protocol::Http);
    /// It repeats itself; so many datagrams of one session say all there is.
    const DATAGRAMS_MAX: u8 = 8;

    fn probe(_bytes: &[u8], look: &Look<'_, ()>) -> Probe {
        Probe::of(Some(look.ports.0 == PORT_SSDP || look.ports.1 == PORT_SSDP))
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        match observe_request(bytes, Source::Datagram, context.facts()) {
            (ParseResult::NotMine, _) => {
                observe_response(bytes, Source::Datagram, context.facts()).0
            }
            (result, _) => result,
        }
    }
}

/// Parses a request at the start of `bytes`. [`After`] is valid only with [`ParseResult::Used`].
pub fn observe_request(bytes: &[u8], source: Source, facts: &mut Facts) -> (ParseResult, After) {
    let head = match request(bytes, source) {
        Ok(head) => head,
        Err(why) => return (why.into(), After::Unknown),
    };
    keep_request(&head, facts);
    let after = if !head.whole || head.transfer_encoding {
        After::Unknown
    } else if head.method == b"CONNECT" {
        After::Tunnel
    } else {
        match head.content_length.unwrap_or(0) {
            length @ 0..=BODY_SKIPPED_MAX => After::Body(length as u32),
            _ => After::Unknown,
        }
    };
    (ParseResult::Used(head.used), after)
}

/// Parses a response at the start of `bytes`: the first one's status is kept.
pub fn observe_response(bytes: &[u8], source: Source, facts: &mut Facts) -> (ParseResult, After) {
    let head = match response(bytes, source) {
        Ok(head) => head,
        Err(why) => return (why.into(), After::Unknown),
    };
    facts.protocol.get_or_insert(Protocol::Http);
    let http = facts.http.get_or_insert_default();
    http.status = http.status.or(Some(head.status));
    let first = http.server.is_none() && http.realm.is_none();
    if first {
        http.server = head.server.map(|value| shown(value, NOTE_BYTES_MAX));
        http.realm = head.realm().map(|value| shown(value, NOTE_BYTES_MAX));
    }
    if head.upgrades_to_websocket() && head.whole {
        http.subprotocol = head.subprotocol.map(|value| shown(value, NOTE_BYTES_MAX));
        if facts.protocol == Some(Protocol::Http) {
            facts.protocol = Some(Protocol::Websocket);
        }
        return (ParseResult::Used(head.used), After::Frames);
    }
    let after = match http.connect_target.is_some() && head.whole {
        true => After::Tunnel,
        false if head.is_page() && http.title.is_none() => After::Page,
        false => After::Unknown,
    };
    (ParseResult::Used(head.used), after)
}

fn keep_request(head: &Request<'_>, facts: &mut Facts) {
    facts.protocol.get_or_insert(Protocol::Http);
    let http = facts.http.get_or_insert_default();
    if head.method == SSTP_METHOD && facts.protocol == Some(Protocol::Http) {
        facts.protocol = Some(Protocol::Sstp);
    }
    // RFC 9112 section 3.2.2: a target in absolute form replaces Host, which then may name the
    // proxy.
    let host = authority(head.target).or(head.host);
    let seen = HttpRequest {
        method: shown(head.method, METHOD_MAX),
        host: host.map(|host| shown(host, HOST_BYTES_MAX)),
        user_agent: head.user_agent.map(|agent| shown(agent, AGENT_BYTES_MAX)),
    };
    if head.method == b"CONNECT" && http.connect_target.is_none() {
        http.connect_target = Some(shown(head.target, HOST_BYTES_MAX));
        if facts.protocol == Some(Protocol::Http) {
            facts.protocol = Some(Protocol::HttpConnect);
        }
    }
    if http.method.is_none() {
        http.forwarded = forwarded(head);
        http.method = Some(seen.method);
        http.host = seen.host;
        http.user_agent = seen.user_agent;
    } else if !is_first(&seen, http) && !http.more.contains(&seen) && http.more.len() < REQUESTS_MAX
    {
        http.more.push(seen);
    }
}

/// The fields that proxies added, each with its name.
fn forwarded(head: &Request<'_>) -> Vec<Box<str>> {
    let fields = FORWARDED.iter().zip(head.forwarded);
    let written = fields.filter_map(|(name, value)| Some((name, shown(value?, NOTE_BYTES_MAX))));
    written.map(|(name, value)| format!("{name}: {value}").into()).collect()
}

fn is_first(seen: &HttpRequest, http: &HttpFacts) -> bool {
    http.method.as_ref() == Some(&seen.method)
        && http.host == seen.host
        && http.user_agent == seen.user_agent
}
