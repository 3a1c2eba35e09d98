//! What the parser of one protocol says to whoever feeds it.
//!
//! Owns: that word. In: nothing. Out: it. Never: logic.

/// What an observer says after looking at the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseResult {
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
