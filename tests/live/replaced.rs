//! Files that are replaced while the sensor runs, as careful tools do it: the new one is written
//! beside the old, then takes its name.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::datagram;
use crate::file;
use crate::net::Net;
use crate::net::Sensor;
use crate::net::lines;
use crate::scratch;

/// What a sensor can be given, each at a path of its own.
const FILES: [(&str, &str); 3] =
    [("--config", "longhaul.toml"), ("--subjects", "staff.csv"), ("--pseudonymise", "key")];
const DIRS: [(&str, &str, &str); 4] = [
    ("--rules-only", "rules", "one.yml"),
    ("--lists", "lists", "own.txt"),
    ("--signatures", "signatures", "own.yaml"),
    ("--geo", "geo", "asn.mmdb"),
];

/// Puts a file in the place of another in one step.
fn put_file(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// Puts a directory with one file in the place of another.
fn put_dir(path: &Path, name: &str, content: &[u8]) {
    let (new, old) = (path.with_extension("new"), path.with_extension("old"));
    std::fs::create_dir(&new).unwrap();
    std::fs::write(new.join(name), content).unwrap();
    if path.exists() {
        std::fs::rename(path, &old).unwrap();
        std::fs::rename(&new, path).unwrap();
        std::fs::remove_dir_all(&old).unwrap();
    } else {
        std::fs::rename(&new, path).unwrap();
    }
}

/// Sound content of each, recognisable by `who`.
fn sound(what: &str, who: &str) -> Vec<u8> {
    let port = if who == "first" { 4_001 } else { 4_002 };
    let home = if who == "first" { "10.0.0.0/8" } else { "172.16.0.0/12" };
    match what {
        "longhaul.toml" => format!("home = [\"{home}\"]\n").into_bytes(),
        "staff.csv" => format!("match,id\n10.0.0.0/8,{who}\n").into_bytes(),
        "key" => format!("{who} key of many bytes\n").into_bytes(),
        "rules" => include_str!("rule.yml").replace("PORT", &port.to_string()).into_bytes(),
        "lists" => format!(
            "# name: own\n# tag: proxy\n# kind: prefix\n# source: {who}\n# date: 2026-11-22\n\
             # licence: Apache-2.0\n# category: proxy\n\n198.51.100.0/24\n"
        )
        .into_bytes(),
        "signatures" => format!(
            "- name: {who}\n  title: A tool\n  category: rmm\n  tag: rmm:{who}\n  source: \"test\"\n  \
             date: 2026-01-01\n  ports: [{port}/udp]\n"
        )
        .into_bytes(),
        "geo" => database(),
        other => panic!("{other}"),
    }
}

/// A MaxMind DB (version 2.0) of systems: one node, of which the half of addresses that begin with
/// a zero bit has a record.
fn database() -> Vec<u8> {
    // Type and length; a length from 29 on stands behind them.
    let text = |text: &str| match text.len() as u8 {
        short @ 0..29 => [&[0x40 | short], text.as_bytes()].concat(),
        long => [&[0x5d, long - 29], text.as_bytes()].concat(),
    };
    // An unsigned integer of 16 bits, one byte long.
    let pair = |name: &str, value: &[u8]| [&text(name), value].concat();
    let number = |name: &str, n: u8| pair(name, &[0xa1, n]);
    let words = |name: &str, word: &str| pair(name, &text(word));
    [
        // The first byte behind the separator; and nothing, which is the number of nodes.
        &[0, 0, 17, 0, 0, 1][..],
        &[0; 16],
        &[0xe2],
        &pair("autonomous_system_number", &[0xc2, 0xfc, 0x01]),
        &words("autonomous_system_organization", "Made here"),
        b"\xab\xcd\xefMaxMind.com\xe9",
        &number("binary_format_major_version", 2),
        &number("binary_format_minor_version", 0),
        &pair("build_epoch", &[0x04, 0x02, 0x68, 0xe7, 0x78, 0x00]),
        &words("database_type", "Made-ASN"),
        &pair("description", &[&[0xe1][..], &text("en"), &text("made")].concat()),
        &number("ip_version", 6),
        &pair("languages", &[&[0x01, 0x04][..], &text("en")].concat()),
        &pair("node_count", &[0xc1, 1]),
        &number("record_size", 24),
    ]
    .concat()
}

fn put_sound(dir: &Path, who: &str) {
    for (_, name) in FILES {
        put_file(&dir.join(name), &sound(name, who));
    }
    for (_, name, file) in DIRS {
        put_dir(&dir.join(name), file, &sound(name, who));
    }
}

fn arguments(dir: &Path, out: &str) -> Vec<String> {
    let path = |name: &str| dir.join(name).display().to_string();
    let files = FILES.iter().map(|(flag, name)| [(*flag).to_owned(), path(name)]);
    let dirs = DIRS.iter().map(|(flag, name, _)| [(*flag).to_owned(), path(name)]);
    let fixed = ["a0", "--out", out].map(str::to_owned);
    fixed.into_iter().chain(files.chain(dirs).flatten()).collect()
}

#[test]
fn a_file_replaced_by_a_rename_is_read() {
    let Some(net) = Net::new(1) else { return };
    let (scratch, out) = scratch();
    let dir: PathBuf = scratch.path().join("given");
    std::fs::create_dir(&dir).unwrap();
    put_sound(&dir, "first");
    let args = arguments(&dir, &out);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut sensor = Sensor::start(&args);
    // Each kind alone is wrong in its turn, so that what is said names it.
    let bad = b"[\x01 not\nwhat, it was: {";
    for (_, name) in FILES {
        put_file(&dir.join(name), if name == "key" { b"short" } else { bad });
        sensor.signal("HUP");
        let error = sensor.hears(name);
        assert!(error.contains("error:") && !error.contains("denied"), "{error}");
        sensor.hears("what was in force stays in force");
        put_file(&dir.join(name), &sound(name, "second"));
    }
    for (_, name, file) in DIRS {
        put_dir(&dir.join(name), file, bad);
        sensor.signal("HUP");
        let error = sensor.hears(file);
        assert!(error.contains("error:") && !error.contains("denied"), "{error}");
        sensor.hears("what was in force stays in force");
        put_dir(&dir.join(name), file, &sound(name, "second"));
    }
    sensor.signal("HUP");
    sensor.hears("reloaded: ");
    // The workers take it with the next mark; these sessions end with the run, after that.
    std::thread::sleep(Duration::from_millis(2_500));
    let talk = [datagram((2, 4_000), (102, 4_002), b"x"), datagram((102, 4_002), (2, 4_000), b"y")];
    net.send("b0", &talk);
    assert_eq!(sensor.end().0, Some(0));
    let sessions = lines(&file(&out, "sessions.ndjson"));
    let session = sessions.iter().find(|s| s["source"]["ip"] == "10.0.0.2").unwrap();
    assert_eq!(session["network"]["application"], "second", "{session:#}");
    assert_eq!(session["network"]["direction"], "external", "{session:#}");
    let alerts = lines(&file(&out, "alerts.ndjson"));
    assert!(alerts.iter().any(|alert| alert["destination"]["port"] == 4_002), "{alerts:#?}");
}
