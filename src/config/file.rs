//! The configuration file: TOML, every key checked, unknown keys rejected.
//!
//! Owns: the keys. In: text. Out: changes to a [`Plan`]. Never: a key without effect.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::config::live::{parse_listen, parse_out_max};
use crate::config::memory::parse_memory;
use crate::config::sinks::{self, SinkKeys};
use crate::config::site::{parse_countries, parse_hours};
use crate::config::updates::parse_updates;
use crate::config::{
    Caps, ConfigLines, DEDUP_WINDOW_BOUNDS_US, Plan, Vantage, WORKERS_MAX, bounded, learn_days,
    parse_level, sensor_name,
};
use crate::model::Error;
use crate::model::likelihood::LikelihoodKeys;
use crate::model::site_values::{SiteValue, SiteValues, ThresholdKeys};

const KEYS: &str = "keys are home, nat64, place, sensor, vantage, workers, rules, rules_only, \
                    enable, disable, geo, lists, signatures, approved, controller_countries, \
                    foreign_hours, subjects, \
                    pseudonymise, state, learn_days, learn_only, min_level, max_ratio, no_decap, \
                    key, dedup, dedup_window_us, memory, unanswered, updates, write_updates, \
                    out_max and [caps] with sessions, endpoints, alerts, baselines, bindings, \
                    [likelihood] with prior_one_in, tenure, rules, \
                    [placeholders], [thresholds] with rules, groups, [metrics] with listen, \
                    and [[sink]] with the keys of docs/siem.md";

/// Maximum size of a configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A parsed configuration file. Command-line options override it.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    /// Byte offset of each line.
    lines: Vec<usize>,
    keys: Keys,
}

/// The file's keys; all optional.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    home: Option<Vec<Spanned<String>>>,
    nat64: Option<Vec<Spanned<String>>>,
    place: Option<Spanned<String>>,
    sensor: Option<Spanned<String>>,
    vantage: Option<Spanned<String>>,
    workers: Option<Spanned<usize>>,
    max_ratio: Option<Spanned<usize>>,
    rules: Option<Paths>,
    rules_only: Option<Paths>,
    enable: Option<Vec<String>>,
    disable: Option<Vec<String>>,
    geo: Option<PathBuf>,
    lists: Option<PathBuf>,
    signatures: Option<PathBuf>,
    approved: Option<Vec<String>>,
    controller_countries: Option<Spanned<Vec<String>>>,
    foreign_hours: Option<Spanned<Vec<String>>>,
    subjects: Option<PathBuf>,
    pseudonymise: Option<PathBuf>,
    state: Option<PathBuf>,
    learn_days: Option<Spanned<usize>>,
    learn_only: Option<bool>,
    min_level: Option<Spanned<String>>,
    no_decap: Option<Vec<String>>,
    key: Option<Vec<String>>,
    dedup: Option<bool>,
    dedup_window_us: Option<Spanned<usize>>,
    memory: Option<Spanned<String>>,
    unanswered: Option<u64>,
    updates: Option<Spanned<Vec<String>>>,
    write_updates: Option<bool>,
    out_max: Option<Spanned<String>>,
    caps: Option<CapsTable>,
    likelihood: Option<Spanned<LikelihoodKeys>>,
    placeholders: Option<Spanned<Placeholders>>,
    thresholds: Option<Spanned<ThresholdKeys>>,
    sink: Option<Vec<Spanned<SinkKeys>>>,
    metrics: Option<MetricsTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricsTable {
    listen: Option<Spanned<String>>,
}

/// Values by the name of a placeholder.
type Placeholders = BTreeMap<String, Vec<SiteValue>>;

/// One path or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Paths {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

