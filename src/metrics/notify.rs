//! Words to the service manager: sd_notify(3), which is a datagram of lines.

use std::io;
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

    /// Says something: `READY=1`. A manager that does not listen is no reason to stop.
    pub fn say(&self, text: &str) {
        drop(self.0.send(text.as_bytes()));
    }
}
