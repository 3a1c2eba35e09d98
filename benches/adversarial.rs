//! Captures that cost a sensor as much as an attacker can make them, for benches/adversarial.sh:
//! `cargo bench --bench adversarial -- DIRECTORY [SCALE]`.
//!
//! Writes `NAME.pcap` for each case and prints `NAME PACKETS`. SCALE is in percent of the full size
//! (default 10). Without a directory, as `cargo test` runs it, each case is made small, read, and
//! must account for its sessions.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that cannot go on ends"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use longhaul::decode::{DecodeConfig, Decoder};
use longhaul::model::{Frame, LinkType, Nanos};

#[path = "../tests/craft/mod.rs"]
mod craft;

use craft::{ACK, PSH, SECOND, START, SYN, Tcp};

/// Packets of a case at its full size.
const FULL: u64 = 10_000_000;
/// Nanoseconds between two packets: a million a second.
const SPACING: u64 = 1_000;
/// Values in a SplitMix64 sequence for addresses and ports that look random and are the same on
/// every run.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A capture being written.
struct Out {
    file: BufWriter<File>,
    at: u64,
    packets: u64,
}

impl Out {
    fn create(path: &Path) -> Out {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
        file.write_all(&craft::Capture::default().pcap()).expect("room on the disk");
        Out { file, at: START, packets: 0 }
    }

    fn put(&mut self, frame: &[u8]) {
        let len = frame.len() as u64;
        for word in [self.at / SECOND, self.at % SECOND, len, len] {
            self.file.write_all(&(word as u32).to_le_bytes()).expect("room on the disk");
        }
        self.file.write_all(frame).expect("room on the disk");
        self.at += SPACING;
        self.packets += 1;
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of a number.
fn mixed(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(STEP);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An outside address and port, another for each number.
fn outside(n: u64) -> SocketAddr {
    let [a, b, c, d, high, low, ..] = mixed(n).to_be_bytes();
    let ip = Ipv4Addr::new(11 + a % 80, b, c, d);
    SocketAddr::new(IpAddr::V4(ip), u16::from_be_bytes([high | 4, low]))
}

/// A server of ours.
fn inside(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), port)
}

fn segment(seq: u32, flags: u8, payload: &[u8]) -> Tcp<'_> {
    Tcp { seq, ack: 1, flags, ttl: 60, payload }
}

/// A new session with each packet.
fn syn_flood(out: &mut Out, packets: u64) {
    for n in 0..packets {
        out.put(&craft::tcp(outside(n), inside(443), segment(n as u32, SYN, b"")));
    }
}

/// The same, all of one shard of the session table, whose function anybody can read.
fn one_shard(out: &mut Out, packets: u64) {
    let mut decoder = Decoder::new(DecodeConfig::default());
    let shard_of = |decoder: &mut Decoder, bytes: &[u8]| {
        let frame = Frame {
            time: Nanos(START),
            link: LinkType::ETHERNET,
            wire_len: bytes.len() as u32,
            bytes,
        };
        decoder.decode_frame(&frame, 0).ok().map(|decoded| decoded.packet.shard)
    };
    let mut n = 0;
    while out.packets < packets {
        let frame = craft::tcp(outside(n), inside(443), segment(n as u32, SYN, b""));
        if shard_of(&mut decoder, &frame) == Some(7) {
            out.put(&frame);
        }
        n += 1;
    }
}

/// Sixteen transfers whose segments come in blocks of sixteen, backwards.
fn out_of_order(out: &mut Out, packets: u64) {
    let payload = [0x5a; 1_400];
    for n in 0..16 {
        out.put(&craft::tcp(outside(n), inside(443), segment(0, SYN, b"")));
        let answer = Tcp { seq: 0, ack: 1, flags: SYN | ACK, ttl: 64, payload: b"" };
        out.put(&craft::tcp(inside(443), outside(n), answer));
    }
    for n in 0..packets / 8 {
        let (session, step) = (n % 16, n / 16);
        let place = step / 16 * 16 + (15 - step % 16);
        let seq = 1 + (place as u32).wrapping_mul(1_400);
        out.put(&craft::tcp(outside(session), inside(443), segment(seq, ACK, &payload)));
    }
}

/// Bare acknowledgements of 64 bytes within a hundred thousand sessions.
fn small_packets(out: &mut Out, packets: u64) {
    for n in 0..packets {
        let client = outside(mixed(n) % 100_000);
        out.put(&craft::tcp(client, inside(443), segment(1, ACK, b"")));
    }
}

