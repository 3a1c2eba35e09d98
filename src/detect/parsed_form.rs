//! Embedded rules as their parser left them, so that a start does not parse YAML.
//!
//! Owns: the stored form, `rules/parsed.txt`. In: texts of the embedded rules. Out: the same as
//! the parser gives of them. Never: the form of a text that has changed since: that is parsed; the
//! checks and the compilation of rules.

use std::collections::HashMap;
use std::str::FromStr;

use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, FieldSpec, Level, LogSource, Modifier,
    Related, SigmaRule, SigmaString, SigmaValue, SpecialChar, Status, StringPart,
};
use serde::{Deserialize, Serialize};
use yaml_serde::Value;

use crate::detect::parse::Parsed;
use crate::model::id::{KEY, hex, siphash_128};

/// One document a line: the hash of its text, and its form as JSON. Written by
/// `LONGHAUL_BLESS=1 cargo test --test documents`.
const STORED: &str = include_str!("../../rules/parsed.txt");

/// The documents of the embedded rules, by a hash of their text.
pub(super) struct ParsedForms(HashMap<&'static str, &'static str>);

impl ParsedForms {
    /// Those of the program.
    pub(super) fn embedded() -> ParsedForms {
        ParsedForms(STORED.lines().filter_map(|line| line.split_once(' ')).collect())
    }

    /// What the parser gives of that text.
    pub(super) fn of(&self, text: &str) -> Option<Parsed> {
        let form = self.0.get(&*digest(text))?;
        let Form { rule, correlation } = serde_json::from_str(form).ok()?;
        let rule = Box::new(SigmaRule::try_from(rule).ok()?);
        Some(match correlation {
            Some(section) => Parsed::Correlation(rule, section),
            None => Parsed::Rule(rule),
        })
    }
}

fn digest(text: &str) -> String {
    hex(siphash_128(KEY, text.as_bytes()))
}

/// The line of a document; none for what has no form: a filter.
pub(super) fn line(text: &str, parsed: &Parsed) -> Option<String> {
    #[derive(Serialize)]
    struct Out<'a> {
        rule: &'a SigmaRule,
        #[serde(skip_serializing_if = "Option::is_none")]
        correlation: Option<&'a Value>,
    }
    let (rule, correlation) = match parsed {
        Parsed::Rule(rule) => (rule, None),
        Parsed::Correlation(rule, section) => (rule, Some(section)),
        Parsed::Filter(_) => return None,
    };
    // By way of a value, whose members have an order.
    let out = serde_json::to_value(Out { rule, correlation }).ok()?;
    Some(format!("{} {out}", digest(text)))
}

#[derive(Deserialize)]
struct Form {
    rule: StoredRule,
    correlation: Option<Value>,
}

/// As the parser's type is written; it cannot be read itself.
#[derive(Deserialize)]
struct StoredRule {
    title: String,
    logsource: LogSource,
    detection: StoredDetections,
    sigma_version: Option<u32>,
    id: Option<String>,
    name: Option<String>,
    related: Vec<Related>,
    taxonomy: Option<String>,
    status: Option<Status>,
    description: Option<String>,
    license: Option<String>,
    author: Option<String>,
    references: Vec<String>,
    date: Option<String>,
    modified: Option<String>,
    fields: Vec<String>,
    falsepositives: Vec<String>,
    level: Option<Level>,
    tags: Vec<String>,
    scope: Vec<String>,
    #[serde(default)]
    custom_attributes: HashMap<String, Value>,
}

#[derive(Deserialize)]
struct StoredDetections {
    named: HashMap<String, StoredDetection>,
    conditions: Vec<ConditionExpr>,
    condition_strings: Vec<String>,
    timeframe: Option<String>,
}

#[derive(Deserialize)]
enum StoredDetection {
    AllOf(Vec<StoredItem>),
    AnyOf(Vec<StoredDetection>),
    And(Vec<StoredDetection>),
}

#[derive(Deserialize)]
struct StoredItem {
    field: StoredField,
    values: Vec<StoredValue>,
}

#[derive(Deserialize)]
struct StoredField {
    name: Option<String>,
    modifiers: Vec<String>,
}

#[derive(Deserialize)]
enum StoredValue {
    String(StoredString),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Null,
}

#[derive(Deserialize)]
struct StoredString {
    parts: Vec<StoredPart>,
    original: String,
}

#[derive(Deserialize)]
enum StoredPart {
    Plain(String),
    Special(StoredSpecial),
}

#[derive(Deserialize)]
enum StoredSpecial {
    WildcardMulti,
    WildcardSingle,
}

