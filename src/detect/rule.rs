//! One rule: its Sigma metadata, our keys under `longhaul:`, and its compiled tests.
//!
//! Owns: the metadata of rules and its checks. In: one parsed Sigma rule. Out: a [`Rule`], or every
//! error. Never: touches a record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rsigma_parser::SigmaRule;

use crate::detect::compile::compile;
use crate::detect::did_you_mean::nearest;
use crate::detect::known_field::known_field;
use crate::detect::predicate::Node;
use crate::detect::rule_keys::{CAUTIOUS, OwnEvidence, check_own, check_subject, read_own};
use crate::detect::template::Template;
use crate::detect::yaml_spans::Document;
use crate::model::alert::EvidenceField;
use crate::model::endpoint::EndpointRow;
use crate::model::likelihood::Row;
use crate::model::schema::{Field, Judged};
use crate::model::site_values::SiteValues;
use crate::model::{Error, Group, Level, Likelihood, Nanos, Record, RuleInfo};

/// A list older than this at the packet's time halves a rule's evidence, unless it sets another
/// age.
pub const LIST_AGE_DAYS_MAX: u32 = 30;

/// Where the likelihood ratio of a rule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatioOf {
    /// The table of the program or of the site.
    Table,
    /// The rule itself.
    Rule,
    /// Nowhere: it is a cautious default.
    Nothing,
}

/// The metadata of a rule.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) info: Arc<RuleInfo>,
    service: &'static str,
    pub(super) list_age_days_max: u32,
    /// Where its likelihood ratio comes from.
    ratio_of: RatioOf,
    /// Its ratio where a tag of a benign explanation holds.
    pub(super) tagged: BTreeMap<String, f64>,
    /// The date of its last change, if given.
    pub(super) dated: Option<Nanos>,
    description: String,
    file: PathBuf,
    line: u32,
}

/// A rule and its tests, compiled onto the fields of what it judges.
#[derive(Debug)]
pub(super) struct Compiled<S: Judged> {
    pub(super) rule: Arc<Rule>,
    pub(super) when: Node<S>,
    /// Bits of the rule set's gates that must all be set.
    pub(super) needs: u64,
    pub(super) message: Template<S>,
    pub(super) evidence: Vec<(&'static Field<S>, EvidenceField)>,
    /// Fields whose values make alerts of one subject repetitions; if empty, each alert is its own.
    pub(super) merge_by: Vec<&'static Field<S>>,
    /// How many repetitions within a day make an alert.
    pub(super) at_least: u64,
    /// Alerts are about the responder, whoever spoke with it.
    pub(super) is_about_responder: bool,
    /// Index of its origin.
    pub(super) origin: usize,
}

/// A rule by what it judges.
#[derive(Debug)]
pub(super) enum Built {
    Session(Compiled<Record>),
    Endpoint(Compiled<EndpointRow>),
}

impl Built {
    pub(super) fn rule(&self) -> &Arc<Rule> {
        match self {
            Built::Session(compiled) => &compiled.rule,
            Built::Endpoint(compiled) => &compiled.rule,
        }
    }

    /// Takes over what the table says of it.
    pub(super) fn weigh(&mut self, table: &Likelihood, of_site: bool) {
        let info = &self.rule().info;
        let Some(row) = table.row(&info.id, info.level) else { return };
        match self {
            Built::Session(compiled) => Arc::make_mut(&mut compiled.rule).weigh(row, of_site),
            Built::Endpoint(compiled) => Arc::make_mut(&mut compiled.rule).weigh(row, of_site),
        }
    }

    pub(super) fn set_origin(&mut self, origin: usize) {
        match self {
            Built::Session(compiled) => compiled.origin = origin,
            Built::Endpoint(compiled) => compiled.origin = origin,
        }
    }
}

impl Rule {
    /// What it judges: `session` or `endpoint`.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// What is the same for all its alerts.
    pub fn info(&self) -> &Arc<RuleInfo> {
        &self.info
    }

    /// Where its likelihood ratio comes from.
    pub fn ratio_of(&self) -> RatioOf {
        self.ratio_of
    }

    /// Takes over what the table says of it. A ratio of its own stands unless a site sets another.
    pub(super) fn weigh(&mut self, row: &Row, of_site: bool) {
        let mut info = RuleInfo::clone(&self.info);
        let free = self.ratio_of != RatioOf::Rule || of_site;
        if let Some(ratio) = row.ratio.filter(|_| free) {
            (info.ratio, self.ratio_of) = (ratio, RatioOf::Table);
        }
        info.group = row.group.filter(|_| free).unwrap_or(info.group);
        info.alone = row.alone.unwrap_or(info.alone);
        self.tagged.extend(row.tagged.clone());
        self.info = Arc::new(info);
    }

