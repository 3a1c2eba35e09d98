//! Loads everything that a run needs before the first frame; reports all errors at once.
//!
//! Owns: the immutable snapshot of rules, lists and databases. In: a plan. Out: [`Prepared`].
//! Never: changes after the run has started.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use crate::capture::filter::FilterSet;
use crate::capture::{HashPolicy, InputSpec, ReadOptions, Threads, Windows, expand_inputs};
use crate::config::memory::{Bounds, Shares};
use crate::config::{HashInputs, Plan, PointBy};
use crate::decode::DecodeConfig;
use crate::detect::{LIST_AGE_DAYS_MAX, ListSource, RuleSet, SourceCatalog, Switches};
use crate::enrich::geo::Question;
use crate::enrich::lists::ListInfo;
use crate::enrich::{EnrichData, EnrichOptions, Nat64, Prefix, parse_place};
use crate::model::{Error, Nanos};
use crate::pipeline::decap_config::{self, Off};
use crate::pipeline::delivery;
use crate::pipeline::own_sessions::Scope;
use crate::sandbox;

const DAY_S: u64 = 86_400;

/// Most threads that unpack: 24 MiB of bytes on their way.
const UNPACKING_MAX: usize = 16;

/// The age from which a list halves the weight of alerts that rest on it alone.
const LIST_AGE_MAX: Nanos = Nanos::from_secs(LIST_AGE_DAYS_MAX as u64 * DAY_S);

/// The snapshot.
pub(super) struct Prepared {
    pub(super) inputs: Vec<InputSpec>,
    pub(super) filter: Option<String>,
    pub(super) read_options: ReadOptions,
    pub(super) point_by: PointBy,
    /// Longest time between a packet and its duplicate; `None` keeps duplicates.
    pub(super) dedup_window: Option<Nanos>,
    pub(super) enrich: Arc<EnrichData>,
    pub(super) rules: Arc<RuleSet>,
    pub(super) catalog: Arc<SourceCatalog>,
    pub(super) decode: DecodeConfig,
    /// More than handshakes is measured.
    pub(super) times: bool,
    /// Tunnels that are off for some sources.
    pub(super) off: Vec<Off>,
    /// Addresses whose names and holders are remembered.
    pub(super) bindings: usize,
    /// Bytes of them that older snapshots may hold.
    pub(super) snapshot_bytes: usize,
    /// Unanswered sessions per second that get lines of their own.
    pub(super) unanswered: u64,
    /// Open sessions get lines, too.
    pub(super) writes_updates: bool,
    /// In a run in sets: which sessions are this set's.
    pub(super) scope: Option<Arc<Scope>>,
    /// The capture points that have numbers already.
    pub(super) points: Points,
}

/// A list that was old when the packets passed: an alert that rests on such lists alone has half
/// the weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldList {
    /// Its name.
    pub name: String,
    /// Its date, `YYYY-MM-DD`.
    pub date: String,
    /// Whole days from its date to the end of the capture.
    pub age_days: u64,
}

impl Prepared {
    /// Lists older than rules allow, by the capture's time, but those that say themselves how they
    /// age.
    pub(super) fn old_lists(&self, at: Option<Nanos>) -> Vec<OldList> {
        let Some(clock) = at else { return Vec::new() };
        let infos = self.enrich.lists.infos().iter();
        let mut old: Vec<OldList> = infos
            .filter(|list| list.weight.is_none() && list.half_life_days.is_none())
            .filter(|list| clock.since(list.built_at) > LIST_AGE_MAX)
            .map(|list| OldList {
                name: list.name.to_string(),
                date: list.date.clone(),
                age_days: clock.since(list.built_at).as_secs() / DAY_S,
            })
            .collect();
        old.sort_by(|a, b| b.age_days.cmp(&a.age_days).then_with(|| a.name.cmp(&b.name)));
        old
    }
}

