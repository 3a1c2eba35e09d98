//! Packets of a capture, for pictures.
//!
//! Owns: the little of pcap, IPv4, TCP and UDP that the laboratory's captures need. In: a file.
//! Out: packets with payload. Never: a stand-in for the product's own reader.

use std::path::Path;

/// An end: address and port.
pub type End = ([u8; 4], u16);

/// A packet with payload.
pub struct Packet {
    /// Seconds since the first frame.
    pub at: f64,
    pub from: End,
    pub to: End,
    pub tcp: bool,
    /// Bytes of payload on the wire, and what of them was captured.
    pub size: usize,
    pub payload: Vec<u8>,
}

/// The packets of a file, without retransmissions.
pub fn packets(path: &Path) -> Vec<Packet> {
    let bytes = std::fs::read(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let unit = if word(0) == 0xa1b2_3c4d { 1e-9 } else { 1e-6 };
    let (mut at, mut start, mut all) = (24, None, Vec::new());
    let mut ends = std::collections::HashMap::<(End, End), u32>::new();
    while at + 16 <= bytes.len() {
        let time = f64::from(word(at)) + f64::from(word(at + 4)) * unit;
        let length = word(at + 8) as usize;
        let frame = &bytes[at + 16..at + 16 + length];
        at += 16 + length;
        let start = *start.get_or_insert(time);
        let Some((mut packet, end)) = packet(frame, time - start) else { continue };
        if packet.size == 0 {
            continue;
        }
        if packet.tcp {
            let known = ends.entry((packet.from, packet.to)).or_insert(end.wrapping_sub(1));
            if end.wrapping_sub(*known).wrapping_sub(1) >= 1 << 31 {
                continue;
            }
            *known = end;
        }
        packet.payload.truncate(64);
        all.push(packet);
    }
    all
}

/// A packet, and behind TCP the sequence number behind it.
fn packet(frame: &[u8], at: f64) -> Option<(Packet, u32)> {
    let two =
        |bytes: &[u8], at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    if two(frame, 12)? != 0x0800 {
        return None;
    }
    let ip = frame.get(14..)?;
    let (head, total) = (usize::from(ip.first()? & 15) * 4, usize::from(two(ip, 2)?));
    let address = |at: usize| -> Option<[u8; 4]> { ip.get(at..at + 4)?.try_into().ok() };
    let (rest, tcp) = (ip.get(head..)?, *ip.get(9)? == 6);
    let offset = if tcp { usize::from(rest.get(12)? >> 4) * 4 } else { 8 };
    let (from, to) = ((address(12)?, two(rest, 0)?), (address(16)?, two(rest, 2)?));
    let size = total.checked_sub(head + offset)?;
    let first = if tcp { u32::from_be_bytes(rest.get(4..8)?.try_into().ok()?) } else { 0 };
    let payload = rest.get(offset..)?.to_vec();
    Some((Packet { at, from, to, tcp, size, payload }, first.wrapping_add(size as u32)))
}