/// Why there is no rule: a modifier that nobody knows.
struct Unknown;

impl TryFrom<StoredRule> for SigmaRule {
    type Error = Unknown;

    fn try_from(of: StoredRule) -> Result<SigmaRule, Unknown> {
        let named = of.detection.named.into_iter();
        let named = named.map(|(name, one)| Ok((name, Detection::try_from(one)?)));
        Ok(SigmaRule {
            title: of.title,
            logsource: of.logsource,
            detection: Detections {
                named: named.collect::<Result<_, Unknown>>()?,
                conditions: of.detection.conditions,
                condition_strings: of.detection.condition_strings,
                timeframe: of.detection.timeframe,
            },
            sigma_version: of.sigma_version,
            id: of.id,
            name: of.name,
            related: of.related,
            taxonomy: of.taxonomy,
            status: of.status,
            description: of.description,
            license: of.license,
            author: of.author,
            references: of.references,
            date: of.date,
            modified: of.modified,
            fields: of.fields,
            falsepositives: of.falsepositives,
            level: of.level,
            tags: of.tags,
            scope: of.scope,
            custom_attributes: of.custom_attributes,
        })
    }
}

impl TryFrom<StoredDetection> for Detection {
    type Error = Unknown;

    fn try_from(of: StoredDetection) -> Result<Detection, Unknown> {
        let each = |all: Vec<StoredDetection>| {
            all.into_iter().map(Detection::try_from).collect::<Result<Vec<_>, Unknown>>()
        };
        Ok(match of {
            StoredDetection::AllOf(items) => {
                Detection::AllOf(items.into_iter().map(item).collect::<Result<_, Unknown>>()?)
            }
            StoredDetection::AnyOf(all) => Detection::AnyOf(each(all)?),
            StoredDetection::And(all) => Detection::And(each(all)?),
        })
    }
}

fn item(of: StoredItem) -> Result<DetectionItem, Unknown> {
    let modifiers = of.field.modifiers.iter().map(|name| Modifier::from_str(name));
    let modifiers = modifiers.collect::<Result<Vec<Modifier>, ()>>().map_err(|()| Unknown)?;
    Ok(DetectionItem {
        field: FieldSpec { name: of.field.name, modifiers },
        values: of.values.into_iter().map(value).collect(),
    })
}

fn value(of: StoredValue) -> SigmaValue {
    match of {
        StoredValue::String(text) => SigmaValue::String(SigmaString {
            parts: text.parts.into_iter().map(part).collect(),
            original: text.original,
        }),
        StoredValue::Integer(n) => SigmaValue::Integer(n),
        StoredValue::Float(n) => SigmaValue::Float(n),
        StoredValue::Bool(flag) => SigmaValue::Bool(flag),
        StoredValue::Null => SigmaValue::Null,
    }
}

fn part(of: StoredPart) -> StringPart {
    match of {
        StoredPart::Plain(text) => StringPart::Plain(text),
        StoredPart::Special(StoredSpecial::WildcardMulti) => {
            StringPart::Special(SpecialChar::WildcardMulti)
        }
        StoredPart::Special(StoredSpecial::WildcardSingle) => {
            StringPart::Special(SpecialChar::WildcardSingle)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::load::{Origin, documents};
    use crate::detect::parse::parse;
    use crate::detect::yaml_spans::Document;

    /// So all checks and all of the compiler see the same, whether YAML was parsed or not; and no
    /// rule is left for the parser at the start but filters.
    #[test]
    fn the_stored_form_is_what_the_parser_gives() {
        let forms = ParsedForms::embedded();
        let mut stored = 0;
        for file in Origin::embedded().files {
            for (first, text) in documents(&file.text) {
                let (parsed, errors) = parse(text, &Document::new(&file.path, first, text));
                assert!(errors.is_empty(), "{errors:?}");
                match (parsed, forms.of(text)) {
                    (Some(Parsed::Rule(rule)), Some(Parsed::Rule(form))) => assert_eq!(rule, form),
                    (
                        Some(Parsed::Correlation(rule, section)),
                        Some(Parsed::Correlation(form, of)),
                    ) => assert_eq!((rule, section), (form, of)),
                    (Some(Parsed::Filter(_)) | None, None) => continue,
                    (_, form) => {
                        let (path, is_stored) = (file.path.display(), form.is_some());
                        panic!("{path}:{first}: no form, or of something else ({is_stored})")
                    }
                }
                stored += 1;
            }
        }
        assert_eq!(stored, forms.0.len(), "a form is of no rule");
        assert!(forms.of("title: another\n").is_none());
    }
}