/// Loads the snapshot, or returns every error.
pub(super) fn prepare(plan: &Plan) -> Result<Prepared, Vec<Error>> {
    let mut errors = Vec::new();
    let inputs = match plan.embedded {
        Some((name, bytes)) => Ok(vec![InputSpec::embedded(name, bytes)]),
        None => some_there(&plan.inputs)
            .and_then(|()| can_follow(plan))
            .and_then(|()| expand_inputs(&plan.inputs).map_err(|e| vec![e])),
    };
    let inputs = keep(inputs, &mut errors);
    keep(can_learn(plan), &mut errors);
    let rules = keep(RuleSet::load(&plan.rules_only, &plan.rules, &plan.site_values), &mut errors);
    let placed_all = |errors: Vec<Error>| {
        let place = plan.config_lines.likelihood.as_ref();
        errors.into_iter().map(|error| placed(error, place)).collect()
    };
    let rules = rules.map(|rules| rules.weighed(&plan.likelihood).map_err(placed_all));
    let switches = Switches { enable: &plan.enable, disable: &plan.disable };
    let rules = rules.map(|rules| rules.and_then(|rules| rules.switched(switches)));
    let rules = rules.and_then(|rules| keep(rules, &mut errors));
    let enrich = keep(load_enrich(plan), &mut errors);
    if let Some(expression) = &plan.filter {
        keep(FilterSet::new(expression).map_err(|e| vec![e]), &mut errors);
    }
    let decode = keep(decap_config::configure(plan), &mut errors);
    let (Some(inputs), Some(rules), Some(enrich), Some((decode, off)), true) =
        (inputs, rules, enrich, decode, errors.is_empty())
    else {
        return Err(errors);
    };
    let catalog = catalog(&enrich);
    Ok(Prepared {
        inputs,
        filter: plan.filter.clone(),
        read_options: ReadOptions {
            hash: hash_policy(plan.hash),
            max_ratio: plan.max_ratio,
            windows: Windows::new(Shares::of(plan.memory).windows),
            threads: Threads::new(unpacking_threads()),
            ..ReadOptions::default()
        },
        point_by: plan.point_by,
        dedup_window: plan.dedup_window_us.map(|us| Nanos((us as u64).saturating_mul(1_000))),
        enrich: Arc::new(enrich),
        rules: Arc::new(rules),
        catalog: Arc::new(catalog),
        decode,
        times: plan.latency,
        off,
        bindings: Bounds::of(plan).bindings,
        snapshot_bytes: Bounds::of(plan).snapshot_bytes,
        unanswered: plan.unanswered,
        writes_updates: delivery::wants_update_lines(plan),
        scope: None,
        points: Points::default(),
    })
}

/// Files that are unpacked at the same time, each by a thread: with one core there is nothing to
/// gain.
fn unpacking_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    if cores > 1 { cores.min(UNPACKING_MAX) } else { 0 }
}

fn keep<T>(result: Result<T, Vec<Error>>, errors: &mut Vec<Error>) -> Option<T> {
    result.map_err(|wrong| errors.extend(wrong)).ok()
}

/// Refuses a run if none of its paths exists, before anything is written. If one of several is
/// missing it gets its verdict, and the run continues.
fn some_there(paths: &[PathBuf]) -> Result<(), Vec<Error>> {
    let missing = |path: &PathBuf| {
        let nowhere = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
        if path.as_os_str() == "-" {
            return None;
        }
        let cause = fs::metadata(path).err().filter(nowhere)?;
        let help = "name a capture file, a directory that holds some, or - for standard input";
        Some(Error::new(path.display().to_string(), cause.to_string()).help(help))
    };
    let errors: Vec<Error> = paths.iter().filter_map(missing).collect();
    if errors.len() == paths.len() && !errors.is_empty() { Err(errors) } else { Ok(()) }
}

/// A directory to follow is there from the beginning.
fn can_follow(plan: &Plan) -> Result<(), Vec<Error>> {
    let Some(follow) = &plan.follow else { return Ok(()) };
    fs::read_dir(&follow.dir).map(drop).map_err(|cause| {
        let what = format!("--follow {}", follow.dir.display());
        vec![Error::new(what, cause.to_string()).help("name a directory that can be read")]
    })
}

/// Nobody knows when learning ends where nothing is kept.
fn can_learn(plan: &Plan) -> Result<(), Vec<Error>> {
    if plan.learn_only && plan.state.is_none() {
        let cause =
            "nothing is learned from run to run, so that no incident would ever be reported";
        let help = "give --state DIR, or leave --learn-only (learn_only in the configuration) out";
        return Err(vec![Error::new("--learn-only", cause).help(help)]);
    }
    Ok(())
}

