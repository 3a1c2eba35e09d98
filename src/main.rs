//! The `longhaul` binary: parse, pick the command, map the outcome to an exit code.

fn main() {}
