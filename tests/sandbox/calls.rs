//! System calls as somebody makes them who runs code of his own in the confined process.
//!
//! Owns: the attempts. In: the sockets that the process has. Out: what the kernel answered to each.
//! Never: an attempt that could do harm where it is not refused.

use std::ptr;

use libc::c_long;

/// An attempt and the error number that the kernel gave; 0 where it did what was asked.
pub type Answer = (&'static str, i32);

#[allow(unsafe_code, reason = "the calls of an attacker are not in any safe library")]
fn call(number: c_long, args: &[i64]) -> i32 {
    let at = |n: usize| args.get(n).copied().unwrap_or(0);
    // SAFETY: pointers among the arguments are to live values of this file, or null; what would
    // change memory or processes is refused, and asks for nothing that this process uses.
    let answer = unsafe { libc::syscall(number, at(0), at(1), at(2), at(3), at(4), at(5)) };
    if answer >= 0 { 0 } else { std::io::Error::last_os_error().raw_os_error().unwrap_or(-1) }
}

fn address<T: ?Sized>(value: &T) -> i64 {
    ptr::from_ref(value).cast::<u8>() as i64
}

/// A frame for everybody, of a protocol that nobody uses (IEEE 802 local experimental 1).
pub fn frame(mark: u8) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0xde, 0xad, 0xbe, mark, 0x88, 0xb5]);
    frame.resize(60, mark);
    frame
}

/// Sends a frame by a plain `write`.
pub fn write(fd: i32, mark: u8) -> i32 {
    let frame = frame(mark);
    call(libc::SYS_write, &[i64::from(fd), address(&frame[..]), frame.len() as i64])
}

/// Writes so many bytes.
pub fn write_some(fd: i32, bytes: usize) -> i32 {
    let text = [b'W'; 64];
    call(libc::SYS_write, &[i64::from(fd), address(&text), bytes as i64])
}

/// What else could bring bytes to a socket that takes some lengths by `write`.
pub fn say_otherwise(fd: i32, bytes: usize) -> Vec<Answer> {
    let text = [b'W'; 64];
    let (fd, at, len) = (i64::from(fd), address(&text), bytes as i64);
    let part = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: bytes };
    vec![
        ("a word by writev", call(libc::SYS_writev, &[fd, address(&part), 1])),
        ("a word by pwrite64", call(libc::SYS_pwrite64, &[fd, at, len, 0])),
        ("a word by sendto", call(libc::SYS_sendto, &[fd, at, len, 0, 0, 0])),
        // The kernel takes 64 bits of a length.
        ("a word of high bits", call(libc::SYS_write, &[fd, at, len | 1 << 32])),
    ]
}

/// Every call that could bring bytes to a socket, or a second descriptor for it.
pub fn send(socket: i32, control: i32, file: i32) -> Vec<Answer> {
    let frame = frame(2);
    let (s, f) = (i64::from(socket), i64::from(file));
    let (at, len) = (address(&frame[..]), frame.len() as i64);
    let part = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: frame.len() };
    let parts = address(&part);
    let mut message = libc::mmsghdr {
        // A message header that is all zero is an empty message.
        msg_hdr: empty_message(),
        msg_len: 0,
    };
    message.msg_hdr.msg_iov = parts as *mut libc::iovec;
    message.msg_hdr.msg_iovlen = 1;
    let messages = address(&message);
    let ring = [4_096u32, 1, 4_096, 1, 0, 0, 0];
    let group = [[224u8, 0, 0, 9], [0, 0, 0, 0]];
    let option = |level: i32, name: i32, value: i64, len: i64| {
        let fd = if level == libc::SOL_PACKET { s } else { i64::from(control) };
        call(libc::SYS_setsockopt, &[fd, i64::from(level), i64::from(name), value, len])
    };
    let above = 1 << 40;
    vec![
        ("write", call(libc::SYS_write, &[s, at, len])),
        ("write, bits above the descriptor", call(libc::SYS_write, &[s | above, at, len])),
        ("write, x32", call(libc::SYS_write | 0x4000_0000, &[s, at, len])),
        ("writev", call(libc::SYS_writev, &[s, parts, 1])),
        ("pwrite64", call(libc::SYS_pwrite64, &[s, at, len])),
        ("pwritev", call(libc::SYS_pwritev, &[s, parts, 1])),
        ("pwritev2", call(libc::SYS_pwritev2, &[s, parts, 1, -1, -1])),
        ("sendto", call(libc::SYS_sendto, &[s, at, len])),
        ("sendmsg", call(libc::SYS_sendmsg, &[s, messages])),
        ("sendmmsg", call(libc::SYS_sendmmsg, &[s, messages, 1])),
        ("sendfile", call(libc::SYS_sendfile, &[s, f, 0, 60])),
        ("splice", call(libc::SYS_splice, &[f, 0, s, 0, 60])),
        ("vmsplice", call(libc::SYS_vmsplice, &[f, parts, 1])),
        ("tee", call(libc::SYS_tee, &[f, s, 60])),
        ("copy_file_range", call(libc::SYS_copy_file_range, &[f, 0, s, 0, 60])),
        ("io_uring_setup", call(libc::SYS_io_uring_setup, &[8, address(&[0u64; 15])])),
        ("io_setup", call(libc::SYS_io_setup, &[8, address(&0u64)])),
        ("dup", call(libc::SYS_dup, &[s])),
        ("dup2", call(libc::SYS_dup2, &[s, 200])),
        ("dup3", call(libc::SYS_dup3, &[s, 201])),
        ("F_DUPFD", call(libc::SYS_fcntl, &[s, i64::from(libc::F_DUPFD), 202])),
        ("F_DUPFD, bits above", call(libc::SYS_fcntl, &[s, i64::from(libc::F_DUPFD) | above, 203])),
        ("F_DUPFD_CLOEXEC", call(libc::SYS_fcntl, &[s, i64::from(libc::F_DUPFD_CLOEXEC), 204])),
        ("pidfd_getfd", call(libc::SYS_pidfd_getfd, &[s, s])),
        ("PACKET_TX_RING", option(libc::SOL_PACKET, libc::PACKET_TX_RING, address(&ring), 28)),
        (
            "IP_ADD_MEMBERSHIP",
            option(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, address(&group), 8),
        ),
        ("connect", call(libc::SYS_connect, &[i64::from(control), at, 16])),
        ("socket inet", call(libc::SYS_socket, &[2, 2, 0])),
        ("socket packet", call(libc::SYS_socket, &[17, 3, 0])),
        ("socket netlink", call(libc::SYS_socket, &[16, 3, 0])),
        ("socket unix", call(libc::SYS_socket, &[1, 1, 0])),
        ("socketpair", call(libc::SYS_socketpair, &[1, 1, 0, address(&[0i32; 2])])),
    ]
}

