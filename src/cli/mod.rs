//! The commands: one file each; arguments in, a call, text out.
//!
//! Owns: flags, exit codes, what people read. In: the command line. Out: text on standard output,
//! errors and progress on standard error. Never: logic of its own.

mod args;
mod completions;
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
use crate::model::escape::escaped;
use crate::model::escape::escaped_lines;
use crate::report::terminal::Style;

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
    /// Colours in text for people: where a terminal shows it, always, or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

/// When text for people is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
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
    /// Write the completion script of a shell to standard output
    Completions(completions::CompletionsArgs),
    /// Write the manual pages to a directory
    Man(completions::ManArgs),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return refused(&e),
    };
    let style = Style { colour: colour(cli.color), width: width() };
    let ended = match cli.command {
        Command::Demo(args) => demo::run(&args, style),
        Command::Read(args) => read::run(&args, style),
        Command::Live(args) => live::run(&args, style),
        Command::State(command) => state::run(&command),
        Command::Rules(command) => rules::run(&command),
        Command::Geo(command) => geo::run(&command),
        Command::Protocols(args) => protocols::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => completions::pages(&args),
    };
    ExitCode::from(ended.unwrap_or_else(|errors| {
        report_errors(&errors);
        FAILED
    }))
}

/// Help, version, or arguments that make no sense.
fn refused(e: &clap::Error) -> ExitCode {
    let text = e.render().to_string();
    // An argument may be a file's name, which a shell has put there.
    let safe = escaped_lines(&text);
    // Help and version go to standard output; a closed pipe there is nobody's error.
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
        drop(writeln!(stderr, "warning: {}: {}", escaped(what), escaped(cause)));
    }
}

/// Writes plain lines to standard output: what is quoted in them cannot talk to the terminal.
fn print(text: &str) -> Result<(), Vec<Error>> {
    print_as_is(&escaped_lines(text))
}

/// Writes text that has colours, or is no text for people. A reader that has gone away (a closed
/// pipe) is not an error.
fn print_as_is(text: &str) -> Result<(), Vec<Error>> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(vec![Error::new("standard output", e.to_string())])
        }
        _ => Ok(()),
    }
}

/// Whether text for people is coloured: as asked, else on a terminal that knows colours, where
/// nobody has said otherwise (<https://no-color.org>).
fn colour(asked: Color) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match asked {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal() && !unwanted && !is_dumb(),
    }
}

/// Whether the terminal moves no cursor and shows no colours (terminfo's `dumb`).
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Columns for text: `COLUMNS`, else the terminal's, else 100.
fn width() -> usize {
    let given = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let columns = given.filter(|columns| *columns > 0).or_else(|| {
        let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
        Some(usize::from(width.0))
    });
    columns.unwrap_or(100).clamp(40, 160)
}
