//! Limits the system calls that the process can make: a seccomp filter.
//!
//! Owns: the list of allowed calls, some of them with conditions on arguments. In: the open
//! sockets. Out: whether the filter is active. Never: allows a call that starts a program or a
//! process, sends to a network, makes memory executable, or changes the user.
//!
//! Any other call fails with EPERM. It does not kill the process, because a C library may try a
//! newer call first and fall back; and it is not silent, because the code that needed it reports
//! its error.
//!
//! Data written to a packet socket is sent on its interface (packet(7)), and no open mode prevents
//! that. So no call that could write to one is allowed: calls that write are refused by descriptor,
//! and calls that duplicate a descriptor are not on the list.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::model::Error;
use crate::sandbox::{Confinement, StepResult, failed};

/// Files: read, rotate, finish. Writing is among the calls with conditions; `pwritev`, `sendfile`,
/// `splice` and the like would be another way to write to a socket.
const FILES: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_getdents64,
    libc::SYS_mkdirat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_flock,
    libc::SYS_umask,
];

/// The sockets that are already open: poll, read, get statistics.
const SOCKETS: &[libc::c_long] =
    &[libc::SYS_ppoll, libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_getsockopt];

/// Memory.
const MEMORY: &[libc::c_long] =
    &[libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_brk];

/// Threads, waiting, time. `clone3` is allowed here and answered by [`no_clone3`]: its flags are in
/// memory, where a filter cannot read them.
const THREADS: &[libc::c_long] = &[
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // For the end of the process that sends, which was started before.
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    libc::SYS_membarrier,
    libc::SYS_uname,
    libc::SYS_sysinfo,
];

/// Signals: receiving them.
const SIGNALS: &[libc::c_long] = &[
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
];

/// Calls that newer architectures have dropped, but C libraries still use on older ones.
#[cfg(target_arch = "x86_64")]
const OLD: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_poll,
    libc::SYS_access,
    libc::SYS_mkdir,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_rmdir,
    libc::SYS_readlink,
    libc::SYS_arch_prctl,
    libc::SYS_time,
    libc::SYS_gettimeofday,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[libc::c_long] = &[];

/// The calls that write; each has the descriptor as its first argument.
const WRITES: [libc::c_long; 3] = [libc::SYS_write, libc::SYS_writev, libc::SYS_pwrite64];

/// Socket options: another filter, promiscuous mode of a recreated interface. Joining a group
/// (`IP_ADD_MEMBERSHIP`) would send a membership report (RFC 3376); a transmit ring
/// (`PACKET_TX_RING`) is only for sending.
const OPTIONS: [(i32, i32); 2] =
    [(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER), (libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP)];

/// ioctl requests: about interfaces, and about the terminal. Not `TIOCSTI`, which injects input
/// into a terminal.
const REQUESTS: [u64; 4] = [libc::SIOCGIFINDEX, libc::SIOCGIFFLAGS, libc::TCGETS, libc::TIOCGWINSZ];

/// What a view in a terminal needs beside that: the terminal's modes.
const MODES: [u64; 5] = [libc::TCGETS2, libc::TCSETS, libc::TCSETSW, libc::TCSETSF, libc::TCSETS2];

/// fcntl commands. Not `F_DUPFD`: a duplicate has another number.
const CONTROLS: [i32; 4] = [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL];

/// Starting a thread needs this flag; flags that create namespaces are refused.
const THREAD: u64 = libc::CLONE_THREAD as u64;
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWCGROUP) as u64;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Built<T> = Result<T, seccompiler::BackendError>;

/// Activates the filter for this thread and threads it starts. From then on nothing can be written
/// to `sockets`, beside the words of the confinement; `complete` says that the list covers all
/// sockets.
pub(super) fn confine(
    confinement: &Confinement,
    sockets: &[RawFd],
    complete: bool,
) -> Result<StepResult, Error> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(StepResult::Partly(format!(
            "no filter for {}: it could still send",
            std::env::consts::ARCH
        )));
    };
    let mut rules = rules(sockets, std::process::id()).map_err(|e| failed("seccomp", e))?;
    if confinement.terminal {
        with_terminal(&mut rules).map_err(|e| failed("seccomp", e))?;
    }
    if let Some(words) = confinement.words {
        with_words(&mut rules, words).map_err(|e| failed("seccomp", e))?;
    }
    let count = rules.len();
    no_clone3(arch)?;
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    enforce(SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch))?;
    let but = match confinement.words {
        Some((_, bytes)) => format!(", but {bytes} bytes at once to the service manager"),
        None => String::new(),
    };
    let what = format!("{count} system calls allowed, nothing can be sent{but}");
    if complete {
        Ok(StepResult::Full(what))
    } else {
        Ok(StepResult::Partly(format!(
            "{what} on the sockets of the capture; others were not looked for: /proc is not there"
        )))
    }
}

