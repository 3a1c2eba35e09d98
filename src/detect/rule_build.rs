//! Checks and compiles parsed rules.
//!
//! Owns: how the parts of a rule are put together. In: one parsed Sigma rule. Out: a rule, or every
//! error. Never: touches a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use rsigma_parser::SigmaRule;

use crate::detect::compile::compile;
use crate::detect::known_field::known_field;
use crate::detect::rule::{Built, Compiled, LIST_AGE_DAYS_MAX, RatioOf, Rule};
use crate::detect::rule_keys::{
    CAUTIOUS, Own, OwnEvidence, check_counted, check_own, check_subject, read_own, read_part,
};
use crate::detect::rule_meta::{
    check_logsource, check_top_keys, check_uuid, date_of, level_of, name_of, techniques,
};
use crate::detect::template::Template;
use crate::detect::yaml_spans::Document;
use crate::model::alert::EvidenceField;
use crate::model::endpoint::EndpointRow;
use crate::model::schema::{Field, Judged};
use crate::model::site_values::SiteValues;
use crate::model::{Error, Family, Group, RuleInfo};

/// The word for what a correlation judges.
pub(super) const CORRELATION: &str = "correlation";

/// Checks and compiles a parsed rule; one without `longhaul` only if it is a part of correlations.
/// If its `logsource` is wrong, it is checked as a rule on sessions, so that all its errors are
/// reported together.
pub(super) fn build(
    sigma: &SigmaRule,
    doc: &Document,
    (site, is_part): (&SiteValues, bool),
) -> Result<Built, Vec<Error>> {
    match sigma.logsource.service.as_deref() {
        Some(EndpointRow::SERVICE) => build_for(sigma, doc, (site, is_part)).map(Built::Endpoint),
        _ => build_for(sigma, doc, (site, is_part)).map(Built::Session),
    }
}

fn build_for<S: Judged>(
    sigma: &SigmaRule,
    doc: &Document,
    (site, is_part): (&SiteValues, bool),
) -> Result<Compiled<S>, Vec<Error>> {
    let mut errors = Vec::new();
    let head = head(sigma, doc, is_part, &mut errors);
    check_logsource(sigma, doc, &mut errors);
    let when = compile(&sigma.detection, doc, site).map_err(|more| errors.extend(more)).ok();
    let parts = head.and_then(|(own, family)| {
        check_subject::<S>(&own, doc, &mut errors);
        if own.evidence.is_none() && !is_part {
            let help = "list what the alert shows: `evidence: [{field: event.duration}]`";
            let line = doc.top("longhaul");
            errors.push(doc.refuse(line, "`longhaul`: missing field `evidence`").help(help));
        }
        let message = check_message::<S>(&own.message, doc, &mut errors);
        let evidence = own.evidence.as_deref().unwrap_or_default();
        let evidence = check_evidence::<S>(evidence, doc, &mut errors);
        let merge_by = check_merge_by::<S>(&own.merge_by, doc, &mut errors);
        Some((own, family, message?, (evidence, merge_by)))
    });
    let (Some((own, family, message, (evidence, merge_by))), Some((when, notes)), true) =
        (parts, when, errors.is_empty())
    else {
        return Err(errors);
    };
    let (at_least, is_about_responder) = (own.at_least.unwrap_or(1), own.subject.is_some());
    let shown = evidence.iter().map(|(_, item)| item.clone()).collect();
    let rule = rule_of(sigma, doc, (own, family), (S::SERVICE, shown));
    let rule = Arc::new(Rule { notes, ..rule });
    Ok(Compiled {
        stands: rule.is_whole(),
        rule,
        when,
        message,
        evidence,
        merge_by,
        at_least,
        is_about_responder,
        origin: 0,
    })
}

/// The metadata of a correlation, and its message; one without `longhaul` only if it is a part of
/// others.
pub(super) fn build_correlation(
    sigma: &SigmaRule,
    doc: &Document,
    is_part: bool,
) -> Result<(Rule, String), Vec<Error>> {
    let mut errors = Vec::new();
    let head = head(sigma, doc, is_part, &mut errors);
    if let Some((own, _)) = &head {
        check_counted(own, doc, &mut errors);
    }
    match head {
        Some((own, family)) if errors.is_empty() => {
            let message = own.message.clone();
            Ok((rule_of(sigma, doc, (own, family), (CORRELATION, Vec::new())), message))
        }
        _ => Err(errors),
    }
}

/// What all rules have: our keys, checked, and the family.
fn head(
    sigma: &SigmaRule,
    doc: &Document,
    is_part: bool,
    errors: &mut Vec<Error>,
) -> Option<(Own, Family)> {
    check_top_keys(doc, errors);
    if is_part && let Some(own) = read_part(sigma) {
        if sigma.id.is_some() {
            check_uuid(sigma, doc, errors);
        }
        return Some((own, Family::N));
    }
    check_uuid(sigma, doc, errors);
    if sigma.level.is_none() && !doc.top_keys().any(|(_, key)| key == "level") {
        let help = "add `level:` informational, low, medium, high or critical";
        errors.push(doc.refuse(doc.top("title"), "the rule has no `level`").help(help));
    }
    let own = read_own(sigma, doc, errors)?;
    // Without a family there is an error, and no rule.
    let family = check_own(&own, doc, errors).unwrap_or(Family::N);
    Some((own, family))
}

fn rule_of(
    sigma: &SigmaRule,
    doc: &Document,
    (own, family): (Own, Family),
    (service, evidence): (&'static str, Vec<EvidenceField>),
) -> Rule {
    let benign_checked = if own.benign_checked.is_empty() {
        sigma.falsepositives.clone()
    } else {
        own.benign_checked
    };
    let name = name_of(sigma);
    let uuid = sigma.id.as_deref().map_or_else(|| format!("name:{name}"), str::to_lowercase);
    let info = RuleInfo {
        id: own.id,
        name,
        uuid,
        title: sigma.title.clone(),
        level: level_of(sigma.level.unwrap_or(rsigma_parser::Level::Informational)),
        family,
        topologies: own.topologies,
        techniques: techniques(&sigma.tags),
        group: own.group.as_deref().and_then(Group::of).unwrap_or(family.group()),
        ratio: own.ratio.unwrap_or(CAUTIOUS),
        alone: false,
        benign_checked,
        message: own.message,
        evidence,
    };
    Rule {
        info: Arc::new(info),
        service,
        ratio_of: if own.ratio.is_some() { RatioOf::Rule } else { RatioOf::Nothing },
        tagged: BTreeMap::new(),
        enabled: own.enabled,
        list_age_days_max: own.list_max_age_days.unwrap_or(LIST_AGE_DAYS_MAX),
        dated: date_of(sigma),
        description: sigma.description.clone().unwrap_or_default(),
        file: doc.file().to_path_buf(),
        line: doc.number(doc.top("title")),
        notes: Vec::new(),
    }
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
