//! What a user meets: refusals, exit codes, closed pipes, files cut off.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;

use crate::common::demo;
use crate::common::longhaul;
use crate::common::own;
use crate::made;
use crate::made::Dice;
use crate::made::Shape;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The run is refused with words, and no output directory appears.
fn refused(args: &[&str], because: &str) {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let demo = demo();
    let mut all = vec!["read", "--out", out.to_str().unwrap()];
    if !args.iter().any(|arg| arg.ends_with(".pcap")) {
        all.push(demo.to_str().unwrap());
    }
    all.extend(args);
    let ran = longhaul(&all);
    let said = stderr(&ran);
    assert_eq!(ran.status.code(), Some(2), "{args:?}: {said}");
    assert!(said.starts_with("error: "), "{args:?}: {said}");
    assert!(said.contains(because), "{args:?}: {said}");
    // Usage errors have the parser's own form.
    assert!(said.contains("\nhelp: ") || said.contains("Usage: "), "{args:?}: {said}");
    assert!(ran.stdout.is_empty() && !out.exists(), "{args:?}: something was written");
}

#[test]
fn a_refusal_has_a_remedy_and_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let rule = fs::read_to_string(own("rules/network/d21_tor.yml")).unwrap();
    let wrong = rule.replacen("network.direction", "network.directon", 1);
    assert_ne!(rule, wrong);
    let list = fs::read_to_string(own("rules/lists/tor-prefixes.txt")).unwrap();
    let list = list.lines().take_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let bad_line = format!("bad.txt:{}", list.lines().count() + 1);
    let list = format!("{list}\n10.0.0.0/99\n");
    for (folder, file, content) in [("rules", "d21_tor.yml", &*wrong), ("lists", "bad.txt", &list)]
    {
        fs::create_dir(at(folder)).unwrap();
        fs::write(at(folder).join(file), content).unwrap();
    }
    fs::write(at("bad.toml"), "wrokers = 3\n").unwrap();
    refused(&["--rules", &text(&at("rules"))], "network.direct");
    refused(&["--lists", &text(&at("lists"))], &bad_line);
    refused(&["--config", &text(&at("bad.toml"))], "wrokers");
    refused(&[&text(&at("missing.pcap"))], "missing.pcap");
    fs::write(at("place.toml"), "workers = 2\nplace = \"ZZZ\"\n").unwrap();
    refused(&["--config", &text(&at("place.toml"))], "place.toml:2");
    fs::write(at("home.toml"), "home = [\n\"10.0.0.0/33\"]\n").unwrap();
    refused(&["--config", &text(&at("home.toml"))], "home.toml:2");
    fs::write(at("bytes.toml"), b"home = \xff\n").unwrap();
    refused(&["--config", &text(&at("bytes.toml"))], "bytes.toml");
    fs::write(at("quote.csv"), "match,id,name\n10.0.0.1,e-1,\"Doe\n").unwrap();
    refused(&["--subjects", &text(&at("quote.csv"))], "quote.csv:2");
    let all = ["--workers", "99", "--home", "10.0.0.0/33", "--place", "ZZZ", "--filter", "prot"];
    for because in ["99", "10.0.0.0/33", "ZZZ", "prot"] {
        refused(&all, because);
    }
    refused(&["--place", "ZZZ"], "ZZZ");
    refused(&["--place", "91,0"], "91");
    refused(&["--home", "10.0.0.0/33"], "10.0.0.0/33");
    refused(&["--workers", "99"], "99");
    refused(&["--min-level", "loud"], "loud");
    refused(&["--filter", "tcp prot 22"], "tcp prot 22");
    refused(&["--unknown-option"], "--unknown-option");
}

fn run_json(out: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(out.join("run.json")).unwrap()).unwrap()
}

#[test]
fn a_file_with_two_names_is_read_once_and_reported() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::copy(demo(), at("a.pcap.zst")).unwrap();
    fs::hard_link(at("a.pcap.zst"), at("b.pcap.zst")).unwrap();
    std::os::unix::fs::symlink(at("a.pcap.zst"), at("c.pcap.zst")).unwrap();
    let ran = longhaul(&["read", "-q", "--out", &at("one"), &at("a.pcap.zst")]);
    assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
    let [a, b, c, two] = ["a.pcap.zst", "b.pcap.zst", "c.pcap.zst", "two"].map(at);
    let ran = longhaul(&["read", "-q", "--out", &two, &a, &b, &c]);
    assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
    let said = stderr(&ran);
    assert_eq!(said.matches("duplicate: the same file as").count(), 2, "{said}");
    let (one, two) = (run_json(at("one").as_ref()), run_json(two.as_ref()));
    assert_eq!(one["counters"], two["counters"]);
    let verdicts: Vec<_> =
        two["inputs"].as_array().unwrap().iter().map(|input| &input["verdict"]).collect();
    assert_eq!(verdicts, ["ok", "duplicate", "duplicate"]);
}

