//! A set of rules, ready to run.
//!
//! Owns: the rules, the fields that they require, their identity. In: finished records, endpoints.
//! Out: alerts. Never: state between them; work for rules whose fields are absent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::detect::alert::{SourceCatalog, raise};
use crate::detect::alert_endpoint::raise_endpoint;
use crate::detect::case::{Case, Values};
use crate::detect::likelihood;
use crate::detect::load::{Origin, RuleFile, compile_files};
use crate::detect::rule::{Built, Compiled, Rule};
use crate::model::endpoint::EndpointRow;
use crate::model::schema::{Field, Judged, Shown};
use crate::model::site_values::SiteValues;
use crate::model::{Alert, Error, Likelihood, Nanos, Record, RuleInfo, SourceInfo};

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
    fn new(origin: &Origin, count: usize, built_at: Option<Nanos>) -> RuleSetInfo {
        let sha256 = digest(&origin.root, &origin.files);
        let build = sha256.chars().take(12).collect();
        RuleSetInfo { name: origin.name.clone(), count, build, built_at, sha256 }
    }
}

/// The rules that judge one kind of thing.
#[derive(Debug)]
struct RuleGroup<S: Judged> {
    rules: Vec<Compiled<S>>,
    /// Optional fields that some rule requires; their presence is looked up once per subject.
    gates: Vec<&'static Field<S>>,
}

impl<S: Judged> RuleGroup<S> {
    fn new(mut rules: Vec<Compiled<S>>) -> RuleGroup<S> {
        let gates = set_gates(&mut rules);
        RuleGroup { rules, gates }
    }

    /// The rules that hold.
    fn judge<'b>(&'b self, subject: &'b impl Values<S>) -> impl Iterator<Item = &'b Compiled<S>> {
        let present = self.gates.iter().enumerate().fold(0u64, |mask, (i, field)| {
            mask | u64::from(!subject.value(field).is_absent()) << i
        });
        let held =
            move |rule: &&Compiled<S>| rule.needs & !present == 0 && rule.when.holds(subject);
        self.rules.iter().filter(held)
    }
}

fn matches<'r, S: Judged>(group: &'r RuleGroup<S>, case: &Case) -> Vec<(&'r RuleInfo, String)> {
    let held = group.rules.iter().filter(|rule| rule.when.holds(case));
    held.map(|rule| (&*rule.rule.info, rule.message.fill(case))).collect()
}

/// Compiled rules. Immutable; shared between workers.
#[derive(Debug)]
pub struct RuleSet {
    /// All of them, by catalogue number.
    rules: Vec<Arc<Rule>>,
    sessions: RuleGroup<Record>,
    endpoints: RuleGroup<EndpointRow>,
    /// The origins, and their description in alerts.
    infos: Vec<RuleSetInfo>,
    sources: Vec<SourceInfo>,
    likelihood: Likelihood,
}

impl RuleSet {
    /// The embedded rules.
    ///
    /// Errors: none for a program that passed its tests.
    pub fn embedded() -> Result<RuleSet, Vec<Error>> {
        RuleSet::build(&[Origin::embedded()], &SiteValues::default())
    }

    /// Every rule file below a directory, and no others.
    ///
    /// Errors: every error of every file, each with file and line; no rule is loaded then.
    pub fn load_dir(dir: &Path) -> Result<RuleSet, Vec<Error>> {
        RuleSet::build(&[Origin::read(dir)?], &SiteValues::default())
    }

    /// The rules of directories and files: those in `only`, or if that is empty the embedded ones,
    /// plus those in `more`.
    ///
    /// Errors: every error of every file, each with file and line; two rules of one id or number.
    pub fn load(
        only: &[PathBuf],
        more: &[PathBuf],
        site: &SiteValues,
    ) -> Result<RuleSet, Vec<Error>> {
        let mut origins = Vec::new();
        let mut errors = Vec::new();
        if only.is_empty() {
            origins.push(Origin::embedded());
        }
        for path in only.iter().chain(more) {
            match Origin::read(path) {
                Ok(origin) => origins.push(origin),
                Err(wrong) => errors.extend(wrong),
            }
        }
        if errors.is_empty() { RuleSet::build(&origins, site) } else { Err(errors) }
    }

    /// Rules from one text, as a file of that name would hold.
    ///
    /// Errors: every error of the text.
    pub fn from_text(file: &str, text: &str) -> Result<RuleSet, Vec<Error>> {
        RuleSet::from_text_for(file, text, &SiteValues::default())
    }

    /// The same, with what a site writes into rules.
    ///
    /// Errors: every error of the text.
    pub fn from_text_for(file: &str, text: &str, site: &SiteValues) -> Result<RuleSet, Vec<Error>> {
        let files = vec![RuleFile { path: file.into(), text: text.to_owned() }];
        let origin = Origin { name: file.to_owned(), root: PathBuf::new(), files };
        RuleSet::build(&[origin], site)
    }

