//! Hellos made by hand.

use super::*;
use proptest::prelude::*;
use sha2::Digest;

/// A ClientHello body with one of everything that is read.
fn client(cookie: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([2, 0xaa, 0xbb]);
    if let Some(cookie) = cookie {
        body.push(cookie.len() as u8);
        body.extend(cookie);
    }
    body.extend([0, 6, 0x1a, 0x1a, 0x13, 0x01, 0xc0, 0x2b]);
    body.extend([1, 0]);
    let mut extensions = vec![];
    let mut add = |number: u16, data: &[u8]| {
        extensions.extend(number.to_be_bytes());
        extensions.extend((data.len() as u16).to_be_bytes());
        extensions.extend(data);
    };
    add(0x2a2a, &[]);
    add(0, b"\0\x08\x01\0\x01x\0\0\x01h");
    add(16, b"\0\x0c\x02h2\x08http/1.1");
    add(43, &[6, 0x3a, 0x3a, 3, 4, 3, 3]);
    add(10, &[0, 4, 0, 29, 0, 23]);
    add(11, &[1, 0]);
    add(13, &[0, 2, 4, 3]);
    add(42, &[]);
    add(35, &[]);
    add(0xfe0d, &[0]);
    add(41, &[1]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    body
}

#[test]
fn a_client_hello_gives_all_its_fields() {
    let body = client(None);
    let hello = ClientHello::parse(&body).unwrap();
    assert_eq!((hello.legacy_version, hello.random), (0x0303, [7; 32]));
    assert_eq!((hello.session_id, hello.cookie), (&[0xaa, 0xbb][..], &[][..]));
    assert!(hello.cipher_suites().eq([0x1a1a, 0x1301, 0xc02b]));
    assert_eq!(hello.server_name(), Some(&b"h"[..]));
    assert!(hello.alpn().eq([&b"h2"[..], b"http/1.1"]));
    assert!(hello.supported_versions().eq([0x3a3a, 0x0304, 0x0303]));
    assert_eq!(hello.version_highest(), TLS13);
    assert!(hello.supported_groups().eq([29, 23]));
    assert_eq!(hello.point_formats(), [0]);
    assert!(hello.signature_algorithms().eq([0x0403]));
    assert!(hello.offers_early_data() && hello.offers_pre_shared_key() && hello.offers_ech());
    assert!(!hello.offers_ticket(), "an empty ticket asks for one");
    let numbers = hello.extensions.map(|e| e.number);
    assert!(numbers.eq([0x2a2a, 0, 16, 43, 10, 11, 13, 42, 35, 0xfe0d, 41]));
}

#[test]
fn a_dtls_client_hello_has_a_cookie() {
    let body = client(Some(b"cookie"));
    let hello = ClientHello::parse_dtls(&body).unwrap();
    assert_eq!(hello.cookie, b"cookie");
    assert!(hello.cipher_suites().eq([0x1a1a, 0x1301, 0xc02b]));
}

#[test]
fn extensions_may_be_missing_but_not_cut() {
    let mut old = vec![3, 1];
    old.extend([0; 32]);
    old.extend([0, 0, 2, 0, 5, 1, 0]);
    let hello = ClientHello::parse(&old).unwrap();
    assert_eq!(hello.extensions.count(), 0);
    assert_eq!((hello.version_highest(), hello.server_name()), (0x0301, None));
    old.extend([0, 5, 0, 0, 0, 2, 1]);
    assert_eq!(
        ClientHello::parse(&old).unwrap_err(),
        WireError::Malformed(Fault::Truncated, "hello cut")
    );
}

#[test]
fn lengths_that_contradict_the_format_are_malformed() {
    let mut odd = vec![3, 1];
    odd.extend([0; 32]);
    odd.extend([0, 0, 1, 0, 1, 0]);
    assert_eq!(
        ClientHello::parse(&odd).unwrap_err(),
        WireError::Malformed(Fault::Length, "odd cipher suite list")
    );
    let mut long = vec![3, 3];
    long.extend([0; 32]);
    long.push(33);
    long.extend([0; 90]);
    assert_eq!(
        ServerHello::parse(&long).unwrap_err(),
        WireError::Malformed(Fault::Length, "session id length")
    );
}

#[test]
fn a_server_hello_has_version_and_cipher() {
    let mut body = vec![3, 3];
    body.extend(RETRY_RANDOM);
    body.extend([0, 0x13, 0x02, 0, 0, 12, 0, 43, 0, 2, 3, 4, 0, 41, 0, 2, 0, 0]);
    let hello = ServerHello::parse(&body).unwrap();
    assert!(hello.is_retry_request() && hello.is_13() && hello.selects_pre_shared_key());
    assert_eq!((hello.version(), hello.cipher_suite, hello.alpn()), (TLS13, 0x1302, None));
}

#[test]
fn the_retry_random_is_the_hash_of_its_name() {
    assert_eq!(RETRY_RANDOM[..], sha2::Sha256::digest(b"HelloRetryRequest")[..]);
}

#[test]
fn grease_is_sixteen_values() {
    let all: Vec<u16> = (0..=u16::MAX).filter(|v| is_grease(*v)).collect();
    assert_eq!(all.len(), 16);
    assert_eq!((all[0], all[15]), (0x0a0a, 0xfafa));
}

#[test]
fn newer_versions_rank_higher() {
    let ranked = [0x0002, 0x0300, 0x0301, 0x0304];
    assert!(ranked.is_sorted_by_key(|v| version_rank(*v)));
    assert!([0xfeff, 0xfefd, DTLS13].is_sorted_by_key(|v| version_rank(*v)));
}

fn exercise(body: &[u8]) {
    for hello in [ClientHello::parse(body), ClientHello::parse_dtls(body)].into_iter().flatten() {
        let _ = (hello.server_name(), hello.version_highest(), hello.point_formats());
        let _ = (hello.alpn().count(), hello.cipher_suites().count());
        let _ = (hello.supported_groups().count(), hello.signature_algorithms().count());
    }
    if let Ok(hello) = ServerHello::parse(body) {
        let _ = (hello.version(), hello.alpn(), hello.is_retry_request());
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        exercise(&body);
    }

    #[test]
    fn mutated_hellos_never_panic(
        at in 0usize..200, value: u8, cut in 0usize..200, dtls: bool,
    ) {
        let mut body = client(dtls.then_some(&b"abc"[..]));
        if let Some(byte) = body.get_mut(at) {
            *byte = value;
        }
        exercise(&body);
        body.truncate(cut);
        exercise(&body);
    }
}
