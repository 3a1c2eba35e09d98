//! One step through the records of a capture file.
//!
//! Owns: the step type shared by the formats, and integers in either byte order.
//! In: bytes. Out: [`Step`]. Never: I/O.

use crate::model::{Grain, LinkType, Nanos};

/// The byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Order {
    #[inline]
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Order::Little => u16::from_le_bytes(bytes),
            Order::Big => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Order::Little => u64::from_le_bytes(bytes),
            Order::Big => u64::from_be_bytes(bytes),
        }
    }

    /// The `n`th 32-bit word of `bytes`; 0 if absent.
    #[inline]
    pub(super) fn word(self, bytes: &[u8], n: usize) -> u32 {
        bytes.get(n * 4..).and_then(|b| b.first_chunk()).map_or(0, |b| self.u32(*b))
    }
}

/// A frame, relative to the start of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawFrame {
    pub(super) time: Nanos,
    pub(super) link: LinkType,
    /// Offset of the frame's bytes in the record.
    pub(super) at: u32,
    pub(super) captured: u32,
    pub(super) wire_len: u32,
    pub(super) interface: u16,
    /// The granularity of its clock, as the file states it.
    pub(super) grain: Grain,
    /// Whether the time is its own; else it is that of the frame before.
    pub(super) timed: bool,
}

/// What is at the cursor. Lengths count from the start of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A frame; the record is `len` bytes long.
    Frame(RawFrame, u64),
    /// A record without a frame, or of an unknown type, `len` bytes long.
    Skip(u64),
    /// An unusable frame; the file continues after `len` bytes.
    BadFrame(&'static str, u64),
    /// At least this many bytes are needed at the cursor. Never more than [`MAX_NEED`].
    NeedMore(usize),
    /// The structure contradicts itself; nothing behind it can be trusted.
    Malformed(&'static str),
}

/// The most bytes a format may request at once: the longest frame, its header and some options.
pub(super) const MAX_NEED: usize = super::block::MAX_FRAME + 65_536;
