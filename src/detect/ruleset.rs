//! A set of rules, ready to run.
//!
//! Owns: the rules, the fields they cannot do without, their identity. In: finished records.
//! Out: alerts. Never: state between records; work for rules whose fields are absent.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::detect::alert::SourceCatalog;
use crate::detect::alert::raise;
use crate::detect::embedded::EMBEDDED;
use crate::detect::fields::Field;
use crate::detect::fields::Shown;
use crate::detect::load::RuleFile;
use crate::detect::load::compile_files;
use crate::detect::load::read_dir;
use crate::detect::rule::Rule;
use crate::model::Alert;
use crate::model::Error;
use crate::model::Record;
use crate::model::SourceInfo;

/// What run.json says of the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleSetInfo {
    /// `embedded`, or the directory's own name.
    pub name: String,
    /// Rules in it.
    pub count: usize,
    /// The first twelve digits of the hash: what people compare.
    pub build: String,
    /// SHA-256 over names and texts of its files, in hexadecimal.
    pub sha256: String,
}

/// Compiled rules. Immutable; shared between workers.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// Optional fields that some rule cannot do without; their presence is looked up once per
    /// record.
    gates: Vec<&'static Field>,
    info: RuleSetInfo,
    source: SourceInfo,
}

impl RuleSet {
    /// The rules of the program.
    ///
    /// Errors: none for a program that passed its tests.
    pub fn embedded() -> Result<RuleSet, Vec<Error>> {
        let files: Vec<RuleFile> = EMBEDDED
            .iter()
            .map(|(path, text)| RuleFile { path: path.into(), text: (*text).to_owned() })
            .collect();
        RuleSet::build("embedded".to_owned(), Path::new(""), &files)
    }

    /// Every rule file below a directory.
    ///
    /// Errors: every error of every file, each with file and line; no rule is loaded then.
    pub fn load_dir(dir: &Path) -> Result<RuleSet, Vec<Error>> {
        let name = dir.file_name().map_or_else(|| "rules".into(), |name| name.to_string_lossy());
        RuleSet::build(name.into_owned(), dir, &read_dir(dir)?)
    }

    /// Rules from one text, as a file of that name would hold.
    ///
    /// Errors: every error of the text.
    pub fn from_text(file: &str, text: &str) -> Result<RuleSet, Vec<Error>> {
        let files = [RuleFile { path: file.into(), text: text.to_owned() }];
        RuleSet::build(file.to_owned(), Path::new(""), &files)
    }

    fn build(name: String, root: &Path, files: &[RuleFile]) -> Result<RuleSet, Vec<Error>> {
        let mut rules = compile_files(files)?;
        rules.sort_by(|a, b| (&a.info.id, &a.info.uuid).cmp(&(&b.info.id, &b.info.uuid)));
        let gates = set_gates(&mut rules);
        let sha256 = digest(root, files);
        let build: String = sha256.chars().take(12).collect();
        let source = SourceInfo {
            kind: "rules",
            name: Arc::from(name.as_str()),
            build: Arc::from(build.as_str()),
            // A set is as old as its newest rule.
            built_at: rules.iter().filter_map(|rule| rule.dated).max(),
        };
        let info = RuleSetInfo { name, count: rules.len(), build, sha256 };
        Ok(RuleSet { rules, gates, info, source })
    }

    /// Name, number of rules and hash, for run.json.
    pub fn info(&self) -> &RuleSetInfo {
        &self.info
    }

    /// The rules, by catalogue number.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Whether any rule's condition looks at the field of this name.
    pub fn reads(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| rule.when.reads(name))
    }

    /// Appends an alert for each rule that fires on a finished, enriched record.
    pub fn evaluate(&self, record: &Record, catalog: &SourceCatalog, sink: &mut Vec<Alert>) {
        let present =
            self.gates.iter().enumerate().fold(0u64, |mask, (i, field)| {
                mask | u64::from(!(field.get)(record).is_absent()) << i
            });
        for rule in &self.rules {
            if rule.needs & !present == 0 && rule.when.holds(record) {
                sink.push(raise(rule, record, catalog, &self.source));
            }
        }
    }
}

/// Gives each rule the bits of the optional fields it cannot do without. Past 64 such fields a rule
/// is simply evaluated.
fn set_gates(rules: &mut [Rule]) -> Vec<&'static Field> {
    let mut gates: Vec<&'static Field> = Vec::new();
    for rule in rules {
        for field in rule.when.needs() {
            if field.shown == Shown::Always {
                continue;
            }
            let known = gates.iter().position(|gate| gate.name == field.name);
            let bit = known.unwrap_or_else(|| {
                if gates.len() < 64 {
                    gates.push(field);
                }
                gates.len() - 1
            });
            if gates.get(bit).is_some_and(|gate| gate.name == field.name) {
                rule.needs |= 1 << bit;
            }
        }
    }
    gates
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
