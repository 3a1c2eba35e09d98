//! Loads rule files.
//!
//! Owns: files, their documents, and the positions of the parser's messages. In: YAML text.
//! Out: rules, or every error of every file. Never: half a rule set.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::bounded;
use crate::detect::embedded::EMBEDDED;
use crate::detect::rule::{Built, Rule, build};
use crate::detect::yaml_spans::Document;
use crate::model::Error;

/// Maximum size of a rule file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Maximum rule files of a directory, and its maximum depth.
const FILES_MAX: usize = 4_096;
const DEPTH_MAX: usize = 8;

/// Deepest nesting of brackets in a document: the parser's time grows with its square.
const NESTING_MAX: usize = 64;

/// Longest condition, and the most of all conditions of a document, in bytes: the parser's time
/// grows with the square of one. Real ones have some hundred.
const CONDITION_BYTES_MAX: usize = 4_096;
const CONDITIONS_BYTES_MAX: usize = 4 * CONDITION_BYTES_MAX;

/// A rule file: its path and its text.
pub(super) struct RuleFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// The rule files of one origin: the program, a directory, a file.
pub(super) struct Origin {
    /// `embedded`, or the name of the directory or file.
    pub(super) name: String,
    /// Common prefix of the paths; the rest is the same wherever the origin is.
    pub(super) root: PathBuf,
    pub(super) files: Vec<RuleFile>,
}

impl Origin {
    /// The embedded rules.
    pub(super) fn embedded() -> Origin {
        let root = PathBuf::from("embedded");
        let file = |(path, text): &(&str, &str)| RuleFile {
            path: root.join(path),
            text: (*text).to_owned(),
        };
        let files = EMBEDDED.iter().map(file).collect();
        Origin { name: "embedded".to_owned(), root, files }
    }

    /// The rules of a directory or of one file.
    ///
    /// Errors: nothing there that could be a rule.
    pub(super) fn read(path: &Path) -> Result<Origin, Vec<Error>> {
        let name = path.file_name().map_or_else(|| "rules".into(), |name| name.to_string_lossy());
        let name = name.into_owned();
        if std::fs::metadata(path).is_ok_and(|meta| !meta.is_dir()) {
            let text = read(path).map_err(|error| vec![error])?;
            let root = path.parent().unwrap_or(Path::new("")).to_path_buf();
            return Ok(Origin { name, root, files: vec![RuleFile { path: path.into(), text }] });
        }
        Ok(Origin { name, root: path.to_path_buf(), files: read_dir(path)? })
    }
}

/// Reads every `.yml` and `.yaml` below a directory, in path order. The folders `cases` (tests of
/// rules), `lists` and `signatures` (indicators) contain no rules.
pub(super) fn read_dir(dir: &Path) -> Result<Vec<RuleFile>, Vec<Error>> {
    let mut paths = Vec::new();
    let mut errors = Vec::new();
    collect(dir, 0, &mut paths, &mut errors);
    paths.sort();
    if paths.is_empty() && errors.is_empty() {
        let error =
            Error::new(format!("rules in {}", dir.display()), "no file ends in .yml or .yaml");
        errors.push(error.help("put Sigma rules there, or leave --rules out"));
    }
    if paths.len() > FILES_MAX {
        let cause = format!("{} rule files are more than {FILES_MAX}", paths.len());
        errors.push(Error::new(format!("rules in {}", dir.display()), cause).help("join some"));
        paths.clear();
    }
    let mut files = Vec::new();
    for path in paths {
        match read(&path) {
            Ok(text) => files.push(RuleFile { path, text }),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

fn collect(dir: &Path, depth: usize, paths: &mut Vec<PathBuf>, errors: &mut Vec<Error>) {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            let what = format!("rules in {}", dir.display());
            errors.push(Error::new(what, error.to_string()).help("give a readable directory"));
            return;
        }
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let skipped = path.file_name().is_some_and(|name| {
            ["cases", "lists", "signatures"].iter().any(|other| name == *other)
        });
        if path.is_dir() {
            if !skipped && depth < DEPTH_MAX {
                collect(&path, depth + 1, paths, errors);
            }
        } else if path.extension().is_some_and(|end| end == "yml" || end == "yaml") {
            paths.push(path);
        }
    }
}

fn read(path: &Path) -> Result<String, Error> {
    bounded::file::read_text(path, FILE_BYTES_MAX).map_err(|cause| {
        Error::new("rule", cause).at(path, 0).help("rules are readable UTF-8 text files")
    })
}

/// Compiles every document of every file; all errors together, by file and line.
pub(super) fn compile_files<'f>(
    files: impl Iterator<Item = &'f RuleFile>,
) -> Result<Vec<Built>, Vec<Error>> {
    let mut rules: Vec<Built> = Vec::new();
    let mut errors = Vec::new();
    for file in files {
        let documents = documents(&file.text);
        if documents.is_empty() {
            let error = Error::new("rule", "the file holds no rule").at(&file.path, 0);
            errors.push(error.help("write one, or take the file away"));
        }
        for (first, text) in documents {
            let doc = Document::new(&file.path, first, text);
            match compile_document(text, &doc) {
                Ok(built) => match taken(&rules, &built, &doc) {
                    None => rules.push(built),
                    Some(error) => errors.push(error),
                },
                Err(more) => errors.extend(more),
            }
        }
    }
    if errors.is_empty() {
        return Ok(rules);
    }
    errors.sort_by(|a, b| a.place.cmp(&b.place));
    Err(errors)
}

