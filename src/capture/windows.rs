//! Memory of decompressors, summed over all open files.
//!
//! A compressed file states the window (the history) that its reader must keep: up to 128 MiB for
//! zstd and 64 MiB for xz, however small the file is. Files that overlap in time are open at the
//! same time, so the sum of their windows is limited.
//!
//! Owns: that sum. In: the first bytes of a file. Out: a share of the memory, given back with the
//! file. Never: allocates it (the decompressors do).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::capture::sniff::{Container, container_of};
use crate::capture::unpack::ZSTD_WINDOW_MAX;
use crate::capture::xz::{DICTIONARY_MAX, dictionary_of};
use crate::wire::{Reader, WireError};

/// Window that every zstd or xz file may use. Only the first frame or block is looked at; in a file
/// that was concatenated from several, later ones may have a larger window than the first. This is
/// the window of the usual levels (`zstd -19`, `xz -6`).
const USUAL: u64 = 8 << 20;

/// Memory of bzip2: four bytes for each byte of the largest block.
const BZIP2: u64 = 4 << 20;

/// Bytes looked at: the stream header of xz has 12, its first block header up to 1,024.
pub(super) const HEAD_BYTES: usize = 12 + 1_024;

/// Memory for windows, shared by all open files.
#[derive(Clone, Debug)]
pub struct Windows {
    held: Arc<AtomicU64>,
    most: u64,
}

/// The share of one file; given back when dropped.
#[derive(Debug)]
pub(super) struct Window {
    bytes: u64,
    of: Windows,
}

/// Why there is no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Other open files use it.
    Now,
    /// More than all files together may use: bytes needed, bytes allowed.
    Ever(u64, u64),
}

impl Default for Windows {
    fn default() -> Windows {
        Windows::new(u64::MAX)
    }
}

impl Windows {
    /// At most `most` bytes for all files together.
    pub fn new(most: u64) -> Windows {
        Windows { held: Arc::default(), most }
    }

    /// Takes what a file that starts with `head` needs.
    pub(super) fn take(&self, head: &[u8]) -> Result<Window, Denied> {
        let bytes = window_of(head);
        if bytes > self.most {
            return Err(Denied::Ever(bytes, self.most));
        }
        let more = |held: u64| held.checked_add(bytes).filter(|held| *held <= self.most);
        match self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(Window { bytes, of: self.clone() }),
            Err(_) => Err(Denied::Now),
        }
    }
}

