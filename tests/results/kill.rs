//! Ends the program at moments that it does not choose, and looks at what it leaves.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::craft;

/// Tables of a result and what run.json calls their number of lines.
const TABLES: [(&str, &str); 4] = [
    ("sessions.ndjson", "sessions"),
    ("endpoints.ndjson", "endpoints"),
    ("alerts.ndjson", "alerts"),
    ("incidents.ndjson", "incidents"),
];

/// A capture of so many DNS look-ups, each by a port of its own.
pub fn look_ups(count: u32) -> Vec<u8> {
    let mut capture = craft::Capture::default();
    let server = "192.0.2.53:53".parse().unwrap();
    for n in 0..count {
        let client = format!("10.0.{}.{}:{}", n >> 16, n >> 8 & 0xff, 20_000 + (n & 0x3fff));
        let client = client.parse().unwrap();
        let at = craft::START + u64::from(n) * craft::MS;
        let query = craft::dns_query(n as u16, "www.example.org", 1);
        capture.add(at, craft::udp(client, server, &query));
        let answer =
            craft::dns_answer(n as u16, "www.example.org", &["192.0.2.7".parse().unwrap()]);
        capture.add(at + craft::MS / 2, craft::udp(server, client, &answer));
    }
    capture.pcap()
}

fn program(input: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    command.arg("read").arg(input).arg("--out").arg(out).args(["--force", "--quiet"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// How a directory stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// There is no run.json.
    Nothing,
    /// The result of the earlier run.
    Old,
    /// The result of the run that was to be killed.
    New,
}

/// What is in the directory, or why it is neither whole nor without a run.json.
fn judge(dir: &Path) -> Result<Left, String> {
    let Ok(text) = fs::read(dir.join("run.json")) else { return Ok(Left::Nothing) };
    let run: Value = serde_json::from_slice(&text).map_err(|e| format!("run.json: {e}"))?;
    for (file, total) in TABLES {
        let lines = fs::read(dir.join(file)).map_err(|e| format!("{file}: {e}"))?;
        let lines = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        if run["totals"][total] != lines {
            return Err(format!("{lines} lines of {file}, {} in run.json", run["totals"][total]));
        }
    }
    let sessions = fs::read_to_string(dir.join("sessions.ndjson")).map_err(|e| e.to_string())?;
    let path = run["inputs"][0]["path"].as_str().unwrap_or_default();
    let (old, new) = (path.ends_with("old.pcap"), path.ends_with("new.pcap"));
    match (old, new, sessions.lines().count()) {
        (true, false, 40) => Ok(Left::Old),
        (false, true, 1_000) => Ok(Left::New),
        (_, _, lines) => Err(format!("run.json is of {path}, beside {lines} sessions")),
    }
}

/// Kills a run over an earlier result that many times: half of them spread over its duration, half
/// while the earlier run.json is removed.
pub fn at_moments(moments: u32) -> Result<(), String> {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name);
    fs::write(at("old.pcap"), look_ups(40)).unwrap();
    fs::write(at("new.pcap"), look_ups(1_000)).unwrap();
    assert!(program(&at("old.pcap"), &at("earlier")).status().unwrap().success());
    let begun = Instant::now();
    assert!(program(&at("new.pcap"), &at("trial")).status().unwrap().success());
    let whole = begun.elapsed();
    assert_eq!((judge(&at("earlier"))?, judge(&at("trial"))?), (Left::Old, Left::New));
    let mut seen = Vec::new();
    for n in 0..moments {
        let out = at(&format!("out{n}"));
        fs::create_dir(&out).unwrap();
        for entry in fs::read_dir(at("earlier")).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, out.join(from.file_name().unwrap())).unwrap();
        }
        let mut child = program(&at("new.pcap"), &out).spawn().unwrap();
        let begun = Instant::now();
        let latest = whole * 3;
        if n % 2 == 0 {
            std::thread::sleep(whole * (n + 1) / moments);
        } else {
            while out.join("run.json").exists() && begun.elapsed() < latest {
                std::hint::spin_loop();
            }
            std::thread::sleep(Duration::from_micros(u64::from(n % 16) * 40));
        }
        let _ = child.kill();
        child.wait().unwrap();
        let left = judge(&out).map_err(|why| format!("at moment {n}: {why}"))?;
        if left != Left::New && begun.elapsed() > whole / 4 {
            // Whoever starts again is told what was left, and loses nothing of it.
            let kept = fs::read_dir(&out).unwrap().filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_string_lossy().contains(".partial")
            });
            let kept = kept.count();
            let again = program(&at("new.pcap"), &out).stderr(Stdio::piped()).output().unwrap();
            let said = String::from_utf8_lossy(&again.stderr).into_owned();
            if kept > 0 && !said.contains("left by a run that was interrupted") {
                return Err(format!("at moment {n}: {kept} files are left, said: {said}"));
            }
            if judge(&out)? != Left::New {
                return Err(format!("at moment {n}: the next run did not replace it"));
            }
        }
        seen.push(left);
        fs::remove_dir_all(&out).unwrap();
    }
    let count = |what: Left| seen.iter().filter(|left| **left == what).count();
    println!(
        "{moments} kills left the old result {} times, none {} times, the new one {} times",
        count(Left::Old),
        count(Left::Nothing),
        count(Left::New)
    );
    match count(Left::Old) > 0 && count(Left::Nothing) + count(Left::New) > 0 {
        true => Ok(()),
        false => Err(format!("the moments did not spread over the run: {seen:?}")),
    }
}

/// Runs over an earlier result on a disk that has too little room for the new one: the old one
/// stays whole.
pub fn on_a_full_disk() -> Result<(), String> {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name);
    fs::write(at("old.pcap"), look_ups(40)).unwrap();
    fs::write(at("new.pcap"), look_ups(1_000)).unwrap();
    fs::create_dir(at("disk")).unwrap();
    let script = "mount -t tmpfs -o size=512k tmpfs disk || exit 1
        read='read --quiet --force --out disk/out'
        $LONGHAUL $read old.pcap || exit 1
        cp -r disk/out before
        $LONGHAUL $read new.pcap 2> said && { echo it had room; exit 1; }
        grep -q 'No space left' said || { cat said; exit 1; }
        diff -r before disk/out";
    let may = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        println!("skipped: a full disk needs unshare and the right to mount one");
        return Ok(());
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).current_dir(temp.path());
    let command = command.env("LONGHAUL", env!("CARGO_BIN_EXE_longhaul"));
    let output = command.output().map_err(|e| format!("unshare: {e}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let refused = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{said}{refused}")) }
}
