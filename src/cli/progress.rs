//! The progress bar: one line on standard error, only if that is a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli;
use crate::pipeline::Progress;

/// A bar over the stored bytes of all inputs.
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar, unless it is unwanted or standard error is not a terminal.
    pub(super) fn new(quiet: bool) -> Bar {
        if quiet || !std::io::stderr().is_terminal() || cli::is_dumb() {
            return Bar(None);
        }
        let bar = ProgressBar::new(0);
        let template = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Bar(Some(bar))
    }
}

impl Progress for Bar {
    fn tick(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    fn done(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
