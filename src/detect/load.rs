//! Loads rule files.
//!
//! Owns: files, their documents, and what of one document refers to another. In: YAML text.
//! Out: rules, or every error of every file. Never: half a rule set.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rsigma_parser::SigmaRule;

use crate::bounded;
use crate::detect::correlation::{self, Broken, Resolved, Wanted};
use crate::detect::embedded::EMBEDDED;
use crate::detect::filter;
use crate::detect::parse::{Parsed, parse};
use crate::detect::parsed_form::{self, ParsedForms};
use crate::detect::rule::{Built, Rule};
use crate::detect::rule_build::{build, build_correlation};
use crate::detect::thresholds;
use crate::detect::yaml_spans::Document;
use crate::model::Error;
use crate::model::site_values::SiteValues;

/// Maximum size of a rule file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Maximum rule files of a directory, and its maximum depth.
const FILES_MAX: usize = 4_096;
const DEPTH_MAX: usize = 8;

/// Where the paths of the embedded rules begin.
const EMBEDDED_ROOT: &str = "embedded";

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
        let root = PathBuf::from(EMBEDDED_ROOT);
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

/// The rules of all files.
pub(super) struct Loaded {
    pub(super) rules: Vec<Built>,
    pub(super) resolved: Resolved,
}

/// Compiles every document of every file; all errors together, by file and line.
pub(super) fn compile_files<'f>(
    files: impl Iterator<Item = &'f RuleFile>,
    site: &SiteValues,
) -> Result<Loaded, Vec<Error>> {
    let (parsed, mut errors) = parse_files(files);
    let parts = Parts::of(&parsed);
    let mut rules: Vec<Built> = Vec::new();
    let (mut filters, mut wanted) = (Vec::new(), Vec::new());
    let mut broken = Broken::new(parsed.iter().any(|one| one.parsed.is_none()));
    for ParsedDocument { parsed, doc, is_sound } in parsed {
        match parsed {
            Some(Parsed::Rule(sigma)) => {
                let built = build(&sigma, &doc, (site, parts.holds(&sigma, &doc)));
                let built = built.and_then(|built| {
                    let clash = taken(&rules, &wanted, built.rule(), &doc);
                    clash.map_or(Ok(built), |clash| Err(vec![clash]))
                });
                match built {
                    Ok(built) if is_sound => rules.push(built),
                    Ok(_) => broken.add(&sigma),
                    Err(more) => {
                        broken.add(&sigma);
                        errors.extend(more);
                    }
                }
            }
            Some(Parsed::Filter(filter)) => filters.push((filter, doc)),
            Some(Parsed::Correlation(sigma, section)) => {
                let section = correlation::read_section(&sigma, &section, &doc, &mut errors);
                let built = build_correlation(&sigma, &doc, parts.holds(&sigma, &doc));
                let built = built.and_then(|(rule, message)| {
                    let clash = taken(&rules, &wanted, &rule, &doc);
                    clash.map_or(Ok((rule, message)), |clash| Err(vec![clash]))
                });
                match (built, section) {
                    (Ok((rule, message)), Some(section)) => {
                        wanted.push(Wanted { rule, message, section, doc });
                    }
                    (built, _) => {
                        broken.add(&sigma);
                        errors.extend(built.err().into_iter().flatten());
                    }
                }
            }
            None => {}
        }
    }
    for (filter, doc) in &filters {
        errors.extend(filter::apply(filter, doc, &mut rules, site).err().into_iter().flatten());
    }
    // A rule that is not there because it is wrong would be missed twice.
    if errors.is_empty() {
        let set = thresholds::apply(&mut rules, &mut wanted, site);
        errors.extend(set.err().into_iter().flatten());
    }
    let resolved = correlation::resolve(wanted, &mut rules, &broken);
    let resolved = resolved.map_err(|more| errors.extend(more)).ok();
    if let Some(resolved) = resolved.filter(|_| errors.is_empty()) {
        return Ok(Loaded { rules, resolved });
    }
    errors.sort_by(|a, b| a.place.cmp(&b.place));
    errors.dedup();
    Err(errors)
}

