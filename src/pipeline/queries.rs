//! Queries that need no capture: looking up addresses, checking rules.
//!
//! Owns: nothing; commands use it to reach the stages. In: a query. Out: an answer.
//! Never: reads packets.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Serialize;

use crate::detect::{RatioOf, RuleSet, bounds, cases, embedded, sql, sql_tables};
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

/// Every rule of the paths, or of the embedded set if there are none.
pub fn rules(paths: &[PathBuf]) -> Result<Vec<RuleInfo>, Vec<Error>> {
    let rules = RuleSet::load(paths, &[], &SiteValues::default())?;
    Ok(rules.iter().map(|rule| RuleInfo::clone(rule.info())).collect())
}

/// The rules that neither themselves nor the table give a likelihood ratio.
pub fn without_ratio(paths: &[PathBuf]) -> Result<Vec<RuleInfo>, Vec<Error>> {
    let rules = RuleSet::load(paths, &[], &SiteValues::default())?;
    let without = rules.iter().filter(|rule| rule.ratio_of() == RatioOf::Nothing);
    Ok(without.map(|rule| RuleInfo::clone(rule.info())).collect())
}

/// Why the rules of the paths clash with the embedded ones.
pub fn clashes(paths: &[PathBuf]) -> Vec<Error> {
    RuleSet::load(&[], paths, &SiteValues::default()).err().unwrap_or_default()
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

/// The tables that statements read, as definitions or as views of DuckDB over `files`, and the
/// statement of each rule.
pub fn sql(
    paths: &[PathBuf],
    files: Option<&dyn Fn(&str) -> Vec<PathBuf>>,
) -> Result<(String, Vec<Statement>), Vec<Error>> {
    let rules = RuleSet::load(paths, &[], &SiteValues::default())?;
    let tables = sql::tables(&rules);
    let head = match files {
        Some(files) => sql_tables::duckdb(&tables, files),
        None => sql_tables::described(&tables),
    };
    Ok((head, sql::statements(&rules)))
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
pub fn test_rules(dir: &Path) -> Result<Vec<CaseResult>, Vec<Error>> {
    cases::run(dir)
}
