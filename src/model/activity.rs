//! How much went on in a session that lasts.
//!
//! Owns: sums. In: the session stage fills them in. Out: rules and lines read them. Never: grows.

use crate::model::Nanos;

/// What passed in a session from its tenth second on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Distinct seconds of packet time in which data passed.
    pub seconds: u32,
    /// Messages of the initiator: what it sends until the other side answers is one.
    pub messages_up: u32,
    /// Messages of the responder.
    pub messages_down: u32,
    /// When data last passed.
    pub last: Option<Nanos>,
}
