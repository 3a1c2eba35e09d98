//! Runs tests of rules that are data: `cases/<rule id>/firing*.json` and `quiet*.json`.
//!
//! Owns: finding and running them. In: a rule directory. Out: one result per case, and one per rule
//! without a firing case. Never: changes files.
//!
//! A case is a flat JSON object of field names and values; of a correlation, a list of them, each
//! an event. `firing.high.json` requires a level too.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::bounded;
use crate::detect::case::{Case, CaseError};
use crate::detect::counting::Counting;
use crate::detect::ruleset::RuleSet;
use crate::model::endpoint::EndpointRow;
use crate::model::site_values::SiteValues;
use crate::model::{Error, Record, RuleInfo};

/// Maximum size of a case, in bytes.
const CASE_BYTES_MAX: u64 = 1 << 20;

/// As many sessions as a single one stands for, where a correlation counts it.
const MANY: usize = 64;

/// The result of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// Rule number: `D01`.
    pub rule: String,
    /// The case's file, or the rule's if the rule has no firing case.
    pub file: PathBuf,
    /// Why it failed; `None` if it passed.
    pub failure: Option<String>,
}

/// Runs the cases of a rule directory against its rules.
///
/// Errors: those of the rules, or a folder that cannot be read.
pub fn run(dir: &Path, site: &SiteValues) -> Result<Vec<CaseResult>, Vec<Error>> {
    let rules = RuleSet::load_dir_for(dir, site)?;
    let mut results = Vec::new();
    let mut fired = Vec::new();
    for folder in sorted(&dir.join("cases"))?.iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let rule = name.to_uppercase();
        if !rules.iter().any(|have| have.info().id == rule) {
            let failure = Some(format!("there is no rule {rule}"));
            results.push(CaseResult { rule, file: folder.clone(), failure });
            continue;
        }
        for file in
            sorted(folder)?.iter().filter(|path| path.extension().is_some_and(|e| e == "json"))
        {
            let failure = run_case(&rules, &rule, file, &mut fired).err();
            results.push(CaseResult { rule: rule.clone(), file: file.clone(), failure });
        }
    }
    for rule in rules.iter().filter(|rule| !fired.contains(&rule.info().uuid)) {
        let failure = Some(format!("no firing case makes `{}` fire", rule.info().title));
        results.push(CaseResult {
            rule: rule.info().id.clone(),
            file: rule.file().to_path_buf(),
            failure,
        });
    }
    Ok(results)
}

fn sorted(dir: &Path) -> Result<Vec<PathBuf>, Vec<Error>> {
    let entries = std::fs::read_dir(dir).map_err(|e| {
        let error = Error::new(format!("cases in {}", dir.display()), e.to_string());
        vec![error.help("make a folder cases/<rule id> with firing.json and quiet.json")]
    })?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

fn run_case(
    rules: &RuleSet,
    rule: &str,
    file: &Path,
    fired: &mut Vec<String>,
) -> Result<(), String> {
    let text = bounded::file::read_text(file, CASE_BYTES_MAX)?;
    let json: Json = serde_json::from_str(&text).map_err(|e| format!("JSON: {e}"))?;
    let mut held = match (json.as_object(), json.as_array()) {
        (Some(object), _) => run_single(rules, rule, (object, &text))?,
        (None, Some(events)) => run_sequence(rules, events, &text)?,
        (None, None) => return Err("a case is one JSON object, or a list of them".to_owned()),
    };
    held.retain(|(info, _)| info.id == rule);
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut words = stem.split('.');
    match words.next() {
        Some(word) if word.starts_with("quiet") => match held.first() {
            None => Ok(()),
            Some((_, message)) => Err(format!("fired: {message}")),
        },
        Some(word) if word.starts_with("firing") => {
            check_firing(&held, words.next())?;
            fired.extend(held.iter().map(|(info, _)| info.uuid.clone()));
            Ok(())
        }
        _ => Err("its name begins with neither `firing` nor `quiet`".to_owned()),
    }
}

fn run_single<'r>(
    rules: &'r RuleSet,
    rule: &str,
    (object, text): (&Map<String, Json>, &str),
) -> Result<Vec<(&'r RuleInfo, String)>, String> {
    // Rules of one number judge the same kind of thing.
    let of = |service: &str| {
        rules.iter().any(|have| have.info().id == rule && have.service() == service)
    };
    if of("endpoint") {
        let case = Case::read::<EndpointRow>(object).map_err(|e| at_line(&e, text))?;
        Ok(rules.firing_on_endpoint(&case))
    } else {
        let case = Case::read::<Record>(object).map_err(|e| at_line(&e, text))?;
        let mut held = rules.firing_on_session(&case);
        if of("correlation") {
            // One session alone is counted for many of its kind.
            let mut counting = Counting::new(rules);
            (0..MANY).for_each(|_| counting.session(&case));
            held.extend(counting.fired());
        }
        Ok(held)
    }
}

/// Counts events in the order in which they stand; what names an endpoint is one.
fn run_sequence<'r>(
    rules: &'r RuleSet,
    events: &[Json],
    text: &str,
) -> Result<Vec<(&'r RuleInfo, String)>, String> {
    let mut counting = Counting::new(rules);
    for event in events {
        let object = event.as_object().ok_or("an event of a case is one JSON object")?;
        let is_endpoint = object.keys().any(|name| name.starts_with("endpoint."));
        if is_endpoint {
            let case = Case::read::<EndpointRow>(object).map_err(|e| at_line(&e, text))?;
            counting.endpoint(&case);
        } else {
            let case = Case::read::<Record>(object).map_err(|e| at_line(&e, text))?;
            counting.session(&case);
        }
    }
    Ok(counting.fired())
}

/// What is wrong with a case, where, and what to do.
fn at_line(error: &CaseError, text: &str) -> String {
    let name = format!("\"{}\"", error.field);
    let line = text.lines().position(|line| line.contains(&name)).map_or(1, |line| line + 1);
    format!("line {line}: {}; {}", error.cause, error.help)
}

fn check_firing(held: &[(&RuleInfo, String)], level: Option<&str>) -> Result<(), String> {
    let [(info, _)] = held else {
        return Err(match held.len() {
            0 => "stayed quiet".to_owned(),
            n => format!("fired {n} times: rules of one number must exclude each other"),
        });
    };
    match level {
        Some(level) if level != info.level.as_str() => {
            Err(format!("fired at level {}, not {level}", info.level.as_str()))
        }
        _ => Ok(()),
    }
}
