//! Databases made here, byte by byte, from the MaxMind DB File Format Specification 2.0.

use std::net::IpAddr;
use std::path::Path;

use super::geo::*;
use crate::model::{Addr, Error};

/// A control byte: type and size (section "Data Field Format"); types above 7 stand behind it.
fn control(kind: u8, size: usize) -> Vec<u8> {
    let bits = if kind > 7 { 0 } else { kind << 5 };
    let extended = (kind > 7).then(|| kind - 7);
    let (size, more) = if size < 29 { (size as u8, None) } else { (29, Some(size as u8 - 29)) };
    std::iter::once(bits | size).chain(extended).chain(more).collect()
}

fn text(text: &str) -> Vec<u8> {
    [control(2, text.len()), text.as_bytes().to_vec()].concat()
}

fn double(n: f64) -> Vec<u8> {
    [control(3, 8), n.to_be_bytes().to_vec()].concat()
}

fn whole(kind: u8, n: u64) -> Vec<u8> {
    let bytes = n.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(8);
    [control(kind, 8 - first), bytes[first..].to_vec()].concat()
}

fn map(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let pairs = pairs.iter().map(|(name, value)| [text(name), value.clone()].concat());
    [control(7, pairs.len()), pairs.collect::<Vec<_>>().concat()].concat()
}

fn array(values: &[Vec<u8>]) -> Vec<u8> {
    [control(11, values.len()), values.concat()].concat()
}

/// A search tree of 24-bit records over prefixes of IPv6, those of IPv4 below `::/96`, and the
/// data that they point to.
fn database(kind: &str, rows: &[(&str, u8, Vec<u8>)]) -> Vec<u8> {
    // A child is a node, or the row of a prefix.
    let mut nodes: Vec<[Option<Result<usize, usize>>; 2]> = vec![[None; 2]];
    for (row, (address, length, _)) in rows.iter().enumerate() {
        let (bits, length) = match address.parse().unwrap() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), length + 96),
            IpAddr::V6(v6) => (v6.to_bits(), *length),
        };
        let mut node = 0;
        for depth in 0..length {
            let bit = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == length {
                nodes[node][bit] = Some(Err(row));
            } else if let Some(Ok(next)) = nodes[node][bit] {
                node = next;
            } else {
                nodes[node][bit] = Some(Ok(nodes.len()));
                node = nodes.len();
                nodes.push([None; 2]);
            }
        }
    }
    let offset = |row: usize| rows[..row].iter().map(|(.., data)| data.len()).sum::<usize>();
    let mut out = Vec::new();
    for child in nodes.as_flattened() {
        let record = match child {
            None => nodes.len(),
            Some(Ok(node)) => *node,
            Some(Err(row)) => nodes.len() + 16 + offset(*row),
        };
        out.extend(&(record as u32).to_be_bytes()[1..]);
    }
    out.extend([0; 16]);
    rows.iter().for_each(|(.., data)| out.extend(data));
    out.extend(b"\xab\xcd\xefMaxMind.com");
    out.extend(map(&[
        ("binary_format_major_version", whole(5, 2)),
        ("binary_format_minor_version", whole(5, 0)),
        ("build_epoch", whole(9, 1_760_000_000)),
        ("database_type", text(kind)),
        ("description", map(&[("en", text("made"))])),
        ("ip_version", whole(5, 6)),
        ("languages", array(&[text("en")])),
        ("node_count", whole(6, nodes.len() as u64)),
        ("record_size", whole(5, 24)),
    ]));
    out
}

fn city() -> Vec<u8> {
    let row = map(&[
        ("country", map(&[("iso_code", text("GB"))])),
        ("subdivisions", array(&[map(&[("iso_code", text("ENG"))])])),
        (
            "location",
            map(&[
                ("latitude", double(51.5142)),
                ("longitude", double(-0.0931)),
                ("accuracy_radius", whole(5, 10)),
            ]),
        ),
    ]);
    let other = map(&[("country", map(&[("iso_code", text("NZ"))]))]);
    database("Made-City", &[("81.2.69.0", 24, row), ("2a02:1000::", 32, other)])
}

fn asn() -> Vec<u8> {
    let row = |number, name: &str| {
        map(&[
            ("autonomous_system_number", whole(6, number)),
            ("autonomous_system_organization", text(name)),
        ])
    };
    let rows =
        [("1.128.0.0", 11, row(64_512, "One")), ("2600:6000::", 20, row(4_200_000_000, "2"))];
    database("Made-ASN", &rows)
}

fn load(files: &[(&str, Vec<u8>)]) -> Result<GeoDb, Vec<Error>> {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(dir.path().join(Path::new(name)), bytes).unwrap();
    }
    GeoDb::load(dir.path())
}

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

fn country(db: &GeoDb, ip: &str) -> Option<String> {
    let found = db.find(Question::Place, addr(ip)).unwrap();
    Some(db.place(addr(ip), found.offset?).unwrap()?.country.as_deref()?.to_owned())
}

fn as_number(db: &GeoDb, ip: &str) -> Option<u32> {
    let found = db.find(Question::Asn, addr(ip)).unwrap();
    Some(db.asn(addr(ip), found.offset?).unwrap()?.number)
}

