//! The metadata of a rule, and its checks.
//!
//! Owns: Sigma's keys. In: one parsed Sigma rule. Out: its parts, or every error. Never: a test of
//! a record.

use rsigma_parser::SigmaRule;

use crate::detect::did_you_mean::nearest;
use crate::detect::yaml_spans::Document;
use crate::model::endpoint::EndpointRow;
use crate::model::schema::Judged;
use crate::model::{Error, Level, Nanos, Record};

/// Keys of a Sigma rule (specification 2.1), and ours.
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
    "correlation",
    "generate",
];

/// Sigma requires `title` and makes `name` optional: the default is the title in snake case.
pub(super) fn name_of(sigma: &SigmaRule) -> String {
    if let Some(name) = sigma.name.as_deref().filter(|name| !name.is_empty()) {
        return name.to_owned();
    }
    let words = sigma.title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.map(str::to_lowercase).collect::<Vec<_>>().join("_");
    if name.is_empty() { sigma.title.clone() } else { name }
}

/// The day the rule was last changed: `modified`, else `date` (ISO 8601, as Sigma asks).
pub(super) fn date_of(sigma: &SigmaRule) -> Option<Nanos> {
    let days = [&sigma.modified, &sigma.date];
    days.into_iter().flatten().find_map(|day| Nanos::from_date(day))
}

/// Sigma allows custom keys, so only near misses of known ones are refused.
pub(super) fn check_top_keys(doc: &Document, errors: &mut Vec<Error>) {
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

pub(super) fn check_logsource(sigma: &SigmaRule, doc: &Document, errors: &mut Vec<Error>) {
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

pub(super) fn check_uuid(sigma: &SigmaRule, doc: &Document, errors: &mut Vec<Error>) -> String {
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

pub(super) fn level_of(level: rsigma_parser::Level) -> Level {
    match level {
        rsigma_parser::Level::Informational => Level::Informational,
        rsigma_parser::Level::Low => Level::Low,
        rsigma_parser::Level::Medium => Level::Medium,
        rsigma_parser::Level::High => Level::High,
        rsigma_parser::Level::Critical => Level::Critical,
    }
}

/// `attack.t1090.003` is technique T1090.003; other tags name tactics, groups or other schemes.
pub(super) fn techniques(tags: &[String]) -> Vec<String> {
    tags.iter()
        .filter_map(|tag| tag.strip_prefix("attack."))
        .filter(|id| {
            let digits = id.strip_prefix('t').unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        })
        .map(str::to_uppercase)
        .collect()
}
