//! Every counter, and where the user sees it.
//!
//! `LONGHAUL_BLESS=1 cargo test --test counters` writes docs/counters.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::fmt::Write;
use std::path::Path;

use longhaul::emit::Origin;
use longhaul::emit::health::describe;
use longhaul::emit::health::render_health;
use longhaul::emit::run::Loss;
use longhaul::emit::run::RunReport;
use longhaul::model::Counter;
use longhaul::model::Counters;
use longhaul::model::Meaning;
use longhaul::model::Nanos;
use longhaul::report::summary::Summary;
use longhaul::report::terminal::Style;
use longhaul::report::terminal::render;
use serde_json::Value;

/// A number that appears nowhere else on a page.
const SEEN: u64 = 7_531;

fn only(counter: Counter) -> Counters {
    let mut counters = Counters::default();
    counters.add(counter, SEEN);
    counters
}

fn run_json(counters: &Counters) -> Value {
    let mut report = RunReport::new("test");
    report.counters = counters.clone();
    report.loss = Loss::of(counters);
    let mut out = Vec::new();
    report.render(&mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn health(counters: &Counters) -> Value {
    let mut out = Vec::new();
    let origin = Origin::new("test", []);
    render_health((Nanos::ZERO, Nanos::from_secs(60)), counters, &[], &origin, &mut out);
    serde_json::from_slice(&out).unwrap()
}

fn terminal(counters: &Counters) -> String {
    let summary = Summary { counters: counters.clone(), ..Summary::default() };
    render(&summary, Style { colour: false, width: 80 })
}

/// The places under `loss` that are not zero.
fn lost(loss: &Value) -> Vec<String> {
    let places = loss.as_object().unwrap().iter();
    let more = |value: &Value| value.as_f64().is_some_and(|number| number > 0.0);
    places.filter(|(_, value)| more(value)).map(|(place, _)| place.clone()).collect()
}

fn loss_place(counter: Counter) -> Option<&'static str> {
    match counter.meaning() {
        Meaning::Loss { place, .. } => Some(place),
        _ if counter == Counter::Duplicates => Some("duplicates"),
        _ => None,
    }
}

#[test]
fn every_counter_is_visible_to_users() {
    for counter in Counter::ALL.iter().copied() {
        let (name, counters) = (counter.name(), only(counter));
        let (run, health, page) = (run_json(&counters), health(&counters), terminal(&counters));
        assert_eq!(run["counters"][counter.group()][name], SEEN, "run.json lacks {name}");
        let health = &health["longhaul"]["health"];
        assert_eq!(health["counters"][counter.group()][name], SEEN, "health lacks {name}");
        assert!(describe(&counters).contains(&format!("{name}={SEEN}")), "SIGUSR1 lacks {name}");
        let place = loss_place(counter);
        for loss in [&run["loss"], &health["loss"]] {
            let mut seen = lost(loss);
            // The share refers to the bytes beside it.
            seen.retain(|place| place != "capture_share");
            assert_eq!(seen, Vec::from_iter(place), "{name}");
        }
        let row = |words: &str| {
            page.lines().any(|line| line.contains("7,531") && line.trim_end().ends_with(words))
        };
        match counter.meaning() {
            Meaning::Loss { words, .. } => {
                assert!(row(words), "the terminal lacks {name}:\n{page}");
                assert!(!page.contains("Lost  nothing"), "{name} is lost:\n{page}");
                let rest = page.split_once("\nLost\n").map_or("", |(_, rest)| rest);
                assert!(rest.contains("7,531"), "{name} is not under Lost:\n{page}");
            }
            Meaning::Quality { words } => {
                assert!(row(words), "the terminal lacks {name}:\n{page}");
                assert!(page.contains("Lost  nothing"), "nothing is lost:\n{page}");
            }
            Meaning::Total | Meaning::Apart => {
                assert!(page.contains("Lost  nothing"), "{name} is no loss:\n{page}");
            }
        }
    }
}

#[test]
fn losses_of_one_place_are_added_and_an_empty_run_has_none() {
    assert!(lost(&run_json(&Counters::default())["loss"]).is_empty());
    let mut counters = only(Counter::RejectShort);
    counters.add(Counter::RejectDepth, 2);
    counters.add(Counter::AckedUnseenBytes, 10);
    counters.add(Counter::TcpBytes, 990);
    let loss = &run_json(&counters)["loss"];
    assert_eq!(loss["decode"], SEEN + 2);
    assert_eq!(loss["capture_bytes"], 10);
    assert_eq!(loss["capture_share"], 0.01);
    assert_eq!(loss["queue"], 0);
}

fn meaning(counter: Counter) -> String {
    match counter.meaning() {
        Meaning::Total => "total".to_owned(),
        Meaning::Apart => match loss_place(counter) {
            Some(place) => format!("apart; also `loss.{place}`"),
            None => "apart".to_owned(),
        },
        Meaning::Quality { words } => format!("quality: \"{words}\""),
        Meaning::Loss { place, words } => format!("`loss.{place}`: \"{words}\""),
    }
}

fn page() -> String {
    let mut page = String::from(
        "# Counters\n\nWritten by `LONGHAUL_BLESS=1 cargo test --test counters`.\n\n\
         Every counter stands in `run.json` (`counters.GROUP.NAME`), in each line of `health.ndjson` \
         and in the answer to SIGUSR1.\n`parse_errors` beside them (`longhaul.health.parse_errors` of `health.ndjson`) \
         has what did not parse, by protocol and kind of fault: `truncated`, `bad_length`, `bad_value`, \
         `too_deep` and `over_cap`.\nIn a live run each set of files has what was counted since the \
         set before. The last column says what a counter is:\n\n\
         * a **loss** is also added to its place under `loss` (`run.json`, `health.ndjson`, SIGUSR1), \
         and stands in the terminal under \"Lost\", in the words given;\n\
         * **quality** says how far to trust what was measured, and stands in the terminal under \
         \"Quality\", in the words given;\n\
         * a **total** is what was done; what is counted **apart** was told apart or left out on \
         purpose.\n\n\
         `loss.queue` is what was dropped between threads: always 0, for whoever is ahead waits. \
         `loss.capture_share` is the share of\nTCP bytes that `loss.capture_bytes` is of all. All zeros \
         under `loss` mean that nothing known was lost.\n\n\
         | group | name | counts | is |\n|---|---|---|---|\n",
    );
    for counter in Counter::ALL.iter().copied() {
        let (group, name, is) = (counter.group(), counter.name(), meaning(counter));
        writeln!(page, "| {group} | `{name}` |{} | {is} |", counter.sentence()).unwrap();
    }
    page
}

#[test]
fn the_reference_of_counters_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/counters.md");
    let want = page();
    if std::env::var_os("LONGHAUL_BLESS").is_some() {
        std::fs::write(&path, &want).unwrap();
    }
    let have = std::fs::read_to_string(&path).unwrap();
    assert!(have == want, "docs/counters.md is old: LONGHAUL_BLESS=1 cargo test --test counters");
}
