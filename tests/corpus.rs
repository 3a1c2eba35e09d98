//! Replays the fuzz corpora and a bounded number of damaged copies of each file: nothing panics.
//!
//! `LONGHAUL_BLESS=1` rebuilds the corpora from the demonstration's packets and the embedded rules.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test that cannot go on fails; each target uses its part of the bodies"
)]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::fs;
use std::path::PathBuf;

use longhaul::capture::BlockPool;
use longhaul::capture::HashPolicy;
use longhaul::capture::MergedSource;
use longhaul::capture::ReadOptions;
use longhaul::capture::block::BLOCK_BYTES;
use longhaul::capture::expand_inputs;
use longhaul::config::Plan;
use longhaul::decode::DecodeConfig;
use longhaul::decode::Decoder;
use longhaul::endpoints::baseline::BaselineConfig;
use longhaul::endpoints::baseline::Baselines;
use longhaul::model::Frame;
use longhaul::model::Nanos;
use longhaul::model::Transport;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::run;

/// Damaged copies of each corpus file.
const DAMAGED: u64 = 2_000;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A small generator of our own, so that every run damages the same bytes.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n.max(1)
    }

    /// Flips, cuts, repeats and splices a few places.
    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..=self.below(6) {
            if out.is_empty() {
                break;
            }
            let at = self.below(out.len() as u64) as usize;
            match self.below(5) {
                0 => out[at] ^= 1 << self.below(8),
                1 => out[at] = [0, 0xff, 0x7f, 0x80][self.below(4) as usize],
                2 => out.truncate(at),
                3 => out.extend_from_within(at..),
                _ => out.insert(at, self.below(256) as u8),
            }
            out.truncate(70_000);
        }
        out
    }
}

#[test]
fn no_corpus_file_and_no_damaged_copy_panics() {
    if std::env::var_os("LONGHAUL_BLESS").is_some() {
        make_corpora();
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for &(name, body) in bodies::TARGETS {
        let folder = root().join("fuzz/corpus").join(name);
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let bytes = fs::read(&file).unwrap();
            body(&bytes);
            for _ in 0..DAMAGED {
                body(&dice.damage(&bytes));
            }
        }
    }
}

/// Seconds per target; if unset, only the replay above runs.
const SECONDS: &str = "LONGHAUL_FUZZ_SECONDS";

