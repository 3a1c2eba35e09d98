//! DTLS: the hellos, and the server's certificate after its hello.
//!
//! Owns: a message whose pieces come in several datagrams. In: datagrams as they come. Out:
//! [`TlsFacts`]. Never: reads encrypted data, or waits for a skipped piece: it is retransmitted.
//!
//! [`TlsFacts`]: crate::model::record::TlsFacts

use crate::evidence::dtls_rtt::DtlsRtt;
use crate::evidence::ja4::Carrier;
use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe, Timing};
use crate::evidence::request_response_rtt::{Moment, RequestRtt};
use crate::evidence::tls::{record_certificate, record_client_hello, record_server_hello};
use crate::model::record::{Facts, Protocol};
use crate::model::{Heap, Peer};
use crate::wire::dtls::{DtlsMessage, HANDSHAKE, fragment, record};
use crate::wire::tls::{CLIENT_HELLO, ClientHello, SERVER_HELLO, ServerHello};
use crate::wire::tls_record::CERTIFICATE;
use crate::wire::{Reader, WireError};

/// Longest message that is kept between datagrams: hellos with post-quantum shares take 2 KiB,
/// certificates with their chain 5.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// DTLS: its hellos and its round trips.
#[derive(Debug, Default)]
pub struct Dtls {
    hellos: DtlsState,
    rtt: DtlsRtt,
}

impl Heap for Dtls {
    fn heap(&self) -> usize {
        self.hellos.heap()
    }
}

impl Parser for Dtls {
    type State = Dtls;

    const PROTOCOL: Option<Protocol> = Some(Protocol::Dtls);
    const TIMING: Timing = Timing::Beside;

    fn probe(bytes: &[u8], _look: &Look<'_, Dtls>) -> Probe {
        Probe::of(Some(begins(bytes)))
    }

    fn feed(state: &mut Dtls, bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        let from = context.from;
        let facts = context.facts();
        let result = state.hellos.observe(bytes, from, facts);
        // A protocol behind STUN is more specific than STUN.
        if facts.protocol == Some(Protocol::Stun) && result != ParseResult::NotMine {
            facts.protocol = Some(Protocol::Dtls);
        }
        result
    }

    fn time(
        state: &mut Dtls,
        bytes: &[u8],
        _ports: (u16, u16),
        rtt: &mut RequestRtt,
        at: &mut Moment<'_>,
    ) -> bool {
        state.rtt.follow(bytes, rtt, at)
    }
}

/// Whether a datagram begins like DTLS.
pub const fn begins(bytes: &[u8]) -> bool {
    match bytes {
        // A record: content type 20 to 26, version 254.x (RFC 9147 section 4, RFC 6347 section
        // 4.1).
        [20..=26, 0xfe, ..] => true,
        // Before RFC 4347, which Cisco AnyConnect kept: a handshake record of epoch 0.
        [22, 1, 0, 0, 0, ..] => true,
        _ => false,
    }
}

/// The state of a session's DTLS handshake.
#[derive(Debug, Default)]
pub struct DtlsState {
    initiator: Half,
    responder: Half,
}

/// One direction between two datagrams.
#[derive(Debug, Default)]
struct Half {
    message: Option<DtlsMessage<'static>>,
    next: Next,
}

/// The next message that is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Hello,
    /// The server's certificate, after its hello: up to DTLS 1.2.
    Certificate,
    Nothing,
}

impl Heap for DtlsState {
    fn heap(&self) -> usize {
        let halves = [&self.initiator, &self.responder].into_iter();
        halves.filter_map(|half| half.message.as_ref()).map(DtlsMessage::held).sum()
    }
}

impl DtlsState {
    /// Examines one datagram. The sender of the ClientHello is the DTLS client, whichever side
    /// started the session.
    pub fn observe(&mut self, datagram: &[u8], role: Peer, facts: &mut Facts) -> ParseResult {
        let half = match role {
            Peer::Initiator => &mut self.initiator,
            Peer::Responder => &mut self.responder,
        };
        half.observe(datagram, facts).unwrap_or_else(|why| match why {
            // The hello was read; anything after it is optional.
            _ if facts.tls.as_ref().is_some_and(|tls| tls.cipher.is_some()) => ParseResult::Done,
            WireError::NotThis => ParseResult::NotMine,
            other => ParseResult::Failed(other.fault()),
        })
    }
}

impl Half {
    fn observe(&mut self, datagram: &[u8], facts: &mut Facts) -> Result<ParseResult, WireError> {
        // Other data, such as STUN, has no effect.
        record(&mut Reader::new(datagram))?;
        let mut r = Reader::new(datagram);
        let mut message: Option<DtlsMessage<'_>> = self.message.take();
        while !r.is_empty() {
            let record = record(&mut r)?;
            facts.protocol.get_or_insert(Protocol::Dtls);
            if record.epoch > 0 {
                // Encrypted from here on: there are no more hellos.
                return Ok(ParseResult::Done);
            }
            let handshake = if record.kind == HANDSHAKE { record.payload } else { &[] };
            let mut pieces = Reader::new(handshake);
            while !pieces.is_empty() {
                let piece = fragment(&mut pieces)?;
                message = match message {
                    Some(mut message) if !message.gives_way_to(&piece) => {
                        message.add(&piece);
                        Some(message)
                    }
                    _ => DtlsMessage::start(&piece),
                };
                if let Some(whole) = message.take_if(|message| message.body().is_some()) {
                    self.next = observe_message(&whole, self.next, facts)?;
                    if self.next == Next::Nothing {
                        return Ok(ParseResult::Done);
                    }
                }
            }
        }
        let kept = message.filter(|message| message.length() <= MESSAGE_BYTES_MAX);
        self.message = kept.map(DtlsMessage::into_owned);
        Ok(ParseResult::Used(datagram.len()))
    }
}

fn observe_message(
    message: &DtlsMessage<'_>,
    next: Next,
    facts: &mut Facts,
) -> Result<Next, WireError> {
    let body = message.body().unwrap_or_default();
    match message.kind {
        CLIENT_HELLO => {
            record_client_hello(&ClientHello::parse_dtls(body)?, Carrier::Dtls, facts);
            Ok(Next::Nothing)
        }
        CERTIFICATE if next == Next::Certificate => {
            record_certificate(body, facts)?;
            Ok(Next::Nothing)
        }
        _ if next == Next::Certificate => Ok(Next::Nothing),
        SERVER_HELLO => {
            let hello = ServerHello::parse(body)?;
            record_server_hello(&hello, facts);
            // The second ServerHello is still to come.
            Ok(match hello.is_retry_request() {
                true => Next::Hello,
                false if hello.is_13() => Next::Nothing,
                false => Next::Certificate,
            })
        }
        // A HelloVerifyRequest comes before the ServerHello; anything else may share its flight.
        _ => Ok(Next::Hello),
    }
}

#[cfg(test)]
#[path = "dtls_tests.rs"]
mod tests;
