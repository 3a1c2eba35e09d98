//! Round trips of a DTLS handshake: the cookie's echo, and the turns of both sides.
//!
//! Owns: which side is the client, and its last hello. In: one datagram. Out: turns and exclusions.
//! Never: joins messages, or reads encrypted data.

use crate::evidence::quic_rtt::{excluded_by_hello, other};
use crate::evidence::request_response_rtt::{Kind, Moment, RequestRtt, exclude, print_of};
use crate::model::Peer;
use crate::model::latency::{Exchange, Exclusions};
use crate::wire::Reader;
use crate::wire::dtls::{Fragment, HANDSHAKE, HELLO_VERIFY_REQUEST, fragment, record};
use crate::wire::tls::{CLIENT_HELLO, ClientHello, SERVER_HELLO, ServerHello};

const REFLEX: (Kind, Exchange) = (Kind::Reflex, Exchange::Dtls);
const THOUGHT: (Kind, Exchange) = (Kind::Thought, Exchange::Dtls);
const RESUMED: (Kind, Exchange) = (Kind::Thought, Exchange::DtlsResumed);

/// Content type change_cipher_spec.
const CHANGE_CIPHER_SPEC: u8 = 20;
/// CertificateRequest (RFC 5246 section 7.4.4).
const CERTIFICATE_REQUEST: u8 = 13;

/// Bytes of a cookie that nobody guesses.
const COOKIE_MIN: usize = 8;
/// Extension cookie (RFC 8446 section 4.2.2).
const COOKIE_EXTENSION: u16 = 44;

/// A hello, distinguished by its message_seq.
const HELLO: u64 = 1 << 16;
/// A cookie that must be returned.
const COOKIE: u64 = 2 << 16;
/// The server's flight.
const FLIGHT: u64 = 3 << 16;
/// Fingerprint of encrypted data: packets of a flight cannot be distinguished.
const SEALED: u32 = u32::MAX;

/// The state of a session's DTLS.
#[derive(Debug, Default)]
pub struct DtlsRtt {
    client: Option<Peer>,
    hello: u16,
    /// The server's flight has started.
    flight: bool,
    /// Its last piece, by message_seq and offset: an earlier piece that comes later is a
    /// retransmission.
    last: (u16, usize),
    /// The server's flight in clear has ended, or its key exchange was seen.
    full: bool,
    /// The server changed to encryption behind its hello: it resumes an earlier session.
    resumed: bool,
    /// Fingerprint of the cookie that the server wants back: who forges the client's address does
    /// not see it.
    cookie: Option<u32>,
}

impl DtlsRtt {
    /// Examines one datagram; false once the client has answered the server's flight.
    pub fn follow(&mut self, datagram: &[u8], rtt: &mut RequestRtt, at: &mut Moment<'_>) -> bool {
        let mut r = Reader::new(datagram);
        let mut more = true;
        while !r.is_empty() {
            // DTLS 1.3's records have a header of their own: 001 and flags (RFC 9147 section 4).
            if r.rest().first().is_some_and(|first| first & 0xe0 == 0x20) {
                more &= self.sealed(false, rtt, at);
                break;
            }
            let Ok(record) = record(&mut r) else { break };
            if record.epoch > 0 || record.kind == CHANGE_CIPHER_SPEC {
                more &= self.sealed(record.kind == CHANGE_CIPHER_SPEC, rtt, at);
            } else if record.kind == HANDSHAKE {
                let mut pieces = Reader::new(record.payload);
                while let Ok(piece) = fragment(&mut pieces) {
                    more &= self.message(&piece, rtt, at);
                }
            }
        }
        more
    }

    fn message(&mut self, piece: &Fragment<'_>, rtt: &mut RequestRtt, at: &mut Moment<'_>) -> bool {
        if piece.kind == CLIENT_HELLO {
            self.client = Some(at.role);
        }
        match self.client {
            Some(client) if client == at.role => self.client_message(piece, rtt, at),
            Some(_) => {
                self.server_message(piece, rtt, at);
                true
            }
            None => true,
        }
    }

    fn client_message(
        &mut self,
        piece: &Fragment<'_>,
        rtt: &mut RequestRtt,
        at: &mut Moment<'_>,
    ) -> bool {
        if piece.kind != CLIENT_HELLO {
            return !self.answer_flight(rtt, at);
        }
        // The same message_seq is the same hello again (RFC 6347 section 4.2.2).
        if piece.sequence > self.hello {
            rtt.answer(COOKIE, REFLEX, at);
            self.hello = piece.sequence;
            if self.cookie.is_some() && self.cookie == returned_cookie(piece) {
                at.proves();
            }
        }
        rtt.ask(HELLO | u64::from(piece.sequence), piece.offset as u32, at);
        true
    }

