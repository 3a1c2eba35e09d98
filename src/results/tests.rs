use std::fs;

use super::*;

fn run(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

#[test]
fn a_result_or_the_sets_of_a_live_run() {
    let one = run(&[("run.json", "{}"), ("a.ndjson", "{\"x\":1}\n\n{\"x\":2}")]);
    let sets = run(&[
        ("2/run.json", "{}"),
        ("2/a.ndjson", "{\"x\":2}\n"),
        ("1/run.json", "{}"),
        ("1/a.ndjson", "{\"x\":1}\n"),
        ("3/run.json", "{}"),
        ("other/a.ndjson", "{\"x\":9}\n"),
    ]);
    for dir in [one, sets] {
        let mut seen = Vec::new();
        let results = Results::open(dir.path()).unwrap();
        results
            .each("a.ndjson", |line| {
                seen.push(line.count("x"));
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, [1, 2]);
    }
    let none = run(&[("a.ndjson", "{}\n")]);
    assert!(Results::open(none.path()).unwrap_err().cause.contains("no run.json"));
}

#[test]
fn a_damaged_line_is_refused_with_its_number() {
    let dir = run(&[("run.json", "{}"), ("a.ndjson", "{}\n{\"x\":\n")]);
    let error = Results::open(dir.path()).unwrap().each("a.ndjson", |_| Ok(())).unwrap_err();
    let (file, line) = error.place.clone().unwrap();
    assert!(file.ends_with("a.ndjson") && line == 2, "{error}");
    assert!(error.help.is_some());
}

#[test]
fn an_id_finds_one_event_or_says_why_not() {
    let alert = |id: &str, at: &str| {
        format!(
            "{{\"event\":{{\"id\":\"{id}\",\"dataset\":\"longhaul.alert\"}},\
             \"message\":\"{at}\"}}\n"
        )
    };
    let incident = |change: &str| {
        format!(
            "{{\"event\":{{\"id\":\"11112222cc\",\"dataset\":\"longhaul.incident\"}},\"longhaul\":\
             {{\"change\":\"{change}\",\"alerts\":[{{\"rule\":{{\"id\":\"D01\"}},\"event\":\
             {{\"id\":\"aaaabbbb01\"}}}}]}}}}\n"
        )
    };
    let alerts = alert("aaaabbbb01", "one") + &alert("aaaabbbb02", "two");
    let incidents = incident("opened") + &incident("closed");
    let dir =
        run(&[("run.json", "{}"), ("alerts.ndjson", &alerts), ("incidents.ndjson", &incidents)]);
    let results = Results::open(dir.path()).unwrap();
    let told = find::explain(&results, "aaaabbbb01").unwrap().sentences().join("\n");
    assert!(told.contains("one") && !told.contains("two"), "{told}");
    assert!(told.contains("Incidents it is part of: incident 11112222cc"), "{told}");
    let told = find::explain(&results, "11112222").unwrap().sentences().join("\n");
    assert!(told.contains("Alerts in it: D01 aaaabbbb01"), "{told}");
    for change in ["opened", "closed"] {
        assert!(told.contains(&format!("How the incident went: {change}")), "{told}");
    }
    for (id, cause) in [
        ("aaaabbbb", "2 events begin so: aaaabbbb01, aaaabbbb02"),
        ("cccccccc", "no sessions were written"),
        ("aaaa", "8 to 32 digits"),
        ("../../etc", "8 to 32 digits"),
    ] {
        let error = find::explain(&results, id).unwrap_err();
        assert!(error.cause.contains(cause) && error.help.is_some(), "{error}");
    }
}
