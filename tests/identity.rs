//! Who held an address, and the name it was looked up by: from packets made here.
//!
//! Owns: the frames. In: nothing. Out: pass or fail. Never: reads a recorded capture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

const SERVER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const ANN: [u8; 6] = [0x48, 0xda, 0x35, 0x60, 0, 1];
const BOB: [u8; 6] = [0x48, 0xda, 0x35, 0x60, 0, 2];
const EVERYBODY: [u8; 6] = [0xff; 6];

/// A capture being built.
#[derive(Default)]
struct Wire {
    frames: Vec<(u64, Vec<u8>)>,
}

/// One end: MAC, address, port.
type End = ([u8; 6], [u8; 4], u16);

impl Wire {
    fn ip(&mut self, at: u64, (from, to): (End, End), protocol: u8, rest: &[u8]) {
        let mut frame = [&to.0[..], &from.0, &[8, 0, 0x45, 0]].concat();
        frame.extend((20 + rest.len() as u16).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
        frame.extend([from.1, to.1].concat());
        frame.extend(rest);
        self.frames.push((at, frame));
    }

    fn udp(&mut self, at: u64, ends: (End, End), payload: &[u8]) {
        let mut rest = [ends.0.2.to_be_bytes(), ends.1.2.to_be_bytes()].concat();
        rest.extend((8 + payload.len() as u16).to_be_bytes());
        rest.extend([0, 0]);
        rest.extend(payload);
        self.ip(at, ends, 17, &rest);
    }

    fn tcp(&mut self, at: u64, ends: (End, End), payload: &[u8]) {
        let mut rest = [ends.0.2.to_be_bytes(), ends.1.2.to_be_bytes()].concat();
        rest.extend([[0, 0, 1, 0], [0, 0, 1, 0], [0x50, 0x18, 1, 0], [0; 4]].concat());
        rest.extend(payload);
        self.ip(at, ends, 6, &rest);
    }

    /// A UDP session of an address with an outside server: a question and an answer.
    fn session(&mut self, at: u64, from: End, server: [u8; 4]) {
        let to = (SERVER, server, 9999);
        self.udp(at, (from, to), b"question");
        self.udp(at, (to, from), b"answer");
    }

    fn pcap(&self) -> Vec<u8> {
        let mut out = vec![0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        out.extend([0, 0, 4, 0, 1, 0, 0, 0]);
        for (at, bytes) in &self.frames {
            let seconds = 1_700_000_000 + *at as u32;
            for word in [seconds, 0, bytes.len() as u32, bytes.len() as u32] {
                out.extend(word.to_le_bytes());
            }
            out.extend(bytes);
        }
        out
    }
}

/// An EAPOL frame with an EAP packet (RFC 3748 section 4): code, type, identity.
fn eapol(wire: &mut Wire, at: u64, (from, to): ([u8; 6], [u8; 6]), code: u8, identity: &str) {
    let body = if identity.is_empty() { vec![] } else { [&[1], identity.as_bytes()].concat() };
    let length = (4 + body.len() as u16).to_be_bytes();
    let eap = [&[code, 9], &length[..], &body].concat();
    let mut frame = [&to[..], &from, &[0x88, 0x8e, 2, 0], &length, &eap].concat();
    frame.resize(60, 0);
    wire.frames.push((at, frame));
}

/// An ARP request (RFC 826): the frame's source, the sender it gives, both its addresses.
fn arp(wire: &mut Wire, at: u64, from: [u8; 6], (sender, address): ([u8; 6], [u8; 4])) {
    let head = [0, 1, 8, 0, 6, 4, 0, 1];
    let body = [&head[..], &sender, &address, &[0; 6], &[10, 0, 0, 99]].concat();
    let mut frame = [&EVERYBODY[..], &from, &[8, 6], &body].concat();
    frame.resize(60, 0);
    wire.frames.push((at, frame));
}

/// A DHCP message (RFC 2131 section 2): op, type, the client's MAC, the address it gets.
fn dhcp(op: u8, kind: u8, mac: [u8; 6], yours: [u8; 4], options: &[u8]) -> Vec<u8> {
    let mut out = vec![op, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0];
    out.extend([&yours[..], &[0; 8], &mac, &[0; 10 + 64 + 128], &[99, 130, 83, 99]].concat());
    out.extend([&[53, 1, kind], options, &[255]].concat());
    out
}

fn host_name(name: &str) -> Vec<u8> {
    [&[12, name.len() as u8], name.as_bytes()].concat()
}

fn lease(seconds: u32) -> Vec<u8> {
    [&[51, 4], &seconds.to_be_bytes()[..]].concat()
}

/// A client requests an address with its name, and gets one.
fn leased(wire: &mut Wire, at: u64, (mac, name): ([u8; 6], &str), address: [u8; 4], seconds: u32) {
    let (client, server) = ((mac, [0; 4], 68), (SERVER, [10, 0, 0, 1], 67));
    let asks = dhcp(1, 3, mac, [0; 4], &host_name(name));
    wire.udp(at, (client, (EVERYBODY, [255; 4], 67)), &asks);
    let gives = dhcp(2, 5, mac, address, &lease(seconds));
    wire.udp(at, (server, (mac, address, 68)), &gives);
}

fn labels(name: &str) -> Vec<u8> {
    let mut out: Vec<u8> = name
        .split('.')
        .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat())
        .collect();
    out.push(0);
    out
}

/// An answer with one address (RFC 1035 section 4), with its question or, as in mDNS, without.
fn answer(name: &str, address: [u8; 4], asked: bool) -> Vec<u8> {
    let mut out = vec![0, 1, 0x84, 0, 0, u8::from(asked), 0, 1, 0, 0, 0, 0];
    if asked {
        out.extend([&labels(name)[..], &[0, 1, 0, 1]].concat());
    }
    out.extend([&labels(name)[..], &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4], &address].concat());
    out
}

