//! `longhaul completions` and `longhaul man`: shell completions and manual pages.
//!
//! Owns: nothing; both are generated from the definitions that parse the command line. In: a shell,
//! or a directory. Out: a script on standard output, or pages. Never: an option that does not
//! exist.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::cli::{self, Cli, CommandResult, RAN};
use crate::model::Error;

/// Supported shells.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell to write the script for
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Directory for the pages, created if missing
    dir: PathBuf,
}

/// Writes the completion script of a shell.
pub(super) fn run(args: &CompletionsArgs) -> CommandResult {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "longhaul", &mut script);
    cli::print_as_is(&String::from_utf8_lossy(&script))?;
    Ok(RAN)
}

/// Writes a page for the program and one for each command.
pub(super) fn pages(args: &ManArgs) -> CommandResult {
    let dir = &args.dir;
    let written =
        std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    written.map_err(|cause| {
        let error = Error::new(format!("manual pages in {}", dir.display()), cause.to_string());
        vec![error.help("choose a directory that can be created and written to")]
    })?;
    Ok(RAN)
}
