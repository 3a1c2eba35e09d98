//! `longhaul fields`: every field that lines hold and rules may ask for.
//!
//! Owns: nothing. In: which form. Out: Markdown, JSON Schema, settings of
//! stores. Never: a field by itself.

use crate::cli::{self, CommandResult, RAN};
use crate::emit::json_schema::{Lines, json_schema};
use crate::emit::{Store, index_template, splunk_settings};
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
    /// Settings of a store for these fields: an index template, or props.conf and transforms.conf
    #[arg(long, value_name = "elastic|opensearch|splunk",
          conflicts_with_all = ["json_schema", "format"])]
    template: Option<Template>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Template {
    Elastic,
    #[value(name = "opensearch")]
    OpenSearch,
    Splunk,
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
    match args.template {
        Some(Template::Elastic) => return print_json(&index_template(Store::Elastic)),
        Some(Template::OpenSearch) => return print_json(&index_template(Store::OpenSearch)),
        Some(Template::Splunk) => {
            cli::print(&splunk_settings())?;
            return Ok(RAN);
        }
        None => {}
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
    print_json(&schema)
}

fn print_json(value: &serde_json::Value) -> CommandResult {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| vec![Error::new("JSON", e.to_string())])?;
    cli::print(&format!("{text}\n"))?;
    Ok(RAN)
}
