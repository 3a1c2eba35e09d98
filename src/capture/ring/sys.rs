//! The system calls of a packet socket, each behind a safe function.
//!
//! Owns: nothing. In: a descriptor and plain values. Out: the kernel's answer.
//! Never: keeps a pointer beyond its call.
//!
//! Sources: packet(7), socket(7), netdevice(7), Documentation/networking/packet_mmap.rst and
//! timestamping.rst of Linux.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{io, mem, ptr};

use crate::capture::filter::Instruction;

/// `htons(ETH_P_ALL)`: every protocol.
const EVERY_PROTOCOL: u16 = (libc::ETH_P_ALL as u16).to_be();

/// A packet socket that receives nothing until it is bound to a protocol.
pub(super) fn packet_socket() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was opened by the call above and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A socket for interface queries only; it needs no privilege.
pub(in crate::capture) fn control_socket() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was opened by the call above and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Starts receiving from one interface.
pub(super) fn bind(fd: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: EVERY_PROTOCOL,
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = mem::size_of_val(&address) as libc::socklen_t;
    // SAFETY: the pointer is to a live sockaddr_ll of exactly `len` bytes, read during the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), ptr::from_ref(&address).cast(), len) })
}

/// Sets an option of the packet layer. `T` is the C struct or number that it expects.
pub(super) fn set<T: Copy>(fd: BorrowedFd<'_>, option: i32, value: &T) -> io::Result<()> {
    set_at(fd, (libc::SOL_PACKET, option), value)
}

fn set_at<T: Copy>(fd: BorrowedFd<'_>, option: (i32, i32), value: &T) -> io::Result<()> {
    let len = mem::size_of::<T>() as libc::socklen_t;
    let value = ptr::from_ref(value).cast();
    // SAFETY: the pointer is to a live value of exactly `len` bytes, read during the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), option.0, option.1, value, len) })
}

/// Reads an option that consists of 32-bit words.
fn get<const WORDS: usize>(fd: BorrowedFd<'_>, option: (i32, i32)) -> io::Result<[u32; WORDS]> {
    let mut words = [0u32; WORDS];
    let mut len = mem::size_of_val(&words) as libc::socklen_t;
    let out = words.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `len` bytes to `words`, which is that long; any bytes are
    // valid numbers.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), option.0, option.1, out, &raw mut len) })?;
    Ok(words)
}

/// Packets, drops and freezes of the ring since the last call (packet(7), `PACKET_STATISTICS`).
pub(super) fn statistics(fd: BorrowedFd<'_>) -> io::Result<[u32; 3]> {
    get(fd, (libc::SOL_PACKET, libc::PACKET_STATISTICS))
}

/// Returns and clears the socket's pending error.
pub(super) fn pending_error(fd: BorrowedFd<'_>) -> Option<io::Error> {
    let [code] = get(fd, (libc::SOL_SOCKET, libc::SO_ERROR)).ok()?;
    (code != 0).then(|| io::Error::from_raw_os_error(code as i32))
}

/// Attaches a classic BPF program, replacing the current one atomically.
pub(super) fn attach(fd: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let convert = |i: &Instruction| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    let mut filter: Vec<libc::sock_filter> = program.iter().map(convert).collect();
    let len =
        u16::try_from(filter.len()).map_err(|_| io::Error::other("the filter is too long"))?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    set_at(fd, (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER), &program)
}

/// Waits at most `millis` for the `events` of any of `fds`.
pub(in crate::capture) fn poll(fds: &mut [libc::pollfd], millis: i32) -> io::Result<()> {
    let count = fds.len() as libc::nfds_t;
    // SAFETY: the pointer is to `count` live pollfd values, changed only during the call.
    check(unsafe { libc::poll(fds.as_mut_ptr(), count, millis) })
}

/// The index of an interface, `None` if there is none of that name. Uses an open socket, because a
/// confined process cannot open another.
pub(in crate::capture) fn index_of(fd: BorrowedFd<'_>, name: &str) -> Option<u32> {
    let mut request = request(name).ok()?;
    ioctl(fd, libc::SIOCGIFINDEX, &mut request).ok()?;
    // SAFETY: a successful SIOCGIFINDEX has written this member.
    let index = unsafe { request.ifr_ifru.ifru_ifindex };
    u32::try_from(index).ok().filter(|index| *index != 0)
}

/// The argument of netdevice(7) calls: a name and a value. A name longer than that of any interface
/// is refused: cut short, it could be the name of another one.
fn request(name: &str) -> io::Result<libc::ifreq> {
    if name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    // SAFETY: ifreq is plain bytes; all zero is a valid value of each member.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays zero.
    let room = request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1);
    room.zip(name.bytes()).for_each(|(slot, byte)| *slot = byte as libc::c_char);
    Ok(request)
}

/// Whether the interface is up (`IFF_UP`).
pub(in crate::capture) fn is_up(fd: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    let mut request = request(name)?;
    ioctl(fd, libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: a successful SIOCGIFFLAGS has written this member.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(i32::from(flags) & libc::IFF_UP != 0)
}

/// The hardware type of the interface (`ARPHRD_`).
pub(super) fn hardware_type(fd: BorrowedFd<'_>, name: &str) -> io::Result<u16> {
    let mut request = request(name)?;
    ioctl(fd, libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: a successful SIOCGIFHWADDR has written this member.
    let address = unsafe { request.ifr_ifru.ifru_hwaddr };
    Ok(address.sa_family)
}

/// Asks the interface's driver to timestamp every received frame in hardware. This needs
/// `CAP_NET_ADMIN`, unless it was already enabled.
///
/// # Errors
/// The driver's refusal, or a message if it timestamps only some frames.
pub(super) fn stamp_in_hardware(fd: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let every = libc::HWTSTAMP_FILTER_ALL as i32;
    let mut wish =
        libc::hwtstamp_config { flags: 0, tx_type: libc::HWTSTAMP_TX_OFF as i32, rx_filter: every };
    if let Err(refusal) = stamping(fd, name, libc::SIOCSHWTSTAMP, &mut wish) {
        if refusal.raw_os_error() != Some(libc::EPERM) {
            return Err(refusal);
        }
        wish.rx_filter = 0;
        stamping(fd, name, libc::SIOCGHWTSTAMP, &mut wish)?;
        if wish.rx_filter != every {
            let help = "to switch it on needs CAP_NET_ADMIN, or `hwstamp_ctl -r 1` before";
            return Err(io::Error::new(refusal.kind(), help));
        }
    }
    // The driver writes back what it enabled, which may be less than requested.
    if wish.rx_filter == every { Ok(()) } else { Err(io::Error::other("only some of them")) }
}

fn stamping(
    fd: BorrowedFd<'_>,
    name: &str,
    what: libc::c_ulong,
    wish: &mut libc::hwtstamp_config,
) -> io::Result<()> {
    let mut request = request(name)?;
    // Outlives the call below.
    request.ifr_ifru.ifru_data = ptr::from_mut(wish).cast();
    ioctl(fd, what, &mut request)
}

fn ioctl(fd: BorrowedFd<'_>, what: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    let request = ptr::from_mut(request);
    // SAFETY: every request of this file takes an ifreq; what it points to lives in the caller.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), what as libc::Ioctl, request) })
}

fn check(answer: i32) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::request;

    #[test]
    fn a_name_that_no_interface_can_have_is_not_cut_short() {
        assert!(request("abcdefghijklmno").is_ok());
        let error = request("abcdefghijklmnop").err().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
