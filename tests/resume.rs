//! A run in sets that is killed and goes on.
//!
//! Owns: that the sets of such a run are those of one that nobody killed, that their sessions are
//! those of one read of all files, each once, and that what cannot go on is refused. In: captures
//! made here. Out: pass or fail. Never: a wait longer than a deadline.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails; it waits for another process"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod common;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

/// Lines of a set.
const LINES: [&str; 4] =
    ["sessions.ndjson", "endpoints.ndjson", "alerts.ndjson", "incidents.ndjson"];

/// Of a set at least this part (1/n) of all bytes.
const SETS: usize = 24;

/// The embedded capture, cut into files as a tool that rotates them would.
fn rotated(folder: &Path, count: usize) -> usize {
    let whole = zstd::decode_all(fs::File::open(common::demo()).unwrap()).unwrap();
    let (head, mut rest) = whole.split_at(24);
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let len = 16 + u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        frames.push(&rest[..len]);
        rest = &rest[len..];
    }
    fs::create_dir_all(folder).unwrap();
    let files = frames.chunks(frames.len().div_ceil(count));
    for (number, frames) in files.enumerate() {
        let bytes = [head, &frames.concat()].concat();
        fs::write(folder.join(format!("{number:03}.pcap")), bytes).unwrap();
    }
    whole.len()
}

fn command(folder: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    command.args(["read", "in", "--out", out, "--place", "IAD"]).args(more).current_dir(folder);
    command
}

fn run(folder: &Path, out: &str, more: &[&str]) -> Output {
    command(folder, out, more).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The sets of a run, by name.
fn sets(out: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let mut sets: Vec<PathBuf> = entries.filter(|path| path.join("run.json").exists()).collect();
    sets.sort();
    sets
}

/// All files of a run but what may differ.
fn content(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for set in sets(out) {
        let name = set.file_name().unwrap().to_string_lossy().into_owned();
        for file in LINES {
            all.insert(format!("{name}/{file}"), fs::read(set.join(file)).unwrap());
        }
        let mut run: Value =
            serde_json::from_slice(&fs::read(set.join("run.json")).unwrap()).unwrap();
        run.as_object_mut().unwrap().remove("environment");
        all.insert(format!("{name}/run.json"), run.to_string().into_bytes());
    }
    all
}

/// The lines of sessions by their ids, and how often each id is there.
fn sessions(dirs: &[PathBuf]) -> HashMap<String, Vec<Value>> {
    let mut all: HashMap<String, Vec<Value>> = HashMap::new();
    for dir in dirs {
        for line in fs::read_to_string(dir.join("sessions.ndjson")).unwrap().lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            all.entry(value["event"]["id"].as_str().unwrap().to_owned()).or_default().push(value);
        }
    }
    all
}

/// Without what numbers of files say, and names that were learned in files before.
fn bare(line: &Value) -> Value {
    let mut line = line.clone();
    line["longhaul"].as_object_mut().unwrap().remove("packets");
    line["destination"].as_object_mut().unwrap().remove("domain");
    line["destination"].as_object_mut().unwrap().remove("registered_domain");
    line
}

#[test]
fn a_run_that_is_killed_at_any_moment_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bytes = rotated(&at("in"), 24);
    let size = format!("{}KiB", bytes / SETS / 1024);
    let options = ["--resume", "--set-size", &size];
    let whole = run(folder.path(), "whole", &options);
    assert!(whole.status.success(), "{}", said(&whole));
    let want = content(&at("whole"));
    assert!(sets(&at("whole")).len() >= 4, "{:?}", want.keys());
    let mut kills = 0;
    let rounds = if std::env::var_os("LONGHAUL_TORTURE").is_some() { 6 } else { 2 };
    for round in 0..rounds {
        let out = format!("killed-{round}");
        // Each time a little later, so that kills fall into reading, writing and renaming.
        for attempt in 0..200u64 {
            let mut child = command(folder.path(), &out, &options)
                .stderr(Stdio::null())
                .args(["--workers", if attempt % 2 == 0 { "1" } else { "3" }])
                .spawn()
                .unwrap();
            sleep(Duration::from_millis(20 + (round * 37 + attempt * 61) % 400));
            if child.try_wait().unwrap().is_some_and(|status| status.success()) {
                break;
            }
            let _ = child.kill();
            kills += u32::from(!child.wait().unwrap().success());
        }
        let end = run(folder.path(), &out, &options);
        assert!(end.status.success(), "{}", said(&end));
        let have = content(&at(&out));
        assert_eq!(have.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>(), "{round}");
        for (name, bytes) in &want {
            assert!(have[name] == *bytes, "{round}: {name} differs");
        }
    }
    assert!(kills >= rounds as u32, "{kills} runs were killed");
}

