//! Datagrams made by hand.

use super::*;
use crate::wire::Fault;
use proptest::prelude::*;

fn client_body(cookie: &[u8]) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend([9; 32]);
    body.push(0);
    body.push(cookie.len() as u8);
    body.extend(cookie);
    body.extend([0, 2, 0xc0, 0x2b, 1, 0]);
    body
}

fn server_body() -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend([8; 32]);
    body.extend([0, 0xc0, 0x2b, 0]);
    body
}

fn observe_dtls(datagram: &[u8], role: Peer, facts: &mut Facts) -> ParseResult {
    DtlsState::default().observe(datagram, role, facts)
}

/// One record for each piece of the message.
fn records(kind: u8, body: &[u8], piece: usize) -> Vec<u8> {
    let mut out = vec![];
    for (n, part) in body.chunks(piece).enumerate() {
        out.extend([22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, n as u8]);
        out.extend((part.len() as u16 + 12).to_be_bytes());
        let size = |n: usize| (n as u32).to_be_bytes();
        out.extend([&[kind][..], &size(body.len())[1..], &[0, 0]].concat());
        out.extend([&size(n * piece)[1..], &size(part.len())[1..]].concat());
        out.extend(part);
    }
    out
}

#[test]
fn a_client_hello_with_a_cookie_is_found_whole_or_in_pieces() {
    for piece in [200, 20] {
        let mut facts = Facts::default();
        let bytes = records(1, &client_body(b"yum"), piece);
        assert_eq!(observe_dtls(&bytes, Peer::Initiator, &mut facts), ParseResult::Done);
        assert_eq!(facts.protocol, Some(Protocol::Dtls));
        let tls = facts.tls.unwrap();
        assert_eq!((tls.version_offered, tls.ciphers), (Some(0xfefd), vec![0xc02b]));
        assert!(tls.ja4.unwrap().starts_with("dd2i010000_"));
    }
}

#[test]
fn an_older_version_number_is_dtls_too() {
    let mut body = client_body(b"");
    body.splice(..2, [1, 0]);
    let mut bytes = records(1, &body, 200);
    bytes.splice(1..3, [1, 0]);
    let mut facts = Facts::default();
    assert_eq!(observe_dtls(&bytes, Peer::Initiator, &mut facts), ParseResult::Done);
    assert_eq!(facts.tls.unwrap().version_offered, Some(0x0100));
}

#[test]
fn a_server_answers_with_a_cookie_first() {
    let mut facts = Facts::default();
    let verify = records(3, &[0xfe, 0xff, 1, 7], 200);
    assert_eq!(observe_dtls(&verify, Peer::Responder, &mut facts), ParseResult::Used(verify.len()));
    assert_eq!((facts.protocol, facts.tls.is_none()), (Some(Protocol::Dtls), true));
    let hello = records(2, &server_body(), 200);
    // Its certificate may follow.
    assert_eq!(observe_dtls(&hello, Peer::Responder, &mut facts), ParseResult::Used(hello.len()));
    let tls = facts.tls.unwrap();
    assert_eq!((tls.version, tls.cipher), (Some(0xfefd), Some(0xc02b)));
}

#[test]
fn a_certificate_behind_the_hello_is_read() {
    let leaf = crate::wire::x509::tests::certificate(&[]);
    let size = |n: usize| (n as u32).to_be_bytes()[1..].to_vec();
    let body = [size(leaf.len() + 3), size(leaf.len()), leaf.clone()].concat();
    let hello = records(2, &server_body(), 200);
    for piece in [2_000, 100] {
        let mut facts = Facts::default();
        let bytes = [hello.clone(), records(11, &body, piece)].concat();
        assert_eq!(observe_dtls(&bytes, Peer::Responder, &mut facts), ParseResult::Done);
        let certificate = facts.tls.unwrap().certificate.unwrap();
        assert_eq!(&*certificate.subject, "CN=device.example,O=Org");
    }
    let mut facts = Facts::default();
    let broken = [hello, records(11, &[0, 0, 9, 0, 0, 6, 1], 200)].concat();
    assert_eq!(observe_dtls(&broken, Peer::Responder, &mut facts), ParseResult::Done);
    assert_eq!(facts.tls.unwrap().certificate, None);
}