#[allow(unsafe_code, reason = "the type has members that are not public")]
fn empty_message() -> libc::msghdr {
    // SAFETY: numbers and pointers, for which zero is a valid value.
    unsafe { std::mem::zeroed() }
}

/// Every call that could make another process, code of one's own, or change another process.
pub fn escape() -> Vec<Answer> {
    let me = i64::from(std::process::id());
    let page = anonymous_page();
    let program = address(c"/bin/true".to_bytes_with_nul());
    let (rwx, rx) = (i64::from(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC), 5);
    let private = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let limits = [1_024u64, 1_024];
    let thread = i64::from(libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_VM);
    vec![
        ("fork", fork(libc::SYS_fork, &[])),
        ("clone", fork(libc::SYS_clone, &[i64::from(libc::SIGCHLD)])),
        // Without a stack of its own it could not run; a namespace is refused before that.
        ("clone newuser", fork(libc::SYS_clone, &[thread | i64::from(libc::CLONE_NEWUSER)])),
        ("clone3", fork(libc::SYS_clone3, &[address(&[0u64; 11]), 88])),
        ("execve", call(libc::SYS_execve, &[program, 0, 0])),
        ("execveat", call(libc::SYS_execveat, &[-100, program, 0, 0, 0])),
        ("mmap rwx", call(libc::SYS_mmap, &[0, 4_096, rwx, private, -1])),
        ("mmap rx", call(libc::SYS_mmap, &[0, 4_096, rx, private, -1])),
        ("mprotect x", call(libc::SYS_mprotect, &[page, 4_096, rx])),
        ("mprotect rwx", call(libc::SYS_mprotect, &[page, 4_096, rwx])),
        ("pkey_mprotect", call(libc::SYS_pkey_mprotect, &[page, 4_096, rx, -1])),
        ("memfd_create", call(libc::SYS_memfd_create, &[program, 0])),
        ("shmget", call(libc::SYS_shmget, &[0, 4_096, 0o600])),
        ("personality", call(libc::SYS_personality, &[0x0040_0000])),
        ("ptrace", call(libc::SYS_ptrace, &[16, 1])),
        ("process_vm_writev", call(libc::SYS_process_vm_writev, &[1, 0, 0, 0, 0, 0])),
        ("process_vm_readv", call(libc::SYS_process_vm_readv, &[1, 0, 0, 0, 0, 0])),
        ("pidfd_open", call(libc::SYS_pidfd_open, &[me])),
        ("kill", call(libc::SYS_kill, &[me, 0])),
        ("tgkill others", call(libc::SYS_tgkill, &[1, 1, 0])),
        ("limits of others", call(libc::SYS_prlimit64, &[1, 7, 0, 0])),
        ("limits", call(libc::SYS_prlimit64, &[0, 7, address(&limits), 0])),
        ("TIOCSTI", call(libc::SYS_ioctl, &[0, libc::TIOCSTI as i64, program])),
        ("SIOCSIFFLAGS", call(libc::SYS_ioctl, &[0, libc::SIOCSIFFLAGS as i64, 0])),
        ("unshare", call(libc::SYS_unshare, &[i64::from(libc::CLONE_NEWUSER)])),
        ("bpf", call(libc::SYS_bpf, &[99, 0, 0])),
        ("perf_event_open", call(libc::SYS_perf_event_open, &[0, 0, -1, -1, 0])),
        ("userfaultfd", call(libc::SYS_userfaultfd, &[0])),
        ("PR_SET_DUMPABLE", call(libc::SYS_prctl, &[4, 1])),
        ("setuid", call(libc::SYS_setuid, &[0])),
    ]
}

/// What may make a process: the child, if there is one after all, ends at once.
fn fork(number: c_long, args: &[i64]) -> i32 {
    let parent = std::process::id();
    let answer = call(number, args);
    if std::process::id() != parent {
        std::process::exit(0);
    }
    answer
}

#[allow(unsafe_code, reason = "the standard library does not map memory")]
fn anonymous_page() -> i64 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
    unsafe { libc::mmap(ptr::null_mut(), 4_096, libc::PROT_READ, flags, -1, 0) as i64 }
}

/// `write` by the entry for programs of 32 bits, whose numbers are others. It does not come back.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "no library calls the system by this door")]
pub fn by_the_old_door(socket: i32) {
    // SAFETY: `write` of no bytes; the register that the compiler keeps for itself is put back.
    unsafe {
        std::arch::asm!(
            "push rbx", "mov ebx, {fd:e}", "int 0x80", "pop rbx",
            fd = in(reg) socket,
            inout("eax") 4 => _, in("ecx") 0, in("edx") 0,
        );
    }
}