impl Window {
    /// Size of the window in bytes.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.of.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Memory needed to unpack a file that starts with `head`: a power of two, or `BZIP2`.
fn window_of(head: &[u8]) -> u64 {
    let (said, most) = match container_of(head) {
        Container::Plain | Container::Gzip => return 0,
        Container::Bzip2 => return BZIP2,
        Container::Zstd => (zstd(&mut Reader::new(head)).ok(), ZSTD_WINDOW_MAX),
        Container::Xz => (xz(head), DICTIONARY_MAX),
    };
    // The decompressor refuses a header that cannot be read, and windows over its own limit.
    said.filter(|said| *said <= most).unwrap_or(0).max(USUAL).next_power_of_two()
}

/// Window size in the first frame (RFC 8878 section 3.1.1.1) after skippable ones (section 3.1.2).
fn zstd(head: &mut Reader<'_>) -> Result<u64, WireError> {
    while little(head, 4)? & 0xffff_fff0 == 0x184d_2a50 {
        let length = little(head, 4)?;
        head.skip(length as usize)?;
    }
    let descriptor = head.u8()?;
    if descriptor & 0x20 == 0 {
        let window = head.u8()?;
        let base = 1u64 << (10 + u32::from(window >> 3));
        return Ok(base + base / 8 * u64::from(window & 7));
    }
    // A single segment has no window field: the window is the content size, which follows the
    // dictionary ID.
    head.skip(match descriptor & 3 {
        3 => 4,
        length => usize::from(length),
    })?;
    match descriptor >> 6 {
        0 => little(head, 1),
        1 => Ok(little(head, 2)? + 256),
        2 => little(head, 4),
        _ => little(head, 8),
    }
}

/// A little-endian number of up to eight bytes.
fn little(head: &mut Reader<'_>, bytes: usize) -> Result<u64, WireError> {
    let bytes = head.take(bytes)?;
    Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Dictionary size of the first block, which follows the stream header of 12 bytes.
fn xz(head: &[u8]) -> Option<u64> {
    let block = head.get(12..)?;
    let length = (usize::from(*block.first()?) + 1) * 4;
    dictionary_of(block.get(..length)?).ok().map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::testkit::{Sample, pcap};
    use crate::capture::{BlockPool, MergedSource, ReadOptions, Verdict, expand_inputs};

    #[test]
    fn the_window_size_is_read_from_the_file() {
        let zstd = |head: &[u8]| window_of(&[&[0x28, 0xb5, 0x2f, 0xfd], head].concat());
        // Window descriptors: exponent 17 is 2^27; exponent 13 with mantissa 1 is 9 MiB.
        assert_eq!(zstd(&[0x04, 17 << 3]), 128 << 20);
        assert_eq!(zstd(&[0x04, 13 << 3 | 1]), 16 << 20);
        assert_eq!(zstd(&[0x04, 5 << 3]), USUAL);
        // Single segments of 64 MiB and of 2^64 - 1 bytes, the first with a dictionary.
        assert_eq!(zstd(&[0xa1, 7, 0, 0, 0, 4]), 64 << 20);
        assert_eq!(zstd(&[[0xe0].as_slice(), &[0xff; 8]].concat()), USUAL);
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
        let behind = [&skippable[..], &[0x28, 0xb5, 0x2f, 0xfd, 0x04, 17 << 3]].concat();
        assert_eq!(window_of(&behind), 128 << 20);
        assert_eq!(window_of(&behind[..12]), USUAL);
        assert_eq!((window_of(b"BZh9"), window_of(&[0x1f, 0x8b, 8])), (BZIP2, 0));
    }

    #[test]
    fn released_memory_can_be_taken_again() {
        let windows = Windows::new(10 << 20);
        let large = [0x28, 0xb5, 0x2f, 0xfd, 0x04, 17 << 3];
        let denied = windows.take(&large).unwrap_err();
        assert_eq!(denied, Denied::Ever(128 << 20, 10 << 20));
        let first = windows.take(b"BZh9").unwrap();
        let second = windows.take(b"BZh9").unwrap();
        assert_eq!((windows.take(b"BZh1").unwrap_err(), first.bytes()), (Denied::Now, BZIP2));
        assert_eq!(windows.take(b"\xd4\xc3\xb2\xa1").unwrap().bytes(), 0);
        drop(second);
        assert!(windows.take(b"BZh1").is_ok());
    }

    #[test]
    fn files_that_take_more_memory_than_there_is_wait_or_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let capture = |n: u32| {
            let packets: Vec<Sample> = (0..40).map(|i| (n + i, 0, vec![n as u8])).collect();
            pcap(&packets)
        };
        let packed = |n: u32| zstd::encode_all(&capture(n)[..], 1).unwrap();
        // The last has a window of 128 MiB and nothing else: whoever opens it takes that much.
        let large = vec![0x28, 0xb5, 0x2f, 0xfd, 0x04, 17 << 3];
        for (n, bytes) in (1..).zip([packed(1), packed(2), packed(3), capture(4), large]) {
            std::fs::write(root.path().join(n.to_string()), bytes).unwrap();
        }
        let specs = expand_inputs(&[root.path().to_path_buf()]).unwrap();
        let options = ReadOptions { windows: Windows::new(16 << 20), ..ReadOptions::default() };
        let mut source = MergedSource::open(specs, &BlockPool::new(256, 4), options);
        let mut packets = 0;
        while source.next().is_some() {
            packets += 1;
        }
        assert_eq!((packets, source.files_late(), source.opens_refused()), (160, 2, 1));
        let reports = source.finish();
        let (last, read) = reports.split_last().unwrap();
        assert_eq!(last.verdict, Verdict::Refused);
        assert!(last.reason.as_ref().unwrap().contains("128 MiB"), "{last:?}");
        assert!(read.iter().all(|r| r.verdict == Verdict::Ok && r.packets == 40));
    }
}
