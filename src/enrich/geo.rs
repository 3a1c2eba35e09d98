//! The geo and AS databases: embedded ones, or a directory of MMDB files.
//!
//! Owns: which database answers which question. In: MMDB bytes, addresses. Out: offsets (the key
//! for interning), locations, autonomous systems, the description of databases in run.json.
//! Never: caches (each worker does), panics on a corrupt file.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use maxminddb::{Reader, WithinOptions};
use serde::Serialize;

use crate::bounded;
use crate::enrich::framed::{Found, Framed};
use crate::enrich::schema::Row;
use crate::model::alert::SourceInfo;
use crate::model::record::{AutonomousSystem, Place};
use crate::model::time::civil_from_days;
use crate::model::{Addr, Error, Nanos};

const ASN: &[u8] = include_bytes!("../../geo/asn.packed");
const REGION: &[u8] = include_bytes!("../../geo/region.packed");

/// Rows read from a file to find out which questions it answers.
const SAMPLE_ROWS: usize = 256;

/// Maximum size of a database file, in bytes: the largest on the market are about 2 GiB.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// A kind of lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Country, region and coordinates.
    Place,
    /// Autonomous system.
    Asn,
}

/// The description of a database in run.json and alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DatabaseInfo {
    /// Its `database_type`.
    pub name: String,
    /// File name, or `embedded`.
    pub file: String,
    /// Build date, `YYYY-MM-DD`.
    pub build: String,
    /// Attribution, for the embedded ones.
    pub sources: Vec<&'static str>,
    /// Questions it answers in this run: `place`, `asn`; empty if other files answer better.
    pub answers: Vec<&'static str>,
    /// Build time.
    #[serde(skip)]
    pub built_at: Nanos,
}

impl DatabaseInfo {
    /// The form used in alerts.
    pub fn source_info(&self) -> SourceInfo {
        SourceInfo {
            kind: if self.answers.first() == Some(&"asn") { "asn" } else { "geo" },
            name: self.name.as_str().into(),
            version: "".into(),
            built_at: Some(self.built_at),
        }
    }
}

enum Reading {
    Embedded(Box<Framed>),
    File(Box<Reader<Vec<u8>>>),
}

struct Source {
    info: DatabaseInfo,
    reading: Reading,
}

/// An immutable set of databases, shared by all workers.
pub struct GeoDb {
    sources: Vec<Source>,
    place: usize,
    asn: usize,
}

impl GeoDb {
    /// The embedded databases.
    pub fn embedded() -> Result<GeoDb, Error> {
        GeoDb::assemble(vec![
            embedded(REGION, "place", vec!["DB-IP.com (https://db-ip.com), CC BY 4.0"])?,
            embedded(
                ASN,
                "asn",
                vec![
                    "routeviews.org, CC BY 4.0",
                    "nro.net, CC BY 4.0",
                    "DB-IP.com (https://db-ip.com), CC BY 4.0",
                ],
            )?,
        ])
    }

