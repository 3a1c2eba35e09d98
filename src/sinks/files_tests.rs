//! Result files: complete or absent.
//!
//! Owns: what a directory must contain after success, failure and force. In: temporary directories.
//! Out: assertions. Never: built into the program.

use super::*;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn files_have_their_names_only_once_all_are_finished() {
    let temp = tempfile::tempdir().unwrap();
    let mut out = OutDir::create(&temp.path().join("a/b"), false).unwrap();
    let dir = temp.path().join("a/b");
    let mut file = out.file("sessions.ndjson").unwrap();
    file.write(b"{}\n").unwrap();
    file.write(&vec![b'x'; 2 * BUFFER_BYTES]).unwrap();
    file.finish().unwrap();
    out.file("run.json").unwrap().finish().unwrap();
    assert_eq!(names(&dir), [".run.json.partial", ".sessions.ndjson.partial"]);
    out.finish().unwrap();
    assert_eq!(names(&dir), ["run.json", "sessions.ndjson"]);
    let written = fs::read(dir.join("sessions.ndjson")).unwrap();
    assert_eq!(written.len(), 3 + 2 * BUFFER_BYTES);
}

#[test]
fn results_are_not_for_every_user_of_the_system() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("out");
    let mut out = OutDir::create(&dir, false).unwrap();
    out.file("run.json").unwrap().finish().unwrap();
    out.finish().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!((mode(&dir) & 0o007, mode(&dir.join("run.json")) & 0o137), (0, 0));
}

#[test]
fn the_old_run_json_is_removed_before_any_file_is_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    for name in ["sessions.ndjson", "run.json"] {
        fs::write(dir.join(name), "old").unwrap();
    }
    let mut out = OutDir::create(dir, true).unwrap();
    for name in ["sessions.ndjson", "run.json"] {
        out.file(name).unwrap().finish().unwrap();
    }
    assert_eq!(fs::read(dir.join("run.json")).unwrap(), b"old", "it is whole until then");
    // What has no name to get ends it midway.
    fs::remove_file(dir.join("sessions.ndjson")).unwrap();
    fs::create_dir(dir.join("sessions.ndjson")).unwrap();
    let error = out.finish().unwrap_err();
    assert!(error.help.unwrap().contains(".sessions.ndjson.partial"));
    let left = [".run.json.partial", ".sessions.ndjson.partial", "sessions.ndjson"];
    assert_eq!(names(dir), left);
}

#[test]
fn a_directory_is_locked_until_its_run_ends() {
    let temp = tempfile::tempdir().unwrap();
    let first = OutDir::create(temp.path(), false).unwrap();
    for force in [false, true] {
        let error = OutDir::create(temp.path(), force).unwrap_err();
        assert!(error.cause.contains("another run") && error.help.is_some(), "{error}");
    }
    drop(first);
    OutDir::create(temp.path(), false).unwrap();
}

#[test]
fn a_file_is_locked_until_its_run_ends() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("s.ndjson");
    let first = OutFile::create(&path).unwrap();
    let error = OutFile::create(&path).err().unwrap();
    assert!(error.cause.contains("another run"), "{error}");
    assert_eq!(names(temp.path()), [".s.ndjson.partial"], "the first one's is untouched");
    first.finish().unwrap();
    OutFile::create(&path).unwrap().finish().unwrap();
    assert_eq!(names(temp.path()), ["s.ndjson"]);
}

#[test]
fn a_file_not_finished_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let mut out = OutDir::create(temp.path(), false).unwrap();
    let mut file = out.file("run.json").unwrap();
    file.write(b"half").unwrap();
    drop((file, out));
    assert!(names(temp.path()).is_empty());
}

#[test]
fn a_directory_in_use_is_refused_without_force() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("notes.txt"), "mine").unwrap();
    let error = OutDir::create(temp.path(), false).unwrap_err();
    assert_eq!(error.cause, "it is not empty");
    assert!(error.help.unwrap().contains("--force"));
    fs::write(temp.path().join("sessions.ndjson"), "old").unwrap();
    fs::write(temp.path().join("alerts.ndjson"), "old").unwrap();
    let mut out = OutDir::create(temp.path(), true).unwrap();
    let mut file = out.file("alerts.ndjson").unwrap();
    file.write(b"new").unwrap();
    assert_eq!(fs::read(temp.path().join("alerts.ndjson")).unwrap(), b"old");
    file.finish().unwrap();
    assert_eq!(fs::read(temp.path().join("alerts.ndjson")).unwrap(), b"old");
    out.finish().unwrap();
    assert_eq!(names(temp.path()), ["alerts.ndjson", "notes.txt"]);
    assert_eq!(fs::read(temp.path().join("alerts.ndjson")).unwrap(), b"new");
}

