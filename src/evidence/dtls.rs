//! DTLS: the hellos, where each lies whole in one datagram, and the server's certificate in the
//! same.
//!
//! Owns: nothing between datagrams. In: one datagram. Out: [`TlsFacts`]. Never: reads what is
//! encrypted.
//!
//! [`TlsFacts`]: crate::model::record::TlsFacts

use crate::evidence::ja4::Carrier;
use crate::evidence::step::Role;
use crate::evidence::step::Step;
use crate::evidence::tls::record_certificate;
use crate::evidence::tls::record_client_hello;
use crate::evidence::tls::record_server_hello;
use crate::model::record::Facts;
use crate::model::record::Protocol;
use crate::wire::Reader;
use crate::wire::WireError;
use crate::wire::dtls::HANDSHAKE;
use crate::wire::dtls::Message;
use crate::wire::dtls::fragment;
use crate::wire::dtls::record;
use crate::wire::tls::CLIENT_HELLO;
use crate::wire::tls::ClientHello;
use crate::wire::tls::SERVER_HELLO;
use crate::wire::tls::ServerHello;
use crate::wire::tls_record::CERTIFICATE;

/// Looks at one datagram. Whoever sends the ClientHello is the DTLS client, whichever side began
/// the session.
pub fn observe_dtls(datagram: &[u8], _role: Role, facts: &mut Facts) -> Step {
    observe_records(datagram, facts).unwrap_or_else(|why| match why {
        // The hello was read; what stands behind it is a gift.
        _ if facts.tls.as_ref().is_some_and(|tls| tls.cipher.is_some()) => Step::Done,
        WireError::NotThis => Step::NotMine,
        WireError::NeedMore(_) | WireError::Malformed(_) => Step::Failed,
    })
}

fn observe_records(datagram: &[u8], facts: &mut Facts) -> Result<Step, WireError> {
    let mut r = Reader::new(datagram);
    let mut message: Option<Message<'_>> = None;
    let mut next = Next::Hello;
    while !r.is_empty() {
        let record = record(&mut r)?;
        facts.protocol.get_or_insert(Protocol::Dtls);
        if record.epoch > 0 {
            // Encrypted from here on: the hellos are over.
            return Ok(Step::Done);
        }
        let mut pieces = Reader::new(if record.kind == HANDSHAKE { record.payload } else { &[] });
        while !pieces.is_empty() {
            let piece = fragment(&mut pieces)?;
            match &mut message {
                Some(message) => message.add(&piece),
                None => message = Message::start(&piece),
            }
            if let Some(whole) = message.take_if(|message| message.body().is_some()) {
                next = observe_message(&whole, next, facts)?;
                if next == Next::Nothing {
                    return Ok(Step::Done);
                }
            }
        }
    }
    // A certificate in a later datagram is not waited for.
    Ok(if next == Next::Certificate { Step::Done } else { Step::Used(datagram.len()) })
}

/// What is still listened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Hello,
    /// The server's, behind its hello: up to DTLS 1.2.
    Certificate,
    Nothing,
}

fn observe_message(
    message: &Message<'_>,
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