    /// The `.mmdb` files of a directory. The embedded databases answer questions that none of the
    /// files answers. Every bad file is reported.
    pub fn load(dir: &Path) -> Result<GeoDb, Vec<Error>> {
        let what = format!("geo databases in {}", dir.display());
        let mut paths: Vec<_> = std::fs::read_dir(dir)
            .map_err(|e| vec![Error::new(&what, e.to_string()).help("give a readable directory")])?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("mmdb")))
            .collect();
        paths.sort();
        if paths.is_empty() {
            return Err(vec![Error::new(what, "no file ends in .mmdb").help(
                "put GeoLite2, DB-IP or IPinfo databases in MMDB form there, or leave --geo out",
            )]);
        }
        let mut sources = Vec::new();
        let mut errors = Vec::new();
        for path in &paths {
            match open_file(path) {
                Ok(source) => sources.push(source),
                Err(error) => errors.push(error),
            }
        }
        if sources.iter().all(|s| s.info.answers.is_empty()) && errors.is_empty() {
            errors.push(
                Error::new(what, "no file says anything of countries, places or AS numbers")
                    .help("use a City, Country or ASN database"),
            );
        }
        if errors.is_empty() { GeoDb::with_fallback(sources) } else { Err(errors) }
    }

    /// Every database of the run, in a stable order.
    pub fn databases(&self) -> impl Iterator<Item = &DatabaseInfo> {
        self.sources.iter().map(|source| &source.info)
    }

    /// The database that answers a question.
    pub fn database(&self, question: Question) -> Option<&DatabaseInfo> {
        self.source(question).map(|source| &source.info)
    }

    /// Finds the row of an address: its offset (equal offsets are equal rows) and the prefix it
    /// covers.
    pub fn find(&self, question: Question, addr: Addr) -> Result<Found, &'static str> {
        let nothing = Found { offset: None, prefix_len: 128 };
        match self.source(question).map(|source| &source.reading) {
            None => Ok(nothing),
            Some(Reading::Embedded(framed)) => framed.find(addr),
            Some(Reading::File(reader)) => {
                if addr.to_v4().is_none() && reader.metadata().ip_version == 4 {
                    return Ok(nothing);
                }
                let result = reader.lookup(addr.to_ip()).map_err(|_| "a look-up failed")?;
                let prefix_len = match result.network() {
                    Ok(net) if net.is_ipv4() => net.prefix() + 96,
                    Ok(net) if addr.to_v4().is_none() => net.prefix(),
                    // An IPv4 address in a database without an IPv4 tree.
                    _ => 128,
                };
                Ok(Found { offset: result.offset(), prefix_len })
            }
        }
    }

    /// Reads the location of an address for which [`GeoDb::find`] returned `offset`.
    pub fn place(&self, addr: Addr, offset: usize) -> Result<Option<Arc<Place>>, &'static str> {
        Ok(self.row(Question::Place, addr, offset)?.place().map(Arc::new))
    }

    /// Reads the autonomous system of an address for which [`GeoDb::find`] returned `offset`.
    pub fn asn(
        &self,
        addr: Addr,
        offset: usize,
    ) -> Result<Option<Arc<AutonomousSystem>>, &'static str> {
        Ok(self.row(Question::Asn, addr, offset)?.asn().map(Arc::new))
    }

    fn row(&self, question: Question, addr: Addr, offset: usize) -> Result<Row, &'static str> {
        match self.source(question).map(|source| &source.reading) {
            None => Ok(Row::default()),
            Some(Reading::Embedded(framed)) => framed.record(offset).map(Row::from_fields),
            Some(Reading::File(reader)) => {
                let found = reader.lookup(addr.to_ip()).map_err(|_| "a look-up failed")?;
                let row = found.decode::<Row>().map_err(|_| "a row is not of a known schema")?;
                Ok(row.unwrap_or_default())
            }
        }
    }

    fn source(&self, question: Question) -> Option<&Source> {
        self.sources.get(match question {
            Question::Place => self.place,
            Question::Asn => self.asn,
        })
    }

    fn with_fallback(mut sources: Vec<Source>) -> Result<GeoDb, Vec<Error>> {
        for default in GeoDb::embedded().map_err(|e| vec![e])?.sources {
            let answered = |source: &Source| {
                default.info.answers.iter().all(|answer| source.info.answers.contains(answer))
            };
            if !sources.iter().any(answered) {
                sources.push(default);
            }
        }
        GeoDb::assemble(sources).map_err(|e| vec![e])
    }

    /// For each question, selects the newest of the most detailed databases.
    fn assemble(mut sources: Vec<Source>) -> Result<GeoDb, Error> {
        let best = |answer: &str| {
            let able = sources.iter().enumerate().filter(|(_, s)| s.info.answers.contains(&answer));
            able.max_by_key(|(i, s)| (detail(&s.info.name), s.info.built_at, usize::MAX - i))
                .map(|(i, _)| i)
                .ok_or_else(|| Error::new("geo databases", format!("none answers `{answer}`")))
        };
        let (place, asn) = (best("place")?, best("asn")?);
        for (i, source) in sources.iter_mut().enumerate() {
            source.info.answers.retain(|a| i == if *a == "asn" { asn } else { place });
        }
        Ok(GeoDb { sources, place, asn })
    }
}

