//! Tests of list files and of the default lists.
//!
//! Owns: nothing. In: list texts, the default lists. Out: verdicts. Never: part of the program.

use std::net::IpAddr;
use std::path::Path;

use super::geo::{GeoDb, Question};
use super::list_file;
use super::lists::{Kind, Lists};
use crate::model::{Addr, Error, Nanos, Transport};

const HEAD: &str = "# name: t\n# source: s\n# date: 2026-11-22\n# licence: CC0-1.0\n";

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

fn parse(kind: &str, body: &str) -> Result<list_file::ListFile, Vec<Error>> {
    list_file::parse(Path::new("t.txt"), &format!("{HEAD}# kind: {kind}\n{body}"))
}

fn tags(lists: &Lists, name: &str) -> Vec<String> {
    let mut tags = Vec::new();
    lists.for_each_by_name(name, |entry| tags.push(entry.tag.to_string()));
    tags
}

#[test]
fn the_default_lists_are_read_and_complete() {
    let lists = Lists::load(None).unwrap();
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/lists"));
    let on_disk: std::collections::BTreeSet<String> =
        files.unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
    let embedded = list_file::DEFAULTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(on_disk, embedded, "list files on disk and in the program differ");
    assert!(lists.infos().iter().all(|info| info.entries > 0 && info.built_at > Nanos::ZERO));
    let hosting = lists.infos().iter().find(|info| &*info.name == "hosting-asn").unwrap();
    assert!(hosting.entries >= 60 && hosting.kind == Kind::Asn);
}

#[test]
fn known_indicators_match_with_tag_and_application() {
    let lists = Lists::load(None).unwrap();
    assert_eq!(tags(&lists, "relay-0a1b2c3d.net.anydesk.com"), ["rmm:anydesk", "rmm:anydesk"]);
    assert_eq!(tags(&lists, "rs-ny.rustdesk.com"), ["rmm:rustdesk"]);
    assert_eq!(tags(&lists, "remotedesktop-pa.googleapis.com"), ["rmm:chrome-remote-desktop"]);
    assert_eq!(tags(&lists, "www.astrill.com"), ["vpn:astrill"]);
    assert_eq!(tags(&lists, "api.jetkvm.com").first().map(String::as_str), Some("kvm:jetkvm"));
    assert!(tags(&lists, "www.google.com").is_empty());
    let astrill = lists.by_address(addr("104.140.119.77")).next().unwrap();
    assert_eq!((&*astrill.tag, &*astrill.text), ("vpn:astrill", "104.140.119.0/24"));
    let sanctioned = lists.by_address(addr("175.45.177.1")).next().unwrap();
    assert_eq!(&*sanctioned.tag, "list:sanctioned");
    assert!(lists.by_address(addr("175.45.180.1")).next().is_none());
    assert_eq!(&*lists.by_asn(14593).next().unwrap().tag, "satellite");
    let port = lists.by_port(Transport::TCP, 5938).next().unwrap();
    assert_eq!(port.application.as_deref(), Some("teamviewer"));
    assert!(lists.by_port(Transport::UDP, 7070).next().is_none());
}

#[test]
fn columns_take_the_place_of_the_header() {
    let file =
        parse("name", "# application: tool\n# tag: rmm\na.com\nb.com rmm:bee\nc.com x sea\n");
    let file = file.unwrap();
    let read: Vec<(&str, Option<&str>)> =
        file.lines.iter().map(|line| (&*line.tag, line.application.as_deref())).collect();
    assert_eq!(read, [("rmm", Some("tool")), ("rmm:bee", Some("bee")), ("x", Some("sea"))]);
    let untagged = parse("prefix", "192.0.2.0/24 # why\n").unwrap();
    assert_eq!((&*untagged.info.tag, untagged.info.entries), ("list:t", 1));
}

#[test]
fn every_error_names_its_line() {
    let lines = |kind, body: &str| -> Vec<u32> {
        let errors = parse(kind, body).err().unwrap();
        assert!(errors.iter().all(|e| e.help.is_some()));
        errors.iter().map(|e| e.place.as_ref().unwrap().1).collect()
    };
    assert_eq!(lines("prefix", "10.0.0.1/8\n\n10.0.0.0/8\n300.0.0.0/8\n"), [6, 9]);
    assert_eq!(lines("name", "com\na.com a b c\na.com BAD\n*x.com\n"), [6, 7, 8, 9]);
    assert_eq!(lines("asn", "AS0\nASx\n+5\n4294967296\n"), [6, 7, 8, 9]);
    assert_eq!(lines("port", "80\n0/tcp\n65536/udp\n80/sctp\n"), [6, 7, 8, 9]);
    assert_eq!(lines("asn", "# date: 2026-02-30\n# weight: 2\n"), [6, 7]);
    let bare = list_file::parse(Path::new("t.txt"), "10.0.0.0/8\n").err().unwrap();
    assert_eq!(bare.len(), 5);
}

