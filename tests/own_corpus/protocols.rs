//! Conversations of protocols that are recognised by their first messages, built from their
//! specifications.
//!
//! Owns: their bytes, and the values that a session must show: names, choices, round trips. In: the
//! tables of the folder. Out: captures, rows. Never: code of the program under test.

use std::net::SocketAddr;

use crate::craft;
use crate::craft::Capture;
use crate::craft::Connection;
use crate::craft::MS;
use crate::craft::START;
use crate::own_corpus::Label;
use crate::own_corpus::Tables;
use crate::own_corpus::hash;
use crate::own_corpus::hello_extensions;
use crate::own_corpus::quic_initial::initial;
use crate::own_corpus::sha;

/// Round trips between sensor and client, and between sensor and server.
const NEAR: u64 = 4 * MS + 321_000;
const FAR: u64 = 36 * MS + 123_000;
/// Time that an end takes to compute, where it must.
const COMPUTING: u64 = 7 * MS;

const SNI: &str = "made.example";

/// Datagrams of a client and a server, as the sensor sees them.
struct Datagrams {
    client: SocketAddr,
    server: SocketAddr,
    now: u64,
    capture: Capture,
}

impl Datagrams {
    fn new(client: &str, server: &str) -> Datagrams {
        let (client, server) = (client.parse().unwrap(), server.parse().unwrap());
        Datagrams { client, server, now: START, capture: Capture::default() }
    }

    /// The client sends, this long after the last datagram.
    fn up(&mut self, after: u64, payload: &[u8]) -> &mut Datagrams {
        self.now += after;
        self.capture.add(self.now, craft::udp(self.client, self.server, payload));
        self
    }

    /// The server sends, this long after the last datagram.
    fn down(&mut self, after: u64, payload: &[u8]) -> &mut Datagrams {
        self.now += after;
        self.capture.add(self.now, craft::udp(self.server, self.client, payload));
        self
    }

    /// The columns `src,sport,dst,dport` of the client's datagrams, and of the server's.
    fn ends(&self) -> [String; 2] {
        let end = |end: SocketAddr| format!("{},{}", end.ip(), end.port());
        let (client, server) = (end(self.client), end(self.server));
        [format!("{client},{server}"), format!("{server},{client}")]
    }
}

/// Adds all conversations; gives rows of tls.csv.
pub fn add(tables: &mut Tables<'_>) -> Vec<String> {
    stun(tables);
    ike(tables);
    wireguard(tables);
    openvpn_stream(tables);
    rdp(tables);
    telnet(tables);
    pptp(tables);
    ldap(tables);
    kerberos(tables);
    bgp(tables);
    let rows = [openvpn(tables), dtls(tables), quic(tables)];
    rows.concat()
}

/// Both legs of an exchange over UDP.
fn legs(tables: &mut Tables<'_>, file: &str, method: &str, near: bool) {
    let micros = |ns: u64| format!("{}.{:03}", ns / 1_000, ns % 1_000);
    tables.value(file, "longhaul.exchange.method", &format!("\"{method}\""));
    tables.value(file, "longhaul.far.exchange_us", &micros(FAR));
    if near {
        tables.value(file, "longhaul.near.exchange_us", &micros(NEAR));
    }
}

fn add_udp(tables: &mut Tables<'_>, label: Label, protocol: &str, datagrams: &Datagrams) {
    tables.value(label.0, "network.protocol", &format!("\"{protocol}\""));
    tables.add(label, &datagrams.capture);
}

/// A STUN message with the transaction that all of them have here (RFC 8489 section 5).
fn stun_message(kind: u16, attributes: &[u8]) -> Vec<u8> {
    let length = (attributes.len() as u16).to_be_bytes();
    let head = [&kind.to_be_bytes()[..], &length, &[0x21, 0x12, 0xa4, 0x42]].concat();
    [&head[..], &[0x44; 12], attributes].concat()
}

