//! A directory whose files are read as they come.
//!
//! Owns: that the result is that of reading the same files at once. In: captures made here, signals.
//! Out: pass or fail. Never: a wait longer than a deadline.

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

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for the program.
const PATIENCE: Duration = Duration::from_secs(60);

/// Files that a result of files has.
const LINES: [&str; 4] =
    ["sessions.ndjson", "endpoints.ndjson", "alerts.ndjson", "incidents.ndjson"];

/// The embedded capture, cut into parts as a tool that rotates its files would.
fn parts(count: usize) -> Vec<Vec<u8>> {
    let whole = zstd::decode_all(fs::File::open(common::demo()).unwrap()).unwrap();
    let (head, mut rest) = whole.split_at(24);
    assert_eq!(head[..2], [0x4d, 0x3c], "little-endian nanoseconds");
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let len = 16 + u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        frames.push(&rest[..len]);
        rest = &rest[len..];
    }
    let part = |frames: &[&[u8]]| [head, &frames.concat()].concat();
    frames.chunks(frames.len().div_ceil(count)).map(part).collect()
}

struct Follower(Child);

impl Follower {
    fn start(folder: &Path, out: &str, more: &[&str]) -> Follower {
        Follower::of("in", folder, out, more)
    }

    fn of(dir: &str, folder: &Path, out: &str, more: &[&str]) -> Follower {
        let args = ["read", "--follow", dir, "--out", out, "--place", "IAD", "-q"];
        let child = Command::new(env!("CARGO_BIN_EXE_longhaul"))
            .args(args)
            .args(more)
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn();
        Follower(child.unwrap())
    }

    /// Bytes that the program has read so far.
    fn read(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/io", self.0.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
        line.parse().unwrap()
    }

    /// Waits until it has read so many bytes more.
    fn wait_for(&self, from: u64, bytes: usize) {
        let until = Instant::now() + PATIENCE;
        while self.read() < from + bytes as u64 {
            assert!(Instant::now() < until, "it has not read the file");
            std::thread::sleep(Duration::from_millis(50));
        }
        // A look into the directory reads no file.
        let (mut last, mut since) = (self.read(), Instant::now());
        while since.elapsed() < Duration::from_millis(1_500) {
            std::thread::sleep(Duration::from_millis(50));
            let now = self.read();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
    }

    /// Sends a signal; gives the exit code, and what it said.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let until = Instant::now() + PATIENCE;
        while self.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
        let out = self.0.wait_with_output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    }
}

fn run_json(folder: &Path, out: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(out).join("run.json")).unwrap()).unwrap()
}

#[test]
fn files_that_come_one_by_one_give_what_they_give_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("in/later")).unwrap();
    let parts = parts(3);
    fs::write(at("in/a.pcap"), &parts[0]).unwrap();
    // The second is written under another name and is not read before it has its own.
    fs::write(at("in/later/.b.pcap"), &parts[1]).unwrap();
    let follower = Follower::start(folder.path(), "followed", &["--settle", "1s"]);
    follower.wait_for(0, parts[0].len());
    let before = follower.read();
    fs::rename(at("in/later/.b.pcap"), at("in/later/b.pcap")).unwrap();
    follower.wait_for(before, parts[1].len());
    let before = follower.read();
    fs::write(at("in/.c"), &parts[2]).unwrap();
    fs::rename(at("in/.c"), at("in/c.pcap")).unwrap();
    follower.wait_for(before, parts[2].len());
    let (code, said) = follower.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    let read = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["read", "in", "--out", "at-once", "--place", "IAD", "-q"])
        .current_dir(folder.path())
        .status();
    assert!(read.unwrap().success());
    for name in LINES {
        let of = |out: &str| fs::read(at(out).join(name)).unwrap();
        assert!(!of("at-once").is_empty(), "{name} has lines");
        assert!(of("followed") == of("at-once"), "{name} differs");
    }
    let (followed, at_once) =
        (run_json(folder.path(), "followed"), run_json(folder.path(), "at-once"));
    for key in ["inputs", "totals", "counters", "loss", "interrupted"] {
        assert_eq!(followed[key], at_once[key], "{key}");
    }
    assert_eq!(followed["inputs"].as_array().unwrap().len(), 3);
    assert_eq!(followed["interrupted"], false);
}

