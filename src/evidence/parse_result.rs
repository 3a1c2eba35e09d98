//! What the parser of one protocol says to whoever feeds it.
//!
//! Owns: that word, and how an error of reading becomes one. In: nothing. Out: it. Never: state.

use crate::evidence::protocols::StreamProtocol;
use crate::wire::{Fault, WireError};

/// What a parser says after looking at the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseResult {
    /// Not this protocol.
    NotMine,
    /// This protocol; the message is not whole yet: call again from the same start when at least so
    /// many more bytes are here.
    NeedMore(usize),
    /// This many bytes were used; call again with what follows in this direction.
    Used(usize),
    /// This many bytes were used; behind them, and behind so many more that nobody reads, another
    /// protocol may begin.
    Preamble(usize, u32),
    /// This many bytes were used; what follows is for another parser.
    Becomes(usize, StreamProtocol),
    /// This direction has said all this parser listens for.
    Done,
    /// Started like this protocol but did not parse: counted, this direction is ignored from now
    /// on.
    Failed(Fault),
    /// A datagram that did not parse: counted, the next one may be good.
    Rejected(Fault),
}

impl From<WireError> for ParseResult {
    fn from(why: WireError) -> ParseResult {
        match why {
            WireError::NotThis => ParseResult::NotMine,
            WireError::NeedMore(missing) => ParseResult::NeedMore(missing),
            WireError::Malformed(fault, _) => ParseResult::Failed(fault),
        }
    }
}
