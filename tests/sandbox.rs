//! What a confined process can still do, tried by a process that confines itself.
//!
//! Owns: the attempts. In: this test program, started once more. Out: assertions on its answers.
//! Never: confines the process that runs the other tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

#[path = "sandbox/calls.rs"]
mod calls;
#[path = "live/net.rs"]
mod net;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use longhaul::capture::BlockPool;
use longhaul::capture::LiveSource;
use longhaul::capture::live::Backend;
use longhaul::capture::live::LiveOptions;
use longhaul::sandbox;
use longhaul::sandbox::Confinement;
use longhaul::sandbox::StepResult;
use net::Net;

const DIR: &str = "LONGHAUL_TEST_SANDBOX_DIR";
const BACKEND: &str = "LONGHAUL_TEST_SANDBOX_BACKEND";

fn confinement(dir: &Path) -> Confinement {
    Confinement {
        user: "nobody".to_owned(),
        read: vec![dir.join("readable"), PathBuf::from("/etc/services")],
        write: vec![dir.join("writable")],
        ..Confinement::default()
    }
}

/// Confines this process and prints the result of each step; false if it failed.
fn enter(confinement: &Confinement) -> bool {
    match sandbox::enter(confinement) {
        Ok(steps) => {
            for step in steps {
                let full = matches!(step.result, StepResult::Full(_));
                println!("\nanswer {}={full} {step}", step.name);
            }
            true
        }
        Err(error) => {
            println!("\nanswer error={error}");
            false
        }
    }
}

/// Runs only in the confined process.
#[test]
fn confined() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    if std::env::var_os(BACKEND).is_some() || !enter(&confinement(&dir)) {
        return;
    }
    // Threads started later must be confined like this one.
    let answers = thread::spawn(move || ask(&dir)).join().unwrap();
    for (question, answer) in answers {
        println!("\nanswer {question}={answer}");
    }
}

fn ask(dir: &Path) -> Vec<(&'static str, String)> {
    let yes = |can: bool| can.to_string();
    let status = fs::read_to_string("/proc/thread-self/status");
    let writable = dir.join("writable");
    vec![
        ("read_named", yes(fs::read(dir.join("readable/file")).is_ok())),
        ("read_services", yes(fs::read("/etc/services").is_ok())),
        ("read_other", yes(fs::read("/etc/hostname").is_ok() || status.is_ok())),
        ("write_named", yes(fs::write(writable.join("file"), "x").is_ok())),
        ("rename_named", yes(fs::rename(writable.join("file"), writable.join("f2")).is_ok())),
        ("write_other", yes(fs::write(dir.join("readable/new"), "x").is_ok())),
        ("link_named", yes(std::os::unix::fs::symlink("/etc", writable.join("link")).is_ok())),
        ("pipe_named", yes(Command::new("mkfifo").arg(writable.join("p")).status().is_ok())),
        ("run_program", yes(Command::new("/bin/true").status().is_ok())),
        ("connect", yes(TcpStream::connect("127.0.0.1:9").is_ok_and(|_| true))),
        ("new_socket", yes(std::net::UdpSocket::bind("127.0.0.1:0").is_ok())),
        ("become_root", yes(nix::unistd::setuid(nix::unistd::Uid::from_raw(0)).is_ok())),
        ("own_memory", yes(fs::OpenOptions::new().write(true).open("/proc/self/mem").is_ok())),
        ("user", nix::unistd::Uid::effective().to_string()),
    ]
}

/// Runs only in the confined process, with an open capture.
#[test]
fn confined_with_a_capture() {
    let (Some(dir), Some(backend)) = (std::env::var_os(DIR), std::env::var_os(BACKEND)) else {
        return;
    };
    let backend = if backend == "pcap" { Backend::Pcap } else { Backend::Ring };
    let pool = BlockPool::new(1 << 20, 4);
    let options = LiveOptions { backend, ring_bytes: 4 << 20, ..LiveOptions::default() };
    let mut source = LiveSource::open(&["a0".to_owned()], &options, &pool).unwrap();
    let sockets = source.sockets();
    let [packet, control] = sockets[..] else { panic!("{sockets:?}") };
    // A socket that no list names, such as one inherited from a parent.
    let stray = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    println!("\nanswer before={}", calls::write(packet, 1));
    net::open("b0").sendpacket(calls::frame(9)).unwrap();
    let file = fs::File::create(Path::new(&dir).join("readable/mine")).unwrap();
    let dir = PathBuf::from(dir);
    // The service manager's: words of ten bytes reach it.
    let (manager, heard) = UnixDatagram::pair().unwrap();
    heard.set_nonblocking(true).unwrap();
    let words = Some((manager.as_raw_fd(), 10));
    if !enter(&Confinement { sockets: sockets.clone(), words, ..confinement(&dir) }) {
        return;
    }
    let answers = thread::spawn(move || {
        let mut answers = calls::send(packet, control, file.as_raw_fd());
        answers.extend(calls::escape());
        answers.push(("a socket of the parent", calls::write(stray.as_raw_fd(), 3)));
        answers.push(("a file", calls::write(file.as_raw_fd(), 4)));
        answers.push(("a word", calls::write_some(manager.as_raw_fd(), 10)));
        answers.push(("a shorter word", calls::write_some(manager.as_raw_fd(), 9)));
        answers.push(("a longer word", calls::write_some(manager.as_raw_fd(), 11)));
        answers.push(("a word to a capture", calls::write_some(packet, 10)));
        answers.extend(calls::say_otherwise(manager.as_raw_fd(), 10));
        answers
    });
    for (attempt, errno) in answers.join().unwrap() {
        println!("\nanswer {attempt}={errno}");
    }
    let mut text = [0; 64];
    let lengths: Vec<usize> = std::iter::from_fn(|| heard.recv(&mut text).ok()).collect();
    println!("\nanswer heard={lengths:?}");
    // The capture still works: frames, counts, a recreated interface.
    println!("\nanswer looks_after={}", source.maintain(&mut Default::default()).len());
    let until = Instant::now() + Duration::from_secs(5);
    while source.next().is_none() && Instant::now() < until {
        source.wait(50);
        source.advance(longhaul::model::Nanos(u64::MAX));
    }
    println!("\nanswer captures={}", source.taps().map(|tap| tap.frames).sum::<u64>() > 0);
    #[cfg(target_arch = "x86_64")]
    calls::by_the_old_door(packet);
    println!("\nanswer old_door=open");
}

