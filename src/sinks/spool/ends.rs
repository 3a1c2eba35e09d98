//! What waits in a spool, for those who neither write nor read it.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sinks::spool::{Lane, REFUSED, acknowledged, segments};

/// The number of the next line of each lane: the writer sets them.
#[derive(Debug)]
pub struct Ends([AtomicU64; 2]);

/// What a spool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Lines that are not confirmed.
    pub lines: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Lines that wait no more: confirmed, or removed at the cap.
    pub confirmed: u64,
    /// Lines that were written.
    pub written: u64,
    /// Bytes of those that the receiver has refused.
    pub refused: u64,
}

impl Ends {
    pub(super) fn new(ends: [u64; 2]) -> Ends {
        Ends(ends.map(AtomicU64::new))
    }

    pub(super) fn set(&self, lane: Lane, next: u64) {
        if let Some(end) = self.0.get(lane as usize) {
            end.store(next, Ordering::Relaxed);
        }
    }

    /// What waits in the spool of this directory.
    pub fn waiting(&self, dir: &Path) -> io::Result<Waiting> {
        let mut all = Waiting::default();
        for (lane, end) in Lane::ALL.into_iter().zip(&self.0) {
            let (dir, end) = (dir.join(lane.name()), end.load(Ordering::Relaxed));
            let files = segments(&dir)?;
            let oldest = files.first().map_or(end, |(first, _)| *first);
            let confirmed = acknowledged(&dir).max(oldest).min(end);
            all.lines += end - confirmed;
            all.confirmed += confirmed;
            all.written += end;
            // A file that is gone by now was removed by the reader.
            let sizes = files.iter().filter_map(|(_, path)| Some(path.metadata().ok()?.len()));
            all.bytes += sizes.sum::<u64>();
        }
        // Most have none.
        all.refused = dir.join(REFUSED).metadata().map_or(0, |meta| meta.len());
        Ok(all)
    }
}
