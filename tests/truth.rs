//! The whole program against what others measured on the same captures.
//!
//! Owns: the comparison of sessions, files and exit codes with recorded truth. In: the project's own captures,
//! and shared ones where they are. Out: counts, and every miss with its reason. Never: passes a miss silently.

mod common;

#[path = "truth/rtt.rs"]
mod rtt;
#[path = "truth/tls.rs"]
mod tls;
#[path = "truth/words.rs"]
mod words;
