//! stub
use crate::cli::Ended;
/// x
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {}
pub(super) fn run(_: &DemoArgs) -> Ended {
    Ok(0)
}
