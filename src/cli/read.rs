//! `longhaul read`: capture files in, results out.
//!
//! Owns: the order of what a user sees. In: [`ReadArgs`]. Out: a summary, or files.
//! Never: a result of its own.

use crate::cli::args::ReadArgs;
use crate::cli::convert;
use crate::cli::progress::Bar;
use crate::cli::report::Wanted;
use crate::cli::{self, ALERTS, CommandResult, RAN};
use crate::config::{Output, Plan};
use crate::model::units;
use crate::pipeline::in_sets::InSets;
use crate::pipeline::{self, Interrupt, Outcome, state};
use crate::report::summary::{InputTotals, Summary};
use crate::report::terminal::{self, Style};
use crate::report::{duplicates, spans};
use crate::results::Results;

/// Runs the command.
pub(super) fn run(args: &ReadArgs, style: Style) -> CommandResult {
    let (mut plan, mut errors) = args.plan();
    if !errors.is_empty() {
        // All errors at once, so that users need not fix and rerun one by one.
        errors.extend(pipeline::check(&plan));
        return Err(errors);
    }
    if args.parquet().is_some() {
        convert::can_write("--format parquet").map_err(|e| vec![e])?;
    }
    let summary_shown = plan.output == Output::Summary && !plan.quiet && !plan.lines_to_stdout();
    let wanted = args.report.as_deref().map(|target| Wanted::new(target, &mut plan)).transpose();
    let wanted = wanted.map_err(|e| vec![e])?;
    let interrupt = pipeline::interrupts::install(signalled(&plan)).map_err(|e| vec![e])?;
    if let Some(bytes) = plan.set_bytes {
        return in_sets(args, (&plan, bytes), &interrupt, wanted);
    }
    let outcome = pipeline::run_until(&plan, &mut Bar::new(plan.quiet), &interrupt)?;
    if let Some(wanted) = wanted {
        wanted.write(plan.quiet).map_err(|e| vec![e])?;
    }
    if let Some(dir) = args.parquet() {
        let results = Results::open(dir).map_err(|e| vec![e])?;
        convert::write(&[results], dir, plan.quiet).map_err(|e| vec![e])?;
    }
    cli::print_notes(&outcome.remarks);
    let alerted = plan.fail_on_alert && is_found(&outcome);
    if !summary_shown {
        say(&outcome, &plan);
    }
    if summary_shown {
        cli::print_as_is(&terminal::render(&summarise(outcome), style))?;
    }
    Ok(if alerted { ALERTS } else { RAN })
}

fn is_found(outcome: &Outcome) -> bool {
    !outcome.alerts.is_empty() || !outcome.incidents.is_empty()
}

/// Says what a user must know where no summary does.
fn say(outcome: &Outcome, plan: &Plan) {
    let feeds = outcome.sessions.feeds().one_way();
    let halves = feeds.map(|feed| ("mirror port".to_owned(), feed.sentence()));
    let learning = outcome.learned.as_ref().filter(|learned| learned.learning() && !plan.quiet);
    let learning = learning.map(|l| ("baselines".to_owned(), state::sentence(l)));
    let warnings = outcome.warnings.iter().filter(|_| !plan.quiet);
    let warnings = warnings.map(|warning| (warning.name.to_owned(), warning.text.clone()));
    let all = problems(outcome).into_iter().chain(warnings).chain(halves).chain(learning);
    cli::print_warnings(&all.collect::<Vec<_>>());
}

/// Reads in sets, or goes on with them.
fn in_sets(
    args: &ReadArgs,
    (plan, bytes): (&Plan, u64),
    interrupt: &Interrupt,
    wanted: Option<Wanted>,
) -> CommandResult {
    let mut each = |outcome: &Outcome| {
        cli::print_notes(&outcome.remarks);
        say(outcome, plan);
    };
    let mut bar = Bar::new(plan.quiet);
    let sets = pipeline::in_sets::run((plan, bytes), &mut bar, interrupt, &mut each)?;
    if !plan.quiet {
        cli::print_notes(&[sentence(&sets)]);
    }
    let Output::Dir { path, .. } = &plan.output else { return Ok(RAN) };
    if sets.written + sets.found == 0 {
        return Ok(RAN);
    }
    let results = Results::open(path).map_err(|e| vec![e])?;
    let is_found = ["alerts.ndjson", "incidents.ndjson"].iter().any(|name| {
        let files = results.files(name);
        files.iter().any(|file| std::fs::metadata(file).is_ok_and(|meta| meta.len() > 0))
    });
    let code = if plan.fail_on_alert && is_found { ALERTS } else { RAN };
    if sets.interrupted {
        return Ok(code);
    }
    if let Some(wanted) = wanted {
        wanted.write(plan.quiet).map_err(|e| vec![e])?;
    }
    if let Some(dir) = args.parquet() {
        convert::write(&[results], dir, plan.quiet).map_err(|e| vec![e])?;
    }
    Ok(code)
}

/// What a run in sets has come to.
fn sentence(sets: &InSets) -> String {
    let found = match sets.found {
        0 => String::new(),
        n => format!("; {} were there", units::number_of(n as usize, "set")),
    };
    let written = units::number_of(sets.written as usize, "set");
    match (sets.interrupted, sets.written) {
        (true, _) => format!("{written} written{found}; the same command goes on behind them"),
        (false, 0) => format!("nothing was left to read{found}"),
        (false, _) => format!("{written} written{found}; all files are read"),
    }
}

/// Says the message after the first signal.
fn signalled(plan: &Plan) -> impl Fn() + Send + 'static {
    let text = match plan.follow {
        None => "interrupted: finishing with what was read; a second signal ends at once",
        Some(_) => "finishing with the files that were read; a second signal ends at once",
    };
    move || cli::print_notes(&[text.to_owned()])
}

/// Builds the summary.
pub(super) fn summarise(outcome: Outcome) -> Summary {
    let problems = problems(&outcome);
    let old_lists = outcome
        .old_lists
        .first()
        .map(|oldest| (outcome.old_lists.len() as u64, oldest.name.clone(), oldest.age_days));
    let mut summary = outcome.sessions.finish();
    summary.rules = outcome.shown;
    summary.add_endpoints(outcome.endpoints.iter());
    summary.add_alerts(outcome.alerts.iter().map(|alert| &**alert));
    summary.add_incidents(&outcome.incidents);
    summary.inputs = InputTotals {
        files: outcome.files.len() as u64,
        interfaces: 0,
        bytes: outcome.files.iter().map(|file| file.bytes).sum(),
        frames: outcome.files.iter().map(|file| file.packets).sum(),
        clusters: spans::clusters(outcome.files.iter().filter_map(|f| f.first.zip(f.last))),
        problems,
        warnings: outcome.warnings.iter().map(|warning| warning.text.clone()).collect(),
        old_lists,
    };
    summary.copies = outcome.copies.iter().flat_map(duplicates::notes).collect();
    summary.baselines = outcome.learned.as_ref().map(state::sentence);
    summary.counters = outcome.counters;
    summary
}

/// Inputs that were not read in full: name and problem.
fn problems(outcome: &Outcome) -> Vec<(String, String)> {
    let problems = pipeline::problems(&outcome.files);
    problems.into_iter().map(|problem| (problem.what, problem.cause)).collect()
}
