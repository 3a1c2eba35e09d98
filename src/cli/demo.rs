//! `longhaul demo`: analyses the embedded capture of a small laptop farm and explains the result.
//!
//! Owns: the plan of the demonstration. In: nothing. Out: a story, and a report beside it.
//! Never: a sentence whose numbers do not come from the capture.

use std::path::PathBuf;
use std::time::Instant;

use crate::cli::report::Wanted;
use crate::cli::{self, CommandResult, RAN};
use crate::config::{HashInputs, Output, Plan};
use crate::model::Error;
use crate::model::endpoint::EndpointRow;
use crate::pipeline::{self, NoProgress, Outcome};
use crate::report::story::{self, Story};
use crate::report::terminal::Style;

/// Three minutes at the edge of a fictitious company; see tests/data/demo/README.md.
const CAPTURE: &[u8] = include_bytes!("../../tests/data/demo/farm.pcap.zst");

/// Where results and report go, in the working directory.
const DIR: &str = "longhaul-demo";

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Write the embedded capture to FILE (zstd-compressed pcap) instead, to use it with other
    /// commands
    #[arg(long, value_name = "FILE")]
    extract: Option<std::path::PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &DemoArgs, style: Style) -> CommandResult {
    if let Some(path) = &args.extract {
        return extract(path);
    }
    let begun = now();
    let mut plan = Plan {
        embedded: Some(("demo/farm.pcap.zst", CAPTURE)),
        place: Some("39.04,-77.49".to_owned()),
        home: vec!["10.20.0.0/16".to_owned()],
        hash: HashInputs::Never,
        ..Plan::default()
    };
    let (outcome, report) = run_with_report(&mut plan)?;
    let endpoints: Vec<EndpointRow> = outcome.endpoints.iter().collect();
    let story = Story {
        place: "Ashburn, Virginia",
        packets: outcome.counters.get(crate::model::Counter::Frames),
        sessions: outcome.counters.get(crate::model::Counter::Sessions),
        span: outcome.span,
        took_ms: begun.elapsed().as_millis(),
        endpoints: &endpoints,
        alerts: &outcome.alerts,
        incidents: &outcome.incidents,
    };
    cli::print_as_is(&story::render(&story, style))?;
    if let Some(report) = report {
        cli::print(&format!("\n  The report, for a browser:\n  {}\n", report.display()))?;
    }
    Ok(RAN)
}

/// Runs the plan, leaving results and report in [`DIR`]. Where that cannot be written, a note says
/// so, and the demonstration goes on without.
fn run_with_report(plan: &mut Plan) -> Result<(Outcome, Option<PathBuf>), Vec<Error>> {
    let dir = PathBuf::from(DIR);
    let kept = Output::Dir { path: dir.clone(), force: true };
    let none = std::mem::replace(&mut plan.output, kept);
    let target = dir.join("report.html");
    let told = pipeline::run(plan, &mut NoProgress).and_then(|outcome| {
        let wanted = Wanted::new(&target, plan);
        let written = wanted.and_then(|wanted| wanted.write(true));
        written.map(|()| outcome).map_err(|e| vec![e])
    });
    match told {
        Ok(outcome) => Ok((outcome, Some(target))),
        Err(errors) => {
            let why = errors.iter().map(|e| format!("no report: {}: {}", e.what, e.cause));
            cli::print_notes(&why.collect::<Vec<_>>());
            plan.output = none;
            Ok((pipeline::run(plan, &mut NoProgress)?, None))
        }
    }
}

fn extract(path: &std::path::Path) -> CommandResult {
    std::fs::write(path, CAPTURE).map_err(|e| {
        vec![
            crate::model::Error::new(format!("writing {}", path.display()), e.to_string())
                .help("choose a file in a directory that can be written to"),
        ]
    })?;
    Ok(RAN)
}

#[allow(clippy::disallowed_methods, reason = "how long the demonstration took is for the person")]
fn now() -> Instant {
    Instant::now()
}
