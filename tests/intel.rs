//! `longhaul intel` as a person uses it: feeds in, lists out, and a run that reads them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test that cannot go on fails"
)]

mod common;
mod craft;

use std::fs;
use std::path::Path;

use craft::{Connection, SECOND, client_hello, server_hello};
use serde_json::Value;

/// What the program printed, if it ended so.
fn said(args: &[&str], code: i32) -> (String, String) {
    let out = common::longhaul(args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
    assert_eq!(out.status.code(), Some(code), "{stdout}{stderr}");
    (stdout, stderr)
}

fn import<'a>(feed: &'a str, into: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let given = ["--name", "mine", "--licence", "MIT", "--source", "test", "--date", "2026-11-20"];
    [&["intel", "import", feed, "--into", into], &given[..], more].concat()
}

#[test]
fn an_imported_feed_tags_sessions_and_a_bad_one_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let (feed, lists) = (path("feed.csv"), path("lists"));
    fs::write(&feed, "provider,ip_or_cidr\nMy VPN,203.0.113.0/24\n").unwrap();
    let (stdout, _) = said(&import(&feed, &lists, &["--tag", "vpn:my"]), 0);
    assert!(stdout.contains("csv") && stdout.contains("mine-prefix.txt: 1 entry"), "{stdout}");

    let (found, _) = said(&["intel", "search", "203.0.113.9", "--lists", &lists, "--json"], 0);
    let found: Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
    assert_eq!(found["tag"], "vpn:my");
    assert_eq!(found["list"]["licence"], "MIT");
    let (none, _) = said(&["intel", "search", "192.0.2.200", "--lists", &lists], 0);
    assert!(none.contains("on no list"), "{none}");

    let mut visit = Connection::new("203.0.113.9:50000", "10.0.0.1:443");
    visit.open().ask(&client_hello("vpn.example.com")).answer(&server_hello());
    let capture = visit.wait(90 * SECOND).ask(b"more").close();
    let run = craft::read(&capture.pcap(), &["--lists", &lists]);
    assert_eq!(run.sessions[0]["longhaul"]["tags"], serde_json::json!(["vpn:my"]));
    assert_eq!(run.sessions[0]["longhaul"]["source"]["tags"], serde_json::json!(["vpn:my"]));
    assert!(run.rules().contains(&("D01".to_owned(), "low".to_owned())), "{:?}", run.rules());

    let before = fs::read(Path::new(&lists).join("mine-prefix.txt")).unwrap();
    fs::write(&feed, "provider,ip_or_cidr\nMy VPN,203.0.113.0/24\nMy VPN,\"open\n").unwrap();
    let bad = path("bad.txt");
    fs::write(&bad, "203.0.113.0/24\nnonsense\n").unwrap();
    let (_, stderr) = said(&import(&bad, &lists, &[]), 2);
    assert!(stderr.contains("bad.txt:2:") && stderr.contains("help:"), "{stderr}");
    let (_, stderr) = said(&["intel", "check", &bad], 2);
    assert!(stderr.contains("bad.txt:2:"), "{stderr}");
    assert_eq!(fs::read(Path::new(&lists).join("mine-prefix.txt")).unwrap(), before);
    let left: Vec<_> = fs::read_dir(&lists).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["mine-prefix.txt"], "nothing half-written stays");
}

#[test]
fn a_weight_decays_by_its_half_life() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let (feed, lists) = (path("feed.txt"), path("lists"));
    fs::write(&feed, "203.0.113.0/24\nbad.example\nAS64500\n").unwrap();
    let days = ["--weight", "0.8", "--half-life", "10"];
    let old: Vec<&str> = import(&feed, &lists, &days)
        .into_iter()
        .map(|word| if word == "2026-11-20" { "2020-01-01" } else { word })
        .collect();
    said(&old, 0);
    let (table, _) = said(&["intel", "check", &lists], 0);
    let lines: Vec<&str> = table.lines().skip(1).collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines.iter().all(|line| line.contains("0.00") && line.contains("MIT")), "{table}");
    // A list's age is of today, a list of the future is not old.
    let new: Vec<&str> = import(&feed, &lists, &days)
        .into_iter()
        .map(|word| if word == "2026-11-20" { "2099-01-01" } else { word })
        .collect();
    said(&new, 0);
    let (table, _) = said(&["intel", "check", &lists], 0);
    assert!(table.lines().skip(1).all(|line| line.contains("0.80")), "{table}");
    let bad = import(&feed, &lists, &["--half-life", "0"]);
    let (_, stderr) = said(&bad, 2);
    assert!(stderr.contains("half-life"), "{stderr}");
}

#[test]
fn databases_of_others_are_read() {
    let Some(folder) = common::shared("data/geo/maxmind-test/test-data") else { return };
    for (file, tag) in [
        ("GeoIP2-Anonymous-IP-Test.mmdb", "vpn"),
        ("GeoIP-Anonymous-Plus-Test.mmdb", "vpn"),
        ("GeoIP-Residential-Proxy-Test.mmdb", "proxy"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let feed = folder.join(file);
        let args = import(feed.to_str().unwrap(), root.path().to_str().unwrap(), &[]);
        said(&args, 0);
        let text = fs::read_to_string(root.path().join("mine-prefix.txt")).unwrap();
        assert!(text.lines().any(|line| line.contains(tag)), "{file}: {text}");
    }
    let plain = folder.join("GeoIP2-City-Test.mmdb");
    let (_, stderr) = said(&["intel", "check", plain.to_str().unwrap()], 2);
    assert!(stderr.contains("hide nobody"), "{stderr}");
}