impl From<Paths> for Vec<PathBuf> {
    fn from(paths: Paths) -> Vec<PathBuf> {
        match paths {
            Paths::One(path) => vec![path],
            Paths::Several(paths) => paths,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapsTable {
    sessions: Option<Spanned<usize>>,
    endpoints: Option<Spanned<usize>>,
    alerts: Option<Spanned<usize>>,
    baselines: Option<Spanned<usize>>,
    bindings: Option<Spanned<usize>>,
}

/// Reads a configuration file.
pub fn load_config(path: &Path) -> Result<ConfigFile, Error> {
    let text = crate::bounded::file::read_text(path, FILE_BYTES_MAX).map_err(|cause| {
        let help = "give a readable UTF-8 file in TOML, or leave --config out";
        Error::new("configuration", cause).at(path, 0).help(help)
    })?;
    parse_config(path, &text)
}

/// Parses a configuration file; `path` is for messages.
pub fn parse_config(path: &Path, text: &str) -> Result<ConfigFile, Error> {
    let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
    let lines: Vec<usize> = std::iter::once(0).chain(breaks).collect();
    match toml::from_str(text) {
        Ok(keys) => Ok(ConfigFile { path: path.to_path_buf(), lines, keys }),
        Err(e) => {
            let line = line_of(&lines, e.span().map_or(0, |span| span.start));
            Err(Error::new("configuration", e.message().to_owned()).at(path, line).help(KEYS))
        }
    }
}

/// The line number, from 1, of a byte offset.
fn line_of(lines: &[usize], byte: usize) -> u32 {
    u32::try_from(lines.partition_point(|begin| *begin <= byte)).unwrap_or(0)
}

/// Adds file and line to a value's errors.
struct Checker<'f> {
    path: &'f Path,
    lines: &'f [usize],
    errors: Vec<Error>,
}

impl Checker<'_> {
    fn place<T>(&self, value: &Spanned<T>) -> (PathBuf, u32) {
        (self.path.to_path_buf(), line_of(self.lines, value.span().start))
    }

    fn set<T, V>(
        &mut self,
        slot: &mut T,
        value: Option<Spanned<V>>,
        check: impl Fn(&V) -> Result<T, Error>,
    ) {
        let Some(value) = value else { return };
        match check(value.get_ref()) {
            Ok(value) => *slot = value,
            Err(error) => {
                let (path, line) = self.place(&value);
                self.errors.push(error.at(&path, line));
            }
        }
    }
}

impl ConfigFile {
    /// Applies the file to a plan; returns all errors at once.
    pub fn apply(self, plan: &mut Plan) -> Result<(), Vec<Error>> {
        let ConfigFile { path, lines, keys } = self;
        let mut checker = Checker { path: &path, lines: &lines, errors: Vec::new() };
        plan.config_lines = ConfigLines::default();
        plan.no_decap = keys.no_decap.unwrap_or_default();
        plan.key = keys.key.unwrap_or_default();
        if let Some(home) = keys.home {
            plan.config_lines.home = home.iter().map(|net| checker.place(net)).collect();
            plan.home = home.into_iter().map(Spanned::into_inner).collect();
        }
        if let Some(nat64) = keys.nat64 {
            plan.config_lines.nat64 = nat64.iter().map(|net| checker.place(net)).collect();
            plan.nat64 = nat64.into_iter().map(Spanned::into_inner).collect();
        }
        if let Some(place) = keys.place {
            plan.config_lines.place = Some(checker.place(&place));
            plan.place = Some(place.into_inner());
        }
        if let Some(paths) = keys.rules {
            plan.rules = paths.into();
        }
        if let Some(paths) = keys.rules_only {
            plan.rules_only = paths.into();
        }
        plan.enable = keys.enable.unwrap_or(plan.enable.drain(..).collect());
        plan.disable = keys.disable.unwrap_or(plan.disable.drain(..).collect());
        plan.geo = keys.geo.or(plan.geo.take());
        plan.lists = keys.lists.or(plan.lists.take());
        plan.signatures = keys.signatures.or(plan.signatures.take());
        if let Some(tags) = keys.approved {
            plan.approved = tags;
        }
        checker.set(&mut plan.controller_countries, keys.controller_countries, |words| {
            parse_countries(words)
        });
        checker.set(&mut plan.foreign_hours, keys.foreign_hours, |words| parse_hours(words));
        plan.subjects = keys.subjects.or(plan.subjects.take());
        plan.pseudonymise = keys.pseudonymise.or(plan.pseudonymise.take());
        plan.state = keys.state.or(plan.state.take());
        plan.learn_only = keys.learn_only.unwrap_or(plan.learn_only);
        checker.set(&mut plan.sensor, keys.sensor, |name| sensor_name(name));
        checker.set(&mut plan.learn_days, keys.learn_days, |days| learn_days(*days).map(Some));
        checker.set(&mut plan.max_ratio, keys.max_ratio, |n| max_ratio(*n));
        checker.set(&mut plan.vantage, keys.vantage, |word| parse_vantage(word));
        checker.set(&mut plan.workers, keys.workers, |n| bounded("workers", *n, 1, WORKERS_MAX));
        checker.set(&mut plan.min_level, keys.min_level, |word| parse_level(word));
        let out_max = |word: &String| parse_out_max("out_max", word).map(Some);
        checker.set(&mut plan.out_max, keys.out_max, out_max);
        checker
            .set(&mut plan.dedup_window_us, keys.dedup_window_us, |us| dedup_window(*us).map(Some));
        if keys.dedup == Some(false) {
            plan.dedup_window_us = None;
        }
        plan.unanswered = keys.unanswered.unwrap_or(plan.unanswered);
        checker.set(&mut plan.updates, keys.updates, |words| parse_updates("updates", words));
        plan.write_updates = keys.write_updates.unwrap_or(plan.write_updates);
        checker.set(&mut plan.memory, keys.memory, |text| parse_memory(text));
        if let Some(caps) = keys.caps {
            caps.apply(&mut plan.caps, &mut checker);
        }
        apply_likelihood(keys.likelihood, plan, &mut checker);
        apply_placeholders(keys.placeholders, plan, &mut checker);
        apply_thresholds(keys.thresholds, plan, &mut checker);
        apply_sinks(keys.sink, plan, &mut checker);
        let listen = keys.metrics.and_then(|table| table.listen);
        checker
            .set(&mut plan.metrics, listen, |word| parse_listen("metrics.listen", word).map(Some));
        if checker.errors.is_empty() { Ok(()) } else { Err(checker.errors) }
    }
}

fn apply_likelihood(
    keys: Option<Spanned<LikelihoodKeys>>,
    plan: &mut Plan,
    checker: &mut Checker<'_>,
) {
    let Some(keys) = keys else { return };
    let (path, line) = checker.place(&keys);
    match keys.into_inner().check() {
        Ok(table) => plan.likelihood = table,
        Err(wrong) => {
            checker.errors.extend(wrong.into_iter().map(|e| e.at(&path, line)));
        }
    }
    plan.config_lines.likelihood = Some((path, line));
}

fn apply_placeholders(
    keys: Option<Spanned<Placeholders>>,
    plan: &mut Plan,
    checker: &mut Checker<'_>,
) {
    let Some(keys) = keys else { return };
    let (path, line) = checker.place(&keys);
    let wrong = SiteValues::check_placeholders(keys.get_ref()).err().into_iter().flatten();
    checker.errors.extend(wrong.map(|error| error.at(&path, line)));
    plan.site_values.placeholders = keys.into_inner();
}

fn apply_thresholds(
    keys: Option<Spanned<ThresholdKeys>>,
    plan: &mut Plan,
    checker: &mut Checker<'_>,
) {
    let Some(keys) = keys else { return };
    let (path, line) = checker.place(&keys);
    match keys.into_inner().check() {
        Ok((numbers, groups)) => {
            (plan.site_values.thresholds, plan.site_values.groups) = (numbers, groups);
        }
        Err(wrong) => {
            checker.errors.extend(wrong.into_iter().map(|e| e.at(&path, line)));
        }
    }
    plan.site_values.place = Some((path, line));
}

fn apply_sinks(sinks: Option<Vec<Spanned<SinkKeys>>>, plan: &mut Plan, checker: &mut Checker<'_>) {
    for keys in sinks.into_iter().flatten() {
        let place = checker.place(&keys);
        match keys.into_inner().check(place) {
            Ok(sink) => plan.sinks.push(sink),
            Err(wrong) => checker.errors.extend(wrong),
        }
    }
    checker.errors.extend(sinks::check_all(&plan.sinks));
}

impl CapsTable {
    fn apply(self, caps: &mut Caps, checker: &mut Checker<'_>) {
        let checked = |what: &'static str, n: usize| bounded(what, n, 16, 1 << 28);
        checker.set(&mut caps.sessions, self.sessions, |n| checked("caps.sessions", *n));
        checker.set(&mut caps.endpoints, self.endpoints, |n| checked("caps.endpoints", *n));
        checker.set(&mut caps.alerts, self.alerts, |n| checked("caps.alerts", *n));
        checker.set(&mut caps.baselines, self.baselines, |n| checked("caps.baselines", *n));
        checker.set(&mut caps.bindings, self.bindings, |n| checked("caps.bindings", *n));
    }
}

/// Validates the window for duplicates, in microseconds.
pub fn dedup_window(us: usize) -> Result<usize, Error> {
    let (low, high) = DEDUP_WINDOW_BOUNDS_US;
    bounded("dedup window (microseconds)", us, low, high)
}

/// Validates the maximum unpacking ratio.
pub fn max_ratio(ratio: usize) -> Result<u64, Error> {
    bounded("max-ratio", ratio, 1, 1 << 40).map(|ratio| ratio as u64)
}

/// Parses a vantage.
pub fn parse_vantage(word: &str) -> Result<Vantage, Error> {
    match word {
        "in" => Ok(Vantage::In),
        "out" => Ok(Vantage::Out),
        "both" => Ok(Vantage::Both),
        _ => Err(Error::new("vantage", format!("`{word}` is not a vantage"))
            .help("give in (remote employees arrive here), out (our devices leave here) or both")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = parse_config(Path::new("c.toml"), "workers = 2\nhoem = []\n").unwrap_err();
        assert_eq!(error.place, Some((PathBuf::from("c.toml"), 2)));
        assert!(error.cause.contains("hoem"), "{error}");
    }

    #[test]
    fn every_bad_value_is_named_at_once() {
        let text = "workers = 99\nvantage = \"up\"\n[caps]\nsessions = 1\n";
        let file = parse_config(Path::new("c.toml"), text).unwrap();
        let errors = file.apply(&mut Plan::default()).unwrap_err();
        let lines: Vec<u32> = errors.iter().map(|e| e.place.as_ref().unwrap().1).collect();
        assert_eq!(lines, [2, 1, 4], "{errors:?}");
    }

    #[test]
    fn a_binary_configuration_file_is_refused_with_help() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("c.toml");
        std::fs::write(&path, b"home = [\"\xff\"]\n").unwrap();
        let error = load_config(&path).unwrap_err();
        assert!(error.help.is_some() && error.place == Some((path, 0)), "{error}");
    }

    #[test]
    fn values_checked_later_are_refused_with_their_line() {
        let mut plan = Plan::default();
        let text = "home = [\n  \"192.0.2.0/24\",\n  \"oops\",\n]\nplace = \"ZZZ\"\n\
                    nat64 = [\"2001:db8::/96\"]\n";
        parse_config(Path::new("c.toml"), text).unwrap().apply(&mut plan).unwrap();
        let at = |line| (PathBuf::from("c.toml"), line);
        assert_eq!(
            plan.config_lines,
            ConfigLines {
                home: vec![at(2), at(3)],
                nat64: vec![at(6)],
                place: Some(at(5)),
                likelihood: None
            }
        );
    }

    #[test]
    fn the_file_can_turn_deduplication_off() {
        let plan = |text: &str| {
            let mut plan = Plan::default();
            parse_config(Path::new("c.toml"), text).unwrap().apply(&mut plan).map(|()| plan)
        };
        assert_eq!(plan("").unwrap().dedup_window_us, Some(1_000));
        assert_eq!(plan("dedup_window_us = 250\n").unwrap().dedup_window_us, Some(250));
        assert_eq!(plan("dedup = true\n").unwrap().dedup_window_us, Some(1_000));
        let off = "dedup = false\ndedup_window_us = 250\n";
        assert_eq!(plan(off).unwrap().dedup_window_us, None);
        assert_eq!(plan("dedup_window_us = 0\n").unwrap_err().len(), 1);
    }

    #[test]
    fn good_values_reach_the_plan() {
        let mut plan = Plan::default();
        let text =
            "home = [\"192.0.2.0/24\"]\nplace = \"SEA\"\nworkers = 3\nmin_level = \"high\"\n";
        parse_config(Path::new("c.toml"), text).unwrap().apply(&mut plan).unwrap();
        assert_eq!(plan.home, ["192.0.2.0/24"]);
        assert_eq!((plan.place.as_deref(), plan.workers), (Some("SEA"), 3));
    }
}
