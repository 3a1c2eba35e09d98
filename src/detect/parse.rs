//! One document of a rule file: what it is, and everything that is wrong with its form.
//!
//! Owns: the bounds of a document, the positions of the parser's messages. In: YAML text.
//! Out: a rule, a correlation or a filter, and the errors found on the way. Never: only the first
//! error: what is wrong is left out, so that the rest is checked as well.

use std::str::FromStr;

use rsigma_parser::{FilterRule, Modifier, SigmaRule};
use serde::Deserialize;
use yaml_serde::{Mapping, Value};

use crate::detect::did_you_mean::nearest;
use crate::detect::modifiers;
use crate::detect::yaml_spans::Document;
use crate::model::Error;

/// Deepest nesting of brackets in a document: the parser's time grows with its square.
const NESTING_MAX: usize = 64;

/// Longest condition, and the most of all conditions of a document, in bytes: the parser's time
/// grows with the square of one. Real ones have some hundred.
const CONDITION_BYTES_MAX: usize = 4_096;
const CONDITIONS_BYTES_MAX: usize = 4 * CONDITION_BYTES_MAX;

/// So many times a document is parsed anew without what was wrong.
const ATTEMPTS: usize = 4;

/// What a document is.
pub(super) enum Parsed {
    Rule(Box<SigmaRule>),
    Filter(Box<FilterRule>),
    /// Its metadata as those of a rule, and its section `correlation`.
    Correlation(Box<SigmaRule>, Value),
}

/// Parses a document. Without errors there is a result; with errors there may be one.
pub(super) fn parse(text: &str, doc: &Document) -> (Option<Parsed>, Vec<Error>) {
    if let Some(line) = nested_too_deep(text) {
        let cause = format!("brackets nest deeper than {NESTING_MAX}");
        return (None, vec![doc.refuse(line, cause).help("mend the YAML at this place")]);
    }
    if let Some((bytes, max)) = conditions_too_long(text) {
        let cause = format!("condition: too long: {bytes} bytes are more than {max}");
        let help = "join selections by their names (`1 of name_*`), or make two rules of it";
        return (None, vec![doc.refuse(doc.section("condition"), cause).help(help)]);
    }
    if let Some(error) = action(doc) {
        return (None, vec![error]);
    }
    if doc.has_top("correlation") {
        return correlation(text, doc);
    }
    let mut attempt = Attempt { doc, errors: Vec::new() };
    let parsed = attempt.parse(text);
    if parsed.is_none() && attempt.errors.is_empty() {
        let help = "write title, id, logsource, detection, level and longhaul";
        attempt.errors.push(doc.refuse(0, "the document holds no rule").help(help));
    }
    (parsed, attempt.errors)
}

/// Actions on whole files belong to an older form of Sigma.
fn action(doc: &Document) -> Option<Error> {
    let line = doc.top_keys().find(|(_, key)| *key == "action").map(|(line, _)| line)?;
    let help = "write the shared keys into each rule; rules of one file stand behind `---`";
    Some(doc.refuse(line, "`action` is no part of Sigma 2").help(help))
}

/// A correlation has the metadata of a rule: they are parsed as those of one.
fn correlation(text: &str, doc: &Document) -> (Option<Parsed>, Vec<Error>) {
    let mut attempt = Attempt { doc, errors: Vec::new() };
    let value = match yaml(text) {
        Ok(value) => value,
        Err(cause) => return (None, vec![place(&cause, doc)]),
    };
    let (Some(mapping), stub) = (value.as_mapping(), yaml(STUB)) else { return (None, Vec::new()) };
    let (mut mapping, mut section) = (mapping.clone(), Value::Null);
    for key in ["detection", "logsource"] {
        if mapping.remove(key).is_some() {
            let cause = format!("a correlation has no `{key}`");
            let help = "make two documents of it: rules, and the correlation that names them";
            attempt.errors.push(doc.refuse(doc.top(key), cause).help(help));
        }
    }
    if let Some(found) = mapping.remove("correlation") {
        section = found;
    }
    mapping.extend(stub.ok().as_ref().and_then(Value::as_mapping).cloned().unwrap_or_default());
    let parsed = match yaml_serde::to_string(&Value::Mapping(mapping)) {
        Ok(text) => attempt.parse(&text),
        Err(error) => {
            attempt.errors.push(place(&error.to_string(), doc));
            None
        }
    };
    let parsed = match parsed {
        Some(Parsed::Rule(rule)) => Some(Parsed::Correlation(rule, section)),
        _ => None,
    };
    (parsed, attempt.errors)
}

/// What a rule needs beside the metadata of a correlation.
const STUB: &str = "logsource: {product: longhaul, service: session}\n\
                    detection: {one: {longhaul.state: '*'}, condition: one}\n";

fn yaml(text: &str) -> Result<Value, String> {
    let mut documents = yaml_serde::Deserializer::from_str(text);
    let first = documents.next().map(Value::deserialize);
    match first {
        Some(Ok(value)) if value.as_mapping().is_some() => Ok(value),
        Some(Err(error)) => Err(format!("YAML parse error: {error}")),
        _ => Err("Document is not a YAML mapping".to_owned()),
    }
}