#[test]
fn files_of_an_interrupted_run_are_kept_and_reported() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    fs::write(dir.join(".run.json.partial"), "half").unwrap();
    fs::write(dir.join(".sessions.ndjson.partial"), "lines").unwrap();
    for _ in 0..2 {
        let mut out = OutDir::create(dir, true).unwrap();
        let said = out.remarks().join("");
        assert!(said.contains("sessions.ndjson.partial and 1 more"), "{said}");
        out.file("run.json").unwrap().finish().unwrap();
        out.finish().unwrap();
        assert_eq!(names(dir), [".run.json.partial", ".sessions.ndjson.partial", "run.json"]);
        assert_eq!(fs::read(dir.join(".sessions.ndjson.partial")).unwrap(), b"lines");
    }
    fs::write(dir.join(".a.partial"), "lines").unwrap();
    let file = OutFile::create(&dir.join("a")).unwrap();
    assert!(file.remarks()[0].contains(".a.partial"));
    file.finish().unwrap();
    assert_eq!(fs::read(dir.join(".a.partial")).unwrap(), b"lines");
}

#[test]
fn the_files_of_interrupted_runs_have_a_bound() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("a");
    let mut left = 0;
    let error = loop {
        match OutFile::create(&path) {
            Ok(file) => std::mem::forget(file),
            Err(error) if error.cause.contains("another run") => {}
            Err(error) => break error,
        }
        left += 1;
        fs::write(temp.path().join(format!(".a.partial-{left}")), "").unwrap();
        assert!(left < 200);
    };
    assert!(error.cause.contains("100 interrupted runs"), "{error}");
}

#[test]
fn replacing_a_file_leaves_no_temporary_file() {
    let temp = tempfile::tempdir().unwrap();
    for name in [".b.partial", ".b.partial-1"] {
        fs::write(temp.path().join(name), "half").unwrap();
    }
    OutFile::replace(&temp.path().join("b")).unwrap().finish().unwrap();
    assert_eq!(names(temp.path()), ["b"]);
}

#[test]
fn results_without_run_json_are_reported_as_incomplete() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("alerts.ndjson"), "").unwrap();
    let error = OutDir::create(temp.path(), false).unwrap_err();
    assert!(error.cause.contains("did not finish"), "{error}");
}

#[test]
fn sets_that_did_not_finish_are_found() {
    let temp = tempfile::tempdir().unwrap();
    for (set, file) in [("1", "run.json"), ("2", ".health.ndjson.partial"), ("3", "mine")] {
        fs::create_dir(temp.path().join(set)).unwrap();
        fs::write(temp.path().join(set).join(file), "").unwrap();
    }
    let said = unfinished_sets(temp.path());
    assert!(said.len() == 1 && said[0].contains("/2: left by"), "{said:?}");
}

#[test]
fn a_device_is_written_to_and_stays_a_device() {
    let mut file = OutFile::create(Path::new("/dev/null")).unwrap();
    file.write(b"gone").unwrap();
    file.finish().unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn errors_name_the_file() {
    let temp = tempfile::tempdir().unwrap();
    let missing = temp.path().join("no/such/file.ndjson");
    let error = OutFile::create(&missing).err().unwrap();
    assert!(error.what.contains("file.ndjson"), "{error}");
    assert!(error.help.is_some());
    assert!(OutFile::create(temp.path()).is_err());
}

struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Err(ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn a_closed_pipe_ends_the_output_without_an_error() {
    let mut file = OutFile::stream("standard output", Box::new(Gone));
    file.write(&vec![0; 2 * BUFFER_BYTES]).unwrap();
    assert!(file.is_closed());
    file.write(b"more").unwrap();
    file.finish().unwrap();
    let mut file = OutFile::stream("standard output", Box::new(Gone));
    file.write(b"small").unwrap();
    file.finish().unwrap();
}
