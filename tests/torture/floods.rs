//! More of something than there is room for, streamed into `longhaul read -`: the memory of the
//! process stays within its budget, and every session is accounted for.
//!
//! Each flood is run at one, two and four times its size under a small budget, and at four times
//! under the one that is the default. Sizes are those at which the program once held gigabytes, or
//! lost what mattered.

use std::io::BufRead;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::Case;
use crate::Kind::Flood;
use crate::craft;
use crate::craft::ACK;
use crate::craft::MS;
use crate::craft::PSH;
use crate::craft::SECOND;
use crate::craft::START;
use crate::craft::SYN;
use crate::craft::Tcp;

/// The small budget of the floods and that of a run that names none, in MiB.
const BUDGETS: [u64; 2] = [256, 2_048];

/// Packets a second of a flood, unless it says otherwise.
const RATE: u64 = 200_000;

/// Frames are handed to the pipe by so many bytes.
const BUFFER: usize = 1 << 20;

pub fn cases() -> Vec<Case> {
    let flood = |name, run| Case { name, kind: Flood, run };
    vec![
        flood("flood-syn", || hold(syn, 1_050_000)),
        flood("flood-udp", || hold(datagrams, 1_500_000)),
        flood("flood-stopped-clock", || hold(stopped_clock, 6_000_000)),
        flood("flood-clock-ahead", || hold(clock_ahead, 1_500_000)),
        flood("flood-last-seconds", || hold(last_seconds, 60_000)),
        flood("flood-early-segments", || hold(early_segments, 60_000)),
        flood("flood-unfinished-tls", || hold(unfinished_tls, 10_000)),
        flood("flood-dns-answers", || hold(dns_answers, 50_000)),
        flood("flood-fragments", || hold(fragments, 200_000)),
        flood("flood-endpoints", || hold(endpoints, 60_000)),
        flood("flood-fingerprints", || hold(fingerprints, 30_000)),
        flood("flood-alerts", || hold(alerts, 102_000)),
        flood("flood-names", || hold(names, 60_000)),
        flood("flood-lasting", || hold(lasting, 20_000)),
    ]
}

/// Where frames go: a pcap stream of Ethernet, with nanoseconds.
struct Stream<W> {
    out: W,
    packets: u64,
}

impl<W: Write> Stream<W> {
    fn begin(mut out: W) -> Stream<W> {
        out.write_all(&craft::Capture::default().pcap()).unwrap();
        Stream { out, packets: 0 }
    }

    /// One frame at this time. A reader that is gone has its own message.
    fn put(&mut self, at: u64, frame: &[u8]) {
        let len = frame.len() as u64;
        let words = [at / SECOND, at % SECOND, len, len];
        let head: Vec<u8> = words.iter().flat_map(|word| (*word as u32).to_le_bytes()).collect();
        let _ = self.out.write_all(&head).and_then(|()| self.out.write_all(frame));
        self.packets += 1;
    }

    /// The time of the next frame, at the usual rate.
    fn now(&self) -> u64 {
        START + self.packets * (SECOND / RATE)
    }
}

type Pipe<'c> = Stream<BufWriter<&'c mut std::process::ChildStdin>>;

