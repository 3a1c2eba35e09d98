//! Least privilege: what the process may still do once its sockets are open.
//!
//! Owns: the order of the steps and their reports. In: a user's name, the paths to read and write.
//! Out: one report a step. Never: opens a socket, starts a thread, or fails in silence.
//!
//! Call it after the sockets are open and before any thread starts: user, capabilities, Landlock
//! and seccomp are properties of threads, and new threads inherit them.

mod paths;
mod privilege;
mod sockets;
mod syscalls;

pub use privilege::Obstacle;

use std::fmt;
use std::os::fd::RawFd;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::AccessFlags;

use crate::model::Error;

/// What the process keeps.
#[derive(Clone, Debug, Default)]
pub struct Confinement {
    /// The user to become where the process is root.
    pub user: String,
    /// Files and directories that stay readable, with what is below them. What does not exist is
    /// left out.
    pub read: Vec<PathBuf>,
    /// Directories that stay writable, with what is below them, and pipes or devices. They must
    /// exist; a directory that this process made is given to the user.
    pub write: Vec<PathBuf>,
    /// Sockets that are open. Nothing can be written to them any more, nor to any other socket
    /// that this process has above standard error.
    pub sockets: Vec<RawFd>,
}

/// How far a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// All of it.
    Full(String),
    /// Part of it, or nothing, and why: an old kernel, a missing feature. The run goes on.
    Partly(String),
}

/// One step and how far it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `user`, `capabilities`, `landlock` or `seccomp`.
    pub name: &'static str,
    /// How far it went.
    pub reached: Reached,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reached {
            Reached::Full(what) => write!(f, "{}: {what}", self.name),
            Reached::Partly(why) => write!(f, "{}: not in full: {why}", self.name),
        }
    }
}

/// Gives up everything that the rest of the run does not need. There is no way back.
///
/// Errors: a user that does not exist, a directory that user may not write to, a step that the
/// kernel refuses although it offers it. Some steps may have been taken then: the caller must end.
pub fn enter(confinement: &Confinement) -> Result<Vec<Step>, Error> {
    // First: afterwards the table of descriptors may be another user's.
    let (sockets, complete) = sockets::open_sockets(&confinement.sockets);
    let user = privilege::become_user(confinement)?;
    let capabilities = privilege::drop_capabilities()?;
    let landlock = paths::confine(confinement)?;
    let seccomp = syscalls::confine(&sockets, complete)?;
    Ok(vec![
        Step { name: "user", reached: user },
        Step { name: "capabilities", reached: capabilities },
        Step { name: "landlock", reached: landlock },
        Step { name: "seccomp", reached: seccomp },
    ])
}

/// What keeps this process, as it is now, from reading a path.
pub fn unreadable(path: &Path) -> Option<Obstacle> {
    privilege::obstacle(path, AccessFlags::R_OK)
}

/// An error of a step.
fn failed(step: &'static str, cause: impl fmt::Display) -> Error {
    Error::new(format!("sandbox, {step}"), cause.to_string())
        .help("add --no-sandbox to run without it, and please report what this says")
}
