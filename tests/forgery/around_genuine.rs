//! What forged packets add to genuine sessions of the same addresses: the demonstration's farm, and
//! packets under the addresses of everybody in it.

use super::one_packet::between;
use super::one_packet::fragmented;
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

/// A client outside, a server of ours, and the range that is told of the path, if any; no tunnel.
fn range_told(add: impl Fn(&mut Capture, SocketAddr, SocketAddr)) -> Option<(u64, u64)> {
    let (client, server) = (addr("203.0.113.20:40000"), addr("192.0.2.10:4433"));
    let mut capture = Capture::default();
    for (n, ends) in [(client, server), (server, client)].into_iter().enumerate() {
        // Each proves that it receives, far enough away for a tunnel.
        for (step, kind) in [[0, 1], [1, 1]].into_iter().enumerate() {
            let (from, to) = if step == 0 { ends } else { (ends.1, ends.0) };
            let at = START + (2 * n + step) as u64 * 80 * MS;
            capture.add(at, udp(from, to, &stun(kind, n as u8 + 1)));
        }
    }
    add(&mut capture, client, server);
    let said = read(&capture.sorted().pcap(), &["--quiet", "--home", "192.0.2.0/24"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!((said.sessions.len(), said.rules().len()), (1, 0), "{:?}", said.rules());
    let row = said.endpoints.iter().find(|row| *at(row, "endpoint.ip") == "203.0.113.20");
    let row = row.expect("a line for the client");
    assert_ne!(*at(row, "longhaul.tunnel.l3"), true);
    let bytes = |path| at(row, path).as_u64();
    bytes("longhaul.mtu.at_least").zip(bytes("longhaul.mtu.below"))
}

/// Under the address and ports of somebody's session over UDP.
#[test]
fn a_forged_fragment_tells_nothing_of_a_path() {
    let genuine = |capture: &mut Capture, client, server| {
        for n in 0..8u64 {
            capture.add(START + SECOND + n * 10 * MS, udp(client, server, &[5; 1_472]));
        }
    };
    let fragments =
        |capture: &mut Capture, ends: (SocketAddr, SocketAddr), bytes, seconds: &[u64]| {
            for (n, second) in seconds.iter().enumerate() {
                for (step, frame) in
                    fragmented(ends.0, ends.1, bytes, n as u16).into_iter().enumerate()
                {
                    capture.add(START + second * SECOND + step as u64 * MS, frame);
                }
            }
        };
    let first_alone = range_told(|capture, client, server| {
        genuine(capture, client, server);
        let [first, _] = fragmented(client, server, 1_420, 7);
        capture.add(START + 5 * SECOND, first);
    });
    assert_eq!(first_alone, None);
    let whole = range_told(|capture, client, server| {
        genuine(capture, client, server);
        fragments(capture, (client, server), 1_420, &[5]);
    });
    assert_eq!(whole, None);
    // What a client behind such a link sends is told, and hidden by no single datagram.
    for forged in [&[][..], &[7][..], &[30][..]] {
        let told = range_told(|capture, client, server| {
            fragments(capture, (client, server), 1_420, &[10, 75, 140, 205, 270]);
            fragments(capture, (client, server), 1_500, forged);
            if !forged.is_empty() {
                capture.add(START + 100 * SECOND, udp(client, server, &[5; 1_472]));
            }
        });
        assert_eq!(told, Some((1_420, 1_428)), "{forged:?}");
    }
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
