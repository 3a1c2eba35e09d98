//! Where frames come from: files merged by time, or interfaces.
//!
//! Owns: the source. In: nothing. Out: frames and the blocks they lie in. Never: looks at a frame.

use std::path::PathBuf;
use std::sync::Arc;

use crate::capture::{Block, FrameMeta, LiveSource, MergedSource};
use crate::model::Nanos;

/// A source of frames.
pub(super) enum Source {
    /// Files; `None` is their end.
    Files(Box<MergedSource>),
    /// Interfaces; `None` is a pause.
    Live(LiveSource),
}

impl Source {
    /// The next frame, and the index of its file or interface.
    #[inline(always)]
    pub(super) fn next_into(&mut self, meta: &mut FrameMeta) -> Option<u16> {
        match self {
            Source::Files(files) => files.next_into(meta),
            Source::Live(live) => {
                let (file, next) = live.next()?;
                *meta = next;
                Some(file)
            }
        }
    }

    /// The block with the frame that `next` returned last.
    #[inline(always)]
    pub(super) fn block(&self, file: u16) -> Option<&Arc<Block>> {
        match self {
            Source::Files(files) => files.block(file),
            Source::Live(live) => live.block(file),
        }
    }

    /// The earliest start time of the open files, as far as known.
    pub(super) fn begun(&self) -> Option<Nanos> {
        match self {
            Source::Files(files) => files.begun(),
            Source::Live(_) => None,
        }
    }

    /// The name behind each index, in order.
    pub(super) fn names(&self) -> Vec<PathBuf> {
        match self {
            Source::Files(files) => {
                (0..=u16::MAX).map_while(|file| files.path(file)).map(PathBuf::from).collect()
            }
            Source::Live(live) => live.taps().map(|tap| PathBuf::from(&tap.name)).collect(),
        }
    }
}
