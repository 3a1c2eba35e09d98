//! Signals of a running sensor.
//!
//! Owns: a flag for each signal. In: signals. Out: flags that the reader checks between blocks.
//! Never: anything else in a signal handler.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

/// The exit code of a run that a second signal ends at once: 128 plus the number of SIGINT.
const AT_ONCE: i32 = 130;

/// The flags.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// SIGINT, SIGTERM: drain and finish the files.
    pub(super) stop: Arc<AtomicBool>,
    /// SIGHUP: reload rules, lists, databases and configuration.
    pub(super) reload: Arc<AtomicBool>,
    /// SIGUSR1: print the counters.
    pub(super) show: Arc<AtomicBool>,
}

impl Signals {
    /// From here on signals set flags. A second SIGINT or SIGTERM ends the process at once.
    pub(super) fn install() -> io::Result<Signals> {
        let signals = Signals::default();
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, AT_ONCE, Arc::clone(&signals.stop))?;
            flag::register(signal, Arc::clone(&signals.stop))?;
        }
        flag::register(SIGHUP, Arc::clone(&signals.reload))?;
        flag::register(SIGUSR1, Arc::clone(&signals.show))?;
        Ok(signals)
    }
}

/// Reads and clears a signal's flag.
pub(super) fn taken(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::Relaxed)
}