    fn server_message(&mut self, piece: &Fragment<'_>, rtt: &mut RequestRtt, at: &mut Moment<'_>) {
        let hello = HELLO | u64::from(self.hello);
        // Both count their messages from 0 (RFC 6347 section 4.2.2): a copy of the answer to the
        // first hello, after the second.
        let stale = piece.sequence < self.hello;
        match piece.kind {
            HELLO_VERIFY_REQUEST if stale => return,
            SERVER_HELLO if stale && is_retry_request(piece) => return,
            HELLO_VERIFY_REQUEST => {
                self.cookie = verify_cookie(piece);
                rtt.answer(hello, REFLEX, at);
                rtt.ask(COOKIE, 0, at);
                return;
            }
            SERVER_HELLO if is_retry_request(piece) => {
                self.cookie = retry_cookie(piece);
                rtt.answer(hello, REFLEX, at);
                rtt.ask(COOKIE, 0, at);
                return;
            }
            CERTIFICATE_REQUEST => exclude(Exclusions::CLIENT_CERTIFICATE, at.facts),
            _ => {}
        }
        rtt.answer(hello, THOUGHT, at);
        let place = (piece.sequence, piece.offset);
        if self.flight && place <= self.last {
            // The sensor may have missed any piece of a retransmitted flight, or see it early.
            rtt.void(FLIGHT, at.role);
        }
        self.flight = true;
        self.last = self.last.max(place);
        self.full |= piece.kind != SERVER_HELLO;
        let print = u32::from(piece.kind) << 24 | piece.offset as u32;
        rtt.ask(FLIGHT, print, at);
    }

    /// Something encrypted, or the message that announces it.
    fn sealed(&mut self, change: bool, rtt: &mut RequestRtt, at: &mut Moment<'_>) -> bool {
        match self.client {
            Some(client) if client == at.role => !self.answer_flight(rtt, at),
            Some(_) if self.flight => {
                // Nothing between hello and change: the session is resumed, and the server finishes
                // first (RFC 5246 section 7.3).
                self.resumed |= change && !self.full;
                rtt.ask(FLIGHT, SEALED, at);
                true
            }
            _ => true,
        }
    }

    /// Whether the datagram is the client's answer to the server's flight.
    fn answer_flight(&mut self, rtt: &mut RequestRtt, at: &mut Moment<'_>) -> bool {
        let why = excluded_by_hello(at.facts);
        let excluded = why & !Exclusions::RESUMED;
        let resumed = self.resumed || why != excluded;
        if excluded != 0 {
            exclude(excluded, at.facts);
            rtt.void(FLIGHT, other(at.role));
        }
        rtt.answer(FLIGHT, if resumed { RESUMED } else { THOUGHT }, at)
    }
}

/// A cookie's fingerprint; none of one that could be guessed.
fn fingerprint(cookie: &[u8]) -> Option<u32> {
    (cookie.len() >= COOKIE_MIN).then(|| print_of(cookie))
}

/// That of a HelloVerifyRequest (RFC 6347 section 4.2.1).
fn verify_cookie(piece: &Fragment<'_>) -> Option<u32> {
    let mut r = Reader::new(piece.piece);
    r.skip(2).ok()?;
    fingerprint(r.sub_u8().ok()?.rest())
}

/// That of a HelloRetryRequest (RFC 9147 section 5.1).
fn retry_cookie(piece: &Fragment<'_>) -> Option<u32> {
    fingerprint(ServerHello::parse(piece.piece).ok()?.extensions.data(COOKIE_EXTENSION)?)
}

/// That of a ClientHello, in either place.
fn returned_cookie(piece: &Fragment<'_>) -> Option<u32> {
    let hello = ClientHello::parse_dtls(piece.piece).ok()?;
    fingerprint(hello.cookie)
        .or_else(|| fingerprint(hello.extensions.data(COOKIE_EXTENSION).unwrap_or_default()))
}

/// Whether a whole ServerHello asks for another hello, with a cookie.
fn is_retry_request(piece: &Fragment<'_>) -> bool {
    piece.piece.len() == piece.length
        && ServerHello::parse(piece.piece).is_ok_and(|hello| hello.is_retry_request())
}

#[cfg(test)]
#[path = "dtls_rtt_tests.rs"]
mod tests;
