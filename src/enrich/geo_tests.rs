//! Tests of the geo databases with real and corrupt files.
//!
//! Owns: nothing. In: the embedded databases, MMDB test files if available. Out: verdicts.
//! Never: part of the program.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::Reader;

use super::framed::Framed;
use super::geo::*;
use crate::model::Addr;

fn shared() -> PathBuf {
    std::env::var_os("LONGHAUL_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"))
}

fn test_files(folder: &str) -> Option<PathBuf> {
    let dir = shared().join("data/geo/maxmind-test").join(folder);
    if dir.is_dir() {
        return Some(dir);
    }
    println!("skipped: {} is not at hand", dir.display());
    None
}

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

/// Loads copies of the named files from a directory of their own.
fn load(from: &Path, names: &[&str]) -> Result<GeoDb, Vec<crate::model::Error>> {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let target = dir.path().join(Path::new(name).file_name().unwrap());
        std::fs::copy(from.join(name), target).unwrap();
    }
    GeoDb::load(dir.path())
}

fn country(db: &GeoDb, ip: &str) -> Option<String> {
    let found = db.find(Question::Place, addr(ip)).unwrap();
    let place = db.place(addr(ip), found.offset?).unwrap()?;
    place.country.as_deref().map(str::to_owned)
}

fn as_number(db: &GeoDb, ip: &str) -> Option<u32> {
    let found = db.find(Question::Asn, addr(ip)).unwrap();
    Some(db.asn(addr(ip), found.offset?).unwrap()?.number)
}

#[test]
fn the_embedded_databases_know_well_known_addresses() {
    let db = GeoDb::embedded().unwrap();
    assert_eq!(as_number(&db, "8.8.8.8"), Some(15169));
    assert_eq!(as_number(&db, "2001:4860:4860::8888"), Some(15169));
    assert_eq!(as_number(&db, "175.45.176.1"), Some(131279));
    assert_eq!(country(&db, "175.45.176.1").as_deref(), Some("KP"));
    assert_eq!(country(&db, "8.8.8.8").as_deref(), Some("US"));
    let place = db.find(Question::Place, addr("8.8.8.8")).unwrap().offset.unwrap();
    let place = db.place(addr("8.8.8.8"), place).unwrap().unwrap();
    assert_eq!(place.region.as_deref(), Some("US-CA"));
    assert!(place.location.is_some() && place.radius_km == Some(376.0));
    let builds: Vec<&str> = db.databases().map(|d| d.build.as_str()).collect();
    assert_eq!(builds, ["2026-06-05", "2026-06-17"]);
}

#[test]
fn the_framed_reader_agrees_with_the_general_one() {
    for packed in [
        include_bytes!("../../geo/asn.packed").as_slice(),
        include_bytes!("../../geo/region.packed").as_slice(),
    ] {
        let framed = Framed::open(packed).unwrap();
        let whole = Framed::open(packed).unwrap().whole().unwrap();
        let oracle = Reader::from_source(whole).unwrap();
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for i in 0..20_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(i.into());
            let probe = match i % 2 {
                // Every other one in few prefixes: their nodes are known already.
                0 if i % 4 == 0 => Addr::v4(((state >> 32) as u32).to_be_bytes()),
                0 => Addr::v4(((state >> 32) as u32 & 0x4700_ffff).to_be_bytes()),
                _ => Addr::v6(((0x2 << 124) | u128::from(state) << 58).to_be_bytes()),
            };
            let found = framed.find(probe).unwrap();
            let expected = oracle.lookup(probe.to_ip()).unwrap();
            assert_eq!(found.offset, expected.offset(), "{probe}");
            let len = expected.network().unwrap().prefix() + if i % 2 == 0 { 96 } else { 0 };
            assert_eq!(found.prefix_len, len, "{probe}");
            let Some(offset) = found.offset else { continue };
            let ours = super::schema::Row::from_fields(framed.record(offset).unwrap());
            let theirs = expected.decode::<super::schema::Row>().unwrap().unwrap();
            assert_eq!((ours.place(), ours.asn()), (theirs.place(), theirs.asn()), "{probe}");
        }
    }
}

#[test]
fn one_address_unpacks_few_frames() {
    let framed = Framed::open(include_bytes!("../../geo/region.packed")).unwrap();
    let (before, all) = framed.frames_unpacked();
    framed.find(addr("81.2.69.142")).unwrap();
    assert!(framed.frames_unpacked().0 - before <= 8 && all > 1_000);
}

#[test]
fn a_broken_embedded_database_is_an_error() {
    let whole: &'static [u8] = include_bytes!("../../geo/asn.packed");
    assert!(Framed::open(&whole[..whole.len() - 9]).is_err());
    assert!(Framed::open(&whole[1..]).is_err());
    assert!(Framed::open(&[]).is_err());
    assert!(Framed::open(b"not a database").is_err());
}

