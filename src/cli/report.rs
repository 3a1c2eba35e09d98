//! `longhaul report`: finished results as one HTML file.
//!
//! Owns: where the file goes. In: results. Out: a file under its name once it is whole, or standard
//! output. Never: a word of the report.

use std::path::{Path, PathBuf};

use crate::cli::{self, CommandResult, RAN, report_follow};
use crate::config::{Output, Plan};
use crate::model::Error;
use crate::model::escape::escaped;
use crate::report::html::{Case, render};
use crate::results::Results;
use crate::sinks::files::OutFile;

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// A directory that --out made, or one with the sets of a live run
    #[arg(value_name = "RUN", default_value = ".")]
    run: PathBuf,
    /// Write to FILE, `-` for standard output [default: RUN/report.html]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only this subject's chapter, by id or name
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Of a live run that goes on: write the report of its last 24 sets again at each finished set,
    /// until standard input ends
    #[arg(long, conflicts_with = "subject")]
    follow: bool,
    /// With --follow: the user to switch to if started as root
    #[arg(long, value_name = "NAME", requires = "follow", hide = true)]
    user: Option<String>,
}

/// A report that a run is to leave.
pub(super) struct Wanted {
    target: PathBuf,
    file: Option<OutFile>,
    results: PathBuf,
    /// The results are there for the report alone.
    is_passing: bool,
}

impl Wanted {
    /// One that goes to a file. Without an output directory the results are kept beside it until it
    /// is written.
    ///
    /// Errors: the file cannot be written, as is known before the run.
    pub(super) fn new(target: &Path, plan: &mut Plan) -> Result<Wanted, Error> {
        let target = target.to_path_buf();
        let file = Some(OutFile::create(&target)?);
        if let Output::Dir { path, .. } = &plan.output {
            return Ok(Wanted { target, file, results: path.clone(), is_passing: false });
        }
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".results-{}", std::process::id()));
        let results = target.with_file_name(name);
        plan.output = Output::Dir { path: results.clone(), force: false };
        Ok(Wanted { target, file, results, is_passing: true })
    }

    /// Writes it, after the run.
    pub(super) fn write(mut self, is_quiet: bool) -> Result<(), Error> {
        let Some(file) = self.file.take() else { return Ok(()) };
        write((&self.results, None), (file, &self.target), is_quiet)
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if self.is_passing {
            // What is left of it is named as what it is.
            drop(std::fs::remove_dir_all(&self.results));
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &ReportArgs) -> CommandResult {
    let subject = args.subject.as_deref();
    if args.output.as_deref() == Some(Path::new("-")) {
        let case = read(&args.run, subject).map_err(|e| vec![e])?;
        cli::print_as_is(&render(&case))?;
        return Ok(RAN);
    }
    let target = args.output.clone().unwrap_or_else(|| args.run.join("report.html"));
    if args.follow {
        let followed = report_follow::run(&args.run, &target, args.user.as_deref());
        return followed.map(|()| RAN).map_err(|e| vec![e]);
    }
    // What there is to report comes before where it goes.
    let made = Results::open(&args.run).and_then(|_| OutFile::create(&target));
    let made = made.and_then(|file| write((&args.run, subject), (file, &target), false));
    made.map_err(|e| vec![e])?;
    Ok(RAN)
}

/// Writes the report of a directory to a file, and says so on standard error.
fn write(
    (run, subject): (&Path, Option<&str>),
    (mut file, target): (OutFile, &Path),
    is_quiet: bool,
) -> Result<(), Error> {
    let case = read(run, subject)?;
    file.write(render(&case).as_bytes())?;
    cli::print_notes(&file.remarks());
    file.finish()?;
    if !is_quiet {
        let shown = target.display().to_string();
        cli::print_notes(&[format!("report: {}", escaped(&shown))]);
    }
    Ok(())
}

/// Reads results; what is wrong with them stands in the report, and on standard error.
fn read(run: &Path, subject: Option<&str>) -> Result<Case, Error> {
    let case = Case::read(&Results::open(run)?, subject)?;
    let faults = case.faults().iter().map(|fault| ("result".to_owned(), fault.clone()));
    cli::print_warnings(&faults.collect::<Vec<_>>());
    Ok(case)
}
