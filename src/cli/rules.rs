//! `longhaul rules`: are they sound, which are there, do their cases hold.
//!
//! Owns: the answers' layout. In: a directory of Sigma rules, or none for the embedded set.
//! Out: a line a rule or case. Never: a rule that is refused without file, line and remedy.

use std::fmt::Write;
use std::path::PathBuf;

use crate::cli;
use crate::cli::ALERTS;
use crate::cli::Ended;
use crate::cli::RAN;
use crate::pipeline::ask;

/// Subcommands of `rules`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum RulesCommand {
    /// Load the rules and say what is wrong with them, file and line
    Check {
        /// Directory of Sigma rules [default: the embedded ones]
        dir: Option<PathBuf>,
    },
    /// List the rules
    List {
        /// Directory of Sigma rules [default: the embedded ones]
        dir: Option<PathBuf>,
    },
    /// Run the cases in DIR/cases: each names what must fire and what must stay quiet
    Test {
        /// Directory of Sigma rules with a folder `cases`
        dir: PathBuf,
    },
}

/// Runs the command.
pub(super) fn run(command: &RulesCommand) -> Ended {
    match command {
        RulesCommand::Check { dir } => {
            let count = ask::rules(dir.as_deref())?.len();
            cli::print(&format!("{count} rules, all sound\n"))?;
            Ok(RAN)
        }
        RulesCommand::List { dir } => {
            let mut text = String::new();
            for rule in ask::rules(dir.as_deref())? {
                let (id, level, family) = (&rule.id, rule.level.as_str(), rule.family.as_str());
                // Writing into a String cannot fail.
                let _ = writeln!(text, "{id}  {family}  {level:<13} {}  {}", rule.name, rule.title);
            }
            cli::print(&text)?;
            Ok(RAN)
        }
        RulesCommand::Test { dir } => test(dir),
    }
}

fn test(dir: &std::path::Path) -> Ended {
    let results = ask::test_rules(dir)?;
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
