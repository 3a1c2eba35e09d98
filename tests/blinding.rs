//! A flood cannot hide what came before or after it: at a cap the least valuable is evicted, not
//! the newest.
//!
//! The same attacks at full size are part of `make torture`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

#[path = "blinding/attacks.rs"]
mod attacks;
mod craft;

use attacks::Size;

const WORKERS: &[&str] = &["1", "2", "8"];

/// The cap on subjects cannot be configured, so the flood has that size.
#[test]
fn cheap_subjects_hide_no_incident() {
    let size = Size { flood: 9_000, caps: "", workers: &["2"] };
    attacks::subjects(&size).unwrap();
}

#[test]
fn low_alerts_evict_no_high_one() {
    attacks::alerts(&Size { flood: 200, caps: "alerts = 16", workers: WORKERS }).unwrap();
}

#[test]
fn spoofed_syns_evict_no_answered_endpoint() {
    attacks::endpoints(&Size { flood: 1_000, caps: "endpoints = 64", workers: WORKERS }).unwrap();
}

#[test]
fn lookups_of_one_host_evict_no_name_of_another() {
    attacks::names(&Size { flood: 1_600, caps: "bindings = 64", workers: WORKERS }).unwrap();
}