#[test]
fn lists_too_old_for_the_capture_are_reported_once() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(at("lists")).unwrap();
    let text = "# name: own\n# kind: asn\n# source: made\n# date: 2020-01-01\n# licence: CC0-1.0\n";
    fs::write(at("lists") + "/own.txt", format!("{text}AS64500\n")).unwrap();
    let (demo, lists, out) = (demo(), at("lists"), at("out"));
    let demo = demo.to_str().unwrap();
    let ran = longhaul(&["read", "-q", demo, "--lists", &lists, "--out", &out]);
    assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
    let run = run_json(out.as_ref());
    let old: Vec<&Value> =
        run["lists"].as_array().unwrap().iter().filter(|l| l["old_days"].is_u64()).collect();
    assert_eq!(old.len(), 1, "{old:?}");
    assert_eq!(old[0]["name"], "own");
    let days = old[0]["old_days"].as_u64().unwrap();
    assert!((2_000..4_000).contains(&days), "{days}");
    let ran = longhaul(&["read", demo, "--lists", &lists]);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let words = format!("! 1 list too old for this capture (own: {days} days):");
    assert_eq!(said.matches(&words).count(), 1, "{said}");
    let ran = longhaul(&["read", demo]);
    assert!(!String::from_utf8_lossy(&ran.stdout).contains("too old"));
}

