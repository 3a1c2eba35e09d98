//! `longhaul demo`: analyses the embedded capture of a small laptop farm and explains the result.
//!
//! Owns: the plan of the demonstration. In: nothing. Out: a short report.
//! Never: a sentence whose numbers do not come from the capture.

use std::time::Instant;

use crate::cli::{self, CommandResult, RAN};
use crate::config::{HashInputs, Plan};
use crate::model::endpoint::EndpointRow;
use crate::pipeline::{self, NoProgress};
use crate::report::story::{self, Story};
use crate::report::terminal::Style;

/// Three minutes at the edge of a fictitious company; see tests/data/demo/README.md.
const CAPTURE: &[u8] = include_bytes!("../../tests/data/demo/farm.pcap.zst");

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
    let plan = Plan {
        embedded: Some(("demo/farm.pcap.zst", CAPTURE)),
        place: Some("39.04,-77.49".to_owned()),
        home: vec!["10.20.0.0/16".to_owned()],
        hash: HashInputs::Never,
        ..Plan::default()
    };
    let outcome = pipeline::run(&plan, &mut NoProgress)?;
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
    Ok(RAN)
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
