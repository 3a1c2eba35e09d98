//! The keys of a sink that writes files.
//!
//! Owns: when a file is begun anew, compressed and synced. In: its table. Out: a receiver. Never:
//! opens a file.

use std::time::Duration;

use crate::config::live::{parse_bytes, parse_seconds};
use crate::config::sinks::{Faults, SinkKeys};
use crate::model::sink::{Receiver, Rotate, Sync};

/// Finished files that are kept, if not said.
const KEEP: usize = 8;

/// Finished files at most.
const KEEP_MOST: usize = 10_000;

/// How soon lines are on disk, if not said.
const SYNC: Sync = Sync::Each(Duration::from_secs(1));

impl SinkKeys {
    pub(super) fn file(&mut self, faults: &mut Faults) -> Option<Receiver> {
        let rotate = self.rotate(faults);
        let sync = self.sync(faults);
        let mut keep = self.keep.take().unwrap_or(KEEP);
        if keep > KEEP_MOST {
            let cause = format!("{keep} are more than are renamed each time");
            faults.add("keep", cause, "give at most 10000");
            keep = KEEP;
        }
        let zstd = self.zstd.take().unwrap_or(false);
        match self.path.take() {
            Some(path) => Some(Receiver::File { path, rotate, keep, zstd, sync }),
            None => {
                faults.add("path", "it is missing", "give the file to write to");
                None
            }
        }
    }

    /// A span, a size, or both.
    fn rotate(&mut self, faults: &mut Faults) -> Rotate {
        let mut rotate = Rotate::default();
        let words = self.rotate.take().unwrap_or_default();
        for word in words.split([',', ' ']).filter(|word| !word.is_empty()) {
            match (parse_seconds(word), parse_bytes(word)) {
                (Some(seconds), _) => rotate.age = Some(Duration::from_secs(seconds)),
                (_, Some(bytes)) => rotate.bytes = Some(bytes),
                _ => {
                    let help = "give a size such as 256MiB, a span such as 1h, or both";
                    faults.add("rotate", format!("`{word}` is no size and no span"), help);
                }
            }
        }
        rotate
    }

    fn sync(&mut self, faults: &mut Faults) -> Sync {
        let Some(word) = self.sync.take() else { return SYNC };
        match word.as_str() {
            "always" => Sync::Always,
            "never" => Sync::Never,
            span => match parse_seconds(span) {
                Some(seconds) => Sync::Each(Duration::from_secs(seconds)),
                None => {
                    let help = "give always, never, or a span such as 1s";
                    faults.add("sync", format!("`{word}` is none"), help);
                    SYNC
                }
            },
        }
    }
}
