//! The section `correlation` of a rule file.
//!
//! Owns: its keys and their bounds. In: parsed YAML. Out: a section, and every error. Never: what
//! it names in other documents.

use rsigma_parser::SigmaRule;
use yaml_serde::{Mapping, Value};

use crate::detect::correlation::definition::{Compare, Condition};
use crate::detect::correlation::shape::Kind;
use crate::detect::did_you_mean::{did_you_mean, nearest};
use crate::detect::yaml_spans::Document;
use crate::model::Error;

/// Most rules of a correlation.
const RULES_MAX: usize = 64;

/// Longest span, in seconds: 92 days.
const SPAN_MAX: u64 = 92 * 86_400;

const KEYS: [&str; 7] =
    ["type", "rules", "aliases", "group-by", "timespan", "condition", "generate"];

/// An alias: its name, and the field of it by rule.
pub(in crate::detect) type Alias = (String, Vec<(String, String)>);

/// A section, as it is written.
#[derive(Debug)]
pub(in crate::detect) struct Section {
    pub(in crate::detect) kind: Kind,
    pub(in crate::detect) rules: Vec<String>,
    pub(in crate::detect) aliases: Vec<Alias>,
    pub(in crate::detect) group_by: Vec<String>,
    /// Nanoseconds.
    pub(in crate::detect) span: u64,
    pub(in crate::detect) condition: Condition,
    pub(in crate::detect) fields: Vec<String>,
    pub(in crate::detect) percentile: f64,
    /// The rules that it names raise their own alerts, too.
    pub(in crate::detect) generate: bool,
}

/// The rules that a section names, whatever else is wrong with it.
pub(in crate::detect) fn references(section: &Value) -> Vec<String> {
    section.as_mapping().and_then(|keys| keys.get("rules")).map(texts).unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    let many = value.as_sequence().into_iter().flatten();
    many.chain([value]).filter_map(Value::as_str).map(str::to_owned).collect()
}

struct Reading<'a> {
    keys: &'a Mapping,
    doc: &'a Document,
    errors: &'a mut Vec<Error>,
}

/// Reads a section; none if it lacks what nothing can stand for.
pub(in crate::detect) fn read_section(
    sigma: &SigmaRule,
    section: &Value,
    doc: &Document,
    errors: &mut Vec<Error>,
) -> Option<Section> {
    let Some(keys) = section.as_mapping() else {
        let help = "write type, rules, group-by, timespan and condition";
        let cause = "`correlation` is no mapping";
        errors.push(doc.refuse(doc.top("correlation"), cause).help(help));
        return None;
    };
    let before = errors.len();
    let mut reading = Reading { keys, doc, errors };
    reading.check_keys();
    let kind = reading.kind();
    let rules = reading.rules();
    let group_by = reading.group_by();
    let span = reading.span();
    let aliases = reading.aliases();
    let of_top = sigma.custom_attributes.get("generate").and_then(Value::as_bool);
    let generate = of_top.or(reading.generate()).unwrap_or(false);
    let kind = kind?;
    let (condition, fields, percentile) = reading.condition(kind, rules.len());
    let sound = reading.errors.len() == before;
    let span = span.filter(|_| sound)?;
    Some(Section { kind, rules, aliases, group_by, span, condition, fields, percentile, generate })
}

