//! What one run learns, the next one knows: baselines in a state directory.
//!
//! Owns: made-up sessions of known round trips. In: the binary. Out: assertions. Never: a recorded
//! capture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    dead_code,
    reason = "a test that cannot go on fails, and one that kills waits for the right moment"
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::time::Instant;

use longhaul::endpoints::baseline::BaselineConfig;
use longhaul::endpoints::baseline::Baselines;
use longhaul::model::Nanos;
use longhaul::pipeline::state::State;
use serde_json::Value;
use tempfile::TempDir;

const MS: u64 = 1_000_000;
const DAY: u64 = 86_400_000 * MS;
const START: u64 = 1_700_000_000_000 * MS;

/// A session of a remote client with a home server: day, client, round trip of the near leg.
#[derive(Clone, Copy)]
struct Session {
    day: u64,
    client: [u8; 4],
    near_ns: u64,
}

const SERVER: [u8; 4] = [10, 0, 0, 5];

/// A TCP segment in IPv4 in Ethernet with unchecked checksums. With PSH it has 8 bytes of data.
fn frame(from: ([u8; 4], u16), to: ([u8; 4], u16), numbers: (u32, u32), flags: u8) -> Vec<u8> {
    let data = if flags & 8 != 0 { 8 } else { 0 };
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 40 + data, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(from.0.into_iter().chain(to.0));
    frame.extend([from.1, to.1].into_iter().flat_map(u16::to_be_bytes));
    frame.extend([numbers.0, numbers.1].into_iter().flat_map(u32::to_be_bytes));
    frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.resize(frame.len() + usize::from(data), 7);
    frame
}

/// A capture of sessions: a handshake, four acknowledged segments of the server, the end.
fn capture(dir: &TempDir, name: &str, sessions: &[Session]) -> String {
    let mut frames = Vec::new();
    for (n, session) in (0u64..).zip(sessions) {
        let client = (session.client, 40_000 + n as u16);
        let server = (SERVER, 443);
        let at = START + session.day * DAY + n * 1_000 * MS;
        let answered = at + 100_000;
        let near = answered + session.near_ns;
        frames.push((at, frame(client, server, (100, 0), 0x02)));
        frames.push((answered, frame(server, client, (500, 101), 0x12)));
        frames.push((near, frame(client, server, (101, 501), 0x10)));
        let (mut at, mut seq) = (near + MS, 501);
        for _ in 0..4 {
            frames.push((at, frame(server, client, (seq, 101), 0x18)));
            (at, seq) = (at + session.near_ns, seq + 8);
            frames.push((at, frame(client, server, (101, seq), 0x10)));
            at += MS;
        }
        frames.push((at, frame(client, server, (101, seq), 0x11)));
        frames.push((at + MS, frame(server, client, (seq, 102), 0x11)));
    }
    frames.sort();
    let mut pcap = vec![0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0];
    pcap.extend([1, 0, 0, 0]);
    for (at, bytes) in frames {
        let length = bytes.len() as u32;
        let words = [(at / 1_000_000_000) as u32, (at % 1_000_000_000) as u32, length, length];
        pcap.extend(words.into_iter().flat_map(u32::to_le_bytes));
        pcap.extend(bytes);
    }
    let path = dir.path().join(name);
    fs::write(&path, pcap).unwrap();
    path.display().to_string()
}

/// Two neighbours, 20 ms away, twice a day each.
fn neighbours(days: std::ops::Range<u64>) -> Vec<Session> {
    let of_day = |day: u64| {
        let one = move |n: u8| Session {
            day,
            client: [203, 0, 113, 1 + n % 2],
            near_ns: 20 * MS + u64::from(n) * 7_000 + day * 1_000,
        };
        (0..4).map(one)
    };
    days.flat_map(of_day).collect()
}

/// A new client beside them, 120 ms away.
fn newcomer(days: std::ops::Range<u64>) -> Vec<Session> {
    let client = [203, 0, 113, 9];
    days.flat_map(|day| [Session { day, client, near_ns: 120 * MS + day * MS / 4 }; 2]).collect()
}