#[test]
fn sets_hold_each_session_of_one_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bytes = rotated(&at("in"), 24);
    let size = format!("{}KiB", bytes / SETS / 1024);
    let one = run(folder.path(), "one", &["-q"]);
    assert!(one.status.success(), "{}", said(&one));
    let many = run(folder.path(), "many", &["--resume", "--set-size", &size]);
    assert!(many.status.success(), "{}", said(&many));
    assert!(said(&many).contains("all files are read"), "{}", said(&many));
    let dirs = sets(&at("many"));
    let (want, have) = (sessions(&[at("one")]), sessions(&dirs));
    let zero = Value::from(0);
    for dir in &dirs {
        let run: Value = serde_json::from_slice(&fs::read(dir.join("run.json")).unwrap()).unwrap();
        let counted = &run["counters"]["session"];
        assert_eq!((&counted["unaccounted"], &counted["missed"]), (&zero, &zero), "{dir:?}");
    }
    let ids = |all: &HashMap<String, Vec<Value>>| {
        let mut ids: Vec<String> = all.keys().cloned().collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&have), ids(&want));
    for (id, lines) in &have {
        assert_eq!(lines.len(), 1, "{id}");
        assert_eq!(bare(&lines[0]), bare(&want[id][0]), "{id}");
    }
    let rules = |dirs: &[PathBuf]| {
        let texts = dirs.iter().map(|dir| fs::read_to_string(dir.join("alerts.ndjson")).unwrap());
        let all: String = texts.collect();
        let of = |line: &str| {
            let alert: Value = serde_json::from_str(line).unwrap();
            (alert["rule"]["id"].to_string(), alert["longhaul"]["subject"]["id"].to_string())
        };
        let mut all: Vec<(String, String)> = all.lines().map(of).collect();
        all.sort();
        all
    };
    assert_eq!(rules(&dirs), rules(&[at("one")]), "each alert once");
    // What other commands make of it.
    let id = have.keys().min().unwrap();
    let carve = ["carve", id, "many", "-o", "slice.pcapng"];
    for args in [&carve[..], &["report", "many"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
        let output = command.args(args).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", said(&output));
    }
    let again = run(folder.path(), "many", &["--resume", "--set-size", &size]);
    assert!(again.status.success() && said(&again).contains("nothing was left to read"));
}

#[test]
fn what_is_not_the_run_that_was_begun_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    rotated(&at("in"), 4);
    let options = ["--resume", "-q"];
    assert!(run(folder.path(), "out", &options).status.success());
    let refused = |more: &[&str], why: &str| {
        let output = run(folder.path(), "out", &[&options[..], more].concat());
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let remedy = said.contains("help: ") || said.contains("--help");
        assert!(said.contains(why) && remedy, "{said}");
    };
    refused(&["--no-dedup"], "it was begun by `longhaul read in --out out");
    fs::write(at("in/new.pcap"), fs::read(at("in/000.pcap")).unwrap()).unwrap();
    refused(&[], "there are 5 files, and were 4");
    fs::remove_file(at("in/new.pcap")).unwrap();
    fs::write(at("in/001.pcap"), fs::read(at("in/000.pcap")).unwrap()).unwrap();
    refused(&[], "001.pcap was written to since");
    refused(&["--follow", "in"], "cannot be used with");
    refused(&["--set-size", "much"], "no size");
    for (name, text) in [("state", "state = \"base\"\n"), ("only", "learn_only = true\n")] {
        fs::write(at(name), text).unwrap();
        refused(&["--config", name], "sets have a state of their own");
    }
    let other = run(folder.path(), "in", &options);
    assert!(said(&other).contains("it is not empty"), "{}", said(&other));
}

/// Replaces the id of the first session of a set.
fn rename(set: &Path, new: impl Fn(&str) -> String) -> String {
    let path = set.join("sessions.ndjson");
    let text = fs::read_to_string(&path).unwrap();
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let old = line["event"]["id"].as_str().unwrap();
    let new = new(old);
    fs::write(&path, text.replace(old, &new)).unwrap();
    new
}

#[test]
fn an_id_that_fits_events_of_two_sets_is_no_choice() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bytes = rotated(&at("in"), 24);
    let size = format!("{}KiB", bytes / SETS / 1024);
    let many = run(folder.path(), "many", &["--resume", "--set-size", &size]);
    assert!(many.status.success(), "{}", said(&many));
    let dirs = sets(&at("many"));
    let sets: Vec<&PathBuf> = dirs
        .iter()
        .filter(|dir| fs::metadata(dir.join("sessions.ndjson")).unwrap().len() > 0)
        .collect();
    let (first, last) = (sets[0], sets[sets.len() - 1]);
    assert_ne!(first, last);
    let carve = |id: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
        let output = command.args(["carve", id, "many", "-o", "slice.pcapng"]);
        let output = output.current_dir(folder.path()).output().unwrap();
        (output.status.code(), said(&output))
    };
    let one = rename(first, str::to_owned);
    let two = rename(last, |old| format!("{}{}", &one[..10], &old[10..]));
    let (code, said) = carve(&one[..10]);
    assert!(code == Some(2) && said.contains("2 events begin so"), "{said}");
    assert!(said.contains(&one) && said.contains(&two), "{said}");
    let (code, said) = carve(&one);
    assert_eq!(code, Some(0), "{said}");
    let other = format!("{}{}", &one[..31], if one.ends_with('0') { '1' } else { '0' });
    let (code, said) = carve(&other);
    assert!(code == Some(2) && said.contains(&format!("did you mean {one}")), "{said}");
    // A line that cannot be read is no line of another event.
    fs::write(last.join("sessions.ndjson"), format!("{{\"event\":{{\"id\":\"{one}\n")).unwrap();
    let (code, said) = carve(&one);
    assert!(code == Some(2) && said.contains("sessions.ndjson:1"), "{said}");
}
