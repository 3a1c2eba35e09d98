//! A mirror port that sends everything twice must give the same results as one that sends it once.
//!
//! Owns: doubled copies of recorded captures, made in memory. In: shared captures, if present.
//! Out: counts, and every session that differs. Never: passes a miss silently.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod common;
#[allow(dead_code, reason = "the shared module serves several tests")]
mod craft;
mod own_corpus;

#[path = "truth/made.rs"]
mod made;

#[path = "duplicates/doubled.rs"]
mod doubled;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;

use longhaul::config::Plan;
use longhaul::model::Counter;
use longhaul::model::Record;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::Outcome;
use longhaul::pipeline::run_tapped;
use serde_json::Value;

use common::Exception;
use common::Tally;
use common::longhaul;
use common::table;
use doubled::Frame;
use doubled::decremented;
use doubled::double;
use doubled::frames;
use doubled::write;
use own_corpus::folders;

/// A session in a comparable form.
fn facts(record: &Record) -> String {
    let Record { start, initiator, responder, state, near, far, transport, .. } = record;
    let quality = record.quality;
    format!(
        "{start} {transport:?} {}:{} > {}:{} {state:?} far {:?} near {:?} packets {}+{} bytes \
         {}+{} retransmits {} out of order {} gaps {} ttl {:?}/{:?}",
        initiator.ip,
        initiator.port,
        responder.ip,
        responder.port,
        far.handshake_ns,
        near.handshake_ns,
        initiator.packets,
        responder.packets,
        initiator.bytes,
        responder.bytes,
        quality.retransmits,
        quality.out_of_order,
        quality.gaps,
        initiator.ttl,
        responder.ttl,
    )
}

/// One run over one file.
struct Run {
    records: Vec<Record>,
    outcome: Outcome,
}

fn run(path: &Path, dedup: bool) -> Run {
    let records = Mutex::new(Vec::new());
    let tap = |record: &Record| records.lock().unwrap().push(record.clone());
    let mut plan = Plan { inputs: vec![path.to_path_buf()], quiet: true, ..Plan::default() };
    if !dedup {
        plan.dedup_window_us = None;
    }
    let outcome = run_tapped(&plan, &mut NoProgress, Some(&tap)).unwrap();
    let mut records = records.into_inner().unwrap();
    records.sort_by_key(|record| (record.start, record.initiator.ip, record.initiator.port));
    Run { records, outcome }
}

impl Run {
    fn count(&self, counter: Counter) -> u64 {
        self.outcome.counters.get(counter)
    }
}

/// Captures named in the table of round trips.
fn captures(folder: &Path) -> Vec<PathBuf> {
    let rows = table(&folder.join("rtt.csv"));
    let names: BTreeSet<&str> = rows.iter().map(|row| row.get("file")).collect();
    names.into_iter().map(|name| folder.join(name)).collect()
}

/// Sessions that may differ, and why.
const ARGUED: [Exception; 2] = [
    ("circumvention__ndpi__psiphon3.pcap", "packets 29+25", DOUBLED_ALREADY),
    ("circumvention__ndpi__psiphon3.pcap", "packets 30+25", DOUBLED_ALREADY),
];

const DOUBLED_ALREADY: &str = "this capture comes from a mirror port and holds copies, the same \
    identification up to 12 ms apart: a copy of such a copy may lie beyond the window";

/// Compares the sessions of a capture with those of its doubled copy.
fn compare(file: &str, once: &Run, twice: &Run, tally: &mut Tally) {
    let (want, got): (Vec<String>, Vec<String>) =
        (once.records.iter().map(facts).collect(), twice.records.iter().map(facts).collect());
    for want in &want {
        let right = got.contains(want);
        tally.check(right, file, || format!("missing: {want}"));
    }
    for got in got.iter().filter(|got| !want.contains(got)) {
        tally.check(false, file, || format!("not in the original: {got}"));
    }
}

