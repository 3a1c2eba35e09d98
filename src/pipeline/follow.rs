//! A directory whose files are read as they are finished.
//!
//! Owns: which files are whole, the wait for more. In: a directory, the system's clock. Out:
//! inputs, each once. Never: a file that was written to a moment ago, or an end of the run because
//! the directory cannot be listed for a while.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::capture::{FileReport, InputSpec, Interrupt, MAX_FILES, MergedSource, list_inputs};
use crate::config::{Following, PointBy};
use crate::decode::TunnelSet;
use crate::emit::Origin;
use crate::model::escape::escaped;
use crate::pipeline::decap_config::{Off, tunnels_of};
use crate::pipeline::prepare::{Points, Prepared};
use crate::pipeline::taken::{Seen, Taken, Written};

/// Between two looks into the directory.
const LOOK: Duration = Duration::from_millis(500);

/// Files of a kind that are named at the end; others are counted.
const NAMED: usize = 8;

/// What is followed, and what was read.
pub(super) struct Follow {
    plan: Following,
    taken: Taken,
    /// Files that are not whole yet, and since when they are as they are.
    waiting: HashMap<PathBuf, (Written, Instant)>,
    /// Looks that did not show everything, and why the last one did not.
    missed: (u64, String),
    interrupt: Interrupt,
    origin: Arc<Origin>,
    points: Points,
    point_by: PointBy,
    tunnels: TunnelSet,
    off: Vec<Off>,
    /// Why it ended without a signal.
    ended: Option<String>,
}

impl Follow {
    /// Nothing of it was read, but what the run began with.
    pub(super) fn new(
        plan: &Following,
        prepared: &Prepared,
        origin: &Arc<Origin>,
        points: Points,
    ) -> Follow {
        Follow {
            plan: plan.clone(),
            taken: Taken::of(&prepared.inputs),
            waiting: HashMap::new(),
            missed: (0, String::new()),
            interrupt: prepared.read_options.interrupt.clone(),
            origin: Arc::clone(origin),
            points,
            point_by: prepared.point_by,
            tunnels: prepared.decode.tunnels,
            off: prepared.off.clone(),
            ended: None,
        }
    }

    /// Waits for files and adds them. Gives the capture point of each new source, none if the run
    /// is to end.
    pub(super) fn more(&mut self, files: &mut MergedSource) -> Option<Vec<u16>> {
        let from = files.sources();
        while files.sources() == from {
            let found = self.wait(MAX_FILES.saturating_sub(files.inputs()));
            if found.is_empty() {
                return None;
            }
            files.add(found);
        }
        let from = u16::try_from(from).unwrap_or(u16::MAX);
        let new = (from..=u16::MAX).map_while(|file| Some((file, files.path(file)?)));
        let point = |(file, path): (u16, &Path)| {
            self.origin.add(path);
            self.points.of(self.point_by, file, path)
        };
        Some(new.map(point).collect())
    }

    /// Adds the tunnels that each new source opens, where not all open the same.
    pub(super) fn extend(&self, tunnels: &mut Vec<TunnelSet>, files: &MergedSource) {
        if self.off.is_empty() {
            return;
        }
        let from = u16::try_from(tunnels.len()).unwrap_or(u16::MAX);
        let new = (from..=u16::MAX).map_while(|file| files.path(file));
        tunnels.extend(new.map(|path| tunnels_of(self.tunnels, &self.off, path)));
    }

    /// What the user must know: files that were not read, or not as they are now.
    pub(super) fn finish(mut self, reports: &[FileReport]) -> Vec<String> {
        let (new, _) = self.look();
        let ended = self.ended.take().map(|why| format!("following ended: {why}"));
        let mut all: Vec<String> = ended.into_iter().collect();
        if self.missed.0 > 0 {
            let (looks, why) = &self.missed;
            let dir = self.plan.dir.display();
            all.push(format!("{dir} could not be listed whole at {looks} looks; the last: {why}"));
        }
        let waited = |file: &Seen| format!("{} was waited for and not read", file.path.display());
        for mut kind in [new.iter().map(waited).collect(), self.taken.changes(reports)] {
            let more = kind.len().saturating_sub(NAMED);
            kind.truncate(NAMED);
            all.append(&mut kind);
            if more > 0 {
                all.push(format!("the same of {more} files more"));
            }
        }
        all.iter().map(|text| escaped(text).into_owned()).collect()
    }

    /// The files that have become whole; none if the run is to end.
    #[allow(clippy::disallowed_methods, reason = "nothing tells when a file of a share is closed")]
    fn wait(&mut self, room: usize) -> Vec<InputSpec> {
        if room == 0 {
            self.ended = Some(format!("it has read {MAX_FILES} files, the most of one run"));
        }
        while self.ended.is_none() && !self.interrupt.is_requested() {
            let found = self.whole(room);
            if !found.is_empty() {
                return found;
            }
            thread::sleep(LOOK);
        }
        Vec::new()
    }

    /// At most so many files that were not read and not written to for a while, and other names of
    /// those that were read.
    #[allow(clippy::disallowed_methods, reason = "it is compared with the times of files")]
    fn whole(&mut self, room: usize) -> Vec<InputSpec> {
        let (new, mut found) = self.look();
        let (now, at) = (SystemTime::now(), Instant::now());
        let before = std::mem::take(&mut self.waiting);
        // A second name of a file that is new waits for the next look.
        let mut ids = HashSet::new();
        for file in new {
            let same = before.get(&file.path).filter(|(written, _)| *written == file.written);
            let since = same.map_or(at, |(_, since)| *since);
            // By the file's time; if that is still to come, by what was seen.
            let rest = file.written.at.and_then(|written| now.duration_since(written).ok());
            let rest = rest.unwrap_or_else(|| at.saturating_duration_since(since));
            if rest < self.plan.settle {
                self.waiting.insert(file.path, (file.written, since));
            } else if found.len() < room && ids.insert(file.id) {
                found.push(InputSpec::new(&file.path));
                self.taken.add(file);
            }
        }
        found.truncate(room);
        found
    }

    /// Files that were not read, and other names of those that were.
    fn look(&mut self) -> (Vec<Seen>, Vec<InputSpec>) {
        let listing = match list_inputs(&self.plan.dir) {
            Ok(listing) => listing,
            Err(error) => {
                self.ended.get_or_insert(error.cause);
                return (Vec::new(), Vec::new());
            }
        };
        let mut missed = listing.missed;
        let mut files = Vec::new();
        for path in listing.paths.iter().filter(|path| !is_hidden(path)) {
            match Seen::of(path) {
                Ok(file) => files.extend(file),
                Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                Err(cause) => {
                    missed.get_or_insert_with(|| format!("{}: {cause}", path.display()));
                }
            }
        }
        let is_whole = missed.is_none();
        if let Some(why) = missed {
            self.missed = (self.missed.0.saturating_add(1), why);
        }
        self.taken.look(files, is_whole)
    }
}

/// Names that begin with a dot are those of files that get another when they are whole.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}
