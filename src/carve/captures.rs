//! The captures of a run: where they are, and whether they are the ones that were read.
//!
//! Owns: the search below other directories, the checks, what the run's arguments say of decoding.
//! In: run.json, paths. Out: located files. Never: a capture that differs from the one that was
//! read, or one left out silently.

use std::collections::{HashMap, HashSet};
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
    /// The run ended before the file did.
    is_part: bool,
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
        let default = ReadOptions::default();
        let number = |name: &str| value(name).map(|text| whole(name, text)).transpose();
        let max_ratio = number("max-ratio")?.unwrap_or(default.max_ratio);
        let window = number("dedup-window")?.map(|us| Nanos(us.saturating_mul(1_000)));
        let read = ReadOptions { max_ratio, hash: hashing(verify), ..default };
        Ok(Shape { decode, off, window, filter, read })
    }
}

/// A number among the arguments of run.json.
fn whole(name: &str, text: &str) -> Result<u64, Vec<Error>> {
    text.parse().map_err(|_| {
        let cause = format!("its argument `{name}={text}` is no number");
        vec![Error::new("run.json", cause).help("read the captures again with this version")]
    })
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
        is_part: of.text("verdict") == Some("interrupted"),
    }
}

impl Input {
    /// Whether packets of that time may be in it.
    pub fn may_hold(&self, (start, end): (Nanos, Nanos)) -> bool {
        let Some((first, last)) = self.span else { return false };
        self.file.is_some() && (!self.is_plain || (first <= end && last >= start))
    }

