//! What the first bytes of a stream's direction look like.
//!
//! Owns: the order in which protocols are tried. In: the bytes at hand. Out: which observer they
//! call for. Never: parses more than tells that.

use crate::evidence::app_signatures;
use crate::evidence::openvpn;
use crate::evidence::socks_rdp_vnc;
use crate::evidence::stream::LOOKED_BYTES_MAX;
use crate::evidence::stream::Mode;
use crate::evidence::stream::ParseContext;
use crate::evidence::websocket;
use crate::model::Peer;
use crate::wire::http::looks_like_request;
use crate::wire::proxy_header;
use crate::wire::ssh::identification_after_lines;

/// What the start of some bytes looks like.
pub(super) enum Sign {
    /// Nothing known.
    Nothing,
    /// Too short to say.
    Short,
    /// A preamble of so many bytes that hides nothing.
    Preamble(usize),
    /// Worth giving to this observer.
    Fits(Mode),
}

impl Sign {
    /// Of an answer that may be too early.
    fn of(fits: Option<bool>, mode: Mode) -> Sign {
        match fits {
            Some(true) => Sign::Fits(mode),
            Some(false) => Sign::Nothing,
            None => Sign::Short,
        }
    }

    fn or(self, next: impl FnOnce() -> Sign) -> Sign {
        if let Sign::Nothing = self { next() } else { self }
    }
}

/// What the first bytes look like: a few comparisons, no parsing.
pub(super) fn sign(bytes: &[u8], context: &ParseContext<'_>) -> Sign {
    // The first that is not refuted counts, even while it is too short to be sure: what a
    // direction is must not depend on where its segments end.
    starts(bytes, &[0x16, 0x03], Mode::Tls)
        .or(|| tls_alert(bytes))
        .or(|| starts(bytes, b"SSH-", Mode::Ssh))
        .or(|| dns_prefix(bytes, context))
        .or(|| starts(bytes, proxy_header::LINE_START, Mode::ProxyHeader))
        .or(|| starts(bytes, proxy_header::SIGNATURE, Mode::ProxyHeader))
        .or(|| starts(bytes, b"HTTP/1.", Mode::HttpResponse))
        .or(|| server_lines(bytes, context))
        .or(|| {
            let streams = context.talk.as_ref().and_then(|talk| talk.streams.as_ref());
            let greetings = streams.map(|streams| &streams.greetings);
            Sign::of(socks_rdp_vnc::sign(bytes, context.role, greetings), Mode::Greeting)
        })
        .or(|| Sign::of(openvpn::stream_sign(bytes), Mode::Openvpn))
        .or(|| {
            let agreed = websocket::is_agreed(bytes, context.facts.as_deref());
            Sign::of(Some(agreed), Mode::Websocket)
        })
        .or(|| {
            let streams = context.talk.as_ref().and_then(|talk| talk.streams.as_ref());
            let openings = streams.map(|streams| &streams.openings);
            Sign::of(app_signatures::sign(bytes, context.role, openings), Mode::Opening)
        })
        .or(|| Sign::of(looks_like_request(bytes), Mode::HttpRequest))
}

fn starts(bytes: &[u8], magic: &[u8], mode: Mode) -> Sign {
    match bytes.get(..magic.len()) {
        Some(head) if head == magic => Sign::Fits(mode),
        Some(_) => Sign::Nothing,
        None if magic.starts_with(bytes) => Sign::Short,
        None => Sign::Nothing,
    }
}

/// A TLS alert in clear is two bytes behind its record header; a server that does not know the name
/// asked for sends one as a warning before its ServerHello (RFC 6066 section 3).
fn tls_alert(bytes: &[u8]) -> Sign {
    const ALERT_BYTES: usize = 7;
    match bytes {
        [0x15, 0x03, _, 0, 2, ..] if bytes.len() >= ALERT_BYTES => Sign::Preamble(ALERT_BYTES),
        [0x15]
        | [0x15, 0x03]
        | [0x15, 0x03, _]
        | [0x15, 0x03, _, 0]
        | [0x15, 0x03, _, 0, 2, ..] => Sign::Short,
        _ => Sign::Nothing,
    }
}

/// DNS over TCP has no magic: its port, and a length that can hold a header.
fn dns_prefix(bytes: &[u8], context: &ParseContext<'_>) -> Sign {
    if context.ports.0 != 53 && context.ports.1 != 53 {
        return Sign::Nothing;
    }
    match bytes {
        [high, low, ..] if u16::from_be_bytes([*high, *low]) >= 12 => Sign::Fits(Mode::Dns),
        [_, _, ..] => Sign::Nothing,
        _ => Sign::Short,
    }
}

/// An SSH server may greet with other lines before its identification string.
fn server_lines(bytes: &[u8], context: &ParseContext<'_>) -> Sign {
    let printable = bytes.first().is_some_and(|b| (0x20..0x7f).contains(b));
    if context.role != Peer::Responder || !printable {
        return Sign::Nothing;
    }
    let head = bytes.get(..usize::from(LOOKED_BYTES_MAX)).unwrap_or(bytes);
    identification_after_lines(head).map_or(Sign::Nothing, Sign::Preamble)
}
