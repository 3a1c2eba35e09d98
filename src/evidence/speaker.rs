//! Recognises payload that only the client of a protocol, or only its server, can start with.
//!
//! Owns: those patterns. In: the first bytes of a segment. Out: a role. Never: state; an answer for
//! payload that either side may send (an SSH identification, TLS application data).

use crate::model::Peer;
use crate::wire::http;

/// Methods of requests (RFC 9110 section 9, RFC 5789, RFC 4918, RFC 9113 section 3.4, RFC 3261).
const METHODS: [&[u8]; 14] = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"PRI",
    b"PROPFIND",
    b"INVITE",
    b"REGISTER",
    b"DESCRIBE",
];

/// Starts of server messages: status lines of HTTP, RTSP and SIP (RFC 9112 section 4, RFC 7826
/// section 8.1, RFC 3261 section 7.2), greetings of SMTP, FTP, POP3 and IMAP (RFC 5321 section 3.1,
/// RFC 959 section 5.4, RFC 1939 section 4, RFC 3501 section 7.1).
const OF_SERVERS: [&[u8]; 7] =
    [b"HTTP/1.", b"RTSP/1.", b"SIP/2.0 ", b"220 ", b"220-", b"+OK ", b"* OK "];

/// Starts of messages of mail clients (RFC 5321 section 4.1.1.1).
const OF_CLIENTS: [&[u8]; 2] = [b"EHLO ", b"HELO "];

/// The role of the sender, if only one is possible.
pub fn speaker(payload: &[u8]) -> Option<Peer> {
    // RFC 8446 sections 4 and 5.1: a handshake record, whose message is a hello.
    if let [22, 3, _, _, _, kind, ..] = payload {
        return match kind {
            1 => Some(Peer::Initiator),
            2 => Some(Peer::Responder),
            _ => None,
        };
    }
    // X.224 in a TPKT (RFC 1006 section 6, ITU-T X.224 section 13): connection request and confirm.
    if let [3, 0, _, _, _, code, ..] = payload {
        return match code & 0xf0 {
            0xe0 => Some(Peer::Initiator),
            0xd0 => Some(Peer::Responder),
            _ => None,
        };
    }
    let begins = |words: &[&[u8]]| words.iter().any(|word| payload.starts_with(word));
    if begins(&OF_SERVERS) {
        return Some(Peer::Responder);
    }
    if begins(&OF_CLIENTS) || is_request(payload) {
        return Some(Peer::Initiator);
    }
    None
}

/// A known method with a space behind it, and a target; the method alone could be chance.
fn is_request(payload: &[u8]) -> bool {
    if http::looks_like_request(payload) != Some(true) {
        return false;
    }
    let mut words = payload.splitn(3, |byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    METHODS.contains(&method) && target.first().is_some_and(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_role_identify_the_speaker() {
        use Peer::{Initiator, Responder};
        for (payload, role) in [
            (&b"\x16\x03\x01\x00\x50\x01\x00"[..], Some(Initiator)),
            (b"\x16\x03\x03\x00\x50\x02\x00", Some(Responder)),
            (b"\x16\x03\x03\x00\x50\x0b\x00", None),
            (b"\x17\x03\x03\x00\x50\x02\x00", None),
            (b"\x03\x00\x00\x13\x0e\xe0\x00", Some(Initiator)),
            (b"\x03\x00\x00\x13\x0e\xd0\x00", Some(Responder)),
            (b"GET /1 HTTP/1.1\r\n", Some(Initiator)),
            (b"PRI * HTTP/2.0\r\n", Some(Initiator)),
            (b"CONNECT a.example:443 HTTP/1.1\r\n", Some(Initiator)),
            (b"HTTP/1.1 200 OK\r\n", Some(Responder)),
            (b"220 mail.example ESMTP\r\n", Some(Responder)),
            (b"EHLO a\r\n", Some(Initiator)),
            (b"SSH-2.0-OpenSSH_9.6\r\n", None),
            (b"SAY GET / TO ME", None),
            (b"GET", None),
            (b"", None),
        ] {
            assert_eq!(speaker(payload), role, "{payload:?}");
        }
    }
}