fn load_enrich(plan: &Plan) -> Result<EnrichData, Vec<Error>> {
    let mut errors = Vec::new();
    let mut home = Vec::with_capacity(plan.home.len());
    for (index, text) in plan.home.iter().enumerate() {
        match Prefix::parse(text) {
            Ok(prefix) => home.push(prefix),
            Err(cause) => {
                let error = Error::new(format!("home network `{text}`"), cause)
                    .help("give networks in CIDR notation, for example 10.20.0.0/16");
                errors.push(placed(error, plan.config_lines.home.get(index)));
            }
        }
    }
    let mut nat64 = Vec::with_capacity(plan.nat64.len());
    for (index, text) in plan.nat64.iter().enumerate() {
        match Nat64::parse(text) {
            Ok(prefix) => nat64.push(prefix),
            Err(cause) => {
                let error = Error::new(format!("NAT64 prefix `{text}`"), cause)
                    .help("give the prefix of a translator, for example 2001:db8:64::/96");
                errors.push(placed(error, plan.config_lines.nat64.get(index)));
            }
        }
    }
    let sensor = match plan.place.as_deref().map(parse_place).transpose() {
        Ok(sensor) => sensor,
        Err(e) => {
            errors.push(placed(e, plan.config_lines.place.as_ref()));
            None
        }
    };
    let options = EnrichOptions {
        geo: plan.geo.clone(),
        lists: plan.lists.clone(),
        signatures: plan.signatures.clone(),
        approved: plan.approved.clone(),
        countries: plan.controller_countries.clone(),
        subjects: plan.subjects.clone(),
        pseudonymise: plan.pseudonymise.clone(),
        home,
        sensor,
        nat64,
    };
    if options.pseudonymise.is_some() {
        errors.extend(sandbox::forbid_cores().err());
    }
    match EnrichData::load(&options) {
        Ok(data) if errors.is_empty() => Ok(data),
        Ok(_) => Err(errors),
        Err(more) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

/// An error of a value in the configuration file, with its line.
fn placed(error: Error, at: Option<&(PathBuf, u32)>) -> Error {
    match at {
        Some((file, line)) => error.at(file, *line),
        None => error,
    }
}

/// The sources that alerts may name.
fn catalog(enrich: &EnrichData) -> SourceCatalog {
    let list = |list: &ListInfo| ListSource {
        info: list.source_info(),
        weight: list.weight,
        half_life_days: list.half_life_days,
    };
    let lists = enrich.lists.infos().iter().map(list).collect();
    let database = |question| enrich.geo.database(question).map(|info| info.source_info());
    SourceCatalog { lists, place: database(Question::Place), asn: database(Question::Asn) }
}

const fn hash_policy(wish: HashInputs) -> HashPolicy {
    match wish {
        HashInputs::Never => HashPolicy::Never,
        HashInputs::Auto => HashPolicy::UpTo(crate::capture::HASH_BYTES_DEFAULT),
        HashInputs::Always => HashPolicy::Always,
    }
}

/// A secret for this run's packet fingerprints: it affects no result.
pub(crate) fn print_secret() -> [u64; 4] {
    let state = RandomState::new();
    [1u8, 2, 3, 4].map(|word| state.hash_one(word))
}

/// Numbers the capture points.
#[derive(Clone, Debug, Default)]
pub(crate) struct Points {
    folders: HashMap<PathBuf, u16>,
    /// Files before the first.
    before: u16,
}

impl Points {
    /// The same for files behind so many others.
    pub(crate) fn behind(self, before: u16) -> Points {
        Points { before, ..self }
    }

    /// The point of a file. Inputs beyond 65,535 folders share the last.
    pub(crate) fn of(&mut self, by: PointBy, file: u16, path: &Path) -> u16 {
        match by {
            PointBy::All => 0,
            PointBy::File => self.before.saturating_add(file),
            PointBy::Dir => {
                let folder = path.parent().unwrap_or(Path::new(""));
                if let Some(point) = self.folders.get(folder) {
                    return *point;
                }
                let point = u16::try_from(self.folders.len()).unwrap_or(u16::MAX);
                self.folders.insert(folder.to_path_buf(), point);
                point
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_numbered_in_order() {
        let mut points = Points::default();
        let files = ["a/1", "b/1", "a/2", "3", "b/2", "a/b/1", "4"];
        let numbers: Vec<u16> =
            (0..).zip(files).map(|(n, f)| points.of(PointBy::Dir, n, Path::new(f))).collect();
        assert_eq!(numbers, [0, 1, 0, 2, 1, 3, 2]);
        assert_eq!(points.of(PointBy::All, 9, Path::new("a/1")), 0);
        assert_eq!(points.of(PointBy::File, 9, Path::new("a/1")), 9);
    }
}
