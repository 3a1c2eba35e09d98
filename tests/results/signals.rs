//! SIGINT and SIGTERM while a capture comes by way of a pipe.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::kill::look_ups;

/// Longer than any of these runs takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// `longhaul read INPUT --out DIR`, begun, with its files open.
fn begin(input: &str, out: &Path) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["read", input, "--out"])
        .arg(out)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(|| out.join(".sessions.ndjson.partial").exists());
    child
}

fn wait_until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "it did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// What a run says that must end by itself.
fn ended(mut child: Child) -> Output {
    let begun = Instant::now();
    // Its standard input stays open: what ends it is the signal.
    let held = child.stdin.take();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("it goes on");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(held);
    child.wait_with_output().unwrap()
}

fn partials(dir: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_string_lossy().contains(".partial")).collect()
}

fn run_json(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("run.json")).unwrap()).unwrap()
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

#[test]
fn the_first_signal_finishes_with_what_was_read() {
    for name in ["INT", "TERM"] {
        let temp = tempfile::tempdir().unwrap();
        let out = temp.path().join("out");
        let mut child = begin("-", &out);
        child.stdin.as_mut().unwrap().write_all(&look_ups(50)).unwrap();
        child.stdin.as_mut().unwrap().flush().unwrap();
        signal(&child, name);
        let output = ended(child);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("interrupted: finishing with what was read"), "{said}");
        let run = run_json(&out);
        assert_eq!(run["interrupted"], true);
        assert_eq!(run["warnings"][0]["name"], "interrupted");
        assert_eq!(run["inputs"][0]["verdict"], "interrupted");
        assert!(run["inputs"][0]["sha256"].is_null());
        assert_eq!((lines(&out.join("sessions.ndjson")), partials(&out)), (50, Vec::new()));
    }
}

#[test]
fn a_summary_says_that_it_was_interrupted() {
    let temp = tempfile::tempdir().unwrap();
    let fifo = temp.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let child = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .arg("read")
        .arg(&fifo)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Opening it for writing waits for the reader.
    let mut writer = fs::File::options().write(true).open(&fifo).unwrap();
    writer.write_all(&look_ups(50)).unwrap();
    signal(&child, "INT");
    let output = ended(child);
    drop(writer);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("the run was interrupted"), "{said}");
}

#[test]
fn the_writer_of_a_pipe_may_flush_after_the_signal() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let mut child = begin("-", &out);
    let capture = look_ups(50);
    let (first, rest) = capture.split_at(capture.len() / 2);
    let mut writer = child.stdin.take().unwrap();
    writer.write_all(first).unwrap();
    writer.flush().unwrap();
    // Ctrl-C reaches both: the writer still has packets in its buffer.
    signal(&child, "INT");
    writer.write_all(rest).unwrap();
    drop(writer);
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0));
    let run = run_json(&out);
    assert_eq!((&run["interrupted"], &run["inputs"][0]["verdict"]), (&true.into(), &"ok".into()));
    assert_eq!(lines(&out.join("sessions.ndjson")), 50);
}

#[test]
fn the_second_signal_ends_at_once_and_leaves_no_file() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let mut child = begin("-", &out);
    child.stdin.as_mut().unwrap().write_all(&look_ups(50)).unwrap();
    signal(&child, "INT");
    // Two signals that are pending at once are one.
    std::thread::sleep(Duration::from_millis(50));
    signal(&child, "INT");
    let output = ended(child);
    if output.status.code() == Some(0) {
        // It was quicker than the second signal.
        assert_eq!(run_json(&out)["interrupted"], true);
    } else {
        assert_eq!(output.status.code(), Some(130));
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    }
}

#[test]
fn the_second_signal_ends_the_wait_for_a_silent_pipe() {
    let temp = tempfile::tempdir().unwrap();
    let (fifo, out) = (temp.path().join("fifo"), temp.path().join("out"));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let child = begin(fifo.to_str().unwrap(), &out);
    signal(&child, "INT");
    let output = ended(child);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("interrupted: the run was told to end"), "{said}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
}
