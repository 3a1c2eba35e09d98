//! Captures made in memory, and what the program says of them.
//!
//! Frames are built from plain values, so that a test can state packet by packet what was on the
//! wire; [`read`] runs the program on them and gives its files as values.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Nanoseconds of a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000 * MS;
/// When captures begin unless a test says otherwise: 2026-11-20T10:00:00Z.
pub const START: u64 = 1_795_168_800 * SECOND;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// Frames with their times, in ns since 1970.
#[derive(Clone, Default)]
pub struct Capture {
    pub frames: Vec<(u64, Vec<u8>)>,
}

impl Capture {
    pub fn add(&mut self, at: u64, frame: Vec<u8>) -> &mut Capture {
        self.frames.push((at, frame));
        self
    }

    /// Takes another's frames in.
    pub fn join(&mut self, other: Capture) -> &mut Capture {
        self.frames.extend(other.frames);
        self
    }

    /// In the order of their times; frames of one time stay as they were added.
    #[must_use]
    pub fn sorted(mut self) -> Capture {
        self.frames.sort_by_key(|(at, _)| *at);
        self
    }

    /// A pcap file with nanoseconds and Ethernet, frames in the order in which they stand.
    pub fn pcap(&self) -> Vec<u8> {
        self.pcap_of(1)
    }

    /// The same with another link type.
    pub fn pcap_of(&self, link: u32) -> Vec<u8> {
        let mut out = vec![0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0];
        out.extend(link.to_le_bytes());
        for (at, bytes) in &self.frames {
            let len = bytes.len() as u64;
            for word in [at / SECOND, at % SECOND, len, len] {
                out.extend((word as u32).to_le_bytes());
            }
            out.extend(bytes);
        }
        out
    }
}

pub fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    out.extend(ether_type.to_be_bytes());
    out.extend(payload);
    out
}

/// An IP packet, version 4 or 6 by its addresses (both of one version).
pub fn ip(from: IpAddr, to: IpAddr, protocol: u8, ttl: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(40 + payload.len());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend([0x45, 0]);
            out.extend((20 + payload.len() as u16).to_be_bytes());
            out.extend([0, 0, 0x40, 0, ttl, protocol, 0, 0]);
            out.extend(from.octets());
            out.extend(to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            out.extend([0x60, 0, 0, 0]);
            out.extend((payload.len() as u16).to_be_bytes());
            out.extend([protocol, ttl]);
            out.extend(from.octets());
            out.extend(to.octets());
        }
        _ => panic!("addresses of two versions"),
    }
    out.extend(payload);
    out
}

/// A whole frame around an IP packet.
pub fn frame(from: IpAddr, to: IpAddr, protocol: u8, ttl: u8, payload: &[u8]) -> Vec<u8> {
    let ether_type = if from.is_ipv4() { 0x0800 } else { 0x86dd };
    ethernet(ether_type, &ip(from, to, protocol, ttl, payload))
}

pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(from.port().to_be_bytes());
    out.extend(to.port().to_be_bytes());
    out.extend((8 + payload.len() as u16).to_be_bytes());
    out.extend([0, 0]);
    out.extend(payload);
    frame(from.ip(), to.ip(), 17, 64, &out)
}

/// What a TCP segment says besides its ends.
#[derive(Clone, Copy)]
pub struct Tcp<'p> {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub ttl: u8,
    pub payload: &'p [u8],
}

