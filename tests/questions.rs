//! Invalid requests: paths that are no files, decompression bombs, and questions that a run cannot
//! answer.
//!
//! Owns: what the user is told. In: captures and files made here. Out: assertions. Never: a
//! recorded capture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and one of what hangs waits"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use craft::Connection;
use craft::Said;
use serde_json::Value;

/// `longhaul` with these arguments: exit code, standard output and error. A hanging process is
/// killed.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let temp = tempfile::tempdir().unwrap();
    let [out, err] = ["out", "err"].map(|name| temp.path().join(name));
    let mut child = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(60) {
            let _ = child.kill();
            panic!("{args:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    (child.wait().unwrap().code(), text(&out), text(&err))
}

/// A capture of this many connections between two addresses, whose far leg takes a millisecond.
fn connections(count: u16, client: &str, server: &str) -> Vec<u8> {
    let mut capture = craft::Capture::default();
    for n in 0..count {
        let mut tcp = Connection::new(&format!("{client}:{}", 40_000 + n), server);
        tcp.far = craft::MS;
        tcp.wait(u64::from(n) * craft::SECOND);
        capture.join(tcp.open().close());
    }
    capture.pcap()
}

fn warned(said: &Said) -> Vec<String> {
    let all = said.run["warnings"].as_array().cloned().unwrap_or_default();
    all.iter().map(|warning| warning["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn anything_but_a_regular_file_is_refused_by_its_name() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    let input = at("in.pcap");
    fs::write(&input, connections(1, "10.0.0.1", "192.0.2.1:80")).unwrap();
    assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    fs::create_dir(at("dir")).unwrap();
    let zero = "/dev/zero".to_owned();
    let kinds = [
        (at("fifo"), "a pipe"),
        (at("socket"), "a socket"),
        (at("dir"), "a directory"),
        (zero, "a device"),
    ];
    for flag in ["--subjects", "--config", "--pseudonymise"] {
        for (path, kind) in &kinds {
            let (code, _, err) = run(&["read", &input, flag, path]);
            assert_eq!(code, Some(2), "{flag} {path}: {err}");
            assert!(err.contains(path.as_str()) && err.contains(kind), "{flag} {path}: {err}");
        }
    }
    let folders = [
        ("--rules", "x.yml"),
        ("--lists", "x.txt"),
        ("--geo", "x.mmdb"),
        ("--signatures", "x.yaml"),
    ];
    for (flag, name) in folders {
        for (path, kind) in kinds.iter().filter(|(_, kind)| *kind != "a directory") {
            let folder = tempfile::tempdir().unwrap();
            let link = folder.path().join(name);
            std::os::unix::fs::symlink(path, &link).unwrap();
            let (code, _, err) = run(&["read", &input, flag, folder.path().to_str().unwrap()]);
            assert_eq!(code, Some(2), "{flag} with {path}: {err}");
            assert!(err.contains(link.to_str().unwrap()) && err.contains(kind), "{flag}: {err}");
        }
    }
}

#[test]
fn a_rule_file_without_a_rule_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    let input = temp.path().join("in.pcap");
    fs::write(&input, connections(1, "10.0.0.1", "192.0.2.1:80")).unwrap();
    let rules = temp.path().join("rules");
    fs::create_dir(&rules).unwrap();
    let read = || run(&["read", input.to_str().unwrap(), "--rules", rules.to_str().unwrap()]);
    let (code, _, err) = read();
    assert!(code == Some(2) && err.contains("no file ends in .yml"), "{err}");
    fs::write(rules.join("empty.yml"), "# nothing\n---\n\n").unwrap();
    let (code, _, err) = read();
    assert!(code == Some(2) && err.contains("empty.yml: the file holds no rule"), "{err}");
}

/// A zstd file of some 40 KiB that unpacks to a valid capture of some 300 MiB.
fn bomb() -> Vec<u8> {
    let len = 200_000u32;
    let mut frame = Vec::new();
    for word in [1_795_168_800, 0, len, len] {
        frame.extend(u32::to_le_bytes(word));
    }
    frame.resize(frame.len() + len as usize, 0);
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let head = [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1].map(u32::to_le_bytes).concat();
    std::io::Write::write_all(&mut encoder, &head).unwrap();
    for _ in 0..1_600 {
        std::io::Write::write_all(&mut encoder, &frame).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn a_file_that_unpacks_without_end_is_refused() {
    let said = craft::read(&bomb(), &[]);
    let input = &said.run["inputs"][0];
    assert_eq!(input["verdict"], "refused", "{}", said.stderr);
    let reason = input["reason"].as_str().unwrap();
    assert!(reason.contains("1000 times") && reason.contains("--max-ratio"), "{reason}");
    let packets = input["packets"].as_u64().unwrap();
    assert!((1_000..1_600).contains(&packets), "what came before is used: {packets}");
    let said = craft::read(&bomb(), &["--max-ratio", "1000000"]);
    assert_eq!(said.run["inputs"][0]["verdict"], "ok");
    assert_eq!(said.run["inputs"][0]["packets"], 1_600);
    let (code, _, err) = run(&["read", "x", "--max-ratio", "0"]);
    assert!(code == Some(2) && err.contains("max-ratio"), "{err}");
}

#[test]
fn an_input_without_a_packet_is_an_error() {
    for capture in [Vec::new(), craft::Capture::default().pcap()] {
        let said = craft::read(&capture, &[]);
        assert_eq!((said.code, &said.run), (Some(2), &Value::Null), "{}", said.stderr);
        assert!(said.stderr.contains("empty"), "{}", said.stderr);
    }
}

#[test]
fn many_files_that_are_not_captures_are_one_line() {
    let temp = tempfile::tempdir().unwrap();
    for n in 0..200 {
        fs::write(temp.path().join(format!("{n}.txt")), "no capture").unwrap();
    }
    let path = temp.path().to_str().unwrap();
    let (code, _, err) = run(&["read", path]);
    assert_eq!((code, err.lines().count()), (Some(2), 2), "{err}");
    assert!(err.contains("200 files: unsupported"), "{err}");
    fs::write(temp.path().join("a.pcap"), connections(1, "10.0.0.1", "192.0.2.1:80")).unwrap();
    let (code, out, _) = run(&["read", path]);
    assert_eq!(code, Some(0));
    let said = out.lines().filter(|line| line.contains("unsupported")).collect::<Vec<_>>();
    assert!(said.len() == 1 && said[0].contains("200 files"), "{out}");
}

#[test]
fn each_probable_mistake_is_warned_of_once() {
    let inside = connections(12, "10.0.0.1", "133.11.0.1:443");
    let cases: [(&[u8], &[&str], &str); 5] = [
        (&inside, &[], "no-place"),
        (&inside, &["--learn-days", "3"], "no-state"),
        (&inside, &["--approved", "rmm:teamviewer,rmm:tamviewer"], "unknown-approved"),
        (&inside, &["--place", "SEA"], "place-refuted"),
        (&connections(2, "198.51.100.1", "133.11.0.1:443"), &[], "nothing-home"),
    ];
    for (capture, args, name) in cases {
        let said = craft::read(capture, args);
        let with_place = args.contains(&"--place");
        let names = warned(&said);
        assert!(names.iter().filter(|have| *have == name).count() == 1, "{name}: {names:?}");
        assert_eq!(names.len(), 2 - usize::from(with_place || name == "no-place"), "{names:?}");
        let lines = said.stderr.lines().filter(|line| line.contains(&format!("{name}: ")));
        assert_eq!(lines.count(), 1, "{}", said.stderr);
    }
    let said = craft::read(&inside, &["--place", "NRT", "--approved", "rmm:teamviewer"]);
    assert_eq!(warned(&said), Vec::<String>::new(), "{}", said.stderr);
    let said = craft::read(&inside, &["--approved", "rmm:tamviewer"]);
    let text = said.run["warnings"].to_string();
    assert!(text.contains("rmm:tamviewer") && !text.contains("rmm:teamviewer,"), "{text}");
}
