//! A directory whose files are read as they are finished.
//!
//! Owns: which files are whole, the wait for more. In: a directory, the system's clock. Out:
//! inputs, each once. Never: a file that was written to a moment ago, or an end of the run because
//! the directory cannot be listed for a while.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::capture::{InputSpec, Interrupt, MAX_FILES, MergedSource, expand_inputs};
use crate::config::{Following, PointBy};
use crate::decode::TunnelSet;
use crate::emit::Origin;
use crate::pipeline::decap_config::{Off, tunnels_of};
use crate::pipeline::prepare::{Points, Prepared};

/// Between two looks into the directory.
const LOOK: Duration = Duration::from_millis(500);

/// What is followed, and what was read.
pub(super) struct Follow {
    plan: Following,
    taken: HashSet<PathBuf>,
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
            taken: prepared.inputs.iter().map(|input| input.path.clone()).collect(),
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

    /// Why it ended without a signal, if it did.
    pub(super) fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// The files that have become whole; none if the run is to end.
    #[allow(clippy::disallowed_methods, reason = "nothing tells when a file of a share is closed")]
    fn wait(&mut self, room: usize) -> Vec<InputSpec> {
        if room == 0 {
            self.ended = Some(format!("it has read {MAX_FILES} files, the most of one run"));
        }
        while self.ended.is_none() && !self.interrupt.is_requested() {
            let mut found = self.whole();
            found.truncate(room);
            if !found.is_empty() {
                self.taken.extend(found.iter().map(|input| input.path.clone()));
                return found;
            }
            thread::sleep(LOOK);
        }
        Vec::new()
    }

    /// Files that were not read and not written to for a while.
    #[allow(clippy::disallowed_methods, reason = "it is compared with the times of files")]
    fn whole(&mut self) -> Vec<InputSpec> {
        let all = match expand_inputs(std::slice::from_ref(&self.plan.dir)) {
            Ok(all) => all,
            Err(error) => {
                self.ended = Some(error.cause);
                return Vec::new();
            }
        };
        // A name that is gone may come again, and what is remembered stays bounded.
        let there: HashSet<&Path> = all.iter().map(|input| input.path.as_path()).collect();
        self.taken.retain(|path| there.contains(path.as_path()));
        let now = SystemTime::now();
        let is_whole = |input: &InputSpec| {
            let meta = fs::metadata(&input.path).ok().filter(fs::Metadata::is_file);
            let written = meta.and_then(|meta| meta.modified().ok());
            let since = written.and_then(|written| now.duration_since(written).ok());
            since.is_some_and(|since| since >= self.plan.settle)
        };
        all.into_iter()
            .filter(|input| !self.taken.contains(&input.path) && !is_hidden(&input.path))
            .filter(is_whole)
            .collect()
    }
}

/// Names that begin with a dot are those of files that get another when they are whole.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}