/// Legs of the doubled capture that the original does not have; an absent leg is no fault.
fn wrong_legs(once: &Run, twice: &Run) -> Vec<String> {
    let legs = |record: &Record| [record.far.handshake_ns, record.near.handshake_ns];
    let ends = |record: &Record| {
        let (a, b) = (&record.initiator, &record.responder);
        let mut ends = [(a.ip, a.port), (b.ip, b.port)];
        ends.sort();
        (ends, record.transport)
    };
    let known = |record: &Record, at: usize, leg: u64| {
        let same = once.records.iter().filter(|other| ends(other) == ends(record));
        same.clone().any(|other| legs(other)[at] == Some(leg))
    };
    let mut wrong = Vec::new();
    for record in &twice.records {
        for (at, leg) in legs(record).into_iter().enumerate() {
            if leg.is_some_and(|leg| !known(record, at, leg)) {
                wrong.push(facts(record));
            }
        }
    }
    wrong
}

#[test]
fn doubled_captures_give_the_sessions_of_the_original() {
    for (folder, argued) in folders(&ARGUED) {
        compare_doubled(&folder, argued);
    }
}

fn compare_doubled(folder: &Path, argued: &[Exception]) {
    let root = tempfile::tempdir().unwrap();
    let (once_at, twice_at) = (root.path().join("once.pcapng"), root.path().join("twice.pcapng"));
    let mut tally = Tally::new("doubled captures");
    let (mut frames_all, mut copies, mut own, mut doubtful) = (0, 0, 0, 0);
    for path in captures(folder) {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut original = frames(&path);
        original.sort_by_key(|frame| frame.time);
        write(&once_at, &original);
        write(&twice_at, &double(&original, 7));
        let (once, twice) = (run(&once_at, true), run(&twice_at, true));
        compare(&file, &once, &twice, &mut tally);
        let wrong = wrong_legs(&once, &run(&twice_at, false));
        assert!(wrong.is_empty(), "{file}: legs of a packet and its copy: {wrong:?}");
        frames_all += original.len();
        own += once.count(Counter::Duplicates);
        copies += twice.count(Counter::Duplicates);
        doubtful += twice.count(Counter::CopiesDoubtful);
        if once.count(Counter::Duplicates) + once.count(Counter::CopiesDoubtful) > 0 {
            println!(
                "  {file}: {} of {} frames of the original are copies, {} doubtful",
                once.count(Counter::Duplicates),
                original.len(),
                once.count(Counter::CopiesDoubtful),
            );
        }
    }
    println!(
        "doubled captures: {frames_all} frames; copies found {copies} ({own} in the originals \
         themselves), doubtful {doubtful}"
    );
    assert!(copies > own, "a copy of each is found");
    tally.conclude(argued);
}

/// A capture of made-up sessions, doubled as a mirror port of two VLANs would.
fn made_twice(root: &Path) -> (PathBuf, PathBuf, usize) {
    let shape =
        made::Shape { packets: 3_000, hosts: 60, seconds: 600, disorder_ns: 0, tick_ns: 1_000 };
    let (plain, once_at, twice_at) =
        (root.join("plain.pcap"), root.join("once.pcapng"), root.join("twice.pcapng"));
    made::write(&plain, 99, &shape);
    let tagged = |frame: &Frame, vlan: u8| {
        let mut frame = frame.clone();
        frame.bytes.splice(12..12, [0x81, 0, 0, vlan]);
        frame.wire_len += 4;
        frame
    };
    let once: Vec<Frame> = frames(&plain).iter().map(|frame| tagged(frame, 10)).collect();
    let mut twice = once.clone();
    twice.extend(once.iter().map(|frame| {
        let mut copy = frame.clone();
        decremented(&mut copy);
        (copy.bytes[15], copy.time) = (20, frame.time + 40_000);
        copy
    }));
    twice.sort_by_key(|frame| frame.time);
    write(&once_at, &once);
    write(&twice_at, &twice);
    (once_at, twice_at, once.len())
}

