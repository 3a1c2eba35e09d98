//! Limits the files that the process can open: Landlock (Linux 5.13 and later).
//!
//! Owns: the rule set. In: paths to read and to write. Out: how much of it the kernel enforces.
//! Never: allows a path that the run did not name, or executing a program.

use std::fs;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use crate::model::Error;
use crate::sandbox::{Confinement, StepResult, failed};

/// The newest ABI whose rights are requested; an older kernel enforces those that it knows.
const ABI_WANTED: ABI = ABI::V7;

/// What an ABI older than this does not restrict, as shown to the user.
const SINCE: [(i32, &str); 4] = [
    (3, "cutting files short outside these paths"),
    (4, "TCP"),
    (5, "commands to devices"),
    (6, "signals to other processes, abstract sockets"),
];

/// Confines this thread, and threads it starts, to the given paths. TCP bind is denied, connect is
/// too unless the process is there to send, and so are signals to other processes.
pub(super) fn confine(confinement: &Confinement) -> Result<StepResult, Error> {
    let status = restrict(confinement).map_err(|e| failed("landlock", e))?;
    Ok(describe(&status, confinement))
}

fn describe(status: &RestrictionStatus, confinement: &Confinement) -> StepResult {
    let (read, write) = (confinement.read.len(), confinement.write.len());
    let tcp = if confinement.sends { "no TCP from others" } else { "no TCP" };
    let paths = format!("{read} paths readable, {write} writable");
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as i32,
        LandlockStatus::NotEnabled => {
            return StepResult::Partly("this kernel has Landlock switched off".to_owned());
        }
        LandlockStatus::NotImplemented => {
            return StepResult::Partly("this kernel has no Landlock".to_owned());
        }
    };
    let open: Vec<&str> = SINCE.iter().filter(|(n, _)| abi < *n).map(|(_, what)| *what).collect();
    match (status.ruleset == RulesetStatus::FullyEnforced, open.is_empty()) {
        (true, _) => StepResult::Full(format!("{paths}, {tcp}, no signals to others")),
        (false, false) => StepResult::Partly(format!(
            "{paths}; version {abi} of it, in this kernel, leaves open: {}",
            open.join("; ")
        )),
        (false, true) => StepResult::Partly(format!("{paths}; the kernel did not take all of it")),
    }
}

fn restrict(confinement: &Confinement) -> Result<RestrictionStatus, RulesetError> {
    let net = match confinement.sends {
        true => AccessNet::BindTcp.into(),
        false => AccessNet::from_all(ABI_WANTED),
    };
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI_WANTED))?
        .handle_access(net)?
        .scope(Scope::from_all(ABI_WANTED))?
        .create()?;
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write = make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir
    });
    for path in &confinement.read {
        rules = allow(rules, path, read)?;
    }
    for path in &confinement.write {
        rules = allow(rules, path, write)?;
    }
    rules.restrict_self()
}

/// A path that cannot be opened now cannot be opened later either, and needs no rule. The kernel
/// rejects directory rights for anything else, and would count the rule as partly enforced.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let is_dir = fs::metadata(path).is_ok_and(|data| data.is_dir());
    let access = if is_dir { access } else { access & AccessFs::from_file(ABI_WANTED) };
    match PathFd::new(path) {
        Ok(path) => rules.add_rule(PathBeneath::new(path, access)),
        Err(_) => Ok(rules),
    }
}
