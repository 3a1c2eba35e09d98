//! `longhaul rules`: checks, lists, exports and tests Sigma rules.
//!
//! Owns: the answers' layout. In: a directory of Sigma rules, or none for the embedded set.
//! Out: one line per rule or case. Never: rejects a rule without file, line and remedy.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::cli::{self, ALERTS, CommandResult, RAN, rules_results};
use crate::pipeline::queries;

/// Subcommands of `rules`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum RulesCommand {
    /// Load the rules and report errors with file and line
    Check {
        /// Directories and files of Sigma rules [default: the embedded ones]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Configuration file whose [placeholders] and [thresholds] rules use
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// List the rules
    List {
        /// Directories and files of Sigma rules [default: the embedded ones]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Configuration file whose [placeholders] and [thresholds] rules use
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print what the rules compare with, as [thresholds] of a configuration file
    Thresholds {
        /// Directories and files of Sigma rules [default: the embedded ones]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Configuration file whose [placeholders] and [thresholds] rules use
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Write the embedded rules and their cases to a directory
    Export {
        /// A directory that is empty or does not exist
        dir: PathBuf,
    },
    /// Run the cases in DIR/cases: each lists the rules that must fire and that must not
    Test {
        /// Directory of Sigma rules with a subdirectory `cases`
        dir: PathBuf,
        /// Configuration file whose [placeholders] and [thresholds] rules use
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the rules as SQL over tables of sessions and endpoints
    Sql {
        /// Directories and files of Sigma rules [default: the embedded ones]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Also print views of DuckDB over the files of this result, so that the statements run
        #[arg(long, value_name = "RUN")]
        duckdb: Option<PathBuf>,
    },
    /// Count how often each rule fired: per 1,000 sessions, per 1,000 subjects and day
    Stats {
        /// A directory that --out made, or one with the sets of a live run
        #[arg(value_name = "RUN", default_value = ".")]
        run: PathBuf,
        /// One JSON object a rule
        #[arg(long)]
        json: bool,
    },
    /// Propose thresholds from the site's own 99.9th percentile, as a file to review
    Tune {
        /// A directory that --out made, or one with the sets of a live run
        #[arg(value_name = "RUN", default_value = ".")]
        run: PathBuf,
        /// Directories and files of Sigma rules [default: the embedded ones]
        #[arg(long, value_name = "PATH")]
        rules: Vec<PathBuf>,
    },
}

/// Runs the command.
pub(super) fn run(command: &RulesCommand) -> CommandResult {
    match command {
        RulesCommand::Sql { paths, duckdb } => rules_results::sql(paths, duckdb.as_deref()),
        RulesCommand::Stats { run, json } => rules_results::stats(run, *json),
        RulesCommand::Tune { run, rules } => rules_results::tune(run, rules),
        RulesCommand::Check { paths, config } => {
            let site = queries::site_values(config.as_deref())?;
            let checked = queries::check_rules(paths, &site)?;
            cli::print(&format!("{} rules, all sound\n", checked.count))?;
            cli::print_notes(&checked.notes);
            // Valid on their own, they may still clash with the embedded ones.
            let clashes =
                if paths.is_empty() { Vec::new() } else { queries::clashes(paths, &site) };
            if let Some(first) = clashes.first() {
                let place = first
                    .place
                    .as_ref()
                    .map_or(String::new(), |(file, line)| format!(" ({}:{line})", file.display()));
                cli::print_notes(&[format!(
                    "only with --rules-only, not beside the embedded rules: {}{place}",
                    first.cause
                )]);
            }
            Ok(RAN)
        }
        RulesCommand::List { paths, config } => {
            let mut text = String::new();
            let site = queries::site_values(config.as_deref())?;
            for (rule, enabled) in queries::rules(paths, &site)? {
                let off = if enabled { "" } else { " (off unless enabled)" };
                let (id, level, group) = (&rule.id, rule.level.as_str(), rule.group.as_str());
                let (ratio, name, title) = (rule.ratio, &rule.name, &rule.title);
                // Writing into a String cannot fail.
                let _ =
                    writeln!(text, "{id}  {group:<10} {ratio:>6} {level:<13} {name}  {title}{off}");
            }
            cli::print(&text)?;
            Ok(RAN)
        }
        RulesCommand::Thresholds { paths, config } => {
            let site = queries::site_values(config.as_deref())?;
            cli::print(&queries::thresholds(paths, &site)?)?;
            Ok(RAN)
        }
        RulesCommand::Export { dir } => {
            let count = queries::export_rules(dir).map_err(|e| vec![e])?;
            cli::print(&format!("{count} files of rules and cases in {}\n", dir.display()))?;
            Ok(RAN)
        }
        RulesCommand::Test { dir, config } => test(dir, config.as_deref()),
    }
}

fn test(dir: &Path, config: Option<&Path>) -> CommandResult {
    let results = queries::test_rules(dir, &queries::site_values(config)?)?;
    let failed = results.iter().filter(|result| result.failure.is_some()).count();
    let mut text = String::new();
    for result in &results {
        let file = result.file.display();
        // Writing into a String cannot fail.
        let _ = match &result.failure {
            Some(why) => writeln!(text, "FAILED {} {file}: {why}", result.rule),
            None => writeln!(text, "ok     {} {file}", result.rule),
        };
    }
    let _ = writeln!(text, "{} cases, {failed} failed", results.len());
    cli::print(&text)?;
    Ok(if failed > 0 { ALERTS } else { RAN })
}
