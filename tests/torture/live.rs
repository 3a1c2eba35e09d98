//! A live sensor under faults: a disk that fills again and again, kills, storms of signals.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::Case;
use crate::Kind;
use crate::net;
use crate::net::Net;
use crate::net::Sensor;
use crate::net::json;

pub fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "a disk that fills five times under a live run",
            kind: Kind::Fault,
            run: || apart(disk_fills),
        },
        Case { name: "kill -9 of a live run", kind: Kind::Kill, run: || apart(kills) },
        Case {
            name: "many SIGHUPs while rules are replaced",
            kind: Kind::Fault,
            run: || apart(storm),
        },
    ]
}

/// Runs a case in a thread of its own, which has a network and mounts of its own.
fn apart(case: fn(&Net, &Path) -> Result<(), String>) -> Result<(), String> {
    let thread = std::thread::spawn(move || {
        let Some(net) = Net::new(1) else { return Ok(()) };
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let world = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(dir.path(), world).map_err(|e| e.to_string())?;
        fs::write(dir.path().join("longhaul.toml"), "[caps]\nsessions = 16\n")
            .map_err(|e| e.to_string())?;
        case(&net, dir.path())
    });
    thread.join().unwrap_or_else(|panic| {
        Err(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".to_owned()))
    })
}

/// Datagrams of `count` sessions.
fn sessions(from: u32, count: u32) -> Vec<Vec<u8>> {
    let one = |n: u32| {
        let port = (1_024 + n % 60_000) as u16;
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 33];
        frame.extend([0, 1, 0, 0, 64, 17, 0, 0, 10, (n / 60_000) as u8, 0, 1, 10, 0, 0, 2]);
        for word in [port, 4_001, 13, 0] {
            frame.extend(word.to_be_bytes());
        }
        frame.extend(b"hello");
        frame
    };
    (from..from + count).map(one).collect()
}

/// The sets at and below a directory.
fn sets(out: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(out).into_iter().flatten().filter_map(Result::ok);
    let mut sets: Vec<PathBuf> = below.map(|e| e.path()).filter(|path| path.is_dir()).collect();
    sets.push(out.to_path_buf());
    sets.sort();
    sets
}

/// Whole lines of a file, each of which must be JSON; and whether something follows them.
fn whole_lines(path: &Path) -> Result<(u64, bool), String> {
    let bytes = fs::read(path).unwrap_or_default();
    let (lines, rest) =
        bytes.split_at(bytes.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1));
    let mut count = 0;
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        serde_json::from_slice::<Value>(line).map_err(|e| format!("{}: {e}", path.display()))?;
        count += 1;
    }
    Ok((count, !rest.is_empty()))
}

fn count(run: &Value, group: &str, name: &str) -> u64 {
    run["counters"][group][name].as_u64().unwrap_or_default()
}

/// Every session of what was finished: a line, or counted as lost.
fn disk_fills(net: &Net, dir: &Path) -> Result<(), String> {
    let mount = dir.join("disk");
    fs::create_dir(&mount).map_err(|e| e.to_string())?;
    if !net::own_mounts() || !net::mount_tmpfs(&mount, "size=2m,mode=777") {
        println!("skipped: no file system can be mounted here");
        return Ok(());
    }
    let out = mount.join("out");
    let (out_text, config) = (out.display().to_string(), dir.join("longhaul.toml"));
    let config = config.display().to_string();
    let args = ["a0", "--out", &out_text, "--config", &config, "--workers", "1"];
    let mut sensor = Sensor::start(&args);
    let (mut sent, mut kept) = (0, 0);
    let mut gone = BTreeSet::new();
    for _ in 0..5 {
        net.send_paced("b0", &sessions(sent, 3_000), 5);
        sent += 3_000;
        sensor.hears("ends early");
        // Its files have their names a moment later.
        std::thread::sleep(Duration::from_millis(500));
        for set in sets(&out) {
            let file = set.join("sessions.ndjson");
            if file.exists() && gone.insert(file.clone()) {
                kept += whole_lines(&file)?.0;
                fs::remove_file(&file).map_err(|e| e.to_string())?;
            }
        }
        sensor.hears("writing again");
    }
    let (code, said) = sensor.end();
    let mut counted = [0; 4];
    for set in sets(&out).iter().filter(|set| set.join("run.json").exists()) {
        let run = json(&set.join("run.json"));
        counted[0] += count(&run, "capture", "frames");
        counted[1] += count(&run, "session", "sessions");
        counted[2] += count(&run, "output", "lines_lost");
        kept += whole_lines(&set.join("sessions.ndjson"))?.0;
    }
    let [frames, opened, lost, _] = counted;
    // A health line may be among those that are lost.
    let accounted = (kept + lost).checked_sub(opened).is_some_and(|more| more <= 10);
    if code != Some(0) || frames != u64::from(sent) || opened != frames || !accounted {
        return Err(format!(
            "exit {code:?}, {sent} sent, {frames} frames, {opened} sessions, {kept} lines, {lost} \
             lost: {said}"
        ));
    }
    Ok(())
}