struct Attempt<'d> {
    doc: &'d Document,
    errors: Vec<Error>,
}

impl Attempt<'_> {
    /// Parses, and again without what is wrong.
    fn parse(&mut self, text: &str) -> Option<Parsed> {
        let mut mended: Option<String> = None;
        for _ in 0..ATTEMPTS {
            let text = mended.as_deref().unwrap_or(text);
            let parsed = match rsigma_parser::parse_sigma_yaml(text) {
                Ok(parsed) => parsed,
                Err(error) => {
                    self.errors.push(place(&error.to_string(), self.doc));
                    return None;
                }
            };
            let found = parsed.rules.into_iter().next().map(Box::new).map(Parsed::Rule);
            let filter = parsed.filters.into_iter().next().map(Box::new).map(Parsed::Filter);
            let found = found.or(filter);
            // Of a document that is a rule, these are warnings about single keys.
            let fatal = parsed.errors.last().filter(|_| found.is_none());
            let without = fatal.and_then(|fatal| self.without(fatal, text));
            let known = parsed.errors.len() - usize::from(without.is_some());
            let placed = parsed.errors.iter().take(known).map(|text| place(text, self.doc));
            self.errors.extend(placed);
            match without {
                Some(without) => mended = Some(without),
                None => return found,
            }
        }
        None
    }

    /// The text without what the parser stopped at, if the rest can be parsed then.
    fn without(&mut self, fatal: &str, text: &str) -> Option<String> {
        let mut value = yaml(text).ok()?;
        let top = if self.doc.is_filter() { "filter" } else { "detection" };
        let section = value.as_mapping_mut()?.get_mut(top)?.as_mapping_mut()?;
        if fatal.starts_with("Unknown modifier") || fatal.starts_with("`not` is not") {
            self.leave_out_modifiers(section);
        } else if fatal.starts_with("Condition ") || fatal.contains("'condition'") {
            self.errors.push(place(fatal, self.doc));
            section.insert("condition".into(), "1 of them".into());
        } else {
            return None;
        }
        let mended = yaml_serde::to_string(&value).ok()?;
        (mended != text).then_some(mended)
    }

    /// Takes modifiers away that nobody knows, each with its own error.
    fn leave_out_modifiers(&mut self, section: &mut Mapping) {
        let names: Vec<String> =
            section.keys().filter_map(Value::as_str).map(str::to_owned).collect();
        for name in names {
            let mut seen: Vec<String> = Vec::new();
            if let Some(selection) = section.get_mut(name.as_str()) {
                self.in_selection(&name, selection, &mut seen);
            }
        }
    }

    fn in_selection(&mut self, name: &str, value: &mut Value, seen: &mut Vec<String>) {
        if let Some(all) = value.as_sequence_mut() {
            all.iter_mut().for_each(|one| self.in_selection(name, one, seen));
        }
        let Some(mapping) = value.as_mapping_mut() else { return };
        let mut kept = Mapping::new();
        for (key, value) in std::mem::take(mapping) {
            let Some(text) = key.as_str() else {
                kept.insert(key, value);
                continue;
            };
            let (field, rest) = text.split_once('|').unwrap_or((text, ""));
            let nth = seen.iter().filter(|have| *have == field).count();
            seen.push(field.to_owned());
            let words = rest.split('|').filter(|word| !word.is_empty());
            let (known, unknown): (Vec<&str>, Vec<&str>) =
                words.partition(|word| Modifier::from_str(word).is_ok());
            for word in unknown {
                self.errors.push(unknown_modifier(word, self.doc, (name, field, nth)));
            }
            let parts: Vec<&str> = [field].into_iter().chain(known).collect();
            kept.insert(parts.join("|").into(), value);
        }
        *mapping = kept;
    }
}

fn unknown_modifier(word: &str, doc: &Document, at: (&str, &str, usize)) -> Error {
    let (name, field, nth) = at;
    let line = doc.field(name, field, nth);
    if word == "not" {
        let help = "write `not selection` in the condition";
        return doc.refuse(line, "`not` is no modifier").help(help);
    }
    let help = match nearest(word, modifiers::NAMES.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {}", modifiers::SUPPORTED),
        None => modifiers::SUPPORTED.to_owned(),
    };
    doc.refuse(line, format!("unknown modifier `{word}`")).help(help)
}

/// The bytes of a document's conditions, if one or all of them are too long, and how many may be.
/// YAML itself is read: an alias repeats a text wherever its name stands.
fn conditions_too_long(text: &str) -> Option<(usize, usize)> {
    if text.len() <= CONDITION_BYTES_MAX && !text.contains('&') {
        return None;
    }
    let (mut longest, mut all) = (0, 0);
    for document in yaml_serde::Deserializer::from_str(text) {
        // What is no YAML is said by the parser.
        let value = yaml_serde::Value::deserialize(document).ok()?;
        each_condition(&value, &mut |condition| {
            longest = longest.max(condition.len());
            all += condition.len();
        });
    }
    let of_one = Some((longest, CONDITION_BYTES_MAX)).filter(|(bytes, max)| bytes > max);
    of_one.or_else(|| Some((all, CONDITIONS_BYTES_MAX)).filter(|(bytes, max)| bytes > max))
}

