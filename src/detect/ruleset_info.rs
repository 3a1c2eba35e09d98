//! The identity of a set of rules.

use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::detect::load::{Origin, RuleFile};
use crate::model::Nanos;

/// The description of the rules in run.json.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleSetInfo {
    /// `embedded`, or the directory's own name.
    pub name: String,
    /// Rules in it.
    pub count: usize,
    /// The first twelve digits of the hash, for people.
    pub build: String,
    /// The date of its newest rule; absent if no rule has a date.
    #[serde(skip)]
    pub built_at: Option<Nanos>,
    /// SHA-256 over names and texts of its files, in hexadecimal.
    pub sha256: String,
}

impl RuleSetInfo {
    /// A set is as old as its newest rule.
    pub(super) fn new(origin: &Origin, count: usize, built_at: Option<Nanos>) -> RuleSetInfo {
        let sha256 = digest(&origin.root, &origin.files);
        let build = sha256.chars().take(12).collect();
        RuleSetInfo { name: origin.name.clone(), count, build, built_at, sha256 }
    }
}

fn digest(root: &Path, files: &[RuleFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        let path = file.path.strip_prefix(root).unwrap_or(&file.path);
        hash.update(path.to_string_lossy().as_bytes());
        hash.update([0]);
        hash.update(file.text.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