/// After a kill each set is whole, or has no run.json and keeps its lines; the next run says so.
fn kills(net: &Net, dir: &Path) -> Result<(), String> {
    let out = dir.join("out");
    let (out_text, config) = (out.display().to_string(), dir.join("longhaul.toml"));
    let config = config.display().to_string();
    let args = ["a0", "--out", &out_text, "--rotate", "1s", "--config", &config, "--workers", "1"];
    let (mut left, mut seen) = (false, BTreeSet::new());
    for turn in 0..20u32 {
        let sensor = Sensor::start(&args);
        net.send_paced("b0", &sessions(turn * 1_000, 600 + turn * 20), 1);
        std::thread::sleep(Duration::from_millis(u64::from(turn * 97 % 1_000)));
        sensor.signal("KILL");
        drop(sensor);
        // Sessions are counted as they begin, and written as they end, maybe in a later set.
        let (mut lines, mut opened) = (0, 0);
        for set in sets(&out).into_iter().filter(|set| *set != out) {
            if !seen.insert(set.clone()) {
                continue;
            }
            if set.join("run.json").exists() {
                let (more, torn) = whole_lines(&set.join("sessions.ndjson"))?;
                lines += more;
                opened += count(&json(&set.join("run.json")), "session", "sessions");
                if torn || lines > opened {
                    return Err(format!("{}: {lines} of {opened} lines so far", set.display()));
                }
            } else {
                left = true;
                whole_lines(&set.join(".sessions.ndjson.partial"))?;
            }
        }
    }
    let (code, said) = Sensor::start(&args).end();
    let told = !left || said.contains("left by a run that was interrupted");
    if code == Some(0) && told && left { Ok(()) } else { Err(format!("{code:?}, {left}: {said}")) }
}

/// No packet is lost, and the last rules are in force.
fn storm(net: &Net, dir: &Path) -> Result<(), String> {
    let out = dir.join("out").display().to_string();
    let rules = dir.join("rules");
    fs::create_dir(&rules).map_err(|e| e.to_string())?;
    let rule = include_str!("../live/rule.yml");
    let put = |text: &str| {
        let new = rules.join("one.new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, rules.join("one.yml")))
            .map_err(|e| e.to_string())
    };
    put(&rule.replace("PORT", "4001"))?;
    let rules_text = rules.display().to_string();
    let mut sensor = Sensor::start(&["a0", "--out", &out, "--rules-only", &rules_text]);
    let load = sessions(0, 20_000);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| net.send_paced("b0", &load, 5));
        for turn in 0..400 {
            let text = if turn % 3 == 0 { "title: [broken\n".to_owned() } else { String::new() };
            let good = rule.replace("PORT", "4002");
            put(if text.is_empty() { &good } else { &text })?;
            sensor.signal("HUP");
            std::thread::sleep(Duration::from_millis(5));
        }
        sender.join().map_err(|_| "the sender failed".to_owned())
    })?;
    // Whatever is being loaded, what stands there at the last signal is read once more.
    put(&rule.replace("PORT", "4003"))?;
    let other = rule.replace("PORT", "4004").replace("D18", "D118");
    fs::write(rules.join("two.yml"), other).map_err(|e| e.to_string())?;
    sensor.signal("HUP");
    sensor.hears("reloaded: 2 rules");
    // Workers take them at their next mark.
    std::thread::sleep(Duration::from_secs(3));
    let mut last = sessions(60_000, 50);
    last.iter_mut().for_each(|frame| frame[36..38].copy_from_slice(&4_003u16.to_be_bytes()));
    net.send_paced("b0", &last, 5);
    let (code, said) = sensor.end();
    let alerts = crate::craft::values(&Path::new(&out).join("alerts.ndjson"));
    if !alerts.iter().any(|alert| alert["destination"]["port"] == 4_003) {
        return Err(format!("{} alerts, none of the last rules: {said}", alerts.len()));
    }
    let run = json(&Path::new(&out).join("run.json"));
    let (frames, ring) = (count(&run, "capture", "frames"), run["loss"]["ring"].as_u64());
    if code == Some(0) && frames + ring.unwrap_or(0) == 20_050 && ring == Some(0) {
        Ok(())
    } else {
        Err(format!("{code:?}, {frames} frames, {ring:?} lost: {said}"))
    }
}
