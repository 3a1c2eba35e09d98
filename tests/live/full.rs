//! A disk that is full, and a cap on what a directory may hold.
//!
//! The disk is a small tmpfs in a mount namespace of the test's own thread and of the sensor that
//! it starts. Where that cannot be made the tests say `skipped:`.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::count;
use crate::datagram;
use crate::net;
use crate::net::Net;
use crate::net::Sensor;
use crate::net::json;
use crate::net::lines;
use crate::scratch;

/// A file system of so many bytes at `dir`, seen by this thread and what it starts.
fn disk(dir: &Path, bytes: u32) -> bool {
    let made = net::own_mounts() && net::mount_tmpfs(dir, &format!("size={bytes},mode=777"));
    if !made {
        println!("skipped: no file system can be mounted here (needs root)");
    }
    made
}

/// Sessions of one datagram each, `from` on.
fn sessions(from: u32, count: u32) -> Vec<Vec<u8>> {
    let one = |n: u32| {
        let mut frame = datagram((1, (1_024 + n % 60_000) as u16), (2, 4_001), b"hello");
        // 10.n.n.1 to 10.0.0.2.
        frame[27..29].copy_from_slice(&((n / 60_000) as u16).to_be_bytes());
        frame
    };
    (from..from + count).map(one).collect()
}

/// The sets below a directory, and the directory itself where it is one, in order of time.
fn sets(out: &str) -> Vec<PathBuf> {
    let below = fs::read_dir(out).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut sets: Vec<PathBuf> = below.filter(|path| path.is_dir()).collect();
    sets.sort();
    if Path::new(out).join("run.json").exists() {
        sets.insert(0, PathBuf::from(out));
    }
    sets
}

/// Every line of a file, each of which must be whole.
fn written(sets: &[PathBuf], name: &str) -> Vec<Value> {
    sets.iter().flat_map(|set| lines(&set.join(name))).collect()
}

#[test]
fn a_full_disk_ends_a_set_and_not_the_run() {
    let Some(net) = Net::new(1) else { return };
    let (dir, _) = scratch();
    let mount = dir.path().join("disk");
    fs::create_dir(&mount).unwrap();
    if !disk(&mount, 2 << 20) {
        return;
    }
    let out = mount.join("out").display().to_string();
    // Sessions are evicted, so that lines are written at once.
    let config = dir.path().join("longhaul.toml");
    fs::write(&config, "[caps]\nsessions = 16\n").unwrap();
    let config = config.display().to_string();
    let args = ["a0", "--out", &out, "--config", &config, "--workers", "1"];
    let mut sensor = Sensor::start(&args);
    net.send_paced("b0", &sessions(0, 2_500), 5);
    let said = sensor.hears("ends early");
    assert!(said.contains("No space left") && said.contains("sessions.ndjson"), "{said}");
    // It still counts, and what cannot be written is lost and counted.
    net.send_paced("b0", &sessions(2_500, 500), 5);
    std::thread::sleep(Duration::from_millis(2_500));
    let first = PathBuf::from(&out);
    let run = json(&first.join("run.json"));
    assert!(run["incomplete"].as_str().unwrap().contains("No space left"), "{run:#}");
    let kept = lines(&first.join("sessions.ndjson")).len();
    assert!(kept > 300, "{kept} lines kept");
    assert!(!lines(&first.join("endpoints.ndjson")).is_empty());
    assert_eq!(count(&run, "output", "sets_incomplete"), 1);
    // Room again: writing goes on in a set of its own.
    fs::remove_file(first.join("sessions.ndjson")).unwrap();
    sensor.hears("writing again, to ");
    net.send_paced("b0", &sessions(3_000, 100), 5);
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0), "{said}");
    let sets = sets(&out);
    assert_eq!(sets.len(), 2, "{sets:?}");
    let runs: Vec<Value> = sets.iter().map(|set| json(&set.join("run.json"))).collect();
    let sum = |group: &str, name: &str| runs.iter().map(|run| count(run, group, name)).sum::<u64>();
    assert_eq!(sum("capture", "frames"), 3_100);
    assert_eq!(sum("session", "sessions"), 3_100);
    assert!(runs[1]["incomplete"].is_null(), "{:#}", runs[1]);
    // Every session is a line that was written, or one that is counted as lost.
    let later = lines(&sets[1].join("sessions.ndjson")).len();
    let health = written(&sets, "health.ndjson").len() as u64;
    let lost = sum("output", "lines_lost");
    assert!(lost >= 500, "{lost}");
    let sessions_lost = 3_100 - (kept + later) as u64;
    assert!(lost == sessions_lost || lost == sessions_lost + 1, "{lost} and {sessions_lost}");
    assert!(health >= 1);
    // What a full disk was not even given is told of its sessions too.
    let unsaved = sum("session", "unsaved");
    assert!((500..=sessions_lost).contains(&unsaved), "{unsaved} of {sessions_lost}");
    let shown: u64 = runs.iter().map(|run| run["loss"]["lines"].as_u64().unwrap()).sum();
    assert_eq!(shown, lost, "where people look for losses");
}

