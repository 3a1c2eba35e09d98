//! Results are complete or absent: kills, second runs, signals.
//!
//! Owns: what must hold for a directory of results whatever happens to the run. In: captures made
//! here.
//! Out: assertions. Never: a recorded capture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and one that kills waits for the right moment"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;
#[path = "results/kill.rs"]
mod kill;
#[path = "results/signals.rs"]
mod signals;

#[test]
fn a_killed_run_leaves_a_whole_result_or_none() {
    kill::at_moments(16).unwrap();
}
