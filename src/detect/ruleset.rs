//! A set of rules, ready to run.
//!
//! Owns: the rules. In: finished records, endpoints.
//! Out: alerts. Never: state between them; the condition of a rule that the sieve leaves out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::detect::alert::{SourceCatalog, raise, ratio};
use crate::detect::alert_endpoint::raise_endpoint;
use crate::detect::case::{Case, Values};
use crate::detect::correlation::{Correlation, Correlations, Part, PartMaker, Resolved, Seen};
use crate::detect::likelihood;
use crate::detect::list_weight::ListWeight;
use crate::detect::load::{Loaded, Origin, RuleFile, compile_files, parsed_forms};
use crate::detect::probe::Probe;
use crate::detect::rule::{Built, Compiled, Rule};
use crate::detect::ruleset_info::RuleSetInfo;
use crate::detect::sieve::Sieve;
use crate::detect::thresholds::{self, Threshold};
use crate::model::endpoint::EndpointRow;
use crate::model::schema::Judged;
use crate::model::site_values::SiteValues;
use crate::model::{Alert, Error, Level, Likelihood, Record, RuleInfo, SourceInfo};

/// The rules that judge one kind of thing.
#[derive(Debug)]
struct RuleGroup<S: Judged> {
    rules: Vec<Compiled<S>>,
    sieve: Sieve<S>,
    /// What correlations read of the events of each rule, and their rules.
    parts: Vec<Vec<(PartMaker<S>, Arc<Rule>)>>,
}

/// A rule, and what correlations read of its events.
type Entry<S> = (Compiled<S>, Vec<(PartMaker<S>, Arc<Rule>)>);

impl<S: Judged> RuleGroup<S> {
    fn new(
        rules: Vec<Compiled<S>>,
        parts: impl Fn(&str) -> Vec<(PartMaker<S>, Arc<Rule>)>,
    ) -> RuleGroup<S> {
        let entry = |rule: Compiled<S>| {
            let parts = parts(&rule.rule.info.uuid);
            (rule, parts)
        };
        RuleGroup::of(rules.into_iter().map(entry))
    }

    /// The sieve knows rules by their place: every list of rules has one of its own.
    fn of(entries: impl Iterator<Item = Entry<S>>) -> RuleGroup<S> {
        let (rules, parts): (Vec<Compiled<S>>, Vec<_>) = entries.unzip();
        let sieve = Sieve::new(rules.iter().map(|rule| &rule.when));
        RuleGroup { rules, sieve, parts }
    }

    /// Takes over what the rules of correlations have become.
    fn renew(&mut self, correlations: &Correlations) {
        for (maker, rule) in self.parts.iter_mut().flatten() {
            if let Some(one) = correlations.find(maker.of) {
                *rule = Arc::clone(&one.rule);
            }
        }
    }

    /// Of rules that are off only those are left that correlations count.
    fn switch(&mut self, on: impl Fn(&Rule) -> bool) {
        let (rules, parts) = (std::mem::take(&mut self.rules), std::mem::take(&mut self.parts));
        let entries = rules.into_iter().zip(parts).map(|(mut rule, parts)| {
            rule.stands &= on(&rule.rule);
            (rule, parts)
        });
        *self = RuleGroup::of(entries.filter(|(rule, parts)| rule.stands || !parts.is_empty()));
    }

    /// The rules that correlations count, with what is read of their events.
    fn counting(&self) -> impl Iterator<Item = Counting<'_, S>> {
        let all = self.rules.iter().zip(&self.parts);
        all.flat_map(|(rule, makers)| makers.iter().map(move |(maker, _)| (rule, maker)))
    }

    /// The rules that hold, each with what correlations read then.
    fn judge<'b>(&'b self, subject: &impl Values<S>) -> impl Iterator<Item = Holds<'b, S>> {
        self.sieve.left(subject).filter_map(move |index| {
            let (rule, parts) = (self.rules.get(index)?, self.parts.get(index)?);
            rule.when.holds(subject).then_some((rule, parts.as_slice()))
        })
    }
}

/// A rule that holds, and what correlations read then.
type Holds<'b, S> = (&'b Compiled<S>, &'b [(PartMaker<S>, Arc<Rule>)]);