#[test]
fn a_doubled_capture_is_reported_everywhere() {
    let root = tempfile::tempdir().unwrap();
    let (once_at, twice_at, frames) = made_twice(root.path());
    let mut tally = Tally::new("made capture");
    let (once, twice) = (run(&once_at, true), run(&twice_at, true));
    compare("twice.pcapng", &once, &twice, &mut tally);
    tally.conclude(&[]);
    assert_eq!(twice.count(Counter::Duplicates), frames as u64 + once.count(Counter::Duplicates));
    let in_sessions: u32 = twice.records.iter().map(|r| r.quality.duplicates).sum();
    assert_eq!(u64::from(in_sessions), twice.count(Counter::Duplicates));

    let out = root.path().join("out");
    let arguments = ["read", twice_at.to_str().unwrap(), "--out", out.to_str().unwrap()];
    assert_eq!(longhaul(&arguments).status.code(), Some(0));
    let report: Value =
        serde_json::from_str(&fs::read_to_string(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(report["loss"]["duplicates"], twice.count(Counter::Duplicates));
    let point = &report["duplicates"]["points"][0];
    assert_eq!(
        (&point["share"], &report["duplicates"]["window_us"]),
        (&0.5.into(), &1000.0.into())
    );
    assert_eq!(point["vlans"][0]["first"], 10);
    assert_eq!(point["vlans"][0]["copy"], 20);
    let median = point["skew_us"]["p50"].as_f64().unwrap();
    assert!((median - 40.0).abs() < 0.5, "{median}");
    let note = "50 % of frames are copies, median 40 us apart: your mirror port sees both sides \
                of VLAN 10/20, a router between them.";
    assert!(point["note"].as_str().unwrap().starts_with(note), "{point}");

    let shown = longhaul(&["read", twice_at.to_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert!(words.join(" ").contains(note), "{shown}");
}

#[test]
fn duplicates_are_kept_with_no_dedup() {
    let root = tempfile::tempdir().unwrap();
    let (_, twice_at, _) = made_twice(root.path());
    let config = root.path().join("keep.toml");
    fs::write(&config, "dedup = false\n").unwrap();
    let packets = |name: &str, more: &[&str]| {
        let out = root.path().join(name);
        let mut arguments =
            vec!["read", twice_at.to_str().unwrap(), "--out", out.to_str().unwrap()];
        arguments.extend(more);
        let ran = longhaul(&arguments);
        assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
        let report: Value =
            serde_json::from_str(&fs::read_to_string(out.join("run.json")).unwrap()).unwrap();
        let lines = fs::read_to_string(out.join("sessions.ndjson")).unwrap();
        let packets = lines.lines().map(|line| {
            let session: Value = serde_json::from_str(line).unwrap();
            session["network"]["packets"].as_u64().unwrap()
        });
        (packets.sum::<u64>(), report["loss"]["duplicates"].as_u64().unwrap())
    };
    let (once, copies) = packets("default", &[]);
    assert!(copies >= once && copies > 0, "{once} {copies}");
    for (name, more) in
        [("flag", vec!["--no-dedup"]), ("file", vec!["--config", config.to_str().unwrap()])]
    {
        assert_eq!(packets(name, &more), (once + copies, 0), "{name}");
    }
    // The copies come 40 us later.
    let (kept, _) = packets("narrow", &["--dedup-window", "20"]);
    assert!(kept > once, "{kept}");
    assert_eq!(longhaul(&["read", "x", "--dedup-window", "0"]).status.code(), Some(2));
}

#[test]
fn capture_points_never_share_copies() {
    let root = tempfile::tempdir().unwrap();
    let (once_at, _, frames) = made_twice(root.path());
    let again = root.path().join("again.pcapng");
    fs::copy(&once_at, &again).unwrap();
    let copies = |by| {
        let inputs = vec![once_at.clone(), again.clone()];
        let plan = Plan { inputs, point_by: by, quiet: true, ..Plan::default() };
        run_tapped(&plan, &mut NoProgress, None).unwrap().counters.get(Counter::Duplicates)
    };
    let own = run(&once_at, true).count(Counter::Duplicates);
    assert_eq!(copies(longhaul::config::PointBy::File), 2 * own);
    assert!(copies(longhaul::config::PointBy::All) > frames as u64 / 2);
}