/// A TCP segment; a SYN carries an MSS of 1460.
pub fn tcp(from: SocketAddr, to: SocketAddr, segment: Tcp<'_>) -> Vec<u8> {
    let options: &[u8] = if segment.flags & SYN != 0 { &[2, 4, 0x05, 0xb4] } else { &[] };
    let mut out = Vec::new();
    out.extend(from.port().to_be_bytes());
    out.extend(to.port().to_be_bytes());
    out.extend(segment.seq.to_be_bytes());
    out.extend(segment.ack.to_be_bytes());
    out.extend([((20 + options.len()) as u8 / 4) << 4, segment.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    out.extend(options);
    out.extend(segment.payload);
    frame(from.ip(), to.ip(), 6, segment.ttl, &out)
}

/// A TCP connection as the sensor sees it: `near` to the client and back, `far` to the server and
/// back.
pub struct Connection {
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub near: u64,
    pub far: u64,
    /// Next sequence numbers.
    pub client_seq: u32,
    pub server_seq: u32,
    /// When the next thing happens, in ns.
    pub now: u64,
    pub capture: Capture,
}

impl Connection {
    /// A connection between `client` and `server` whose legs take 2 ms and 30 ms.
    pub fn new(client: &str, server: &str) -> Connection {
        Connection {
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
            near: 2 * MS,
            far: 30 * MS,
            client_seq: 1_000,
            server_seq: 5_000,
            now: START,
            capture: Capture::default(),
        }
    }

    /// A segment of the client, now.
    pub fn up(&mut self, flags: u8, payload: &[u8]) {
        let (seq, ack) = (self.client_seq, if flags & ACK == 0 { 0 } else { self.server_seq });
        let frame = tcp(self.client, self.server, Tcp { seq, ack, flags, ttl: 64, payload });
        self.capture.add(self.now, frame);
        self.client_seq += payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
    }

    /// A segment of the server, now.
    pub fn down(&mut self, flags: u8, payload: &[u8]) {
        let (seq, ack) = (self.server_seq, self.client_seq);
        let frame = tcp(self.server, self.client, Tcp { seq, ack, flags, ttl: 55, payload });
        self.capture.add(self.now, frame);
        self.server_seq += payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
    }

    /// The three-way handshake.
    pub fn open(&mut self) -> &mut Connection {
        self.up(SYN, b"");
        self.now += self.far;
        self.down(SYN | ACK, b"");
        self.now += self.near;
        self.up(ACK, b"");
        self
    }

    /// The client says something and the server acknowledges it.
    pub fn ask(&mut self, payload: &[u8]) -> &mut Connection {
        self.now += MS;
        self.up(PSH | ACK, payload);
        self.now += self.far;
        self.down(ACK, b"");
        self
    }

    /// The server says something and the client acknowledges it.
    pub fn answer(&mut self, payload: &[u8]) -> &mut Connection {
        self.now += MS;
        self.down(PSH | ACK, payload);
        self.now += self.near;
        self.up(ACK, b"");
        self
    }

    /// Nothing for so many ns.
    pub fn wait(&mut self, time: u64) -> &mut Connection {
        self.now += time;
        self
    }

    /// Both sides close.
    pub fn close(&mut self) -> Capture {
        self.now += MS;
        self.up(FIN | ACK, b"");
        self.now += self.far;
        self.down(FIN | ACK, b"");
        self.now += self.near;
        self.up(ACK, b"");
        self.capture.clone()
    }
}

fn dns_name(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut out: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    out.push(0);
    out
}

/// A DNS query for an A or AAAA record (RFC 1035 section 4.1).
pub fn dns_query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    out.extend(dns_name(name));
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    out
}

/// Its answer with these addresses, all of one version.
pub fn dns_answer(id: u16, name: &str, addresses: &[IpAddr]) -> Vec<u8> {
    let kind: u16 = if addresses.iter().all(IpAddr::is_ipv4) { 1 } else { 28 };
    let mut out = id.to_be_bytes().to_vec();
    out.extend([0x81, 0x80, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
    out.extend(dns_name(name));
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    for address in addresses {
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 1, 44]);
        match address {
            IpAddr::V4(v4) => out.extend([&[0, 4][..], &v4.octets()].concat()),
            IpAddr::V6(v6) => out.extend([&[0, 16][..], &v6.octets()].concat()),
        }
    }
    out
}

/// A TLS 1.3 ClientHello with that server name, in its record (RFC 8446 section 4.1.2).
pub fn client_hello(name: &str) -> Vec<u8> {
    client_hello_with(name, &[])
}

/// The same with a session to resume, which is another fingerprint (RFC 8446 section 4.2.11).
pub fn client_hello_resuming(name: &str) -> Vec<u8> {
    let mut offer = vec![0, 0x29, 0, 47, 0, 10, 0, 4];
    offer.extend([7; 4]);
    offer.extend([0, 0, 0, 1, 0, 33, 32]);
    offer.extend([9; 32]);
    client_hello_with(name, &offer)
}

fn client_hello_with(name: &str, more: &[u8]) -> Vec<u8> {
    let host = name.len() as u16;
    let mut extensions = vec![0, 0];
    extensions.extend((host + 5).to_be_bytes());
    extensions.extend((host + 3).to_be_bytes());
    extensions.push(0);
    extensions.extend(host.to_be_bytes());
    extensions.extend(name.as_bytes());
    extensions.extend([0, 0x2b, 0, 3, 2, 3, 4]);
    extensions.extend(more);
    let mut body = vec![3, 3];
    body.extend([0x11; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    handshake_record(1, &body)
}

/// A TLS 1.3 ServerHello in its record, and one record of application data.
pub fn server_hello() -> Vec<u8> {
    server_hello_with(&[0, 6, 0, 0x2b, 0, 2, 3, 4])
}

/// The same to a client whose session is resumed.
pub fn server_hello_resumed() -> Vec<u8> {
    server_hello_with(&[0, 12, 0, 0x2b, 0, 2, 3, 4, 0, 0x29, 0, 2, 0, 0])
}

fn server_hello_with(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0x22; 32]);
    body.extend([0, 0x13, 0x01, 0]);
    body.extend(extensions);
    let mut out = handshake_record(2, &body);
    out.extend(tls_data(32));
    out
}

/// A record of application data of so many bytes.
pub fn tls_data(len: u16) -> Vec<u8> {
    let mut out = vec![0x17, 3, 3];
    out.extend(len.to_be_bytes());
    out.extend(vec![0x5a; usize::from(len)]);
    out
}

fn handshake_record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x16, 3, 1];
    out.extend((body.len() as u16 + 4).to_be_bytes());
    out.push(kind);
    out.extend((body.len() as u32).to_be_bytes().get(1..).unwrap());
    out.extend(body);
    out
}

