//! The packets behind an alert, incident or session, out of the captures that were read.
//!
//! Owns: the way from an id to a capture file: which sessions, which files, which frames. In:
//! results, an id, the original captures. Out: pcapng. Never: a packet of another session, a
//! capture that is not the one that was read, or a file left behind that is not whole.

pub mod captures;
pub mod flows;
mod frames;
mod held;
mod slice;
pub mod wanted;
pub mod writer;

use std::path::{Path, PathBuf};

use crate::explain::Flat;
use crate::model::Error;
use crate::results::{Results, find};
use crate::sinks::files::{NAMES, OutFile};

/// Slices that are written in one pass over the captures.
pub const AT_ONCE: usize = 64;

/// Which captures to use, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
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

/// A slice to write: `event.id` or its first digits, and a path (`-` is standard output).
pub type Order<'o> = (&'o str, &'o Path);

/// Writes the packets of an event.
///
/// Errors: no such event; its captures are gone or changed; no packet of it was found; writing.
pub fn carve(
    results: &Results,
    order: Order<'_>,
    options: &Options,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Carved, Vec<Error>> {
    let mut all = carve_all(results, &[order], options, progress)?;
    all.pop().unwrap_or_else(|| Err(none_found(order.0))).map_err(|error| vec![error])
}

/// Writes a slice for each of at most [`AT_ONCE`] events, in one pass over the captures.
///
/// Errors: captures are gone or changed; writing. Of one slice: no such event, no packet of it.
pub fn carve_all(
    results: &Results,
    orders: &[Order<'_>],
    options: &Options,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Result<Carved, Error>>, Vec<Error>> {
    let one = |error: Error| vec![error];
    let of_set = match orders {
        [(id, _)] => set_of(results, id).map_err(one)?,
        _ => None,
    };
    let results = of_set.as_ref().unwrap_or(results);
    let run = only_run(results).map_err(one)?;
    let inputs = captures::inputs(&run);
    let shape = captures::Shape::of(&run, options.verify)?;
    let mut all: Vec<Result<Carved, Error>> = Vec::with_capacity(orders.len());
    let (mut slices, mut of) = (Vec::new(), Vec::new());
    for ((id, out), wanted) in orders.iter().zip(sessions_of(results, &inputs, orders)?) {
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(error) => {
                all.push(Err(error));
                continue;
            }
        };
        let flows = flows::Flows::new(wanted.sessions, &shape, &inputs);
        let sessions = flows.sessions() as u64;
        of.push((all.len(), *id, *out, flows, wanted.title));
        all.push(Ok(Carved { sessions, notes: wanted.notes, ..Carved::default() }));
    }
    let spans: Vec<_> = of.iter().map(|(_, _, _, flows, _)| flows.span()).collect();
    let located = captures::locate(&inputs, &spans, &options.captures)?;
    let mut places = Vec::with_capacity(of.len());
    for (place, id, out, flows, title) in of {
        let file = OutFile::create(out).map_err(one)?;
        let out = writer::Writer::new(file, &title).map_err(one)?;
        slices.push(slice::Slice { flows, out });
        places.push((place, id));
    }
    let reading = frames::Reading { inputs: &inputs, located: &located, shape: &shape };
    let reports = frames::copy(&reading, &mut slices, progress).map_err(one)?;
    captures::check(&inputs, &located, &reports)?;
    let unhashed = captures::unhashed(&inputs, &located, options.verify);
    for (slice, (place, id)) in slices.into_iter().zip(places) {
        let Some(Ok(carved)) = all.get_mut(place) else { continue };
        carved.packets = slice.out.packets();
        carved.without = slice.flows.without_packets();
        carved.files = located.len() as u64;
        carved.notes.extend(unhashed.clone());
        if carved.packets > 0 {
            slice.out.finish().map_err(one)?;
        } else if let Some(carved) = all.get_mut(place) {
            *carved = Err(none_found(id));
        }
    }
    Ok(all)
}

/// The sessions of each event, with one pass over the lines of sessions for all.
fn sessions_of(
    results: &Results,
    inputs: &[captures::Input],
    orders: &[Order<'_>],
) -> Result<Vec<Result<wanted::Wanted, Error>>, Vec<Error>> {
    let one = |error: Error| vec![error];
    let mut asked = Vec::new();
    let mut refused = Vec::new();
    for (id, out) in orders.iter().take(AT_ONCE) {
        refuse_overwriting(results, inputs, out).map_err(one)?;
        let event = find::find(results, id).and_then(|event| wanted::asked(results, &event));
        match event {
            Ok(event) => {
                asked.push(event);
                refused.push(None);
            }
            Err(error) => refused.push(Some(error)),
        }
    }
    let mut found = wanted::of(results, asked).map_err(one)?.into_iter();
    let each = |(error, (id, _)): (Option<Error>, &Order<'_>)| match error {
        Some(error) => Err(error),
        None => found.next().unwrap_or_else(|| Err(none_found(id))),
    };
    Ok(refused.into_iter().zip(orders).map(each).collect())
}

fn none_found(id: &str) -> Error {
    Error::new(format!("event {id}"), "the captures hold no packet of it")
        .help("read the captures again with this version, and take the id from that result")
}

/// Of the sets of a run over files, the last one that has an event: an incident of several has its
/// last line there.
///
/// Errors: no set has it; its first digits are those of several; a damaged line.
fn set_of(results: &Results, id: &str) -> Result<Option<Results>, Error> {
    let runs = results.runs()?;
    if runs.len() < 2 || runs.iter().all(|run| run.objects("inputs").is_empty()) {
        return Ok(None);
    }
    let mut found: Option<(Results, String)> = None;
    for dir in results.dirs().iter().rev() {
        let set = Results::open(dir)?;
        let Some(event) = find::find_exactly(&set, id)? else { continue };
        let own = event.line().text("event.id").unwrap_or(id).to_owned();
        match &found {
            // All digits: no other set has another.
            None if own == id => return Ok(Some(set)),
            None => found = Some((set, own)),
            Some((_, last)) if *last == own => {}
            Some((_, last)) => return Err(find::several(id, [&own[..], last].into_iter())),
        }
    }
    match found {
        Some((set, _)) => Ok(Some(set)),
        None => Err(find::unknown(results, id)?),
    }
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
        (Some(run), _) if !run.objects("inputs").is_empty() => {
            Err(Error::new("results", "these are several sets of one run")
                .help("name one of them: RUN/set-00001"))
        }
        _ => Err(refuse("these are the sets of a live run, of which no packets are kept")),
    }
}

/// A slice never replaces a capture that was read, or a file of the result.
fn refuse_overwriting(
    results: &Results,
    inputs: &[captures::Input],
    out: &Path,
) -> Result<(), Error> {
    let Ok(target) = std::fs::canonicalize(out) else { return Ok(()) };
    let is = |path: &Path| std::fs::canonicalize(path).is_ok_and(|path| path == target);
    let refuse = |cause: &str| {
        Err(Error::new(format!("writing {}", out.display()), cause)
            .help("choose another name for -o"))
    };
    if inputs.iter().any(|input| is(&input.path)) {
        return refuse("it is a capture that was read");
    }
    if results.dirs().iter().any(|dir| NAMES.iter().any(|name| is(&dir.join(name)))) {
        return refuse("it is a file of the result");
    }
    Ok(())
}
