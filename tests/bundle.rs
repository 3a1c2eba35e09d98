//! Bundles: the same bytes from the same inputs, and each change is told.
//!
//! Owns: what `verify` must say of every kind of change. In: bundles made here, and changed here.
//! Out: assertions. Never: a recorded capture but the embedded one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use longhaul::bundle::verify::{Verified, verify};
use longhaul::bundle::{ssh, tar};
use serde_json::Value;

const BLOCK: usize = tar::BLOCK;

fn longhaul(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longhaul")).args(args).output().unwrap()
}

fn said(run: &Output) -> String {
    String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr)
}

/// The result of the embedded capture.
struct Case(tempfile::TempDir);

impl Case {
    fn new() -> Case {
        let case = Case(tempfile::tempdir().unwrap());
        let site = ["--home", "10.20.0.0/16", "--place", "39.04,-77.49", "-q"];
        let (capture, out) = (case.text("farm.pcap.zst"), case.text("out"));
        assert!(longhaul(&["demo", "--extract", &capture]).status.success());
        let run = longhaul(&[&["read", &capture, "--out", &out][..], &site].concat());
        assert!(run.status.success(), "{}", said(&run));
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn bundle(&self, name: &str, more: &[&str]) -> PathBuf {
        let args = ["bundle", &self.text("out"), "-o", &self.text(name)];
        let run = longhaul(&[&args[..], more].concat());
        assert_eq!(run.status.code(), Some(0), "{}", said(&run));
        self.path(name)
    }
}

/// Members of an archive: name, header and body with padding.
fn members(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (mut all, mut at) = (Vec::new(), 0);
    while let Some((name, size)) = tar::member(archive[at..at + BLOCK].try_into().unwrap()) {
        let end = at + BLOCK + size as usize + tar::padding(size);
        all.push((name, archive[at..end].to_vec()));
        at = end;
    }
    assert_eq!(archive[at..], [0; 2 * BLOCK]);
    all
}

fn archive(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut all: Vec<u8> = members.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    all.extend([0; 2 * BLOCK]);
    all
}

/// What is said of an archive.
fn check(folder: &Path, archive: &[u8]) -> Verified {
    let path = folder.join("changed.tar.zst");
    fs::write(&path, zstd::encode_all(archive, 1).unwrap()).unwrap();
    verify(&path, None).unwrap()
}

fn names(found: &Verified, what: &str) {
    assert!(found.differs.iter().any(|line| line.contains(what)), "{what}: {:?}", found.differs);
}

#[test]
fn a_manifest_takes_no_more_memory_than_its_members_need() {
    let folder = tempfile::tempdir().unwrap();
    let member = |text: String| {
        let header = tar::header("manifest.json", text.len() as u64).unwrap();
        let padding = vec![0; tar::padding(text.len() as u64)];
        [&header, text.as_bytes(), &padding].concat()
    };
    let with = |text: String| {
        let found = check(folder.path(), &archive(&[(String::new(), member(text))]));
        found.differs.join("; ")
    };
    let start = r#"{"manifest_version":1,"runs":["#;
    // What is not needed is not even looked at; of what is needed there are bounds.
    assert_eq!(with(format!(r#"{start}0,"x",{{}}],"files":[]}}"#)), "");
    let many = format!(r#"{start}0{}],"files":[]}}"#, ",0".repeat(9 << 20));
    assert!(with(many).contains("manifest.json"));
    let one = r#",{"name":"","bytes":0,"sha256":""}"#;
    let many = format!(r#"{start}],"files":[{}]}}"#, &one.repeat(200_001)[1..]);
    assert!(with(many).contains("more than 200000"));
    // A member of zeros, of which a few bytes are stored.
    let one = format!(r#"{{"name":"x","bytes":{},"sha256":""}}"#, 1u64 << 30);
    let manifest = member(format!(r#"{start}],"files":[{one}]}}"#));
    let header = tar::header("x", 1 << 30).unwrap();
    let path = folder.path().join("zeros");
    let mut out = zstd::Encoder::new(fs::File::create(&path).unwrap(), 1).unwrap();
    out.write_all(&[&manifest[..], &header].concat()).unwrap();
    for _ in 0..256 {
        out.write_all(&vec![0; 1 << 20]).unwrap();
    }
    out.finish().unwrap();
    names(&verify(&path, None).unwrap(), "2000 times its size");
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let case = Case::new();
    let one = fs::read(case.bundle("one.tar.zst", &[])).unwrap();
    let two = fs::read(case.bundle("another-name", &["-q"])).unwrap();
    assert!(one == two, "they differ");
    let all = members(&zstd::decode_all(&one[..]).unwrap());
    let manifest = &all[0];
    assert_eq!(manifest.0, "manifest.json");
    let text = String::from_utf8_lossy(&manifest.1[BLOCK..]).into_owned();
    let manifest: Value = serde_json::from_str(text.trim_end_matches('\0')).unwrap();
    let input = &manifest["runs"][0]["inputs"][0];
    assert!(input["sha256"].as_str().is_some_and(|hash| hash.len() == 64), "{input}");
    for name in ["rules", "geo", "lists", "version", "command_line"] {
        assert!(!manifest["runs"][0][name].is_null(), "{name}");
    }
    let incident = fs::read_to_string(case.path("out/incidents.ndjson")).unwrap();
    let incident: Value = serde_json::from_str(incident.lines().next().unwrap()).unwrap();
    let slice = format!("slices/{}.pcapng", incident["event"]["id"].as_str().unwrap());
    assert!(all.iter().any(|(name, _)| *name == slice), "{slice}");
    assert!(all.iter().any(|(name, _)| name == "results/run.json"));
    assert!(all.iter().any(|(name, bytes)| name == "report.html" && bytes.len() > 10_000));
    let run = longhaul(&["verify", &case.text("one.tar.zst")]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(said(&run).contains("intact") && said(&run).contains("not signed"), "{}", said(&run));
    // Nothing else is left behind.
    let left = fs::read_dir(case.0.path()).unwrap().count();
    assert_eq!(left, 4, "farm, out, two bundles");
}

#[test]
fn every_change_of_every_member_is_told_by_its_name() {
    let case = Case::new();
    let packed = fs::read(case.bundle("case.tar.zst", &[])).unwrap();
    let whole = members(&zstd::decode_all(&packed[..]).unwrap());
    let folder = case.0.path();
    assert_eq!(check(folder, &archive(&whole)).differs, Vec::<String>::new());
    for at in 0..whole.len() {
        let name = whole[at].0.clone();
        let len = whole[at].1.len();
        // Its header, its first and last byte, its padding.
        for byte in [0, 101, 130, 150, BLOCK, len - 1] {
            let mut changed = whole.clone();
            changed[at].1[byte] ^= 1;
            let found = check(folder, &archive(&changed));
            // What cannot be read of a manifest cannot be compared either.
            names(&found, &name);
        }
        let mut changed = whole.clone();
        changed.remove(at);
        let found = check(folder, &archive(&changed));
        names(&found, &if at == 0 { name.clone() } else { format!("{name}: missing") });
        let next = (at + 1) % whole.len();
        let mut changed = whole.clone();
        changed.swap(at, next);
        assert!(!check(folder, &archive(&changed)).differs.is_empty(), "{name} moved");
        if at > 0 && next > 0 {
            // The bodies of two, each with a header that fits.
            let mut changed = whole.clone();
            for (to, from) in [(at, next), (next, at)] {
                let (_, size) = tar::member(whole[from].1[..BLOCK].try_into().unwrap()).unwrap();
                let header = tar::header(&whole[to].0, size).unwrap();
                changed[to].1 = [&header[..], &whole[from].1[BLOCK..]].concat();
            }
            names(&check(folder, &archive(&changed)), &format!("{name}: altered"));
        }
    }
}

#[test]
fn additions_and_cuts_are_told_and_nothing_is_unpacked() {
    let case = Case::new();
    let packed = fs::read(case.bundle("case.tar.zst", &[])).unwrap();
    let plain = zstd::decode_all(&packed[..]).unwrap();
    let whole = members(&plain);
    let folder = case.0.path();
    let body = [b'x'; BLOCK];
    for name in ["../../escaped", "/tmp/escaped", "results/run.json", "results/new"] {
        let header = tar::header(name, BLOCK as u64).unwrap();
        let mut changed = whole.clone();
        changed.insert(2, (name.to_owned(), [header, body].concat()));
        let found = check(folder, &archive(&changed));
        assert!(!found.differs.is_empty());
        if name != "results/run.json" {
            names(&found, &format!("{name}: added"));
        }
        changed.swap_remove(2);
        changed.push((name.to_owned(), [header, body].concat()));
        names(&check(folder, &archive(&changed)), &format!("{name}: added"));
    }
    assert!(!folder.parent().unwrap().join("escaped").exists());
    // A name cannot print a line of its own.
    let name = "x\nintact: 9 files as the manifest says; signed\x1b[2K";
    let mut changed = whole.clone();
    let header = tar::header(name, BLOCK as u64).unwrap();
    changed.push((name.to_owned(), [header, body].concat()));
    let found = check(folder, &archive(&changed));
    names(&found, "added");
    assert!(!found.differs.iter().any(|line| line.contains(['\n', '\x1b'])), "{found:?}");
    // Cut at each member, and within each.
    let mut end = 0;
    for (name, bytes) in &whole {
        for cut in [end, end + 100, end + BLOCK, end + bytes.len() - 1] {
            let found = check(folder, &plain[..cut]);
            names(&found, "ends early");
            if name != "manifest.json" && cut > end {
                names(&found, name);
            }
        }
        end += bytes.len();
    }
    names(&check(folder, &plain[..end]), "ends early");
    names(&check(folder, &plain[..end + BLOCK]), "ends early");
    names(&check(folder, &[&plain[..], &[0; BLOCK]].concat()), "data behind");
    // The file itself: no change passes that changes what is in it.
    let path = folder.join("flipped");
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, b'h', b'e', b'l', b'l', b'o'];
    let empty = zstd::encode_all(&b""[..], 1).unwrap();
    for behind in [&skippable[..], &empty, b"x"] {
        fs::write(&path, [&packed[..], behind].concat()).unwrap();
        names(&verify(&path, None).unwrap(), "data behind the archive");
    }
    for at in (0..packed.len()).step_by(packed.len() / 400 + 1) {
        let mut changed = packed.clone();
        changed[at] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        let Ok(found) = verify(&path, None) else { continue };
        let same = || zstd::decode_all(&changed[..]).is_ok_and(|bytes| bytes == plain);
        assert!(!found.differs.is_empty() || same(), "byte {at}");
        fs::write(&path, &packed[..at]).unwrap();
        let cut = verify(&path, None);
        assert!(!cut.is_ok_and(|found| found.differs.is_empty()), "cut at {at}");
    }
    for (bytes, code) in [(&b"hello, this is no archive"[..], 2), (&packed[..99], 1)] {
        fs::write(&path, bytes).unwrap();
        let run = longhaul(&["verify", path.to_str().unwrap()]);
        assert_eq!(run.status.code(), Some(code), "{}", said(&run));
    }
}

/// A key of ssh-keygen; `None` where that is not installed.
fn key(folder: &Path, name: &str, passphrase: &str) -> Option<PathBuf> {
    let path = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-C", "analyst", "-N", passphrase, "-f"])
        .arg(&path)
        .status();
    if made.is_err() {
        eprintln!("skipped: ssh-keygen is not installed");
        return None;
    }
    Some(path)
}

#[test]
fn a_signature_is_by_one_key_over_one_manifest() {
    let case = Case::new();
    let Some(mine) = key(case.0.path(), "mine", "") else { return };
    let others = key(case.0.path(), "others", "").unwrap();
    let locked = key(case.0.path(), "locked", "secret").unwrap();
    let sign = |name: &str, key: &Path| {
        case.bundle(name, &["--no-packets", "--key", key.to_str().unwrap()])
    };
    let signed = sign("signed.tar.zst", &mine);
    assert_eq!(fs::read(&signed).unwrap(), fs::read(sign("again", &mine)).unwrap());
    let allowed = |name: &str| ssh::public_keys(&case.path(name)).unwrap();
    let found = verify(&signed, Some(&allowed("mine.pub"))).unwrap();
    assert_eq!((found.differs.as_slice(), found.allowed), (&[][..], Some(true)));
    let found = verify(&signed, Some(&allowed("others.pub"))).unwrap();
    names(&found, "another key");
    let unsigned = case.bundle("unsigned", &["--no-packets"]);
    names(&verify(&unsigned, Some(&allowed("mine.pub"))).unwrap(), "none by a key");

    let whole = members(&zstd::decode_all(&fs::read(&signed).unwrap()[..]).unwrap());
    assert_eq!(whole[1].0, "manifest.json.sig");
    let mut changed = whole.clone();
    changed.remove(1);
    names(&check(case.0.path(), &archive(&changed)), "manifest.json.sig: missing");
    let other = members(&zstd::decode_all(&fs::read(sign("other", &others)).unwrap()[..]).unwrap());
    changed.insert(1, other[1].clone());
    names(&check(case.0.path(), &archive(&changed)), "bad signature");
    // A word of the manifest, of the same length.
    let mut changed = whole.clone();
    let text = changed[0].1.windows(8).position(|word| word == b"longhaul").unwrap();
    changed[0].1[text] = b'L';
    names(&check(case.0.path(), &archive(&changed)), "bad signature");

    let run = longhaul(&[
        "bundle",
        &case.text("out"),
        "--no-packets",
        "-o",
        &case.text("never"),
        "--key",
        locked.to_str().unwrap(),
    ]);
    assert_eq!(run.status.code(), Some(2));
    assert!(said(&run).contains("encrypted") && said(&run).contains("help:"), "{}", said(&run));
    assert!(!case.path("never").exists());
    openssh_agrees(&case, &whole);
}

/// OpenSSH accepts the signature.
fn openssh_agrees(case: &Case, whole: &[(String, Vec<u8>)]) {
    let body = |at: usize| {
        let (_, size) = tar::member(whole[at].1[..BLOCK].try_into().unwrap()).unwrap();
        whole[at].1[BLOCK..BLOCK + size as usize].to_vec()
    };
    fs::write(case.path("manifest.json.sig"), body(1)).unwrap();
    fs::write(case.path("manifest.json"), body(0)).unwrap();
    let public = fs::read_to_string(case.path("mine.pub")).unwrap();
    fs::write(case.path("signers"), format!("analyst {public}")).unwrap();
    let run = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-n", "longhaul", "-I", "analyst"])
        .args(["-f", &case.text("signers"), "-s", &case.text("manifest.json.sig")])
        .stdin(fs::File::open(case.path("manifest.json")).unwrap())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", said(&run));
    let keys = ssh::public_keys(&case.path("signers")).unwrap();
    assert_eq!(keys, ssh::public_keys(&case.path("mine.pub")).unwrap());
}

#[test]
fn captures_that_are_gone_are_an_error_with_two_remedies() {
    let case = Case::new();
    fs::remove_file(case.path("farm.pcap.zst")).unwrap();
    let run = longhaul(&["bundle", &case.text("out"), "-o", &case.text("case.tar.zst")]);
    assert_eq!(run.status.code(), Some(2));
    for word in ["farm.pcap.zst", "--captures DIR", "--no-packets"] {
        assert!(said(&run).contains(word), "{word}: {}", said(&run));
    }
    let names: Vec<_> = fs::read_dir(case.0.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let over = case.text("out/run.json");
    let run = longhaul(&["bundle", &case.text("out"), "--no-packets", "-o", &over]);
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
    assert!(said(&run).contains("made from it"), "{}", said(&run));
}
