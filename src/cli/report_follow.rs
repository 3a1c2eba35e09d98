//! `longhaul report --follow`: the report of a live run, written again at each finished set.
//!
//! Owns: when it is written. In: the directory of the sets; the end of standard input. Out: the
//! file, replaced whole. Never: a part in the run: it is a process of its own, so that a long
//! report makes no packet wait.

use std::path::Path;
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
use crate::sinks::files::OutFile;

/// How often finished sets are looked for.
const EVERY: Duration = Duration::from_secs(2);

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
        sandbox::enter(&Confinement { user, read, write, sends: true, ..Confinement::default() })?;
    }
    let (end, ended) = channel();
    std::thread::spawn(move || {
        // An error ends the input as well.
        drop(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
        // Nobody waits any more if this fails.
        let _ = end.send(());
    });
    let mut last = None;
    loop {
        let is_over = ended.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
        let sets = Results::open(dir).map(|results| results.names()).unwrap_or_default();
        if !sets.is_empty() && last.as_ref() != Some(&sets) {
            // A set may be deleted while it is read: the next round sees what is left.
            if let Err(error) = write_once(dir, target, SETS) {
                cli::print_warnings(&[(error.what, error.cause)]);
            }
            last = Some(sets);
        }
        if is_over {
            return Ok(());
        }
    }
}

/// Writes the report of the last sets of a directory, without a word if all is well.
fn write_once(run: &Path, target: &Path, sets: usize) -> Result<(), Error> {
    let case = Case::read(&Results::open(run)?.last(sets), None)?;
    let mut file = OutFile::create(target)?;
    file.write(render(&case).as_bytes())?;
    file.finish()
}

/// The process that does so for a live run; dropping it waits for its last report.
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
        // It has said what went wrong itself.
        drop(self.0.wait());
    }
}
