//! Who the process is, and what the kernel lets it do for being so.
//!
//! Owns: the change of user and the end of capabilities. In: a user's name. Out: what was given up.
//! Never: keeps a group or a capability of root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use caps::CapSet;
use nix::unistd::AccessFlags;
use nix::unistd::Gid;
use nix::unistd::Uid;
use nix::unistd::User;

use crate::model::Error;
use crate::sandbox::Confinement;
use crate::sandbox::Reached;
use crate::sandbox::failed;

/// Becomes the user, where the process is root; another user stays who it is.
pub(super) fn become_user(confinement: &Confinement) -> Result<Reached, Error> {
    let name = confinement.user.as_str();
    if !Uid::effective().is_root() {
        return Ok(Reached::Full(format!("stays user id {}", Uid::effective())));
    }
    if name == "root" {
        return Ok(Reached::Partly("stays root, as asked".to_owned()));
    }
    let user = User::from_name(name).map_err(|e| failed("user", e))?.ok_or_else(|| {
        Error::new(format!("user `{name}`"), "there is no such user")
            .help("name one with --user, or make it: useradd --system --no-create-home longhaul")
    })?;
    for dir in &confinement.write {
        give(dir, &user)?;
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
    Ok(Reached::Full(format!("{name} ({}:{})", user.uid, user.gid)))
}

/// A directory of root's with nothing in it is the one this run has just made, or as good as it.
fn give(dir: &Path, user: &User) -> Result<(), Error> {
    let owned = fs::metadata(dir).is_ok_and(|data| data.uid() == 0);
    let empty = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    if owned && empty {
        nix::unistd::chown(dir, Some(user.uid), Some(user.gid)).map_err(|e| failed("user", e))?;
    }
    Ok(())
}

fn check_writable(dir: &Path, name: &str) -> Result<(), Error> {
    nix::unistd::access(dir, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|cause| {
        let what = format!("directory {}", dir.display());
        Error::new(what, format!("user {name} may not write to it: {cause}"))
            .help(format!("chown it to {name}, or name another user with --user"))
    })
}

/// Ends every capability of this thread and of those it will start.
pub(super) fn drop_capabilities() -> Result<Reached, Error> {
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).map_err(|e| failed("capabilities", e))?;
    }
    let left = caps::read(None, CapSet::Permitted).map_err(|e| failed("capabilities", e))?;
    if !left.is_empty() {
        return Err(failed("capabilities", format!("{} are left", left.len())));
    }
    Ok(Reached::Full("none kept".to_owned()))
}