#[test]
fn made_databases_give_their_values() {
    let db = load(&[("c.mmdb", city()), ("a.mmdb", asn())]).map_err(|e| format!("{e:?}")).unwrap();
    assert_eq!(db.database(Question::Place).unwrap().name, "Made-City");
    assert_eq!(db.database(Question::Asn).unwrap().name, "Made-ASN");
    let found = db.find(Question::Place, addr("81.2.69.142")).unwrap();
    assert_eq!(found.prefix_len, 96 + 24);
    let place = db.place(addr("81.2.69.142"), found.offset.unwrap()).unwrap().unwrap();
    assert_eq!(place.country.as_deref(), Some("GB"));
    assert_eq!(place.region.as_deref(), Some("GB-ENG"));
    assert_eq!((place.location, place.radius_km), (Some((51.5142, -0.0931)), Some(10.0)));
    assert_eq!(country(&db, "2a02:1000::9").as_deref(), Some("NZ"));
    assert_eq!(as_number(&db, "1.159.255.255"), Some(64_512));
    assert_eq!(as_number(&db, "2600:6fff::1"), Some(4_200_000_000));
    for nobody in ["81.2.70.1", "8.8.8.8", "2a02:1001::1"] {
        assert_eq!((country(&db, nobody), as_number(&db, nobody)), (None, None), "{nobody}");
    }
}

#[test]
fn lookups_that_no_file_answers_use_the_embedded_databases() {
    let db = load(&[("c.mmdb", city())]).map_err(|e| format!("{e:?}")).unwrap();
    assert_eq!(country(&db, "81.2.69.1").as_deref(), Some("GB"));
    assert_eq!(country(&db, "8.8.8.8"), None, "the file answers, and has none");
    assert_eq!(db.database(Question::Asn).unwrap().file, "embedded");
    assert_eq!(as_number(&db, "8.8.8.8"), Some(15_169));
    let domains = [("8.8.8.0", 24, map(&[("domain", text("dns.example"))]))];
    let unrelated = load(&[("d.mmdb", database("Made-Domain", &domains))]).err().unwrap();
    assert!(unrelated[0].help.is_some());
}

#[test]
fn broken_files_are_refused_all_at_once() {
    let whole = asn();
    let halves = [0, 1, 60, whole.len() / 2, whole.len() - 200, whole.len() - 1];
    let mut files: Vec<(String, Vec<u8>)> =
        halves.iter().map(|cut| (format!("{cut}.mmdb"), whole[..*cut].to_vec())).collect();
    files.push(("text.mmdb".to_owned(), b"no database at all".to_vec()));
    let mut loop_back = whole.clone();
    // Both children of the root point far beyond the data.
    loop_back[..6].copy_from_slice(&[0xff; 6]);
    files.push(("pointer.mmdb".to_owned(), loop_back));
    let count = files.len();
    let files: Vec<(&str, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    for file in &files {
        assert!(load(std::slice::from_ref(file)).is_err(), "{} was taken", file.0);
    }
    let errors = load(&files).err().unwrap();
    assert_eq!(errors.len(), count, "{errors:#?}");
    assert!(errors.iter().all(|e| e.place.is_some() && e.help.is_some()));
}

#[test]
fn no_damage_makes_a_look_up_panic() {
    let whole = asn();
    for at in (0..whole.len()).step_by(5) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x5a;
        if let Ok(db) = load(&[("a.mmdb", bytes)]) {
            let found = db.find(Question::Asn, addr("1.128.0.1"));
            let _ = found.map(|f| f.offset.map(|offset| db.asn(addr("1.128.0.1"), offset)));
        }
    }
}

/// Of MaxMind, of MaxMind's residential proxies, and of IPinfo, which writes texts.
#[test]
fn databases_of_anonymous_networks_become_lists() {
    let yes = || control(14, 1);
    let read = |kind: &str, rows: &[(&str, u8, Vec<u8>)]| {
        let bytes = database(kind, rows);
        let (form, feed) = crate::enrich::intel::read(Path::new("a.mmdb"), &bytes, None).unwrap();
        assert_eq!((form.as_str(), feed.date.as_deref()), ("mmdb", Some("2025-10-09")));
        let line = |one: &crate::enrich::intel::Indicator| {
            format!("{} {}", one.key, one.tag.as_deref().unwrap_or_default())
        };
        let lines: Vec<String> = feed.indicators.iter().map(line).collect();
        (lines, feed.left_out.len())
    };
    let vpn = map(&[("is_anonymous_vpn", yes()), ("provider_name", text("Nord VPN"))]);
    let two = map(&[("is_tor_exit_node", yes()), ("is_hosting_provider", yes())]);
    let none = map(&[("is_anonymous_vpn", control(14, 0))]);
    let rows = [("81.2.69.0", 24, vpn), ("2a02:1000::", 32, two), ("1.0.0.0", 8, none)];
    let (lines, left) = read("GeoIP2-Anonymous-IP", &rows);
    let want = ["81.2.69.0/24 vpn:nord-vpn", "2a02:1000::/32 tor", "2a02:1000::/32 hosting"];
    let mut sorted = lines.clone();
    sorted.sort();
    let mut want = want.map(str::to_owned).to_vec();
    want.sort();
    assert_eq!((sorted, left), (want, 1));
    let row = map(&[("service", text("Some Proxy")), ("percent_days_seen", whole(5, 3))]);
    let (lines, _) = read("ipinfo resproxy", &[("81.2.69.0", 24, row)]);
    assert_eq!(lines, ["81.2.69.0/24 proxy:some-proxy"]);
    let row = map(&[("vpn", text("true")), ("proxy", text("")), ("service", text("X"))]);
    let (lines, _) = read("ipinfo privacy", &[("81.2.69.0", 24, row)]);
    assert_eq!(lines, ["81.2.69.0/24 vpn:x"]);
    // Cut off anywhere, it is refused or says less; it never panics.
    let bytes = database("GeoIP2-Anonymous-IP", &rows);
    for cut in 0..bytes.len() {
        let _ = crate::enrich::intel::read(Path::new("a.mmdb"), &bytes[cut..], None);
        let form = Some(crate::enrich::intel::Form::Mmdb);
        let _ = crate::enrich::intel::read(Path::new("a.mmdb"), &bytes[..cut], form);
    }
}
