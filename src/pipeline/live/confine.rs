//! The privileges that a live run keeps, and their report.
//!
//! Owns: the list of paths that the rest of the run needs. In: the plan, the open sockets. Out: a
//! confined process, or an error. Never: a path that only an attacker would want.

use std::collections::BTreeSet;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use crate::config::{Output, Plan, SessionLines};
use crate::model::Error;
use crate::pipeline::live::request::LiveRun;
use crate::sandbox::{self, Confinement};

/// What a run reads beside its own files: interface counters, and the name databases that filters
/// use.
const READ_ALWAYS: [&str; 5] =
    ["/sys/class/net", "/sys/devices", "/etc/services", "/etc/protocols", "/etc/nsswitch.conf"];

/// Drops every privilege that the rest of the run does not need, and reports the result. The
/// sockets are open, no thread has started, no file has been written.
pub(super) fn confine(
    run: &LiveRun,
    (sockets, words): (Vec<RawFd>, Option<(RawFd, usize)>),
    spools: Vec<PathBuf>,
) -> Result<(), Error> {
    let live = &run.live;
    let Some(user) = &live.user else {
        (run.tell)("sandbox: off, as asked: the process could still send");
        return Ok(());
    };
    let loaded = loaded_again(&live.plan);
    let mut read: BTreeSet<PathBuf> = READ_ALWAYS.iter().map(PathBuf::from).collect();
    for path in &loaded {
        let (paths, alone) = replaceable(path);
        if alone {
            (run.tell)(&format!(
                "sandbox: {}: it stays readable itself, not its directory: change it in place \
                 before SIGHUP",
                path.display()
            ));
        }
        read.extend(paths);
    }
    let mut write = written(&live.plan)?;
    write.extend(spools);
    let (user, read) = (user.clone(), read.into_iter().collect());
    let confinement = Confinement { user, read, write, sockets, words, ..Confinement::default() };
    let steps = sandbox::enter(&confinement)?;
    let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
    (run.tell)(&format!("sandbox: {}", steps.join("; ")));
    for path in &loaded {
        if let Some(obstacle) = sandbox::unreadable(path) {
            (run.tell)(&format!(
                "sandbox: {}: SIGHUP will not be able to read it again: user {} {obstacle}",
                path.display(),
                confinement.user
            ));
        }
    }
    Ok(())
}

/// The paths that SIGHUP reloads.
fn loaded_again(plan: &Plan) -> Vec<PathBuf> {
    let own = [
        &plan.geo,
        &plan.lists,
        &plan.signatures,
        &plan.subjects,
        &plan.pseudonymise,
        &plan.config,
    ];
    let rules = plan.rules.iter().chain(&plan.rules_only);
    own.into_iter().flatten().chain(rules).cloned().collect()
}

/// What must stay readable so that `path` can be reloaded after another file or directory was moved
/// to its place. A Landlock rule applies to the object that has the name now, so it is made for the
/// directory that contains the name, and for the one that a link leads to. The flag: that would
/// have been the whole file system, so only the present object stays readable.
fn replaceable(path: &Path) -> (Vec<PathBuf>, bool) {
    let named = std::path::absolute(path).ok();
    let real = std::fs::canonicalize(path).ok();
    let parent = |path: &PathBuf| path.parent().map(Path::to_path_buf);
    let parents: BTreeSet<PathBuf> =
        named.iter().chain(&real).filter_map(parent).filter(|dir| dir.parent().is_some()).collect();
    let alone = parents.is_empty();
    (parents.into_iter().chain([path.to_path_buf()]).collect(), alone)
}

/// The directories for output, created if missing.
fn written(plan: &Plan) -> Result<Vec<PathBuf>, Error> {
    let mut write = Vec::new();
    if let Output::Dir { path, .. } = &plan.output {
        std::fs::create_dir_all(path).map_err(|cause| {
            Error::new(format!("output directory {}", path.display()), cause.to_string())
                .help("choose a directory that can be created and written to")
        })?;
        write.push(path.clone());
    }
    write.extend(plan.state.clone());
    if let SessionLines::To(path) = &plan.sessions
        && path.as_os_str() != "-"
    {
        // A pipe or a device is opened as it is; a file is created beside it, then renamed.
        let special = std::fs::metadata(path).is_ok_and(|data| !data.is_file());
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        write.push(if special { path } else { parent.unwrap_or(Path::new(".")) }.to_path_buf());
    }
    Ok(write)
}

#[cfg(test)]
mod tests {
    use super::replaceable;
    use std::path::{Path, PathBuf};

    #[test]
    fn the_directory_stays_readable_so_that_another_file_may_take_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let real = std::fs::canonicalize(dir.path()).unwrap();
        std::fs::create_dir(real.join("v1")).unwrap();
        std::fs::write(real.join("v1/staff.csv"), "").unwrap();
        let link = real.join("staff.csv");
        std::os::unix::fs::symlink(real.join("v1/staff.csv"), &link).unwrap();
        let (paths, alone) = replaceable(&link);
        assert_eq!(paths, [real.clone(), real.join("v1"), link]);
        assert!(!alone);
    }

    #[test]
    fn the_root_directory_is_never_made_readable() {
        let (paths, alone) = replaceable(Path::new("/proc"));
        assert_eq!(paths, [PathBuf::from("/proc")]);
        assert!(alone);
    }
}
