//! SIGINT and SIGTERM while files are read: the first stops reading, the second ends the process.
//!
//! Owns: the two signals, and a thread that waits for them. In: signals. Out: an [`Interrupt`] for
//! the readers. Never: anything but a byte to that thread in a signal handler.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::capture::Interrupt;
use crate::model::Error;
use crate::sinks::files::abandon;

/// The exit code of a run that a second signal ends at once: 128 plus the number of SIGINT.
const AT_ONCE: i32 = 130;

/// How long a pipe is still read after the first signal: Ctrl-C reaches its writer too, which still
/// flushes its packets.
const GRACE: Duration = Duration::from_millis(500);

/// From here on the first signal stops reading and calls `tell`; the second removes the temporary
/// files and ends the process.
pub fn install(tell: impl Fn() + Send + 'static) -> Result<Interrupt, Error> {
    let failed = |e: io::Error| Error::new("signals", e.to_string());
    let interrupt = Interrupt::new().map_err(failed)?;
    let (mut signals, handler) = UnixStream::pair().map_err(failed)?;
    for signal in [SIGINT, SIGTERM] {
        pipe::register(signal, handler.try_clone().map_err(failed)?).map_err(failed)?;
    }
    let wish = interrupt.clone();
    let wait = move || {
        if !next(&mut signals, None) {
            return;
        }
        wish.end_files();
        tell();
        let again = next(&mut signals, Some(GRACE));
        wish.end_streams();
        if again || next(&mut signals, None) {
            abandon();
            std::process::exit(AT_ONCE);
        }
    };
    let thread = thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
    // It ends with the process.
    drop(thread);
    Ok(interrupt)
}

/// Waits for the next signal; false if none came in time.
fn next(signals: &mut UnixStream, most: Option<Duration>) -> bool {
    signals.set_read_timeout(most).is_ok() && signals.read_exact(&mut [0]).is_ok()
}