fn stun(tables: &mut Tables<'_>) {
    let mut stun = Datagrams::new("10.0.0.12:40008", "198.51.100.16:3478");
    // XOR-MAPPED-ADDRESS (section 14.2): 10.0.0.12, each byte with its byte of the cookie.
    let port = (40_008_u16 ^ 0x2112).to_be_bytes();
    let address = [10 ^ 0x21, 0x12, 0xa4, 12 ^ 0x42];
    let mapped = [&[0, 0x20, 0, 8, 0, 1][..], &port, &address].concat();
    stun.up(0, &stun_message(1, &[])).down(FAR, &stun_message(0x0101, &mapped));
    let file = "stun.pcap";
    add_udp(tables, (file, "stun-webrtc", "udp stun"), "stun", &stun);
    legs(tables, file, "ping", false);
    tables.value(file, "longhaul.stun.mapped", "[\"10.0.0.12\"]");
}

/// An IKEv2 message with one payload (RFC 7296 section 3.1): a response has the responder's SPI.
fn ike_message(exchange: u8, flags: u8, id: u32, payload: u8) -> Vec<u8> {
    let is_first = exchange == 34 && flags & 0x20 == 0;
    let responder: u64 = if is_first { 0 } else { 0x1112_1314_1516_1718 };
    let mut out = 0x0102_0304_0506_0708_u64.to_be_bytes().to_vec();
    out.extend(responder.to_be_bytes());
    out.extend([payload, 0x20, exchange, flags]);
    out.extend(id.to_be_bytes());
    // Header of the payload: no other follows; its length.
    let body = [&[0, 0, 0, 44][..], &[0x5a; 40]].concat();
    out.extend((28 + body.len() as u32).to_be_bytes());
    out.extend(body);
    out
}

fn ike(tables: &mut Tables<'_>) {
    const INIT: u8 = 34;
    const AUTH: u8 = 35;
    const INFORMATIONAL: u8 = 37;
    const FROM_INITIATOR: u8 = 0x08;
    const RESPONSE: u8 = 0x20;
    const SECURITY_ASSOCIATION: u8 = 33;
    const ENCRYPTED: u8 = 46;
    let mut ike = Datagrams::new("10.0.0.20:500", "198.51.100.20:500");
    ike.up(0, &ike_message(INIT, FROM_INITIATOR, 0, SECURITY_ASSOCIATION));
    ike.down(FAR, &ike_message(INIT, RESPONSE, 0, SECURITY_ASSOCIATION));
    ike.up(NEAR + COMPUTING, &ike_message(AUTH, FROM_INITIATOR, 1, ENCRYPTED));
    ike.down(FAR + COMPUTING, &ike_message(AUTH, RESPONSE, 1, ENCRYPTED));
    // The responder's own request, which the initiator answers at once.
    ike.down(900 * MS, &ike_message(INFORMATIONAL, 0, 0, ENCRYPTED));
    ike.up(NEAR, &ike_message(INFORMATIONAL, FROM_INITIATOR | RESPONSE, 0, ENCRYPTED));
    let file = "ike.pcap";
    add_udp(tables, (file, "vpn-ipsec", "udp isakmp"), "ike", &ike);
    legs(tables, file, "ike", true);
}

/// A WireGuard message (whitepaper, section 5.4): type, words in little-endian, noise up to `size`.
fn wireguard_message(kind: u8, words: &[u32], size: usize) -> Vec<u8> {
    let mut out = vec![kind, 0, 0, 0];
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    out.resize(size, 0x7e);
    out
}