/// First and last fragments of datagrams of two.
fn fragments(out: &mut Out, packets: u64) {
    let part = |n: u64, offset: u16, more: u16, payload: &[u8]| {
        let mut packet = craft::ip(outside(n / 2).ip(), inside(53).ip(), 17, 60, payload);
        let id = (n / 2) as u16;
        packet[4..6].copy_from_slice(&id.to_be_bytes());
        packet[6..8].copy_from_slice(&(more << 13 | offset).to_be_bytes());
        craft::ethernet(0x0800, &packet)
    };
    for n in 0..packets {
        // UDP from port 4000 to 53, 40 bytes in all, cut after 24.
        let first = [&[0x0f, 0xa0, 0, 53, 0, 40, 0, 0][..], &[0; 16]].concat();
        let frame = if n % 2 == 0 { part(n, 0, 1, &first) } else { part(n, 3, 0, &[0; 16]) };
        out.put(&frame);
    }
}

/// Every packet twice.
fn duplicates(out: &mut Out, packets: u64) {
    for n in 0..packets / 2 {
        let (client, seq) = (outside(n % 1_000), n as u32 / 1_000 * 100);
        let frame = craft::tcp(client, inside(443), segment(1 + seq, ACK | PSH, &[0x17; 100]));
        out.put(&frame);
        out.put(&frame);
    }
}

/// IPv4 in IPv4, as deep as the decoder follows and once more.
fn tunnels(out: &mut Out, packets: u64) {
    for n in 0..packets {
        let ends = (outside(n % 10_000), inside(443));
        let frame = craft::tcp(ends.0, ends.1, segment(n as u32, ACK, b""));
        let mut packet = frame[14..].to_vec();
        for _ in 0..8 {
            packet = craft::ip(ends.0.ip(), ends.1.ip(), 4, 60, &packet);
        }
        out.put(&craft::ethernet(0x0800, &packet));
    }
}

/// Answers of sixty records whose names and data all lead through as many pointers as a name may
/// have, to a name of eight labels.
fn dns_pointers(out: &mut Out, packets: u64) {
    let mut body = vec![0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 60, 0, 0, 0, 0];
    body.extend(b"\x01a\x01b\x01c\x01d\x01e\x01f\x01g\x01h\x00\x00\x01\x00\x01");
    // The data of the first record is the chain: each pointer leads to the one before.
    body.extend([0xc0, 12, 0, 10, 0, 1, 0, 0, 0, 60, 0, 30]);
    let mut last = 12u16;
    for _ in 0..15 {
        let here = body.len() as u16;
        body.extend((0xc000 | last).to_be_bytes());
        last = here;
    }
    for _ in 1..60 {
        body.extend((0xc000 | last).to_be_bytes());
        body.extend([0, 5, 0, 1, 0, 0, 0, 60, 0, 2]);
        body.extend((0xc000 | last).to_be_bytes());
    }
    for n in 0..packets / 4 {
        out.put(&craft::udp(outside(n % 1_000), inside(53), &body));
    }
}

/// TLS records of one byte each, as many as a segment holds.
fn tiny_records(out: &mut Out, packets: u64) {
    let payload = [0x16, 3, 1, 0, 1, 1].repeat(200);
    for n in 0..packets / 8 {
        let (client, step) = (outside(n % 1_000), n / 1_000);
        if step == 0 {
            out.put(&craft::tcp(client, inside(443), segment(0, SYN, b"")));
        }
        let seq = 1 + (step as u32).wrapping_mul(payload.len() as u32);
        out.put(&craft::tcp(client, inside(443), segment(seq, ACK | PSH, &payload)));
    }
}

type Build = fn(&mut Out, u64);

const CASES: [(&str, Build); 9] = [
    ("syn-flood", syn_flood),
    ("one-shard", one_shard),
    ("out-of-order", out_of_order),
    ("small-packets", small_packets),
    ("fragments", fragments),
    ("duplicates", duplicates),
    ("tunnels", tunnels),
    ("dns-pointers", dns_pointers),
    ("tiny-records", tiny_records),
];

fn write(dir: &Path, (name, build): (&str, Build), packets: u64) -> (std::path::PathBuf, u64) {
    let path = dir.join(format!("{name}.pcap"));
    let mut out = Out::create(&path);
    build(&mut out, packets);
    out.file.flush().expect("room on the disk");
    (path, out.packets)
}

fn main() {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let Some(dir) = words.first() else { return check_all() };
    let percent: u64 = words.get(1).map_or(10, |text| text.parse().expect("SCALE in percent"));
    for case in CASES {
        let (_, packets) = write(Path::new(dir), case, FULL / 100 * percent);
        println!("{} {packets}", case.0);
    }
}

/// Each case is read to its end, and every session of it is accounted for.
fn check_all() {
    let dir = tempfile::tempdir().expect("a directory");
    for case in CASES {
        let (path, packets) = write(dir.path(), case, 4_000);
        let said = craft::read_path(&path, &["--memory", "256MiB"]);
        assert!(packets > 400, "{}: {packets} packets", case.0);
        assert_eq!(said.run["counters"]["capture"]["frames"], packets, "{}", case.0);
        craft::assert_accounted(&said.run);
    }
}