/// The documents of a YAML stream with their first lines; empty ones are left out.
fn documents(text: &str) -> Vec<(u32, &str)> {
    let mut all = Vec::new();
    let (mut begin, mut first, mut at, mut number) = (0, 1u32, 0, 0u32);
    for line in text.split_inclusive('\n') {
        number += 1;
        let marker = line.trim_end() == "---" || line.starts_with("--- ");
        if marker {
            all.push((first, begin, at));
            begin = at + line.len();
            first = number + 1;
        }
        at += line.len();
    }
    all.push((first, begin, at));
    all.into_iter()
        .filter_map(|(first, from, to)| Some((first, text.get(from..to)?)))
        .filter(|(_, text)| {
            text.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        })
        .collect()
}

/// Why a rule clashes with others: its id is in use, or its number. Rules of one number must be in
/// one file, where it is easy to see that they exclude each other.
fn taken(rules: &[Built], new: &Built, doc: &Document) -> Option<Error> {
    let (info, file) = (&new.rule().info, new.rule().file());
    let mut rules = rules.iter().map(|have| have.rule());
    let same = |have: &&Arc<Rule>| {
        have.info.uuid == info.uuid || have.info.id == info.id && have.file() != file
    };
    let have = rules.find(same)?;
    let place = format!("{}:{}", have.file().display(), have.line());
    let embedded = have.file().starts_with("embedded");
    let instead = "; to replace the embedded rules, give --rules-only";
    let instead = if embedded { instead } else { "" };
    let (line, cause, help) = if have.info.uuid == info.uuid {
        let cause = format!("the id is taken by the rule at {place}");
        (doc.top("id"), cause, "give the rule a random UUID of its own")
    } else {
        let cause = format!("the number {} is taken by the rule at {place}", info.id);
        (doc.child("longhaul", "id"), cause, "give the rule a number of its own, from D100 on")
    };
    Some(doc.refuse(line, cause).help(format!("{help}{instead}")))
}

fn compile_document(text: &str, doc: &Document) -> Result<Built, Vec<Error>> {
    if let Some(line) = nested_too_deep(text) {
        let cause = format!("brackets nest deeper than {NESTING_MAX}");
        return Err(vec![doc.refuse(line, cause).help("mend the YAML at this place")]);
    }
    if let Some((bytes, max)) = conditions_too_long(text) {
        let cause = format!("condition: too long: {bytes} bytes are more than {max}");
        let help = "join selections by their names (`1 of name_*`), or make two rules of it";
        return Err(vec![doc.refuse(doc.child("detection", "condition"), cause).help(help)]);
    }
    let parsed = match rsigma_parser::parse_sigma_yaml(text) {
        Ok(parsed) => parsed,
        Err(error) => return Err(vec![place(&error.to_string(), doc)]),
    };
    let mut errors: Vec<Error> = parsed.errors.iter().map(|text| place(text, doc)).collect();
    let correlation = parsed.correlations.first().map(|_| "correlation");
    if let Some(key) = correlation.or(parsed.filters.first().map(|_| "filter")) {
        let cause = format!("`{key}` rules are not yet evaluated");
        let help = "rules with `detection:` are, in this version";
        errors.push(doc.refuse(doc.top(key), cause).help(help));
    }
    let built = parsed.rules.first().map(|rule| build(rule, doc));
    match built {
        Some(Ok(rule)) if errors.is_empty() => return Ok(rule),
        Some(Err(more)) => errors.extend(more),
        _ => {}
    }
    if errors.is_empty() {
        let help = "write title, id, logsource, detection, level and longhaul";
        errors.push(doc.refuse(doc.top("action"), "the document holds no rule").help(help));
    }
    Err(errors)
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
        let line = doc.child("detection", "condition");
        let detail = cause.lines().last().unwrap_or_default().trim().trim_start_matches("= ");
        // The parser says so once for each nesting.
        let detail = detail.rsplit("Condition parse error").next().unwrap_or_default();
        let detail = detail.trim_start_matches([':', ' ']);
        let help = "selections joined by `and`, `or`, `not`, `1 of name_*`, `all of them`";
        return refuse(line, &format!("condition: {detail}"), help);
    }
    if cause.starts_with("Unknown modifier") {
        let line = doc.anywhere(&format!("|{quoted}")).unwrap_or(0);
        let help = "supported: contains startswith endswith all re (with i m s) cidr \
                    gt gte lt lte neq exists cased";
        return refuse(line, &format!("unknown modifier `{quoted}`"), help);
    }
    if cause.starts_with("`not` is not") {
        let line = doc.anywhere("|not").unwrap_or(0);
        return refuse(line, "`not` is no modifier", "write `not selection` in the condition");
    }
    if cause.starts_with("Missing required field") {
        let line = doc.top(if quoted == "condition" { "detection" } else { "title" });
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
    fn documents_know_their_lines() {
        let text = "# about\n---\ntitle: a\n---\n\n# none\n---\ntitle: b\n";
        let all: Vec<(u32, &str)> = documents(text);
        assert_eq!(all, [(3, "title: a\n"), (8, "title: b\n")]);
        assert_eq!(documents("title: a"), [(1, "title: a")]);
    }

    #[test]
    fn deep_brackets_are_refused_before_they_are_parsed() {
        let deep = format!("title: a\nb: {}\n", "[".repeat(100_000));
        assert_eq!(nested_too_deep(&deep), Some(1));
        let files = [RuleFile { path: "deep.yml".into(), text: deep }];
        let errors = compile_files(files.iter()).err().unwrap();
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