fn wireguard(tables: &mut Tables<'_>) {
    const INITIATION: u8 = 1;
    const RESPONSE: u8 = 2;
    const TRANSPORT: u8 = 4;
    let (initiator, responder) = (0xaabb_0001, 0xccdd_0002);
    let mut wireguard = Datagrams::new("10.0.0.21:40021", "198.51.100.21:51820");
    wireguard.up(0, &wireguard_message(INITIATION, &[initiator], 148));
    wireguard.down(FAR, &wireguard_message(RESPONSE, &[responder, initiator], 92));
    // An empty message confirms the keys at once: index, counter of 64 bits, tag.
    wireguard.up(NEAR, &wireguard_message(TRANSPORT, &[responder, 0, 0], 32));
    wireguard.down(FAR, &wireguard_message(TRANSPORT, &[initiator, 0, 0], 112));
    let file = "wireguard.pcap";
    add_udp(tables, (file, "vpn-wireguard", "udp wg"), "wireguard", &wireguard);
    legs(tables, file, "wireguard", true);
}

const OPENVPN_CLIENT: u64 = 0x1111_2222_3333_4444;
const OPENVPN_SERVER: u64 = 0x5555_6666_7777_8888;

/// An OpenVPN control packet without tls-auth ("OpenVPN Wire Protocol" draft, section 3).
fn openvpn_packet(opcode: u8, acks: &[u32], id: Option<u32>, tls: &[u8]) -> Vec<u8> {
    const RESET_SERVER: u8 = 8;
    let ends = (OPENVPN_CLIENT, OPENVPN_SERVER);
    let (own, remote) = if opcode == RESET_SERVER { (ends.1, ends.0) } else { ends };
    let mut out = vec![opcode << 3];
    out.extend(own.to_be_bytes());
    out.push(acks.len() as u8);
    out.extend(acks.iter().flat_map(|ack| ack.to_be_bytes()));
    if !acks.is_empty() {
        out.extend(remote.to_be_bytes());
    }
    out.extend(id.iter().flat_map(|id| id.to_be_bytes()));
    out.extend(tls);
    out
}

/// Resets of both sides, an acknowledgement, the client's first TLS message.
fn openvpn_handshake() -> [Vec<u8>; 4] {
    [
        openvpn_packet(7, &[], Some(0), &[]),
        openvpn_packet(8, &[0], Some(0), &[]),
        openvpn_packet(5, &[0], None, &[]),
        openvpn_packet(4, &[], Some(1), &craft::client_hello(SNI)),
    ]
}

/// JA3 and JA4 of [`craft::client_hello`]: version 0x0303, cipher 0x1301, extensions server_name
/// and supported_versions (1.3 alone); JA4 leaves the former out of its hash.
fn hello_hashes(carrier: char) -> (String, String) {
    let ja4 = format!("{carrier}13d010200_{}_{}", sha("1301"), sha("002b"));
    (hash("771,4865,0-43,,"), ja4)
}

fn openvpn(tables: &mut Tables<'_>) -> Vec<String> {
    let mut openvpn = Datagrams::new("10.0.0.22:40022", "198.51.100.22:1194");
    let [reset, answer, ack, control] = openvpn_handshake();
    openvpn.up(0, &reset).down(FAR, &answer).up(NEAR, &ack).up(COMPUTING, &control);
    let file = "openvpn.pcap";
    add_udp(tables, (file, "vpn-openvpn", "udp openvpn"), "openvpn", &openvpn);
    legs(tables, file, "openvpn", true);
    let [up, _] = openvpn.ends();
    let (ja3, ja4) = hello_hashes('t');
    vec![format!("{file},udp:0,4,{up},openvpn,client_hello,{SNI},,{ja3},{ja4},")]
}

fn openvpn_stream(tables: &mut Tables<'_>) {
    let mut openvpn = Connection::new("10.0.0.23:40023", "198.51.100.23:443");
    let framed = openvpn_handshake().map(|p| [&(p.len() as u16).to_be_bytes(), &p[..]].concat());
    let [reset, answer, ack, control] = framed;
    openvpn.open().ask(&reset).answer(&answer).ask(&[ack, control].concat());
    let file = "openvpn-tcp.pcap";
    tables.add_tcp((file, "vpn-openvpn", "tcp openvpn"), &mut openvpn);
    tables.value(file, "tls.client.server_name", &format!("\"{SNI}\""));
}

