//! `longhaul geo`: looks addresses up in the databases, and lists location codes.
//!
//! Owns: the answer's layout. In: addresses. Out: one line each. Never: more than the databases
//! hold.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::cli::{self, CommandResult, RAN};
use crate::model::Error;
use crate::pipeline::queries::{self, KnownPlace, Owners};

/// Subcommands of `geo`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum GeoCommand {
    /// Country, region and AS of addresses
    Lookup {
        /// IPv4 or IPv6 addresses
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<IpAddr>,
        /// Use the MMDB files of this directory instead of the embedded ones
        #[arg(long, value_name = "DIR")]
        geo: Option<PathBuf>,
    },
    /// Codes accepted by --place: code, country, latitude, longitude, city
    Places {
        /// Only those with this code or country, or with this text in the city's name
        word: Option<String>,
    },
}

/// Runs the command.
pub(super) fn run(command: &GeoCommand) -> CommandResult {
    match command {
        GeoCommand::Lookup { addresses, geo } => look_up(addresses, geo.as_deref()),
        GeoCommand::Places { word } => places(word.as_deref().unwrap_or_default()),
    }
}

fn places(word: &str) -> CommandResult {
    let word = word.to_lowercase();
    let mut text = String::new();
    let wanted = |place: &KnownPlace<'_>| {
        [place.code, place.country].iter().any(|have| have.eq_ignore_ascii_case(&word))
            || place.city.to_lowercase().contains(&word)
    };
    for place in queries::places().filter(wanted) {
        let KnownPlace { code, city, country, latitude, longitude } = place;
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{code}  {country}  {latitude:>8.3}  {longitude:>8.3}  {city}");
    }
    if text.is_empty() {
        let error = Error::new(format!("places with `{word}`"), "there is none");
        return Err(vec![error.help("leave the word out to list all, or give LAT,LON to --place")]);
    }
    cli::print(&text)?;
    Ok(RAN)
}

fn look_up(addresses: &[IpAddr], geo: Option<&Path>) -> CommandResult {
    let owners = Owners::open(geo)?;
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