    /// Sigma `description`.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Its file; for the embedded rules, relative to `rules/`.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its first line.
    pub fn line(&self) -> u32 {
        self.line
    }
}

/// Keys of a Sigma rule (specification 2.0), and ours.
const TOP_KEYS: &[&str] = &[
    "title",
    "id",
    "related",
    "name",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "logsource",
    "detection",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
    "longhaul",
];

/// Checks and compiles a parsed rule. If its `logsource` is wrong, it is checked as a rule on
/// sessions, so that all its errors are reported together.
pub(super) fn build(
    sigma: &SigmaRule,
    doc: &Document,
    site: &SiteValues,
) -> Result<Built, Vec<Error>> {
    match sigma.logsource.service.as_deref() {
        Some(EndpointRow::SERVICE) => build_for(sigma, doc, site).map(Built::Endpoint),
        _ => build_for(sigma, doc, site).map(Built::Session),
    }
}

fn build_for<S: Judged>(
    sigma: &SigmaRule,
    doc: &Document,
    site: &SiteValues,
) -> Result<Compiled<S>, Vec<Error>> {
    let mut errors = Vec::new();
    check_top_keys(doc, &mut errors);
    check_logsource(sigma, doc, &mut errors);
    let uuid = check_uuid(sigma, doc, &mut errors);
    if sigma.level.is_none() && !doc.top_keys().any(|(_, key)| key == "level") {
        let help = "add `level:` informational, low, medium, high or critical";
        errors.push(doc.refuse(doc.top("title"), "the rule has no `level`").help(help));
    }
    let own = read_own(sigma, doc, &mut errors);
    let when = compile(&sigma.detection, doc, site).map_err(|more| errors.extend(more)).ok();
    let parts = own.and_then(|own| {
        let family = check_own(&own, doc, &mut errors);
        check_subject::<S>(&own, doc, &mut errors);
        let message = check_message::<S>(&own.message, doc, &mut errors);
        let evidence = check_evidence::<S>(&own.evidence, doc, &mut errors);
        let merge_by = check_merge_by::<S>(&own.merge_by, doc, &mut errors);
        Some((own, family?, message?, (evidence, merge_by)))
    });
    let (Some((own, family, message, (evidence, merge_by))), Some(when), Some(level), true) =
        (parts, when, sigma.level, errors.is_empty())
    else {
        return Err(errors);
    };
    let benign_checked = if own.benign_checked.is_empty() {
        sigma.falsepositives.clone()
    } else {
        own.benign_checked
    };
    let info = RuleInfo {
        id: own.id,
        name: name_of(sigma),
        uuid,
        title: sigma.title.clone(),
        level: level_of(level),
        family,
        topologies: own.topologies,
        techniques: techniques(&sigma.tags),
        group: own.group.as_deref().and_then(Group::of).unwrap_or(family.group()),
        ratio: own.ratio.unwrap_or(CAUTIOUS),
        alone: false,
        benign_checked,
        message: own.message,
        evidence: evidence.iter().map(|(_, item)| item.clone()).collect(),
    };
    let rule = Rule {
        info: Arc::new(info),
        service: S::SERVICE,
        ratio_of: if own.ratio.is_some() { RatioOf::Rule } else { RatioOf::Nothing },
        tagged: BTreeMap::new(),
        list_age_days_max: own.list_max_age_days.unwrap_or(LIST_AGE_DAYS_MAX),
        dated: date_of(sigma),
        description: sigma.description.clone().unwrap_or_default(),
        file: doc.file().to_path_buf(),
        line: doc.number(doc.top("title")),
    };
    let (at_least, is_about_responder) = (own.at_least.unwrap_or(1), own.subject.is_some());
    let (rule, needs, origin) = (Arc::new(rule), 0, 0);
    Ok(Compiled {
        rule,
        when,
        needs,
        message,
        evidence,
        merge_by,
        at_least,
        is_about_responder,
        origin,
    })
}

/// Sigma requires `title` and makes `name` optional: the default is the title in snake case.
fn name_of(sigma: &SigmaRule) -> String {
    if let Some(name) = sigma.name.as_deref().filter(|name| !name.is_empty()) {
        return name.to_owned();
    }
    let words = sigma.title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.map(str::to_lowercase).collect::<Vec<_>>().join("_");
    if name.is_empty() { sigma.title.clone() } else { name }
}

/// The day the rule was last changed: `modified`, else `date` (ISO 8601, as Sigma asks).
fn date_of(sigma: &SigmaRule) -> Option<Nanos> {
    let days = [&sigma.modified, &sigma.date];
    days.into_iter().flatten().find_map(|day| Nanos::from_date(day))
}

/// Sigma allows custom keys, so only near misses of known ones are refused.
fn check_top_keys(doc: &Document, errors: &mut Vec<Error>) {
    for (line, key) in doc.top_keys() {
        if !TOP_KEYS.contains(&key)
            && let Some(near) = nearest(key, TOP_KEYS.iter().copied())
        {
            let cause = format!("unknown key `{key}`");
            errors.push(doc.refuse(line, cause).help(format!("did you mean `{near}`?")));
        }
    }
}

/// What rules may judge.
const SERVICES: [&str; 2] = [Record::SERVICE, EndpointRow::SERVICE];

fn check_logsource(sigma: &SigmaRule, doc: &Document, errors: &mut Vec<Error>) {
    let source = &sigma.logsource;
    if source.product.as_deref() != Some("longhaul") {
        let cause = "`logsource` is not ours";
        let help = "write `logsource: {product: longhaul, service: session}`, or `endpoint`";
        errors.push(doc.refuse(doc.child("logsource", "product"), cause).help(help));
        return;
    }
    let line = doc.child("logsource", "service");
    match source.service.as_deref() {
        Some(Record::SERVICE | EndpointRow::SERVICE) => {}
        Some("alert") => {
            let cause = "rules on service `alert` are not yet evaluated";
            let help = "`service: session` and `service: endpoint` are, in this version";
            errors.push(doc.refuse(line, cause).help(help));
        }
        other => {
            let near = nearest(other.unwrap_or_default(), SERVICES.into_iter());
            let help = match near {
                Some(name) => format!("did you mean `{name}`?"),
                None => "write `service: session` or `service: endpoint`".to_owned(),
            };
            let cause = match other {
                Some(name) => format!("unknown service `{name}`"),
                None => "`logsource` names no service".to_owned(),
            };
            errors.push(doc.refuse(line, cause).help(help));
        }
    }
}

fn check_uuid(sigma: &SigmaRule, doc: &Document, errors: &mut Vec<Error>) -> String {
    let uuid = sigma.id.clone().unwrap_or_default();
    let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
    let hex = uuid.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    let help = "give it a random UUID of its own, as Sigma asks: `uuidgen` prints one";
    if !doc.top_keys().any(|(_, key)| key == "id") {
        errors.push(doc.refuse(doc.top("title"), "the rule has no `id`").help(help));
    } else if groups != [8, 4, 4, 4, 12] || !hex {
        let cause = format!("`{uuid}` is no UUID");
        errors.push(doc.refuse(doc.top("id"), cause).help(help));
    }
    uuid.to_lowercase()
}

fn check_message<S: Judged>(
    text: &str,
    doc: &Document,
    errors: &mut Vec<Error>,
) -> Option<Template<S>> {
    let line = doc.child("longhaul", "message");
    Template::parse(text)
        .map_err(|(near, cause, help)| {
            errors.push(doc.refuse(doc.text(line, &near), format!("message: {cause}")).help(help));
        })
        .ok()
}

fn check_evidence<S: Judged>(
    items: &[OwnEvidence],
    doc: &Document,
    errors: &mut Vec<Error>,
) -> Vec<(&'static Field<S>, EvidenceField)> {
    let line = doc.child("longhaul", "evidence");
    let mut all = Vec::new();
    for item in items {
        let line = doc.text(line, &item.field);
        let field: &'static Field<S> = match known_field(&item.field) {
            Ok(field) => field,
            Err((cause, help)) => {
                errors.push(doc.refuse(line, format!("evidence: {cause}")).help(help));
                continue;
            }
        };
        let unit = item.unit.as_deref().unwrap_or(field.unit);
        if unit != field.unit {
            let cause = format!("evidence: `{}` is not in `{unit}`", field.name);
            errors.push(doc.refuse(line, cause).help(format!("its unit is `{}`", field.unit)));
        }
        let (name, unit) = (field.name.to_owned(), unit.to_owned());
        all.push((field, EvidenceField { field: name, unit, threshold: item.threshold }));
    }
    all
}

fn check_merge_by<S: Judged>(
    names: &[String],
    doc: &Document,
    errors: &mut Vec<Error>,
) -> Vec<&'static Field<S>> {
    let line = doc.child("longhaul", "merge_by");
    let mut all = Vec::new();
    for name in names {
        match known_field(name) {
            Ok(field) => all.push(field),
            Err((cause, help)) => {
                errors.push(doc.refuse(line, format!("merge_by: {cause}")).help(help));
            }
        }
    }
    all
}

fn level_of(level: rsigma_parser::Level) -> Level {
    match level {
        rsigma_parser::Level::Informational => Level::Informational,
        rsigma_parser::Level::Low => Level::Low,
        rsigma_parser::Level::Medium => Level::Medium,
        rsigma_parser::Level::High => Level::High,
        rsigma_parser::Level::Critical => Level::Critical,
    }
}

/// `attack.t1090.003` is technique T1090.003; other tags name tactics, groups or other schemes.
fn techniques(tags: &[String]) -> Vec<String> {
    tags.iter()
        .filter_map(|tag| tag.strip_prefix("attack."))
        .filter(|id| {
            let digits = id.strip_prefix('t').unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        })
        .map(str::to_uppercase)
        .collect()
}
