//! `longhaul fields`: every field that lines hold and rules may ask for.
//!
//! Owns: nothing. In: which form. Out: Markdown or JSON Schema. Never: a field by itself.

use crate::cli::{self, CommandResult, RAN};
use crate::emit::json_schema::{Lines, json_schema};
use crate::formats::mapping;
use crate::model::schema::reference_markdown;
use crate::model::{Error, Form};

/// Arguments of `fields`.
#[derive(Debug, clap::Args)]
pub(super) struct FieldsArgs {
    /// JSON Schema (draft 2020-12) of a line of that file [default: of any of them]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "all")]
    json_schema: Option<Schema>,
    /// How fields become those of another form
    #[arg(long, value_name = "ecs|ocsf|cef|leef|eve", conflicts_with = "json_schema",
          value_parser = ["ecs", "ocsf", "cef", "leef", "eve"])]
    format: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Schema {
    All,
    Sessions,
    Endpoints,
    Alerts,
    Incidents,
}

/// Runs the command.
pub(super) fn run(args: &FieldsArgs) -> CommandResult {
    if let Some(form) = args.format.as_deref().and_then(Form::of) {
        cli::print(&mapping(form))?;
        return Ok(RAN);
    }
    let Some(which) = args.json_schema else {
        cli::print(&reference_markdown())?;
        return Ok(RAN);
    };
    let schema = json_schema(match which {
        Schema::All => None,
        Schema::Sessions => Some(Lines::Sessions),
        Schema::Endpoints => Some(Lines::Endpoints),
        Schema::Alerts => Some(Lines::Alerts),
        Schema::Incidents => Some(Lines::Incidents),
    });
    let text = serde_json::to_string_pretty(&schema)
        .map_err(|e| vec![Error::new("JSON Schema", e.to_string())])?;
    cli::print(&format!("{text}\n"))?;
    Ok(RAN)
}