/// The rules that hold for a session.
#[derive(Debug)]
pub struct Held<'b>(Vec<Holds<'b, Record>>);

/// A rule that a correlation counts, and what is read of its events.
pub(super) type Counting<'b, S> = (&'b Compiled<S>, &'b PartMaker<S>);

/// What correlations count of an event for which a rule holds.
fn parts_of<S: Judged>(
    makers: &[(PartMaker<S>, Arc<Rule>)],
    event: &impl Values<S>,
    ratio: impl Fn(&Rule) -> (f64, Vec<String>),
) -> Vec<Part> {
    let part = |(maker, rule): &(PartMaker<S>, Arc<Rule>)| {
        let (ratio, lowered) = ratio(rule);
        Some(Part { ratio, lowered, ..maker.make(event)? })
    };
    makers.iter().filter_map(part).collect()
}

fn counted<S: Judged>(group: &RuleGroup<S>, case: &Case) -> Vec<Vec<Part>> {
    let all = group.judge(case);
    all.map(|(_, makers)| parts_of(makers, case, |_| (1.0, Vec::new()))).collect()
}

fn matches<'r, S: Judged>(group: &'r RuleGroup<S>, case: &Case) -> Vec<(&'r RuleInfo, String)> {
    let held = group.judge(case).filter(|(rule, _)| rule.stands);
    held.map(|(rule, _)| (&*rule.rule.info, rule.message.fill(case))).collect()
}

/// Compiled rules. Immutable; shared between workers.
#[derive(Debug)]
pub struct RuleSet {
    /// All of them, by catalogue number.
    rules: Vec<Arc<Rule>>,
    sessions: RuleGroup<Record>,
    endpoints: RuleGroup<EndpointRow>,
    correlations: Correlations,
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

    /// The embedded rules as their parser leaves them: what `rules/parsed.txt` must hold.
    pub fn parsed_forms() -> String {
        parsed_forms()
    }

    /// Every rule file below a directory, and no others.
    ///
    /// Errors: every error of every file, each with file and line; no rule is loaded then.
    pub fn load_dir(dir: &Path) -> Result<RuleSet, Vec<Error>> {
        RuleSet::load_dir_for(dir, &SiteValues::default())
    }

