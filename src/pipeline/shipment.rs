//! A finished result on its way into spools.
//!
//! Owns: which files hold which kind of event. In: a directory of results, a plan. Out: spools.
//! Never: changes the result.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::thread;

use memchr::memmem::Finder;
use serde::Deserialize;

use crate::config::Plan;
use crate::model::sink::SinkPlan;
use crate::model::{Error, EventKind, Level};
use crate::pipeline::delivery::{spool_dir, temporary};
use crate::sinks::spool::{Lane, Spool};

/// The files, most important first.
const FILES: [(&str, EventKind); 5] = [
    ("incidents.ndjson", EventKind::Incident),
    ("alerts.ndjson", EventKind::Alert),
    ("health.ndjson", EventKind::Health),
    ("endpoints.ndjson", EventKind::Endpoint),
    ("sessions.ndjson", EventKind::SessionEnd),
];

/// A result, and the spools of the sinks.
pub struct Shipment {
    run: PathBuf,
    spools: Vec<(SinkPlan, Spool)>,
    temporary: Temporary,
}

/// The directory of spools that have no name; it goes with this.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(dir) = &self.0 {
            // Whatever is left was reported as not confirmed.
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// Bytes of a file that are read at once.
const READ_BYTES: usize = 256 << 10;

/// The key of a session's updates: a line without it needs no parser, which would cost more than
/// all the rest.
const UPDATE: &[u8] = b"\"update\"";

/// The fields of a line that decide who takes it.
#[derive(Default, Deserialize)]
struct Marks {
    #[serde(default)]
    log: Log,
    #[serde(default)]
    longhaul: Own,
}

#[derive(Default, Deserialize)]
struct Log {
    level: Option<String>,
}

#[derive(Default, Deserialize)]
struct Own {
    update: Option<u64>,
}

impl Shipment {
    /// Opens the spools: from then on they can be read.
    pub fn open(run: &Path, plan: &Plan) -> Result<Shipment, Vec<Error>> {
        if !run.join("run.json").is_file() {
            let error = Error::new(format!("result {}", run.display()), "there is no run.json");
            let help = "give the directory that --out made, of a run that finished";
            return Err(vec![error.help(help)]);
        }
        let unnamed = plan.sinks.iter().any(|sink| sink.spool.is_none());
        let made = Temporary(unnamed.then(temporary).transpose().map_err(|e| vec![e])?);
        let mut spools = Vec::new();
        for sink in &plan.sinks {
            let Some(dir) = spool_dir(sink, made.0.as_deref()) else { continue };
            let spool = Spool::open(&dir, u64::MAX).map_err(|e| vec![e])?;
            spools.push((sink.clone(), spool));
        }
        Ok(Shipment { run: run.to_path_buf(), spools, temporary: made })
    }

    /// The directory of spools that have no name, if there is one.
    pub fn temporary(&self) -> Option<&Path> {
        self.temporary.0.as_deref()
    }

    /// Writes the result to the spools of all sinks at once.
    pub fn write(&mut self) -> Result<(), Vec<Error>> {
        let run = self.run.as_path();
        let written: Vec<Result<(), Error>> = thread::scope(|scope| {
            let start = |(sink, spool)| scope.spawn(move || write(run, sink, spool));
            let started: Vec<_> =
                self.spools.iter_mut().map(|(sink, spool)| start((&*sink, spool))).collect();
            let ended = |thread: thread::ScopedJoinHandle<'_, Result<(), Error>>| {
                thread.join().unwrap_or_else(|_| Err(Error::new("result", "its reader failed")))
            };
            started.into_iter().map(ended).collect()
        });
        let errors: Vec<Error> = written.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// Writes what a sink takes of a result to its spool. It is sent meanwhile, so an error says how
/// much of it was.
fn write(run: &Path, sink: &SinkPlan, spool: &mut Spool) -> Result<(), Error> {
    let before = spool.written();
    copy_all(run, sink, spool).map_err(|error| {
        for lane in Lane::ALL {
            // If this fails too, fewer were written, and the first error is the one to mend.
            let _ = spool.flush(lane);
        }
        let count = spool.written() - before;
        error.help(format!(
            "sink {} was given the {count} events before it; when the mended result is sent they \
             come again, with the same event.id",
            sink.name
        ))
    })
}

fn copy_all(run: &Path, sink: &SinkPlan, spool: &mut Spool) -> Result<(), Error> {
    for (name, kind) in FILES {
        let takes = |kind| sink.kinds.contains(&kind);
        let is_session = kind == EventKind::SessionEnd;
        if takes(kind) || is_session && takes(EventKind::SessionUpdate) {
            copy(&run.join(name), kind, &sink.kinds, sink.level, spool)?;
        }
    }
    Ok(())
}

fn copy(
    path: &Path,
    of: EventKind,
    kinds: &[EventKind],
    from: Level,
    spool: &mut Spool,
) -> Result<(), Error> {
    let failed = |cause: &std::io::Error| {
        Error::new(format!("reading {}", path.display()), cause.to_string())
    };
    let file = match File::open(path) {
        // A run without sessions, or over files, which has no health.
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(|e| failed(&e))?,
    };
    let mut lines = BufReader::with_capacity(READ_BYTES, file);
    let (mut line, mut number, update) = (Vec::new(), 0u32, Finder::new(UPDATE));
    loop {
        line.clear();
        number = number.saturating_add(1);
        if lines.read_until(b'\n', &mut line).map_err(|e| failed(&e))? == 0 {
            break;
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let told = |cause: &str| Error::new("result", cause).at(path, number);
        let may_matter = of != EventKind::SessionEnd || update.find(line).is_some();
        let marks: Marks = match may_matter {
            true => serde_json::from_slice(line).map_err(|cause| told(&cause.to_string()))?,
            false if line.starts_with(b"{") && line.ends_with(b"}") => Marks::default(),
            false => return Err(told("the line is no whole JSON object")),
        };
        let is_update = of == EventKind::SessionEnd && marks.longhaul.update.is_some();
        let kind = if is_update { EventKind::SessionUpdate } else { of };
        let known =
            marks.log.level.as_deref().and_then(|word| crate::config::parse_level(word).ok());
        let level = known.unwrap_or(Level::Informational);
        let has_level = matches!(of, EventKind::Alert | EventKind::Incident);
        if kinds.contains(&kind) && (!has_level || level >= from) {
            spool.add(kind, level, line).map_err(|lost| failed(&lost.cause))?;
        }
    }
    spool.flush(Lane::of(of)).map(drop).map_err(|lost| failed(&lost.cause))
}
