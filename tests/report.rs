//! The report: whole, bounded, the same each time, and safe whatever the results hold.
//!
//! Owns: what must hold for `longhaul report`. In: results that the program or this file makes.
//! Out: assertions. Never: how a page looks in a browser: that is `report_browser.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and one that watches waits"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod common;
#[path = "report/limits.rs"]
mod limits;
#[path = "report/made.rs"]
mod made;
#[path = "report/timeline.rs"]
mod timeline_caps;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::longhaul;
use longhaul::report::html::BYTES_MAX;
use sha2::{Digest, Sha256};
use tempfile::tempdir;

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn report(run: &Path) -> (Output, String) {
    let out = longhaul(&["report", run.to_str().unwrap()]);
    let page = fs::read_to_string(run.join("report.html")).unwrap_or_default();
    (out, page)
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

fn demo(dir: &Path) {
    let capture = common::demo();
    let args = ["read", capture.to_str().unwrap(), "--place", "IAD", "--home", "10.20.0.0/16"];
    let out = longhaul(&[&args[..], &["-q", "--out", dir.to_str().unwrap()]].concat());
    assert!(out.status.success(), "{}", stderr(&out));
}

#[test]
fn the_demonstration_has_a_whole_report_and_the_same_each_time() {
    let dir = tempdir().unwrap();
    let run = dir.path().join("run");
    demo(&run);
    let (out, page) = report(&run);
    assert!(out.status.success(), "{}", stderr(&out));
    assert!(stderr(&out).contains("report.html"), "{}", stderr(&out));
    for part in [
        "<html lang=\"en\">",
        "The gravest incident (level high): 10.20.30.57",
        "Map: how far away",
        "Round trip against distance",
        "Hidden leg: program against transport",
        "Remote control: lag",
        "Sessions over time",
        "Benign explanations tested",
        "What to do next",
        "What it does not prove",
        "d9a528ff5824d0f9492bec07d483c59371ef6568d74780cbb2ae449caf28517f",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // The words of `explain` are those of the report.
    let incident = text(&run.join("incidents.ndjson"));
    let incident: serde_json::Value = serde_json::from_str(incident.trim()).unwrap();
    let told = incident["longhaul"]["does_not_prove"][0].as_str().unwrap();
    assert!(page.contains(told), "{told}");
    assert!(!page.contains("This result is not whole"));
    assert_eq!(report(&run).1, page);
    let run_text = run.to_str().unwrap();
    let piped = longhaul(&["report", run_text, "-o", "-"]);
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), page);
    let left: Vec<_> = fs::read_dir(&run).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 6, "{left:?}");
}

/// What the policy allows is what the page holds, and nothing else.
#[test]
fn the_policy_names_the_style_and_the_script_by_their_hashes() {
    let dir = tempdir().unwrap();
    made::run(dir.path(), 20, 3);
    let (_, page) = report(dir.path());
    let policy = page.split("Content-Security-Policy\" content=\"").nth(1).unwrap();
    let policy = policy.split('"').next().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    for tag in ["style", "script"] {
        let body = page.split(&format!("<{tag}>")).nth(1).unwrap();
        let body = body.split(&format!("</{tag}>")).next().unwrap();
        let hash = base64(&Sha256::digest(body.as_bytes()));
        assert!(policy.contains(&format!("{tag}-src 'sha256-{hash}'")), "{tag} {hash}: {policy}");
        assert_eq!(page.matches(&format!("<{tag}")).count(), 1, "{tag}");
    }
    for word in [" style=", " onclick=", "javascript:", "src=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
}

fn base64(bytes: &[u8]) -> String {
    let letters: Vec<char> =
        ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for at in 0..4 {
            let letter = letters[(bits >> (18 - 6 * at)) as usize & 63];
            out.push(if at > three.len() { '=' } else { letter });
        }
    }
    out
}