    /// The same, with what a site writes into rules.
    ///
    /// Errors: as those of [`RuleSet::load_dir`].
    pub fn load_dir_for(dir: &Path, site: &SiteValues) -> Result<RuleSet, Vec<Error>> {
        RuleSet::build(&[Origin::read(dir)?], site)
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
        let loaded = compile_files(origins.iter().flat_map(|origin| &origin.files), site)?;
        let Loaded { rules: mut built, resolved } = loaded;
        let Resolved { mut correlations, makers } = resolved;
        let table = likelihood::embedded()?;
        built.iter_mut().for_each(|built| built.weigh(&table, false));
        correlations.iter_mut().for_each(|one| weigh(&mut one.rule, &table, false));
        let (mut infos, mut sources) = (Vec::new(), Vec::new());
        for (index, origin) in origins.iter().enumerate() {
            let is_of = |rule: &Rule| origin.files.iter().any(|file| file.path == *rule.file());
            let (mut count, mut newest) = (0, None);
            for rule in built.iter_mut().filter(|built| is_of(built.rule())) {
                rule.set_origin(index);
                count += usize::from(rule.rule().is_whole());
                newest = newest.max(rule.rule().dated);
            }
            for one in correlations.iter_mut().filter(|one| is_of(&one.rule)) {
                one.origin = index;
                count += usize::from(one.rule.is_whole());
                newest = newest.max(one.rule.dated);
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
        built.sort_by_cached_key(|built| number(built.rule()));
        let rules = listed(built.iter().map(Built::rule), &correlations);
        let (mut sessions, mut endpoints) = (Vec::new(), Vec::new());
        for built in built {
            match built {
                Built::Session(compiled) => sessions.push(compiled),
                Built::Endpoint(compiled) => endpoints.push(compiled),
            }
        }
        let correlations = Correlations::new(correlations, sources.clone());
        let of = |uuid: &str| makers.get(uuid).cloned().unwrap_or_default();
        let sessions = RuleGroup::new(sessions, |uuid| correlations.with_rules(of(uuid).sessions));
        let endpoints =
            RuleGroup::new(endpoints, |uuid| correlations.with_rules(of(uuid).endpoints));
        let likelihood = table;
        Ok(RuleSet { rules, sessions, endpoints, correlations, infos, sources, likelihood })
    }

    /// The same rules with what a site says of their ratios.
    ///
    /// Errors: rows of rules that are not there.
    pub fn weighed(mut self, site: &Likelihood) -> Result<RuleSet, Vec<Error>> {
        self.likelihood.overlay(site);
        likelihood::check_rows(site, &self.rules)?;
        for rule in &mut self.sessions.rules {
            weigh(&mut rule.rule, site, true);
        }
        for rule in &mut self.endpoints.rules {
            weigh(&mut rule.rule, site, true);
        }
        for one in self.correlations.iter_mut() {
            weigh(&mut one.rule, site, true);
        }
        self.sessions.renew(&self.correlations);
        self.endpoints.renew(&self.correlations);
        let of_sessions = self.sessions.rules.iter().map(|rule| &rule.rule);
        let rules = of_sessions.chain(self.endpoints.rules.iter().map(|rule| &rule.rule));
        self.rules = listed(rules, self.correlations.as_slice());
        Ok(self)
    }

    /// The same rules, of which only some raise alerts; others are left only where a correlation
    /// counts their events.
    pub(super) fn raising(mut self, on: impl Fn(&Rule) -> bool) -> RuleSet {
        self.sessions.switch(&on);
        self.endpoints.switch(&on);
        for one in self.correlations.iter_mut() {
            one.stands &= on(&one.rule);
        }
        self.rules.retain(|rule| on(rule));
        self
    }

    /// What authors hardly mean, parts of correlations included: rule, line, text.
    pub fn notes(&self) -> impl Iterator<Item = (&Rule, u32, &str)> {
        let of_sessions = self.sessions.rules.iter().map(|rule| &rule.rule);
        let of_endpoints = self.endpoints.rules.iter().map(|rule| &rule.rule);
        let of_correlations = self.correlations.as_slice().iter().map(|one| &one.rule);
        of_sessions
            .chain(of_endpoints)
            .chain(of_correlations)
            .flat_map(|rule| rule.notes.iter().map(|(line, text)| (&**rule, *line, text.as_str())))
    }

    /// What the rules compare with, by number (or UUID) and level of a rule.
    pub fn thresholds(&self) -> BTreeMap<(String, Level), Vec<Threshold>> {
        let of_sessions = self.sessions.rules.iter();
        let of_sessions = of_sessions.map(|one| (&one.rule, thresholds::of_node(&one.when)));
        let of_endpoints = self.endpoints.rules.iter();
        let of_endpoints = of_endpoints.map(|one| (&one.rule, thresholds::of_node(&one.when)));
        let counting = self.correlations.as_slice().iter();
        let counting =
            counting.map(|one| (&one.rule, thresholds::of_condition(&one.condition, one.unit)));
        let all = of_sessions.chain(of_endpoints).chain(counting);
        let whole = all.filter(|(rule, _)| rule.is_whole());
        let all: Vec<_> = whole.map(|(rule, of_rule)| (&*rule.info, of_rule)).collect();
        thresholds::table(&all)
    }

    /// The rules, to be measured.
    pub fn probes(&self) -> impl Iterator<Item = Probe<'_>> {
        let sessions = self.sessions.rules.iter().map(|rule| Probe::new(&rule.rule, &rule.when));
        let endpoints = self.endpoints.rules.iter().map(|rule| Probe::new(&rule.rule, &rule.when));
        sessions.chain(endpoints)
    }

    /// The correlations.
    pub fn correlations(&self) -> &Correlations {
        &self.correlations
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

    /// The rules on sessions that correlations count, with what is read of their events.
    pub(super) fn session_parts(&self) -> impl Iterator<Item = Counting<'_, Record>> {
        self.sessions.counting()
    }

    /// Those on endpoints.
    pub(super) fn endpoint_parts(&self) -> impl Iterator<Item = Counting<'_, EndpointRow>> {
        self.endpoints.counting()
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

    /// What correlations count of a case, by rule that holds for it.
    pub(super) fn counted_of_session(&self, case: &Case) -> Vec<Vec<Part>> {
        counted(&self.sessions, case)
    }

    /// The same of rules on endpoints.
    pub(super) fn counted_of_endpoint(&self, case: &Case) -> Vec<Vec<Part>> {
        counted(&self.endpoints, case)
    }

    /// Appends an alert for each rule that fires on a finished, enriched record.
    pub fn evaluate(&self, record: &Record, catalog: &SourceCatalog, sink: &mut Vec<Alert>) {
        self.judge(record, catalog, (sink, &mut Vec::new()));
    }

    /// The same, and appends what correlations count.
    pub fn judge(
        &self,
        record: &Record,
        catalog: &SourceCatalog,
        sinks: (&mut Vec<Alert>, &mut Vec<Seen>),
    ) {
        if let Some(held) = self.held(record) {
            self.raise(held, record, catalog, sinks);
        }
    }

    /// The rules that hold for a finished, enriched record, if any.
    pub fn held(&self, record: &Record) -> Option<Held<'_>> {
        let held: Vec<_> = self.sessions.judge(record).collect();
        (!held.is_empty()).then_some(Held(held))
    }

