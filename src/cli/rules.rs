//! stub
use crate::cli::Ended;
/// x
#[derive(Debug, clap::Subcommand)]
pub(super) enum RulesCommand {
    /// x
    List,
}
pub(super) fn run(_: &RulesCommand) -> Ended {
    Ok(0)
}
