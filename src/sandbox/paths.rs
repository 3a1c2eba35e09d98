//! Which files the process may still open: Landlock (Linux 5.13 and later).
//!
//! Owns: the rule set. In: paths to read and to write. Out: how much of it the kernel enforces.
//! Never: a path that the run did not name.

use landlock::ABI;
use landlock::Access;
use landlock::AccessFs;
use landlock::AccessNet;
use landlock::BitFlags;
use landlock::CompatLevel;
use landlock::Compatible;
use landlock::PathBeneath;
use landlock::PathFd;
use landlock::PathFdError;
use landlock::Ruleset;
use landlock::RulesetAttr;
use landlock::RulesetCreated;
use landlock::RulesetCreatedAttr;
use landlock::RulesetError;
use landlock::RulesetStatus;

use crate::model::Error;
use crate::sandbox::Confinement;
use crate::sandbox::Reached;
use crate::sandbox::failed;

/// The newest interface whose rights are handled; older kernels enforce those they know.
const ABI_WANTED: ABI = ABI::V5;

/// Confines this thread, and those it will start, to the given paths. TCP can be neither bound nor
/// connected.
pub(super) fn confine(confinement: &Confinement) -> Result<Reached, Error> {
    let status = restrict(confinement).map_err(|e| failed("landlock", e))?;
    let read = confinement.read.len();
    let write = confinement.write.len();
    Ok(match status {
        RulesetStatus::FullyEnforced => {
            Reached::Full(format!("{read} paths readable, {write} writable, no TCP"))
        }
        RulesetStatus::PartiallyEnforced => Reached::Partly(format!(
            "{read} paths readable, {write} writable; this kernel knows only some of the rights"
        )),
        RulesetStatus::NotEnforced => Reached::Partly("this kernel has no Landlock".to_owned()),
    })
}

fn restrict(confinement: &Confinement) -> Result<RulesetStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI_WANTED))?
        .handle_access(AccessNet::from_all(ABI_WANTED))?
        .create()?;
    for path in &confinement.read {
        rules = allow(rules, PathFd::new(path), AccessFs::from_read(ABI_WANTED))?;
    }
    for path in &confinement.write {
        rules = allow(rules, PathFd::new(path), AccessFs::from_all(ABI_WANTED))?;
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// A path that cannot be opened now cannot be opened later either: no rule is needed for it.
fn allow(
    rules: RulesetCreated,
    path: Result<PathFd, PathFdError>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match path {
        Ok(path) => rules.add_rule(PathBeneath::new(path, access)),
        Err(_) => Ok(rules),
    }
}
