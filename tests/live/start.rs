//! What a sensor says when it starts, and what it refuses.

use std::process::Command;

use crate::file;
use crate::net::Net;
use crate::net::Sensor;
use crate::net::wait_for;
use crate::scratch;

#[test]
fn an_inaccessible_directory_is_refused_by_the_name_of_the_blocking_parent() {
    let Some(_net) = Net::new(1) else { return };
    let (dir, _) = scratch();
    let closed = dir.path().join("closed");
    let out = closed.join("below/out");
    std::fs::create_dir_all(&out).unwrap();
    let mine = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&closed, mine).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["live", "a0", "--duration", "5s", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(2), "{said}");
    let passage = format!("may not pass through {} (mode 0700)", closed.display());
    assert!(said.contains(&passage), "{said}");
    assert!(said.contains(&format!("chmod o+x {}", closed.display())), "{said}");
}

#[test]
fn files_that_sighup_could_not_read_are_reported_at_the_start() {
    let Some(_net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let staff = dir.path().join("staff.csv");
    std::fs::write(&staff, "match,id\n10.0.0.0/8,all\n").unwrap();
    let mine = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&staff, mine).unwrap();
    let staff = staff.display().to_string();
    let sensor = Sensor::start(&["a0", "--out", &out, "--subjects", &staff]);
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0));
    let told = format!("{staff}: SIGHUP will not be able to read it again");
    assert!(said.contains(&told), "{said}");
    assert!(!said.contains("not in full"), "{said}");
    assert!(file(&out, "run.json").exists());
}

#[test]
fn the_process_that_writes_the_report_is_confined_as_the_run_is() {
    let Some(_net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "--out", &out, "--report"]);
    let [writer] = &sensor.children()[..] else { panic!("{:?}", sensor.children()) };
    wait_for("the limit of its system calls", || {
        let status = std::fs::read_to_string(format!("/proc/{writer}/status")).unwrap();
        status.contains("Seccomp:\t2")
    });
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("not in full") && !said.contains("report:"), "{said}");
    let page = std::fs::read_to_string(file(&out, "report.html")).unwrap();
    assert!(page.contains("</html>"));
}
