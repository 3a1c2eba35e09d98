//! `longhaul state`: shows and merges learned baselines of round trips.
//!
//! Owns: the answers' layout. In: state directories. Out: one line per baseline, or the result of a
//! merge.
//! Never: changes a directory that is only read.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::{self, CommandResult, RAN};
use crate::config::{BASELINES_CAP, bounded};
use crate::model::Nanos;
use crate::model::endpoint_facts::BaselineOf;
use crate::pipeline::state::{self, BaselineRow, BaselineTotals};
use crate::report::units;

/// Subcommands of `state`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum StateCommand {
    /// Show the contents of a state directory; a run may be using it
    Show {
        /// The directory
        dir: PathBuf,
        /// Lines of each kind, most sessions first
        #[arg(long, value_name = "N", default_value_t = 10)]
        top: usize,
        /// Every baseline as a line of JSON
        #[arg(long)]
        json: bool,
        /// Days of packet time to learn before baselines may raise alerts [default: 14]
        #[arg(long, value_name = "DAYS")]
        learn_days: Option<usize>,
    },
    /// Add the baselines and ledgers of other sensors to a state directory, created if missing
    Merge {
        /// The directory to add to; no run may be using it
        into: PathBuf,
        /// The directories to add. Each is added whole: adding one again counts it twice
        #[arg(required = true)]
        from: Vec<PathBuf>,
        /// Maximum baselines of each kind; those with the fewest days and sessions are evicted
        #[arg(long, value_name = "N", default_value_t = BASELINES_CAP)]
        cap: usize,
    },
}

/// Runs the command.
pub(super) fn run(command: &StateCommand) -> CommandResult {
    match command {
        StateCommand::Show { dir, top, json, learn_days } => {
            let baselines = state::read(dir, *learn_days).map_err(|e| vec![e])?;
            let text = match json {
                true => baselines.rows().iter().map(line).collect(),
                false => table(&baselines.totals(), baselines.rows(), *top),
            };
            cli::print(&text)?;
        }
        StateCommand::Merge { into, from, cap } => merge(into, from, *cap)?,
    }
    Ok(RAN)
}

fn merge(into: &Path, from: &[PathBuf], cap: usize) -> Result<(), Vec<crate::model::Error>> {
    let cap = bounded("--cap", cap, 16, 1 << 28).map_err(|e| vec![e])?;
    let totals = state::merge(into, from, cap)?;
    cli::print(&head(&totals))
}

/// A baseline as a line of JSON.
fn line(row: &BaselineRow) -> String {
    let micros = |ns: u64| Nanos(ns).as_micros_f64();
    let line = json!({
        "of": row.of.as_str(),
        "whose": row.whose,
        "sessions": row.sessions,
        "days": row.days,
        "addresses": row.addresses,
        "lowest_us": micros(row.lowest_ns),
        "p50_us": micros(row.p50_ns),
        "floor_us": row.floor_ns.map(micros),
    });
    format!("{line}\n")
}

fn head(totals: &BaselineTotals) -> String {
    let mut text = String::new();
    let sessions = units::count(totals.sessions);
    // Writing into a String cannot fail.
    let _ = match totals.span {
        Some((first, last)) => writeln!(text, "{sessions} sessions from {first} to {last}"),
        None => writeln!(text, "no session yet"),
    };
    for (of, (entries, usable)) in BaselineOf::ALL.into_iter().zip(totals.tables) {
        let (name, entries, usable) =
            (state::plural(of), units::count(entries), units::count(usable));
        let _ = writeln!(text, "{name:<13}{entries:>9}, {usable} on enough sessions and days");
    }
    if totals.dropped > 0 {
        let dropped = units::count(totals.dropped);
        let _ = writeln!(text, "{dropped} given up at the cap: those of fewest days and sessions");
    }
    let _ = writeln!(text, "{}", state::sentence(totals));
    text
}

fn table(totals: &BaselineTotals, mut rows: Vec<BaselineRow>, top: usize) -> String {
    let mut text = head(totals);
    // A stable sort: equal rows stay in the order of their keys.
    rows.sort_by_key(|row| (row.of, std::cmp::Reverse(row.sessions)));
    for of in BaselineOf::ALL {
        let of_kind = rows.iter().filter(|row| row.of == of);
        for (at, row) in of_kind.take(top).enumerate() {
            if at == 0 {
                let _ = write!(text, "\n{:<38}{:>9} {:>5}", state::plural(of), "sessions", "days");
                let _ = writeln!(text, "{:>12}{:>12}{:>12}", "lowest", "median", "floor");
            }
            let _ = write!(text, "{:<38}{:>9} {:>5}", row.whose, row.sessions, row.days);
            let [lowest, median] = [row.lowest_ns, row.p50_ns].map(millis);
            let floor = row.floor_ns.map_or_else(|| "-".to_owned(), millis);
            let _ = writeln!(text, "{lowest:>12}{median:>12}{floor:>12}");
        }
    }
    text
}

fn millis(ns: u64) -> String {
    format!("{:.1} ms", Nanos(ns).as_micros_f64() / 1_000.0)
}
