//! `longhaul carve`: the packets behind an event, out of the captures that were read.
//!
//! Owns: nothing; the work is `carve`'s. In: an id and results. Out: a pcapng file, and on standard
//! error what was done. Never: text of the results unescaped.

use std::path::PathBuf;

use crate::carve::{self, Options};
use crate::cli::{self, CommandResult, RAN, progress::Bar};
use crate::model::{escape::escaped, units};
use crate::pipeline::Progress;
use crate::results::Results;

/// Arguments of `carve`.
#[derive(Debug, clap::Args)]
pub(super) struct CarveArgs {
    /// `event.id` of an alert, incident or session, or its first eight digits or more
    id: String,
    /// A directory that `longhaul read --out` made
    #[arg(value_name = "RUN", default_value = ".")]
    run: PathBuf,
    /// The pcapng file to write, `-` for standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Where the captures are now, if they have moved: found by size and hash, or by name
    #[arg(long, value_name = "DIR")]
    captures: Vec<PathBuf>,
    /// Compare the SHA-256 of captures above 64 MiB, too
    #[arg(long)]
    verify: bool,
    /// No progress bar, no summary
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub(super) fn run(args: &CarveArgs) -> CommandResult {
    let results = Results::open(&args.run).map_err(|e| vec![e])?;
    let options = Options { captures: args.captures.clone(), verify: args.verify };
    let order = (args.id.as_str(), args.output.as_path());
    let mut bar = Bar::new(args.quiet);
    let carved = carve::carve(&results, order, &options, &mut |done, all| bar.tick(done, all));
    bar.done();
    let carved = carved?;
    let mut notes = carved.notes;
    if carved.without > 0 {
        let what = units::number_of(carved.without as usize, "session");
        notes.push(format!("of {what} the captures hold no packet"));
    }
    if !args.quiet {
        let packets = units::number_of(carved.packets as usize, "packet");
        let sessions = units::number_of(carved.sessions as usize, "session");
        let files = units::number_of(carved.files as usize, "capture");
        let name = args.output.display().to_string();
        let name = escaped(&name);
        notes.push(format!("{packets} of {sessions} from {files} in {name}"));
    }
    cli::print_notes(&notes);
    Ok(RAN)
}