#[test]
fn a_file_is_left_alone_while_it_is_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("in")).unwrap();
    let parts = parts(2);
    fs::write(at("in/old.pcap"), &parts[0]).unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3_600);
    fs::File::options()
        .write(true)
        .open(at("in/old.pcap"))
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    fs::write(at("in/new.pcap"), &parts[1]).unwrap();
    let follower = Follower::start(folder.path(), "out", &["--settle", "10m"]);
    follower.wait_for(0, parts[0].len());
    let (code, said) = follower.end("-INT");
    assert_eq!(code, Some(0), "{said}");
    let run = run_json(folder.path(), "out");
    let paths: Vec<&str> =
        run["inputs"].as_array().unwrap().iter().map(|of| of["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["in/old.pcap"]);
    let waited = "in/new.pcap was waited for and not read";
    assert!(said.contains(waited), "{said}");
    assert!(run["environment"]["remarks"].to_string().contains(waited), "{}", run["environment"]);
}

/// Longer than two looks.
fn pause() {
    std::thread::sleep(Duration::from_millis(1_600));
}

#[test]
fn a_file_is_read_once_whatever_becomes_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("in/done")).unwrap();
    let parts = parts(2);
    fs::write(at("in/b.pcap"), &parts[0]).unwrap();
    // It is given by another name as well.
    let more = ["--settle", "1s", "in/b.pcap"];
    let follower = Follower::of("./in", folder.path(), "out", &more);
    follower.wait_for(0, parts[0].len());
    let before = follower.read();
    fs::rename(at("in"), at("away")).unwrap();
    pause();
    fs::rename(at("away"), at("in")).unwrap();
    pause();
    fs::rename(at("in/b.pcap"), at("in/done/b.pcap")).unwrap();
    pause();
    fs::hard_link(at("in/done/b.pcap"), at("in/a.pcap")).unwrap();
    std::os::unix::fs::symlink("done/b.pcap", at("in/0.pcap")).unwrap();
    pause();
    let read = follower.read() - before;
    assert!(read < parts[0].len() as u64, "{read} bytes of looks");
    // What comes under its name is another file.
    fs::write(at("in/.b"), &parts[1]).unwrap();
    fs::rename(at("in/.b"), at("in/b.pcap")).unwrap();
    follower.wait_for(before, parts[1].len());
    let (code, said) = follower.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("in could not be listed whole at "), "{said}");
    let run = run_json(folder.path(), "out");
    let inputs: Vec<(&str, &Value)> = run["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| (of["path"].as_str().unwrap(), &of["packets"]))
        .collect();
    let names: Vec<&str> = inputs.iter().map(|(path, _)| *path).collect();
    assert_eq!(names, ["./in/0.pcap", "./in/a.pcap", "./in/b.pcap", "in/b.pcap"]);
    assert_eq!((inputs[0].1, inputs[1].1), (&Value::from(0), &Value::from(0)), "second names");
    let frames: u64 = inputs.iter().filter_map(|(_, packets)| packets.as_u64()).sum();
    assert_eq!(frames, frames_of(&parts[0]) + frames_of(&parts[1]));
}

fn frames_of(part: &[u8]) -> u64 {
    let (mut rest, mut count) = (&part[24..], 0);
    while !rest.is_empty() {
        rest = &rest[16 + u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize..];
        count += 1;
    }
    count
}

#[test]
fn what_is_written_to_a_file_that_was_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("in")).unwrap();
    let parts = parts(2);
    fs::write(at("in/grows.pcap"), &parts[0]).unwrap();
    // A clock that is ahead of ours must not make a file wait forever.
    let file = fs::File::options().write(true).open(at("in/grows.pcap")).unwrap();
    file.set_modified(std::time::SystemTime::now() + Duration::from_secs(3_600)).unwrap();
    let follower = Follower::start(folder.path(), "out", &["--settle", "1s"]);
    follower.wait_for(0, parts[0].len());
    let before = follower.read();
    fs::write(at("in/anew.pcap"), &parts[1]).unwrap();
    follower.wait_for(before, parts[1].len());
    fs::write(at("in/anew.pcap"), &parts[1][..24]).unwrap();
    pause();
    let whole = [&parts[0][..], &parts[1][24..]].concat();
    fs::write(at("in/grows.pcap"), &whole).unwrap();
    let (code, said) = follower.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    let more = parts[1].len() - 24;
    for text in [
        format!("in/grows.pcap changed after it was read: {more} bytes more were not read"),
        "in/anew.pcap was written anew after it was read: its 24 bytes were not read".to_owned(),
    ] {
        assert!(said.contains(&text), "{text}: {said}");
    }
}

#[test]
fn what_cannot_be_followed_is_said() {
    for (args, cause) in [
        (&["read", "--follow", "no-such-directory"][..], "--follow no-such-directory"),
        (&["read", "--follow", ".", "--settle", "soon"], "`soon` is no span"),
        (&["read", "--settle", "1s", "x.pcap"], "--follow"),
        (&["read"], "PATH"),
    ] {
        let out = common::longhaul(args);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{said}");
        assert!(said.contains(cause), "{args:?}: {said}");
    }
}