    fn build(origins: &[Origin], site: &SiteValues) -> Result<RuleSet, Vec<Error>> {
        let mut built = compile_files(origins.iter().flat_map(|origin| &origin.files), site)?;
        let table = likelihood::embedded()?;
        built.iter_mut().for_each(|built| built.weigh(&table, false));
        let (mut infos, mut sources) = (Vec::new(), Vec::new());
        for (index, origin) in origins.iter().enumerate() {
            let is_of = |rule: &&mut Built| {
                origin.files.iter().any(|file| file.path == *rule.rule().file())
            };
            let (mut count, mut newest) = (0, None);
            for rule in built.iter_mut().filter(is_of) {
                rule.set_origin(index);
                count += 1;
                newest = newest.max(rule.rule().dated);
            }
            let info = RuleSetInfo::new(origin, count, newest);
            sources.push(SourceInfo {
                kind: "rules",
                name: Arc::from(info.name.as_str()),
                version: Arc::from(info.build.as_str()),
                built_at: newest,
            });
            infos.push(info);
        }
        let number = |rule: &Rule| (rule.info.id.clone(), rule.info.uuid.clone());
        built.sort_by_cached_key(|built| number(built.rule()));
        let rules: Vec<Arc<Rule>> = built.iter().map(|built| Arc::clone(built.rule())).collect();
        let (mut sessions, mut endpoints) = (Vec::new(), Vec::new());
        for built in built {
            match built {
                Built::Session(compiled) => sessions.push(compiled),
                Built::Endpoint(compiled) => endpoints.push(compiled),
            }
        }
        let (sessions, endpoints) = (RuleGroup::new(sessions), RuleGroup::new(endpoints));
        Ok(RuleSet { rules, sessions, endpoints, infos, sources, likelihood: table })
    }

    /// The same rules with what a site says of their ratios.
    ///
    /// Errors: rows of rules that are not there.
    pub fn weighed(self, site: &Likelihood) -> Result<RuleSet, Vec<Error>> {
        let RuleSet { rules, mut sessions, mut endpoints, infos, sources, mut likelihood } = self;
        likelihood.overlay(site);
        likelihood::check_rows(site, &rules)?;
        sessions.rules.iter_mut().for_each(|rule| weigh(rule, site));
        endpoints.rules.iter_mut().for_each(|rule| weigh(rule, site));
        let of_sessions = sessions.rules.iter().map(|rule| &rule.rule);
        let mut rules: Vec<Arc<Rule>> =
            of_sessions.chain(endpoints.rules.iter().map(|rule| &rule.rule)).cloned().collect();
        rules.sort_by_cached_key(|rule| (rule.info.id.clone(), rule.info.uuid.clone()));
        Ok(RuleSet { rules, sessions, endpoints, infos, sources, likelihood })
    }

    /// The prior and the ratios in use.
    pub fn likelihood(&self) -> &Likelihood {
        &self.likelihood
    }

    /// Name, number of rules and hash of each origin, for run.json.
    pub fn infos(&self) -> &[RuleSetInfo] {
        &self.infos
    }

    /// The rules, by catalogue number.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter().map(|rule| &**rule)
    }

    /// The compiled rules on sessions.
    pub(super) fn on_sessions(&self) -> &[Compiled<Record>] {
        &self.sessions.rules
    }

    /// Those on endpoints.
    pub(super) fn on_endpoints(&self) -> &[Compiled<EndpointRow>] {
        &self.endpoints.rules
    }

    /// Whether the condition of any rule on sessions reads the field of this name.
    pub fn reads(&self, name: &str) -> bool {
        self.sessions.rules.iter().any(|rule| rule.when.reads(name))
    }

    /// Rules on sessions that hold for a case, and what they say of it.
    pub(super) fn firing_on_session(&self, case: &Case) -> Vec<(&RuleInfo, String)> {
        matches(&self.sessions, case)
    }

    /// The same of rules on endpoints.
    pub(super) fn firing_on_endpoint(&self, case: &Case) -> Vec<(&RuleInfo, String)> {
        matches(&self.endpoints, case)
    }

    /// Appends an alert for each rule that fires on a finished, enriched record.
    pub fn evaluate(&self, record: &Record, catalog: &SourceCatalog, sink: &mut Vec<Alert>) {
        let fired = self.sessions.judge(record);
        sink.extend(
            fired.filter_map(|rule| {
                Some(raise(rule, record, catalog, self.sources.get(rule.origin)?))
            }),
        );
    }

    /// Appends an alert for each rule that fires on an endpoint as it is now.
    pub fn evaluate_endpoint(
        &self,
        row: &EndpointRow,
        catalog: &SourceCatalog,
        sink: &mut Vec<Alert>,
    ) {
        let fired = self.endpoints.judge(row);
        sink.extend(
            fired.filter_map(|rule| {
                raise_endpoint(rule, row, catalog, self.sources.get(rule.origin)?)
            }),
        );
    }
}

/// Gives a rule what a site says of its ratio.
fn weigh<S: Judged>(compiled: &mut Compiled<S>, site: &Likelihood) {
    if let Some(row) = site.row(&compiled.rule.info.id, compiled.rule.info.level) {
        Arc::make_mut(&mut compiled.rule).weigh(row, true);
    }
}

/// Gives each rule the bits of the optional fields that it requires. Beyond 64 such fields a rule
/// is simply evaluated.
fn set_gates<S: Judged>(rules: &mut [Compiled<S>]) -> Vec<&'static Field<S>> {
    let mut gates: Vec<&'static Field<S>> = Vec::new();
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
