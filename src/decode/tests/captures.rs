//! A small reader for the capture files the tests replay: pcap and pcapng, plain, gzip or
//! Zstandard.
//!
//! Owns: just enough of both formats. In: a path. Out: frames. Never: used outside tests.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::model::{Frame, LinkType, Nanos};

/// A frame with its bytes.
pub struct Owned {
    pub time: Nanos,
    pub link: LinkType,
    pub wire_len: u32,
    pub bytes: Vec<u8>,
}

impl Owned {
    pub fn frame(&self) -> Frame<'_> {
        let Owned { time, link, wire_len, ref bytes } = *self;
        Frame { time, link, wire_len, bytes }
    }
}

/// The project's demonstration capture.
pub fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/demo/farm.pcap.zst")
}

/// The folder of shared captures, where it is.
pub fn find_shared() -> Option<PathBuf> {
    let root = std::env::var_os("LONGHAUL_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    Some(root.join("data/pcaps")).filter(|folder| folder.is_dir())
}

/// The same, or a message why there is none.
pub fn shared_captures() -> Option<PathBuf> {
    let folder = find_shared();
    if folder.is_none() {
        println!("skipped: no shared captures");
    }
    folder
}

/// Every capture file of a folder, by name.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().contains("cap"))
        .collect();
    files.sort();
    files
}

/// The frames of a file, as far as it can be read.
pub fn read(path: &Path) -> Vec<Owned> {
    let mut raw = Vec::new();
    File::open(path).unwrap().read_to_end(&mut raw).unwrap();
    let mut bytes = Vec::new();
    match raw.get(..4) {
        Some([0x1f, 0x8b, ..]) => {
            flate2::read::MultiGzDecoder::new(&raw[..]).read_to_end(&mut bytes).unwrap();
        }
        Some([0x28, 0xb5, 0x2f, 0xfd]) => bytes = zstd::decode_all(&raw[..]).unwrap(),
        _ => bytes = raw,
    }
    let mut frames = Vec::new();
    match bytes.get(..4) {
        Some([0x0a, 0x0d, 0x0d, 0x0a]) => pcapng(&bytes, &mut frames),
        Some([0xd4 | 0x4d | 0x34, 0xc3 | 0x3c | 0xcd, 0xb2, 0xa1]) => {
            pcap(&bytes, u32::from_le_bytes, &mut frames)
        }
        _ => pcap(&bytes, u32::from_be_bytes, &mut frames),
    };
    frames
}

fn pcap(bytes: &[u8], number: fn([u8; 4]) -> u32, frames: &mut Vec<Owned>) -> Option<()> {
    let word = |at: usize| Some(number(bytes.get(at..at + 4)?.try_into().unwrap()));
    let magic = word(0)?;
    let unit = if magic == 0xa1b2_3c4d { 1 } else { 1_000 };
    // The modified format has eight more bytes per record.
    let header = if magic == 0xa1b2_cd34 { 24 } else { 16 };
    let link = LinkType(word(20)? as u16);
    let mut at = 24;
    loop {
        let time = u64::from(word(at)?) * 1_000_000_000 + u64::from(word(at + 4)?) * unit;
        let (length, wire_len) = (word(at + 8)? as usize, word(at + 12)?);
        let body = bytes.get(at + header..at + header + length)?.to_vec();
        frames.push(Owned { time: Nanos(time), link, wire_len, bytes: body });
        at += header + length;
    }
}

fn pcapng(bytes: &[u8], frames: &mut Vec<Owned>) -> Option<()> {
    let mut links = Vec::new();
    let mut little = true;
    let mut at = 0;
    loop {
        if bytes.get(at..at + 4)? == [0x0a, 0x0d, 0x0d, 0x0a] {
            little = bytes.get(at + 8)? == &0x4d;
            links.clear();
        }
        let word = |at: usize| {
            let word = bytes.get(at..at + 4)?.try_into().unwrap();
            Some(if little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) })
        };
        let (kind, length) = (word(at)?, word(at + 4)? as usize);
        match kind {
            1 => {
                let word = word(at + 8)?;
                links.push(LinkType((if little { word } else { word >> 16 }) as u16));
            }
            3 | 6 => {
                let (interface, body, wire_at) = if kind == 6 {
                    (word(at + 8)?, at + 28, at + 24)
                } else {
                    (0, at + 12, at + 8)
                };
                let wire_len = word(wire_at)?;
                let captured = if kind == 6 { word(at + 20)? } else { wire_len } as usize;
                // Microseconds unless the number is too large for that: no option parser here.
                let ticks = match kind {
                    6 => u64::from(word(at + 12)?) << 32 | u64::from(word(at + 16)?),
                    _ => 0,
                };
                let time = if ticks > 1 << 56 { ticks } else { ticks.wrapping_mul(1_000) };
                let link = *links.get(interface as usize)?;
                let bytes = bytes.get(body..body + captured)?.to_vec();
                frames.push(Owned { time: Nanos(time), link, wire_len, bytes });
            }
            _ => {}
        }
        at += length.max(12);
    }
}