/// Runs a flood at one, two and four times its size; the last with either budget.
fn hold(flood: fn(&mut Pipe<'_>, u32), size: u32) -> Result<(), String> {
    let [small, usual] = BUDGETS;
    [(1, small), (2, small), (4, small), (4, usual)]
        .iter()
        .try_for_each(|(times, budget)| run(flood, size * times, *budget))
}

fn run(flood: fn(&mut Pipe<'_>, u32), size: u32, budget: u64) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut child = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["read", "-", "--quiet", "--workers", "2", "--sessions", "-", "--memory"])
        .arg(format!("{budget}MiB"))
        .arg("--out")
        .arg(&out)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let lines = std::thread::spawn(|| BufReader::new(stdout).split(b'\n').count() as u64);
    let mut stdin = child.stdin.take().unwrap();
    let watched = child.id();
    let watcher = std::thread::spawn(move || watch(watched));
    let mut stream = Stream::begin(BufWriter::with_capacity(BUFFER, &mut stdin));
    flood(&mut stream, size);
    let packets = stream.packets;
    drop(stream);
    drop(stdin);
    let lines = lines.join().unwrap();
    let peak = watcher.join().unwrap();
    let status = child.wait().unwrap();
    let text = std::fs::read(out.join("run.json")).map_err(|e| format!("no result: {e}"))?;
    let report: Value = serde_json::from_slice(&text).unwrap();
    let (most, lost) = (peak >> 10, lost(&report));
    println!("          {packets} packets, budget {budget} MiB: {most} MiB at most; {lost}");
    if !status.success() || peak == 0 || peak > budget * 1_024 * 110 / 100 {
        return Err(format!("{size}: {most} MiB of {budget}, {status}"));
    }
    let count = |name: &str| report["counters"]["session"][name].as_u64().unwrap();
    let written = lines - count("summary_lines") + count("summed");
    match count("sessions") {
        opened if opened == written => Ok(()),
        opened => Err(format!("{size}: {opened} sessions, {written} written or summed")),
    }
}

/// The most memory that a process had until it ended, in KiB.
pub fn watch(process: u32) -> u64 {
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"));
        let status = status.unwrap_or_default();
        // One that has ended and is not waited for yet has no memory any more.
        let Some(line) = status.lines().find(|line| line.starts_with("VmHWM:")) else {
            return peak;
        };
        let number = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        peak = peak.max(number.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// What the run says it lost.
fn lost(report: &Value) -> String {
    let losses = report["loss"].as_object().unwrap();
    let some = losses.iter().filter(|(_, n)| n.as_f64().is_some_and(|n| n > 0.0));
    some.map(|(name, n)| format!("{name} {n} ")).collect()
}

/// An address outside, another for each number.
fn outside(n: u32) -> IpAddr {
    Ipv4Addr::from(0x2000_0000 + n).into()
}

/// An address of ours, another for each number.
fn inside(n: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + n % 0x00ff_0000 + 256).into()
}

fn server() -> SocketAddr {
    "10.0.0.5:443".parse().unwrap()
}

fn segment(flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Tcp<'_> {
    Tcp { seq, ack, flags, ttl: 64, payload }
}

fn syn(stream: &mut Pipe<'_>, n: u32) {
    for n in 0..n {
        let from = SocketAddr::new(outside(n), 1_024 + n as u16 % 50_000);
        stream.put(stream.now(), &craft::tcp(from, server(), segment(SYN, n, 0, b"")));
    }
}

/// The last minute that 32 bits of seconds can tell.
fn last_seconds(stream: &mut Pipe<'_>, n: u32) {
    let begin = (u64::from(u32::MAX) - 60) * SECOND;
    (0..n).for_each(|i| {
        stream.put(begin + u64::from(i) * (60 * SECOND / u64::from(n)), &datagram(i))
    });
}

fn datagram(n: u32) -> Vec<u8> {
    let from = SocketAddr::new(outside(n >> 4), 1_024 + (n & 15) as u16);
    craft::udp(from, "10.0.0.5:9999".parse().unwrap(), b"abcd")
}

fn datagrams(stream: &mut Pipe<'_>, n: u32) {
    (0..n).for_each(|n| stream.put(stream.now(), &datagram(n)));
}

fn stopped_clock(stream: &mut Pipe<'_>, n: u32) {
    (0..n).for_each(|n| stream.put(START, &datagram(n)));
}

/// Two frames of 2038, and from then on the true time, which never comes up to that.
fn clock_ahead(stream: &mut Pipe<'_>, n: u32) {
    (0..10).for_each(|n| stream.put(START, &datagram(n)));
    (10..12).for_each(|n| stream.put(2_147_483_000 * SECOND, &datagram(n)));
    (12..n).for_each(|n| stream.put(stream.now(), &datagram(n)));
}

/// A handshake; the client's next byte is 101, the server's 501.
fn handshake(stream: &mut Pipe<'_>, (client, server): (SocketAddr, SocketAddr)) {
    stream.put(stream.now(), &craft::tcp(client, server, segment(SYN, 100, 0, b"")));
    stream.put(stream.now(), &craft::tcp(server, client, segment(SYN | ACK, 500, 101, b"")));
    stream.put(stream.now(), &craft::tcp(client, server, segment(ACK, 101, 501, b"")));
}

/// Sessions of one direction whose first byte never comes.
fn early_segments(stream: &mut Pipe<'_>, n: u32) {
    for n in 0..n {
        let from = SocketAddr::new(outside(n), 40_000);
        stream.put(stream.now(), &craft::tcp(from, server(), segment(SYN, 100, 0, b"")));
        for part in 0..32 {
            let early = segment(ACK, 111 + part * 1_400, 501, &[7; 1_400]);
            stream.put(stream.now(), &craft::tcp(from, server(), early));
        }
    }
}

/// A ClientHello that announces more than ever comes.
fn unfinished_tls(stream: &mut Pipe<'_>, n: u32) {
    for n in 0..n {
        let ends = (SocketAddr::new(outside(n), 40_000), server());
        handshake(stream, ends);
        let mut record = vec![0x16, 3, 1, 0x3f, 0xff, 1, 0, 0xf0, 0];
        record.extend(vec![3; 16_379]);
        for (part, piece) in record.repeat(3).chunks(1_400).enumerate() {
            let seq = 101 + part as u32 * 1_400;
            let frame = craft::tcp(ends.0, ends.1, segment(PSH | ACK, seq, 501, piece));
            stream.put(stream.now(), &frame);
        }
    }
}

/// Answers with 81 names of four labels each, another in every answer: a kilobyte as text.
fn dns_answers(stream: &mut Pipe<'_>, n: u32) {
    let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 81, 0, 0, 0, 0, 1, b'a', 0, 0, 12, 0, 1];
    let base = message.len() as u16 + 12;
    for record in 0..81u16 {
        message.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9]);
        let name = match record {
            0 => {
                let label = [&[62][..], &[1; 62]].concat();
                [&label.repeat(4)[..], &[0]].concat()
            }
            // A label of its own before the last three of the first.
            _ => [&[2, b'n', record as u8][..], &(0xc000 | (base + 63)).to_be_bytes()].concat(),
        };
        message.extend((name.len() as u16).to_be_bytes());
        message.extend(name);
    }
    for n in 0..n {
        let client = SocketAddr::new(inside(n), 30_000);
        let resolver: SocketAddr = "8.8.8.8:53".parse().unwrap();
        stream.put(stream.now(), &craft::udp(client, resolver, &craft::dns_query(7, "a", 12)));
        stream.put(stream.now(), &craft::udp(resolver, client, &message));
    }
}

