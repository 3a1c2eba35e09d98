//! The report in a real browser: renders, loads nothing, sorts, filters, prints, and is accessible.
//!
//! Owns: which reports are opened. In: the demonstration, and results made here. Out: pass or fail;
//! skipped, visibly, where there is no Chromium, Node.js or npm package. Never: a page from a server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared modules serve several tests")]

mod common;
#[path = "report/made.rs"]
mod made;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::longhaul;
use tempfile::tempdir;

/// Chromium and the packages, if they are here.
fn tools() -> Option<(PathBuf, PathBuf)> {
    let modules = common::own("target/browser/node_modules");
    let names = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let chromium = names.iter().map(PathBuf::from).find(|path| path.exists());
    let node = Command::new("node").arg("--version").output();
    match chromium {
        _ if !modules.is_dir() => {
            println!("skipped: axe-core is not installed: deploy/browser-tools.sh");
        }
        _ if !node.is_ok_and(|out| out.status.success()) => println!("skipped: node is not here"),
        None => println!("skipped: chromium is not here"),
        Some(chromium) => return Some((modules, chromium)),
    }
    None
}

/// Writes the report of a run and opens it.
fn open(run: &Path, (modules, chromium): &(PathBuf, PathBuf)) -> String {
    let out = longhaul(&["report", run.to_str().unwrap()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut command = Command::new("node");
    command.arg(common::own("tests/browser/report.mjs")).arg(modules).arg(run.join("report.html"));
    command.arg(chromium);
    command.args(std::env::var_os("LONGHAUL_SHOTS"));
    let out = command.output().unwrap();
    let told = String::from_utf8_lossy(&out.stdout).into_owned();
    println!("{told}");
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && told.contains("checked: "), "{told}{errors}");
    told
}

#[test]
fn the_report_of_the_demonstration_works_in_a_browser() {
    let Some(tools) = tools() else { return };
    let dir = tempdir().unwrap();
    let run = dir.path().join("run");
    let capture = common::demo();
    let args = ["read", capture.to_str().unwrap(), "--place", "IAD", "--home", "10.20.0.0/16"];
    let out = longhaul(&[&args[..], &["-q", "--out", run.to_str().unwrap()]].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    open(&run, &tools);
}

#[test]
fn hostile_names_do_nothing_in_a_browser() {
    let Some(tools) = tools() else { return };
    let dir = tempdir().unwrap();
    made::run_with(dir.path(), 60, 12, made::HOSTILE);
    open(dir.path(), &tools);
}
