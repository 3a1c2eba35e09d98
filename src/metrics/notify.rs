//! Words to the service manager: sd_notify(3), which is a datagram of lines.
//!
//! Owns: the socket. In: words. Out: datagrams. Never: waits for the manager, or decides when
//! something is said.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use crate::model::Error;

/// A connected socket.
#[derive(Debug)]
pub struct Notifier(UnixDatagram);

impl Notifier {
    /// Connects to what `NOTIFY_SOCKET` names: a path, or an abstract name behind an `@`.
    pub fn open(name: &Path) -> Result<Notifier, Error> {
        let failed = |cause: io::Error| {
            Error::new(format!("NOTIFY_SOCKET {}", name.display()), cause.to_string())
                .help("unset NOTIFY_SOCKET where no service manager listens")
        };
        let address = match name.as_os_str().as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        let socket = UnixDatagram::unbound().map_err(failed)?;
        let connected = address.and_then(|address| socket.connect_addr(&address));
        connected.and_then(|()| socket.set_nonblocking(true)).map_err(failed)?;
        Ok(Notifier(socket))
    }

    /// Says something: `READY=1`. A manager that does not listen is no reason to stop. By `write`,
    /// which the sandbox can allow for one descriptor.
    pub fn say(&self, text: &str) {
        let _ = nix::unistd::write(&self.0, text.as_bytes());
    }
}

/// What the process that captures says itself: a sign of life, and that it ends.
#[derive(Debug)]
pub struct Watchdog(Notifier);

impl Watchdog {
    /// The length of both words: the sandbox lets no other through.
    pub const WORD_BYTES: usize = ALIVE.len();

    /// Connects to what `NOTIFY_SOCKET` names.
    pub fn open(name: &Path) -> Result<Watchdog, Error> {
        Notifier::open(name).map(Watchdog)
    }

    /// The descriptor of the socket.
    pub fn socket(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }

    /// The loop that captures goes on.
    pub fn beat(&self) {
        self.0.say(ALIVE);
    }

    /// It has ended, the run is about to.
    pub fn stopping(&self) {
        self.0.say(STOPPING);
    }
}

const ALIVE: &str = "WATCHDOG=1";
const STOPPING: &str = "STOPPING=1";
const _: () = assert!(ALIVE.len() == STOPPING.len());
