//! What forged packets add to genuine sessions of the same addresses: the demonstration's farm, and
//! packets under the addresses of everybody in it.

use super::one_packet::between;
use super::*;

/// Hosts outside that speak with ours in the demonstration: some accused, some not.
const OUTSIDE: [&str; 5] =
    ["24.30.20.77", "104.140.119.23", "101.160.20.35", "98.207.254.10", "203.0.113.99"];

/// 2026-11-23 01:58:20 UTC, just after the demonstration begins.
const BEGIN: u64 = 1_795_399_100 * SECOND;

fn demonstration() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/demo/farm.pcap.zst");
    zstd::decode_all(&std::fs::read(path).unwrap()[..]).unwrap()
}

/// The files together.
fn together(files: &[Vec<u8>]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    for (n, bytes) in files.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{n}.pcap")), bytes).unwrap();
    }
    let said = craft::read_path(folder.path(), &["--quiet", "--place", "IAD"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    said
}

/// Rule, level and subject of each alert.
fn accused_of(said: &Said) -> Vec<String> {
    let text = |alert, path| at(alert, path).as_str().unwrap_or_default().to_owned();
    let line = |alert| {
        ["rule.id", "log.level", "longhaul.subject.id"].map(|path| text(alert, path)).join(" ")
    };
    let mut lines: Vec<_> = said.alerts.iter().map(line).collect();
    lines.sort();
    lines
}

/// On each of five days, eight times, every packet that anybody can forge, under every address; to
/// services and from ports of services.
fn forged_for_days() -> (Capture, usize) {
    let mut capture = Capture::default();
    let mut count = 0;
    for (n, address) in OUTSIDE.into_iter().enumerate() {
        for round in 0..40 {
            let day = round / 8 * 86_400;
            let port = 20_000 + (n as u16) * 1_000 + round as u16;
            for (service, ports) in [(0, (port, 443)), (1, (port + 200, 3_478)), (2, (443, port))] {
                for (kind, case) in between(address, "10.20.0.10", ports).into_iter().enumerate() {
                    let second = day + round % 8 * 17 + kind as u64;
                    let begin = BEGIN + second * SECOND + (service * 7 + n as u64) * MS;
                    count += 1;
                    for (step, frame) in case.frames.into_iter().enumerate() {
                        capture.add(begin + step as u64 * 20 * MS, frame);
                    }
                }
            }
        }
    }
    (capture.sorted(), count)
}

#[test]
fn packets_that_anybody_can_forge_change_no_alert() {
    let alone = together(&[demonstration()]);
    let (forged, count) = forged_for_days();
    let said = together(&[demonstration(), forged.pcap()]);
    assert_eq!(accused_of(&said), accused_of(&alone), "{count} forged packets");
    let incidents = |said: &Said| {
        let subject = |one| at(one, "longhaul.subject.id").clone();
        said.incidents.iter().map(subject).collect::<Vec<_>>()
    };
    assert_eq!(incidents(&said), incidents(&alone));
    assert!(!alone.incidents.is_empty() && said.sessions.len() > alone.sessions.len() + 600);
}

/// Names of gateways that end connections for many people excuse a gateway's address, not whoever
/// asks for such a name.
#[test]
fn a_name_that_a_client_asks_for_excuses_nobody() {
    let (own, gateway) = (b"vpn.example.com", b"gw1.zscaler.net");
    let mut asked = demonstration();
    let places: Vec<usize> = memchr::memmem::find_iter(&asked, own).collect();
    for at in &places {
        asked[*at..*at + own.len()].copy_from_slice(gateway);
    }
    let (alone, said) = (together(&[demonstration()]), together(&[asked]));
    assert!(places.len() > 20);
    let tagged =
        said.sessions.iter().filter(|s| at(s, "longhaul.tags").to_string().contains("sase"));
    assert!(tagged.count() > 5);
    assert_eq!(accused_of(&said), accused_of(&alone));
    let physics = |line: &&String| line.starts_with("D03") || line.starts_with("D05");
    assert_eq!(accused_of(&said).iter().filter(physics).count(), 2);
}