#[test]
fn with_few_descriptors_fewer_files_are_open() {
    let root = tempfile::tempdir().unwrap();
    let shape = Shape { packets: 50, hosts: 9, seconds: 600, disorder_ns: 0, tick_ns: 1 };
    // Up to 32 files stay open after the first look; more are opened when they are due.
    for files in [20u64, 40] {
        let folder = root.path().join(files.to_string());
        fs::create_dir(&folder).unwrap();
        for n in 0..files {
            made::write(&folder.join(format!("{n}.pcap")), 7 * n + 1, &shape);
        }
        let out = root.path().join(format!("out{files}"));
        let script = "ulimit -n 14 && exec \"$@\"";
        let ran = Command::new("sh")
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_longhaul"), "read", "-q", "--out"])
            .args([&out, &folder])
            .output()
            .unwrap();
        assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
        let run = run_json(&out);
        let inputs = run["inputs"].as_array().unwrap();
        assert!(inputs.iter().all(|input| input["verdict"] == "ok"), "{inputs:?}");
        assert_eq!(run["counters"]["capture"]["frames"], 50 * files);
        assert!(run["counters"]["capture"]["opens_refused"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_directory_that_is_not_empty_is_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("mine"), "mine").unwrap();
    let ran = longhaul(&["read", demo().to_str().unwrap(), "--out", root.path().to_str().unwrap()]);
    assert_eq!(ran.status.code(), Some(2));
    let said = stderr(&ran);
    assert!(said.starts_with("error: ") && said.contains("help: "), "{said}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(root.path().join("mine")).unwrap(), "mine");
}

#[test]
fn alerts_fail_a_run_only_with_the_option() {
    let root = tempfile::tempdir().unwrap();
    let quiet = root.path().join("quiet.pcap");
    made::write(
        &quiet,
        7,
        &Shape { packets: 40, hosts: 3, seconds: 5, disorder_ns: 0, tick_ns: 1 },
    );
    let code = |path: &Path, more: &[&str]| {
        let mut args = vec!["read", "--quiet", path.to_str().unwrap()];
        args.extend(more);
        longhaul(&args).status.code()
    };
    assert_eq!(code(&demo(), &["--fail-on-alert"]), Some(1));
    assert_eq!(code(&demo(), &[]), Some(0));
    assert_eq!(code(&quiet, &["--fail-on-alert"]), Some(0));
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    for more in [&["--sessions", "-"][..], &["--json"], &[]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_longhaul"))
            .arg("read")
            .arg(demo())
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ran = child.wait_with_output().unwrap();
        let said = stderr(&ran);
        assert!(!said.contains("error") && !said.contains("panicked"), "{more:?}: {said}");
        assert_eq!(ran.status.code(), Some(0), "{more:?}: {said}");
    }
}

/// Where each packet of a pcap file begins, and the file's end.
fn packet_starts(pcap: &[u8]) -> Vec<usize> {
    let mut starts = vec![24];
    while let Some(length) = pcap.get(starts[starts.len() - 1] + 8..).and_then(|r| r.first_chunk())
    {
        starts.push(starts[starts.len() - 1] + 16 + u32::from_le_bytes(*length) as usize);
    }
    starts
}

#[test]
fn a_capture_cut_anywhere_is_read_to_the_cut() {
    let packed = fs::read(demo()).unwrap();
    let pcap = zstd::decode_all(&packed[..]).unwrap();
    let starts = packet_starts(&pcap);
    assert_eq!(starts.last(), Some(&pcap.len()));
    let root = tempfile::tempdir().unwrap();
    let mut dice = Dice(20_261_123);
    for n in 0..50 {
        let cut = starts[1] + dice.below((pcap.len() - starts[1]) as u64) as usize;
        let (input, out) = (root.path().join("cut.pcap"), root.path().join(format!("out{n}")));
        fs::write(&input, &pcap[..cut]).unwrap();
        let (path, into) = (input.to_str().unwrap(), out.to_str().unwrap());
        let ran = longhaul(&["read", "--quiet", path, "--out", into]);
        assert_eq!(ran.status.code(), Some(0), "cut at {cut}: {}", stderr(&ran));
        let run: Value =
            serde_json::from_str(&fs::read_to_string(out.join("run.json")).unwrap()).unwrap();
        let whole = starts.iter().filter(|start| **start <= cut).count() - 1;
        let verdict = if starts.contains(&cut) { "ok" } else { "truncated" };
        let input = &run["inputs"][0];
        assert_eq!(input["verdict"], verdict, "cut at {cut}: {input}");
        assert_eq!(input["packets"], whole, "cut at {cut}: {input}");
    }
}

#[test]
fn a_packed_capture_cut_anywhere_never_panics() {
    let packed = fs::read(demo()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut dice = Dice(4_711);
    for _ in 0..12 {
        let cut = 1 + dice.below(packed.len() as u64 - 1) as usize;
        let input = root.path().join("cut.pcap.zst");
        fs::write(&input, &packed[..cut]).unwrap();
        let ran = longhaul(&["read", "--quiet", input.to_str().unwrap()]);
        let said = stderr(&ran);
        let spoken = ran.status.code() == Some(0) || said.starts_with("error: ");
        assert!(spoken && !said.contains("panicked"), "cut at {cut}: {said}");
    }
}

/// To measure what the other round trips cost; the rest of the line stays.
#[test]
fn without_latency_only_the_legs_of_handshakes_are_left() {
    let root = tempfile::tempdir().unwrap();
    let sessions = |name: &str, more: &[&str]| -> Vec<Value> {
        let out = root.path().join(name);
        let mut args = vec!["read", "--quiet", "--out", out.to_str().unwrap()];
        let demo = demo();
        args.push(demo.to_str().unwrap());
        args.extend(more);
        assert!(longhaul(&args).status.success());
        let text = fs::read_to_string(out.join("sessions.ndjson")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (with, without) = (sessions("with", &[]), sessions("without", &["--no-latency"]));
    assert_eq!(with.len(), without.len());
    let timed = |lines: &[Value]| {
        let is = |line: &Value| {
            let own = &line["longhaul"];
            let legs = [&own["near"], &own["far"]];
            !own["gap"].is_null()
                || !own["exchange"].is_null()
                || legs.iter().any(|leg| !leg["rtt"].is_null() || !leg["exchange_us"].is_null())
        };
        // What a DNS answer took belongs to the answer.
        lines.iter().filter(|line| line["network"]["protocol"] != "dns" && is(line)).count()
    };
    assert!(timed(&with) > 20, "{}", timed(&with));
    assert_eq!(timed(&without), 0);
    for (with, without) in with.iter().zip(&without) {
        for path in [
            "/longhaul/near/handshake_us",
            "/longhaul/far/handshake_us",
            "/network/protocol",
            "/tls/client/ja4",
        ] {
            assert_eq!(with.pointer(path), without.pointer(path), "{path}: {with}");
        }
    }
}

#[test]
fn the_readme_shows_what_the_program_prints() {
    let readme = std::fs::read_to_string(own("README.md")).unwrap();
    let command = "$ longhaul read tests/data/demo/farm.pcap.zst --place IAD\n";
    let (_, behind) = readme.split_once(command).unwrap();
    let (shown, _) = behind.split_once("```").unwrap();
    let demo = demo().display().to_string();
    let said = longhaul(&["read", &demo, "--place", "IAD"]);
    assert_eq!(String::from_utf8(said.stdout).unwrap(), shown);
}