/// First fragments whose rest never comes.
fn fragments(stream: &mut Pipe<'_>, n: u32) {
    for n in 0..n {
        let from = SocketAddr::new(outside(n), 5_000);
        let mut frame = craft::udp(from, "10.0.0.5:9999".parse().unwrap(), &[9; 1_400]);
        // More fragments; an identification of its own.
        frame[20] = 0x20;
        frame[18..20].copy_from_slice(&(n as u16).to_be_bytes());
        stream.put(stream.now(), &frame);
    }
}

/// Answered sessions from as many addresses.
fn endpoints(stream: &mut Pipe<'_>, n: u32) {
    for n in 0..n {
        let ends = (SocketAddr::new(outside(n), 40_000), server());
        handshake(stream, ends);
        let end = segment(craft::RST | ACK, 101, 501, b"");
        stream.put(stream.now(), &craft::tcp(ends.0, ends.1, end));
    }
}

/// As many, each with a name of its own in its hello, to as many ports.
fn fingerprints(stream: &mut Pipe<'_>, n: u32) {
    for n in 0..n {
        let port = 1_000 + (n % 60_000) as u16;
        let ends = (SocketAddr::new(outside(n), 40_000), SocketAddr::new(inside(1), port));
        handshake(stream, ends);
        let hello = craft::client_hello(&format!("{n}.example.net"));
        stream.put(stream.now(), &craft::tcp(ends.0, ends.1, segment(ACK, 101, 501, &hello)));
        let answer = craft::server_hello();
        let seq = 101 + hello.len() as u32;
        stream.put(stream.now(), &craft::tcp(ends.1, ends.0, segment(ACK, 501, seq, &answer)));
    }
}

/// Look-ups of a remote control's name by as many hosts of ours: an alert and a subject each.
fn alerts(stream: &mut Pipe<'_>, n: u32) {
    let resolver: SocketAddr = "8.8.8.8:53".parse().unwrap();
    let relay: IpAddr = "142.250.1.1".parse().unwrap();
    for n in 0..n {
        let client = SocketAddr::new(inside(n), 30_000);
        let name = "relay-5a1c9f23.net.anydesk.com";
        stream.put(stream.now(), &craft::udp(client, resolver, &craft::dns_query(7, name, 1)));
        let at = stream.now() + 10 * MS;
        stream.put(at, &craft::udp(resolver, client, &craft::dns_answer(7, name, &[relay])));
    }
}

/// Connections that all exchange data every 15 seconds for 90, and then stay open.
fn lasting(stream: &mut Pipe<'_>, n: u32) {
    let server: SocketAddr = "10.0.0.9:443".parse().unwrap();
    let at = |round: u64, n: u32| START + round * 15 * SECOND + u64::from(n) * MS / 100;
    let client = |n: u32| SocketAddr::new(outside(n >> 4), 1_024 + (n & 15) as u16);
    for n in 0..n {
        stream.put(at(0, n), &craft::tcp(client(n), server, segment(SYN, 99, 0, b"")));
        stream.put(at(0, n), &craft::tcp(server, client(n), segment(SYN | ACK, 499, 100, b"")));
        stream.put(at(0, n), &craft::tcp(client(n), server, segment(ACK, 100, 500, b"")));
    }
    for round in 1..7 {
        let place = round as u32 - 1;
        for n in 0..n {
            let (up, down) = (100 + place, 500 + place);
            let ask = craft::tcp(client(n), server, segment(PSH | ACK, up, down, b"a"));
            let answer = craft::tcp(server, client(n), segment(PSH | ACK, down, up + 1, b"b"));
            stream.put(at(round, n) + MS, &ask);
            stream.put(at(round, n) + MS, &answer);
        }
    }
}

/// Answers that give as many addresses a name each.
fn names(stream: &mut Pipe<'_>, n: u32) {
    let resolver: SocketAddr = "8.8.8.8:53".parse().unwrap();
    for n in 0..n {
        let client = SocketAddr::new(inside(n % 500), 20_000 + (n / 500 % 40_000) as u16);
        let name = format!("a-rather-long-name-of-host-{n}.in-a-zone.example.org");
        let of: Vec<IpAddr> = (0..8).map(|more| outside(n * 8 + more)).collect();
        stream.put(stream.now(), &craft::udp(client, resolver, &craft::dns_query(7, &name, 1)));
        stream.put(stream.now(), &craft::udp(resolver, client, &craft::dns_answer(7, &name, &of)));
    }
}
