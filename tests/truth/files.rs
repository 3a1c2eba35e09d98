//! The five files: what they say of their inputs, their fields, and that they never differ.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use longhaul::model::schema;
use serde_json::Value;

use crate::common::demo;
use crate::common::longhaul;
use crate::common::table;
use crate::made;
use crate::made::Shape;
use crate::own_corpus::folders;

const FILES: [&str; 5] =
    ["sessions.ndjson", "endpoints.ndjson", "alerts.ndjson", "incidents.ndjson", "run.json"];

/// Runs `longhaul read INPUTS --out` a fresh directory and gives its files; run.json as JSON text
/// without what belongs to the machine.
fn read(inputs: &[&Path], more: &[&str]) -> BTreeMap<&'static str, String> {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let mut args = vec!["read", "--quiet", "--out", out.to_str().unwrap()];
    args.extend(inputs.iter().map(|path| path.to_str().unwrap()));
    args.extend(more);
    let ran = longhaul(&args);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{args:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    let mut files: BTreeMap<&str, String> =
        FILES.into_iter().map(|name| (name, fs::read_to_string(out.join(name)).unwrap())).collect();
    let mut run: Value = serde_json::from_str(&files["run.json"]).unwrap();
    run.as_object_mut().unwrap().remove("environment").unwrap();
    files.insert("run.json", serde_json::to_string_pretty(&run).unwrap());
    files
}

/// Files whose name promises a fault or an odd form, and what is said of them.
const VERDICTS: [(&str, &str); 9] = [
    ("fmt-bigendian__arkime__bigendian.pcap", "ok"),
    ("fmt-modified-pcap__pcapparser__modified-format.pcap", "ok"),
    ("fmt-multi-interface__zeek__pcapng-multi-interface.pcapng", "ok"),
    ("fmt-nanosecond__tcpdump__tcp-handshake-nano.pcap", "ok"),
    // Its clock stood before 1970 for 100 packets.
    ("fmt-zstd__pcpp__pcapng-example.pcapng.zst", "malformed"),
    // The container of these is sound, what the frames hold is not.
    ("malformed__ndpi__badpackets.pcap", "ok"),
    ("malformed__ndpi__fuzz-2006-06-26-2594.pcap", "ok"),
    ("malformed__pcapparser__err-buffertoosmall.pcapng", "ok"),
    ("malformed__zeek__truncated-header.pcap", "ok"),
];

