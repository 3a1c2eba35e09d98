//! Keeps memory that holds secrets out of core files, and from other processes of the same user.

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::model::Error;
use crate::sandbox::failed;

/// No core of this process is written from now on, by the kernel or by a program that the kernel
/// hands it to (core(5): a limit alone does not keep it from one). Call it before a secret is read.
pub fn forbid_cores() -> Result<(), Error> {
    // A confined process may ask, and has nothing to change.
    if prctl::get_dumpable().map_err(|e| failed("cores", e))? {
        prctl::set_dumpable(false).map_err(|e| failed("cores", e))?;
    }
    if getrlimit(Resource::RLIMIT_CORE).map_err(|e| failed("cores", e))? != (0, 0) {
        setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|e| failed("cores", e))?;
    }
    Ok(())
}
