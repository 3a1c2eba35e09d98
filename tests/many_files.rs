//! Thousands of files as one sequence: sessions go on from file to file, memory stays what it is.
//!
//! Owns: a capture that was rotated every ten seconds. In: files made here. Out: pass or fail.
//! Never: a recorded capture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails; it waits for another process"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use craft::{ACK, Capture, FIN, MS, PSH, SECOND, START, SYN, Tcp};
use serde_json::Value;

/// Each session begins in one file, has data in the next and ends in the third.
fn write(folder: &Path, count: u16) {
    for file in 0..count + 2 {
        let mut capture = Capture::default();
        let mut add = |session: u16, ms: u64, outward: bool, (seq, ack, flags): (u32, u32, u8)| {
            let client = format!("10.0.0.{}:{}", session % 50 + 1, 20_000 + session);
            let server = format!("203.0.113.{}:443", session % 10 + 1);
            let (client, server) = (client.parse().unwrap(), server.parse().unwrap());
            let payload: &[u8] = if flags & PSH > 0 { b"some data" } else { b"" };
            let packet = Tcp { seq, ack, flags, ttl: 60, payload };
            let (from, to) = if outward { (client, server) } else { (server, client) };
            let at = START + u64::from(file) * 10 * SECOND + ms * MS;
            capture.add(at, craft::tcp(from, to, packet));
        };
        if file < count {
            add(file, 1, true, (1, 0, SYN));
            add(file, 31, false, (7_000, 2, SYN | ACK));
            add(file, 32, true, (2, 7_001, ACK));
        }
        if (1..=count).contains(&file) {
            add(file - 1, 500, true, (2, 7_001, PSH | ACK));
        }
        if file >= 2 {
            add(file - 2, 900, true, (11, 7_001, FIN | ACK));
            add(file - 2, 931, false, (7_001, 12, FIN | ACK));
            add(file - 2, 932, true, (12, 7_002, ACK));
        }
        fs::write(folder.join(format!("{file:05}.pcap")), capture.pcap()).unwrap();
    }
}

/// Reads a directory; gives run.json and the most memory that it took, in KiB.
fn read(folder: &Path, out: &Path) -> (Value, u64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["read", folder.to_str().unwrap(), "-q", "--out", out.to_str().unwrap()])
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(peak.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(child.wait().unwrap().success());
    (serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap(), most)
}

#[test]
fn memory_is_the_same_for_two_thousand_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut peaks = Vec::new();
    for count in [200u16, 2_000] {
        let (files, out) =
            (folder.path().join(format!("f{count}")), folder.path().join(format!("o{count}")));
        fs::create_dir(&files).unwrap();
        write(&files, count);
        let (run, peak) = read(&files, &out);
        peaks.push(peak);
        let inputs = run["inputs"].as_array().unwrap();
        assert_eq!(inputs.len(), usize::from(count) + 2);
        assert!(inputs.iter().all(|input| input["verdict"] == "ok"));
        assert_eq!(run["totals"]["sessions"], count);
        let lines = fs::read_to_string(out.join("sessions.ndjson")).unwrap();
        let closed = |line: &&str| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["longhaul"]["state"] == "closed" && line["source"]["packets"] == 5
        };
        assert_eq!(lines.lines().filter(closed).count(), usize::from(count));
    }
    assert!(peaks[0] > 10_000 && peaks[1] < peaks[0] + 8_192, "{peaks:?} KiB");
}
