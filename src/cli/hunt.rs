//! `longhaul hunt`: filters and rules over finished results.
//!
//! Owns: nothing; the work is `hunt`'s. In: results, a filter, rules. Out: lines on standard
//! output, the count on standard error. Never: a line changed.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::convert;
use crate::cli::{self, CommandResult, RAN, progress::Bar};
use crate::config::parse_level;
use crate::detect::{LineOf, RuleSet, RuleSetInfo, Switches};
use crate::emit::SCHEMA_VERSION;
use crate::emit::json_schema::Lines;
use crate::hunt::expression::Expr;
use crate::hunt::judge::Judge;
use crate::hunt::kept::Kept;
use crate::hunt::parse::parse;
use crate::hunt::{self, Hunted, Stored, Take};
use crate::model::alert::Level;
use crate::model::site_values::SiteValues;
use crate::model::{Error, units};
use crate::pipeline::Progress;
use crate::results::{Results, each_line_of};
use crate::sinks::files::OutFile;
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
    /// Judge lines by the embedded rules [default without --where]
    #[arg(long)]
    judge: bool,
    /// The same, and by the Sigma rules of this directory or file; may be repeated
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Judge by the Sigma rules of this directory or file only; may be repeated
    #[arg(long, value_name = "PATH")]
    rules_only: Vec<PathBuf>,
    /// No hit of a rule below this Sigma level
    #[arg(long, value_name = "LEVEL", default_value = "informational")]
    level: String,
    /// Keep what each file gives in DIR; after a kill the same command goes on behind the last file
    /// that is done, and prints all again
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
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
    let of = if args.table == Table::Endpoints { LineOf::Endpoint } else { LineOf::Session };
    let judge = asked.rules.as_ref().map(|rules| Judge::new(rules, asked.level, of));
    let kept = args.resume.as_deref().map(|dir| Kept::open(dir, &asked.question(args)));
    let kept = kept.transpose().map_err(|error| vec![error])?;
    let to = BufWriter::with_capacity(1 << 18, std::io::stdout());
    let out = Out { to, closed: false, failed: None };
    let mut taker = Taker { judge, out, kept, file: None, last: None };
    let (mut bar, table) = (Bar::new(args.quiet), args.table.lines());
    let mut tick = |done, all| bar.tick(done, all);
    let found = hunt::lines(&asked.stored, table, asked.filter.as_ref(), &mut taker, &mut tick);
    bar.done();
    if taker.out.closed {
        return Ok(RAN);
    }
    if let Some(error) = taker.out.failed.take() {
        return Err(vec![error]);
    }
    let found = found.and_then(|found| taker.catch_up().map(|()| found));
    let found = found.map_err(|error| vec![error])?;
    let Taker { judge, out, .. } = taker;
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

/// Takes what is found, and keeps it if that is wanted.
struct Taker<'r> {
    judge: Option<Judge<'r>>,
    out: Out,
    kept: Option<Kept>,
    /// The answers of the file that is searched.
    file: Option<OutFile>,
    /// The last file that was done before, if no other was searched since.
    last: Option<usize>,
}

impl Taker<'_> {
    fn answer(&mut self, line: &[u8]) -> Result<(), String> {
        self.out.line(line)?;
        let Some(file) = &mut self.file else { return Ok(()) };
        let end: &[u8] = if line.ends_with(b"\n") { b"" } else { b"\n" };
        let written = file.write(line).and_then(|()| file.write(end));
        written.map_err(|error| self.out.fail(error))
    }

    /// Behind files that were done before: repetitions stand where they stood.
    fn catch_up(&mut self) -> Result<(), Error> {
        let (Some(last), Some(kept)) = (self.last.take(), &self.kept) else { return Ok(()) };
        let Some(judge) = &mut self.judge else { return Ok(()) };
        let state = kept.state(last)?;
        judge.restore(&state).map_err(|cause| Error::new("notes", cause))
    }
}

impl Take for Taker<'_> {
    fn begin(&mut self, number: usize, path: &Path) -> Result<Option<Hunted>, Error> {
        let Some(kept) = &self.kept else { return Ok(None) };
        let Some(note) = kept.done(number, path)? else {
            self.file = Some(kept.begin(number)?);
            return self.catch_up().map(|()| None);
        };
        self.last = Some(number);
        each_line_of(&kept.answers(number), &mut |_, line| self.out.line(line))?;
        Ok(Some(note.found))
    }

    fn line(&mut self, line: &[u8], value: &Value) -> Result<(), String> {
        let Some(judge) = &mut self.judge else { return self.answer(line) };
        let hits = judge.line(value)?;
        hits.iter().try_for_each(|hit| self.answer(hit.as_bytes()))
    }

    fn end(&mut self, number: usize, path: &Path, found: Hunted) -> Result<(), Error> {
        let (Some(kept), Some(file)) = (&self.kept, self.file.take()) else { return Ok(()) };
        file.finish()?;
        let state = self.judge.as_ref().map_or(Value::Null, Judge::state);
        kept.finish((number, path), found, &state)
    }
}

/// What was searched and what not.
fn notes(found: &Hunted, judge: Option<&Judge<'_>>, rules: Option<&RuleSet>) -> Vec<String> {
    let lines = units::number_of(found.lines as usize, "line");
    let mut all = vec![format!("the filter holds for {} of {lines}", units::count(found.found))];
    let (Some(judge), Some(rules)) = (judge, rules) else { return all };
    all.clear();
    let hits = units::number_of(judge.hits() as usize, "hit");
    all.push(format!("{hits} in {} of {lines}", units::count(found.found)));
    let others = rules.not_on(judge.of());
    if others > 0 {
        let of = match judge.of() {
            LineOf::Session => "endpoints",
            LineOf::Endpoint => "sessions",
        };
        all.push(format!("{others} rules on {of} are not judged here: give --table {of}"));
    }
    if judge.dropped() > 0 {
        let dropped = units::count(judge.dropped());
        all.push(format!("{dropped} groups or events of correlations are over the cap"));
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
    /// What answers depend on, beside the files.
    fn question(&self, args: &HuntArgs) -> Value {
        let rules = |rules: &RuleSet| {
            let each = |info: &RuleSetInfo| json!([info.name, info.sha256]);
            rules.infos().iter().map(each).collect::<Vec<Value>>()
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "runs": args.runs.iter().map(|run| run.to_string_lossy()).collect::<Vec<_>>(),
            "table": args.table.lines().name(),
            "where": args.filter,
            "rules": self.rules.as_ref().map(rules),
            "level": self.level.as_str(),
        })
    }

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
        if judges && !matches!(args.table, Table::Sessions | Table::Endpoints) {
            let error = Error::new("--table", "rules judge sessions and endpoints only");
            errors.push(error.help("give one of these, or --where without rules"));
        }
        let load = || {
            let rules = RuleSet::load(&args.rules_only, &args.rules, &SiteValues::default())?;
            rules.switched(Switches::default())
        };
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
    /// Why answers could not be written: no fault of the line that is read.
    failed: Option<Error>,
}

impl Out {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let end: &[u8] = if line.ends_with(b"\n") { b"" } else { b"\n" };
        let written = self.to.write_all(line).and_then(|()| self.to.write_all(end));
        self.closed |= written.as_ref().is_err_and(|e| e.kind() == ErrorKind::BrokenPipe);
        written.map_err(|error| {
            self.fail(Error::new("standard output", error.to_string()).help("free some space"))
        })
    }

    /// Keeps an error of writing; its text ends the reading.
    fn fail(&mut self, error: Error) -> String {
        let text = error.to_string();
        self.failed = Some(error);
        text
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
