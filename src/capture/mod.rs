//! Capture from files and interfaces: stored bytes or a kernel ring in, frames in blocks out.
//!
//! Owns: file formats, decompression, verdicts, the merge of many files by packet time, rings on
//! interfaces, BPF filters. In: paths, standard input, interfaces. Out: [`FrameMeta`] values that
//! point into a [`Block`], and one [`FileReport`] per input. Never: looks inside a frame, reads a
//! clock, or stops because one file is broken.

pub mod ahead;
pub mod block;
mod bz2;
mod chronology;
pub mod cut;
mod drops;
pub mod filter;
mod gz;
pub mod inputs;
pub mod interfaces;
mod interrupt;
pub mod live;
mod live_options;
pub mod merge;
mod meter;
mod pcap;
mod pcap_tap;
mod pcapng;
pub mod report;
mod ring;
mod sniff;
pub mod source;
mod step;
mod stored;
pub mod tap;
mod unpack;
pub mod windows;
mod xz;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;

pub use ahead::Threads;
pub use block::{Block, BlockPool};
pub use cut::Cut;
pub use drops::Drops;
pub use inputs::{InputSpec, Listing, MAX_FILES, expand_inputs, list_inputs};
pub use interrupt::Interrupt;
pub use live::LiveSource;
pub use merge::MergedSource;
pub use report::{FileReport, Verdict};
pub use source::{FileSource, FrameMeta};
pub use stored::HashPolicy;
pub use windows::Windows;

use std::sync::Arc;

/// How inputs are read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Whether to hash the stored bytes while reading.
    pub hash: HashPolicy,
    /// Maximum open files (at least 1).
    pub max_open: usize,
    /// Maximum ratio of unpacked to stored bytes of a compressed file. Files that unpack to less
    /// than [`RATIO_FLOOR_BYTES`] are always accepted.
    pub max_ratio: u64,
    /// Memory that decompressors may take, for all files together.
    pub windows: Windows,
    /// Threads that unpack ahead of need.
    pub threads: Threads,
    /// Stops reading early.
    pub interrupt: Interrupt,
    /// Where this set of the files ends, if they are read in sets.
    pub cut: Option<Arc<Cut>>,
}

impl ReadOptions {
    /// The same for one of several sets of files.
    #[must_use]
    pub fn with_cut(self, cut: Option<Arc<Cut>>) -> ReadOptions {
        ReadOptions { cut, ..self }
    }
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions {
            hash: HashPolicy::UpTo(HASH_BYTES_DEFAULT),
            max_open: MAX_OPEN,
            max_ratio: u64::MAX,
            windows: Windows::default(),
            threads: Threads::default(),
            interrupt: Interrupt::default(),
            cut: None,
        }
    }
}

/// Largest file hashed by default. Hashing costs about as much CPU per byte as all other reading,
/// so a large capture is hashed only on request.
pub const HASH_BYTES_DEFAULT: u64 = 64 << 20;

/// Unpacking less than this takes under a second, whatever the ratio.
pub const RATIO_FLOOR_BYTES: u64 = 256 << 20;

/// Default limit of open files: a quarter of the usual limit of 1,024 descriptors.
pub const MAX_OPEN: usize = 256;