/// Reports `clone3` as missing: the C library then starts threads with `clone`, whose flags are
/// visible.
fn no_clone3(arch: TargetArch) -> Result<(), Error> {
    let refuse = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    enforce(SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch))
}

fn enforce(filter: Built<SeccompFilter>) -> Result<(), Error> {
    let program = filter.and_then(BpfProgram::try_from).map_err(|e| failed("seccomp", e))?;
    seccompiler::apply_filter(&program).map_err(|e| failed("seccomp", e))
}

/// Each allowed call with its conditions, one of which must hold; no conditions: always allowed.
fn rules(sockets: &[RawFd], process: u32) -> Built<Rules> {
    let always = [FILES, SOCKETS, MEMORY, THREADS, SIGNALS, OLD].concat();
    let mut rules: Rules = always.into_iter().map(|call| (call, Vec::new())).collect();
    let mut add = |call, conditions: Built<Vec<SeccompRule>>| -> Built<()> {
        rules.insert(call, conditions?);
        Ok(())
    };
    for call in WRITES {
        add(call, anything_but(sockets))?;
    }
    add(libc::SYS_bind, any(sockets.iter().map(|fd| vec![equal(0, word(*fd))])))?;
    let option = |(level, name): (i32, i32)| vec![equal(1, word(level)), equal(2, word(name))];
    add(libc::SYS_setsockopt, any(OPTIONS.into_iter().map(option)))?;
    add(libc::SYS_ioctl, any(REQUESTS.into_iter().map(|request| vec![equal(1, request)])))?;
    add(libc::SYS_fcntl, any(CONTROLS.into_iter().map(|what| vec![equal(1, word(what))])))?;
    let calls = [libc::PR_SET_NAME, libc::PR_GET_DUMPABLE];
    add(libc::SYS_prctl, any(calls.map(|call| vec![equal(0, word(call))])))?;
    add(libc::SYS_clone, any([vec![masked(0, THREAD | NAMESPACES, THREAD)]]))?;
    // No memory becomes executable that was not at process start.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        add(call, any([vec![masked(2, word(libc::PROT_EXEC), 0)]]))?;
    }
    // Sending signals to itself only; reading its own limits without setting any.
    add(libc::SYS_tgkill, any([vec![equal(0, u64::from(process))]]))?;
    let null = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0);
    add(libc::SYS_prlimit64, any([vec![equal(0, 0), null]]))?;
    Ok(rules)
}

/// Adds what a view in a terminal needs.
fn with_terminal(rules: &mut Rules) -> Built<()> {
    let requests = REQUESTS.into_iter().chain(MODES);
    rules.insert(libc::SYS_ioctl, any(requests.map(|request| vec![equal(1, request)]))?);
    Ok(())
}

/// Adds what the service manager's watchdog needs: to write to this socket exactly so many bytes.
fn with_words(rules: &mut Rules, (socket, bytes): (RawFd, usize)) -> Built<()> {
    let length = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, bytes as u64);
    let more = SeccompRule::new(vec![equal(0, word(socket))?, length?])?;
    rules.entry(libc::SYS_write).or_default().push(more);
    Ok(())
}

/// Any of these conditions; with none, the call is denied.
fn any(rules: impl IntoIterator<Item = Vec<Built<SeccompCondition>>>) -> Built<Vec<SeccompRule>> {
    let all = |conditions: Vec<Built<SeccompCondition>>| {
        SeccompRule::new(conditions.into_iter().collect::<Built<_>>()?)
    };
    let rules: Vec<SeccompRule> = rules.into_iter().map(all).collect::<Built<_>>()?;
    if rules.is_empty() { Ok(vec![never()?]) } else { Ok(rules) }
}

/// A rule that never matches: an empty list would mean "always".
fn never() -> Built<SeccompRule> {
    SeccompRule::new(vec![equal(0, 0)?, equal(0, 1)?])
}

/// The first argument is none of these descriptors.
fn anything_but(sockets: &[RawFd]) -> Built<Vec<SeccompRule>> {
    let differs =
        |fd: &RawFd| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, word(*fd));
    let conditions: Vec<_> = sockets.iter().map(differs).collect::<Built<_>>()?;
    if conditions.is_empty() { Ok(Vec::new()) } else { Ok(vec![SeccompRule::new(conditions)?]) }
}

/// The kernel uses 32 bits of descriptors, options and requests and ignores the rest of the
/// register: a 64-bit comparison could be bypassed by setting a high bit.
fn equal(argument: u8, value: u64) -> Built<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn masked(argument: u8, mask: u64, value: u64) -> Built<SeccompCondition> {
    let operator = SeccompCmpOp::MaskedEq(mask);
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)
}

/// The 32 bits of a number as the filter sees them.
const fn word(value: i32) -> u64 {
    value.cast_unsigned() as u64
}