#[test]
fn every_input_is_reported_with_packets_hash_and_verdict() {
    for (folder, _) in folders(&[]) {
        let rows = table(&folder.join("labels.csv"));
        let run: Value = serde_json::from_str(&read(&[&folder], &[])["run.json"]).unwrap();
        let inputs: BTreeMap<&str, &Value> = run["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|input| (input["path"].as_str().unwrap().rsplit('/').next().unwrap(), input))
            .collect();
        let mut faults = Vec::new();
        for row in &rows {
            let name = row.get("file");
            let input = inputs[name];
            let packets: u64 = row.get("packets").parse().unwrap();
            if input["packets"] != packets || input["sha256"] != row.get("sha256") {
                faults.push(format!("{name}: expected {packets} packets, got {input}"));
            }
            let odd = name.starts_with("malformed__") || name.starts_with("fmt-");
            let told = VERDICTS.iter().find(|(file, _)| *file == name).map(|(_, verdict)| *verdict);
            assert!(!odd || told.is_some(), "{name}: nobody has said what its verdict should be");
            if input["verdict"] != told.unwrap_or("ok") {
                faults.push(format!("{name}: expected {}, got {input}", told.unwrap_or("ok")));
            }
        }
        println!("labels.csv: {} of {} files equal", rows.len() - faults.len(), rows.len());
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

/// One, two, eight and 64 workers, the most there are, write the same bytes.
fn assert_same(inputs: &[&Path], more: &[&str]) -> BTreeMap<&'static str, String> {
    let with = |workers| read(inputs, &[&["--workers", workers], more].concat());
    let one = with("1");
    for workers in ["2", "8", "8", "64"] {
        let other = with(workers);
        for name in FILES {
            let place = one[name].lines().zip(other[name].lines()).position(|(a, b)| a != b);
            assert!(one[name] == other[name], "{inputs:?}: {name} differs at line {place:?}");
        }
    }
    one
}

fn lines(text: &str) -> impl Iterator<Item = Value> + '_ {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// No two lines of a run share an event id.
fn assert_ids_differ(files: &BTreeMap<&'static str, String>) {
    let mut seen = BTreeSet::new();
    for name in FILES.iter().filter(|name| name.ends_with(".ndjson")) {
        for line in lines(&files[name]) {
            let id = line["event"]["id"].as_str().unwrap().to_owned();
            assert!(seen.insert(id), "{name}: a second line with the id of {line}");
        }
    }
}

#[test]
fn alerts_are_ordered_and_incidents_have_their_evidence() {
    let files = read(&[&demo()], &["--place", "39.04,-77.49"]);
    assert_ids_differ(&files);
    let place = |alert: &Value| (alert["@timestamp"].to_string(), alert["rule"]["id"].to_string());
    let alerts: Vec<Value> = lines(&files["alerts.ndjson"]).collect();
    assert!(alerts.len() > 3 && alerts.is_sorted_by_key(place));
    let looked_up = alerts.iter().filter(|alert| alert["network"]["protocol"] == "dns");
    let tools: Vec<_> = looked_up
        .map(|alert| (alert["longhaul"]["subject"].clone(), alert["longhaul"]["tags"].clone()))
        .map(|pair| format!("{pair:?}"))
        .collect();
    assert_eq!(tools.iter().collect::<BTreeSet<_>>().len(), tools.len(), "{tools:?}");
    for incident in lines(&files["incidents.ndjson"]) {
        let own = &incident["longhaul"];
        assert!(incident["rule"]["id"].is_string() && own["family"].is_string(), "{incident}");
        for list in ["evidence", "benign_checked", "sources", "packets", "alerts", "topology"] {
            assert!(!own[list].as_array().unwrap().is_empty(), "{list}: {incident}");
        }
        for member in own["alerts"].as_array().unwrap() {
            let same = |alert: &&Value| alert["event"]["id"] == member["event"]["id"];
            assert!(alerts.iter().any(|alert| same(&alert)), "{member}");
        }
    }
}

#[test]
fn any_number_of_workers_writes_the_same_bytes() {
    assert_same(&[&demo()], &["--place", "39.04,-77.49"]);
    for (folder, _) in folders(&[]) {
        assert_same(&[&folder], &[]);
        assert_same(&[&folder], &["--point-by", "file"]);
    }
}

#[test]
fn any_number_of_workers_writes_the_same_bytes_when_the_table_overflows() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("small.toml");
    fs::write(&config, "[caps]\nsessions = 64\nendpoints = 32\nalerts = 16\n").unwrap();
    // (name, packets, hosts, seconds, disorder, tick): sessions that share their time and
    // five-tuple, too.
    let shapes = [
        ("calm", 6_000, 40, 2_000, 0, 1),
        ("crowd", 12_000, 200, 30, 5_000_000, 1),
        ("late", 6_000, 90, 400, 90_000_000_000, 1_000),
        ("coarse", 12_000, 12, 60, 0, 20_000_000_000),
    ];
    let mut paths: Vec<PathBuf> = Vec::new();
    for (seed, (name, packets, hosts, seconds, disorder_ns, tick_ns)) in
        shapes.into_iter().enumerate()
    {
        let shape = Shape { packets, hosts, seconds, disorder_ns, tick_ns };
        let path = root.path().join(format!("{name}.pcap"));
        made::write(&path, 0x9e37_79b9 * (seed as u64 + 1), &shape);
        paths.push(path);
    }
    for path in &paths {
        assert_ids_differ(&assert_same(&[path], &[]));
        let files = assert_same(&[path], &["--config", config.to_str().unwrap()]);
        let run: Value = serde_json::from_str(&files["run.json"]).unwrap();
        assert!(run["loss"]["table"].as_u64().unwrap() > 0, "{path:?}: nothing was evicted");
    }
    let all: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    assert_same(&all, &["--config", config.to_str().unwrap()]);
}

/// Identity, state and end of every session but those of the wild frames' host.
fn ends(lines: &str) -> BTreeSet<String> {
    let session = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        format!("{} {} {}", value["event"]["id"], value["longhaul"]["state"], value["event"]["end"])
    };
    lines.lines().filter(|line| !line.contains("10.8.8.8")).map(session).collect()
}

#[test]
fn frames_of_a_far_future_change_no_other_session() {
    let root = tempfile::tempdir().unwrap();
    let (plain, wild) = (root.path().join("plain.pcap"), root.path().join("wild.pcap"));
    let shape =
        Shape { packets: 4_000, hosts: 3, seconds: 40_000, disorder_ns: 3_000_000, tick_ns: 1 };
    made::write(&plain, 77, &shape);
    made::with_wild_frames(&plain, &wild, &[0, 1_000, 1_003, 2_500, 3_999]);
    let without = assert_same(&[&plain], &[]);
    let with = assert_same(&[&wild], &[]);
    let count = |files: &BTreeMap<&str, String>| -> u64 {
        let run: Value = serde_json::from_str(&files["run.json"]).unwrap();
        run["counters"]["capture"]["time_leaps"].as_u64().unwrap()
    };
    assert_eq!((count(&without), count(&with)), (0, 5));
    let before = ends(&without["sessions.ndjson"]);
    assert!(before.iter().any(|session| session.contains("timeout")), "nothing timed out");
    assert!(before == ends(&with["sessions.ndjson"]), "another session changed");
}

fn keys(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                keys(value, &name, found);
            }
        }
        // A list of objects holds fields too.
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| keys(item, prefix, found));
        }
        _ => {
            found.insert(prefix.to_owned());
        }
    }
}

#[test]
fn every_key_of_a_session_line_is_a_field_of_the_reference() {
    let demo = demo();
    let mut inputs = vec![demo];
    inputs.extend(folders(&[]).into_iter().map(|(folder, _)| folder));
    let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
    let lines = &read(&inputs, &["--place", "39.04,-77.49"])["sessions.ndjson"];
    let mut found = BTreeSet::new();
    for line in lines.lines() {
        keys(&serde_json::from_str(line).unwrap(), "", &mut found);
    }
    let strange: Vec<&String> = found
        .iter()
        .filter(|key| !schema::find(key).is_some_and(schema::Field::in_lines))
        .collect();
    assert!(strange.is_empty(), "not in the field table: {strange:?}");
    assert!(found.len() > 50, "{found:?}");
}
