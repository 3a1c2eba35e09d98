//! What a report says of what it does not show, and whose claim it calls refuted.
//!
//! Owns: sentences about caps and claims. In: results made here. Out: assertions. Never: a limit
//! that only the code knows.

use std::fs;
use std::path::Path;

use longhaul::report::html::BYTES_MAX;
use serde_json::{Value, json};
use tempfile::tempdir;

use super::{longhaul, made, report, stderr, text, timeline};

/// The chapter of a person.
fn chapter<'a>(page: &'a str, id: &str) -> &'a str {
    let mut all = page.split("<section class=\"subject\"").skip(1);
    all.find(|one| one.contains(&format!("({id})</h3>"))).unwrap()
}

/// A part of it: a figure.
fn figure<'a>(chapter: &'a str, kind: &str) -> &'a str {
    let mut all = chapter.split("<figure").skip(1);
    let is_it = |one: &&str| one.contains(kind);
    all.find(is_it).unwrap().split("</figure>").next().unwrap()
}

/// Writes the lines of a file again, each as a function changes it.
fn change(dir: &Path, file: &str, mut each: impl FnMut(usize, &mut Value)) {
    let path = dir.join(file);
    let lines = text(&path).lines().enumerate().fold(String::new(), |all, (at, line)| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        each(at, &mut line);
        all + &line.to_string() + "\n"
    });
    fs::write(path, lines).unwrap();
}

/// The verdict of a line is about all claims: the pictures say which one is refuted.
#[test]
fn only_the_claim_that_light_refutes_is_called_refuted() {
    let dir = tempdir().unwrap();
    made::run(dir.path(), 40, 2);
    change(dir.path(), "sessions.ndjson", |at, line| {
        // 3.14 ms are at most 471 km. One claims 8 000 km, and the database places it at the
        // sensor; the other claims 450 km, and the database places it in Australia.
        let (claim_km, geo_km, refuted) =
            if at % 2 == 0 { (8_000.0, 0.0, "subject") } else { (450.0, 15_064.8, "geo") };
        line["longhaul"]["physics"] = json!({"geo_km": geo_km, "claim_km": claim_km,
            "claim_of": "subject", "verdict": "too-fast", "refuted": [refuted]});
    });
    let (out, page) = report(dir.path());
    assert!(out.status.success(), "{}", stderr(&out));
    let (subject, geo) = (chapter(&page, "e-00000"), chapter(&page, "e-00001"));
    let map = figure(subject, "Map: how far away");
    assert!(map.contains("The database places it 0 km away: not refuted"), "{map}");
    let drawing = map.split("<ul class=\"key\">").next().unwrap();
    assert!(!drawing.contains("<path class=\"bad\"") && map.contains("<td>no</td>"), "{map}");
    let light = figure(subject, "Round trip against distance");
    assert!(light.contains("20 of 20 sessions with both values, one mark each; 20 answered"));
    assert!(light.contains("<td>subjects file</td>") && light.contains("<td>too-fast</td>"));
    let map = figure(geo, "Map: how far away");
    assert!(map.contains("15,065 km away: refuted") && map.contains("<td>yes</td>"), "{map}");
    let light = figure(geo, "Round trip against distance");
    assert!(light.contains("one mark each; 0 answered sooner"), "{light}");
    assert!(light.contains("<td>possible</td>") && !light.contains("<td>too-fast</td>"));
    assert!(subject.contains("too-fast: subjects file") && geo.contains("too-fast: database"));
    for (id, whose) in [("e-00000", "subjects file"), ("e-00001", "database")] {
        let (_, told, _) = timeline(dir.path(), id);
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        let part = format!("too far away for that: the place that the {whose} claims.");
        assert!(told.contains(&part), "{told}");
    }
}

