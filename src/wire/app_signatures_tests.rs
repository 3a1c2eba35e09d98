//! Each protocol as its document writes it, and what is near but not it.

use super::*;
use proptest::prelude::*;

fn recognised(bytes: &[u8]) -> Option<(Protocol, bool)> {
    claim(bytes).ok().map(|claim| (claim.protocol, claim.certain))
}

/// The first message of each protocol.
fn samples() -> Vec<(Vec<u8>, Protocol, bool)> {
    let pptp = [&[0, 156, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0][..], &[0; 144]].concat();
    let kerberos =
        [&[0, 0, 0, 13, 0x6a, 11, 0x30, 9, 0xa1, 3, 2, 1, 5][..], &[0xa2, 2, 4, 0]].concat();
    let smb = [&[0, 0, 0, 64, 0xfe][..], b"SMB", &[0; 60]].concat();
    let bind = [&[0x30, 15, 2, 1, 1, 0x60, 10, 2, 1, 3, 4, 3][..], b"me@\x80\0"].concat();
    let bgp = [&[0xff; 16][..], &[0, 29, 1, 4, 0xfd, 0xe8, 0, 180]].concat();
    let mysql = [&[60, 0, 0, 0, 10][..], b"8.0.36\0\x01\0\0\0abcdefgh\0\xff\xf7"].concat();
    vec![
        (pptp, Protocol::Pptp, true),
        (kerberos, Protocol::Kerberos, true),
        (smb, Protocol::Smb, true),
        (bind, Protocol::Ldap, true),
        (vec![0x30, 5, 2, 1, 1, 0x61, 0], Protocol::Ldap, false),
        (bgp, Protocol::Bgp, true),
        (mysql, Protocol::Mysql, true),
        (PREFACE.to_vec(), Protocol::Http2, true),
        (b"AMQP\0\0\x09\x01".to_vec(), Protocol::Amqp, true),
        (b"\x10\x12\0\x04MQTT\x04\x02\0\x3c".to_vec(), Protocol::Mqtt, true),
        (b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec(), Protocol::Postgresql, true),
        (b"\0\0\0\x21\0\x03\0\0user\0me\0".to_vec(), Protocol::Postgresql, true),
        (vec![0xff, 0xfd, 0x18, 0xff, 0xfd, 0x20], Protocol::Telnet, true),
        (vec![0xff, 0xfd, 0x18], Protocol::Telnet, false),
        (vec![0xff, 0xfa, 0x25, 2, 2, 0xff, 0xf0], Protocol::Telnet, true),
        (vec![0xff, 0xfa, 0x18, 1, b'x'], Protocol::Telnet, false),
        ([&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat(), Protocol::Stun, true),
        ([&[1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat(), Protocol::Stun, true),
        (b"\x81\x05Hello".to_vec(), Protocol::Websocket, false),
        (b"0 home_1 17.7\n".to_vec(), Protocol::Tinc, false),
        (vec![23, 3, 3, 0, 2, 1, 2], Protocol::Tls, false),
    ]
}

#[test]
fn each_protocol_is_recognised_by_its_signature() {
    for (bytes, protocol, certain) in samples() {
        assert_eq!(recognised(&bytes), Some((protocol, certain)), "{bytes:?}");
    }
    let bind = samples().swap_remove(3).0;
    assert_eq!(claim(&bind).unwrap().name, Some(&b"me@"[..]));
}

#[test]
fn similar_bytes_are_not_recognised() {
    let near: [&[u8]; 12] = [
        &[0, 156, 0, 1, 0x1a, 0x2b, 0x3c, 0x4e, 0, 1, 0, 0],
        &[0, 0, 0, 14, 0x6a, 11, 0x30, 9, 0xa1, 3, 2, 1, 5],
        &[0x30, 15, 2, 1, 1, 0x60, 10, 2, 1, 9, 4, 3, 1, 1, 1, 0x80, 0],
        &[0x30, 3, 2, 1, 1, 0x61, 9],
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"AMQP\x07\0\x09\x01",
        &[0xff, 0xfd, 0x60],
        b"\x81\x05Hel\0o",
        &[60, 0, 0, 0, 9, b'8', 0],
        b"0 home 18\n",
        b"0 ho-me 17\n",
        &[23, 3, 3, 0, 2, 1, 2, 9, 3],
    ];
    for bytes in near {
        assert_eq!(claim(bytes), Err(WireError::NotThis), "{bytes:?}");
    }
}

#[test]
fn consecutive_records_are_certain() {
    assert_eq!(
        recognised(&[23, 3, 3, 0, 2, 1, 2, 23, 3, 3, 0, 40, 7]),
        Some((Protocol::Tls, true))
    );
    assert_eq!(recognised(&[23, 3, 3, 0, 200, 1, 2]), Some((Protocol::Tls, false)));
}

#[test]
fn lines_of_text_need_both_sides() {
    assert_eq!(greeting(b"220 mail.example ESMTP ready\r\n"), Some(Protocol::Smtp));
    assert_eq!(greeting(b"220 (vsFTPd 3.0.5)\r\n"), Some(Protocol::Ftp));
    assert_eq!(greeting(b"* OK IMAP4rev1\r\n"), Some(Protocol::Imap));
    assert_eq!(greeting(b"+OK ready\r\n"), Some(Protocol::Pop3));
    assert_eq!(greeting(b"HTTP/1.1 220 OK\r\n"), None);
    assert_eq!(answer(b"EHLO me\r\n", Protocol::Ftp), Some(Protocol::Smtp));
    assert_eq!(answer(b"a1 login x y\r\n", Protocol::Imap), Some(Protocol::Imap));
    assert_eq!(answer(b"USER me\r\n", Protocol::Smtp), None);
    assert_eq!(answer(b"GET / HTTP/1.1\r\n", Protocol::Ftp), None);
}

proptest! {
    #[test]
    fn a_prefix_needs_more_or_gives_the_same_result(which in 0usize..21, cut in 0usize..200) {
        let (bytes, protocol, certain) = samples().swap_remove(which);
        let cut = bytes.get(..cut).unwrap_or(&bytes);
        match claim(cut) {
            // One command of Telnet says less than two.
            Ok(claim) if claim.protocol == Protocol::Telnet => {
                prop_assert!(protocol == Protocol::Telnet && claim.certain <= certain);
            }
            Ok(claim) => prop_assert_eq!((claim.protocol, claim.certain), (protocol, certain)),
            Err(why) => prop_assert!(matches!(why, WireError::NeedMore(_)), "{:?}", why),
        }
    }

    #[test]
    fn never_panics(
        first in prop::sample::select(vec![0u8, 0x10, 0x30, 0x81, b'A', b'P', 0xff, 60]),
        tail in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let bytes = [&[first][..], &tail].concat();
        let _ = claim(&bytes);
        let _ = greeting(&bytes).map(|greeted| answer(&tail, greeted));
    }
}