/// A host asks a resolver for an address, and gets one.
fn looked_up(wire: &mut Wire, at: u64, client: [u8; 4], name: &str, address: [u8; 4]) {
    let (host, resolver) = ((ANN, client, 5000), (SERVER, [10, 0, 0, 53], 53));
    wire.udp(at, (host, resolver), &question(name));
    wire.udp(at, (resolver, host), &answer(name, address, true));
}

/// The question for one address.
fn question(name: &str) -> Vec<u8> {
    let head = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&head[..], &labels(name), &[0, 1, 0, 1]].concat()
}

/// RADIUS attributes (RFC 2865 section 5) in an accounting request.
fn accounting(status: u32, user: &str, framed: [u8; 4], from: &str) -> Vec<u8> {
    let attribute = |kind: u8, value: &[u8]| [&[kind, value.len() as u8 + 2], value].concat();
    let attributes = [
        attribute(40, &status.to_be_bytes()),
        attribute(1, user.as_bytes()),
        attribute(8, &framed),
        attribute(31, from.as_bytes()),
    ]
    .concat();
    let length = (20 + attributes.len() as u16).to_be_bytes();
    [&[4, 1], &length[..], &[0; 16], &attributes].concat()
}

fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    assert!(contents.len() < 128);
    [&[tag, contents.len() as u8], contents].concat()
}

/// AS-REQ with a client name (RFC 4120 section 5.4.1).
fn as_request(user: &str) -> Vec<u8> {
    let name = |text: &str| {
        let string = der(0x30, &der(0x1b, text.as_bytes()));
        der(0x30, &[der(0xa0, &der(2, &[1])), der(0xa1, &string)].concat())
    };
    let body = [
        der(0xa0, &der(3, &[0, 0, 0, 0, 0])),
        der(0xa1, &name(user)),
        der(0xa2, &der(0x1b, b"CORP")),
        der(0xa5, &der(0x18, b"20370913024805Z")),
        der(0xa7, &der(2, &[7])),
        der(0xa8, &der(0x30, &der(2, &[18]))),
    ]
    .concat();
    let request =
        [der(0xa1, &der(2, &[5])), der(0xa2, &der(2, &[10])), der(0xa4, &der(0x30, &body))]
            .concat();
    der(0x6a, &der(0x30, &request))
}

/// NTLM authentication in an SMB 2 session setup, and the server's answer.
fn setup(user: &str) -> Vec<u8> {
    let text: Vec<u8> = user.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let field = |at: usize, len: usize| {
        let len = (len as u16).to_le_bytes();
        [&len[..], &len, &(at as u32).to_le_bytes()].concat()
    };
    let mut ntlm = b"NTLMSSP\0\x03\0\0\0".to_vec();
    for part in [field(64, 0), field(64, 0), field(64, 0), field(64, text.len())] {
        ntlm.extend(part);
    }
    ntlm.extend([field(64 + text.len(), 0), field(64 + text.len(), 0)].concat());
    ntlm.extend(1u32.to_le_bytes());
    assert!(ntlm.len() <= 64);
    ntlm.resize(64, 0);
    ntlm.extend(text);
    smb(0, &ntlm)
}

