//! `longhaul read`: capture files in, results out.
//!
//! Owns: the order of things a user sees. In: [`ReadArgs`]. Out: a summary, or files.
//! Never: a result of its own.

use crate::cli;
use crate::cli::ALERTS;
use crate::cli::Ended;
use crate::cli::RAN;
use crate::cli::args::ReadArgs;
use crate::cli::progress::Bar;
use crate::config::Output;
use crate::config::Plan;
use crate::model::Error;
use crate::pipeline;
use crate::pipeline::Outcome;
use crate::report::summary::InputTotals;
use crate::report::summary::Summary;
use crate::report::terminal;
use crate::report::terminal::Style;

/// Runs the command.
pub(super) fn run(args: &ReadArgs) -> Ended {
    let plan = args.plan()?;
    let outcome = pipeline::run(&plan, &mut Bar::new(plan.quiet))?;
    let alerted = plan.fail_on_alert && !outcome.alerts.is_empty();
    if !outcome.anything_readable() {
        return Err(unreadable(&outcome));
    }
    if plan.output == Output::Summary && !plan.quiet && !plan.lines_to_stdout() {
        let style = Style { colour: cli::colour(), width: cli::width() };
        cli::print(&terminal::render(&summarise(outcome, &plan), style))?;
    }
    Ok(if alerted { ALERTS } else { RAN })
}

/// What the summary says.
pub(super) fn summarise(outcome: Outcome, _plan: &Plan) -> Summary {
    let mut summary = outcome.sessions.finish();
    summary.add_endpoints(&outcome.endpoints);
    summary.add_alerts(&outcome.alerts);
    summary.add_incidents(&outcome.incidents);
    let problem = |file: &crate::capture::FileReport| {
        let words = file.reason.clone().map_or_else(
            || file.verdict.to_string(),
            |reason| format!("{}: {reason}", file.verdict),
        );
        (file.path.display().to_string(), words)
    };
    let sound = |file: &&crate::capture::FileReport| file.verdict != crate::capture::Verdict::Ok;
    summary.inputs = InputTotals {
        files: outcome.files.len() as u64,
        bytes: outcome.files.iter().map(|file| file.bytes).sum(),
        frames: outcome.files.iter().map(|file| file.packets).sum(),
        problems: outcome.files.iter().filter(sound).map(problem).collect(),
    };
    summary.counters = outcome.counters;
    summary
}

/// One error a file: nothing at all could be read.
fn unreadable(outcome: &Outcome) -> Vec<Error> {
    if outcome.files.is_empty() {
        return vec![
            Error::new("inputs", "there is no file to read")
                .help("name a capture file, a directory that holds some, or - for standard input"),
        ];
    }
    let error = |file: &crate::capture::FileReport| {
        let cause = file.reason.clone().unwrap_or_else(|| file.verdict.to_string());
        Error::new(file.path.display().to_string(), cause)
            .help("longhaul reads pcap and pcapng, plain or as gzip, zstd, xz or bzip2")
    };
    outcome.files.iter().map(error).collect()
}
