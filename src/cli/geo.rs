//! `longhaul geo`: what the databases say of an address.
//!
//! Owns: the answer's layout. In: addresses. Out: a line each. Never: more than the databases hold.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::cli;
use crate::cli::Ended;
use crate::cli::RAN;
use crate::enrich::geo::GeoDb;
use crate::enrich::geo::Question;
use crate::model::Addr;
use crate::model::Error;

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
    let db = match geo {
        Some(dir) => GeoDb::load(dir)?,
        None => GeoDb::embedded().map_err(|e| vec![e])?,
    };
    let mut text = String::new();
    for ip in addresses {
        let line = lookup(&db, (*ip).into()).map_err(|cause| {
            vec![Error::new(format!("geo lookup {ip}"), cause).help("the database may be damaged")]
        })?;
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{ip}  {line}");
    }
    cli::print(&text)?;
    Ok(RAN)
}

fn lookup(db: &GeoDb, addr: Addr) -> Result<String, &'static str> {
    let mut words = Vec::new();
    let found = db.find(Question::Place, addr)?;
    let place = match found.offset {
        Some(offset) => db.place(addr, offset)?,
        None => None,
    };
    if let Some(place) = &place {
        words.extend(place.country.as_deref().map(str::to_owned));
        words.extend(place.region.as_deref().map(str::to_owned));
        let radius = place.radius_km.map_or(String::new(), |km| format!(" within {km:.0} km"));
        words.extend(place.location.map(|(lat, lon)| format!("{lat:.2},{lon:.2}{radius}")));
    }
    let found = db.find(Question::Asn, addr)?;
    let asn = match found.offset {
        Some(offset) => db.asn(addr, offset)?,
        None => None,
    };
    if let Some(asn) = &asn {
        words.push(format!("AS{}", asn.number));
        words.extend(asn.organization.as_deref().map(str::to_owned));
    }
    Ok(if words.is_empty() { "unknown".to_owned() } else { words.join("  ") })
}
