//! The captures of a run: where they are, and whether they are the ones that were read.
//!
//! Owns: the search below other directories, the checks, what the run's arguments say of decoding.
//! In: run.json, paths. Out: located files. Never: a capture that differs from the one that was
//! read, or one left out silently.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::capture::filter::FilterSet;
use crate::capture::{FileReport, HASH_BYTES_DEFAULT, HashPolicy, ReadOptions, expand_inputs};
use crate::config::{Plan, PointBy};
use crate::decode::DecodeConfig;
use crate::explain::Flat;
use crate::model::{Error, Nanos};
use crate::pipeline::decap_config::{self, Off};
use crate::pipeline::prepare::Points;

/// An input of the run.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// As it was given.
    pub path: PathBuf,
    /// Its number in lines; `None` if no packet was read from it.
    pub file: Option<u64>,
    /// Its capture point.
    pub point: u16,
    bytes: u64,
    packets: u64,
    sha256: Option<String>,
    span: Option<(Nanos, Nanos)>,
    /// Every time in it fits its clock.
    is_plain: bool,
}

/// Where an input is now.
#[derive(Clone, Debug)]
pub struct Located {
    /// Its place among the inputs.
    pub input: usize,
    /// Its path now.
    pub path: PathBuf,
}

/// What decides which session a frame belongs to.
pub struct Shape {
    /// Decoding.
    pub decode: DecodeConfig,
    /// Tunnels that are off for some inputs.
    pub(crate) off: Vec<Off>,
    /// How long after its original a duplicate may come; `None` if none was looked for.
    pub window: Option<Nanos>,
    /// The run's BPF expression.
    pub filter: Option<String>,
    /// How captures are read.
    pub read: ReadOptions,
}

impl Shape {
    /// From run.json.
    ///
    /// Errors: an argument that this version does not know.
    pub fn of(run: &Flat, verify: bool) -> Result<Shape, Vec<Error>> {
        let words = run.texts("arguments");
        let value =
            |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let list = |name: &str| {
            let all = value(name).map(|text| text.split(',').map(str::to_owned).collect());
            all.unwrap_or_default()
        };
        let plan = Plan { key: list("key"), no_decap: list("no-decap"), ..Plan::default() };
        let (decode, off) = decap_config::configure(&plan)?;
        let filter = value("filter").map(str::to_owned);
        if let Some(filter) = &filter {
            FilterSet::new(filter).map_err(|error| vec![error])?;
        }
        let micros = value("dedup-window").and_then(|us| us.parse::<u64>().ok());
        let max_ratio = value("max-ratio").and_then(|ratio| ratio.parse().ok());
        let default = ReadOptions::default();
        let max_ratio = max_ratio.unwrap_or(default.max_ratio);
        let window = micros.map(|us| Nanos(us.saturating_mul(1_000)));
        let read = ReadOptions { max_ratio, hash: hashing(verify), ..default };
        Ok(Shape { decode, off, window, filter, read })
    }
}

/// The inputs of a run.
pub fn inputs(run: &Flat) -> Vec<Input> {
    let mut all: Vec<Input> = run.objects("inputs").iter().map(input).collect();
    let words = run.texts("arguments");
    let by = match words.iter().find_map(|word| word.strip_prefix("point-by=")) {
        Some("dir") => PointBy::Dir,
        Some("file") => PointBy::File,
        _ => PointBy::All,
    };
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|at| all.get(*at).and_then(|input| input.file).unwrap_or(u64::MAX));
    let mut points = Points::default();
    for at in order {
        let Some(input) = all.get_mut(at) else { continue };
        let Some(file) = input.file.and_then(|file| u16::try_from(file).ok()) else { continue };
        input.point = points.of(by, file, &input.path);
    }
    all
}

fn input(of: &Flat) -> Input {
    let time = |name: &str| of.text(name).and_then(Nanos::parse);
    Input {
        path: PathBuf::from(of.text("path").unwrap_or_default()),
        file: of.number("file").map(|file| file as u64),
        point: 0,
        bytes: of.count("bytes"),
        packets: of.count("packets"),
        sha256: of.text("sha256").map(str::to_owned),
        span: time("first").zip(time("last")),
        is_plain: matches!(of.text("verdict"), Some("ok" | "truncated")),
    }
}

impl Input {
    /// Whether packets of that time may be in it.
    pub fn may_hold(&self, (start, end): (Nanos, Nanos)) -> bool {
        let Some((first, last)) = self.span else { return false };
        self.file.is_some() && (!self.is_plain || (first <= end && last >= start))
    }

