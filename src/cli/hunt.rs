//! `longhaul hunt`: filters and rules over finished results.
//!
//! Owns: nothing; the work is `hunt`'s. In: results, a filter, rules. Out: lines on standard
//! output, the count on standard error. Never: a line changed.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::convert;
use crate::cli::{self, CommandResult, RAN, progress::Bar};
use crate::config::parse_level;
use crate::detect::RuleSet;
use crate::emit::SCHEMA_VERSION;
use crate::emit::json_schema::Lines;
use crate::hunt::expression::Expr;
use crate::hunt::judge::Judge;
use crate::hunt::parse::parse;
use crate::hunt::{self, Hunted, Stored};
use crate::model::alert::Level;
use crate::model::site_values::SiteValues;
use crate::model::{Error, units};
use crate::pipeline::Progress;
use crate::results::Results;
use crate::sinks::tables;

/// Arguments of `hunt`.
#[derive(Debug, clap::Args)]
pub(super) struct HuntArgs {
    /// Directories that --out made, with the sets of a live run, or with tables in Parquet
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Only lines for which this holds: FIELD OP VALUE, joined by and, or, not, parentheses; they
    /// are printed, unless rules are asked for
    #[arg(long = "where", value_name = "EXPR")]
    filter: Option<String>,
    /// The file to search
    #[arg(long, value_name = "FILE", default_value = "sessions")]
    table: Table,
    /// Judge sessions by the embedded rules [default without --where]
    #[arg(long)]
    judge: bool,
    /// The same, and by the Sigma rules of this directory or file; may be repeated
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Judge sessions by the Sigma rules of this directory or file only; may be repeated
    #[arg(long, value_name = "PATH")]
    rules_only: Vec<PathBuf>,
    /// No hit of a rule below this Sigma level
    #[arg(long, value_name = "LEVEL", default_value = "informational")]
    level: String,
    /// No progress bar, no count
    #[arg(long, short)]
    quiet: bool,
}

/// A file of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Table {
    Sessions,
    Endpoints,
    Alerts,
    Incidents,
}

impl Table {
    const fn lines(self) -> Lines {
        match self {
            Table::Sessions => Lines::Sessions,
            Table::Endpoints => Lines::Endpoints,
            Table::Alerts => Lines::Alerts,
            Table::Incidents => Lines::Incidents,
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &HuntArgs) -> CommandResult {
    let asked = Asked::of(args)?;
    let mut judge = asked.rules.as_ref().map(|rules| Judge::new(rules, asked.level));
    let mut out = Out { to: BufWriter::with_capacity(1 << 18, std::io::stdout()), closed: false };
    let mut each = |line: &[u8], value: &Value| match &mut judge {
        Some(judge) => judge.line(value)?.iter().try_for_each(|hit| out.line(hit.as_bytes())),
        None => out.line(line),
    };
    let (mut bar, table) = (Bar::new(args.quiet), args.table.lines());
    let mut tick = |done, all| bar.tick(done, all);
    let found = hunt::lines(&asked.stored, table, asked.filter.as_ref(), &mut each, &mut tick);
    bar.done();
    if out.closed {
        return Ok(RAN);
    }
    let found = found.map_err(|error| vec![error])?;
    out.finish()?;
    if found.files == 0 {
        let error = Error::new(table.name(), "none of the results has them");
        return Err(vec![error.help("read again without --no-sessions, or give another --table")]);
    }
    if found.earlier > 0 {
        cli::print_notes(&[format!(
            "{} of {} have an earlier schema version than {SCHEMA_VERSION}, which this program \
             reads: fields may be missing or mean something else",
            units::count(found.earlier as u64),
            units::number_of(found.files, "file"),
        )]);
    }
    if !args.quiet {
        cli::print_notes(&notes(&found, judge.as_ref(), asked.rules.as_ref()));
    }
    Ok(RAN)
}

/// What was searched and what not.
fn notes(found: &Hunted, judge: Option<&Judge<'_>>, rules: Option<&RuleSet>) -> Vec<String> {
    let lines = units::number_of(found.lines as usize, "line");
    let mut all = vec![format!("the filter holds for {} of {lines}", units::count(found.found))];
    let (Some(judge), Some(rules)) = (judge, rules) else { return all };
    all.clear();
    let hits = units::number_of(judge.hits() as usize, "hit");
    all.push(format!("{hits} in {} of {lines}", units::count(found.found)));
    let others = rules.not_on_sessions();
    if others > 0 {
        all.push(format!(
            "{others} rules on endpoints and correlations are not judged: they need all of a run"
        ));
    }
    if judge.uncounted() > 0 {
        let hits = units::count(judge.uncounted());
        all.push(format!("{hits} hits that need repetitions are left out: of too many kinds"));
    }
    all
}

/// What the arguments ask for.
struct Asked {
    stored: Vec<Stored>,
    filter: Option<Expr>,
    rules: Option<RuleSet>,
    level: Level,
}

impl Asked {
    /// Errors: all of the arguments.
    fn of(args: &HuntArgs) -> Result<Asked, Vec<Error>> {
        let mut errors = Vec::new();
        let mut all = Vec::new();
        for run in &args.runs {
            match stored(run) {
                Ok(one) => all.push(one),
                Err(error) => errors.push(error),
            }
        }
        let filter = args.filter.as_deref().map(parse).transpose();
        let filter = filter.map_err(|error| errors.push(error)).unwrap_or_default();
        let level = parse_level(&args.level);
        let level = level.map_err(|error| errors.push(error)).unwrap_or(Level::Informational);
        let of_rules = args.judge || !args.rules.is_empty() || !args.rules_only.is_empty();
        let judges = of_rules || args.filter.is_none();
        if judges && args.table != Table::Sessions {
            let error = Error::new("--table", "rules judge sessions only");
            errors.push(error.help("leave out --table, or give --where without rules"));
        }
        let load = || RuleSet::load(&args.rules_only, &args.rules, &SiteValues::default());
        let rules = judges.then(load).transpose();
        let rules = rules.map_err(|more| errors.extend(more)).unwrap_or_default();
        if errors.is_empty() {
            Ok(Asked { stored: all, filter, rules, level })
        } else {
            Err(errors)
        }
    }
}

/// Results, or else a directory with tables of results.
fn stored(path: &Path) -> Result<Stored, Error> {
    let results = Results::open(path);
    if results.is_ok() {
        return results.map(Stored::Results);
    }
    for of in Lines::ALL {
        if !tables::files(path, of.name())?.is_empty() {
            return convert::can_write("hunt").map(|()| Stored::Lake(path.to_path_buf()));
        }
    }
    results.map(Stored::Results)
}

/// Standard output, until whoever reads has read enough.
struct Out {
    to: BufWriter<std::io::Stdout>,
    closed: bool,
}

impl Out {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let end: &[u8] = if line.ends_with(b"\n") { b"" } else { b"\n" };
        let written = self.to.write_all(line).and_then(|()| self.to.write_all(end));
        self.closed |= written.as_ref().is_err_and(|e| e.kind() == ErrorKind::BrokenPipe);
        written.map_err(|error| format!("standard output: {error}"))
    }

    fn finish(mut self) -> Result<(), Vec<Error>> {
        match self.to.flush() {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(vec![Error::new("standard output", error.to_string())])
            }
            _ => Ok(()),
        }
    }
}
