//! Frames of a capture, a second time a moment later, one hop further on.

use std::path::Path;

use longhaul::capture::BlockPool;
use longhaul::capture::MergedSource;
use longhaul::capture::ReadOptions;
use longhaul::capture::block::BLOCK_BYTES;
use longhaul::capture::expand_inputs;

use crate::made::Dice;

/// A frame with its bytes.
#[derive(Clone)]
pub struct Frame {
    /// Nanoseconds since 1970.
    pub time: u64,
    pub link: u16,
    pub wire_len: u32,
    pub bytes: Vec<u8>,
}

/// The frames of a file, as far as it can be read.
pub fn frames(path: &Path) -> Vec<Frame> {
    let inputs = expand_inputs(&[path.to_path_buf()]).unwrap();
    let pool = BlockPool::new(BLOCK_BYTES, 4);
    let mut source = MergedSource::open(inputs, &pool, ReadOptions::default());
    let mut frames = Vec::new();
    while let Some((file, meta)) = source.next() {
        let frame = meta.frame(source.block(file).unwrap());
        let (time, link, wire_len) = (frame.time.0, frame.link.0, frame.wire_len);
        frames.push(Frame { time, link, wire_len, bytes: frame.bytes.to_vec() });
    }
    frames
}

/// Each frame, and again 1 to 900 microseconds later with one hop less, in order of time.
pub fn double(original: &[Frame], seed: u64) -> Vec<Frame> {
    let mut dice = Dice(seed);
    let mut all = original.to_vec();
    all.extend(original.iter().map(|frame| {
        let mut copy = frame.clone();
        copy.time = frame.time.saturating_add(1_000 * (1 + dice.below(900)));
        decremented(&mut copy);
        copy
    }));
    all.sort_by_key(|frame| frame.time);
    all
}

/// Counts down the outermost time to live, as the router between two mirrored ports does.
pub fn decremented(frame: &mut Frame) {
    let Some(at) = ip_at(frame) else { return };
    let header = &mut frame.bytes[at..];
    match header.first().map(|first| (first >> 4, usize::from(first & 0x0f) * 4)) {
        Some((4, length)) if length >= 20 && header.len() >= length => {
            header[8] = header[8].saturating_sub(1);
            header[10..12].fill(0);
            let words = header[..length].chunks(2);
            let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
            let sum = (sum & 0xffff) + (sum >> 16);
            let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        Some((6, _)) if header.len() >= 40 => header[7] = header[7].saturating_sub(1),
        _ => {}
    }
}

/// Where the first IP header begins, for the link layers that a mirror port has.
fn ip_at(frame: &Frame) -> Option<usize> {
    let word =
        |at: usize| Some(u16::from_be_bytes([*frame.bytes.get(at)?, *frame.bytes.get(at + 1)?]));
    let mut at = match frame.link {
        1 => 12,
        113 => 14,
        276 => return Some(20),
        12 | 14 | 101 | 228 | 229 => return Some(0),
        0 | 108 => return Some(4),
        _ => return None,
    };
    loop {
        let kind = word(at)?;
        at += 2;
        match kind {
            0x0800 | 0x86dd => return Some(at),
            0x8100 | 0x88a8 | 0x9100 => at += 2,
            0x8864 => return Some(at + 8),
            0x8847 => {
                while frame.bytes.get(at + 2)? & 1 == 0 {
                    at += 4;
                }
                return Some(at + 4);
            }
            _ => return None,
        }
    }
}

/// Writes frames as pcapng with nanoseconds, an interface for each link type.
pub fn write(path: &Path, frames: &[Frame]) {
    let mut links: Vec<u16> = Vec::new();
    let mut out = Vec::new();
    let words = |out: &mut Vec<u8>, words: &[u32]| {
        words.iter().for_each(|word| out.extend(word.to_le_bytes()));
    };
    words(&mut out, &[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28]);
    for frame in frames {
        let interface = links.iter().position(|link| *link == frame.link).unwrap_or_else(|| {
            links.push(frame.link);
            // if_tsresol (9), one byte: 10^-9.
            let link = u32::from(frame.link);
            words(&mut out, &[1, 32, link, 0, 1 << 16 | 9, 9, 0, 32]);
            links.len() - 1
        });
        let padded = frame.bytes.len().next_multiple_of(4);
        let length = 32 + padded as u32;
        let (high, low) = ((frame.time >> 32) as u32, frame.time as u32);
        let captured = frame.bytes.len() as u32;
        words(&mut out, &[6, length, interface as u32, high, low, captured, frame.wire_len]);
        out.extend(&frame.bytes);
        out.resize(out.len() + padded - frame.bytes.len(), 0);
        words(&mut out, &[length]);
    }
    std::fs::write(path, out).unwrap();
}
