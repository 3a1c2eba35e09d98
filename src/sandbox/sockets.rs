//! Finds the descriptors that are sockets: writing to one would send data out of the process.
//!
//! Owns: the search. In: the process's own descriptor table. Out: their numbers, and whether the
//! table could be read. Never: closes or changes one.

use std::fs;
use std::os::fd::RawFd;

/// Standard input, output and error belong to whoever started the process: a log may be a socket.
const STANDARD: RawFd = 2;

/// Every open socket of this process, inherited ones included; `known` is always part of the
/// answer. The flag is false if the table cannot be read (`/proc` is not mounted).
pub(super) fn open_sockets(known: &[RawFd]) -> (Vec<RawFd>, bool) {
    let mut sockets = known.to_vec();
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return (sockets, false) };
    for entry in entries.filter_map(Result::ok) {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
        // proc(5): the link of a socket reads `socket:[inode]`.
        let is_socket = fs::read_link(entry.path())
            .is_ok_and(|target| target.as_os_str().to_string_lossy().starts_with("socket:"));
        sockets.extend(number.filter(|fd| is_socket && *fd > STANDARD));
    }
    sockets.sort_unstable();
    sockets.dedup();
    (sockets, true)
}

#[cfg(test)]
mod tests {
    use super::open_sockets;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    #[test]
    fn sockets_are_found_and_files_are_not() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let (found, complete) = open_sockets(&[]);
        assert!(complete && found.contains(&socket.as_raw_fd()), "{found:?}");
        assert!(!found.contains(&file.as_raw_fd()), "{found:?}");
    }
}
