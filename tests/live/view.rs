//! The view of a run in a terminal: what it shows, what it may do, and what its end means.

use std::path::Path;

use serde_json::json;

use crate::datagram;
use crate::file;
use crate::net::Net;
use crate::net::lines;
use crate::net::wait_for;
use crate::scratch;
use crate::tmux::Tmux;

/// A run that alerts on every session to port 4001; where it writes.
fn start(tmux: &mut Tmux, dir: &Path, more: &str) {
    let rules = dir.join("rules");
    std::fs::create_dir(&rules).unwrap();
    let rule = include_str!("rule.yml").replace("PORT", "4001");
    std::fs::write(rules.join("one.yml"), rule).unwrap();
    let config = dir.join("longhaul.toml");
    std::fs::write(&config, "[caps]\nsessions = 16\n").unwrap();
    let (program, rules, config) =
        (env!("CARGO_BIN_EXE_longhaul"), rules.display(), config.display());
    tmux.run(&format!(
        "{program} live a0 --tui --rules-only {rules} --config {config} --workers 1 {more}"
    ));
    tmux.wait("running");
}

fn forty() -> Vec<Vec<u8>> {
    (1..=40).map(|n| datagram((n, 4_000), (200, 4_001), b"hello")).collect()
}

fn children(of: &str) -> Vec<String> {
    let children = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap();
    children.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_view_shows_what_comes_in_and_its_end_ends_the_run() {
    let (Some(net), Some(mut tmux)) = (Net::new(1), Tmux::new("tmux-256color")) else { return };
    let (dir, out) = scratch();
    start(&mut tmux, dir.path(), &format!("--out {out}"));
    net.send_paced("b0", &forty(), 1);
    tmux.keys(&["3"]);
    let said = tmux.wait("D18 to_port_4001");
    assert!(said.contains("longhaul  a0  running"), "{said}");
    tmux.keys(&["Enter"]);
    tmux.wait("Esc back");
    tmux.keys(&["7"]);
    let said = tmux.wait("listening on a0");
    assert!(!said.contains("not in full"), "{said}");
    tmux.keys(&["1"]);
    tmux.wait("Packets    40");
    // The process that shows: another user, no more system calls than it needs, no file.
    let [view] = &children(&tmux.process())[..] else { panic!("one process") };
    let status = std::fs::read_to_string(format!("/proc/{view}/status")).unwrap();
    assert!(status.contains("Seccomp:\t2") && status.contains("CapEff:\t0000000000000000"));
    assert!(!status.contains("Uid:\t0\t"), "{status}");
    tmux.keys(&["q"]);
    tmux.wait("End the run?");
    tmux.keys(&["n", "5"]);
    tmux.wait("Sessions: ");
    tmux.keys(&["q", "y"]);
    assert_eq!(tmux.wait_for_end(), "ended with 0");
    tmux.assert_restored();
    // What was said meanwhile is not lost, and the files are whole.
    tmux.wait("listening on a0");
    assert_eq!(lines(&file(&out, "sessions.ndjson")).len(), 40);
    assert_eq!(crate::net::json(&file(&out, "run.json"))["totals"]["alerts"], 40);
}

#[test]
fn a_signal_to_the_run_gives_the_terminal_back_and_the_summary_follows() {
    let (Some(net), Some(mut tmux)) = (Net::new(1), Tmux::new("screen")) else { return };
    let (dir, _) = scratch();
    start(&mut tmux, dir.path(), "");
    net.send_paced("b0", &forty(), 1);
    tmux.keys(&["3"]);
    tmux.wait("D18 to_port_4001");
    tmux.signal("TERM");
    assert_eq!(tmux.wait_for_end(), "ended with 0");
    // Each alert was counted once, shown or not.
    tmux.wait("x40");
    tmux.assert_restored();
}

#[test]
fn a_run_that_cannot_begin_says_so_on_a_terminal_that_nobody_has_taken() {
    let (Some(_net), Some(mut tmux)) = (Net::new(1), Tmux::new("screen")) else { return };
    tmux.run(&format!("{} live nowhere0 --tui", env!("CARGO_BIN_EXE_longhaul")));
    assert_eq!(tmux.wait_for_end(), "ended with 2");
    tmux.wait("error: interface nowhere0");
    tmux.assert_restored();
}

#[test]
fn a_view_that_stands_still_stops_no_packet() {
    let (Some(net), Some(mut tmux)) = (Net::new(1), Tmux::new("tmux-256color")) else { return };
    let (dir, out) = scratch();
    start(&mut tmux, dir.path(), &format!("--out {out}"));
    let [view] = &children(&tmux.process())[..] else { panic!("one process") };
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, view]).status().unwrap();
        assert!(sent.success());
    };
    signal("-STOP");
    // Far more than a pipe takes.
    let flood: Vec<Vec<u8>> =
        (0..8_000u16).map(|n| datagram((1, n), (2, 4_002), &[0x55; 1_400])).collect();
    net.send_paced("b0", &flood, 2);
    wait_for("the sessions", || {
        let partial = std::fs::read(file(&out, ".sessions.ndjson.partial")).unwrap_or_default();
        partial.iter().filter(|byte| **byte == b'\n').count() >= 7_500
    });
    tmux.signal("TERM");
    assert_eq!(tmux.wait_for_end(), "ended with 0");
    assert_eq!(lines(&file(&out, "sessions.ndjson")).len(), flood.len());
    let run = crate::net::json(&file(&out, "run.json"));
    assert_eq!((&run["loss"]["ring"], &run["loss"]["lines"]), (&json!(0), &json!(0)));
    signal("-CONT");
    wait_for("the end of the view", || !Path::new(&format!("/proc/{view}")).exists());
}

#[test]
fn a_run_whose_terminal_is_gone_ends_with_whole_files() {
    let (Some(net), Some(mut tmux)) = (Net::new(1), Tmux::new("tmux-256color")) else { return };
    let (dir, out) = scratch();
    start(&mut tmux, dir.path(), &format!("--out {out}"));
    net.send_paced("b0", &forty(), 1);
    tmux.wait("Packets    40");
    let process = tmux.process();
    let [view] = &children(&process)[..] else { panic!("one process") };
    tmux.end_server();
    wait_for("the end of both", || !tmux.is_alive(&process) && !tmux.is_alive(view));
    assert_eq!(lines(&file(&out, "sessions.ndjson")).len(), 40);
}