/// Which rules are parts of correlations: they need no alert of their own.
struct Parts {
    named: BTreeSet<String>,
    /// Files with a correlation.
    files: BTreeSet<PathBuf>,
}

impl Parts {
    fn of(parsed: &[ParsedDocument]) -> Parts {
        let mut parts = Parts { named: BTreeSet::new(), files: BTreeSet::new() };
        for one in parsed {
            if let Some(Parsed::Correlation(_, section)) = &one.parsed {
                parts.named.extend(correlation::references(section));
                parts.files.insert(one.doc.file().to_path_buf());
            }
        }
        parts
    }

    /// Of a rule that is not named, the correlation may have the name wrong.
    fn holds(&self, sigma: &SigmaRule, doc: &Document) -> bool {
        let mut names = [&sigma.id, &sigma.name].into_iter().flatten();
        names.any(|name| self.named.contains(name)) || self.files.contains(doc.file())
    }
}

/// A document that was parsed.
struct ParsedDocument {
    parsed: Option<Parsed>,
    doc: Document,
    /// Nothing was wrong with it.
    is_sound: bool,
}

fn parse_files<'f>(files: impl Iterator<Item = &'f RuleFile>) -> (Vec<ParsedDocument>, Vec<Error>) {
    let (mut all, mut errors, mut forms) = (Vec::new(), Vec::new(), None);
    for file in files {
        let is_embedded = file.path.starts_with(EMBEDDED_ROOT);
        let documents = documents(&file.text);
        if documents.is_empty() {
            let error = Error::new("rule", "the file holds no rule").at(&file.path, 0);
            errors.push(error.help("write one, or take the file away"));
        }
        for (first, text) in documents {
            let doc = Document::new(&file.path, first, text);
            let form = is_embedded
                .then(|| forms.get_or_insert_with(ParsedForms::embedded).of(text))
                .flatten();
            let (parsed, wrong) = match form {
                Some(parsed) => (Some(parsed), Vec::new()),
                None => parse(text, &doc),
            };
            let is_sound = wrong.is_empty();
            errors.extend(wrong);
            all.push(ParsedDocument { parsed, doc, is_sound });
        }
    }
    (all, errors)
}

/// The embedded rules as their parser leaves them: `rules/parsed.txt`.
pub(super) fn parsed_forms() -> String {
    let mut lines = String::new();
    for file in Origin::embedded().files {
        for (first, text) in documents(&file.text) {
            let (parsed, errors) = parse(text, &Document::new(&file.path, first, text));
            let sound = parsed.filter(|_| errors.is_empty());
            if let Some(line) = sound.and_then(|parsed| parsed_form::line(text, &parsed)) {
                lines.push_str(&line);
                lines.push('\n');
            }
        }
    }
    lines
}

/// The documents of a YAML stream with their first lines; empty ones are left out.
pub(super) fn documents(text: &str) -> Vec<(u32, &str)> {
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
fn taken(rules: &[Built], wanted: &[Wanted], new: &Rule, doc: &Document) -> Option<Error> {
    let (info, file) = (new.info(), new.file());
    let rules = rules.iter().map(|have| &**have.rule());
    let mut rules = rules.chain(wanted.iter().map(|have| &have.rule));
    let same = |have: &&Rule| {
        let of_number = new.is_whole() && have.info().id == info.id && have.file() != file;
        have.info().uuid == info.uuid || of_number
    };
    let have = rules.find(same)?;
    let place = format!("{}:{}", have.file().display(), have.line());
    let embedded = have.file().starts_with("embedded");
    let instead = "; to replace the embedded rules, give --rules-only";
    let instead = if embedded { instead } else { "" };
    let (line, cause, help) = if have.info().uuid == info.uuid {
        let cause = format!("the id is taken by the rule at {place}");
        (doc.top("id"), cause, "give the rule a random UUID of its own")
    } else {
        let cause = format!("the number {} is taken by the rule at {place}", info.id);
        (doc.child("longhaul", "id"), cause, "give the rule a number of its own, from D100 on")
    };
    Some(doc.refuse(line, cause).help(format!("{help}{instead}")))
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
}
