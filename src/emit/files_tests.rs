//! Output files: whole or not there.
//!
//! Owns: what a directory must hold after success, failure and force. In: temporary directories.
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
fn a_file_has_its_name_only_once_it_is_finished() {
    let temp = tempfile::tempdir().unwrap();
    let mut out = OutDir::create(&temp.path().join("a/b"), false).unwrap();
    let dir = temp.path().join("a/b");
    let mut file = out.file("sessions.ndjson").unwrap();
    file.write(b"{}\n").unwrap();
    file.write(&vec![b'x'; 2 * BUFFER_BYTES]).unwrap();
    assert_eq!(names(&dir), [".sessions.ndjson.partial"]);
    file.finish().unwrap();
    out.finish().unwrap();
    assert_eq!(names(&dir), ["sessions.ndjson"]);
    let written = fs::read(dir.join("sessions.ndjson")).unwrap();
    assert_eq!(written.len(), 3 + 2 * BUFFER_BYTES);
}

#[test]
fn a_file_not_finished_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let mut out = OutDir::create(temp.path(), false).unwrap();
    let mut file = out.file("run.json").unwrap();
    file.write(b"half").unwrap();
    drop(file);
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
    out.finish().unwrap();
    assert_eq!(names(temp.path()), ["alerts.ndjson", "notes.txt"]);
    assert_eq!(fs::read(temp.path().join("alerts.ndjson")).unwrap(), b"new");
}

#[test]
fn what_an_interrupted_run_left_is_no_obstacle() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join(".run.json.partial"), "half").unwrap();
    OutDir::create(temp.path(), false).unwrap();
    assert!(names(temp.path()).is_empty());
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
fn a_reader_that_went_away_ends_it_quietly() {
    let mut file = OutFile::stream("standard output", Box::new(Gone));
    file.write(&vec![0; 2 * BUFFER_BYTES]).unwrap();
    assert!(file.is_closed());
    file.write(b"more").unwrap();
    file.finish().unwrap();
    let mut file = OutFile::stream("standard output", Box::new(Gone));
    file.write(b"small").unwrap();
    file.finish().unwrap();
}
