//! The commands: one file each; arguments in, a call, text out.
//!
//! Owns: flags, exit codes, what people read. In: the command line. Out: text on standard output,
//! errors and progress on standard error. Never: logic of its own.

mod args;
mod demo;
mod geo;
mod live;
mod progress;
mod protocols;
mod read;
mod rules;
mod state;

use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::model::Error;

/// The command ran and nothing asks for attention.
const RAN: u8 = 0;
/// Alerts exist and `--fail-on-alert` was given.
const ALERTS: u8 = 1;
/// The command could not run.
const FAILED: u8 = 2;

/// What a command ends with: an exit code, or every error at once.
type Ended = Result<u8, Vec<Error>>;

/// Finds the long haul behind a short hop: reads captures, measures how far away the other end of
/// each session really is, says who owns it, and alerts on laundering proxies and laptop farms.
#[derive(Debug, Parser)]
#[command(name = "longhaul", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run the embedded capture of a small laptop farm and tell its story
    Demo(demo::DemoArgs),
    /// Read capture files, directories or standard input
    Read(Box<args::ReadArgs>),
    /// Watch interfaces until a signal ends it
    Live(Box<live::LiveArgs>),
    /// Show or merge what was learned of usual round trips
    #[command(subcommand)]
    State(state::StateCommand),
    /// Check, list or test Sigma rules
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Ask the geo databases about an address
    #[command(subcommand)]
    Geo(geo::GeoCommand),
    /// List the protocols and applications that are recognised, and by what
    Protocols(protocols::ProtocolsArgs),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let failed = e.use_stderr();
            // Help and version go to standard output; a closed pipe there is nobody's error.
            drop(e.print());
            return ExitCode::from(if failed { FAILED } else { RAN });
        }
    };
    let ended = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Read(args) => read::run(&args),
        Command::Live(args) => live::run(&args),
        Command::State(command) => state::run(&command),
        Command::Rules(command) => rules::run(&command),
        Command::Geo(command) => geo::run(&command),
        Command::Protocols(args) => protocols::run(&args),
    };
    ExitCode::from(ended.unwrap_or_else(|errors| {
        report_errors(&errors);
        FAILED
    }))
}

fn report_errors(errors: &[Error]) {
    let mut stderr = std::io::stderr().lock();
    for error in errors {
        // Standard error is the last place to say anything.
        drop(writeln!(stderr, "{error}"));
    }
}

/// What users should know of the places that results go to, a line each on standard error.
fn remark(remarks: &[String]) {
    let mut stderr = std::io::stderr().lock();
    for remark in remarks {
        // Standard error is the last place to say anything.
        drop(writeln!(stderr, "note: {remark}"));
    }
}

/// One warning a line on standard error: what, and what is wrong with it.
fn warn(problems: &[(String, String)]) {
    let mut stderr = std::io::stderr().lock();
    for (what, cause) in problems {
        // Standard error is the last place to say anything.
        drop(writeln!(stderr, "warning: {what}: {cause}"));
    }
}

/// Writes text to standard output; a reader that has gone away (a closed pipe) is not an error.
fn print(text: &str) -> Result<(), Vec<Error>> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(vec![Error::new("standard output", e.to_string())])
        }
        _ => Ok(()),
    }
}

/// Whether output for people may be coloured: a terminal, and no wish against it
/// (<https://no-color.org>).
fn colour() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !unwanted
}

/// Columns for text: the terminal's, from `COLUMNS`, else 100.
fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.unwrap_or(100).clamp(60, 160)
}
