//! The `longhaul` binary: parse, pick the command, map the outcome to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    longhaul::cli::main()
}
