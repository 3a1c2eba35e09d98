//! Queries that need no capture: looking up addresses, checking rules.
//!
//! Owns: nothing; commands use it to reach the stages. In: a query. Out: an answer.
//! Never: reads packets.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};

use serde::Serialize;

use crate::config::Plan;
use crate::config::file::load_config;
use crate::detect::{
    Probe, RatioOf, RuleSet, Threshold, bounds, cases, embedded, sql, sql_correlation, sql_tables,
};
use crate::enrich::geo::{GeoDb, Question};
use crate::enrich::lists::Lists;
use crate::enrich::places::known_places;
use crate::model::protocol_docs::recognised_by;
use crate::model::record::Protocol;
use crate::model::site_values::SiteValues;
use crate::model::{Addr, Error, RuleInfo};

pub use crate::detect::bounds::Bound;
pub use crate::detect::cases::CaseResult;
pub use crate::detect::sql::Statement;
pub use crate::enrich::places::KnownPlace;
pub use crate::enrich::signatures::Application;

/// A protocol that is recognised from payload.
#[derive(Debug, Serialize)]
pub struct ProtocolRow {
    /// `network.protocol`.
    pub name: &'static str,
    /// The evidence for it.
    pub evidence: &'static str,
    /// Its specification.
    pub source: &'static str,
}

/// Everything that the program recognises.
#[derive(Debug, Serialize)]
pub struct Recognised {
    /// Protocols, recognised from payload.
    pub protocols: Vec<ProtocolRow>,
    /// Applications, recognised by the table of signatures.
    pub applications: Vec<Application>,
}

/// Every protocol, and every application of the embedded table or of a directory.
pub fn recognised(signatures: Option<&Path>) -> Result<Recognised, Vec<Error>> {
    let lists = Lists::load_all(None, signatures)?;
    let spoken = |protocol: &Protocol| {
        let (evidence, source) = recognised_by(*protocol);
        ProtocolRow { name: protocol.as_str(), evidence, source }
    };
    let mut protocols: Vec<ProtocolRow> = Protocol::ALL.iter().map(spoken).collect();
    protocols.sort_unstable_by_key(|protocol| protocol.name);
    Ok(Recognised { protocols, applications: lists.applications().to_vec() })
}

/// The databases: those of `dir`, or the embedded ones.
pub struct Owners(GeoDb);

impl Owners {
    /// Opens the databases.
    pub fn open(dir: Option<&Path>) -> Result<Owners, Vec<Error>> {
        let db = match dir {
            Some(dir) => GeoDb::load(dir)?,
            None => GeoDb::embedded().map_err(|e| vec![e])?,
        };
        Ok(Owners(db))
    }

    /// Country, region, location and AS of an address as text; `unknown` if no database has it.
    pub fn describe(&self, addr: Addr) -> Result<String, &'static str> {
        let mut words = Vec::new();
        let found = self.0.find(Question::Place, addr)?;
        let place = found.offset.map_or(Ok(None), |offset| self.0.place(addr, offset))?;
        if let Some(place) = &place {
            words.extend(place.country.as_deref().map(str::to_owned));
            words.extend(place.region.as_deref().map(str::to_owned));
            let radius = place.radius_km.map_or(String::new(), |km| format!(" within {km:.0} km"));
            words.extend(place.location.map(|(lat, lon)| format!("{lat:.2},{lon:.2}{radius}")));
        }
        let found = self.0.find(Question::Asn, addr)?;
        let asn = found.offset.map_or(Ok(None), |offset| self.0.asn(addr, offset))?;
        if let Some(asn) = &asn {
            words.push(format!("AS{}", asn.number));
            words.extend(asn.organization.as_deref().map(str::to_owned));
        }
        Ok(if words.is_empty() { "unknown".to_owned() } else { words.join("  ") })
    }
}

/// What a configuration file writes into rules; nothing without one.
pub fn site_values(config: Option<&Path>) -> Result<SiteValues, Vec<Error>> {
    let Some(path) = config else { return Ok(SiteValues::default()) };
    let mut plan = Plan::default();
    load_config(path).map_err(|error| vec![error])?.apply(&mut plan)?;
    Ok(plan.site_values)
}

/// Every rule of the paths, or of the embedded set if there are none; and whether it is on where
/// nobody says otherwise.
pub fn rules(paths: &[PathBuf], site: &SiteValues) -> Result<Vec<(RuleInfo, bool)>, Vec<Error>> {
    let rules = RuleSet::load(paths, &[], site)?;
    Ok(rules.iter().map(|rule| (RuleInfo::clone(rule.info()), rule.is_enabled())).collect())
}

/// What a check of rules has to say.
#[derive(Clone, Debug, Default)]
pub struct RuleCheck {
    /// How many there are.
    pub count: usize,
    /// What their authors hardly mean: rule, file and line, text.
    pub notes: Vec<String>,
}

/// An event that takes longer in one rule is worth a word, in nanoseconds.
const COSTLY_NS: u128 = 2_000;

