//! `longhaul geo`: what the databases say of an address.
//!
//! Owns: the answer's layout. In: addresses. Out: a line each. Never: more than the databases hold.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::cli;
use crate::cli::Ended;
use crate::cli::RAN;
use crate::model::Error;
use crate::pipeline::ask::Owners;

/// Subcommands of `geo`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum GeoCommand {
    /// Country, region and AS of addresses
    Lookup {
        /// IPv4 or IPv6 addresses
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<IpAddr>,
        /// MMDB files of this directory in place of the embedded ones
        #[arg(long, value_name = "DIR")]
        geo: Option<PathBuf>,
    },
}

/// Runs the command.
pub(super) fn run(command: &GeoCommand) -> Ended {
    let GeoCommand::Lookup { addresses, geo } = command;
    let owners = Owners::open(geo.as_deref())?;
    let mut text = String::new();
    for ip in addresses {
        let words = owners.describe((*ip).into()).map_err(|cause| {
            vec![Error::new(format!("geo lookup {ip}"), cause).help("the database may be damaged")]
        })?;
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{ip}  {words}");
    }
    cli::print(&text)?;
    Ok(RAN)
}
