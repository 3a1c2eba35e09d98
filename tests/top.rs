//! The view of results in a real terminal: tmux.
//!
//! Owns: terminals of their own, each a tmux server that ends with the test. In: the result of the
//! demonstration. Out: what is on the screen, what is left of it. Never: a wait without an end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    dead_code,
    reason = "a test that cannot go on fails, and a test of a terminal waits"
)]
#![cfg(feature = "tui")]

#[path = "common/tmux.rs"]
mod tmux;

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tmux::Tmux;

const LONGHAUL: &str = env!("CARGO_BIN_EXE_longhaul");

/// A directory with the demonstration's result.
fn demo() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let run = Command::new(LONGHAUL).arg("demo").current_dir(dir.path()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    dir
}

fn result(dir: &TempDir) -> String {
    dir.path().join("longhaul-demo").display().to_string()
}

/// The id of the first line of a file.
fn id_of(run: &str, file: &str) -> String {
    let lines = fs::read_to_string(Path::new(run).join(file)).unwrap();
    let line: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    line["event"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn each_part_of_a_result_is_shown_and_the_terminal_is_given_back() {
    let Some(mut tmux) = Tmux::new("tmux-256color") else { return };
    let dir = demo();
    let run = result(&dir);
    tmux.run(&format!("{LONGHAUL} top {run}"));
    let said = tmux.wait("the run has ended");
    assert!(said.contains("Incidents: 1, newest") && said.contains("Lost       nothing"), "{said}");
    assert!(said.contains("q quit") && said.contains("Sessions by their beginning"), "{said}");
    for (key, wanted) in [
        ("2", "Incidents: 1, gravest first"),
        ("3", "Alerts: "),
        ("4", "Subjects: "),
        ("5", "Sessions: "),
        ("6", "Nothing known was lost."),
        ("7", "No messages."),
        ("?", "any key goes back"),
    ] {
        tmux.keys(&[key]);
        tmux.wait(wanted);
    }
    // The explanation is that of the command.
    tmux.keys(&["Escape", "2", "Enter"]);
    let said = tmux.wait("line 20 of");
    let id = id_of(&run, "incidents.ndjson");
    let told =
        Command::new(LONGHAUL).args(["explain", &id, &run]).env("COLUMNS", "80").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let first: Vec<&str> = told.lines().take(10).map(str::trim_end).collect();
    let shown: Vec<&str> = said.lines().skip(3).take(10).map(str::trim_end).collect();
    assert_eq!(shown, first, "{said}");
    tmux.keys(&["q"]);
    tmux.wait_for_end();
    tmux.assert_restored();
}

#[test]
fn a_signal_gives_the_terminal_back_and_so_does_an_interrupt() {
    for (term, end) in [("screen", "TERM"), ("linux", "INT"), ("tmux", "HUP"), ("screen", "")] {
        let Some(mut tmux) = Tmux::new(term) else { return };
        let dir = demo();
        tmux.run(&format!("{LONGHAUL} top {}", result(&dir)));
        tmux.wait("Incidents: 1, newest first");
        match end {
            "" => tmux.keys(&["C-c"]),
            _ => tmux.signal(end),
        }
        tmux.wait_for_end();
        tmux.assert_restored();
    }
}

#[test]
fn a_view_whose_terminal_is_gone_ends() {
    // With and without a signal about that.
    for ignore in ["", "trap '' HUP;"] {
        let Some(mut tmux) = Tmux::new("screen") else { return };
        let dir = demo();
        tmux.run_after(ignore, &format!("{LONGHAUL} top {}", result(&dir)));
        tmux.wait("the run has ended");
        let process = tmux.process();
        tmux.end_server();
        tmux::wait_for("its end", || !tmux.is_alive(&process));
    }
}

#[test]
fn a_view_at_rest_takes_no_time() {
    let Some(mut tmux) = Tmux::new("screen") else { return };
    let dir = demo();
    tmux.run(&format!("{LONGHAUL} top {}", result(&dir)));
    tmux.wait("the run has ended");
    let spent = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", tmux.process())).unwrap();
        let times = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>()
    };
    let before = spent();
    std::thread::sleep(std::time::Duration::from_secs(3));
    // Hundredths of a second.
    assert!(spent() - before <= 15, "{} of 300", spent() - before);
}

#[test]
fn a_run_is_shown_while_it_writes_and_when_it_has_ended() {
    let Some(mut tmux) = Tmux::new("tmux-256color") else { return };
    let dir = demo();
    let from = dir.path().join("longhaul-demo");
    let to = dir.path().join("growing");
    fs::create_dir(&to).unwrap();
    tmux.run(&format!("{LONGHAUL} top {}", to.display()));
    tmux.wait("it waits for them");
    let lines = fs::read(from.join("sessions.ndjson")).unwrap();
    let half = lines.len() / 2;
    let partial = to.join(".sessions.ndjson.partial");
    fs::write(&partial, &lines[..half]).unwrap();
    tmux.wait("running");
    tmux.keys(&["5"]);
    let whole = lines[..half].iter().filter(|byte| **byte == b'\n').count();
    tmux.wait(&format!("Sessions: {whole}, newest first"));
    let mut file = fs::File::options().append(true).open(&partial).unwrap();
    std::io::Write::write_all(&mut file, &lines[half..]).unwrap();
    fs::rename(&partial, to.join("sessions.ndjson")).unwrap();
    for name in ["alerts.ndjson", "incidents.ndjson", "run.json"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    tmux.wait("the run has ended");
    let all = lines.iter().filter(|byte| **byte == b'\n').count();
    tmux.wait(&format!("Sessions: {all}, newest first"));
    tmux.keys(&["q"]);
    tmux.wait_for_end();
}

#[test]
fn a_terminal_that_changes_its_size_is_filled_again() {
    let Some(mut tmux) = Tmux::new("tmux-256color") else { return };
    let dir = demo();
    tmux.run(&format!("{LONGHAUL} top {}", result(&dir)));
    tmux.keys(&["5"]);
    tmux.wait("Sessions: ");
    assert!(!tmux.screen().contains("bytes"), "a column of wide screens");
    tmux.resize(160, 40);
    tmux.wait_until("more columns, and keys in the last row", |said| {
        said.contains("bytes") && said.lines().nth(39).is_some_and(|line| line.contains("q quit"))
    });
    tmux.resize(20, 3);
    tmux.wait("longhaul");
    tmux.resize(80, 24);
    tmux.wait("q quit");
    tmux.keys(&["q"]);
    tmux.wait_for_end();
}

#[test]
fn colours_are_as_asked() {
    let dir = demo();
    let run = result(&dir);
    for (before, has_colour) in [
        (format!("{LONGHAUL} --color always top"), true),
        (format!("{LONGHAUL} top"), true),
        (format!("NO_COLOR=1 {LONGHAUL} top"), false),
        (format!("NO_COLOR=1 {LONGHAUL} --color always top"), true),
        (format!("{LONGHAUL} --color never top"), false),
    ] {
        let Some(mut tmux) = Tmux::new("tmux-256color") else { return };
        tmux.run(&format!("{before} {run}"));
        tmux.wait("the run has ended");
        // Green, as ECMA-48 numbers it.
        let codes = tmux.codes();
        assert_eq!(codes.contains("\u{1b}[32m"), has_colour, "{before}: {codes:?}");
        tmux.keys(&["q"]);
        tmux.wait_for_end();
    }
}

#[test]
fn without_a_terminal_it_says_what_works_there() {
    let dir = tempfile::tempdir().unwrap();
    let run = Command::new(LONGHAUL).arg("top").arg(dir.path()).output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!((run.status.code(), run.stdout.len()), (Some(2), 0), "{said}");
    assert!(said.contains("error: top: standard output is no terminal"), "{said}");
    assert!(said.contains("longhaul explain"), "{said}");
    let run = Command::new(LONGHAUL).args(["live", "lo", "--tui"]).output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert!(said.contains("error: --tui: standard output is no terminal"), "{said}");
    assert!(said.contains("leave out --tui"), "{said}");
    let run = Command::new(LONGHAUL).args(["live", "lo", "--tui", "--json"]).output().unwrap();
    assert!(String::from_utf8_lossy(&run.stderr).contains("cannot be used with"));
}

#[test]
fn a_terminal_that_cannot_and_a_directory_that_is_none_are_refused() {
    let Some(mut tmux) = Tmux::new("dumb") else { return };
    tmux.run(&format!("{LONGHAUL} top ."));
    tmux.wait("the terminal cannot move its cursor");
    tmux.wait_for_end();
    let Some(mut tmux) = Tmux::new("screen") else { return };
    tmux.run(&format!("{LONGHAUL} top nowhere-at-all"));
    tmux.wait("results in nowhere-at-all");
    tmux.wait_for_end();
}
