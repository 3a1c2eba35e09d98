//! `longhaul explain`: the story of an alert, incident or session.
//!
//! Owns: nothing; the words are `explain`'s. In: an id and results. Out: text, or JSON. Never: text
//! of the results unescaped.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::cli::{self, CommandResult, RAN};
use crate::report::terminal::Style;
use crate::results::{Results, find};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// `event.id` of an alert, incident or session, or its first eight digits or more
    id: String,
    /// A directory that --out made, or one with the sets of a live run
    #[arg(value_name = "RUN", default_value = ".")]
    run: PathBuf,
    /// As one JSON object: a list of sentences for each heading
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &ExplainArgs, style: Style) -> CommandResult {
    let results = Results::open(&args.run).map_err(|e| vec![e])?;
    let told = find::explain(&results, &args.id).map_err(|e| vec![e])?;
    if args.json {
        let of = |section: crate::explain::Section| {
            (section.heading.to_owned(), Value::from(section.sentences))
        };
        let object: Map<String, Value> = told.sections.into_iter().map(of).collect();
        let json = Value::from(object).to_string();
        cli::print_as_is(&format!("{}\n", crate::model::escape::escaped_json(&json)))?;
    } else {
        cli::print_as_is(&told.text(style.width, style.colour))?;
    }
    Ok(RAN)
}
