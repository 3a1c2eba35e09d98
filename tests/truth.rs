//! The whole program compared with other tools' results on the same captures.
//!
//! Owns: the comparison of sessions, files and exit codes with recorded truth. In: the project's
//! own captures, and shared ones if present. Out: counts, and every miss with its reason.
//! Never: passes a miss silently.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;
#[allow(dead_code, reason = "the shared module serves several tests")]
mod craft;
mod own_corpus;

#[path = "truth/ack_rtt.rs"]
mod ack_rtt;
#[path = "truth/applications.rs"]
mod applications;
#[path = "truth/cli.rs"]
mod cli;
#[path = "truth/demo.rs"]
mod demo;
#[path = "truth/edges.rs"]
mod edges;
#[path = "truth/files.rs"]
mod files;
#[path = "truth/in_session.rs"]
mod in_session;
#[path = "truth/inner.rs"]
mod inner;
#[path = "truth/lines.rs"]
mod lines;
#[path = "truth/made.rs"]
mod made;
#[path = "truth/protocols.rs"]
mod protocols;
#[path = "truth/rtt.rs"]
mod rtt;
#[path = "truth/streams.rs"]
mod streams;
#[path = "truth/tls.rs"]
mod tls;
#[path = "truth/words.rs"]
mod words;
