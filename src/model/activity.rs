//! Activity counts of a long session.
//!
//! Owns: sums. In: the session stage fills them in. Out: rules and lines read them. Never: grows.

use crate::model::Nanos;

/// What passed in a session from its tenth second on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Distinct seconds of packet time in which data passed.
    pub seconds: u32,
    /// Messages of the initiator: everything it sends before the other side answers is one message.
    pub messages_up: u32,
    /// Messages of the responder.
    pub messages_down: u32,
    /// When data last passed.
    pub last: Option<Nanos>,
}