/// City before Country; Enterprise, ISP and others in between, by name.
fn detail(name: &str) -> u8 {
    let name = name.to_ascii_lowercase();
    match name {
        n if n.contains("city") || n.contains("enterprise") || n.contains("location") => 2,
        n if n.contains("country") => 0,
        _ => 1,
    }
}

fn embedded(
    packed: &'static [u8],
    answer: &'static str,
    sources: Vec<&'static str>,
) -> Result<Source, Error> {
    let framed = Framed::open(packed)
        .map_err(|broken| Error::new(format!("embedded {answer} database"), broken))?;
    let info = DatabaseInfo {
        name: framed.database_type().to_owned(),
        file: "embedded".to_owned(),
        build: date(framed.build_epoch()),
        sources,
        answers: vec![answer],
        built_at: Nanos::from_secs(framed.build_epoch()),
    };
    Ok(Source { info, reading: Reading::Embedded(Box::new(framed)) })
}

fn open_file(path: &Path) -> Result<Source, Error> {
    let refuse = |cause: String| {
        Error::new("geo database", cause)
            .at(path, 0)
            .help("fetch the file again from its publisher, or take it out of the directory")
    };
    let bytes = bounded::file::read(path, FILE_BYTES_MAX).map_err(&refuse)?;
    let reader = Reader::from_source(bytes).map_err(|e| refuse(e.to_string()))?;
    reader.verify().map_err(|e| refuse(e.to_string()))?;
    let answers = answers(&reader).map_err(&refuse)?;
    let epoch = reader.metadata().build_epoch;
    let info = DatabaseInfo {
        name: reader.metadata().database_type.clone(),
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        build: date(epoch),
        sources: Vec::new(),
        answers,
        built_at: Nanos::from_secs(epoch),
    };
    Ok(Source { info, reading: Reading::File(Box::new(reader)) })
}

/// Decided by the rows themselves: a name may be wrong, and some files answer both.
fn answers(reader: &Reader<Vec<u8>>) -> Result<Vec<&'static str>, String> {
    let (mut place, mut asn) = (false, false);
    let networks = reader.networks(WithinOptions::default()).map_err(|e| e.to_string())?;
    for network in networks.take(SAMPLE_ROWS) {
        let network = network.map_err(|e| e.to_string())?;
        // A row of an unknown schema (plain text, say) answers nothing.
        let row = network.decode::<Row>().ok().flatten().unwrap_or_default();
        place |= row.place().is_some();
        asn |= row.asn().is_some();
    }
    let both = [("place", place), ("asn", asn)];
    Ok(both.into_iter().filter(|(_, able)| *able).map(|(name, _)| name).collect())
}

fn date(epoch: u64) -> String {
    let (year, month, day) = civil_from_days(epoch / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Whether databases and lists can know the address: not private, loopback, link-local,
/// carrier-grade NAT, multicast, documentation or otherwise reserved.
///
/// Source: IANA special-purpose address registries (RFC 6890), as of 2026.
pub fn is_public(addr: Addr) -> bool {
    match addr.to_ip() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !matches!(
                (a, b, c),
                (0 | 10 | 127 | 224..=255, _, _)
                    | (100, 64..=127, _)
                    | (169, 254, _)
                    | (172, 16..=31, _)
                    | (192, 168, _)
                    | (192, 0, 0 | 2)
                    | (198, 18..=19, _)
                    | (198, 51, 100)
                    | (203, 0, 113)
            )
        }
        // Global unicast is 2000::/3 (RFC 4291). For a NAT64 address the caller asks about the
        // embedded IPv4 address.
        IpAddr::V6(v6) => match v6.segments() {
            [0x2001, 0x0db8, ..] => false,
            [first, ..] => first & 0xe000 == 0x2000,
        },
    }
}