#[test]
fn alerts_outlive_the_lines_of_sessions_on_a_full_disk() {
    let Some(net) = Net::new(1) else { return };
    let (dir, _) = scratch();
    let mount = dir.path().join("disk");
    fs::create_dir(&mount).unwrap();
    if !disk(&mount, 1 << 20) {
        return;
    }
    let out = mount.join("out").display().to_string();
    let config = dir.path().join("longhaul.toml");
    fs::write(&config, "[caps]\nsessions = 16\n").unwrap();
    let config = config.display().to_string();
    let rules = dir.path().join("rules");
    fs::create_dir(&rules).unwrap();
    let rule = include_str!("rule.yml").replace("PORT", "4002");
    fs::write(rules.join("one.yml"), rule).unwrap();
    let rules = rules.display().to_string();
    let args = ["a0", "--out", &out, "--config", &config, "--rules-only", &rules, "--workers", "1"];
    let mut sensor = Sensor::start(&args);
    net.send_paced("b0", &sessions(0, 2_000), 5);
    sensor.hears("ends early");
    // Found while nothing can be written.
    net.send("b0", &[datagram((77, 4_000), (78, 4_002), b"x")]);
    net.send_paced("b0", &sessions(2_000, 100), 5);
    std::thread::sleep(Duration::from_millis(2_500));
    fs::remove_file(Path::new(&out).join("sessions.ndjson")).unwrap();
    sensor.hears("writing again, to ");
    assert_eq!(sensor.end().0, Some(0));
    let alerts = written(&sets(&out), "alerts.ndjson");
    let ours = alerts.iter().filter(|alert| alert["source"]["ip"] == "10.0.0.77").count();
    assert_eq!(ours, 1, "{alerts:#?}");
}

/// Bytes that everything below a directory takes.
fn taken(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        let Ok(data) = entry.path().symlink_metadata() else { continue };
        sum += if data.is_dir() { taken(&entry.path()) } else { data.blocks() * 512 };
    }
    sum
}

#[test]
fn a_directory_stays_below_its_cap_and_the_oldest_sets_go() {
    const MOST: u64 = 2 << 20;
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let config = dir.path().join("longhaul.toml");
    fs::write(&config, "out_max = \"2MiB\"\n[caps]\nsessions = 16\n").unwrap();
    let config = config.display().to_string();
    // What is not a set of ours neither counts nor goes.
    fs::create_dir(&out).unwrap();
    std::os::unix::fs::chown(&out, Some(65_534), Some(65_534)).unwrap();
    let args = ["a0", "--out", &out, "--config", &config, "--workers", "1"];
    let mut sensor = Sensor::start(&args);
    let mut most = 0;
    for turn in 0..12 {
        net.send_paced("b0", &sessions(turn * 400, 400), 5);
        std::thread::sleep(Duration::from_millis(900));
        most = most.max(taken(Path::new(&out)));
    }
    sensor.hears("removed ");
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0), "{said}");
    most = most.max(taken(Path::new(&out)));
    assert!(most <= MOST, "{most} bytes");
    let sets = sets(&out);
    assert!(sets.len() > 2, "{sets:?}");
    let runs: Vec<Value> = sets.iter().map(|set| json(&set.join("run.json"))).collect();
    let gone: u64 = runs.iter().map(|run| count(run, "output", "sets_removed")).sum();
    assert!(gone > 0 && said.contains("--out-max is reached"), "{gone}: {said}");
    assert!(runs.iter().any(|run| run["loss"]["sets"].as_u64().unwrap() > 0));
    assert!(written(&sets, "sessions.ndjson").len() > 500);
}

#[test]
fn a_cap_that_no_set_fits_is_refused() {
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["live", "lo", "--out", "nowhere", "--out-max", "1KiB"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(2));
    assert!(said.contains("--out-max") && said.contains("512KiB"), "{said}");
    assert!(!Path::new("nowhere").exists());
}
