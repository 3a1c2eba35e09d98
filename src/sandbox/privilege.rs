//! User identity and capabilities.
//!
//! Owns: the change of user and dropping capabilities. In: a user's name. Out: what was dropped.
//! Never: keeps a group or a capability of root.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use caps::CapSet;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, Gid, Uid, User};

use crate::model::Error;
use crate::sandbox::{Confinement, StepResult, failed};

/// Directories that a run makes are nested less deep.
const DEPTH: usize = 3;

/// Switches to the user if started as root; any other user stays as is.
pub(super) fn become_user(confinement: &Confinement) -> Result<StepResult, Error> {
    let name = confinement.user.as_str();
    if !Uid::effective().is_root() {
        return Ok(StepResult::Full(format!("stays user id {}", Uid::effective())));
    }
    if name == "root" {
        return Ok(StepResult::Partly("stays root, as asked".to_owned()));
    }
    let user = User::from_name(name).map_err(|e| failed("user", e))?.ok_or_else(|| {
        Error::new(format!("user `{name}`"), "there is no such user")
            .help("name one with --user, or make it: useradd --system --no-create-home longhaul")
    })?;
    for dir in &confinement.write {
        give_to_user(dir, &user)?;
    }
    nix::unistd::setgroups(&[]).map_err(|e| failed("groups", e))?;
    nix::unistd::setgid(user.gid).map_err(|e| failed("group", e))?;
    nix::unistd::setuid(user.uid).map_err(|e| failed("user", e))?;
    if Uid::effective().is_root() || Gid::effective().as_raw() == 0 {
        return Err(failed("user", "still root after becoming another user"));
    }
    for dir in &confinement.write {
        check_writable(dir, name)?;
    }
    Ok(StepResult::Full(format!("{name} ({}:{})", user.uid, user.gid)))
}

/// A directory owned by root that holds nothing but such directories was created by this run, or
/// might as well have been.
fn give_to_user(dir: &Path, user: &User) -> Result<(), Error> {
    let mut made = Vec::new();
    if is_made_for_run(dir, DEPTH, &mut made) {
        for dir in &made {
            let owner = (Some(user.uid), Some(user.gid));
            nix::unistd::chown(dir, owner.0, owner.1).map_err(|e| failed("user", e))?;
        }
    }
    Ok(())
}

/// Lists a directory and those below it; whether they are all there is, and root's.
fn is_made_for_run(dir: &Path, depth: usize, made: &mut Vec<PathBuf>) -> bool {
    let owned = fs::symlink_metadata(dir).is_ok_and(|data| data.is_dir() && data.uid() == 0);
    let Ok(mut entries) = fs::read_dir(dir) else { return false };
    made.push(dir.to_path_buf());
    let below = depth.checked_sub(1);
    owned
        && entries.all(|entry| {
            let path = entry.map(|entry| entry.path());
            path.is_ok_and(|path| below.is_some_and(|depth| is_made_for_run(&path, depth, made)))
        })
}

fn check_writable(path: &Path, name: &str) -> Result<(), Error> {
    let is_dir = fs::metadata(path).is_ok_and(|data| data.is_dir());
    let enter = if is_dir { AccessFlags::X_OK } else { AccessFlags::empty() };
    let Some(obstacle) = obstacle(path, AccessFlags::W_OK | enter) else { return Ok(()) };
    let what = format!("{} {}", if is_dir { "directory" } else { "file" }, path.display());
    let error = Error::new(what, format!("user {name} {obstacle}"));
    Err(match obstacle.path == path {
        true => error.help(format!("chown it to {name}, or name another user with --user")),
        false => error.help(format!(
            "chmod o+x {}, choose a directory elsewhere, or name another user with --user",
            obstacle.path.display()
        )),
    })
}

/// What prevents this process from accessing a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The path itself, or the first directory above it that cannot be entered.
    pub path: PathBuf,
    /// The mode, if it is a directory above the path.
    passage: Option<u32>,
    cause: Errno,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.passage {
            Some(mode) => {
                write!(f, "may not pass through {path} (mode {mode:04o}): {}", self.cause)
            }
            None => write!(f, "has no access to {path}: {}", self.cause),
        }
    }
}

/// Finds what prevents access to a path: the path itself, or a directory above it.
pub(super) fn obstacle(path: &Path, access: AccessFlags) -> Option<Obstacle> {
    let cause = nix::unistd::access(path, access).err()?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut above: Vec<&Path> = absolute.ancestors().skip(1).collect();
    above.reverse();
    for dir in above {
        if let Err(cause) = nix::unistd::access(dir, AccessFlags::X_OK) {
            let mode = fs::metadata(dir).map_or(0, |data| data.mode() & 0o7777);
            return Some(Obstacle { path: dir.to_path_buf(), passage: Some(mode), cause });
        }
    }
    Some(Obstacle { path: path.to_path_buf(), passage: None, cause })
}

/// Drops every capability of this thread and of threads it starts.
pub(super) fn drop_capabilities() -> Result<StepResult, Error> {
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).map_err(|e| failed("capabilities", e))?;
    }
    let left = caps::read(None, CapSet::Permitted).map_err(|e| failed("capabilities", e))?;
    if !left.is_empty() {
        return Err(failed("capabilities", format!("{} are left", left.len())));
    }
    Ok(StepResult::Full("none kept".to_owned()))
}
