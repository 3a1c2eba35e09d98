//! Kills of a run that keeps a state.

use crate::Case;
use crate::Kind;
use crate::ledger_kill::killed_and_begun_again;

/// The cases.
pub fn cases() -> Vec<Case> {
    let run = || killed_and_begun_again(100);
    vec![Case { name: "ledger-killed-100-times", kind: Kind::Kill, run }]
}
