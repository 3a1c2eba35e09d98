//! What the reader counts.
//!
//! Owns: its counters, and how far time has come. In: frames, packets, reports of files. Out: sums.
//! Never: decides anything.

use crate::capture::{Drops, FileReport, FrameMeta};
use crate::decode::Path;
use crate::model::{Counter, Counters, Frame, Nanos, Trust};

/// What the reader has counted so far, and how far time has come.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) counters: Counters,
    pub(super) first: Option<Nanos>,
    /// The latest time that was believed.
    pub(super) last: Nanos,
}

impl Tally {
    /// A frame's bytes.
    #[inline(always)]
    pub(super) fn frame(&mut self, frame: &Frame<'_>) {
        self.counters.bump(Counter::Frames);
        self.counters.add(Counter::FrameBytes, frame.bytes.len() as u64);
        if (frame.bytes.len() as u64) < u64::from(frame.wire_len) {
            self.counters.bump(Counter::FramesTruncated);
        }
    }

    /// The losses that a file reports.
    pub(super) fn file(&mut self, file: &FileReport) {
        let Drops { card, system, either } = file.packets_dropped;
        self.counters.add(Counter::NicDrops, card);
        self.counters.add(Counter::RingDrops, system);
        self.counters.add(Counter::FramesDropped, either);
    }

    /// A frame's time.
    #[inline(always)]
    pub(super) fn time(&mut self, meta: &FrameMeta) {
        match meta.trust {
            Trust::Believed | Trust::SetBack => {
                if self.first.is_none_or(|first| meta.time < first) {
                    self.first = Some(meta.time);
                }
                if meta.time >= self.last {
                    self.last = meta.time;
                } else {
                    self.counters.bump(Counter::TimeBackwards);
                }
            }
            Trust::Doubtful => self.counters.bump(Counter::TimesDoubtful),
            Trust::Absent => self.counters.bump(Counter::TimeLeaps),
        }
    }

    /// A packet of a frame.
    #[inline(always)]
    pub(super) fn packet(&mut self, path: &Path) {
        self.counters.bump(Counter::Packets);
        if !path.fast_path {
            self.counters.bump(Counter::PacketsSlowPath);
        }
        if path.tunnel.is_some() {
            self.counters.bump(Counter::PacketsTunnelled);
        }
    }
}
