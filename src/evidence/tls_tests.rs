//! Streams made by hand.

use super::*;
use crate::wire::Fault;
use proptest::prelude::*;

fn client_body(session_id: &[u8], extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([9; 32]);
    body.push(session_id.len() as u8);
    body.extend(session_id);
    body.extend([0, 4, 0x0a, 0x0a, 0xc0, 0x2f, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    body
}

fn server_body(random: [u8; 32], session_id: &[u8], extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(random);
    body.push(session_id.len() as u8);
    body.extend(session_id);
    body.extend([0x13, 0x01, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    body
}

/// The body as a message in records of at most `piece` bytes.
fn stream(kind: u8, body: &[u8], piece: usize) -> Vec<u8> {
    let mut message = vec![kind, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    let mut out = vec![];
    for part in message.chunks(piece) {
        out.extend([22, 3, 1]);
        out.extend((part.len() as u16).to_be_bytes());
        out.extend(part);
    }
    out
}

fn client(bytes: &[u8], facts: &mut Facts) -> ParseResult {
    observe_tls(bytes, Peer::Initiator, facts)
}

fn server(bytes: &[u8], facts: &mut Facts) -> ParseResult {
    observe_tls(bytes, Peer::Responder, facts)
}

const SNI: &[u8] = b"\0\0\0\x0e\0\x0c\0\0\x09a.example";
const PICKS_13: &[u8] = b"\0\x2b\0\x02\x03\x04";

#[test]
fn a_client_hello_in_pieces_is_found_once_whole() {
    let bytes = stream(1, &client_body(&[], SNI), 20);
    let mut facts = Facts::default();
    for end in 0..bytes.len() {
        let ParseResult::NeedMore(missing) = client(&bytes[..end], &mut facts) else {
            panic!("{end}")
        };
        assert!(end + missing <= bytes.len(), "{end}: no more than is missing");
    }
    assert_eq!(facts, Facts::default());
    assert_eq!(client(&bytes, &mut facts), ParseResult::Done);
    assert_eq!(facts.protocol, Some(Protocol::Tls));
    let tls = facts.tls.unwrap();
    assert_eq!(tls.server_name.as_deref(), Some("a.example"));
    assert_eq!((tls.version_offered, tls.ciphers), (Some(0x0303), vec![0xc02f]));
    assert!(tls.ja4.unwrap().starts_with("t12d010100_"));
}

#[test]
fn the_first_client_hello_wins() {
    let mut facts = Facts { protocol: Some(Protocol::Http), ..Facts::default() };
    client(&stream(1, &client_body(&[], SNI), 999), &mut facts);
    let first = facts.clone();
    assert_eq!(server(&stream(1, &client_body(&[1], &[]), 999), &mut facts), ParseResult::Done);
    assert_eq!(facts, first);
    assert_eq!(facts.protocol, Some(Protocol::Http), "what came first keeps the name");
}

#[test]
fn the_server_hello_after_a_retry_request_counts() {
    let retry = stream(2, &server_body(crate::wire::tls::RETRY_RANDOM, &[], PICKS_13), 999);
    let second = [PICKS_13, b"\0\x29\0\x02\0\0"].concat();
    let mut bytes = retry.clone();
    bytes.extend([20, 3, 3, 0, 1, 1]);
    bytes.extend(stream(2, &server_body([1; 32], &[], &second), 999));
    let mut facts = Facts::default();
    assert_eq!(server(&bytes, &mut facts), ParseResult::Used(retry.len()));
    let tls = facts.tls.clone().unwrap();
    assert_eq!((tls.retry_request, tls.cipher, tls.ja3s.is_some()), (true, None, true));
    assert_eq!(server(&bytes[retry.len()..], &mut facts), ParseResult::Used(6));
    assert_eq!(server(&bytes[retry.len() + 6..], &mut facts), ParseResult::Done);
    let after = facts.tls.clone().unwrap();
    assert_eq!((after.ja3s, after.cipher), (tls.ja3s, Some(0x1301)));
    assert_eq!((after.version, after.resumed), (Some(0x0304), Some(true)));
}

#[test]
fn a_second_retry_request_is_a_failure() {
    let retry = stream(2, &server_body(crate::wire::tls::RETRY_RANDOM, &[], PICKS_13), 999);
    let mut facts = Facts::default();
    server(&retry, &mut facts);
    assert_eq!(server(&retry, &mut facts), ParseResult::Failed(Fault::Value));
}

#[test]
fn an_echoed_session_id_is_a_resumption() {
    let ticket = b"\0\x23\0\x01\x07";
    type Case = (&'static [u8], &'static [u8], &'static [u8], Option<bool>);
    let cases: [Case; 5] = [
        (&[1, 2], &[], &[1, 2], Some(true)),
        (&[1, 2], &[], &[3, 4], Some(false)),
        (&[], &[], &[3, 4], Some(false)),
        (&[], &[], &[], Some(false)),
        (&[], ticket, &[], None),
    ];
    for (offered, extensions, answered, expected) in cases {
        let mut facts = Facts::default();
        client(&stream(1, &client_body(offered, extensions), 999), &mut facts);
        server(&stream(2, &server_body([1; 32], answered, &[]), 999), &mut facts);
        assert_eq!(facts.tls.unwrap().resumed, expected, "{offered:?} {answered:?}");
    }
    let mut facts = Facts::default();
    server(&stream(2, &server_body([1; 32], &[5], &[]), 999), &mut facts);
    assert_eq!(facts.tls.unwrap().resumed, None, "what was offered is not known");
}

#[test]
fn other_bytes_leave_no_facts() {
    let mut facts = Facts::default();
    for bytes in [&b"GET / HTTP/1.1"[..], &[22, 3, 9], &[22, 3, 1, 0, 9, 99], &[23, 3, 3, 0, 1, 1]]
    {
        assert_eq!(client(bytes, &mut facts), ParseResult::NotMine, "{bytes:?}");
    }
    // SSL 2.0 form: a length, then type 1 and the version.
    assert_eq!(client(&[0x80, 0x2e, 1, 3, 1], &mut facts), ParseResult::NotMine);
    assert_eq!(client(&[22, 3, 3, 0, 40, 11, 0, 2], &mut facts), ParseResult::Done);
    assert_eq!(facts, Facts::default());
}

#[test]
fn hellos_with_wrong_lengths_are_counted_as_errors() {
    let mut facts = Facts::default();
    let endless = [22, 3, 1, 0, 8, 1, 9, 0, 0];
    assert_eq!(client(&endless, &mut facts), ParseResult::Failed(Fault::OverCap));
    let mut body = client_body(&[], SNI);
    body[41] = 0xff;
    assert_eq!(client(&stream(1, &body, 999), &mut facts), ParseResult::Failed(Fault::Truncated));
    assert_eq!(facts, Facts::default());
}

proptest! {
    #[test]
    fn mutated_streams_never_panic(
        at in 0usize..80, value: u8, piece in 1usize..99, kind in 0u8..4,
    ) {
        let mut bytes = stream(kind, &client_body(&[1, 2, 3], SNI), piece);
        bytes.extend(stream(2, &server_body([1; 32], &[], PICKS_13), piece));
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        let mut facts = Facts::default();
        let mut rest = &bytes[..];
        for _ in 0..5 {
            let ParseResult::Used(n) = client(rest, &mut facts) else { break };
            prop_assert!(n > 0 && n <= rest.len());
            rest = &rest[n..];
        }
    }
}