fn longhaul(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longhaul")).args(args).output().unwrap()
}

/// The results of a run.
struct Results {
    dir: TempDir,
    stderr: String,
}

impl Results {
    fn of(args: &[&str]) -> Results {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out").display().to_string();
        let ended = longhaul(&[&["read", "--out", &out], args].concat());
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{args:?}\n{stderr}");
        Results { dir, stderr }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join("out").join(name)).unwrap()
    }

    fn run(&self) -> Value {
        serde_json::from_str(&self.text("run.json")).unwrap()
    }

    /// The line of an endpoint.
    fn endpoint(&self, ip: &str) -> Value {
        let text = self.text("endpoints.ndjson");
        let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.into_iter().find(|line| line["endpoint"]["ip"] == ip).unwrap()
    }

    fn rules(&self) -> Vec<String> {
        let text = self.text("alerts.ndjson");
        let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.map(|line| line["rule"]["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// A state directory of its own.
fn state(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}

fn stored(state: &str) -> Vec<u8> {
    fs::read(Path::new(state).join("baselines")).unwrap()
}

#[test]
fn the_second_run_compares_with_baselines_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (usual, far) = (neighbours(0..15), newcomer(15..18));
    let (usual, far) = (capture(&dir, "usual.pcap", &usual), capture(&dir, "far.pcap", &far));
    let kept = state(&dir, "state");

    let alone = Results::of(&[&far]);
    assert!(alone.endpoint("203.0.113.9")["longhaul"]["floor"]["of"].is_null());
    assert!(alone.run()["state"].is_null() && alone.rules().is_empty());

    let first = Results::of(&[&usual, "--state", &kept]);
    assert_eq!(first.rules(), Vec::<String>::new());
    let second = Results::of(&[&far, "--state", &kept]);
    let line = second.endpoint("203.0.113.9");
    let floor = &line["longhaul"]["floor"];
    assert_eq!(floor["of"], "prefix-baseline", "{line}");
    let excess = floor["excess_us"].as_f64().unwrap();
    // 123.75 ms against 20 ms, less the rounding of a bucket.
    assert!((102_400.0..=103_750.0).contains(&excess), "{line}");
    assert_eq!(floor["baseline"]["sessions"], 66);
    assert_eq!(floor["baseline"]["days"], 18);
    assert!(floor["baseline"]["learning"].is_null());
    assert_eq!(second.rules(), ["D04"]);
    let report = second.run();
    assert_eq!(report["state"]["learning"], false);
    assert_eq!(report["state"]["sessions"], 66);
    assert_eq!(report["state"]["prefixes"]["usable"], 1);
    assert_eq!(report["counters"]["detect"]["baselines_dropped"], 0);
}

#[test]
fn baselines_still_learning_are_shown_and_raise_no_alert() {
    let dir = tempfile::tempdir().unwrap();
    let (usual, far) = (neighbours(0..7), newcomer(7..10));
    let (usual, far) = (capture(&dir, "usual.pcap", &usual), capture(&dir, "far.pcap", &far));
    let (kept, again) = (state(&dir, "one"), state(&dir, "two"));
    Results::of(&[&usual, "--state", &kept]);
    let second = Results::of(&[&far, "--state", &kept]);
    let floor = second.endpoint("203.0.113.9")["longhaul"]["floor"].clone();
    assert_eq!(floor["baseline"]["learning"], true, "{floor}");
    assert!(floor["of"].is_null() && floor["excess_us"].is_null(), "{floor}");
    assert!(second.rules().is_empty());
    assert_eq!(second.run()["state"]["learning"], true);
    let said = "warning: baselines: still learning, until 2023-11-28 22:13 UTC in packet time: no \
                alert rests on what was learned before that";
    assert!(second.stderr.contains(said), "{}", second.stderr);
    let summary = longhaul(&["read", &usual, "--state", &state(&dir, "three")]).stdout;
    let words =
        String::from_utf8(summary).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("still learning, until 2023-11-28 22:13 UTC"), "{words}");

    let days = ["--learn-days", "5"];
    Results::of(&[&[&*usual, "--state", &again], &days[..]].concat());
    let second = Results::of(&[&[&*far, "--state", &again], &days[..]].concat());
    assert_eq!(second.rules(), ["D04"]);
    assert!(!second.stderr.contains("learning"), "{}", second.stderr);
}

#[test]
fn incidents_of_the_time_of_learning_are_reported_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let demo = common::demo().display().to_string();
    let kept = state(&dir, "one");
    let incidents = |of: &Results| of.text("incidents.ndjson").lines().count();
    let rest = [&*demo, "--place", "IAD", "--state", &kept, "--learn-only"];
    let usual = Results::of(&rest[..3]);
    assert!(incidents(&usual) > 0);

    let first = Results::of(&rest);
    assert_eq!(incidents(&first), 0);
    assert_eq!(first.rules(), usual.rules(), "alerts are written as ever");
    let warnings = first.run()["warnings"].to_string();
    assert!(warnings.contains("learn-only"), "{warnings}");
    assert!(first.stderr.contains("no incident is reported"), "{}", first.stderr);

    let second = Results::of(&[&rest[..], &["--learn-days", "0"]].concat());
    assert_eq!(incidents(&second), incidents(&usual));
    assert!(!second.run()["warnings"].to_string().contains("learn-only"));
    let third = Results::of(&[&rest[..], &["--learn-days", "0"]].concat());
    assert_eq!(incidents(&third), 0, "they were reported");

    let refused = longhaul(&["read", &demo, "--learn-only"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("error: --learn-only: nothing is learned"), "{said}");
}

#[test]
fn a_person_far_from_their_usual_place_exceeds_their_own_floor() {
    let dir = tempfile::tempdir().unwrap();
    let subjects = dir.path().join("staff.csv");
    fs::write(&subjects, "match,id,name\n203.0.113.1,e-7,\n198.51.100.7,e-7,\n").unwrap();
    let subjects = subjects.display().to_string();
    let away = Session { day: 16, client: [198, 51, 100, 7], near_ns: 150 * MS };
    let (usual, away) =
        (capture(&dir, "usual.pcap", &neighbours(0..15)), capture(&dir, "away.pcap", &[away; 2]));
    let kept = state(&dir, "state");
    Results::of(&[&usual, "--state", &kept, "--subjects", &subjects]);
    let results = Results::of(&[&away, "--state", &kept, "--subjects", &subjects]);
    let floor = results.endpoint("198.51.100.7")["longhaul"]["floor"].clone();
    let excess = floor["subject"]["excess_us"].as_f64().unwrap();
    assert!((128_700.0..=130_000.0).contains(&excess), "{floor}");
    assert_eq!(
        (&floor["subject"]["days"], &floor["subject"]["sessions"]),
        (&16.into(), &32.into())
    );
    assert!(floor["baseline"].is_null() && floor["of"].is_null(), "{floor}");
    assert!(show(&kept).iter().any(|line| line.contains(r#""whose":"e-7""#)));
}

#[test]
fn two_merged_states_equal_that_of_one_sensor_with_all_traffic() {
    let dir = tempfile::tempdir().unwrap();
    let all: Vec<Session> = neighbours(0..20).into_iter().chain(newcomer(3..9)).collect();
    let half = |odd: bool| {
        let part = all.iter().enumerate().filter(|(n, _)| (n % 3 == 0) == odd);
        part.map(|(_, session)| *session).collect::<Vec<_>>()
    };
    let names = ["a.pcap", "b.pcap", "all.pcap"].map(str::to_owned);
    let parts = [half(true), half(false), all.clone()];
    let [a, b, whole] = [0, 1, 2].map(|at| {
        let path = capture(&dir, &names[at], &parts[at]);
        let kept = state(&dir, &format!("state-{at}"));
        Results::of(&[&path, "--state", &kept]);
        kept
    });
    for (at, from) in [[&a, &b], [&b, &a]].into_iter().enumerate() {
        let into = state(&dir, &format!("merged-{at}"));
        let ended = longhaul(&["state", "merge", &into, from[0], from[1]]);
        assert!(ended.status.success(), "{ended:?}");
        let text = String::from_utf8(ended.stdout).unwrap();
        assert!(text.starts_with("92 sessions from 2023-11-14T22:13:20"), "{text}");
        // Ends of sessions differ by their position in the capture, so the times are compared
        // separately.
        let [merged, one] = [&into, &whole].map(|dir| show(dir));
        assert_eq!(merged, one);
    }
    assert_eq!(stored(&state(&dir, "merged-0")), stored(&state(&dir, "merged-1")));
}

/// The contents of a directory, as lines of JSON.
fn show(dir: &str) -> Vec<String> {
    let ended = longhaul(&["state", "show", dir, "--json"]);
    assert!(ended.status.success(), "{ended:?}");
    let text = String::from_utf8(ended.stdout).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(!lines.is_empty());
    lines
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let usual = capture(&dir, "usual.pcap", &neighbours(0..15));
    let far = capture(&dir, "far.pcap", &newcomer(15..18));
    let runs = ["1", "2", "8"].map(|workers| {
        let kept = state(&dir, workers);
        Results::of(&[&usual, "--state", &kept, "--workers", workers]);
        let results = Results::of(&[&far, "--state", &kept, "--workers", workers]);
        let mut report = results.run();
        report.as_object_mut().unwrap().remove("environment");
        let texts = ["endpoints.ndjson", "alerts.ndjson"].map(|name| results.text(name));
        (stored(&kept), texts, report)
    });
    assert!(runs[0].1[1].contains("D04"));
    assert!(runs[0] == runs[1] && runs[1] == runs[2]);
}

#[test]
fn a_file_that_cannot_be_read_is_refused_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let usual = capture(&dir, "usual.pcap", &neighbours(0..2));
    let kept = state(&dir, "state");
    Results::of(&[&usual, "--state", &kept]);
    let good = stored(&kept);
    let mut damaged = good.clone();
    damaged[30] ^= 1;
    let mut later = good.clone();
    later[9] = 7;
    let cases: [(&[u8], &str, &str); 4] = [
        (&damaged, "it is damaged: its checksum is another", "put a copy back"),
        (&good[..40], "it is damaged", "put a copy back"),
        (&later, "it is of version 7, and this program reads version 1", "longhaul that wrote it"),
        (b"notes", "it is no file of this kind", "name another directory"),
    ];
    for (bytes, cause, remedy) in cases {
        let path = Path::new(&kept).join("baselines");
        fs::write(&path, bytes).unwrap();
        let out = state(&dir, "out");
        let runs: [&[&str]; 3] = [
            &["read", &usual, "--state", &kept, "--out", &out],
            &["state", "show", &kept],
            &["state", "merge", &out, &kept],
        ];
        for args in runs {
            let ended = longhaul(args);
            let said = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(ended.status.code(), Some(2), "{args:?} {said}");
            let error = format!("error: state {}: {cause}", path.display());
            assert!(said.starts_with(&error), "{said}");
            assert!(said.contains("help: it was not changed; ") && said.contains(remedy), "{said}");
            assert_eq!(stored(&kept), bytes, "{args:?}");
        }
    }
}

#[test]
fn two_runs_never_write_to_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let usual = capture(&dir, "usual.pcap", &neighbours(0..2));
    let kept = state(&dir, "state");
    let config = BaselineConfig { cap: 100, learn: Nanos::ZERO };
    let open = State::open(Path::new(&kept), config).unwrap();
    let ended = longhaul(&["read", &usual, "--state", &kept, "--quiet"]);
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("another process is using it") && said.contains("help:"), "{said}");
    drop(open);
    assert!(longhaul(&["read", &usual, "--state", &kept, "--quiet"]).status.success());
}

#[test]
fn merging_refuses_a_state_twice_and_a_missing_one() {
    let dir = tempfile::tempdir().unwrap();
    let usual = capture(&dir, "usual.pcap", &neighbours(0..2));
    let (kept, into) = (state(&dir, "state"), state(&dir, "into"));
    Results::of(&[&usual, "--state", &kept]);
    let nowhere = state(&dir, "nowhere");
    for (args, words) in [
        (vec!["state", "merge", &into, &kept, &kept], "it is named twice"),
        (vec!["state", "merge", &kept, &kept], "it is named twice"),
        (vec!["state", "merge", &into, &nowhere], "there is no file `baselines` in it"),
        (vec!["state", "show", &nowhere], "there is no file `baselines` in it"),
    ] {
        let ended = longhaul(&args);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{args:?}");
        assert!(said.contains(words) && said.contains("help:"), "{said}");
        assert!(!Path::new(&into).join("baselines").exists());
    }
    let text = String::from_utf8(longhaul(&["state", "show", &kept]).stdout).unwrap();
    assert!(text.contains("203.0.113.0/24") && text.contains("still learning"), "{text}");
}

#[test]
fn the_cap_holds_and_evictions_are_counted_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let one = |n: u8| Session { day: 0, client: [198, 51, n, 1], near_ns: 9 * MS };
    let many = capture(&dir, "many.pcap", &(0..60).map(one).collect::<Vec<_>>());
    let config = dir.path().join("c.toml");
    fs::write(&config, "[caps]\nbaselines = 16\n").unwrap();
    let (config, kept) = (config.display().to_string(), state(&dir, "state"));
    let results = Results::of(&[&many, "--state", &kept, "--config", &config]);
    let report = results.run();
    let held = report["state"]["prefixes"]["entries"].as_u64().unwrap();
    let dropped = report["counters"]["detect"]["baselines_dropped"].as_u64().unwrap();
    assert!(held <= 16 && held + dropped == 60, "{held} {dropped}");
    let summary =
        longhaul(&["read", &many, "--state", &state(&dir, "other"), "--config", &config]).stdout;
    let summary = String::from_utf8(summary).unwrap();
    assert!(summary.contains("baselines over the cap"), "{summary}");
}