/// Starts this program once more to run one of its tests, and reads its answers.
fn answers(test: &str, more: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: only root can give its rights up");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["readable", "writable"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("readable/file"), "x").unwrap();
    open_to_all(dir.path());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(DIR, dir.path())
        .envs(more.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|line| line.strip_prefix("answer ")?.split_once('='));
    let answers: BTreeMap<String, String> =
        lines.map(|(question, answer)| (question.to_owned(), answer.to_owned())).collect();
    assert!(!answers.is_empty(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Some(answers)
}

fn open_to_all(path: &Path) {
    let world: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(path, world).unwrap();
}

#[test]
fn a_confined_process_can_do_its_work_and_nothing_else() {
    let Some(answers) = answers("confined", &[]) else { return };
    let can = |question: &str| answers[question] == "true";
    assert_ne!(answers["user"], "0");
    assert!(can("read_named") && can("write_named") && can("rename_named"), "{answers:?}");
    for question in ["run_program", "connect", "new_socket", "become_root", "write_other"] {
        assert!(!can(question), "{question}: {answers:?}");
    }
    if answers["landlock"].starts_with("true") {
        assert!(can("read_services"), "{answers:?}");
        for question in ["read_other", "link_named", "pipe_named", "own_memory"] {
            assert!(!can(question), "{question}: {answers:?}");
        }
    } else {
        println!("skipped: {}", answers["landlock"]);
    }
    let full = |step: &str| answers[step].starts_with("true");
    assert!(full("capabilities") && full("seccomp"), "{answers:?}");
}

/// The Landlock ABI of the kernel, by release (landlock(7)).
fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut parts = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap(), parts.next().unwrap())
}

#[test]
fn a_full_landlock_is_not_reported_as_partial() {
    let Some(answers) = answers("confined", &[]) else { return };
    let landlock = &answers["landlock"];
    if landlock.contains("this kernel has") {
        return println!("skipped: {landlock}");
    }
    if kernel() >= (6, 15) {
        assert!(landlock.starts_with("true"), "{landlock}");
    } else {
        assert!(landlock.contains("leaves open:"), "{landlock}");
    }
}

#[test]
fn code_in_a_confined_process_can_neither_send_nor_start_programs() {
    for backend in ["ring", "pcap"] {
        let Some(_net) = Net::new(1) else { return };
        let mut wire = net::open("b0");
        let Some(answers) = answers("confined_with_a_capture", &[(BACKEND, backend)]) else {
            return;
        };
        // The test can fail: before, the same call reached the wire.
        assert_eq!(answers["before"], "0", "{answers:?}");
        let steps = ["user", "capabilities", "landlock", "seccomp"];
        let works = ["before", "a file", "a word", "heard", "captures", "looks_after"];
        for (attempt, errno) in &answers {
            if steps.contains(&attempt.as_str()) || works.contains(&attempt.as_str()) {
                continue;
            }
            let expected = if attempt == "clone3" { libc::ENOSYS } else { libc::EPERM };
            assert_eq!(errno, &expected.to_string(), "{backend}, {attempt}");
        }
        assert!(answers.len() > 60, "{}", answers.len());
        assert_eq!((&*answers["a file"], &*answers["captures"]), ("0", "true"), "{answers:?}");
        assert_eq!((&*answers["a word"], &*answers["heard"]), ("0", "[10]"), "{answers:?}");
        assert!(!answers.contains_key("old_door"), "{answers:?}");
        thread::sleep(Duration::from_millis(100));
        let mut seen = Vec::new();
        while let Ok(packet) = wire.next_packet() {
            seen.push(packet.data.to_vec());
        }
        let expected = [calls::frame(1), calls::frame(9)];
        assert_eq!(seen, expected, "{backend}: {} frames", seen.len());
    }
}
