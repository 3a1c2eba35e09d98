//! A TLS 1.2 handshake with the server's certificate in clear (RFC 5246 section 7.4, RFC 5280
//! section 4.1).
//!
//! Owns: its bytes. In: the tables of the folder. Out: a capture, rows. Never: code of the program
//! under test; keys or signatures that would verify.

use crate::craft::Connection;
use crate::own_corpus::Tables;
use crate::own_corpus::hash;
use crate::own_corpus::hello_extensions;
use crate::own_corpus::sha;

const SNI: &str = "www.made.example";
const FILE: &str = "tls12.pcap";

/// An element of DER (X.690 section 8.1).
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let length = (contents.len() as u16).to_be_bytes();
    let head = match contents.len() {
        0..128 => vec![tag, length[1]],
        128..256 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [&head[..], &contents].concat()
}

/// A name of one part, commonName (2.5.4.3) as a UTF8String.
fn name(common: &str) -> Vec<u8> {
    let part = der(0x30, &[&der(6, &[&[0x55, 4, 3]]), &der(0x0c, &[common.as_bytes()])]);
    der(0x30, &[&der(0x31, &[&part])])
}

fn certificate() -> Vec<u8> {
    // ecdsa-with-SHA256, and a key of id-ecPublicKey that is no point of a curve.
    let algorithm = der(0x30, &[&der(6, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])]);
    let key_kind = der(0x30, &[&der(6, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]])]);
    let key = der(0x30, &[&key_kind, &der(3, &[&[0, 4], &[0x6c; 64]])]);
    let validity = der(0x30, &[&der(0x17, &[b"260101000000Z"]), &der(0x17, &[b"270102030405Z"])]);
    // subjectAltName (2.5.29.17): two DNS names.
    let names = [der(0x82, &[SNI.as_bytes()]), der(0x82, &[b"*.made.example"])].concat();
    let names = der(4, &[&der(0x30, &[&names])]);
    let extension = der(0x30, &[&der(6, &[&[0x55, 0x1d, 17]]), &names]);
    let (version, serial) = (der(0xa0, &[&der(2, &[&[2]])]), der(2, &[&[0x4d]]));
    let body = [
        version,
        serial,
        algorithm.clone(),
        name("Made CA"),
        validity,
        name(SNI),
        key,
        der(0xa3, &[&der(0x30, &[&extension])]),
    ];
    let body = der(0x30, &[&body.concat()]);
    der(0x30, &[&body, &algorithm, &der(3, &[&[0], &[0x5d; 70]])])
}

/// A handshake message: type, length of 24 bits, body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[kind][..], &length[1..], body].concat()
}

fn record(messages: &[u8]) -> Vec<u8> {
    let length = (messages.len() as u16).to_be_bytes();
    [&[22, 3, 3][..], &length, messages].concat()
}

/// Cipher 0xc02f; extensions server_name and supported_groups (x25519 alone).
fn client_hello() -> Vec<u8> {
    let extensions = hello_extensions(SNI);
    let mut body = [&[3, 3][..], &[0x66; 32], &[0, 0, 2, 0xc0, 0x2f, 1, 0]].concat();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    record(&message(1, &body))
}

/// ServerHello, Certificate with one entry, ServerHelloDone.
fn server_flight() -> Vec<u8> {
    let hello = [&[3, 3][..], &[0x77; 32], &[0, 0xc0, 0x2f, 0]].concat();
    let leaf = certificate();
    let sized = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[1..], bytes].concat();
    let chain = sized(&sized(&leaf));
    record(&[message(2, &hello), message(11, &chain), message(14, &[])].concat())
}

/// Adds the capture; gives rows of tls.csv.
pub fn add(tables: &mut Tables<'_>) -> Vec<String> {
    let mut tls = Connection::new("10.0.0.32:40032", "198.51.100.32:8443");
    tls.open().ask(&client_hello()).answer(&server_flight());
    tables.add_tcp((FILE, "tls", "tcp tls"), &mut tls);
    for (field, value) in [
        ("tls.version", r#""1.2""#),
        ("tls.server.subject", r#""CN=www.made.example""#),
        ("tls.server.issuer", r#""CN=Made CA""#),
        ("tls.server.x509.subject.common_name", r#""www.made.example""#),
        ("tls.server.x509.issuer.common_name", r#""Made CA""#),
        ("tls.server.x509.alternative_names", r#"["www.made.example","*.made.example"]"#),
        ("tls.server.x509.not_before", r#""2026-01-01T00:00:00Z""#),
        ("tls.server.x509.not_after", r#""2027-01-02T03:04:05Z""#),
    ] {
        tables.value(FILE, field, value);
    }
    // 0x0303 is 771 and 0xc02f 49199.
    let ja3 = hash("771,49199,0-10,29,");
    let ja4 = format!("t12d010200_{}_{}", sha("c02f"), sha("000a"));
    let ja3s = hash("771,49199,");
    let (up, down) = ("10.0.0.32,40032,198.51.100.32,8443", "198.51.100.32,8443,10.0.0.32,40032");
    vec![
        format!("{FILE},tcp:0,4,{up},tls,client_hello,{SNI},,{ja3},{ja4},"),
        format!("{FILE},tcp:0,6,{down},tls,server_hello,,,,,{ja3s}"),
    ]
}
