//! The ledger in a state directory, whatever ends the process that writes it.
//!
//! A child of this test raises alerts as a live run does, and writes what it tells to a file; it is
//! killed at moments that nobody chose, and begun again. In the end each alert was told, and none
//! fired twice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and one that kills waits for the right moment"
)]

#[path = "ledger/kill.rs"]
mod kill;

use std::fs;

use longhaul::pipeline::stored_ledger::JOURNAL;
use longhaul::pipeline::stored_ledger::SNAPSHOT;
use longhaul::pipeline::stored_ledger::StoredLedger;

/// Not a test of its own: what the child does.
#[test]
fn child() {
    kill::child();
}

#[test]
fn after_a_kill_every_alert_is_reported_and_none_fires_twice() {
    kill::killed_and_begun_again(15).unwrap();
}

#[test]
fn a_file_that_is_damaged_or_foreign_is_an_error_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let (mut stored, mut ledger) = StoredLedger::open(dir.path(), kill::CONFIG).unwrap();
    ledger.begin_journal();
    stored.save(&ledger).unwrap();
    ledger.take(kill::alert(1), None);
    ledger.take(kill::alert(2), None);
    stored.append(&ledger.take_journal(), true).unwrap();
    drop(stored);
    for (name, at) in [(SNAPSHOT, 0), (SNAPSHOT, 9), (SNAPSHOT, 20), (JOURNAL, 0), (JOURNAL, 30)] {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, &bytes).unwrap();
        let error = StoredLedger::open(dir.path(), kill::CONFIG).err().unwrap();
        assert!(error.what.contains(name) && error.help.is_some(), "{name} {at}: {error}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "it is left alone");
        fs::write(&path, whole).unwrap();
    }
    // A torn end is no damage: it is cut, and that is said.
    let path = dir.path().join(JOURNAL);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    let (stored, _) = StoredLedger::open(dir.path(), kill::CONFIG).unwrap();
    assert!(stored.cut > 0);
    fs::remove_file(dir.path().join(SNAPSHOT)).unwrap();
    assert!(StoredLedger::open(dir.path(), kill::CONFIG).is_err(), "a journal of nothing");
}
