//! The published example and the rules' edges.

use super::*;
use sha2::Digest;

/// A ClientHello body of TLS 1.2 form: suites and extensions as given.
pub fn client_hello(suites: &[u16], extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0; 32]);
    body.push(0);
    body.extend((suites.len() as u16 * 2).to_be_bytes());
    suites.iter().for_each(|suite| body.extend(suite.to_be_bytes()));
    body.extend([1, 0]);
    let mut list = vec![];
    for (number, data) in extensions {
        list.extend(number.to_be_bytes());
        list.extend((data.len() as u16).to_be_bytes());
        list.extend(*data);
    }
    body.extend((list.len() as u16).to_be_bytes());
    body.extend(list);
    body
}

fn of(suites: &[u16], extensions: &[(u16, &[u8])], carrier: Carrier) -> Box<str> {
    ja4(&ClientHello::parse(&client_hello(suites, extensions)).unwrap(), carrier)
}

/// The example of the published technical description.
#[test]
fn the_published_example() {
    let suites = [
        0x4a4a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
        0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
    ];
    let signatures = b"\0\x10\x04\x03\x08\x04\x04\x01\x05\x03\x08\x05\x05\x01\x08\x06\x06\x01";
    let mut extensions: Vec<(u16, &[u8])> = vec![
        (0x2a2a, b""),
        (0x001b, b""),
        (0x0000, b"\0\x04\0\0\x01h"),
        (0x0010, b"\0\x0c\x02h2\x08http/1.1"),
        (0x000d, signatures),
        (0x002b, b"\x06\xaa\xaa\x03\x04\x03\x03"),
    ];
    let rest = [0x33, 0x4469, 0x17, 0x2d, 0x05, 0x23, 0x12, 0x0b, 0x0a, 0xff01, 0x15];
    extensions.extend(rest.map(|number| (number, &b""[..])));
    assert_eq!(&*of(&suites, &extensions, Carrier::Tcp), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    extensions.reverse();
    let quic = of(&suites, &extensions, Carrier::Quic);
    assert_eq!(&*quic, "q13d1516h2_8daaf6152771_e5627efa2ab1", "order does not matter");
}

#[test]
fn nothing_offered_is_all_zeros() {
    let bare = of(&[], &[], Carrier::Tcp);
    assert_eq!(&*bare, "t12i000000_000000000000_000000000000");
    assert_eq!(bare.len(), JA4_CHARS);
    let hidden = of(&[], &[(0, b""), (16, b"")], Carrier::Dtls);
    assert_eq!(&*hidden, "d12d000200_000000000000_000000000000");
}

#[test]
fn without_signature_algorithms_there_is_no_underscore() {
    let digest = Sha256::digest(b"000a,0017");
    let tail: String = digest[..6].iter().map(|b| format!("{b:02x}")).collect();
    assert!(of(&[0x2f], &[(23, b""), (10, b"")], Carrier::Tcp).ends_with(&tail));
}

#[test]
fn counts_stop_at_99_and_long_lists_still_hash() {
    let suites: Vec<u16> = (1000..2000).collect();
    let text: Vec<String> = suites.iter().map(|v| format!("{v:04x}")).collect();
    let digest = Sha256::digest(text.join(",").as_bytes());
    let middle: String = digest[..6].iter().map(|b| format!("{b:02x}")).collect();
    let long = of(&suites, &[], Carrier::Tcp);
    assert_eq!(&*long, format!("t12i990000_{middle}_{EMPTY}"));
}

#[test]
fn an_alpn_name_that_is_no_text_shows_in_hexadecimal() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "00"),
        (b"h2", "h2"),
        (b"h", "hh"),
        (&[0xab], "ab"),
        (&[0xab, 0xcd], "ad"),
        (&[0x30, 0xab], "3b"),
        (&[0x30, 0x31, 0xab, 0xcd], "3d"),
        (&[0x30, 0xab, 0xcd, 0x31], "01"),
    ];
    for (name, expected) in cases {
        let mut out = String::new();
        push_alpn(&mut out, name);
        assert_eq!(out, expected);
    }
}

#[test]
fn versions_have_names() {
    let known = [0x0002, 0x0300, 0x0301, 0x0302, 0x0303, 0x0304, 0xfeff, 0xfefd, 0xfefc, 0x7f1c];
    let names = known.map(version);
    assert_eq!(names, ["s2", "s3", "10", "11", "12", "13", "d1", "d2", "d3", "00"]);
}

#[test]
fn a_resumption_and_padding_make_no_other_program() {
    let hello = |extensions: &[(u16, &[u8])]| client_hello(&[0x1301], extensions);
    let full = hello(&[(0, b""), (13, b"\0\x02\x04\x03"), (51, b"")]);
    let resumed = hello(&[
        (0, b""),
        (13, b"\0\x02\x04\x03"),
        (51, b""),
        (extension::PADDING, b"\0\0"),
        (extension::EARLY_DATA, b""),
        (extension::PRE_SHARED_KEY, b"\0\x01\0"),
    ]);
    let parsed = |body| ClientHello::parse(body).unwrap();
    let (full, resumed) = (parsed(&full), parsed(&resumed));
    let one = ja4(&full, Carrier::Tcp);
    assert_ne!(ja4(&resumed, Carrier::Tcp), one);
    assert_eq!(ja4_unresumed(&resumed, Carrier::Tcp, &ja4(&resumed, Carrier::Tcp)), Some(one));
    assert_eq!(ja4_unresumed(&full, Carrier::Tcp, &ja4(&full, Carrier::Tcp)), None);
}
