//! The packets behind an alert, incident or session, out of the captures that were read.
//!
//! Owns: the way from an id to a capture file: which sessions, which files, which frames. In:
//! results, an id, the original captures. Out: pcapng. Never: a packet of another session, a
//! capture that is not the one that was read, or a file left behind that is not whole.

pub mod captures;
pub mod flows;
mod frames;
mod held;
pub mod wanted;
pub mod writer;

use std::path::{Path, PathBuf};

use crate::explain::Flat;
use crate::model::Error;
use crate::results::{Results, find};
use crate::sinks::files::OutFile;

/// What to carve, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// `event.id`, or its first digits.
    pub id: String,
    /// Where to look for captures that are no longer where they were read.
    pub captures: Vec<PathBuf>,
    /// Compare the hash of each capture that is read, however large.
    pub verify: bool,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carved {
    /// Packets in the slice.
    pub packets: u64,
    /// Sessions asked for.
    pub sessions: u64,
    /// Those of them of which no packet was found.
    pub without: u64,
    /// Captures that were read.
    pub files: u64,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// Writes the packets of an event to `out` (`-` is standard output).
///
/// Errors: no such event; its captures are gone or changed; no packet of it was found; writing.
pub fn carve(
    results: &Results,
    request: &Request,
    out: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Carved, Vec<Error>> {
    let one = |error: Error| vec![error];
    let event = find::find(results, &request.id).map_err(one)?;
    let run = only_run(results).map_err(one)?;
    let wanted = wanted::of(results, &event).map_err(one)?;
    let inputs = captures::inputs(&run);
    refuse_overwriting(&inputs, out).map_err(one)?;
    let shape = captures::Shape::of(&run, request.verify)?;
    let mut flows = flows::Flows::new(wanted.sessions, &shape, &inputs);
    let located = captures::locate(&inputs, flows.span(), &request.captures)?;
    let mut file = OutFile::create(out).map_err(one)?;
    let mut slice = writer::Writer::new(&mut file, &wanted.title).map_err(one)?;
    let reading = frames::Reading { inputs: &inputs, located: &located, shape: &shape };
    let reports = frames::copy(&reading, &mut flows, &mut slice, progress).map_err(one)?;
    captures::check(&inputs, &located, &reports)?;
    let packets = slice.packets();
    if packets == 0 {
        return Err(vec![none_found(&request.id)]);
    }
    let without = flows.without_packets();
    file.finish().map_err(one)?;
    let files = located.len() as u64;
    let sessions = flows.sessions() as u64;
    Ok(Carved { packets, sessions, without, files, notes: wanted.notes })
}

fn none_found(id: &str) -> Error {
    Error::new(format!("event {id}"), "the captures hold no packet of it")
        .help("read the captures again with this version, and take the id from that result")
}

/// The description of the run that the results are of.
fn only_run(results: &Results) -> Result<Flat, Error> {
    let mut runs = results.runs()?;
    let help = "captures are carved by the result of `longhaul read`: read those that were \
                recorded meanwhile";
    let refuse = |cause: &str| Error::new("results", cause).help(help);
    match (runs.pop(), runs.len()) {
        (Some(run), 0) if run.objects("inputs").is_empty() => {
            Err(refuse("the run watched interfaces, of which no packets are kept"))
        }
        (Some(run), 0) => Ok(run),
        _ => Err(refuse("these are the sets of a live run, of which no packets are kept")),
    }
}

/// A slice never replaces a capture that was read.
fn refuse_overwriting(inputs: &[captures::Input], out: &Path) -> Result<(), Error> {
    let Ok(target) = std::fs::canonicalize(out) else { return Ok(()) };
    let same = |input: &&captures::Input| {
        std::fs::canonicalize(&input.path).is_ok_and(|path| path == target)
    };
    match inputs.iter().find(same) {
        Some(_) => {
            Err(Error::new(format!("writing {}", out.display()), "it is a capture that was read")
                .help("choose another name for -o"))
        }
        None => Ok(()),
    }
}