#[test]
fn own_lists_replace_defaults_of_the_same_name_and_all_errors_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let head = HEAD.replace("name: t", "name: sanctioned");
    std::fs::write(dir.path().join("a.txt"), format!("{head}# kind: prefix\n198.51.100.0/24\n"))
        .unwrap();
    let lists = Lists::load(Some(dir.path())).unwrap();
    assert!(lists.by_address(addr("175.45.177.1")).next().is_none());
    assert_eq!(&*lists.by_address(addr("198.51.100.7")).next().unwrap().tag, "list:sanctioned");
    assert!(lists.infos().is_sorted_by(|a, b| a.name < b.name));
    std::fs::write(dir.path().join("b.txt"), "nonsense\n").unwrap();
    std::fs::write(dir.path().join("c.txt"), [0xff, 0xfe]).unwrap();
    let errors = Lists::load(Some(dir.path())).err().unwrap();
    assert_eq!(errors.len(), 6);
    std::fs::write(dir.path().join("b.txt"), format!("{head}# kind: asn\n7\n")).unwrap();
    std::fs::remove_file(dir.path().join("c.txt")).unwrap();
    let errors = Lists::load(Some(dir.path())).err().unwrap();
    assert!(errors[0].cause.contains("taken"), "{}", errors[0]);
}

#[test]
fn a_line_that_repeats_another_is_left_out_and_a_key_has_a_bounded_number() {
    let equal = "192.0.2.0/24\n2001:db8::/32\n2001:0db8:0::/32\n192.0.2.0/24 a\n".repeat(1_000);
    assert_eq!(parse("prefix", &equal).unwrap().info.entries, 3);
    assert_eq!(
        parse("name", &"A.example\na.Example.\n=a.example\n".repeat(9)).unwrap().lines.len(),
        2
    );
    assert_eq!(parse("asn", "AS64500\n64500\n64501\n").unwrap().lines.len(), 2);
    let tags =
        |count: usize| (0..count).map(|n| format!("192.0.2.0/24 t{n}\n")).collect::<String>();
    assert_eq!(parse("prefix", &tags(16)).unwrap().info.entries, 16);
    let errors = parse("prefix", &tags(17)).err().unwrap();
    assert!(
        errors[0].to_string().contains("`192.0.2.0/24` stands more than 16 times"),
        "{errors:?}"
    );
}

/// Who rents a server beside a relay must not pass for one: a relay lets a rule stay quiet.
#[test]
fn no_relay_prefix_holds_addresses_of_a_network_that_rents_servers() {
    let (lists, geo) = (Lists::load(None).unwrap(), GeoDb::embedded().unwrap());
    let text = include_str!("../../rules/lists/relay-prefixes.txt");
    let prefixes = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut rented = Vec::new();
    for line in prefixes {
        let (prefix, length) = line.split_whitespace().next().unwrap().split_once('/').unwrap();
        let (bits, length): (u32, u32) =
            (if prefix.contains(':') { 128 } else { 32 }, length.parse().unwrap());
        let first = match prefix.parse().unwrap() {
            IpAddr::V4(ip) => u128::from(u32::from(ip)),
            IpAddr::V6(ip) => u128::from(ip),
        };
        // 4,096 addresses, evenly spread.
        let step = (bits - length).saturating_sub(12);
        for n in 0..1u128 << (bits - length - step) {
            let at = first + (n << step);
            let ip =
                if bits == 32 { IpAddr::V4((at as u32).into()) } else { IpAddr::V6(at.into()) };
            let found = geo.find(Question::Asn, ip.into()).unwrap().offset;
            let network = found.and_then(|offset| geo.asn(ip.into(), offset).unwrap());
            let Some(network) = network else { continue };
            if lists.by_asn(network.number).any(|entry| &*entry.tag == "hosting") {
                rented.push(format!("{ip} in {line}: AS{}", network.number));
            }
        }
    }
    assert!(rented.is_empty(), "{} addresses, the first {:?}", rented.len(), rented.first());
}
