//! Capture from files and interfaces: stored bytes or a kernel's ring in, frames in blocks out.
//!
//! Owns: file formats, decompression, verdicts, the merge of many files by packet time, rings on
//! interfaces, BPF filters. In: paths, standard input, interfaces. Out: [`FrameMeta`] values that
//! point into an [`Block`], and one [`FileReport`] per input. Never: a look inside a frame, a
//! clock, or a stop because one file is broken.

pub mod block;
mod bz2;
mod chronology;
mod drops;
pub mod filter;
pub mod inputs;
pub mod interfaces;
mod interrupt;
pub mod live;
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
mod xz;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;

pub use block::Block;
pub use block::BlockPool;
pub use drops::Drops;
pub use inputs::InputSpec;
pub use inputs::expand_inputs;
pub use interrupt::Interrupt;
pub use live::LiveSource;
pub use merge::MergedSource;
pub use report::FileReport;
pub use report::Verdict;
pub use source::FileSource;
pub use source::FrameMeta;
pub use stored::HashPolicy;

/// How inputs are read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Whether the stored bytes are hashed while they pass.
    pub hash: HashPolicy,
    /// Most files open at once (at least 1).
    pub max_open: usize,
    /// Most bytes that a compressed file may unpack to, as a multiple of its own; what unpacks to
    /// less than [`RATIO_FLOOR_BYTES`] is never refused.
    pub max_ratio: u64,
    /// Ends the reading early.
    pub interrupt: Interrupt,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions {
            hash: HashPolicy::UpTo(HASH_BYTES_DEFAULT),
            max_open: MAX_OPEN,
            max_ratio: u64::MAX,
            interrupt: Interrupt::default(),
        }
    }
}

/// Largest file hashed by default. Hashing costs about as much CPU a byte as all of the file
/// reading, so a large capture is not hashed unless the user asks.
pub const HASH_BYTES_DEFAULT: u64 = 64 << 20;

/// What unpacks to less costs less than a second, whatever its ratio.
pub const RATIO_FLOOR_BYTES: u64 = 256 << 20;

/// Files open at once by default: a quarter of the usual limit of 1,024 descriptors.
pub const MAX_OPEN: usize = 256;