/// A DTLS record with one whole handshake message (RFC 6347 sections 4.1 and 4.2.2).
fn dtls_message(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    let mut message = vec![kind];
    message.extend(&length[1..]);
    message.extend([0, sequence, 0, 0, 0]);
    message.extend(&length[1..]);
    message.extend(body);
    dtls_record(22, sequence, &message)
}

fn dtls_record(kind: u8, sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, sequence];
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend(payload);
    out
}

/// Cipher 0xc02b; extensions server_name and supported_groups (x25519 alone).
fn dtls_hello(cookie: &[u8]) -> Vec<u8> {
    let extensions = hello_extensions(SNI);
    let mut body = vec![0xfe, 0xfd];
    body.extend([0x33; 32]);
    body.push(0);
    body.push(cookie.len() as u8);
    body.extend(cookie);
    body.extend([0, 2, 0xc0, 0x2b, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    body
}

fn dtls(tables: &mut Tables<'_>) -> Vec<String> {
    const CHANGE_CIPHER_SPEC: u8 = 20;
    let cookie = [0x6b; 20];
    let verify = [&[0xfe, 0xfd, cookie.len() as u8][..], &cookie].concat();
    let server_hello = [&[0xfe, 0xfd][..], &[0x44; 32], &[0, 0xc0, 0x2b, 0]].concat();
    let mut dtls = Datagrams::new("10.0.0.24:40024", "198.51.100.24:4433");
    dtls.up(0, &dtls_message(1, 0, &dtls_hello(&[])));
    dtls.down(FAR, &dtls_message(3, 0, &verify));
    dtls.up(NEAR, &dtls_message(1, 1, &dtls_hello(&cookie)));
    let done = dtls_message(14, 2, &[]);
    dtls.down(FAR + COMPUTING, &[dtls_message(2, 1, &server_hello), done].concat());
    let change = dtls_record(CHANGE_CIPHER_SPEC, 3, &[1]);
    dtls.up(NEAR + COMPUTING, &[dtls_message(16, 2, &[0x55; 33]), change].concat());
    let file = "dtls.pcap";
    add_udp(tables, (file, "dtls", "udp dtls"), "dtls", &dtls);
    legs(tables, file, "dtls", true);
    let [up, down] = dtls.ends();
    // 0xfefd is 65277 and 0xc02b 49195; JA4 writes DTLS 1.2 as d2.
    let ja3 = hash("65277,49195,0-10,29,");
    let ja4 = format!("dd2d010200_{}_{}", sha("c02b"), sha("000a"));
    let ja3s = hash("65277,49195,");
    vec![
        format!("{file},udp:0,1,{up},dtls,client_hello,{SNI},,{ja3},{ja4},"),
        format!("{file},udp:0,4,{down},dtls,server_hello,,,,,{ja3s}"),
    ]
}

/// A handshake message without its TLS record, in a CRYPTO frame at offset 0 (RFC 9000 section
/// 19.6); PADDING up to `size`.
fn crypto_frame(record: &[u8], size: usize) -> Vec<u8> {
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    let message = &record[5..5 + length];
    let mut out = vec![6, 0];
    out.extend((0x4000 | length as u16).to_be_bytes());
    out.extend(message);
    out.resize(size.max(out.len()), 0);
    out
}

/// A Handshake packet (section 17.2.4); its protection is noise here.
fn quic_handshake(ids: (&[u8], &[u8]), body: u16) -> Vec<u8> {
    let mut out = vec![0xe3, 0, 0, 0, 1];
    for id in [ids.0, ids.1] {
        out.push(id.len() as u8);
        out.extend(id);
    }
    out.extend((0x4000 | body).to_be_bytes());
    out.extend(vec![0x9d; usize::from(body)]);
    out
}

fn quic(tables: &mut Tables<'_>) -> Vec<String> {
    let (original, client, server) = ([0xa0; 8], [0xb1; 8], [0xc2; 8]);
    let (to_client, to_server) = ((&client[..], &server[..]), (&server[..], &client[..]));
    let mut quic = Datagrams::new("10.0.0.25:40025", "198.51.100.25:443");
    let hello = crypto_frame(&craft::client_hello(SNI), 1_162);
    quic.up(0, &initial("client", &original, (&original, &client), &hello));
    let answer = crypto_frame(&craft::server_hello(), 0);
    let mut flight = initial("server", &original, to_client, &answer);
    flight.extend(quic_handshake(to_client, 900));
    quic.down(FAR, &flight);
    // An acknowledgement, which needs no computing; then the client's Finished.
    quic.up(NEAR, &quic_handshake(to_server, 30));
    quic.up(COMPUTING, &quic_handshake(to_server, 80));
    let file = "quic.pcap";
    add_udp(tables, (file, "quic", "udp quic"), "quic", &quic);
    legs(tables, file, "quic", true);
    let [up, down] = quic.ends();
    let ((ja3, ja4), ja3s) = (hello_hashes('q'), hash("771,4865,43"));
    vec![
        format!("{file},udp:0,1,{up},quic,client_hello,{SNI},,{ja3},{ja4},"),
        format!("{file},udp:0,2,{down},quic,server_hello,,,,,{ja3s}"),
    ]
}

/// A TPKT with an X.224 connection request or confirm (RFC 1006 section 6).
fn x224(code: u8, variable: &[u8]) -> Vec<u8> {
    let indicated = 6 + variable.len() as u8;
    [&[3, 0, 0, indicated + 5, indicated, code, 0, 0, 0, 0, 0][..], variable].concat()
}

fn rdp(tables: &mut Tables<'_>) {
    let mut rdp = Connection::new("10.0.0.26:40026", "198.51.100.26:3389");
    // MS-RDPBCGR sections 2.2.1.1 and 2.2.1.2: TLS and CredSSP offered, CredSSP chosen.
    rdp.open().ask(&x224(0xe0, b"Cookie: mstshash=clerk\r\n\x01\0\x08\0\x03\0\0\0"));
    rdp.answer(&x224(0xd0, &[2, 0x1f, 8, 0, 2, 0, 0, 0]));
    let file = "rdp.pcap";
    tables.add_tcp((file, "rdp", "tcp rdp"), &mut rdp);
    tables.value(file, "longhaul.rdp.cookie", "\"clerk\"");
    tables.value(file, "longhaul.rdp.requested", "[\"tls\",\"credssp\"]");
    tables.value(file, "longhaul.rdp.security", "\"credssp\"");
}

fn telnet(tables: &mut Tables<'_>) {
    let mut telnet = Connection::new("10.0.0.27:40027", "198.51.100.27:23");
    // RFC 854 and 1091: IAC DO TERMINAL-TYPE, IAC DO TERMINAL-SPEED; WILL, WONT.
    telnet.open().answer(&[0xff, 0xfd, 24, 0xff, 0xfd, 32]);
    telnet.ask(&[0xff, 0xfb, 24, 0xff, 0xfc, 32]).answer(b"\r\nlogin: ");
    tables.add_tcp(("telnet.pcap", "telnet", "tcp telnet"), &mut telnet);
    tables.value("telnet.pcap", "network.protocol", "\"telnet\"");
}

fn pptp(tables: &mut Tables<'_>) {
    // Start-Control-Connection-Request and -Reply (RFC 2637 sections 2.1 and 2.2).
    let control = |kind: u8| {
        let head = [0, 156, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, kind, 0, 0, 1, 0];
        [&head[..], &[0; 142]].concat()
    };
    let mut pptp = Connection::new("10.0.0.28:40028", "198.51.100.28:1723");
    pptp.open().ask(&control(1)).answer(&control(2));
    tables.add_tcp(("pptp.pcap", "vpn-pptp", "tcp pptp"), &mut pptp);
    tables.value("pptp.pcap", "network.protocol", "\"pptp\"");
}

/// An element of DER with less than 128 bytes of contents (X.690 section 8.1).
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    assert!(contents.len() < 128);
    [&[tag, contents.len() as u8][..], &contents].concat()
}

fn ldap(tables: &mut Tables<'_>) {
    // BindRequest with a simple password, BindResponse (RFC 4511 sections 4.2 and 4.2.2).
    let (id, name) = (der(2, &[&[1]]), der(4, &[b"cn=clerk,dc=made"]));
    let bind = der(0x60, &[&der(2, &[&[3]]), &name, &der(0x80, &[b"secret"])]);
    let success = der(0x61, &[&der(10, &[&[0]]), &der(4, &[]), &der(4, &[])]);
    let mut ldap = Connection::new("10.0.0.29:40029", "198.51.100.29:389");
    ldap.open().ask(&der(0x30, &[&id, &bind])).answer(&der(0x30, &[&id, &success]));
    let file = "ldap.pcap";
    tables.add_tcp((file, "ldap", "tcp ldap"), &mut ldap);
    tables.value(file, "network.protocol", "\"ldap\"");
    tables.value(file, "longhaul.ldap.bind", "\"cn=clerk,dc=made\"");
}

fn kerberos(tables: &mut Tables<'_>) {
    let number = |tag: u8, value: u8| der(tag, &[&der(2, &[&[value]])]);
    let text = |tag: u8, value: &[u8]| der(tag, &[&der(0x1b, &[value])]);
    let name = |tag: u8, kind: u8, part: &[u8]| {
        let parts = der(0xa1, &[&der(0x30, &[&der(0x1b, &[part])])]);
        der(tag, &[&der(0x30, &[&number(0xa0, kind), &parts])])
    };
    // AS-REQ and KRB-ERROR 25, pre-authentication required (RFC 4120 sections 5.4.1 and 5.9.1),
    // each behind its length (section 7.2.2).
    let options = der(0xa0, &[&der(3, &[&[0, 0x40, 0, 0, 0]])]);
    let body = [&options, &name(0xa1, 1, b"clerk"), &text(0xa2, b"MADE")];
    let body = der(0xa4, &[&der(0x30, &body.map(Vec::as_slice))]);
    let request = der(0x6a, &[&der(0x30, &[&number(0xa1, 5), &number(0xa2, 10), &body])]);
    let error = [&number(0xa0, 5), &number(0xa1, 30), &number(0xa6, 25), &text(0xa9, b"MADE")];
    let error = der(0x7e, &[&der(0x30, &error.map(Vec::as_slice))]);
    let framed = |message: &[u8]| [&(message.len() as u32).to_be_bytes(), message].concat();
    let mut kerberos = Connection::new("10.0.0.30:40030", "10.0.1.30:88");
    kerberos.open().ask(&framed(&request)).answer(&framed(&error));
    tables.add_tcp(("kerberos.pcap", "kerberos", "tcp kerberos"), &mut kerberos);
    tables.value("kerberos.pcap", "network.protocol", "\"kerberos\"");
}

fn bgp(tables: &mut Tables<'_>) {
    // OPEN and KEEPALIVE (RFC 4271 sections 4.2 and 4.4): marker, length, type.
    let open = |last: u8| {
        let body = [4, 0xfd, 0xe8, 0, 180, 192, 0, 2, last, 0];
        [&[0xff; 16][..], &[0, 29, 1], &body].concat()
    };
    let keepalive = [&[0xff; 16][..], &[0, 19, 4]].concat();
    let mut bgp = Connection::new("10.0.0.31:40031", "198.51.100.31:179");
    bgp.open().ask(&open(1)).answer(&[open(2), keepalive.clone()].concat()).ask(&keepalive);
    tables.add_tcp(("bgp.pcap", "bgp", "tcp bgp"), &mut bgp);
    tables.value("bgp.pcap", "network.protocol", "\"bgp\"");
}
