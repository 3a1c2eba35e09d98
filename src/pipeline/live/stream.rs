//! A file or a stream of lines beside the sets: session lines apart, alerts on standard output.
//!
//! Owns: how many of its lines are lost. In: lines. Out: counts. Never: an end of the run because
//! it cannot be written.

use crate::emit::files::OutFile;
use crate::model::Error;
use crate::pipeline::live::Tell;

/// The file, and what became of its lines.
pub(super) struct Stream {
    file: OutFile,
    given: u64,
    lost: u64,
    /// It cannot be written now, and that was said.
    failing: bool,
}

impl Stream {
    /// Nothing was written yet.
    pub(super) fn new(file: OutFile) -> Stream {
        Stream { file, given: 0, lost: 0, failing: false }
    }

    /// What users should know of its place.
    pub(super) fn remarks(&self) -> Vec<String> {
        self.file.remarks()
    }

    /// Writes so many lines; returns how many lines were lost, of these or before.
    pub(super) fn write(
        &mut self,
        lines: u64,
        tell: &Tell,
        write: impl FnOnce(&mut OutFile) -> Result<(), Error>,
    ) -> u64 {
        self.given += lines;
        let result = write(&mut self.file);
        self.settle(result, tell)
    }

    /// Hands everything to the system; returns how many lines were lost.
    pub(super) fn flush(&mut self, tell: &Tell) -> u64 {
        let result = self.file.flush();
        let fine = result.is_ok();
        let lost = self.settle(result, tell);
        self.failing &= !fine;
        lost
    }

    fn settle(&mut self, result: Result<(), Error>, tell: &Tell) -> u64 {
        let Err(error) = result else { return 0 };
        if !std::mem::replace(&mut self.failing, true) {
            tell(&format!("{error}\nlines that cannot be written are counted as lost"));
        }
        if let Err(error) = self.file.cut() {
            tell(&error.to_string());
        }
        // A reader that has gone away wants none.
        let gone = if self.file.is_closed() { self.given } else { self.file.lines() };
        let lost = self.given.saturating_sub(gone);
        lost - std::mem::replace(&mut self.lost, lost).min(lost)
    }

    /// Ends it; returns how many lines were lost, and what kept it from getting its name.
    pub(super) fn finish(mut self, tell: &Tell) -> (u64, Result<(), Error>) {
        (self.flush(tell), self.file.finish())
    }
}
