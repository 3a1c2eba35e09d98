//! The commands, one file each: arguments in, a call, text out.
//!
//! Owns: options, exit codes, text for people. In: the command line. Out: text on standard output,
//! errors and progress on standard error. Never: logic of its own.

mod args;
mod bundle;
mod carve;
mod completions;
mod convert;
mod demo;
mod explain;
mod fields;
mod geo;
mod hunt;
mod intel;
mod live;
mod monitor;
mod progress;
mod protocols;
mod read;
mod report;
mod report_follow;
mod rules;
mod rules_results;
mod sinks;
mod state;
mod timeline;
#[cfg(feature = "tui")]
mod top;
#[cfg(feature = "tui")]
mod top_feed;
#[cfg(feature = "tui")]
mod top_show;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::model::Error;
use crate::model::escape::{escaped, escaped_lines};
use crate::report::terminal::Style;

/// The command ran; nothing needs attention.
const RAN: u8 = 0;
/// There are alerts and `--fail-on-alert` was given.
const ALERTS: u8 = 1;
/// The command could not run.
const FAILED: u8 = 2;

/// The result of a command: an exit code, or every error at once.
type CommandResult = Result<u8, Vec<Error>>;

/// Measures in captured traffic how far away the other end of each session really is, shows who
/// owns its address, and alerts on laundering proxies, consumer VPNs, remote-control tools and
/// laptop farms.
#[derive(Debug, Parser)]
#[command(name = "longhaul", version, max_term_width = 100)]
struct Cli {
    /// Colours in text: auto (if the terminal supports them), always, or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

/// When to colour text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Analyse the embedded capture of a small laptop farm and explain the result
    Demo(demo::DemoArgs),
    /// Read capture files, directories or standard input
    Read(Box<args::ReadArgs>),
    /// Watch interfaces until stopped by a signal
    Live(Box<live::LiveArgs>),
    /// Show the metrics of a live run, until standard input ends: started by that run
    #[command(hide = true)]
    Monitor(monitor::MonitorArgs),
    /// Tell the story of an alert, incident or session, with its numbers and its limits
    Explain(explain::ExplainArgs),
    /// Write the packets behind an alert, incident or session, from the captures that were read
    Carve(carve::CarveArgs),
    /// Pack results, packets and hashes into one file that can be handed on
    Bundle(bundle::BundleArgs),
    /// Say whether a bundle is as it was made, and what differs
    Verify(bundle::VerifyArgs),
    /// Write the report of finished results: one HTML file
    Report(report::ReportArgs),
    /// Tell one subject's days: addresses, places, round trips, tools, alerts
    Timeline(timeline::TimelineArgs),
    /// View results in the terminal, of a run that has ended or goes on
    #[cfg(feature = "tui")]
    Top(top::TopArgs),
    /// Write finished results as Parquet, by day and sensor
    Convert(convert::ConvertArgs),
    /// Print the lines of finished results for which a filter holds
    Hunt(hunt::HuntArgs),
    /// Show or merge learned baselines of round trips
    #[command(subcommand)]
    State(state::StateCommand),
    /// List, export, check or test Sigma rules
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Check the sinks of a configuration, or send what waits for them
    #[command(subcommand)]
    Sinks(sinks::SinksCommand),
    /// Look up addresses in the geo databases
    #[command(subcommand)]
    Geo(geo::GeoCommand),
    /// Check, import and search lists of indicators
    #[command(subcommand)]
    Intel(intel::IntelCommand),
    /// List every field of the output files, or print their JSON Schema
    Fields(fields::FieldsArgs),
    /// List the protocols and applications that are recognised, and by what evidence
    Protocols(protocols::ProtocolsArgs),
    /// Write the completion script of a shell to standard output
    Completions(completions::CompletionsArgs),
    /// Write the manual pages to a directory
    Man(completions::ManArgs),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage_error(&e),
    };
    let style = Style { colour: colour(cli.color), width: width() };
    let ended = match cli.command {
        Command::Demo(args) => demo::run(&args, style),
        Command::Read(args) => read::run(&args, style),
        Command::Live(args) => live::run(&args, style),
        Command::Monitor(args) => monitor::run(&args),
        Command::Explain(args) => explain::run(&args, style),
        Command::Carve(args) => carve::run(&args),
        Command::Bundle(args) => bundle::write(&args),
        Command::Verify(args) => bundle::check(&args),
        Command::Report(args) => report::run(&args),
        Command::Timeline(args) => timeline::run(&args, style),
        #[cfg(feature = "tui")]
        Command::Top(args) => top::run(&args, style),
        Command::Convert(args) => convert::run(&args),
        Command::Hunt(args) => hunt::run(&args),
        Command::State(command) => state::run(&command),
        Command::Rules(command) => rules::run(&command),
        Command::Sinks(command) => sinks::run(&command),
        Command::Geo(command) => geo::run(&command),
        Command::Intel(command) => intel::run(&command),
        Command::Fields(args) => fields::run(&args),
        Command::Protocols(args) => protocols::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => completions::pages(&args),
    };
    ExitCode::from(ended.unwrap_or_else(|errors| {
        report_errors(&errors);
        FAILED
    }))
}

/// Help, version, or invalid arguments.
fn usage_error(e: &clap::Error) -> ExitCode {
    let text = e.render().to_string();
    // An argument may be a file name that a shell expanded.
    let safe = escaped_lines(&text);
    // Help and version go to standard output; a closed pipe there is no error.
    if safe == text.as_str() {
        drop(e.print());
    } else {
        drop(std::io::stderr().lock().write_all(safe.as_bytes()));
    }
    ExitCode::from(if e.use_stderr() { FAILED } else { RAN })
}

fn report_errors(errors: &[Error]) {
    let mut stderr = std::io::stderr().lock();
    for error in errors {
        // There is no other place to report that standard error failed.
        drop(writeln!(stderr, "{error}"));
    }
}

/// Notes about the output locations, one line each on standard error.
fn print_notes(remarks: &[String]) {
    let mut stderr = std::io::stderr().lock();
    for remark in remarks {
        // There is no other place to report that standard error failed.
        drop(writeln!(stderr, "note: {remark}"));
    }
}

/// Warnings, one line each on standard error: the subject and its problem.
fn print_warnings(problems: &[(String, String)]) {
    let mut stderr = std::io::stderr().lock();
    for (what, cause) in problems {
        // There is no other place to report that standard error failed.
        drop(writeln!(stderr, "warning: {}: {}", escaped(what), escaped(cause)));
    }
}

/// Writes plain lines to standard output, with control characters escaped.
fn print(text: &str) -> Result<(), Vec<Error>> {
    print_as_is(&escaped_lines(text))
}

/// Writes text with colours, or not meant for people, unescaped. A closed pipe is not an error.
fn print_as_is(text: &str) -> Result<(), Vec<Error>> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(vec![Error::new("standard output", e.to_string())])
        }
        _ => Ok(()),
    }
}

/// Whether to colour text: as requested, else if the terminal supports colours and the environment
/// does not forbid them (<https://no-color.org>).
fn colour(asked: Color) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match asked {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal() && !unwanted && !is_dumb(),
    }
}

/// Whether the terminal can neither move the cursor nor show colours (terminfo's `dumb`).
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Columns for text: `COLUMNS`, else the terminal's width, else 100.
fn width() -> usize {
    let given = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let columns = given.filter(|columns| *columns > 0).or_else(|| {
        let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
        Some(usize::from(width.0))
    });
    columns.unwrap_or(100).clamp(40, 160)
}
