//! What a running sensor shows of itself: a page of metrics, the server for it, and words to the
//! service manager.
//!
//! Owns: the text format, the protocol to clients, to the process that serves, and to systemd. In:
//! numbers, connections. Out: text. Never: a number of its own, or a clock: deadlines are bounds on
//! how often and how long a connection is waited for.

mod notify;
mod page;
mod report;
mod server;
mod spread;

pub use notify::{Notifier, Watchdog};
pub use page::{Kind, Page};
pub use report::{Report, State};
pub use server::{Answer, Answers, serve};
pub use spread::Spread;