fn smb(status: u32, rest: &[u8]) -> Vec<u8> {
    let mut head = b"\xfeSMB\x40\0\0\0".to_vec();
    head.extend(status.to_le_bytes());
    head.extend([1, 0]);
    head.resize(64, 0);
    let length = (head.len() + rest.len()) as u32;
    [&length.to_be_bytes()[..], &head, rest].concat()
}

fn folder(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("identity").join(name);
    drop(std::fs::remove_dir_all(&dir));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Sessions of a capture, equal at every number of workers.
fn read(name: &str, wire: &Wire, subjects: &str) -> Vec<Value> {
    let dir = folder(name);
    let (capture, people) = (dir.join("c.pcap"), dir.join("people.csv"));
    std::fs::write(&capture, wire.pcap()).unwrap();
    std::fs::write(&people, format!("match,id,name\n{subjects}")).unwrap();
    let outputs: Vec<Vec<u8>> =
        ["1", "2", "8"].iter().map(|workers| sessions(&capture, &people, &[], workers)).collect();
    assert!(outputs.iter().all(|output| *output == outputs[0]), "workers differ");
    lines(&outputs[0])
}

fn lines(output: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(output).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn sessions(capture: &Path, people: &Path, more: &[&str], workers: &str) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["read", "--quiet", "--workers", workers, "--sessions", "-", "--subjects"])
        .args([people, capture])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The session of a source port.
fn of(sessions: &[Value], port: u16) -> &Value {
    let mut fits = sessions.iter().filter(|s| s["source"]["port"] == port);
    let one = fits.next().unwrap_or_else(|| panic!("no session of port {port}"));
    assert!(fits.next().is_none(), "port {port} twice");
    one
}

#[test]
fn an_address_that_changes_hands_never_mixes_two_devices() {
    let mut wire = Wire::default();
    let address = [10, 0, 0, 50];
    let far = [198, 51, 100, 7];
    wire.session(0, (ANN, address, 41_000), far);
    leased(&mut wire, 10, (ANN, "ANN-PC.corp.example"), address, 3_600);
    wire.session(20, (ANN, address, 41_001), far);
    leased(&mut wire, 2_000, (BOB, "bob-laptop"), address, 600);
    wire.session(2_010, (BOB, address, 41_002), far);
    // Nobody outside can assign our addresses.
    let outsider = ((SERVER, [203, 0, 113, 5], 67), (ANN, address, 68));
    wire.udp(2_020, outsider, &dhcp(2, 5, ANN, address, &lease(3_600)));
    wire.session(2_030, (BOB, address, 41_004), far);
    // The lease expired and was not renewed.
    wire.session(2_700, (BOB, address, 41_003), far);
    let subjects = "48:da:35:60:00:01,e-1,Ann\n10.0.0.0/24,office,Office\n";
    let sessions = read("hands", &wire, subjects);
    assert!(of(&sessions, 41_000)["longhaul"]["device"].is_null(), "before anybody was known");
    let ann = &of(&sessions, 41_001)["longhaul"];
    assert_eq!(ann["device"]["name"], "ann-pc");
    assert_eq!(ann["device"]["mac"], "48-DA-35-60-00-01");
    assert_eq!(ann["device"]["known_by"], serde_json::json!(["dhcp"]));
    assert_eq!((&ann["subject"]["id"], &ann["subject"]["name"]), (&"e-1".into(), &"Ann".into()));
    let bob = &of(&sessions, 41_002)["longhaul"];
    assert_eq!(bob["device"]["name"], "bob-laptop");
    assert_eq!(bob["subject"]["id"], "office", "no line of his own: the network's");
    assert_eq!(of(&sessions, 41_004)["longhaul"]["device"]["name"], "bob-laptop");
    assert!(of(&sessions, 41_003)["longhaul"]["device"].is_null());
}

#[test]
fn hardware_addresses_of_others_in_arp_probes_are_the_devices() {
    let mut wire = Wire::default();
    let (far, router) = ([198, 51, 100, 7], [2, 0, 0, 0, 0, 9]);
    for n in 0..4 {
        arp(&mut wire, 1, ANN, ([2, 2, 2, 2, 2, n], [0; 4]));
        arp(&mut wire, 1, BOB, (BOB, [0; 4]));
        arp(&mut wire, 1, router, ([2, 2, 2, 2, 2, n % 3], [0; 4]));
    }
    // A device says that it uses an address, a router that it uses its own.
    arp(&mut wire, 2, ANN, (ANN, [10, 0, 0, 50]));
    arp(&mut wire, 2, router, (router, [10, 0, 0, 1]));
    wire.session(3, (ANN, [10, 0, 0, 50], 41_000), far);
    wire.session(3, (BOB, [10, 0, 0, 51], 41_001), far);
    wire.session(3, (router, [10, 0, 7, 7], 41_002), far);
    leased(&mut wire, 10, (ANN, "ann"), [10, 0, 0, 60], 3_600);
    wire.session(20, (router, [10, 0, 0, 60], 41_003), far);
    let sessions = read("arp", &wire, "");
    let senders = |port| of(&sessions, port)["longhaul"]["device"]["arp_senders"].as_u64();
    assert_eq!(senders(41_000), Some(4));
    assert_eq!(senders(41_001), None, "probes for itself");
    assert_eq!(senders(41_002), None, "behind the router that sent them");
    assert_eq!(senders(41_003), Some(4), "by its lease, whatever router is between");
}

#[test]
fn a_released_address_has_no_holder() {
    let mut wire = Wire::default();
    let address = [10, 0, 0, 51];
    leased(&mut wire, 10, (ANN, "ann"), address, 3_600);
    let mut release = dhcp(1, 7, ANN, [0; 4], &[]);
    release[12..16].copy_from_slice(&address);
    let mut forged = dhcp(1, 7, BOB, [0; 4], &[]);
    forged[12..16].copy_from_slice(&address);
    wire.udp(50, ((ANN, address, 68), (SERVER, [10, 0, 0, 1], 67)), &forged);
    wire.session(60, (BOB, address, 41_001), [198, 51, 100, 7]);
    wire.udp(100, ((ANN, address, 68), (SERVER, [10, 0, 0, 1], 67)), &release);
    wire.session(200, (BOB, address, 41_000), [198, 51, 100, 7]);
    wire.session(210, (ANN, address, 41_002), [198, 51, 100, 7]);
    let sessions = read("released", &wire, "");
    let device = |port: u16| &of(&sessions, port)["longhaul"]["device"]["name"];
    assert_eq!(device(41_001), "ann", "another device cannot release it");
    assert_eq!(device(41_002), "ann", "it goes on with it");
    assert!(of(&sessions, 41_000)["longhaul"]["device"].is_null());
}

#[test]
fn names_come_from_answered_questions_and_uncertain_ones_are_left_out() {
    let mut wire = Wire::default();
    let (ann, bob, eve) = ([10, 0, 0, 60], [10, 0, 0, 61], [10, 0, 0, 62]);
    let shared = [198, 51, 100, 20];
    looked_up(&mut wire, 1, ann, "relay-1A.net.AnyDesk.com", shared);
    wire.session(2, (EVERYBODY, eve, 41_000), shared);
    looked_up(&mut wire, 3, bob, "www.example.com", shared);
    wire.session(4, (ANN, ann, 41_001), shared);
    wire.session(4, (BOB, bob, 41_002), shared);
    wire.session(4, (EVERYBODY, eve, 41_003), shared);
    wire.session(30_000, (ANN, ann, 41_004), shared);
    let sessions = read("names", &wire, "");
    let name = |port| &of(&sessions, port)["destination"]["domain"];
    assert!(name(41_000).is_null(), "what another host was told says nothing of this one");
    assert_eq!(name(41_001), "relay-1a.net.anydesk.com");
    assert_eq!(name(41_002), "www.example.com");
    assert!(name(41_003).is_null(), "it asked for none");
    assert!(name(41_004).is_null(), "too long ago");
}

#[test]
fn a_host_names_itself_and_nobody_else() {
    let mut wire = Wire::default();
    let (own, other) = ([10, 0, 0, 70], [10, 0, 0, 71]);
    let group = ([1, 0, 0x5e, 0, 0, 0xfb], [224, 0, 0, 251], 5353);
    wire.session(1, (ANN, own, 41_000), [198, 51, 100, 7]);
    wire.udp(2, ((ANN, own, 5353), group), &answer("Anns-Mac.local", own, false));
    wire.udp(2, ((ANN, own, 5353), group), &answer("victim.local", other, false));
    wire.session(3, (ANN, own, 41_000), [198, 51, 100, 7]);
    wire.session(3, (BOB, other, 41_001), [198, 51, 100, 7]);
    let sessions = read("mdns", &wire, "");
    let device = |port| &of(&sessions, port)["longhaul"]["device"];
    assert_eq!(device(41_000)["name"], "anns-mac", "it was under way when the name was heard");
    assert_eq!(device(41_000)["mac"], "48-DA-35-60-00-01");
    assert!(device(41_001).is_null());
}

#[test]
fn remote_people_are_known_by_the_access_server_unless_they_share_a_home() {
    let mut wire = Wire::default();
    let radius = ((SERVER, [10, 0, 0, 2], 40_000), (SERVER, [10, 0, 0, 3], 1813));
    let gateway = [192, 168, 7, 7];
    let (home, farm) = ([203, 0, 113, 9], [203, 0, 113, 66]);
    let report = |wire: &mut Wire, at, body: &[u8]| {
        wire.udp(at, radius, body);
        wire.udp(at, (radius.1, radius.0), &[&[5, 1, 0, 20][..], &[0; 16]].concat());
    };
    // Nobody confirms this one.
    wire.udp(0, radius, &accounting(1, "eve", [10, 9, 0, 9], "203.0.113.99"));
    wire.session(0, (SERVER, [10, 9, 0, 9], 41_009), [198, 51, 100, 7]);
    report(&mut wire, 1, &accounting(1, "CORP\\jane", [10, 9, 0, 1], "203.0.113.9"));
    wire.session(2, (SERVER, home, 41_000), gateway);
    wire.session(2, (SERVER, [10, 9, 0, 1], 41_001), [198, 51, 100, 7]);
    report(&mut wire, 3, &accounting(1, "joe", [10, 9, 0, 2], "203.0.113.66"));
    report(&mut wire, 4, &accounting(1, "jim", [10, 9, 0, 3], "203.0.113.66"));
    wire.session(5, (SERVER, farm, 41_002), gateway);
    report(&mut wire, 6, &accounting(2, "CORP\\jane", [10, 9, 0, 1], "203.0.113.9"));
    wire.session(7, (SERVER, home, 41_003), gateway);
    let sessions = read("radius", &wire, "user:jane,e-1,Jane\nuser:joe,e-2,Joe\n");
    let about = |port| &of(&sessions, port)["longhaul"];
    for port in [41_000, 41_001] {
        assert_eq!(about(port)["subject"]["id"], "e-1", "{port}");
        assert_eq!(about(port)["device"]["user"], "CORP\\jane", "{port}");
    }
    assert!(about(41_002)["device"]["user"].is_null(), "two people live there");
    assert_eq!(about(41_002)["subject"]["id"], Ipv4Addr::from(farm).to_string());
    assert!(about(41_003)["device"].is_null(), "she has gone");
    assert!(about(41_009)["device"].is_null(), "no accounting server agreed");
}

#[test]
fn a_log_in_counts_when_the_server_agrees() {
    let mut wire = Wire::default();
    let server = (SERVER, [10, 0, 0, 88], 88);
    let (ann, bob) = ([10, 0, 0, 80], [10, 0, 0, 81]);
    let far = [198, 51, 100, 7];
    wire.udp(1, ((ANN, ann, 3000), server), &as_request("ann"));
    wire.udp(1, (server, (ANN, ann, 3000)), &[0x6b, 0x82, 1, 0, 0x30]);
    wire.udp(1, ((BOB, bob, 3001), server), &as_request("administrator"));
    wire.udp(1, (server, (BOB, bob, 3001)), &[0x7e, 0x30, 0x30]);
    wire.session(2, (ANN, ann, 41_000), far);
    wire.session(2, (BOB, bob, 41_001), far);
    let files = (SERVER, [10, 0, 0, 44], 445);
    wire.tcp(3, ((BOB, bob, 3002), files), &setup("bob"));
    wire.tcp(3, (files, (BOB, bob, 3002)), &smb(0xc000_006d, &[]));
    wire.session(4, (BOB, bob, 41_002), far);
    wire.tcp(5, ((BOB, bob, 3003), files), &setup("bob"));
    wire.tcp(5, (files, (BOB, bob, 3003)), &smb(0, &[]));
    wire.session(6, (BOB, bob, 41_003), far);
    wire.udp(7, ((ANN, ann, 3004), server), &as_request("ANN-PC$"));
    wire.udp(7, (server, (ANN, ann, 3004)), &[0x6b, 0x82, 1, 0, 0x30]);
    wire.session(8, (ANN, ann, 41_004), far);
    let sessions = read("logins", &wire, "");
    let device = |port| &of(&sessions, port)["longhaul"]["device"];
    assert_eq!(device(41_000)["user"], "ann");
    assert!(device(41_001).is_null(), "refused: {}", device(41_001));
    assert!(device(41_002).is_null(), "wrong password");
    assert_eq!(
        (&device(41_003)["user"], &device(41_003)["known_by"][0]),
        (&"bob".into(), &"ntlm".into())
    );
    assert_eq!(
        (&device(41_004)["user"], &device(41_004)["name"]),
        (&"ann".into(), &"ann-pc".into())
    );
}

#[test]
fn pseudonyms_hide_people_and_devices_and_stay_the_same() {
    let mut wire = Wire::default();
    let (own, group) = ([10, 0, 0, 90], ([1, 0, 0x5e, 0, 0, 0xfb], [224, 0, 0, 251], 5353));
    leased(&mut wire, 1, (ANN, "ann-pc"), own, 3_600);
    wire.udp(2, ((ANN, own, 5353), group), &answer("Anns-Mac.local", own, false));
    wire.session(3, (ANN, own, 41_000), [198, 51, 100, 7]);
    let dir = folder("pseudonyms");
    let (capture, people, key) = (dir.join("c.pcap"), dir.join("people.csv"), dir.join("key"));
    std::fs::write(&capture, wire.pcap()).unwrap();
    std::fs::write(&people, "match,id,name\n48:da:35:60:00:01,e-1,Ann Roe\n").unwrap();
    std::fs::write(&key, "0123456789abcdef").unwrap();
    let hide = ["--pseudonymise", key.to_str().unwrap()];
    let hidden = sessions(&capture, &people, &hide, "2");
    assert_eq!(hidden, sessions(&capture, &people, &hide, "1"));
    let text = String::from_utf8_lossy(&hidden).to_lowercase();
    for secret in ["ann", "e-1", "48-da-35"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let lines = lines(&hidden);
    let of = |port| &of(&lines, port)["longhaul"];
    let subject = of(41_000)["subject"]["id"].as_str().unwrap();
    assert!(subject.starts_with("p-") && subject.len() == 18, "{subject}");
    assert_eq!(of(41_000)["subject"], of(5_353)["subject"], "one person, one word");
    std::fs::write(&key, "0123456789abcdeF").unwrap();
    assert_ne!(hidden, sessions(&capture, &people, &hide, "1"), "another key, other words");
}

#[test]
fn a_user_of_802_1x_is_attached_to_the_device() {
    let mut wire = Wire::default();
    let (door, switch) = ([1, 0x80, 0xc2, 0, 0, 3], [2, 0, 0, 0, 0, 9]);
    let far = [198, 51, 100, 7];
    let (ann, bob) = ([10, 0, 0, 95], [10, 0, 0, 96]);
    eapol(&mut wire, 1, (ANN, door), 2, "ann@corp.example");
    eapol(&mut wire, 2, (switch, door), 3, "");
    eapol(&mut wire, 3, (BOB, door), 2, "root");
    eapol(&mut wire, 4, (switch, BOB), 4, "");
    leased(&mut wire, 5, (ANN, "ann-pc"), ann, 3_600);
    leased(&mut wire, 5, (BOB, "bob-pc"), bob, 3_600);
    wire.session(6, (ANN, ann, 41_000), far);
    wire.session(6, (BOB, bob, 41_001), far);
    // Two ask at once, and the switch answers both: who was accepted is unknown.
    eapol(&mut wire, 7, (ANN, door), 2, "eve");
    eapol(&mut wire, 7, (BOB, door), 2, "bob");
    eapol(&mut wire, 8, (switch, door), 3, "");
    leased(&mut wire, 9, (BOB, "bob-pc"), bob, 3_600);
    wire.session(10, (BOB, bob, 41_002), far);
    let sessions = read("doors", &wire, "user:ann,e-1,Ann\n");
    let about = |port| &of(&sessions, port)["longhaul"];
    assert_eq!(about(41_000)["device"]["user"], "ann@corp.example");
    assert_eq!(about(41_000)["subject"]["id"], "e-1");
    assert_eq!(about(41_000)["device"]["known_by"], serde_json::json!(["802.1x", "dhcp"]));
    assert!(about(41_001)["device"]["user"].is_null(), "refused");
    assert!(about(41_002)["device"]["user"].is_null(), "not certain");
}