/// Damages its own output too: a fault may need several wrong bytes. There is no coverage guidance;
/// `make fuzz-smoke` has it if cargo-fuzz is installed.
#[test]
fn no_target_panics_within_the_given_time() {
    let asked = std::env::var(SECONDS).ok().map(|text| text.parse().unwrap());
    let Some(seconds) = asked else {
        println!("skipped: {SECONDS} does not say how long");
        return;
    };
    let span = std::time::Duration::from_secs(seconds);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        while let Some(&(name, body)) =
            bodies::TARGETS.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        {
            println!("{name}: {} inputs in {seconds} s", fuzz(name, body, span));
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
}

/// Runs one target on damaged files for a while; returns how many.
#[allow(clippy::disallowed_methods, reason = "how long it runs is asked in seconds")]
fn fuzz(name: &str, body: bodies::Body, span: std::time::Duration) -> u64 {
    let entries = fs::read_dir(root().join("fuzz/corpus").join(name)).unwrap();
    let mut pool: Vec<Vec<u8>> = entries.map(|e| fs::read(e.unwrap().path()).unwrap()).collect();
    pool.sort();
    let own = pool.len();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let (begun, mut inputs) = (std::time::Instant::now(), 0);
    while begun.elapsed() < span {
        let at = dice.below(pool.len() as u64) as usize;
        let input = dice.damage(&pool[at]);
        body(&input);
        inputs += 1;
        match pool.len() {
            // Input that was cut to almost nothing is not kept.
            _ if input.len() < 8 => {}
            n if n < own + 256 => pool.push(input),
            _ if dice.below(16) == 0 => {
                let place = own + dice.below(256) as usize;
                pool[place] = input;
            }
            _ => {}
        }
    }
    inputs
}

/// Payloads of the demonstration that start like each target's protocol, a few of each.
fn make_corpora() {
    let inputs = expand_inputs(&[root().join("tests/data/demo/farm.pcap.zst")]).unwrap();
    let options = ReadOptions { hash: HashPolicy::Never, ..ReadOptions::default() };
    let mut source = MergedSource::open(inputs, &BlockPool::new(BLOCK_BYTES, 8), options);
    let mut decoder = Decoder::new(DecodeConfig::default());
    let mut number = 0u32;
    let (mut pcap, mut frames) = (PCAP_HEADER.to_vec(), Vec::new());
    while let Some((file, meta)) = source.next() {
        let frame = meta.frame(source.block(file).unwrap());
        number += 1;
        if frames.len() < 6_000 {
            put_frame(&frame, &mut pcap, &mut frames);
        }
        if number.is_multiple_of(300) {
            keep("decode", number, frame.bytes);
        }
        let Ok(decoded) = decoder.decode_frame(&frame, 0) else { continue };
        let payload = decoded.packet.payload(frame.bytes);
        match (decoded.packet.key.transport, payload) {
            (Transport::TCP, [22, 3, ..]) if number.is_multiple_of(5) => {
                keep("tls", number, payload);
                keep("stream", number, payload);
            }
            (Transport::TCP, [b'S' | b'G' | b'H', ..]) => keep("stream", number, payload),
            (Transport::UDP, [_, ..]) if number.is_multiple_of(9) => {
                keep("datagram", number, payload);
            }
            _ => {}
        }
    }
    keep("capture", 1, &pcap);
    // Made by hand beside it: a pcapng file, and compressed ones.
    keep("session", 1, &frames);
    make_texts();
    make_talks();
    make_socks_rdp_vnc();
    make_app_signatures();
    make_messages();
    make_states();
    // Long headers of QUIC version 1 and DTLS 1.2 records, made by hand.
    keep(
        "quic",
        1,
        &[&[0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0][..], &[7; 1_180]].concat(),
    );
    let dtls =
        [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54, 1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42];
    keep(
        "dtls",
        1,
        &[&dtls[..], &[0xfe, 0xfd], &[9; 32], &[0, 0, 0, 2, 0xc0, 0x2b, 1, 0]].concat(),
    );
}

/// UDP sessions made by hand: datagrams of both sides in turn, each with a length prefix.
fn make_talks() {
    let framed = |datagrams: &[Vec<u8>]| -> Vec<u8> {
        let one = |bytes: &Vec<u8>| [&(bytes.len() as u16).to_le_bytes(), &bytes[..]].concat();
        datagrams.iter().flat_map(one).collect()
    };
    let ike = |exchange: u8, flags: u8, id: u8| {
        let head = [33, 0x20, exchange, flags, 0, 0, 0, id, 0, 0, 0, 32, 0, 0, 0, 4];
        [&[7; 8][..], &[0; 8], &head].concat()
    };
    let messages = [ike(34, 8, 0), ike(34, 0x20, 0), ike(35, 8, 1), ike(35, 0x20, 1)];
    keep("ike", 1, &framed(&messages));
    keep("ike", 2, &framed(&messages.map(|message| [&[0; 4][..], &message].concat())));
    let guard = |kind: u8, indices: [u8; 2], size: usize| {
        let mut out = vec![kind, 0, 0, 0, indices[0], 0, 0, 0, indices[1], 0, 0, 0];
        out.resize(size, 0);
        out
    };
    let messages = [guard(1, [5, 0], 148), guard(2, [6, 5], 92), guard(4, [6, 0], 32)];
    keep("wireguard", 1, &framed(&messages));
    let reset =
        |opcode: u8, acks: &[u8], id: &[u8]| [&[opcode << 3][..], &[opcode; 8], acks, id].concat();
    let acked = |session: u8| [&[1, 0, 0, 0, 0][..], &[session; 8]].concat();
    let packets = [reset(7, &[0], &[0; 4]), reset(8, &acked(7), &[0; 4]), reset(5, &acked(8), &[])];
    keep("openvpn", 1, &framed(&packets));
    let crypt = |opcode: u8, size: usize| {
        let mut out = reset(opcode, &[0, 0, 0, 1], &[0x66, 0, 0, 0]);
        out.resize(size, 0xcc);
        out
    };
    keep("openvpn", 2, &framed(&[crypt(7, 54), crypt(8, 66), crypt(4, 300)]));
    let stun = |kind: [u8; 2]| {
        let address = [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        [&kind[..], &[0, 12, 0x21, 0x12, 0xa4, 0x42], &[3; 12], &address].concat()
    };
    keep("stun", 1, &framed(&[stun([0, 1]), stun([1, 1]), stun([2, 0]), stun([3, 0])]));
    keep("stun", 2, &stun([1, 1]));
}

/// Starts of streams, made by hand: each piece with its length and its side.
fn make_socks_rdp_vnc() {
    let framed = |pieces: &[&[u8]]| -> Vec<u8> {
        let sides = [0u8, 1].into_iter().cycle();
        pieces
            .iter()
            .zip(sides)
            .flat_map(|(p, side)| [&[p.len() as u8, side], *p].concat())
            .collect()
    };
    let socks: [&[u8]; 6] = [
        &[5, 2, 0, 2],
        &[5, 2],
        b"\x01\x02me\x03you",
        &[1, 0],
        b"\x05\x01\0\x03\x01a\0\x50",
        &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    ];
    keep("socks_rdp_vnc", 1, &framed(&socks));
    let four: [&[u8]; 2] = [b"\x04\x01\0\x50\0\0\0\x01me\0a\0", &[0, 0x5a, 0, 80, 1, 2, 3, 4]];
    keep("socks_rdp_vnc", 2, &framed(&four));
    let rdp: [&[u8]; 2] = [
        b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0",
        b"\x03\0\0\x13\x0e\xd0\0\0\0\0\0\x02\0\x08\0\x02\0\0\0",
    ];
    keep("socks_rdp_vnc", 3, &framed(&rdp));
    keep("socks_rdp_vnc", 4, b"RFB 003.008\n");
}

/// First messages that identify a protocol, made by hand: each piece with its length and its side.
fn make_app_signatures() {
    let pieces: [(u8, &[u8]); 15] = [
        (0, b"\0\x10\0\x01\x1a\x2b\x3c\x4d\0\x01\0\0\0\0\0\0"),
        (0, b"\0\0\0\x0d\x6a\x0b\x30\x09\xa1\x03\x02\x01\x05\xa2\x02\x04\0"),
        (0, b"\x30\x0f\x02\x01\x01\x60\x0a\x02\x01\x03\x04\x03me@\x80\0"),
        (1, b"\x30\x05\x02\x01\x01\x61\0"),
        (1, b"\x3c\0\0\0\x0a8.0.36\0\x01\0\0\0abcdefgh\0\xff\xf7"),
        (0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (0, b"AMQP\0\0\x09\x01"),
        (0, b"\x10\x12\0\x04MQTT\x04\x02\0\x3c"),
        (0, b"\0\0\0\x08\x04\xd2\x16\x2f"),
        (1, b"\xff\xfd\x18"),
        (0, b"\xff\xfb\x18"),
        (1, b"\x81\x05Hello"),
        (1, b"220 mail.example ESMTP\r\n"),
        (0, b"EHLO me\r\n"),
        (0, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\x13\x04"),
    ];
    for (n, (side, bytes)) in (1..).zip(pieces) {
        keep("app_signatures", n, &[&[bytes.len() as u8, side], bytes].concat());
    }
    let framed = |(side, bytes): &(u8, &[u8])| [&[bytes.len() as u8, *side], *bytes].concat();
    keep("app_signatures", 20, &pieces.iter().flat_map(framed).collect::<Vec<_>>());
}

/// Single messages, and a certificate, made by hand.
fn make_messages() {
    keep("messages", 1, b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n");
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02\x1f\x90\0\x50";
    keep("messages", 2, binary);
    keep("messages", 3, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    keep("messages", 4, b"<html><head><title>A device</title></head>");
    let mut setup = vec![0, 0, 0, 96, 0xfe, b'S', b'M', b'B'];
    setup.resize(4 + 64, 0);
    setup[4 + 12] = 1;
    setup.extend([25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 88, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    setup.extend(b"NTLMSSP\0");
    keep("messages", 5, &setup);
    let hello = [2u8, 0, 0, 2, 8, 9, 11, 0, 0, 8, 0, 0, 5, 0, 0, 2, 0x30, 0];
    keep("messages", 6, &[&[22, 3, 3, 0, hello.len() as u8][..], &hello].concat());
    keep("certificate", 1, &made_certificate());
}

/// An element of DER of at most 127 bytes, or with two bytes of length.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let length = contents.len() as u16;
    let head = if length < 128 {
        vec![length as u8]
    } else {
        [&[0x82][..], &length.to_be_bytes()].concat()
    };
    [&[tag][..], &head, &contents].concat()
}

/// An unsigned certificate.
fn made_certificate() -> Vec<u8> {
    let part = |kind: u8, tag: u8, text: &[u8]| {
        der(0x31, &[&der(0x30, &[&der(6, &[&[0x55, 4, kind]]), &der(tag, &[text])])])
    };
    let issuer = der(0x30, &[&part(6, 0x13, b"DE"), &part(3, 0x1e, b"\0C\0A")]);
    let subject = der(0x30, &[&part(10, 0x0c, b"Org"), &part(3, 0x14, b"d\xe9vice")]);
    let dates = der(0x30, &[&der(0x17, &[b"260131235959Z"]), &der(0x18, &[b"20601231000000Z"])]);
    let names = der(0x30, &[b"\x82\x01a", &[0x87, 4, 10, 0, 0, 1]]);
    let extension = der(0x30, &[&der(6, &[&[0x55, 29, 17]]), &der(4, &[&names])]);
    let extensions = der(0xa3, &[&der(0x30, &[&extension])]);
    let version = der(0xa0, &[&der(2, &[&[2]])]);
    let (number, any) = (der(2, &[&[7]]), der(0x30, &[]));
    let body = [version, number, any.clone(), issuer, dates, subject, any.clone(), extensions];
    der(0x30, &[&der(0x30, &[&body.concat()]), &any, &der(3, &[&[0]])])
}

/// The state after a run over the demonstration, and an empty state.
fn make_states() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan {
        inputs: vec![root().join("tests/data/demo/farm.pcap.zst")],
        state: Some(dir.path().to_path_buf()),
        quiet: true,
        ..Plan::default()
    };
    run(&plan, &mut NoProgress).unwrap();
    keep("state", 1, &fs::read(dir.path().join("baselines")).unwrap());
    let config = BaselineConfig { cap: 16, learn: Nanos::ZERO };
    keep("state", 2, &Baselines::new(config).encode());
}

/// Small files of each text format.
fn make_texts() {
    let rule = fs::read(root().join("rules/network/d21_tor.yml")).unwrap();
    keep("rules", 1, &rule);
    // fuzz/corpus/correlations is written by hand.
    keep("config", 1, b"home = [\"10.0.0.0/8\"]\nworkers = 2\n[caps]\nsessions = 64\n");
    let head = |kind| {
        format!(
            "# name: own\n# kind: {kind}\n# source: made by hand\n# date: 2026-01-31\n\
             # licence: CC0-1.0\n# weight: 0.5\n"
        )
    };
    let lists = [
        ("prefix", "192.0.2.0/24\n2001:db8::/32 vpn:made made # remark\n"),
        ("name", "example.com\n*.example.org tag:app\n=a.example.net\n"),
        ("asn", "AS64500\n64501 hosting\n"),
        ("port", "443/tcp web:https\n5353/udp\n"),
    ];
    for (number, (kind, body)) in (1..).zip(lists) {
        keep("lists", number, (head(kind) + body).as_bytes());
    }
    let feeds = [
        "192.0.2.0/24\nAS64500\nexample.com # remark\n10.0.0.5-10.0.0.8\n0.0.0.0 a.example\n",
        "tool,kind,indicator\nA,domain,a.example\n\"B, c\",ip,192.0.2.1\n",
        "start,end,provider\n192.0.2.0,192.0.2.77,A\n",
        "192.0.2.1,5,100\n198.51.100.0/24,7,3\n",
        "ZXhhbXBsZS5jb20=\nYS5leGFtcGxl,12\n",
        "#fields\tindicator\tindicator_type\n192.0.2.1\tIntel::ADDR\na.b\tIntel::DOMAIN\n",
        r#"[{"Name":"A","Artifacts":{"Network":[{"Domains":["a.example"],"Ports":[7]}]}}]"#,
        r#"{"type":"bundle","objects":[{"type":"indicator","pattern":"[ipv4-addr:value = '192.0.2.1' OR url:value = 'a\\'b']"}]}"#,
        r#"{"Event":{"date":"2026-11-19","Attribute":[{"type":"domain|ip","value":"a.example|192.0.2.2"}]}}"#,
        "{\"ip\":\"192.0.2.1\",\"tunnels\":[{\"operator\":\"A\",\"type\":\"VPN\"}]}\n{\"ip\":\"::1\"}\n",
    ];
    for (number, feed) in (1..).zip(feeds) {
        keep("intel", number, feed.as_bytes());
    }
    let head =
        "- name: a\n  title: A\n  category: rmm\n  tag: rmm:a\n  source: s\n  date: 2026-01-31\n";
    let rest = [
        "  names: [example.com, '*.example.org']\n  ports: [443/tcp]\n  port: 443\n",
        "  payload:\n    - {transport: tcp, initiator: \"17 24 .. 00\", responder: \"11 30\", min: 8}\n",
        "  alpn: [doq]\n  protocols: [tls/853, quic]\n  ssh:\n    - made  # remark\n",
    ];
    for (number, rest) in (1..).zip(rest) {
        keep("signatures", number, format!("{head}{rest}").as_bytes());
    }
    keep("subjects", 1, b"match,id,name\n10.0.0.0/8,office,\n10.1.2.3,e-7,\"Doe, \"\"J\"\"\"\n");
    keep("subjects", 2, b"\xef\xbb\xbfname,id,match\r\n# all\r\nAnn,e-8,2001:db8::/64\r\n");
}

/// The head of a pcap file of Ethernet frames, little-endian, in nanoseconds.
const PCAP_HEADER: [u8; 24] =
    [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

/// Appends a frame to a capture, and to the input of the target `session`.
fn put_frame(frame: &Frame<'_>, pcap: &mut Vec<u8>, frames: &mut Vec<u8>) {
    let length = u32::try_from(frame.bytes.len()).unwrap();
    let (second, nanos) = (frame.time.0 / 1_000_000_000, frame.time.0 % 1_000_000_000);
    for word in [second as u32, nanos as u32, length, frame.wire_len] {
        pcap.extend(word.to_le_bytes());
    }
    pcap.extend(frame.bytes);
    frames.extend((length as u16).to_le_bytes());
    // Seven seconds after the one before, and now and then two hours.
    frames.extend([7, if frames.len().is_multiple_of(5) { 20 } else { 10 }]);
    frames.extend(frame.bytes);
}

fn keep(target: &str, number: u32, bytes: &[u8]) {
    let folder = root().join("fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    if fs::read_dir(&folder).unwrap().count() < 12 {
        fs::write(folder.join(format!("demo-{number}")), bytes).unwrap();
    }
}
