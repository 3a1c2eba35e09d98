//! A file of a spool.
//!
//! Owns: its form: eight bytes with the version, then records (`wire::framed`) of a kind, a
//! level and a line. In: lines, or bytes. Out: the other. Never: a line that was not written whole.

use crate::model::{EventKind, Level};
use crate::wire::framed::{self, Framed};

/// The first bytes of a segment.
pub(super) const HEAD: &[u8; 8] = b"LHSPOOL1";

/// The longest line; longer ones are refused when they are written.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;

/// Bytes of a record beside its line.
const BESIDE: usize = framed::HEAD + 2;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tags {
    pub(super) kind: EventKind,
    pub(super) level: Level,
}

const KINDS: [EventKind; 6] = [
    EventKind::SessionUpdate,
    EventKind::SessionEnd,
    EventKind::Endpoint,
    EventKind::Alert,
    EventKind::Incident,
    EventKind::Health,
];

const LEVELS: [Level; 5] =
    [Level::Informational, Level::Low, Level::Medium, Level::High, Level::Critical];

/// What some bytes of a segment begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A line, without its end, and the bytes that its record takes.
    Line(Tags, &'a [u8], usize),
    /// The beginning of one that is not written whole yet, or nothing.
    Incomplete,
    /// Something else.
    Damaged,
}

/// The name of the segment whose first line has this number.
pub(super) fn name_of(number: u64) -> String {
    format!("{number:020}.segment")
}

/// Whether a segment that begins so was never written: a power failure may leave a file of no
/// bytes, or of zeros, though later ones reached the disk.
pub(super) fn is_unwritten(head: &[u8]) -> bool {
    head.len() < HEAD.len() || head.starts_with(&[0; HEAD.len()])
}

/// The number in a name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(".segment").filter(|digits| digits.len() == 20)?.parse().ok()
}

/// Appends the record of a line, which may have its end.
pub(super) fn put(tags: Tags, line: &[u8], out: &mut Vec<u8>) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let place = |at: Option<usize>| at.map_or(u8::MAX, |at| at as u8);
    let kind = place(KINDS.iter().position(|kind| *kind == tags.kind));
    let level = place(LEVELS.iter().position(|level| *level == tags.level));
    framed::put(&[&[kind, level], line], out);
}

/// What `bytes` begin with.
pub(super) fn first(bytes: &[u8]) -> Found<'_> {
    match framed::first(bytes) {
        Framed::Whole([kind, level, line @ ..]) => {
            let found = (KINDS.get(usize::from(*kind)), LEVELS.get(usize::from(*level)));
            let (Some(kind), Some(level)) = found else { return Found::Damaged };
            Found::Line(Tags { kind: *kind, level: *level }, line, BESIDE + line.len())
        }
        Framed::Whole(_) | Framed::Damaged(_) => Found::Damaged,
        Framed::Incomplete => match bytes.first_chunk() {
            Some(length) if u32::from_be_bytes(*length) as usize > LINE_BYTES_MAX + 2 => {
                Found::Damaged
            }
            _ => Found::Incomplete,
        },
    }
}

/// How many lines a segment holds, and how many bytes of it are whole lines.
pub(super) fn count(bytes: &[u8]) -> (u64, usize) {
    let (mut lines, mut at) = (0, HEAD.len().min(bytes.len()));
    while let Found::Line(_, _, length) = first(bytes.get(at..).unwrap_or_default()) {
        lines += 1;
        at += length;
    }
    (lines, at)
}