impl Reading<'_> {
    fn refuse(&mut self, key: &str, cause: impl Into<String>, help: impl Into<String>) {
        let line = self.doc.child("correlation", key);
        self.errors.push(self.doc.refuse(line, cause).help(help));
    }

    fn check_keys(&mut self) {
        let names: Vec<&str> = self.keys.keys().filter_map(Value::as_str).collect();
        for name in names {
            if !KEYS.contains(&name) {
                let otherwise = format!("keys: {}", KEYS.join(", "));
                let help = did_you_mean(nearest(name, KEYS.into_iter()), &otherwise);
                self.refuse(name, format!("`correlation`: unknown key `{name}`"), help);
            }
        }
    }

    fn kind(&mut self) -> Option<Kind> {
        let words = Kind::ALL.map(Kind::as_str);
        let all = words.join(", ");
        let Some(word) = self.keys.get("type").and_then(Value::as_str) else {
            self.refuse("type", "the correlation has no `type`", all);
            return None;
        };
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
        if kind.is_none() {
            let help = did_you_mean(nearest(word, words.into_iter()), &all);
            self.refuse("type", format!("unknown type `{word}`"), help);
        }
        kind
    }

    fn rules(&mut self) -> Vec<String> {
        let rules = self.keys.get("rules").map(texts).unwrap_or_default();
        let twice = rules
            .iter()
            .enumerate()
            .find(|(at, name)| rules.iter().take(*at).any(|before| before == *name));
        if rules.is_empty() {
            let help = "list the `id` or the `name` of each rule that it counts";
            self.refuse("rules", "the correlation names no rules", help);
        } else if rules.len() > RULES_MAX {
            let cause = format!("{} rules are more than {RULES_MAX}", rules.len());
            self.refuse("rules", cause, "make several correlations, and one of these");
        } else if let Some((_, name)) = twice {
            self.refuse("rules", format!("rule `{name}` is named twice"), "name it once");
        }
        rules
    }

    fn group_by(&mut self) -> Vec<String> {
        let names = self.keys.get("group-by").map(texts).unwrap_or_default();
        if names.is_empty() {
            let help = "list the fields whose values belong together: `longhaul.subject.id`";
            self.refuse("group-by", "the correlation has no `group-by`", help);
        }
        names
    }

    fn span(&mut self) -> Option<u64> {
        const HELP: &str = "a number and s, m, h, d or w, as `15m` or `7d`; 92d at most";
        let value = self.keys.get("timespan");
        let text = match value {
            None => {
                self.refuse("timespan", "the correlation has no `timespan`", HELP);
                return None;
            }
            Some(value) => value.as_str().map_or_else(|| number_text(value), str::to_owned),
        };
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        let unit = text.get(digits.len()..).unwrap_or_default();
        let each = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => 0,
        };
        let cause = match (digits.parse::<u64>(), unit) {
            (Ok(_), "") => format!("timespan `{text}` has no unit"),
            (Ok(count), _) if each > 0 => match count.checked_mul(each) {
                Some(seconds) if (1..=SPAN_MAX).contains(&seconds) => {
                    return Some(seconds.saturating_mul(1_000_000_000));
                }
                _ => format!("timespan `{text}` is out of range"),
            },
            _ => format!("`{text}` is no timespan"),
        };
        self.refuse("timespan", cause, HELP);
        None
    }

    fn aliases(&mut self) -> Vec<Alias> {
        const HELP: &str = "write `alias: {rule: field}`";
        let Some(value) = self.keys.get("aliases") else { return Vec::new() };
        let Some(mapping) = value.as_mapping() else {
            self.refuse("aliases", "`aliases` is no mapping", HELP);
            return Vec::new();
        };
        let mut all = Vec::new();
        for (name, fields) in mapping {
            let (Some(name), Some(fields)) = (name.as_str(), fields.as_mapping()) else {
                self.refuse("aliases", "an alias is no mapping of rules to fields", HELP);
                continue;
            };
            let pair = |(rule, field): (&Value, &Value)| {
                Some((rule.as_str()?.to_owned(), field.as_str()?.to_owned()))
            };
            let pairs: Option<Vec<(String, String)>> = fields.iter().map(pair).collect();
            match pairs {
                Some(pairs) => all.push((name.to_owned(), pairs)),
                None => self.refuse("aliases", format!("alias `{name}`: not all are names"), HELP),
            }
        }
        all
    }

    fn generate(&mut self) -> Option<bool> {
        let value = self.keys.get("generate")?;
        if value.as_bool().is_none() {
            self.refuse("generate", "`generate` is neither true nor false", "write one of them");
        }
        value.as_bool()
    }

    /// Condition, fields, percentile.
    fn condition(&mut self, kind: Kind, rules: usize) -> (Condition, Vec<String>, f64) {
        let temporal = matches!(kind, Kind::Temporal | Kind::TemporalOrdered);
        let mut condition = Condition::default();
        let (mut fields, mut percentile) = (Vec::new(), 50.0);
        match self.keys.get("condition") {
            None if temporal => condition.0.push((Compare::AtLeast, rules as f64)),
            Some(value) if value.as_mapping().is_some() => {
                for (key, value) in value.as_mapping().into_iter().flatten() {
                    let key = key.as_str().unwrap_or_default();
                    match key {
                        "field" => fields = texts(value),
                        "percentile" => percentile = self.percentile(kind, value),
                        _ => condition.0.extend(self.compare(key, value)),
                    }
                }
                self.check_fields(kind, &fields);
                if temporal && condition.0.is_empty() {
                    condition.0.push((Compare::AtLeast, rules as f64));
                }
                self.check_condition(kind, rules, &condition);
            }
            _ => {
                let help = "write a mapping: `condition: {gte: 10}`";
                self.refuse("condition", "the correlation has no `condition`", help);
            }
        }
        (condition, fields, percentile)
    }

    fn line_of(&self, word: &str) -> usize {
        self.doc.text(self.doc.child("correlation", "condition"), word)
    }

    fn compare(&mut self, key: &str, value: &Value) -> Option<(Compare, f64)> {
        let Some((_, compare)) = Compare::ALL.into_iter().find(|(word, _)| *word == key) else {
            let words = Compare::ALL.iter().map(|(word, _)| *word).chain(["field", "percentile"]);
            let help = did_you_mean(nearest(key, words), "gt gte lt lte eq neq, field, percentile");
            let cause = format!("condition: unknown key `{key}`");
            self.errors.push(self.doc.refuse(self.line_of(key), cause).help(help));
            return None;
        };
        let bound = value.as_f64().filter(|bound| bound.is_finite());
        if bound.is_none() {
            let cause = format!("condition: `{key}` needs a number");
            let line = self.line_of(key);
            self.errors.push(self.doc.refuse(line, cause).help("write it without quotes"));
        }
        bound.map(|bound| (compare, bound))
    }

    fn percentile(&mut self, kind: Kind, value: &Value) -> f64 {
        let percent = value.as_f64().filter(|percent| (0.0..=100.0).contains(percent));
        if percent.is_none() || kind != Kind::ValuePercentile {
            let cause = "condition: `percentile` is out of place or out of range";
            let help = "0 to 100, with `type: value_percentile`; 50 by default";
            let line = self.line_of("percentile");
            self.errors.push(self.doc.refuse(line, cause).help(help));
        }
        percent.unwrap_or(50.0)
    }

    fn check_fields(&mut self, kind: Kind, fields: &[String]) {
        let counts_events =
            matches!(kind, Kind::EventCount | Kind::Temporal | Kind::TemporalOrdered);
        let word = kind.as_str();
        let (cause, help) = match (counts_events, fields.len()) {
            (true, 0) | (false, 1) => return,
            (false, 2..) if kind == Kind::ValueCount => return,
            (true, _) => (format!("`{word}` looks at no `field`"), "leave it out"),
            (false, 0) => (format!("`{word}` needs a `field`"), "name it in the condition"),
            (false, _) => (format!("`{word}` takes one `field`"), "name one in the condition"),
        };
        self.refuse("condition", cause, help);
    }

    fn check_condition(&mut self, kind: Kind, rules: usize, condition: &Condition) {
        let most = match kind {
            Kind::EventCount | Kind::ValueCount => Some(COUNT_MAX),
            Kind::Temporal | Kind::TemporalOrdered => Some(rules as u64),
            Kind::ValueSum | Kind::ValueAvg | Kind::ValuePercentile => None,
        };
        let can = match kind {
            Kind::TemporalOrdered => condition.holds(rules as f64),
            _ => condition.can_hold(most),
        };
        if condition.0.is_empty() {
            let help = "give at least one of gt gte lt lte eq neq";
            self.refuse("condition", "the condition compares with nothing", help);
        } else if !can {
            let help = match kind {
                Kind::Temporal | Kind::TemporalOrdered => {
                    format!("it is the number of rules that matched: 1 to {rules}")
                }
                Kind::EventCount | Kind::ValueCount => {
                    format!("whole numbers from 1 to {COUNT_MAX}: more are not kept of a group")
                }
                _ => "its parts contradict each other".to_owned(),
            };
            self.refuse("condition", "the condition can never hold", help);
        }
    }
}

/// Most events or values that a condition may ask for.
pub(in crate::detect) const COUNT_MAX: u64 = 65_536;

fn number_text(value: &Value) -> String {
    match (value.as_u64(), value.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(number)) => number.to_string(),
        _ => "?".to_owned(),
    }
}
