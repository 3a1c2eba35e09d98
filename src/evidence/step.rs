//! What goes between a session's lanes and the observers of one protocol.
//!
//! Owns: the two words they share. In: who sent. Out: what an observer says. Never: logic.

/// What an observer says after looking at the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Not this protocol.
    NotMine,
    /// This protocol; the message is not whole yet: call again with more bytes from the same start.
    NeedMore,
    /// The same, and so much is missing at least: fewer bytes change nothing.
    Await(usize),
    /// This many bytes were used; call again with what follows in this direction.
    Used(usize),
    /// This direction has said all this observer listens for.
    Done,
    /// Began like this protocol and did not parse: counted, this direction is left alone.
    Failed,
}