/// A name that is markup, script or a control character stands there as text.
#[test]
fn hostile_names_stay_text() {
    let dir = tempdir().unwrap();
    made::run_with(dir.path(), 12, 2, made::HOSTILE);
    let (out, page) = report(dir.path());
    assert!(out.status.success(), "{}", stderr(&out));
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;"), "the name is shown");
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script").count(), 1);
    assert!(!page.contains("<img") && !page.contains("<svg onload"));
    let hides = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{0}'..='\u{8}' | '\u{1b}');
    assert!(!page.contains(hides));
    assert!(page.contains("\\u{202e}"), "what is hidden is written out");
}

/// As many as the specification asks for, and far more.
#[test]
fn a_report_is_bounded_and_says_what_it_leaves_out() {
    for (sessions, incidents) in [(10_000, 200), (6_000, 1_400)] {
        let dir = tempdir().unwrap();
        made::run(dir.path(), sessions, incidents);
        let (out, page) = report(dir.path());
        assert!(out.status.success(), "{}", stderr(&out));
        println!("{sessions} sessions, {incidents} incidents: {} bytes", page.len());
        assert!(page.len() <= BYTES_MAX, "{}", page.len());
        assert!(page.contains("All of them: sessions.ndjson"));
        assert!(page.ends_with("</html>\n"));
        let dead = page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
        for id in dead {
            assert!(page.contains(&format!("id=\"{id}\"")), "#{id} leads nowhere");
        }
        let chapters = page.matches("class=\"subject\"").count();
        if incidents > 250 {
            assert!(page.contains("900 more of lower rank: incidents.ndjson"));
            assert!(page.contains("1,150 more subjects of lower rank have no chapter"));
        } else {
            assert_eq!(chapters, incidents, "each has a chapter");
        }
    }
}

#[test]
fn a_result_that_is_not_whole_is_said_with_its_remedy() {
    let dir = tempdir().unwrap();
    let run = dir.path();
    made::run(run, 20, 2);
    let whole = report(run).1;
    assert!(!whole.contains("This result is not whole"));
    let says = |what: &str| {
        let (out, page) = report(run);
        assert!(out.status.success(), "{}", stderr(&out));
        assert!(page.contains("This result is not whole"), "{what}");
        assert!(page.contains(what), "{what}");
        let warned = stderr(&out).replace(['\u{2018}', '\u{2019}'], "'");
        assert!(warned.contains("warning: result"), "{warned}");
    };
    let sessions = text(&run.join("sessions.ndjson"));
    fs::write(run.join("sessions.ndjson"), sessions.replacen("{\"@", "{\"@\"", 1)).unwrap();
    says("sessions.ndjson:1 is not as longhaul wrote it");
    let shorter: Vec<&str> = sessions.lines().skip(1).collect();
    fs::write(run.join("sessions.ndjson"), shorter.join("\n")).unwrap();
    says("run.json tells of 20 lines in sessions.ndjson, and 19 can be read");
    fs::write(run.join("sessions.ndjson"), &sessions).unwrap();
    let run_json = text(&run.join("run.json"));
    fs::write(
        run.join("run.json"),
        run_json.replace("\"schema_version\":3", "\"schema_version\":2"),
    )
    .unwrap();
    says("schema version 2");
    fs::write(
        run.join("run.json"),
        run_json.replace("\"interrupted\":false", "\"interrupted\":true"),
    )
    .unwrap();
    says("The run was interrupted");
    fs::write(run.join("run.json"), &run_json).unwrap();
    fs::remove_file(run.join("alerts.ndjson")).unwrap();
    says("alerts.ndjson is missing");
}

#[test]
fn a_directory_without_results_is_an_error_and_leaves_no_file() {
    let dir = tempdir().unwrap();
    let (out, page) = report(dir.path());
    assert_eq!((out.status.code(), page.as_str()), (Some(2), ""));
    assert!(stderr(&out).contains("there is no run.json") && stderr(&out).contains("help:"));
    made::run(dir.path(), 3, 1);
    let target = dir.path().join("no/such/place.html");
    let args = ["report", dir.path().to_str().unwrap(), "-o", target.to_str().unwrap()];
    let out = longhaul(&args);
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
}

