//! `longhaul convert`: results as Parquet.
//!
//! Owns: options, and what a build without Parquet says. In: results. Out: files, and their number
//! on standard error. Never: a line or a row of its own.

use std::path::{Path, PathBuf};

use crate::cli::{CommandResult, RAN};
use crate::model::Error;
use crate::results::Results;

/// Arguments of `convert`.
#[derive(Debug, clap::Args)]
pub(super) struct ConvertArgs {
    /// Directories that --out made, or with the sets of a live run
    #[arg(value_name = "RUN", default_value = ".")]
    runs: Vec<PathBuf>,
    /// Write the tables below DIR, beside those of other results [default: below RUN]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// What to write
    #[arg(long, value_name = "FORMAT", default_value = "parquet")]
    format: To,
    /// No progress bar, no count
    #[arg(long, short)]
    quiet: bool,
}

/// A form of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum To {
    Parquet,
}

/// Runs the command.
pub(super) fn run(args: &ConvertArgs) -> CommandResult {
    let To::Parquet = args.format;
    can_write("convert").map_err(|e| vec![e])?;
    let mut errors = Vec::new();
    let mut results = Vec::new();
    for run in &args.runs {
        match Results::open(run) {
            Ok(result) => results.push(result),
            Err(error) => errors.push(error),
        }
    }
    let out = match (&args.output, args.runs.as_slice()) {
        (Some(out), _) => out,
        (None, [run]) => run,
        (None, _) => {
            let error = Error::new("convert", "several results, and no directory for their tables");
            errors.push(error.help("give one with -o DIR"));
            return Err(errors);
        }
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    write(&results, out, args.quiet).map_err(|e| vec![e])?;
    Ok(RAN)
}

/// Whether this build can write Parquet.
///
/// Errors: it cannot, and how one is built that can.
pub(super) fn can_write(what: &str) -> Result<(), Error> {
    if cfg!(feature = "parquet") { Ok(()) } else { Err(left_out(what)) }
}

fn left_out(what: &str) -> Error {
    Error::new(what, "this build of longhaul has no Parquet").help(
        "build it with: cargo build --release --features parquet; packages and `make build` have \
         it",
    )
}

/// Writes the tables of results below a directory, and says how many.
#[cfg(feature = "parquet")]
pub(super) fn write(results: &[Results], out: &Path, quiet: bool) -> Result<(), Error> {
    use crate::cli::{print_notes, progress::Bar};
    use crate::model::escape::escaped;
    use crate::model::units;
    use crate::pipeline::Progress;

    let mut bar = Bar::new(quiet);
    let written = crate::lake::convert(results, out, &mut |done, all| bar.tick(done, all));
    bar.done();
    let written = written?;
    let mut notes = Vec::new();
    if written.beyond > 0 {
        let values = units::number_of(written.beyond as usize, "value");
        notes.push(format!(
            "{values} left out: times after 2262-04-11 and numbers above 9,223,372,036,854,775,807 \
             have no place in Parquet; the lines have them"
        ));
    }
    if !quiet {
        let rows = units::number_of(written.rows as usize, "row");
        let files = units::number_of(written.files, "file");
        let name = out.display().to_string();
        notes.push(format!("{rows} in {files} of Parquet below {}", escaped(&name)));
    }
    print_notes(&notes);
    Ok(())
}

/// A build without Parquet does not get here.
#[cfg(not(feature = "parquet"))]
pub(super) fn write(_results: &[Results], _out: &Path, _quiet: bool) -> Result<(), Error> {
    can_write("parquet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_parquet_says_how_to_get_it() {
        let manifest: toml::Table = toml::from_str(include_str!("../../Cargo.toml")).unwrap();
        assert!(manifest["features"].get("parquet").is_some());
        let help = left_out("convert").help.unwrap();
        assert!(help.contains("cargo build --release --features parquet"), "{help}");
        let makefile = include_str!("../../Makefile");
        let build = "build --release --locked --features parquet";
        assert!(help.contains("`make build`") && makefile.contains(build));
        assert_eq!(can_write("convert").is_ok(), cfg!(feature = "parquet"));
    }
}
