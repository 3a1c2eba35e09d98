//! Least privilege: limits what the process can do once its sockets are open.
//!
//! Owns: the order of the steps and their reports. In: a user's name, the paths to read and write.
//! Out: one report per step. Never: opens a socket, starts a thread, or fails silently.
//!
//! Call it after the sockets are open and before any thread starts: user, capabilities, Landlock
//! and seccomp are properties of threads, and new threads inherit them.

mod cores;
mod paths;
mod privilege;
mod sockets;
mod syscalls;

pub use cores::forbid_cores;
pub use privilege::Obstacle;

use std::fmt;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use nix::unistd::AccessFlags;

use crate::model::Error;

/// What the process may keep.
#[derive(Clone, Debug, Default)]
pub struct Confinement {
    /// The user to switch to if started as root.
    pub user: String,
    /// Files and directories that stay readable, with their contents. Missing ones are skipped.
    pub read: Vec<PathBuf>,
    /// Directories that stay writable, with their contents, and pipes or devices. They must exist;
    /// a directory that this process created is given to the user.
    pub write: Vec<PathBuf>,
    /// Open sockets. Writing to them is denied from then on, as is writing to any other socket of
    /// this process above standard error.
    pub sockets: Vec<RawFd>,
    /// A socket to which `write` may send messages of exactly this many bytes, and nothing else.
    pub words: Option<(RawFd, usize)>,
    /// It is there to send: system calls are not limited, and there is no step for them.
    pub sends: bool,
    /// It shows something in a terminal, whose modes it changes.
    pub terminal: bool,
}

impl Confinement {
    fn known_sockets(&self) -> Vec<RawFd> {
        self.sockets.iter().copied().chain(self.words.map(|(socket, _)| socket)).collect()
    }
}

/// How far a step succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepResult {
    /// Fully.
    Full(String),
    /// Partly or not at all, and why: an old kernel, a missing feature. The run continues.
    Partly(String),
}

/// One step and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `user`, `capabilities`, `landlock` or `seccomp`.
    pub name: &'static str,
    /// Its result.
    pub result: StepResult,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            StepResult::Full(what) => write!(f, "{}: {what}", self.name),
            StepResult::Partly(why) => write!(f, "{}: not in full: {why}", self.name),
        }
    }
}

/// Drops every privilege that the rest of the run does not need. It cannot be undone.
///
/// Errors: an unknown user, a directory that the user cannot write to, a step that the kernel
/// offers but refuses. Some steps may have been taken by then: the caller must exit.
pub fn enter(confinement: &Confinement) -> Result<Vec<Step>, Error> {
    // First: afterwards the descriptor table may belong to another user.
    let (sockets, complete) = sockets::open_sockets(&confinement.known_sockets());
    let user = privilege::become_user(confinement)?;
    // Behind the change of user, which may undo it (prctl(2), PR_SET_DUMPABLE).
    cores::forbid_cores()?;
    let capabilities = privilege::drop_capabilities()?;
    let landlock = paths::confine(confinement)?;
    let mut steps = vec![
        Step { name: "user", result: user },
        Step { name: "capabilities", result: capabilities },
        Step { name: "landlock", result: landlock },
    ];
    if !confinement.sends {
        let result = syscalls::confine(confinement, &sockets, complete)?;
        steps.push(Step { name: "seccomp", result });
    }
    Ok(steps)
}

/// What a process beside the run has to say of its steps: those that did not succeed in full.
pub fn gaps(process: &str, steps: &[Step]) -> Vec<String> {
    let gaps = steps.iter().filter(|step| matches!(step.result, StepResult::Partly(_)));
    gaps.map(|step| format!("sandbox of the process for {process}: {step}")).collect()
}

/// What prevents this process, with its current privileges, from reading a path.
pub fn unreadable(path: &Path) -> Option<Obstacle> {
    privilege::obstacle(path, AccessFlags::R_OK)
}

/// An error in a step.
fn failed(step: &'static str, cause: impl fmt::Display) -> Error {
    Error::new(format!("sandbox, {step}"), cause.to_string())
        .help("add --no-sandbox to run without it, and please report what this says")
}