/// Many prefixes, so that writing them takes a while.
fn large(dir: &Path, networks: u64) -> Baselines {
    let temporary = tempfile::tempdir().unwrap();
    let one = |n: u64| Session {
        day: 0,
        client: [41 + (n / 256) as u8, (n % 256) as u8, 7, 1],
        near_ns: 5 * MS + n * 1_000,
    };
    let sessions: Vec<Session> = (0..networks).map(one).collect();
    let path = capture(&temporary, "large.pcap", &sessions);
    assert!(
        longhaul(&["read", &path, "--state", &dir.display().to_string(), "-q"]).status.success()
    );
    longhaul::pipeline::state::read(dir, None).unwrap()
}

/// Kills a writer of the state at 60 moments from its start to its end, and each time finds a
/// complete state: the old one or the new one.
#[test]
fn a_kill_at_any_moment_leaves_one_state_or_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let more = large(&dir.path().join("more"), 12_000);
    let (into, from) = (state(&dir, "into"), state(&dir, "more"));
    let merge = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
        command.args(["state", "merge", &into, &from]).stdout(std::process::Stdio::null());
        command.spawn().unwrap()
    };
    let began = Instant::now();
    assert!(merge().wait().unwrap().success());
    let whole = began.elapsed();
    let mut expected = more.clone();
    let (mut before, mut after, mut killed, mut midway) = (0, 0, 0, 0);
    for moment in 0..60 {
        let mut child = merge();
        std::thread::sleep(whole * moment / 45);
        // SIGKILL cannot be caught.
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().code().is_none());
        midway += u32::from(Path::new(&into).join(".baselines.partial").exists());
        let mut next = expected.clone();
        next.merge(more.clone());
        let found = stored(&into);
        if found == next.encode() {
            after += 1;
            expected = next;
        } else {
            assert!(found == expected.encode(), "neither state, at moment {moment}");
            before += 1;
        }
    }
    println!("killed {killed} of 60, {midway} while writing: {before} as before, {after} as after");
    assert!(killed > 0 && before > 0 && before + after == 60, "{killed} {before} {after}");
    assert!(merge().wait().unwrap().success());
    expected.merge(more);
    assert!(stored(&into) == expected.encode());
    let left: Vec<_> = fs::read_dir(&into).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["baselines"], "nothing of a killed writer stays");
}
