//! Our keys of a rule, under `longhaul:`.
//!
//! Owns: their names, bounds and defaults. In: one parsed Sigma rule. Out: the keys, or every
//! error. Never: a test of a record.

use rsigma_parser::SigmaRule;
use serde::Deserialize;

use crate::detect::yaml_spans::Document;
use crate::model::likelihood::{GROUP_HELP, RATIO_HELP, is_ratio};
use crate::model::schema::Judged;
use crate::model::{Error, Family, Group, Record};

/// Our keys of a rule.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Own {
    pub(super) id: String,
    pub(super) family: String,
    pub(super) topologies: Vec<String>,
    #[serde(default)]
    pub(super) group: Option<String>,
    #[serde(default)]
    pub(super) ratio: Option<f64>,
    /// What older rules have in its place: 1 - 1/ratio.
    #[serde(default)]
    weight: Option<f64>,
    /// It has both.
    #[serde(skip)]
    is_weighed_twice: bool,
    pub(super) message: String,
    #[serde(default)]
    pub(super) evidence: Option<Vec<OwnEvidence>>,
    #[serde(default)]
    pub(super) list_max_age_days: Option<u32>,
    #[serde(default)]
    pub(super) benign_checked: Vec<String>,
    #[serde(default)]
    pub(super) merge_by: Vec<String>,
    #[serde(default)]
    pub(super) at_least: Option<u64>,
    #[serde(default)]
    pub(super) subject: Option<String>,
    #[serde(default = "yes")]
    pub(super) enabled: bool,
}

const fn yes() -> bool {
    true
}

impl Own {
    /// The ratio of its weight, where it has no ratio.
    fn with_ratio(self) -> Own {
        let is_weighed_twice = self.ratio.is_some() && self.weight.is_some();
        let ratio = self.ratio.or(self.weight.map(|weight| (1.0 - weight).recip()));
        Own { ratio, is_weighed_twice, ..self }
    }

    /// Of a rule that is a part of correlations and raises nothing itself.
    const fn of_part(evidence: Option<Vec<OwnEvidence>>) -> Own {
        Own {
            id: String::new(),
            family: String::new(),
            topologies: Vec::new(),
            group: None,
            ratio: None,
            weight: None,
            is_weighed_twice: false,
            message: String::new(),
            evidence,
            list_max_age_days: None,
            benign_checked: Vec::new(),
            merge_by: Vec::new(),
            at_least: None,
            subject: None,
            enabled: true,
        }
    }
}

/// Our key of a rule that is a part of correlations.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnOfPart {
    evidence: Vec<OwnEvidence>,
}

