//! `longhaul report --follow`: the report of a live run, written again at each finished set.
//!
//! Owns: when it is written. In: the directory of the sets; the end of standard input. Out: the
//! file, replaced whole. Never: a part in the run: it is a process of its own, so that a long
//! report makes no packet wait. It reads what captured packets chose, so it keeps no way to any
//! network.

#![allow(clippy::disallowed_methods, reason = "a process that is to end has no queue to wait on")]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::cli;
use crate::model::Error;
use crate::report::html::{Case, render};
use crate::results::Results;
use crate::sandbox::{self, Confinement};
use crate::sinks::files::{OutFile, abandon};

/// How often finished sets are looked for.
const EVERY: Duration = Duration::from_secs(2);

/// A report that failed is tried again after so many looks, and at once if a set has changed.
const PAUSE: u32 = 15;

/// How long the last report may take, once the run is over.
const END_WAIT: Duration = Duration::from_secs(20);

/// The run waits a little longer, so that this process says itself why there is none.
const END_GRACE: Duration = Duration::from_secs(2);

/// The last sets that a report is about: a day of hours.
const SETS: usize = 24;

/// Writes the report of a directory again and again, until standard input ends.
pub(super) fn run(dir: &Path, target: &Path, user: Option<&str>) -> Result<(), Error> {
    // Signals are for the run: this process ends after it.
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ignored))
            .map_err(|e| Error::new("signals", e.to_string()))?;
    }
    if let Some(user) = user {
        let dirs = vec![dir.to_path_buf()];
        let user = user.to_owned();
        let (read, write) = (dirs.clone(), dirs);
        let steps = sandbox::enter(&Confinement { user, read, write, ..Confinement::default() })?;
        cli::print_notes(&sandbox::gaps("report", &steps));
    }
    let (end, ended) = channel();
    std::thread::spawn(move || {
        // An error ends the input as well.
        drop(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
        // Nobody waits any more if this fails.
        let _ = end.send(());
        std::thread::sleep(END_WAIT);
        let cause = format!("the last one takes longer than {} s: it is given up", seconds());
        cli::print_warnings(&[("report".to_owned(), cause)]);
        abandon();
        std::process::exit(1);
    });
    let (mut written, mut tried, mut pause) = (None, None, 0);
    loop {
        let is_over = ended.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
        pause = u32::saturating_sub(pause, 1);
        let sets = sets(dir);
        let is_due = is_over || pause == 0 || tried.as_ref() != Some(&sets);
        if !sets.is_empty() && written.as_ref() != Some(&sets) && is_due {
            // A set may be deleted while it is read: the next round sees what is left.
            match write_once(dir, target, SETS) {
                Ok(()) => written = Some(sets.clone()),
                Err(error) => {
                    cli::print_warnings(&[(error.what, error.cause)]);
                    pause = PAUSE;
                }
            }
            tried = Some(sets);
        }
        if is_over {
            return Ok(());
        }
    }
}

const fn seconds() -> u64 {
    END_WAIT.as_secs()
}

/// A set, and what tells whether it was written again: inode, length and time of its run.json.
type Set = (PathBuf, Option<(u64, u64, i64, i64)>);

fn sets(dir: &Path) -> Vec<Set> {
    let Ok(results) = Results::open(dir) else { return Vec::new() };
    let stamp = |set: &PathBuf| {
        let data = std::fs::metadata(set.join("run.json")).ok()?;
        Some((data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
    };
    results.last(SETS).names().into_iter().map(|set| (set.clone(), stamp(&set))).collect()
}

/// Writes the report of the last sets of a directory, without a word if all is well.
fn write_once(run: &Path, target: &Path, sets: usize) -> Result<(), Error> {
    let case = Case::read(&Results::open(run)?.last(sets), None)?;
    let mut file = OutFile::create(target)?;
    file.write(render(&case).as_bytes())?;
    file.finish()
}

/// The process that does so for a live run; dropping it waits for its last report, within bounds.
pub(super) struct Follower(Child);

impl Follower {
    /// Starts it.
    pub(super) fn start(dir: &Path, user: Option<&str>) -> Result<Follower, Error> {
        let failed = |cause: std::io::Error| Error::new("report", cause.to_string());
        // Made here as the run makes it, so that both are there for the sandbox.
        std::fs::create_dir_all(dir).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg("report").arg(dir).arg("--follow");
        if let Some(user) = user {
            command.args(["--user", user]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().map(Follower).map_err(failed)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // If it has ended, it has said what went wrong itself.
        if !ends_within(&mut self.0, END_WAIT + END_GRACE) {
            let note = "report: its process does not end and is waited for no longer: the report \
                        may be that of earlier sets";
            cli::print_notes(&[note.to_owned()]);
        }
    }
}

/// Waits for the end of a process, then tries to kill it: a run that is confined may not.
fn ends_within(child: &mut Child, time: Duration) -> bool {
    const STEP: Duration = Duration::from_millis(10);
    for _ in 0..=time.as_millis() / STEP.as_millis() {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return true;
        }
        std::thread::sleep(STEP);
    }
    if child.kill().is_ok() {
        // It was killed: its end is at hand.
        drop(child.wait());
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_waits_a_bounded_time() {
        let lasting = |seconds: &str| Command::new("sleep").arg(seconds).spawn().unwrap();
        assert!(ends_within(&mut lasting("0"), END_WAIT));
        let mut child = lasting("600");
        assert!(!ends_within(&mut child, Duration::from_millis(50)));
        assert!(matches!(child.try_wait(), Ok(Some(_))), "nothing is left running");
    }
}
