//! `longhaul timeline`: one subject, day by day.

use std::path::PathBuf;

use crate::cli::{self, CommandResult, RAN};
use crate::report::terminal::Style;
use crate::report::timeline::Timeline;
use crate::results::Results;

/// Arguments of `timeline`.
#[derive(Debug, clap::Args)]
pub(super) struct TimelineArgs {
    /// Id or name of a subject, as alerts and sessions have it
    subject: String,
    /// A directory that --out made, or one with the sets of a live run
    #[arg(value_name = "RUN", default_value = ".")]
    run: PathBuf,
}

/// Runs the command.
pub(super) fn run(args: &TimelineArgs, style: Style) -> CommandResult {
    let results = Results::open(&args.run).map_err(|e| vec![e])?;
    let timeline = Timeline::read(&results, &args.subject).map_err(|e| vec![e])?;
    cli::print_as_is(&timeline.text(style.width, style.colour))?;
    Ok(RAN)
}
