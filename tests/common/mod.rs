//! What the tests against recorded truth share: tables, runs, tallies.
//!
//! Owns: finding the shared captures, reading CSV, runs of the library and of the binary.
//! In: paths. Out: rows, records, outputs. Never: decides what is right.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::Mutex;

use longhaul::config::Plan;
use longhaul::config::PointBy;
use longhaul::model::Record;
use longhaul::model::Transport;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::run_tapped;

/// A file or folder of the shared captures, or a word on the console and nothing.
pub fn shared(what: &str) -> Option<PathBuf> {
    let found = find(what);
    if found.is_none() {
        println!("skipped: {} is not here", shared_path(what).display());
    }
    found
}

/// The same without a word: of what is only more of what is tested anyway.
pub fn find(what: &str) -> Option<PathBuf> {
    Some(shared_path(what)).filter(|path| path.exists())
}

fn shared_path(what: &str) -> PathBuf {
    let root = std::env::var_os("LONGHAUL_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    root.join("data").join(what)
}

/// A file of the project.
pub fn own(what: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(what)
}

/// The project's demonstration capture.
pub fn demo() -> PathBuf {
    own("tests/data/demo/farm.pcap.zst")
}

/// A row of a table: column name to text.
pub struct Row(HashMap<String, String>);

impl Row {
    /// A column that must exist.
    pub fn get(&self, column: &str) -> &str {
        &self.0[column]
    }

    /// A column that is empty where nothing is known.
    pub fn some(&self, column: &str) -> Option<&str> {
        Some(self.get(column)).filter(|text| !text.is_empty())
    }

    /// An address and a port.
    pub fn end(&self, address: &str, port: &str) -> End {
        (self.get(address).parse().unwrap(), self.get(port).parse().unwrap())
    }
}

/// A table with a head line (RFC 4180).
pub fn table(path: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = split(&text).into_iter();
    let head = lines.next().unwrap();
    lines.map(|line| Row(head.iter().cloned().zip(line).collect())).collect()
}

fn split(text: &str) -> Vec<Vec<String>> {
    let mut lines = vec![vec![String::new()]];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let line = lines.last_mut().unwrap();
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                line.last_mut().unwrap().push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => line.push(String::new()),
            '\r' if !quoted => {}
            '\n' if !quoted => lines.push(vec![String::new()]),
            _ => line.last_mut().unwrap().push(c),
        }
    }
    lines.retain(|line| line.len() > 1);
    lines
}

/// An end of a session.
pub type End = (IpAddr, u16);
type Tuple = (String, u8, End, End);

/// Every session of a run, to be asked by file and five-tuple.
pub struct Seen {
    pub records: Vec<Record>,
    names: Vec<String>,
    by_tuple: HashMap<Tuple, Vec<usize>>,
}

impl Seen {
    /// Reads captures, each as a capture point of its own.
    pub fn read(inputs: Vec<PathBuf>) -> Seen {
        let records = Mutex::new(Vec::new());
        let plan = Plan { inputs, point_by: PointBy::File, quiet: true, ..Plan::default() };
        let tap = |record: &Record| records.lock().unwrap().push(record.clone());
        let outcome = run_tapped(&plan, &mut NoProgress, Some(&tap)).unwrap();
        let mut records = records.into_inner().unwrap();
        records.sort_by_key(|record| (record.file, record.start, record.frame_first));
        let mut by_tuple: HashMap<Tuple, Vec<usize>> = HashMap::new();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let names: Vec<String> = outcome.names.iter().map(name).collect();
        for (at, record) in records.iter().enumerate() {
            let ends = sorted(initiator(record), responder(record));
            let tuple =
                (names[usize::from(record.file)].clone(), record.transport.0, ends.0, ends.1);
            by_tuple.entry(tuple).or_default().push(at);
        }
        Seen { records, names, by_tuple }
    }

    /// The file in which a session began.
    pub fn file(&self, record: &Record) -> &str {
        &self.names[usize::from(record.file)]
    }

    /// The sessions between two ends in a file, by start.
    pub fn between(&self, file: &str, transport: Transport, a: End, b: End) -> Vec<&Record> {
        let (low, high) = sorted(a, b);
        let tuple = (file.to_owned(), transport.0, low, high);
        let found = self.by_tuple.get(&tuple).map(Vec::as_slice).unwrap_or_default();
        found.iter().map(|at| &self.records[*at]).collect()
    }
}

/// Who began.
pub fn initiator(record: &Record) -> End {
    (record.initiator.ip.to_ip(), record.initiator.port)
}

/// Who answered.
pub fn responder(record: &Record) -> End {
    (record.responder.ip.to_ip(), record.responder.port)
}

fn sorted(a: End, b: End) -> (End, End) {
    if a <= b { (a, b) } else { (b, a) }
}

/// The transport of a stream written `tcp:4` or `udp:0`.
pub fn transport(stream: &str) -> Transport {
    if stream.starts_with("tcp") { Transport::TCP } else { Transport::UDP }
}

/// A difference from the truth that the specification asks for: file, what the miss says, why.
pub type Exception = (&'static str, &'static str, &'static str);

/// What was compared, and what differed.
pub struct Tally {
    name: &'static str,
    equal: usize,
    misses: Vec<(String, String)>,
}

impl Tally {
    /// Nothing yet.
    pub fn new(name: &'static str) -> Tally {
        Tally { name, equal: 0, misses: Vec::new() }
    }

    /// One comparison; `miss` is made where it failed.
    pub fn check(&mut self, right: bool, file: &str, miss: impl FnOnce() -> String) {
        if right {
            self.equal += 1;
        } else {
            self.misses.push((file.to_owned(), miss()));
        }
    }

    /// How many comparisons were equal, of how many.
    pub fn counts(&self) -> (usize, usize) {
        (self.equal, self.equal + self.misses.len())
    }

    /// Fails on any miss that is no exception, and on any exception without a miss.
    pub fn conclude(self, exceptions: &[Exception]) {
        let (equal, rows) = self.counts();
        println!("{}: {equal} of {rows} rows equal", self.name);
        let argued = |file: &str, miss: &str| {
            exceptions.iter().position(|(of, words, _)| *of == file && miss.contains(words))
        };
        let mut used = vec![0; exceptions.len()];
        let mut faults = Vec::new();
        for (file, miss) in &self.misses {
            match argued(file, miss) {
                Some(at) => {
                    used[at] += 1;
                    println!("  argued: {file}: {miss}: {}", exceptions[at].2);
                }
                None => faults.push(format!("{file}: {miss}")),
            }
        }
        for ((file, words, _), used) in exceptions.iter().zip(used) {
            if used == 0 {
                faults.push(format!("{file}: `{words}` is excused and does not happen"));
            }
        }
        assert!(faults.is_empty(), "{}:\n{}", self.name, faults.join("\n"));
        assert!(rows > 0, "{}: nothing was compared", self.name);
    }
}

/// The first of many values, for a message.
pub fn few(values: &[String]) -> String {
    let first: Vec<String> = values.iter().take(6).map(|value| format!("{value:?}")).collect();
    format!("{} of {} values: {}", first.len(), values.len(), first.join(", "))
}

/// Runs the built program.
pub fn longhaul(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longhaul")).args(args).output().unwrap()
}