    /// Whether the file holds what was read of it. Behind the place where an interrupted run
    /// stopped are more packets, and their times may be earlier or later.
    fn holds_what(&self, report: &FileReport) -> bool {
        let span = report.first.zip(report.last);
        if !self.is_part {
            return report.packets == self.packets && span == self.span;
        }
        let covers = |(first, last): (Nanos, Nanos)| {
            span.is_some_and(|(start, end)| start <= first && end >= last)
        };
        report.packets >= self.packets && self.span.is_none_or(covers)
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
    let mut used = HashSet::new();
    let is_needed = |input: &Input| spans.iter().any(|span| input.may_hold(*span));
    let is_there = |input: &Input| {
        size_of_file(&input.path) == Some(input.bytes) && input.path.as_os_str() != "-"
    };
    let needed = inputs.iter().enumerate().filter(|(_, input)| is_needed(input));
    let mut needed: Vec<(usize, &Input)> = needed.collect();
    // Those that have not moved choose first, so that no other takes the file of one.
    needed.sort_by_key(|(_, input)| !is_there(input));
    for (at, input) in needed {
        let size = size_of_file(&input.path);
        let there = is_there(input);
        if there && captures.is_empty() {
            found.push(Located { input: at, path: input.path.clone() });
            continue;
        }
        let moved = match (&mut index, captures.is_empty()) {
            (_, true) => None,
            (Some(index), _) => search(index, input, &mut used),
            (none, _) => match below(captures) {
                Ok(built) => search(none.insert(built), input, &mut used),
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
    found.sort_by_key(|of| of.input);
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

/// The file of that size and hash; of that size and name, if there is no hash. A file stands for
/// one input: of several equal ones each gets that whose path ends most like its own.
fn search(
    index: &HashMap<u64, Vec<PathBuf>>,
    input: &Input,
    used: &mut HashSet<PathBuf>,
) -> Option<PathBuf> {
    let mut same = index.get(&input.bytes)?.clone();
    let real = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    same.retain(|path| !used.contains(&real(path)));
    let named = |path: &PathBuf| path.file_name() == input.path.file_name();
    let common = |path: &PathBuf| {
        let pairs = path.components().rev().zip(input.path.components().rev());
        pairs.take_while(|(one, other)| one == other).count()
    };
    same.sort_by_key(|path| std::cmp::Reverse(common(path)));
    let found = match &input.sha256 {
        Some(hash) => same.into_iter().find(|path| hash_of(path).as_ref() == Some(hash)),
        None => same.into_iter().find(named),
    }?;
    used.insert(real(&found));
    Some(found)
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

/// A note if hashes were to be compared and the run took none.
pub fn unhashed(inputs: &[Input], located: &[Located], verify: bool) -> Option<String> {
    let without = |of: &&Located| inputs.get(of.input).is_some_and(|one| one.sha256.is_none());
    let count = located.iter().filter(without).count();
    let first = located.iter().find(without).filter(|_| verify)?;
    let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    Some(format!(
        "--verify has nothing to compare for {}{more}: the run took no hash of it, as it takes \
         none above 64 MiB without --hash-inputs always; size, packets and times are the same",
        first.path.display()
    ))
}

/// Where the inputs of a run are now: there, or below these directories.
///
/// Errors: a directory cannot be searched.
pub fn whereabouts(inputs: &[Input], captures: &[PathBuf]) -> Result<Vec<Option<PathBuf>>, Error> {
    let index = if inputs.is_empty() { HashMap::new() } else { below(captures)? };
    let mut used = HashSet::new();
    let is_there = |input: &Input| size_of_file(&input.path) == Some(input.bytes);
    let mut order: Vec<(usize, &Input)> = inputs.iter().enumerate().collect();
    order.sort_by_key(|(_, input)| !is_there(input));
    let mut all = vec![None; inputs.len()];
    for (at, input) in order {
        let moved = search(&index, input, &mut used);
        let place = moved.or_else(|| Some(input.path.clone()).filter(|_| is_there(input)));
        if let Some(slot) = all.get_mut(at) {
            *slot = place;
        }
    }
    Ok(all)
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
        } else if !input.holds_what(report) {
            errors.push(other("what it holds"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: PathBuf, file: u64) -> Input {
        let span = Some((Nanos(0), Nanos(9)));
        Input { path, file: Some(file), bytes: 4, packets: 3, span, ..Input::default() }
    }

    #[test]
    fn an_argument_that_was_edited_is_refused_and_not_left_out() {
        let shape = |word: &str| {
            let line = format!("{{\"arguments\":[\"{word}\"]}}");
            Shape::of(&Flat::parse(line.as_bytes()).unwrap(), false).map(|shape| shape.window)
        };
        assert_eq!(shape("dedup-window=7").unwrap(), Some(Nanos(7_000)));
        for word in ["dedup-window=x", "max-ratio=-1", "filter=no such"] {
            assert!(shape(word).is_err(), "{word}");
        }
    }

    #[test]
    fn equal_captures_are_found_each_at_a_place_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["now/a/x.pcap", "now/b/x.pcap", "now/c/x.pcap"] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), b"same").unwrap();
        }
        let hash = hash_of(&at("now/a/x.pcap"));
        // One is where it was; the first that moved is like none of them.
        let old = ["then/z/x.pcap", "then/b/x.pcap", "now/a/x.pcap"];
        for sha256 in [None, hash] {
            let inputs: Vec<Input> = (0..).zip(old).map(|(n, path)| of(at(path), n)).collect();
            let inputs: Vec<Input> =
                inputs.into_iter().map(|of| Input { sha256: sha256.clone(), ..of }).collect();
            let whole = [(Nanos(0), Nanos(9))];
            let found = locate(&inputs, &whole, &[at("now")]).unwrap();
            let order: Vec<usize> = found.iter().map(|of| of.input).collect();
            assert_eq!(order, [0, 1, 2]);
            let paths: HashSet<&PathBuf> = found.iter().map(|of| &of.path).collect();
            assert_eq!(paths.len(), 3, "{found:?}");
            assert_eq!(found[2].path, at("now/a/x.pcap"));
            // Fewer files than inputs: one has none, and that is said.
            fs::remove_file(at("now/c/x.pcap")).unwrap();
            assert_eq!(locate(&inputs, &whole, &[at("now")]).unwrap_err().len(), 1);
            fs::write(at("now/c/x.pcap"), b"same").unwrap();
        }
    }

    #[test]
    fn of_an_interrupted_run_a_file_may_hold_more() {
        let whole = of(PathBuf::from("x"), 0);
        let part = Input { is_part: true, ..whole.clone() };
        let report = |packets: u64, first: u64, last: u64| FileReport {
            packets,
            bytes: 4,
            first: Some(Nanos(first)),
            last: Some(Nanos(last)),
            ..FileReport::duplicate(Path::new("x"), Path::new("y"))
        };
        let fits = |input: &Input, report: FileReport| {
            let located = [Located { input: 0, path: PathBuf::from("x") }];
            check(std::slice::from_ref(input), &located, &[report]).is_ok()
        };
        assert!(fits(&whole, report(3, 0, 9)) && !fits(&whole, report(5, 0, 20)));
        assert!(fits(&part, report(5, 0, 20)) && !fits(&part, report(2, 0, 20)));
        assert!(!fits(&part, report(5, 1, 20)) && !fits(&part, report(5, 0, 8)));
    }
}