#[test]
fn maxmind_city_and_asn_files_give_the_published_values() {
    let Some(dir) = test_files("test-data") else { return };
    let names = ["GeoLite2-City-Test.mmdb", "GeoLite2-ASN-Test.mmdb", "GeoIP2-Country-Test.mmdb"];
    let db = load(&dir, &names).unwrap();
    let city = db.database(Question::Place).unwrap();
    assert_eq!((city.name.as_str(), city.answers.as_slice()), ("GeoLite2-City", &["place"][..]));
    assert_eq!(db.database(Question::Asn).unwrap().name, "GeoLite2-ASN");
    let found = db.find(Question::Place, addr("81.2.69.142")).unwrap();
    let place = db.place(addr("81.2.69.142"), found.offset.unwrap()).unwrap().unwrap();
    assert_eq!(place.country.as_deref(), Some("GB"));
    assert_eq!(place.region.as_deref(), Some("GB-ENG"));
    assert_eq!(place.location, Some((51.5142, -0.0931)));
    assert_eq!(place.radius_km, Some(10.0));
    assert_eq!(as_number(&db, "1.128.0.1"), Some(1221));
    assert_eq!(as_number(&db, "2600:6000::1"), Some(237));
    assert_eq!(country(&db, "203.0.113.1"), None);
}

#[test]
fn a_lookup_that_no_file_answers_uses_the_embedded_database() {
    let Some(dir) = test_files("test-data") else { return };
    let db = load(&dir, &["GeoLite2-Country-Test.mmdb"]).unwrap();
    assert_eq!(country(&db, "2.125.160.216").as_deref(), Some("GB"));
    assert_eq!(db.database(Question::Asn).unwrap().file, "embedded");
    assert_eq!(as_number(&db, "8.8.8.8"), Some(15169));
    let unrelated = load(&dir, &["GeoIP2-Domain-Test.mmdb"]).err().unwrap();
    assert!(unrelated[0].help.is_some());
}

#[test]
fn corrupt_files_are_refused_all_at_once() {
    let Some(dir) = test_files("bad-data") else { return };
    let mut bad = Vec::new();
    for folder in std::fs::read_dir(&dir).unwrap().flatten().filter(|e| e.path().is_dir()) {
        for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
            bad.push(file.path());
        }
    }
    assert!(bad.len() >= 20);
    let names: Vec<&str> = bad.iter().map(|path| path.to_str().unwrap()).collect();
    for name in &names {
        assert!(load(&dir, &[name]).is_err(), "{name} was taken");
    }
    let errors = load(&dir, &names).err().unwrap();
    assert!(errors.len() >= bad.len() - 1, "{} of {}", errors.len(), bad.len());
    assert!(errors.iter().all(|e| e.place.is_some() && e.help.is_some()));
}

#[test]
fn damaged_good_files_are_refused_too() {
    let Some(dir) = test_files("test-data") else { return };
    for name in [
        "GeoIP2-City-Test-Broken-Double-Format.mmdb",
        "GeoIP2-City-Test-Invalid-Node-Count.mmdb",
        "MaxMind-DB-test-broken-pointers-24.mmdb",
        "MaxMind-DB-test-broken-search-tree-24.mmdb",
    ] {
        assert!(load(&dir, &[name]).is_err(), "{name} was taken");
    }
}

#[test]
fn cut_files_never_panic() {
    let Some(dir) = test_files("test-data") else { return };
    let whole = std::fs::read(dir.join("GeoLite2-ASN-Test.mmdb")).unwrap();
    let temp = tempfile::tempdir().unwrap();
    for cut in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[cut] ^= 0x5a;
        std::fs::write(temp.path().join("a.mmdb"), &bytes).unwrap();
        if let Ok(db) = GeoDb::load(temp.path()) {
            let found = db.find(Question::Asn, addr("1.128.0.1"));
            let _ = found.map(|f| f.offset.map(|offset| db.asn(addr("1.128.0.1"), offset)));
        }
    }
}

#[test]
fn special_addresses_are_not_public() {
    for text in [
        "10.1.2.3",
        "172.31.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "0.0.0.0",
        "224.0.0.251",
        "255.255.255.255",
        "198.18.0.1",
        "fe80::1",
        "fd00::1",
        "::1",
        "::",
        "ff02::fb",
        "2001:db8::1",
        "203.0.113.9",
    ] {
        assert!(!is_public(addr(text)), "{text}");
    }
    for text in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "192.0.1.1"] {
        assert!(is_public(addr(text)), "{text}");
    }
}
