//! Captures made here: many sessions, any order of times.

use std::path::Path;

/// Numbers that look random and are the same on every run (xorshift64*, Vigna 2016).
pub struct Dice(pub u64);

impl Dice {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end
    }
}

const START_S: u64 = 1_700_000_000;
const HEADER: [u8; 24] =
    [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

/// What a made capture is like.
pub struct Shape {
    pub packets: u64,
    pub hosts: u64,
    pub seconds: u64,
    /// Nanoseconds by which a packet may come before the one ahead of it.
    pub disorder_ns: u64,
    /// How coarse the capture's clock is.
    pub tick_ns: u64,
}

/// Writes a capture of DNS questions and TCP segments of every kind between made-up hosts.
pub fn write(path: &Path, seed: u64, shape: &Shape) {
    let mut dice = Dice(seed | 1);
    let mut bytes = HEADER.to_vec();
    let span_ns = shape.seconds * 1_000_000_000;
    for n in 0..shape.packets {
        let early = dice.below(shape.disorder_ns + 1);
        let at = START_S * 1_000_000_000 + shape.disorder_ns + span_ns / shape.packets * n - early;
        let at = at - at % shape.tick_ns;
        let frame = frame(&mut dice, shape.hosts);
        for word in [at / 1_000_000_000, at % 1_000_000_000, frame.len() as u64, frame.len() as u64]
        {
            bytes.extend((word as u32).to_le_bytes());
        }
        bytes.extend(frame);
    }
    std::fs::write(path, bytes).unwrap();
}

/// Duplicates a capture and puts one frame of a host of its own, dated years ahead, before each of the
/// given packets.
pub fn with_wild_frames(from: &Path, to: &Path, before: &[usize]) {
    const YEARS: u32 = 20 * 366 * 86_400;
    let bytes = std::fs::read(from).unwrap();
    let mut out = HEADER.to_vec();
    let (mut rest, mut number) = (&bytes[HEADER.len()..], 0usize);
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (record, after) = rest.split_at(16 + length);
        if before.contains(&number) {
            let mut wild = record.to_vec();
            let second = u32::from_le_bytes(wild[..4].try_into().unwrap()) + YEARS;
            wild[..4].copy_from_slice(&second.to_le_bytes());
            // The source address of the IPv4 header behind 16 bytes of record and 14 of Ethernet.
            wild[42..46].copy_from_slice(&[10, 8, 8, 8]);
            out.extend(wild);
        }
        out.extend(record);
        (rest, number) = (after, number + 1);
    }
    std::fs::write(to, out).unwrap();
}

fn frame(dice: &mut Dice, hosts: u64) -> Vec<u8> {
    let client = [10, 9, 0, dice.below(hosts) as u8];
    let server = [198, 51, 100, dice.below(4) as u8];
    let port = 40_000 + dice.below(hosts) as u16;
    let back = dice.below(2) == 1;
    let tcp = dice.below(3) > 0;
    let service = if tcp { [443, 22, 80][dice.below(3) as usize] } else { 53 };
    let (from, to) = if back { (server, client) } else { (client, server) };
    let ports = if back { [service, port] } else { [port, service] };
    let body = if tcp { segment(dice, ports) } else { question(dice, ports, back) };
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    out.extend((body.len() as u16 + 20).to_be_bytes());
    out.extend([0, 0, 0x40, 0, 60, if tcp { 6 } else { 17 }, 0, 0]);
    out.extend(from);
    out.extend(to);
    out.extend(body);
    out
}

fn segment(dice: &mut Dice, ports: [u16; 2]) -> Vec<u8> {
    const FLAGS: [u8; 8] = [0x02, 0x12, 0x10, 0x10, 0x18, 0x18, 0x11, 0x04];
    let flags = FLAGS[dice.below(8) as usize];
    let mut out: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    for _ in 0..2 {
        out.extend((1_000 + 7 * dice.below(6) as u32).to_be_bytes());
    }
    out.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    if flags == 0x18 {
        out.extend(b"SSH-2.0-made\r\n");
    }
    out
}

fn question(dice: &mut Dice, ports: [u16; 2], answer: bool) -> Vec<u8> {
    let mut message = vec![0, 7, if answer { 0x81 } else { 1 }, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend([4, b'h', b'o', b's', b'a' + dice.below(26) as u8, 4, b't', b'e', b's', b't']);
    message.extend([0, 0, 1, 0, 1]);
    let mut out: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    out.extend((message.len() as u16 + 8).to_be_bytes());
    out.extend([0, 0]);
    out.extend(message);
    out
}
