//! Secrets stay where they belong: in no core, in no memory that others may read.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::net::{Net, Sensor, wait_for};
use crate::run::Site;
use crate::syslog::Receiver;

const TOKEN: &str = "a-token-that-no-core-may-hold";

/// A site with a token, whose receiver is dead.
fn site() -> Site {
    let site = Site::new();
    fs::write(site.path("token"), format!("{TOKEN}\n")).unwrap();
    let (port, token, spool) = (Receiver::free_port(), site.text("token"), site.text("spool"));
    site.config(&format!(
        "[[sink]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/\"\n\
         token_file = \"{token}\"\nspool = \"{spool}\"\n"
    ));
    site
}

/// Starts a program that may leave a core in `dir`.
fn start(dir: &Path, program: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -c unlimited && exec {program}")]).current_dir(dir);
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let name = format!("/proc/{}/comm", process.id());
    let own = Path::new(program.split(' ').next().unwrap()).file_name().unwrap();
    wait_for("its start", || fs::read_to_string(&name).unwrap().trim_end() == own);
    process
}

/// Ends it as a bug or a watchdog does, and returns the cores that it left.
fn cores(dir: &Path, mut process: Child) -> usize {
    let id = process.id().to_string();
    assert!(Command::new("kill").args(["-ABRT", &id]).status().unwrap().success());
    assert_eq!(process.wait().unwrap().code(), None, "it was ended by a signal");
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("core")).count()
}

/// How large a core of a process may be, by the kernel.
fn limit(process: &str) -> String {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    line.unwrap_or_default().split_whitespace().next().unwrap_or_default().to_owned()
}

#[test]
fn a_sender_that_is_aborted_leaves_no_core() {
    let site = site();
    site.read(&["--drain", "1s"]);
    let sender =
        format!("{} sinks flush --config {}", env!("CARGO_BIN_EXE_longhaul"), site.text("c.toml"));
    let dir = tempfile::tempdir().unwrap();
    let process = start(dir.path(), &sender);
    wait_for("a limit", || limit(&process.id().to_string()) == "0");
    assert_eq!(cores(dir.path(), process), 0);
    // The same without a secret, so that this test can fail.
    let other = start(dir.path(), "sleep 60");
    assert_eq!(limit(&other.id().to_string()), "unlimited");
    if cores(dir.path(), other) == 0 {
        println!("skipped: this system leaves no cores in working directories");
    }
}

#[test]
fn no_process_of_a_sensor_has_cores_or_memory_that_its_user_may_read() {
    let Some(_net) = Net::new(1) else { return };
    let site = site();
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let (out, config) = (site.text("out"), site.text("c.toml"));
    let sensor = Sensor::start(&["a0", "--out", &out, "--config", &config]);
    let own = sensor.id().to_string();
    let mut all = sensor.children();
    assert_eq!(all.len(), 1, "the sender: {all:?}");
    all.push(own);
    for process in all {
        wait_for("a limit", || limit(&process) == "0");
        let at = |name: &str| fs::metadata(format!("/proc/{process}/{name}")).unwrap().uid();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
        let uid: u32 = uid.split_whitespace().next().unwrap().parse().unwrap();
        // proc(5): the files of a process that leaves no core are root's.
        assert_ne!(uid, 0, "it has given root up");
        assert_eq!(at("environ"), 0, "{status}");
        let arguments = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap();
        assert!(!arguments.contains(TOKEN), "{arguments}");
    }
    drop(sensor);
}
