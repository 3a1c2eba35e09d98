//! Writes a capture of many TCP sessions that are open at the same time. Standalone: `rustc -O
//! sessions.rs`, then `sessions FILE.pcap SESSIONS ROUNDS`.
//!
//! Each session opens with a handshake; then each has a packet of 100 bytes in every round, in an
//! order without a pattern, a million packets in a second of packet time. So the cost of
//! a packet within N open sessions is that of a capture with many rounds less that of one with few.

use std::fs::File;
use std::io::{BufWriter, Result, Write};

const ACK: u8 = 16;
const PSH_ACK: u8 = 24;
const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
/// Bytes of payload of a packet.
const PAYLOAD: usize = 100;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of a number.
fn mixed(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A capture being written: nanoseconds, Ethernet, a packet each microsecond.
struct Capture {
    file: BufWriter<File>,
    packets: u64,
}

impl Capture {
    fn create(path: &str) -> Result<Capture> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1] {
            file.write_all(&word.to_le_bytes())?;
        }
        Ok(Capture { file, packets: 0 })
    }

    fn put(&mut self, frame: &[u8]) -> Result<()> {
        let second = 1_795_168_800 + (self.packets / 1_000_000) as u32;
        let len = frame.len() as u32;
        for word in [second, (self.packets % 1_000_000 * 1_000) as u32, len, len] {
            self.file.write_all(&word.to_le_bytes())?;
        }
        self.packets += 1;
        self.file.write_all(frame)
    }
}

/// A segment of a session: Ethernet, IPv4, TCP. The client is outside, the server 10.0.0.1 port 443.
fn segment(session: u64, up: bool, flags: u8, seq: u32, payload: usize) -> Vec<u8> {
    let [a, b, c, d, port @ ..] = mixed(session).to_be_bytes();
    let (client, client_port) = ([11 + a % 80, b, c, d], [port[0] | 4, port[1]]);
    let (server, server_port) = ([10, 0, 0, 1], [0x01, 0xbb]);
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend((40 + payload as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 60, 6, 0, 0]);
    let ends = [(client, client_port), (server, server_port)];
    let [from, to] = if up { ends } else { [ends[1], ends[0]] };
    frame.extend(from.0);
    frame.extend(to.0);
    frame.extend(from.1);
    frame.extend(to.1);
    frame.extend(seq.to_be_bytes());
    frame.extend(if flags == SYN { [0; 4] } else { [0, 0, 0, 1] });
    frame.extend([0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    frame.resize(frame.len() + payload, 0x5a);
    frame
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let (Some(path), Some(sessions), Some(rounds)) = (words.get(1), number(2), number(3)) else {
        eprintln!("usage: sessions FILE.pcap SESSIONS ROUNDS");
        std::process::exit(2);
    };
    let mut capture = Capture::create(path)?;
    for session in 0..sessions {
        capture.put(&segment(session, true, SYN, 0, 0))?;
        capture.put(&segment(session, false, SYN_ACK, 0, 0))?;
        capture.put(&segment(session, true, ACK, 1, 0))?;
    }
    // A step without a common divisor with the number of sessions visits each of them once a round.
    let mut step = 0x9e37_79b9 % sessions.max(2);
    while common_divisor(step, sessions) != 1 {
        step += 1;
    }
    for round in 0..rounds {
        for n in 0..sessions {
            let seq = 1 + round as u32 * PAYLOAD as u32;
            capture.put(&segment(n * step % sessions, true, PSH_ACK, seq, PAYLOAD))?;
        }
    }
    println!("{}", capture.packets);
    capture.file.flush()
}

/// Euclid's algorithm.
fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}
