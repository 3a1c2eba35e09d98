//! What a confined process can still do, asked of a process that confines itself.
//!
//! Owns: the questions. In: this test program, started once more. Out: assertions on its answers.
//! Never: confines the process that runs the other tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use longhaul::sandbox;
use longhaul::sandbox::Confinement;
use longhaul::sandbox::Reached;

const DIR: &str = "LONGHAUL_TEST_SANDBOX_DIR";

/// Runs in the confined process only.
#[test]
fn confined() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let confinement = Confinement {
        user: "nobody".to_owned(),
        read: vec![dir.join("readable")],
        write: vec![dir.join("writable")],
    };
    match sandbox::enter(&confinement) {
        Ok(steps) => {
            for step in steps {
                let full = matches!(step.reached, Reached::Full(_));
                println!("\nanswer {}={full}", step.name);
            }
        }
        Err(error) => {
            println!("\nanswer error={error}");
            return;
        }
    }
    // What holds for this thread must hold for those it starts.
    let answers = thread::spawn(move || ask(&dir)).join().unwrap();
    for (question, answer) in answers {
        println!("\nanswer {question}={answer}");
    }
}

fn ask(dir: &Path) -> Vec<(&'static str, String)> {
    let yes = |can: bool| can.to_string();
    let status = fs::read_to_string("/proc/thread-self/status");
    vec![
        ("read_named", yes(fs::read(dir.join("readable/file")).is_ok())),
        ("read_other", yes(fs::read("/etc/hostname").is_ok() || status.is_ok())),
        ("write_named", yes(fs::write(dir.join("writable/file"), "x").is_ok())),
        (
            "rename_named",
            yes(fs::rename(dir.join("writable/file"), dir.join("writable/f2")).is_ok()),
        ),
        ("write_other", yes(fs::write(dir.join("readable/new"), "x").is_ok())),
        ("run_program", yes(Command::new("/bin/true").status().is_ok())),
        ("connect", yes(TcpStream::connect("127.0.0.1:9").is_ok_and(|_| true))),
        ("new_socket", yes(std::net::UdpSocket::bind("127.0.0.1:0").is_ok())),
        ("become_root", yes(nix::unistd::setuid(nix::unistd::Uid::from_raw(0)).is_ok())),
        ("user", nix::unistd::Uid::effective().to_string()),
    ]
}

fn answers() -> Option<BTreeMap<String, String>> {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: only root can give its rights up");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["readable", "writable"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("readable/file"), "x").unwrap();
    let world: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.path(), world).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "confined", "--nocapture", "--test-threads", "1"])
        .env(DIR, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|line| line.strip_prefix("answer ")?.split_once('='));
    let answers: BTreeMap<String, String> =
        lines.map(|(question, answer)| (question.to_owned(), answer.to_owned())).collect();
    assert!(answers.contains_key("user"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Some(answers)
}

#[test]
fn a_confined_process_can_do_its_work_and_nothing_else() {
    let Some(answers) = answers() else { return };
    let can = |question: &str| answers[question] == "true";
    assert_ne!(answers["user"], "0");
    assert!(can("read_named") && can("write_named") && can("rename_named"), "{answers:?}");
    for question in ["run_program", "connect", "new_socket", "become_root", "write_other"] {
        assert!(!can(question), "{question}: {answers:?}");
    }
    if can("landlock") {
        assert!(!can("read_other"), "{answers:?}");
    } else {
        println!("skipped: this kernel has no Landlock, paths are not confined");
    }
    assert!(can("capabilities") && can("seccomp"), "{answers:?}");
}