    /// Appends what rules raise that hold for the record. It may have got fields since that no
    /// condition reads.
    pub fn raise(
        &self,
        held: Held<'_>,
        record: &Record,
        catalog: &SourceCatalog,
        (alerts, seen): (&mut Vec<Alert>, &mut Vec<Seen>),
    ) {
        for (rule, makers) in held.0 {
            let Some(source) = self.sources.get(rule.origin) else { continue };
            let (alert, lists) = raise(rule, record, catalog, source);
            let of =
                |rule: &Rule| ratio(rule, record.context.hits.iter().map(|hit| &*hit.tag), lists);
            let parts = parts_of(makers, record, of);
            if !parts.is_empty() {
                seen.push(Seen::new(alert.clone(), rule.stands, record.id, parts));
            }
            if rule.stands {
                alerts.push(alert);
            }
        }
    }

    /// Appends an alert for each rule that fires on an endpoint as it is now.
    pub fn evaluate_endpoint(
        &self,
        row: &EndpointRow,
        catalog: &SourceCatalog,
        sink: &mut Vec<Alert>,
    ) {
        self.judge_endpoint(row, catalog, (sink, &mut Vec::new()));
    }

    /// The same, and appends what correlations count.
    pub fn judge_endpoint(
        &self,
        row: &EndpointRow,
        catalog: &SourceCatalog,
        (alerts, seen): (&mut Vec<Alert>, &mut Vec<Seen>),
    ) {
        for (rule, makers) in self.endpoints.judge(row) {
            let Some(source) = self.sources.get(rule.origin) else { continue };
            let Some(alert) = raise_endpoint(rule, row, catalog, source) else { continue };
            let tags = || row.tags.iter().map(|tag| &**tag);
            let of = |rule: &Rule| ratio(rule, tags(), ListWeight::WHOLE);
            let parts = parts_of(makers, row, of);
            let session = row.traits.latest.as_deref().map_or([0; 16], |latest| latest.id);
            if !parts.is_empty() {
                seen.push(Seen::new(alert.clone(), rule.stands, session, parts));
            }
            if rule.stands {
                alerts.push(alert);
            }
        }
    }
}

/// The place of a rule in lists.
fn number(rule: &Rule) -> (String, String) {
    (rule.info.id.clone(), rule.info.uuid.clone())
}

/// All rules that have alerts, by catalogue number.
fn listed<'r>(
    rules: impl Iterator<Item = &'r Arc<Rule>>,
    correlations: &'r [Correlation],
) -> Vec<Arc<Rule>> {
    let all = rules.chain(correlations.iter().map(|one| &one.rule));
    let mut all: Vec<Arc<Rule>> = all.filter(|rule| rule.is_whole()).cloned().collect();
    all.sort_by_cached_key(|rule| number(rule));
    all
}

/// Gives a rule what a table says of its ratio.
fn weigh(rule: &mut Arc<Rule>, table: &Likelihood, of_site: bool) {
    if let Some(row) = table.row(&rule.info.id, rule.info.level) {
        Arc::make_mut(rule).weigh(row, of_site);
    }
}