/// Every text or list of texts under a key `condition`, at any depth.
fn each_condition(value: &yaml_serde::Value, each: &mut impl FnMut(&str)) {
    let Some(mapping) = value.as_mapping() else {
        let items = value.as_sequence().into_iter().flatten();
        return items.for_each(|item| each_condition(item, each));
    };
    for (key, value) in mapping {
        if key.as_str() == Some("condition") {
            let items = value.as_sequence().into_iter().flatten();
            items.chain([value]).filter_map(yaml_serde::Value::as_str).for_each(&mut *each);
        }
        each_condition(value, each);
    }
}

/// The line, from 0, on which brackets nest too deep; a key in the first column starts anew,
/// whatever the texts before it contain.
fn nested_too_deep(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    text.lines().position(|line| {
        if line.starts_with(|first: char| first.is_ascii_alphabetic()) {
            depth = 0;
        }
        line.bytes().any(|b| {
            match b {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth > NESTING_MAX
        })
    })
}

/// The parser's message with its position. It names lines only for YAML errors; for others the
/// position is searched by the names in it.
fn place(message: &str, doc: &Document) -> Error {
    let cause = message.trim_start_matches("YAML parse error: ");
    let first_line = cause.lines().next().unwrap_or_default();
    let refuse = |line: usize, cause: &str, help: &str| doc.refuse(line, cause).help(help);
    let quoted = cause.split('\'').nth(1).unwrap_or_default();
    if let Some(line) = yaml_line(cause) {
        return refuse(line, &format!("YAML: {first_line}"), "mend the YAML at this place");
    }
    if cause.starts_with("Condition ") {
        let line = doc.section("condition");
        let detail = cause.lines().last().unwrap_or_default().trim().trim_start_matches("= ");
        // The parser says so once for each nesting.
        let detail = detail.rsplit("Condition parse error").next().unwrap_or_default();
        let detail = detail.trim_start_matches([':', ' ']);
        let help = match doc.line_text(line).split_once(':') {
            Some((_, condition)) if condition.contains('|') => {
                "counting is done by correlation rules: see docs/rules.md"
            }
            _ => "selections joined by `and`, `or`, `not`, `1 of name_*`, `all of them`",
        };
        return refuse(line, &format!("condition: {detail}"), help);
    }
    if cause.starts_with("Missing required field") {
        let line = match quoted {
            "condition" => doc.section(""),
            _ => doc.top("title"),
        };
        return refuse(line, &format!("the rule has no `{quoted}`"), "add it");
    }
    if cause.starts_with("invalid level") {
        let help = "informational, low, medium, high or critical";
        return refuse(doc.top("level"), &format!("unknown level `{quoted}`"), help);
    }
    let line = cause.strip_prefix("invalid ").and_then(|rest| rest.split_once(':'));
    let line = line.map_or(0, |(key, _)| doc.top(key));
    refuse(line, first_line, "see the Sigma specification, version 2")
}

/// The line, from 0, of "... at line 3 column 5".
fn yaml_line(message: &str) -> Option<usize> {
    let (_, after) = message.split_once("at line ")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<usize>().ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_brackets_are_refused_before_they_are_parsed() {
        let deep = format!("title: a\nb: {}\n", "[".repeat(100_000));
        assert_eq!(nested_too_deep(&deep), Some(1));
        let doc = Document::new("deep.yml".as_ref(), 1, &deep);
        let (_, errors) = parse(&deep, &doc);
        assert!(errors[0].to_string().contains("deep.yml:2: brackets nest"), "{}", errors[0]);
        assert_eq!(nested_too_deep(&"a: '[['\n".repeat(100)), None);
    }

    fn rule(condition: &str) -> String {
        format!("detection:\n  s:\n    source.port: 1\n  condition: {condition}\n")
    }

    #[test]
    fn long_conditions_are_refused_however_they_are_written() {
        let long = |n: usize| "not ".repeat(n) + "s";
        assert_eq!(conditions_too_long(&rule(&long(1_000))), None);
        assert_eq!(conditions_too_long(&rule(&long(1_024))), Some((4_097, 4_096)));
        let escaped = format!("\"{}s\"", r"n\x6ft ".repeat(1_024));
        assert_eq!(conditions_too_long(&rule(&escaped)), Some((4_097, 4_096)));
        let list = format!("[{}]", vec![long(1_000); 5].join(", "));
        assert_eq!(conditions_too_long(&rule(&list)), Some((20_005, 16_384)));
        let aliases =
            format!("about: &a {}\n{}", long(500), rule(&format!("[{}*a]", "*a, ".repeat(8))));
        assert_eq!(conditions_too_long(&aliases), Some((18_009, 16_384)));
        let elsewhere = format!("about: {}\n{}", "word ".repeat(5_000), rule("s"));
        assert_eq!(conditions_too_long(&elsewhere), None);
    }
}
