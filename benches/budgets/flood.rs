//! Writes a flood: one SYN from each of many addresses. Standalone: `rustc -O flood.rs`, then
//! `flood FILE.pcap PACKETS`.

use std::io::Write;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of a number.
fn mixed(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Ethernet, IPv4 and TCP with a segment size, to 10.0.0.1 port 443.
fn syn(n: u64) -> Vec<u8> {
    let [a, b, c, d, port @ ..] = mixed(n).to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 44, 0, 0, 0x40, 0, 60, 6, 0, 0]);
    frame.extend([11 + a % 80, b, c, d, 10, 0, 0, 1]);
    frame.extend([port[0] | 4, port[1], 0x01, 0xbb]);
    frame.extend((n as u32).to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x60, 2, 0xfa, 0xf0, 0, 0, 0, 0, 2, 4, 5, 0xb4]);
    frame
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let (path, packets) = (&words[1], words[2].parse::<u64>().expect("a number of packets"));
    // Nanoseconds, version 2.4, Ethernet.
    let header = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1];
    let mut file: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    for n in 0..packets {
        let frame = syn(n);
        // One each microsecond.
        let second = 1_795_168_800 + (n / 1_000_000) as u32;
        let len = frame.len() as u32;
        let record = [second, (n % 1_000_000 * 1_000) as u32, len, len];
        file.extend(record.iter().flat_map(|word| word.to_le_bytes()));
        file.extend(frame);
    }
    std::fs::File::create(path).and_then(|mut out| out.write_all(&file)).expect("a file");
}
