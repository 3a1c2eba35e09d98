//! Small captures made in memory, for tests.
//!
//! Owns: builders of pcap and pcapng bytes. In: plain values. Out: bytes. Never: part of the
//! product.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::capture::stored::Stored;
use crate::capture::{BlockPool, FileReport, FileSource, FrameMeta, HashPolicy};

/// One packet: seconds, micro- or nanoseconds, bytes.
pub(super) type Sample = (u32, u32, Vec<u8>);

pub(super) fn pcap(packets: &[Sample]) -> Vec<u8> {
    let mut out = [0xa1b2_c3d4u32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4]].concat();
    out.extend([0, 0, 4, 0, 1, 0, 0, 0]);
    for (secs, micros, bytes) in packets {
        for word in [*secs, *micros, bytes.len() as u32, bytes.len() as u32 + 3] {
            out.extend(word.to_le_bytes());
        }
        out.extend(bytes);
    }
    out
}

/// Integers of a chosen byte order.
pub(super) struct Words {
    pub(super) big: bool,
    pub(super) out: Vec<u8>,
}

impl Words {
    pub(super) fn u16(&mut self, n: u16) {
        self.out.extend(if self.big { n.to_be_bytes() } else { n.to_le_bytes() });
    }

    pub(super) fn u32(&mut self, n: u32) {
        self.out.extend(if self.big { n.to_be_bytes() } else { n.to_le_bytes() });
    }

    /// A block around what `body` writes.
    pub(super) fn block(&mut self, kind: u32, body: impl FnOnce(&mut Words)) {
        let mut inner = Words { big: self.big, out: Vec::new() };
        body(&mut inner);
        inner.out.resize(inner.out.len().next_multiple_of(4), 0);
        let len = inner.out.len() as u32 + 12;
        self.u32(kind);
        self.u32(len);
        self.out.extend(inner.out);
        self.u32(len);
    }

    pub(super) fn section(&mut self) {
        self.block(0x0a0d_0d0a, |w| {
            w.u32(0x1a2b_3c4d);
            w.u16(1);
            w.u16(0);
            w.u32(u32::MAX);
            w.u32(u32::MAX);
        });
    }

    pub(super) fn interface(&mut self, link: u16, resolution: Option<u8>, offset: Option<i64>) {
        self.block(1, |w| {
            w.u16(link);
            w.u16(0);
            w.u32(96);
            if let Some(resolution) = resolution {
                w.u16(9);
                w.u16(1);
                w.out.extend([resolution, 0, 0, 0]);
            }
            if let Some(offset) = offset {
                w.u16(14);
                w.u16(8);
                w.out.extend(if w.big { offset.to_be_bytes() } else { offset.to_le_bytes() });
            }
            w.u32(0);
        });
    }

    pub(super) fn enhanced(&mut self, interface: u32, units: u64, bytes: &[u8]) {
        self.block(6, |w| {
            w.u32(interface);
            w.u32((units >> 32) as u32);
            w.u32(units as u32);
            w.u32(bytes.len() as u32);
            w.u32(bytes.len() as u32);
            w.out.extend(bytes);
        });
    }
}

/// One of everything: two sections of different byte order, five kinds of block, 6 packets.
pub(super) fn pcapng() -> Vec<u8> {
    let mut w = Words { big: true, out: Vec::new() };
    w.section();
    w.interface(1, None, None);
    w.interface(101, Some(9), Some(-1));
    w.enhanced(0, 1_000_001, b"abcde");
    w.block(0x0bad_0bad, |w| w.out.extend([9; 13]));
    w.enhanced(1, 3_000_000_007, b"f");
    w.big = false;
    w.section();
    w.interface(113, Some(0x8a), None);
    w.block(3, |w| {
        w.u32(200);
        w.out.extend([7; 96]);
    });
    w.enhanced(0, 1_536, &[]);
    w.block(2, |w| {
        w.u16(0);
        w.u16(0);
        for word in [0, 2_048, 2, 60] {
            w.u32(word);
        }
        w.out.extend(b"hi");
    });
    w.block(3, |w| {
        w.u32(2);
        w.out.extend(b"no");
    });
    w.out
}

/// A frame as tests compare it: everything but its position in a block.
pub(super) type Seen = (u64, u16, u32, u32, u16, Vec<u8>);

/// Returns at most `step` bytes per read, and an occasional interruption.
pub(super) struct Throttle {
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
    pub(super) step: usize,
    pub(super) interrupt: bool,
}

impl Read for Throttle {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        if self.interrupt {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let rest = &self.bytes[self.at..];
        let n = rest.len().min(out.len()).min(self.step);
        out[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}

/// Reads all frames in `block_bytes` blocks from `step`-byte reads. Blocks are kept to the end, and
/// frames are examined only then, so that a block modified too late would be noticed.
pub(super) fn read_all(bytes: &[u8], block_bytes: usize, step: usize) -> (Vec<Seen>, FileReport) {
    let pool = BlockPool::new(block_bytes, 4);
    let throttle = Throttle { bytes: bytes.to_vec(), at: 0, step, interrupt: false };
    let stored = Stored::new(Box::new(throttle), None, HashPolicy::Always);
    let mut source = match FileSource::from_stored(Path::new("test"), stored, 3, &pool) {
        Ok(source) => source,
        Err(report) => return (Vec::new(), *report),
    };
    let mut kept = Vec::new();
    while let Some(meta) = source.next_frame() {
        kept.push((meta, Arc::clone(source.block())));
    }
    let seen = kept.iter().map(|(meta, block)| seen(meta, block.bytes())).collect();
    assert!(kept.iter().all(|(_, block)| block.file() == 3));
    (seen, source.verdict())
}

pub(super) fn seen(meta: &FrameMeta, block: &[u8]) -> Seen {
    let at = meta.at as usize;
    let bytes = block[at..at + meta.captured as usize].to_vec();
    (meta.time.0, meta.link.0, meta.wire_len, meta.number, meta.interface, bytes)
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// An .xz stream of stored (uncompressed) LZMA2 chunks with a CRC-32 check.
pub(super) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"\xfd7zXZ\0\0\x01".to_vec();
    out.extend(crc32(&[0, 1]).to_le_bytes());
    let mut header = vec![2, 0, 0x21, 1, 10, 0, 0, 0];
    header.extend(crc32(&header).to_le_bytes());
    out.extend(header);
    for (n, chunk) in bytes.chunks(1 << 16).enumerate() {
        out.push(if n == 0 { 1 } else { 2 });
        out.extend(((chunk.len() - 1) as u16).to_be_bytes());
        out.extend(chunk);
    }
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(crc32(bytes).to_le_bytes());
    // Index with no records, its padding and check, then the footer.
    let index = [0; 4];
    out.extend(index);
    out.extend(crc32(&index).to_le_bytes());
    let footer = [0, 0, 0, 0, 0, 1];
    out.extend(crc32(&footer).to_le_bytes());
    out.extend(footer);
    out.extend(b"YZ");
    out
}