/// Loads the rules of the paths, or the embedded ones, and says what is odd about them.
pub fn check_rules(paths: &[PathBuf], site: &SiteValues) -> Result<RuleCheck, Vec<Error>> {
    let rules = RuleSet::load(paths, &[], site)?;
    let mut notes = Vec::new();
    for rule in rules.iter().filter(|rule| rule.ratio_of() == RatioOf::Nothing) {
        let info = rule.info();
        let (group, ratio) = (info.group.as_str(), info.ratio);
        let (id, name) = (&info.id, &info.name);
        notes.push(format!("{id} {name}: no likelihood ratio, taken: {group}, {ratio}"));
    }
    for (rule, line, text) in rules.notes() {
        notes.push(format!("{}:{line}: {}: {text}", rule.file().display(), rule.info().name));
    }
    for probe in rules.probes() {
        let nanos = measured(&probe);
        if nanos > COSTLY_NS {
            let (rule, values) = (probe.rule, probe.values);
            let (file, line, name) = (rule.file().display(), rule.line(), &rule.info().name);
            let micros = nanos as f64 / 1_000.0;
            notes.push(format!(
                "{file}:{line}: {name}: {micros:.0} us for an event with long values ({values} to \
                 compare with): a list (--lists) and its tag take less than 1"
            ));
        }
    }
    Ok(RuleCheck { count: rules.iter().len(), notes })
}

/// The least time of several runs, each long enough for the clock.
#[allow(clippy::disallowed_methods, reason = "what a rule costs here and now is for the person")]
fn measured(probe: &Probe<'_>) -> u128 {
    const RUNS: u32 = 5;
    let mut times = 1u32;
    loop {
        let each = (0..RUNS).map(|_| {
            let begin = Instant::now();
            (0..times).for_each(|_| _ = std::hint::black_box(probe.run()));
            begin.elapsed().as_nanos()
        });
        let least = each.min().unwrap_or_default();
        if least > 20_000 || times >= 4_096 {
            return least / u128::from(times);
        }
        times *= 4;
    }
}

/// What rules compare with, as the table `[thresholds]` of a configuration.
pub fn thresholds(paths: &[PathBuf], site: &SiteValues) -> Result<String, Vec<Error>> {
    let mut text = "[thresholds]\n".to_owned();
    for ((id, level), all) in RuleSet::load(paths, &[], site)?.thresholds() {
        for one in &all {
            let same = |other: &&Threshold| other.field == one.field;
            let twice = |other: &&Threshold| same(other) && other.order == one.order;
            let order = match all.iter().filter(same).count() {
                1 => String::new(),
                _ => format!("|{}", one.order),
            };
            // One rule that compares a field twice in the same way: neither can be set.
            let fixed = if all.iter().filter(twice).count() > 1 { "# " } else { "" };
            let (field, bound, level) = (&one.field, one.bound, level.as_str());
            let about = format!("{} {}", one.order, one.unit);
            let about = about.trim_end();
            // Writing into a String cannot fail.
            let _ =
                writeln!(text, "{fixed}rules.{id}.{level}.\"{field}{order}\" = {bound}  # {about}");
        }
    }
    Ok(text)
}

/// Why the rules of the paths clash with the embedded ones.
pub fn clashes(paths: &[PathBuf], site: &SiteValues) -> Vec<Error> {
    RuleSet::load(&[], paths, site).err().unwrap_or_default()
}

/// Writes the embedded rules and their cases to a directory that is empty or does not exist;
/// returns the number of files.
pub fn export_rules(dir: &Path) -> Result<usize, Error> {
    let what = || format!("rules to {}", dir.display());
    let failed = |cause: io::Error| {
        Error::new(what(), cause.to_string()).help("choose a directory that can be written to")
    };
    fs::create_dir_all(dir).map_err(failed)?;
    if fs::read_dir(dir).map_err(failed)?.next().is_some() {
        return Err(Error::new(what(), "it is not empty").help("choose another directory"));
    }
    let mut count = 0;
    for (path, text) in embedded::files() {
        let path = dir.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        fs::write(&path, text).map_err(failed)?;
        count += 1;
    }
    Ok(count)
}

/// The files of a result that have this name.
pub type FilesOf<'f> = dyn Fn(&str) -> Vec<PathBuf> + 'f;

/// The tables that statements read, as definitions or as views of DuckDB over `files`, and the
/// statement of each rule.
pub fn sql(
    paths: &[PathBuf],
    files: Option<&FilesOf<'_>>,
) -> Result<(String, Vec<Statement>), Vec<Error>> {
    let rules = RuleSet::load(paths, &[], &SiteValues::default())?;
    let tables = sql::tables(&rules);
    let head = match files {
        Some(files) => sql_tables::duckdb(&tables, files),
        None => sql_tables::described(&tables),
    };
    Ok((head, sql_correlation::statements(&rules)))
}

/// The numbers of the rules that a site may replace.
pub fn bounds(paths: &[PathBuf]) -> Result<Vec<Bound>, Vec<Error>> {
    Ok(bounds::bounds(&RuleSet::load(paths, &[], &SiteValues::default())?))
}

/// Every location whose code `--place` accepts.
pub fn places() -> impl Iterator<Item = KnownPlace<'static>> {
    known_places()
}

/// Runs the cases beside the rules of `dir`.
pub fn test_rules(dir: &Path, site: &SiteValues) -> Result<Vec<CaseResult>, Vec<Error>> {
    cases::run(dir, site)
}