/// Without session lines there is a report, and it says so.
#[test]
fn a_run_without_session_lines_has_a_report() {
    let dir = tempdir().unwrap();
    made::run(dir.path(), 20, 2);
    fs::remove_file(dir.path().join("sessions.ndjson")).unwrap();
    let (out, page) = report(dir.path());
    assert!(out.status.success(), "{}", stderr(&out));
    assert!(page.contains("The run wrote no session lines"));
    assert!(!page.contains("This result is not whole"));
}

/// `read --report` writes what `report` writes, with and without an output directory.
#[test]
fn a_run_writes_its_own_report() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let capture = common::demo();
    let read = |more: &[&str]| {
        let args = ["read", capture.to_str().unwrap(), "--place", "IAD"];
        longhaul(&[&args[..], more].concat())
    };
    let alone = read(&["--report", &at("alone.html")]);
    assert!(alone.status.success(), "{}", stderr(&alone));
    assert!(stderr(&alone).contains("alone.html"), "{}", stderr(&alone));
    assert!(!alone.stdout.is_empty(), "the summary is shown as before");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["alone.html"], "nothing else is left");
    let both = read(&["-q", "--out", &at("run"), "--report", &at("both.html")]);
    assert!(both.status.success(), "{}", stderr(&both));
    assert_eq!(both.stderr, b"");
    let page = text(Path::new(&at("alone.html")));
    assert_eq!(page, text(Path::new(&at("both.html"))));
    assert_eq!(page, report(Path::new(&at("run"))).1);
    let refused = read(&["--out", &at("other"), "--report", &at("both.html/place.html")]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(!Path::new(&at("other")).exists(), "refused before anything is read");
}

/// The demonstration ends by naming its report; where it cannot write one it says so and goes on.
#[test]
fn the_demonstration_names_its_report() {
    let dir = tempdir().unwrap();
    let demo = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_longhaul"));
        command.arg("demo").current_dir(dir.path()).output().unwrap()
    };
    for _ in 0..2 {
        let out = demo();
        assert!(out.status.success(), "{}", stderr(&out));
        let told = String::from_utf8(out.stdout).unwrap();
        assert!(told.trim_end().ends_with("longhaul-demo/report.html"), "{told}");
        assert!(text(&dir.path().join("longhaul-demo/report.html")).contains("10.20.30.57"));
    }
    fs::remove_dir_all(dir.path().join("longhaul-demo")).unwrap();
    fs::write(dir.path().join("longhaul-demo"), "a file of somebody").unwrap();
    let out = demo();
    assert!(out.status.success() && stderr(&out).contains("no report"), "{}", stderr(&out));
    assert_eq!(text(&dir.path().join("longhaul-demo")), "a file of somebody");
}

