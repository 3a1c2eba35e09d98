//! Who watches a run: its progress, its finished sessions.

use crate::model::Record;

/// Reports the progress of reading.
pub trait Progress {
    /// Stored bytes read so far, and the total.
    fn tick(&mut self, done: u64, total: u64);
    /// Reading has ended.
    fn done(&mut self);
}

/// No progress report.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn tick(&mut self, _done: u64, _total: u64) {}
    fn done(&mut self) {}
}

/// Sees every finished session, not necessarily in output order: for the demo and for tests.
pub type RecordTap<'t> = &'t (dyn Fn(&Record) + Sync);
