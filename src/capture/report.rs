//! The outcome of reading one input file.
//!
//! Owns: the verdict words and the report. In: facts from the reader. Out: one line of run.json.
//! Never: decides how to proceed.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::capture::drops::Drops;
use crate::capture::windows::Denied;
use crate::model::Nanos;

/// How reading one file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Read to the end.
    Ok,
    /// A capture without a packet, or no bytes at all.
    Empty,
    /// Ends inside a header, a packet or a compressed stream; the part before was used.
    Truncated,
    /// Contradicts its own format; the part before was used.
    Malformed,
    /// Not a capture file, or of an unsupported kind.
    Unsupported,
    /// Could not be opened or read.
    Unreadable,
    /// The same file as another input, under another name; read once, under the first.
    Duplicate,
    /// Unpacks to more than its size allows, and the part before was used; or needs more memory to
    /// unpack than there is.
    Refused,
    /// Not read to the end because the run was stopped; the part before was used.
    Interrupted,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Ok => "ok",
            Verdict::Empty => "empty",
            Verdict::Truncated => "truncated",
            Verdict::Malformed => "malformed",
            Verdict::Unsupported => "unsupported",
            Verdict::Unreadable => "unreadable",
            Verdict::Duplicate => "duplicate",
            Verdict::Refused => "refused",
            Verdict::Interrupted => "interrupted",
        })
    }
}

/// The outcome of reading one input file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The path as found; `-` is standard input.
    #[serde(serialize_with = "path_lossy")]
    pub path: PathBuf,
    /// Stored bytes of the file: its size, or for a stream the bytes read.
    pub bytes: u64,
    /// SHA-256 of the stored bytes in lower-case hex, if requested and all bytes were read.
    pub sha256: Option<String>,
    /// Why there is no hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256_note: Option<String>,
    /// Frames returned.
    pub packets: u64,
    /// Frames skipped because their record header was invalid (the file as a whole was not).
    pub packets_malformed: u64,
    /// Frames that the file reports as lost.
    #[serde(skip_serializing_if = "is_none")]
    pub packets_dropped: Drops,
    /// Earliest packet time.
    #[serde(serialize_with = "moment")]
    pub first: Option<Nanos>,
    /// Latest packet time.
    #[serde(serialize_with = "moment")]
    pub last: Option<Nanos>,
    /// How it ended.
    pub verdict: Verdict,
    /// Why the verdict is not `ok`.
    pub reason: Option<String>,
}

impl FileReport {
    /// Whether a signal ended it before its end.
    pub fn is_interrupted(&self) -> bool {
        self.verdict == Verdict::Interrupted
    }

    /// The report of a file that could not be opened.
    pub fn unreadable(path: &Path, reason: String) -> FileReport {
        FileReport::unread(path, Verdict::Unreadable, reason)
    }

    /// The report of a second name of the same file.
    pub fn duplicate(path: &Path, first: &Path) -> FileReport {
        let reason = format!("the same file as {}, which is read", first.display());
        FileReport::unread(path, Verdict::Duplicate, reason)
    }

    /// The report of a file that there is no memory to unpack.
    pub(super) fn denied(path: &Path, denied: Denied) -> FileReport {
        let reason = match denied {
            Denied::Ever(asked, most) => format!(
                "it takes {} MiB to unpack it, and --memory leaves {} MiB for that",
                asked >> 20,
                most >> 20
            ),
            Denied::Now => "other compressed files have the memory that --memory leaves to unpack \
                            any; give fewer pipes at once"
                .to_owned(),
        };
        FileReport::unread(path, Verdict::Refused, reason)
    }

    fn unread(path: &Path, verdict: Verdict, reason: String) -> FileReport {
        FileReport {
            path: path.to_path_buf(),
            bytes: 0,
            sha256: None,
            sha256_note: Some("not read".to_owned()),
            packets: 0,
            packets_malformed: 0,
            packets_dropped: Drops::default(),
            first: None,
            last: None,
            verdict,
            reason: Some(reason),
        }
    }
}

fn is_none(drops: &Drops) -> bool {
    drops.total() == 0
}

fn path_lossy<S: Serializer>(path: &Path, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&path.display())
}

fn moment<S: Serializer>(time: &Option<Nanos>, out: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => out.collect_str(time),
        None => out.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_flat_json_object() {
        let mut report = FileReport::unreadable(Path::new("a/b.pcap"), "no such file".to_owned());
        report.first = Some(Nanos(1_500_000_000));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["verdict"], "unreadable");
        assert_eq!(json["path"], "a/b.pcap");
        assert_eq!(json["first"], "1970-01-01T00:00:01.500000000Z");
        assert!(json["last"].is_null());
        assert_eq!(json["reason"], "no such file");
    }
}
