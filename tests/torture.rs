//! Attacks that take long: floods, forgeries, faults of the system, kills. `make torture` runs
//! them; elsewhere they are skipped by name.
//!
//! Each case makes its own input, runs the program and says whether what must hold held.
//! docs/threat-model.md has a line for each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and one that kills waits for the right moment"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

#[path = "blinding/attacks.rs"]
mod attacks;
#[path = "torture/blinding.rs"]
mod blinding;
mod craft;
#[path = "clock/false_times.rs"]
mod false_times;
#[path = "torture/floods.rs"]
mod floods;
#[path = "results/kill.rs"]
mod kill;
#[path = "ledger/kill.rs"]
mod ledger_kill;
#[path = "torture/lists.rs"]
mod lists;
#[path = "torture/live.rs"]
mod live;
#[path = "live/net.rs"]
mod net;
#[path = "torture/results.rs"]
mod results;
#[path = "torture/state.rs"]
mod state;
#[path = "torture/times.rs"]
mod times;

/// What kind of attack a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// More of something than there is room for.
    Flood,
    /// Packets that somebody other than their source sent.
    Forgery,
    /// The system fails: a full disk, a file that is replaced.
    Fault,
    /// The program is ended at a moment that it does not choose.
    Kill,
}

/// One attack.
struct Case {
    /// Its name, as docs/threat-model.md has it.
    name: &'static str,
    kind: Kind,
    /// What went wrong, if anything did.
    run: fn() -> Result<(), String>,
}

/// Every case, by area.
fn cases() -> Vec<Case> {
    let areas = [
        blinding::cases(),
        floods::cases(),
        lists::cases(),
        live::cases(),
        results::cases(),
        state::cases(),
        times::cases(),
    ];
    areas.into_iter().flatten().collect()
}

/// Not a test of its own: what a process does that one of the cases kills.
#[test]
fn child() {
    ledger_kill::child();
}

#[test]
fn every_attack_is_survived() {
    if std::env::var_os("LONGHAUL_TORTURE").is_none() {
        println!("skipped: long attacks run with `make torture`");
        return;
    }
    let only = std::env::var("LONGHAUL_TORTURE_ONLY").unwrap_or_default();
    let chosen: Vec<Case> = cases().into_iter().filter(|case| case.name.contains(&only)).collect();
    let mut failed = Vec::new();
    for case in &chosen {
        match (case.run)() {
            Ok(()) => println!("survived  {:?}  {}", case.kind, case.name),
            Err(why) => {
                println!("FAILED    {:?}  {}: {why}", case.kind, case.name);
                failed.push(format!("{}: {why}", case.name));
            }
        }
    }
    println!("tried {}, survived {}", chosen.len(), chosen.len() - failed.len());
    assert!(failed.is_empty(), "\n{}\n", failed.join("\n"));
}

#[test]
fn the_threat_model_names_every_case() {
    let text = include_str!("../docs/threat-model.md");
    let missing: Vec<&str> =
        cases().iter().map(|case| case.name).filter(|name| !text.contains(name)).collect();
    assert!(missing.is_empty(), "docs/threat-model.md does not name {missing:?}");
}
