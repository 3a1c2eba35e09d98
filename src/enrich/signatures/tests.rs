//! Tests of signature files and of the embedded table.
//!
//! Owns: nothing. In: texts, the embedded table. Out: verdicts. Never: part of the program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::enrich::signatures::{EMBEDDED, build, file, load};
use crate::model::Error;

const HEAD: &str =
    "- name: a\n  title: A\n  category: rmm\n  tag: rmm:a\n  source: s\n  date: 2026-11-23\n";

fn errors(body: &str) -> Vec<(u32, String)> {
    let parsed = file::parse(Path::new("t.yaml"), &format!("{HEAD}{body}"));
    let place = |error: &Error| error.place.as_ref().map_or(0, |(_, line)| *line);
    parsed.err().iter().flatten().map(|error| (place(error), error.cause.clone())).collect()
}

#[test]
fn the_embedded_table_is_read_and_complete() {
    let table = load(None).unwrap();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/signatures");
    let on_disk: BTreeSet<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(on_disk, EMBEDDED.iter().map(|(name, _)| (*name).to_owned()).collect());
    assert_eq!(load(Some(&dir)).unwrap().applications, table.applications);
    for name in ["anydesk", "teamviewer", "rustdesk", "tailscale", "astrill", "pikvm", "ipidea"] {
        assert!(table.applications.iter().any(|have| &*have.name == name), "{name}");
    }
}

#[test]
fn every_wrong_line_is_named_with_its_line() {
    for (body, line, cause) in [
        ("  nmaes: [a.b]\n", 7, "no key"),
        ("  names: [com]\n", 7, "two labels"),
        ("  names:\n    - a.b\n    - 'com'\n", 9, "two labels"),
        ("  ports: [70000/tcp]\n", 7, "70000"),
        ("  ports: [80/icmp]\n", 7, "transport"),
        ("  payload:\n    - {transport: tcp, initiator: \"17\"}\n", 8, "fewer than 2"),
        ("  payload:\n    - {transport: tcp, initiator: \"17 24\"}\n", 8, "fewer than 4"),
        ("  payload:\n    - {transport: ip, initiator: \"17 24 11 30\"}\n", 8, "neither"),
        ("  payload:\n    - {initiator: \"17 24 11 30\"}\n", 8, "no `transport`"),
        ("  payload:\n    - {transport: tcp, initiator: \"17 2g 11 30\"}\n", 8, "no byte"),
        (
            "  payload:\n    - {transport: tcp, offset: 70, initiator: \"17 24 11 30\"}\n",
            8,
            "behind",
        ),
        ("  payload:\n    - {transport: tcp, side: x}\n", 8, "no key"),
        ("  protocols: [gopher]\n", 7, "no protocol"),
        ("  ja4: [t13d]\n", 7, "not a JA4"),
        ("  alpn: [h]\n", 7, "shorter"),
        ("  names: a.b\n", 7, "not a list"),
        ("", 1, "nothing tells"),
    ] {
        let found = errors(body);
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        let (at, why) = &found[0];
        assert!(*at == line && why.contains(cause), "{body}: {at} {why}");
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let found = errors("  nmaes: [a.b]\n  ports: [0/tcp]\n- name: b\n  tag: B\n");
    assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [7, 8, 9, 9, 9, 9, 10]);
}

#[test]
fn an_application_defined_twice_is_refused() {
    let one = format!("{HEAD}  names: [a.b]\n");
    let twice = file::parse(Path::new("t.yaml"), &format!("{one}{one}"));
    assert!(twice.err().unwrap()[0].cause.contains("already"));
    let files = ["x.yaml", "y.yaml"].map(|name| (PathBuf::from(name), one.clone()));
    assert!(build(&files).err().unwrap()[0].cause.contains("another file"));
}

#[test]
fn more_payload_signatures_than_fit_are_refused() {
    let line = "    - {transport: udp, initiator: \"17 24 11 30\"}\n";
    let text = format!("{HEAD}  payload:\n{}", line.repeat(65));
    let all = build(&[(PathBuf::from("x.yaml"), text)]);
    assert!(all.err().unwrap()[0].cause.contains("more than 64"));
}

#[test]
fn a_family_is_a_word() {
    let text = format!("{HEAD}  family: maker\n  names: [a.b]\n");
    let table = build(&[(PathBuf::from("x.yaml"), text)]).unwrap();
    assert_eq!(table.applications[0].family.as_deref(), Some("maker"));
    assert!(errors("  family: Two Words\n  names: [a.b]\n")[0].1.contains("characters"));
}