#[test]
fn the_hello_may_follow_other_messages_of_its_datagram() {
    let mut facts = Facts::default();
    let bytes =
        [records(0, &[], 1), records(3, &[0xfe, 0xff, 0], 9), records(2, &server_body(), 9)];
    let bytes = bytes.concat();
    assert_eq!(observe_dtls(&bytes, Peer::Responder, &mut facts), ParseResult::Used(bytes.len()));
    assert_eq!(facts.tls.unwrap().cipher, Some(0xc02b));
}

/// Each piece of a message in a datagram of its own.
fn datagrams(kind: u8, body: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let step = piece.min(body.len()) + 25;
    records(kind, body, piece).chunks(step).map(<[u8]>::to_vec).collect()
}

#[test]
fn a_message_in_several_datagrams_is_put_together() {
    let (mut state, mut facts) = (DtlsState::default(), Facts::default());
    let mut tell = |datagram: &[u8], role| state.observe(datagram, role, &mut facts);
    let [first, second, third] = &datagrams(1, &client_body(b"yum"), 20)[..] else { panic!() };
    assert_eq!(tell(first, Peer::Initiator), ParseResult::Used(first.len()));
    // STUN comes between, the same piece again, and a later one too early.
    assert_eq!(tell(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], Peer::Initiator), ParseResult::NotMine);
    assert_eq!(tell(third, Peer::Initiator), ParseResult::Used(third.len()));
    assert_eq!(tell(first, Peer::Initiator), ParseResult::Used(first.len()));
    assert_eq!(tell(second, Peer::Initiator), ParseResult::Used(second.len()));
    assert_eq!(tell(third, Peer::Initiator), ParseResult::Done);
    let leaf = crate::wire::x509::tests::certificate(&[]);
    let size = |n: usize| (n as u32).to_be_bytes()[1..].to_vec();
    let body = [size(leaf.len() + 3), size(leaf.len()), leaf].concat();
    let hello = records(2, &server_body(), 200);
    assert_eq!(tell(&hello, Peer::Responder), ParseResult::Used(hello.len()));
    let steps: Vec<ParseResult> =
        datagrams(11, &body, 100).iter().map(|datagram| tell(datagram, Peer::Responder)).collect();
    assert_eq!(steps.last(), Some(&ParseResult::Done));
    let tls = facts.tls.unwrap();
    assert!(tls.ja4.unwrap().starts_with("dd2i010000_"));
    assert_eq!(&*tls.certificate.unwrap().subject, "CN=device.example,O=Org");
}

#[test]
fn a_message_too_long_is_not_kept() {
    let mut piece = records(1, &client_body(b"yum"), 20);
    piece.truncate(20 + 25);
    piece[14..17].copy_from_slice(&[1, 0, 0]);
    let (mut state, mut facts) = (DtlsState::default(), Facts::default());
    assert_eq!(state.observe(&piece, Peer::Initiator, &mut facts), ParseResult::Used(piece.len()));
    assert!(state.initiator.message.is_none());
}

#[test]
fn encrypted_records_end_the_search() {
    let mut facts = Facts::default();
    let bytes = [23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 5];
    assert_eq!(observe_dtls(&bytes, Peer::Initiator, &mut facts), ParseResult::Done);
    assert_eq!((facts.protocol, facts.tls.is_none()), (Some(Protocol::Dtls), true));
}

#[test]
fn other_or_truncated_datagrams_give_no_hello() {
    let mut facts = Facts::default();
    assert_eq!(observe_dtls(&[22, 3, 1, 0], Peer::Initiator, &mut facts), ParseResult::NotMine);
    let whole = records(1, &client_body(&[]), 200);
    let cut = &whole[..whole.len() - 1];
    assert_eq!(
        observe_dtls(cut, Peer::Initiator, &mut facts),
        ParseResult::Failed(Fault::Truncated)
    );
    assert_eq!(facts, Facts::default());
}

proptest! {
    #[test]
    fn mutated_datagrams_never_panic(at in 0usize..120, value: u8, piece in 1usize..60) {
        let mut bytes = records(1, &client_body(b"abc"), piece);
        bytes.extend(records(2, &server_body(), piece));
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        let _ = observe_dtls(&bytes, Peer::Initiator, &mut Facts::default());
    }

    #[test]
    fn random_datagrams_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 3..200)) {
        bytes.splice(..3, [22, 0xfe, 0xfd]);
        let _ = observe_dtls(&bytes, Peer::Initiator, &mut Facts::default());
    }
}