/// What a run of the program left.
pub struct Said {
    pub sessions: Vec<Value>,
    pub endpoints: Vec<Value>,
    pub alerts: Vec<Value>,
    pub incidents: Vec<Value>,
    pub run: Value,
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Said {
    /// Rule and level of each alert.
    pub fn rules(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let both = |alert: &Value| (text(at(alert, "rule.id")), text(at(alert, "log.level")));
        self.alerts.iter().map(both).collect()
    }
}

/// `longhaul read` of a capture file's bytes.
pub fn read(capture: &[u8], args: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("input.pcap");
    std::fs::write(&file, capture).unwrap();
    read_path(&file, args)
}

/// `longhaul read` of a file or folder. Whatever is asked, every session is accounted for.
pub fn read_path(path: &Path, args: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let run = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .arg("read")
        .arg(path)
        .arg("--out")
        .arg(&out)
        .args(args)
        .output()
        .unwrap();
    let lines = |name: &str| values(&out.join(name));
    let said = Said {
        sessions: lines("sessions.ndjson"),
        endpoints: lines("endpoints.ndjson"),
        alerts: lines("alerts.ndjson"),
        incidents: lines("incidents.ndjson"),
        run: std::fs::read(out.join("run.json"))
            .map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap()),
        stdout: String::from_utf8_lossy(&run.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&run.stderr).into_owned(),
        code: run.status.code(),
    };
    if !said.run.is_null() {
        let lines = |name: &str| said.run["counters"]["session"][name].as_u64().unwrap();
        let sums = lines("summary_lines") + lines("updates_written");
        let written = assert_accounted(&said.run) + sums;
        let elsewhere = args.contains(&"--sessions");
        assert!(elsewhere || written == said.sessions.len() as u64, "{written} were written");
    }
    said
}

/// Sessions opened are those written and those dropped, by reason: exact. Gives those written.
pub fn assert_accounted(run: &Value) -> u64 {
    let count = |name: &str| run["counters"]["session"][name].as_u64().unwrap();
    let fates = ["written", "summed", "not_asked", "unsaved"].map(count);
    let counters = &run["counters"]["session"];
    assert_eq!(count("sessions"), fates.iter().sum::<u64>(), "{counters}");
    assert_eq!(count("unaccounted"), 0, "{counters}");
    fates[0]
}

/// The lines of a file of NDJSON; none where it is not there.
pub fn values(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A value by its dotted path; null where there is none.
pub fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(value, |value, key| value.get(key).unwrap_or(&Value::Null))
}
