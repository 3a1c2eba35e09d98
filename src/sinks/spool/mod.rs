//! Events that wait on disk for a sink that sends them elsewhere.
//!
//! Owns: the files of a spool: what this process writes, and what another one reads, sends and
//! acknowledges. In: lines. Out: the same, in order, at least once. Never: waits for the receiver,
//! or removes an alert to make room for a session.
//!
//! A spool has two lanes, each a directory of segments: what must arrive (alerts, incidents,
//! health) and what there is most of (sessions, updates, endpoints). Lines keep their order within
//! a lane. A segment is named by the number of its first line; `acknowledged` holds how many lines
//! of the lane the receiver has. A process that is killed loses nothing that it has written, and
//! what was sent but not acknowledged is sent again.

mod ends;
mod reader;
mod segment;
mod writer;

pub use ends::{Ends, Waiting};
pub use reader::{Batch, Item, Reader};
pub use writer::{Spool, SpoolSink, Wanted};

use std::path::{Path, PathBuf};

use crate::model::{Error, EventKind};

/// The lanes of a spool, most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Alerts, incidents, health.
    Findings,
    /// Sessions, their updates, endpoints.
    Records,
}

impl Lane {
    /// Both.
    pub const ALL: [Lane; 2] = [Lane::Findings, Lane::Records];

    /// The lane of a kind.
    pub const fn of(kind: EventKind) -> Lane {
        match kind {
            EventKind::Alert | EventKind::Incident | EventKind::Health => Lane::Findings,
            EventKind::SessionUpdate | EventKind::SessionEnd | EventKind::Endpoint => Lane::Records,
        }
    }

    /// Its directory.
    const fn name(self) -> &'static str {
        match self {
            Lane::Findings => "findings",
            Lane::Records => "records",
        }
    }
}

/// How many lines a segment holds, and how many bytes of it are whole lines.
pub fn whole_lines(segment: &[u8]) -> (u64, usize) {
    segment::count(segment)
}

/// The file that holds how many lines of a lane the receiver has.
const ACKNOWLEDGED: &str = "acknowledged";

/// The file of messages that the receiver refuses, beside the lanes.
pub const REFUSED: &str = "refused.ndjson";

/// An error about a spool.
fn failed(path: &Path, cause: &std::io::Error) -> Error {
    Error::new(format!("spool {}", path.display()), cause.to_string())
}

/// How many lines of a lane the receiver has. A file that cannot be understood counts for nothing:
/// lines are sent again rather than not at all.
fn acknowledged(lane: &Path) -> u64 {
    let text = std::fs::read_to_string(lane.join(ACKNOWLEDGED)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// The segments of a lane: the number of the first line, and the path; in order.
fn segments(lane: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(lane)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(segment::number_of);
        all.extend(number.map(|number| (number, path)));
    }
    all.sort_unstable();
    Ok(all)
}

#[cfg(test)]
mod tests;