/// Many alerts of one subject take the rows of others, but not their counts.
#[test]
fn the_alerts_of_a_subject_are_counted_beside_a_noisy_one() {
    let dir = tempdir().unwrap();
    made::run(dir.path(), 60, 6);
    let path = dir.path().join("alerts.ndjson");
    let own = text(&path);
    let mut noisy: Value = serde_json::from_str(own.lines().next().unwrap()).unwrap();
    noisy["event"]["severity"] = json!(99);
    fs::write(&path, own + &format!("{noisy}\n").repeat(2_500)).unwrap();
    let (out, page) = report(dir.path());
    assert!(out.status.success(), "{}", stderr(&out));
    let (first, other) = (chapter(&page, "e-00000"), chapter(&page, "e-00003"));
    let counts = "<dt>Incidents, alerts</dt><dd>";
    assert!(first.contains(&format!("{counts}1, 2,501</dd>")));
    assert!(first.contains("2,461 more of lower level or ratio: alerts.ndjson"));
    assert!(other.contains(&format!("{counts}1, 1</dd>")));
    assert!(other.contains("1 more of lower level or ratio: alerts.ndjson"));
    let args = ["report", dir.path().to_str().unwrap(), "--subject", "e-00003", "-o", "-"];
    let page = String::from_utf8(longhaul(&args).stdout).unwrap();
    let alone = chapter(&page, "e-00003");
    assert!(alone.contains("Alerts about the subject"), "its own alerts have rows");
    assert!(!alone.contains("more of lower level or ratio"));
}

/// The worst that lines and the description of a run can hold: long texts of characters that take
/// many bytes when escaped, in all tables.
#[test]
fn texts_of_any_length_keep_a_report_within_its_bounds() {
    let dir = tempdir().unwrap();
    let name = "\u{202e}\"".repeat(400);
    made::run_with(dir.path(), 3_000, 600, &name);
    change(dir.path(), "run.json", |_, run| {
        let of = |at: usize| json!(format!("{at}{name}"));
        let input = |at| json!({"path": of(at), "verdict": of(at), "reason": of(at)});
        let build = |at| json!({"name": of(at), "build": of(at), "version": of(at)});
        run["inputs"] = (0..300).map(input).collect();
        run["lists"] = (0..600).map(build).collect();
        run["one_way_feeds"] = (0..40).map(|at| json!({"point": at})).collect();
        run["loss"] = (0..900).map(|at| (format!("{at}{name}"), json!(at + 1))).collect();
    });
    let (out, page) = report(dir.path());
    assert!(out.status.success(), "{}", stderr(&out));
    assert!(page.len() <= BYTES_MAX, "{}", page.len());
    assert!(page.len() > BYTES_MAX * 9 / 10, "there is room for more chapters: {}", page.len());
    assert!(page.matches("more rows have no room here").count() >= 5);
    assert!(page.contains("201 more: run.json"), "builds beyond the cap are counted");
    assert!(page.contains("more at other places: run.json"), "so are losses");
}

/// What is cut is counted where it is missed.
#[test]
fn pictures_and_cells_say_how_much_they_hold() {
    let dir = tempdir().unwrap();
    made::run(dir.path(), 4_000, 20);
    change(dir.path(), "sessions.ndjson", |_, line| line["source"]["ip"] = json!("203.0.113.7"));
    let path = dir.path().join("endpoints.ndjson");
    let line = text(&path).lines().nth(7).unwrap().to_owned();
    fs::write(&path, format!("{line}\n").repeat(100)).unwrap();
    let (out, page) = report(dir.path());
    assert!(out.status.success(), "{}", stderr(&out));
    let one = chapter(&page, "e-00004");
    let light = figure(one, "Round trip against distance");
    assert!(light.contains("120 of 200 sessions with both values"), "{light}");
    assert!(figure(one, "Hidden leg").contains("160 of 400 handshakes, one mark each"));
    assert!(one.contains("e-00012 and more</td>"), "{one}");
    assert!(one.contains("The first 64 of 100 endpoints about its addresses are used"));
}