/// Reads our keys of a rule that may be a part of correlations: none, or only what the alert of a
/// correlation shows of its last event. None if it has others.
pub(super) fn read_part(sigma: &SigmaRule) -> Option<Own> {
    let Some(value) = sigma.custom_attributes.get("longhaul") else {
        return Some(Own::of_part(None));
    };
    let read = serde_json::to_value(value).and_then(serde_json::from_value::<OwnOfPart>);
    read.ok().map(|part| Own::of_part(Some(part.evidence)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnEvidence {
    pub(super) field: String,
    #[serde(default)]
    pub(super) unit: Option<String>,
    #[serde(default)]
    pub(super) threshold: Option<f64>,
}

/// The ratio of a rule that neither itself nor the table gives one: never enough to accuse with one
/// other.
pub(super) const CAUTIOUS: f64 = 2.0;

pub(super) fn read_own(sigma: &SigmaRule, doc: &Document, errors: &mut Vec<Error>) -> Option<Own> {
    let Some(value) = sigma.custom_attributes.get("longhaul") else {
        let help =
            "add `longhaul:` with id, family, topologies, group, ratio, message and evidence";
        errors.push(doc.refuse(doc.top("title"), "the rule has no `longhaul`").help(help));
        return None;
    };
    let read = serde_json::to_value(value).and_then(serde_json::from_value::<Own>);
    read.map(Own::with_ratio)
        .map_err(|error| {
            let cause = error.to_string();
            // serde names the key between backticks: use its line, else the block's.
            let key = cause.split('`').nth(1).unwrap_or_default();
            let top = doc.top("longhaul");
            let line = match doc.child("longhaul", key) {
                line if line == top => doc.text(top, &format!("{key}:")),
                line => line,
            };
            let help = "keys: id, family, topologies, group, ratio or weight, message, evidence, \
                    list_max_age_days, benign_checked, merge_by, at_least, subject, enabled";
            errors.push(doc.refuse(line, format!("`longhaul`: {cause}")).help(help));
        })
        .ok()
}

pub(super) fn check_own(own: &Own, doc: &Document, errors: &mut Vec<Error>) -> Option<Family> {
    let mut refuse = |key: &str, cause: String, help: &str| {
        errors.push(doc.refuse(doc.child("longhaul", key), cause).help(help));
    };
    if own.group.as_deref().is_some_and(|name| Group::of(name).is_none()) {
        refuse("group", "it is no group of evidence".to_owned(), GROUP_HELP);
    }
    if own.is_weighed_twice {
        let help = "leave out one of them: a weight is the ratio 1 / (1 - weight)";
        refuse("weight", "the rule has both `ratio` and `weight`".to_owned(), help);
    } else if own.weight.is_some_and(|weight| !(0.0..1.0).contains(&weight)) {
        let help = "0 or more and less than 1, or in its place `ratio`: 1 / (1 - weight)";
        refuse("weight", "the weight is out of range".to_owned(), help);
    } else if own.ratio.is_some_and(|ratio| !is_ratio(ratio)) {
        refuse("ratio", "the ratio is out of range".to_owned(), RATIO_HELP);
    }
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
    if own.id.is_empty() || own.id.len() > 16 || !own.id.chars().all(plain) {
        refuse("id", format!("`{}` is no rule number", own.id), "capitals and digits: `D01`");
    }
    if own.at_least.is_some_and(|n| !(2..=100).contains(&n) || own.merge_by.is_empty()) {
        let help = "2 to 100, and merge_by with the fields that make alerts the same";
        refuse("at_least", "at_least is out of range, or without merge_by".to_owned(), help);
    }
    for name in &own.topologies {
        if !["T1", "T2", "T3", "T4", "T5", "T6"].contains(&name.as_str()) {
            refuse("topologies", format!("unknown topology `{name}`"), "T1 to T6");
        }
    }
    let family = [Family::N, Family::P, Family::R, Family::C, Family::B]
        .into_iter()
        .find(|family| family.as_str() == own.family);
    if family.is_none() {
        refuse("family", format!("unknown family `{}`", own.family), "one of N, P, R, C, B");
    }
    family
}

/// Whom alerts are about: without the key, whom the session is about.
pub(super) fn check_subject<S: Judged>(own: &Own, doc: &Document, errors: &mut Vec<Error>) {
    let Some(subject) = &own.subject else { return };
    let (cause, help) = if S::SERVICE != Record::SERVICE {
        let help = "leave it out: these alerts are about the subject of the last session";
        ("only rules on sessions have `subject`".to_owned(), help)
    } else if subject != "destination" {
        let help = "`destination`, or leave it out: then it is the subject of the session";
        (format!("unknown subject `{subject}`"), help)
    } else {
        return;
    };
    errors.push(doc.refuse(doc.child("longhaul", "subject"), cause).help(help));
}

/// What a correlation cannot have: its evidence is what it counts, and its span merges.
pub(super) fn check_counted(own: &Own, doc: &Document, errors: &mut Vec<Error>) {
    let given = [
        ("evidence", own.evidence.as_ref().is_some_and(|all| !all.is_empty())),
        ("merge_by", !own.merge_by.is_empty()),
        ("at_least", own.at_least.is_some()),
        ("subject", own.subject.is_some()),
    ];
    for (key, _) in given.iter().filter(|(_, given)| *given) {
        let help = "leave it out: a correlation shows what it counts, once in its timespan";
        let cause = format!("a correlation has no `{key}`");
        errors.push(doc.refuse(doc.child("longhaul", key), cause).help(help));
    }
}