    fn refuse(&self, cause: impl Into<String>) -> Error {
        let help = "name the directory that the captures of this run are in: --captures DIR";
        Error::new(format!("capture {}", self.path.display()), cause.into()).help(help)
    }
}

/// Finds the captures that are needed.
///
/// Errors: each one that is gone or has another size.
pub fn locate(
    inputs: &[Input],
    spans: &[(Nanos, Nanos)],
    captures: &[PathBuf],
) -> Result<Vec<Located>, Vec<Error>> {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    let mut index: Option<HashMap<u64, Vec<PathBuf>>> = None;
    let is_needed = |input: &Input| spans.iter().any(|span| input.may_hold(*span));
    for (at, input) in inputs.iter().enumerate().filter(|(_, input)| is_needed(input)) {
        let size = size_of_file(&input.path);
        let there = size == Some(input.bytes) && input.path.as_os_str() != "-";
        if there && captures.is_empty() {
            found.push(Located { input: at, path: input.path.clone() });
            continue;
        }
        let moved = match (&mut index, captures.is_empty()) {
            (_, true) => None,
            (Some(index), _) => search(index, input),
            (none, _) => match below(captures) {
                Ok(built) => search(none.insert(built), input),
                Err(error) => return Err(vec![error]),
            },
        };
        match (moved, size) {
            (Some(path), _) => found.push(Located { input: at, path }),
            (None, _) if there => found.push(Located { input: at, path: input.path.clone() }),
            (None, Some(size)) if captures.is_empty() => errors.push(input.refuse(format!(
                "it is not the file that was read: it has {size} bytes, it had {}",
                input.bytes
            ))),
            (None, _) if captures.is_empty() => {
                errors.push(input.refuse("it is not there any more"));
            }
            (None, _) => {
                let how = match input.sha256 {
                    Some(_) => "its size and hash",
                    None => "its name and size (the run took no hash of it)",
                };
                errors.push(input.refuse(format!("no file below --captures has {how}")));
            }
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

fn size_of_file(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|meta| meta.len())
}

/// Files by size.
fn below(dirs: &[PathBuf]) -> Result<HashMap<u64, Vec<PathBuf>>, Error> {
    let mut index: HashMap<u64, Vec<PathBuf>> = HashMap::new();
    for spec in expand_inputs(dirs)? {
        if let Some(size) = size_of_file(&spec.path) {
            index.entry(size).or_default().push(spec.path);
        }
    }
    Ok(index)
}

/// The file of that size and hash; of that size and name, if there is no hash.
fn search(index: &HashMap<u64, Vec<PathBuf>>, input: &Input) -> Option<PathBuf> {
    let mut same = index.get(&input.bytes)?.clone();
    let named = |path: &PathBuf| path.file_name() == input.path.file_name();
    same.sort_by_key(|path| !named(path));
    match &input.sha256 {
        Some(hash) => same.into_iter().find(|path| hash_of(path).as_ref() == Some(hash)),
        None => same.into_iter().find(named),
    }
}

/// SHA-256 of a file in lower-case hexadecimal.
pub(crate) fn hash_of(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer).ok()? {
            0 => break,
            n => hash.update(buffer.get(..n)?),
        }
    }
    Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Which captures are hashed while they are read.
fn hashing(verify: bool) -> HashPolicy {
    if verify { HashPolicy::Always } else { HashPolicy::UpTo(HASH_BYTES_DEFAULT) }
}

/// Compares what was read now with what was read then.
///
/// Errors: each capture that differs.
pub fn check(
    inputs: &[Input],
    located: &[Located],
    reports: &[FileReport],
) -> Result<(), Vec<Error>> {
    let mut errors = Vec::new();
    for of in located {
        let Some(input) = inputs.get(of.input) else { continue };
        let Some(report) = reports.iter().find(|report| report.path == of.path) else { continue };
        let other = |what: &str| {
            input.refuse(format!(
                "it is not the file that was read: {what} differs ({})",
                of.path.display()
            ))
        };
        let hashes = report.sha256.as_ref().zip(input.sha256.as_ref());
        if hashes.is_some_and(|(now, then)| now != then) {
            errors.push(other("its SHA-256"));
        } else if report.bytes != input.bytes {
            errors.push(other("its size"));
        } else if report.packets != input.packets || report.first.zip(report.last) != input.span {
            errors.push(other("what it holds"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