/// The report of a live run is there after its first set, follows the others, and ends with it.
#[test]
fn a_report_follows_the_sets_of_a_live_run() {
    use std::process::{Command, Stdio};
    let dir = tempdir().unwrap();
    let sets = dir.path();
    let mut child = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["report", sets.to_str().unwrap(), "--follow"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let page = sets.join("report.html");
    let waits_for = |what: &str| {
        for _ in 0..600 {
            if fs::read_to_string(&page).is_ok_and(|text| text.contains(what)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("no report with {what}");
    };
    for (name, sessions, what) in [("a", 10, "10 sessions"), ("b", 7, "17 sessions")] {
        fs::create_dir(sets.join(name)).unwrap();
        made::run(&sets.join(name), sessions, 1);
        waits_for(what);
    }
    // A set that is finished while nobody looks is in the last report.
    fs::create_dir(sets.join("c")).unwrap();
    made::run(&sets.join("c"), 3, 1);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(text(&page).contains("20 sessions"));
}

fn follow(dir: &Path, more: &[&str]) -> std::process::Child {
    use std::process::{Command, Stdio};
    Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args([&["report", dir.to_str().unwrap(), "--follow"], more].concat())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A result that replaces another is reported, by a process that keeps no way to a network.
#[test]
fn a_replaced_result_is_reported_by_a_confined_process() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempdir().unwrap();
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    for dir in [dir.path(), &run] {
        fs::set_permissions(dir, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let mut child = follow(&run, &["--user", "nobody"]);
    for (sessions, what) in [(10, "10 sessions"), (25, "25 sessions")] {
        made::run(&run, sessions, 1);
        let page = run.join("report.html");
        let is_there = || fs::read_to_string(&page).is_ok_and(|text| text.contains(what));
        let waited = (0..600).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            is_there()
        });
        assert!(waited, "no report with {what}");
    }
    let status = text(Path::new(&format!("/proc/{}/status", child.id())));
    assert!(status.contains("Seccomp:\t2"), "{status}");
    drop(child.stdin.take());
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", stderr(&out));
}

/// A report that could not be written is written once it can be.
#[test]
fn a_report_that_failed_is_tried_again() {
    use std::io::{BufRead, BufReader};
    let dir = tempdir().unwrap();
    let page = dir.path().join("report.html");
    fs::create_dir(&page).unwrap();
    made::run(dir.path(), 10, 1);
    let mut child = follow(dir.path(), &[]);
    let mut said = String::new();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    errors.read_line(&mut said).unwrap();
    assert!(said.contains("report.html"), "{said}");
    fs::remove_dir(&page).unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(text(&page).contains("10 sessions"));
}

/// A report of one subject has its chapter only.
#[test]
fn a_report_of_one_subject_leaves_the_others_out() {
    let dir = tempdir().unwrap();
    made::run(dir.path(), 60, 6);
    let of = |subject: &str| {
        longhaul(&["report", dir.path().to_str().unwrap(), "--subject", subject, "-o", "-"])
    };
    let page = String::from_utf8(of("E-00003").stdout).unwrap();
    assert_eq!(page.matches("class=\"subject\"").count(), 1);
    assert!(page.contains("Robin Example (e-00003)") && page.contains("10 of 10 sessions shown"));
    let nobody = of("e-9");
    assert_eq!(nobody.status.code(), Some(2), "{}", stderr(&nobody));
}

fn timeline(run: &Path, subject: &str) -> (Option<i32>, String, String) {
    let out = longhaul(&["timeline", subject, run.to_str().unwrap()]);
    (out.status.code(), String::from_utf8(out.stdout.clone()).unwrap(), stderr(&out))
}

#[test]
fn a_timeline_tells_days_addresses_places_legs_and_findings() {
    let dir = tempdir().unwrap();
    made::run(dir.path(), 4_000, 3);
    let (code, told, errors) = timeline(dir.path(), "e-00001");
    assert_eq!(code, Some(0), "{errors}");
    for part in [
        "Robin Example (e-00001)",
        "1,333 sessions on 3 days, 2 findings",
        "2026-11-01 Sunday",
        "From 203.0.113.1 [AS1221 Robin Example, AU], 480 sessions; round trip",
        "so within 314 km by fibre; too far away for that: the place that the database claims.",
        "Incident opened, level high: Robin Example did this",
        "What it does not prove",
    ] {
        let flat = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(part), "{part}: {told}");
    }
    let days: Vec<usize> = ["2026-11-01", "2026-11-02", "2026-11-03"]
        .iter()
        .map(|day| told.find(day).unwrap())
        .collect();
    assert!(days.is_sorted(), "in order");
    let (code, told, errors) = timeline(dir.path(), "e-0001");
    assert_eq!((code, told.as_str()), (Some(2), ""));
    assert!(errors.contains("e-00001 (Robin Example)"), "the nearest is named: {errors}");
    let (code, _, errors) = timeline(dir.path(), "robin example");
    assert_eq!(code, Some(2));
    assert!(errors.contains("several have that name"), "{errors}");
}

#[test]
fn a_timeline_of_hostile_names_controls_no_terminal() {
    let dir = tempdir().unwrap();
    made::run_with(dir.path(), 40, 2, made::HOSTILE);
    let (code, told, errors) = timeline(dir.path(), "e-00001");
    assert_eq!(code, Some(0), "{errors}");
    assert!(!told.contains(['\u{1b}', '\u{202e}', '\0', '\u{2066}']), "{told}");
    assert!(told.contains("\\u{202e}"), "{told}");
}
