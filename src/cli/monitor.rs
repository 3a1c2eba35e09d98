//! `longhaul monitor`: the process of a live run that shows its metrics; started by that run.
//!
//! Owns: its arguments. In: reports on standard input. Out: the first line says where it listens,
//! or why it cannot. Never: a report of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::cli::{self, CommandResult, FAILED, RAN};
use crate::model::Error;
use crate::pipeline::monitor::showing::Showing;
use crate::sandbox::{self, Confinement};

/// Arguments of `monitor`.
#[derive(Debug, clap::Args)]
pub(super) struct MonitorArgs {
    /// Where to listen for clients
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The socket of the service manager
    #[arg(long, value_name = "PATH")]
    notify: Option<PathBuf>,
    /// The user to switch to if started as root
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: &MonitorArgs) -> CommandResult {
    let showing = match open(args) {
        Ok(showing) => showing,
        Err(error) => {
            // Whoever has started this shows it.
            cli::print(&format!("error {}\n", error.cause))?;
            return Ok(FAILED);
        }
    };
    match showing.address() {
        Some(at) => cli::print(&format!("listening {at}\n"))?,
        None => cli::print("started\n")?,
    }
    let input = std::io::stdin().lock();
    showing.run(input).map_err(|e| vec![Error::new("metrics", e.to_string())])?;
    Ok(RAN)
}

/// Opens the sockets, and gives up all that is not needed from then on.
fn open(args: &MonitorArgs) -> Result<Showing, Error> {
    let showing = Showing::open(args.listen, args.notify.as_deref())?;
    // Signals are for the run: this process ends after it.
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ignored))
            .map_err(|e| Error::new("signals", e.to_string()))?;
    }
    if let Some(user) = &args.user {
        let confinement = Confinement { user: user.clone(), sends: true, ..Confinement::default() };
        cli::print_notes(&sandbox::gaps("metrics", &sandbox::enter(&confinement)?));
    }
    Ok(showing)
}
