//! What one protocol is to a session, over TCP and over UDP: does it begin here, what do these
//! bytes say.
//!
//! Owns: the trait, and what a parser may see and use. In: nothing. Out: the trait. Never: a
//! protocol; those stand in `protocols.rs`, a row each.
//!
//! There is no call at the end of a session: facts are written as they are found, because sessions
//! are also judged while they last.

use crate::evidence::held::Measure;
use crate::evidence::parse_result::ParseResult;
use crate::evidence::request_response_rtt::{Moment, RequestRtt};
use crate::model::protocol::Protocol;
use crate::model::record::Facts;
use crate::model::{Heap, Nanos, Peer};

/// Bytes that may wait before a protocol is told: the longest is a PROXY v1 line (107 bytes).
pub const LOOK_BYTES_MAX: usize = 256;

/// Whether bytes begin like a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// They do not.
    No,
    /// They are too short to say.
    Short,
    /// They do: worth a parse.
    Fits,
    /// So many bytes may stand before it and say nothing.
    Skip(usize),
}

impl Probe {
    /// From an answer that may be premature.
    pub const fn of(fits: Option<bool>) -> Probe {
        match fits {
            Some(true) => Probe::Fits,
            Some(false) => Probe::No,
            None => Probe::Short,
        }
    }

    /// Whether bytes begin with these, or may.
    pub fn starts(bytes: &[u8], magic: &[u8]) -> Probe {
        match bytes.get(..magic.len()) {
            Some(head) if head == magic => Probe::Fits,
            Some(_) => Probe::No,
            None if magic.starts_with(bytes) => Probe::Short,
            None => Probe::No,
        }
    }

    /// This, or where it is refuted the next.
    pub fn or(self, next: impl FnOnce() -> Probe) -> Probe {
        if let Probe::No = self { next() } else { self }
    }
}

/// What a probe may see beside the bytes.
pub struct Look<'a, S> {
    /// Who sent them.
    pub from: Peer,
    /// Initiator's and responder's port.
    pub ports: (u16, u16),
    /// What the session has said so far.
    pub facts: Option<&'a Facts>,
    /// What this protocol has seen of the session.
    pub state: Option<&'a S>,
}

/// What a parser may see and use beside its state.
pub struct ParseContext<'a> {
    /// Who sent the bytes.
    pub from: Peer,
    /// Initiator's and responder's port.
    pub ports: (u16, u16),
    /// The packet's time.
    pub time: Nanos,
    /// This direction was told to speak this protocol by earlier bytes.
    pub follows: bool,
    /// The session's facts, created at the first sign of a protocol.
    pub facts: &'a mut Option<Box<Facts>>,
}

impl ParseContext<'_> {
    /// The facts, to write to.
    pub fn facts(&mut self) -> &mut Facts {
        self.facts.get_or_insert_default()
    }
}

/// Whether what both sides exchange over UDP is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Nothing is.
    Never,
    /// It is, beside what each datagram says.
    Beside,
    /// It is, and that alone tells the protocol: it is followed even where nothing is measured.
    Tells,
}

/// A protocol. Stateless ones have `()`.
pub trait Parser {
    /// What is kept of both directions.
    type State: Default + std::fmt::Debug + Heap;

    /// The protocol under which faults are counted.
    const PROTOCOL: Option<Protocol>;
    /// Streams: bytes of a message that may wait for the rest.
    const HELD_MAX: usize = LOOK_BYTES_MAX;
    /// Streams: what tells that a message is whole.
    const MEASURE: Measure = Measure::Bytes;
    /// Streams: messages of a direction looked at.
    const MESSAGES_MAX: u8 = 64;
    /// UDP: datagrams of a direction looked at; 255 for all.
    const DATAGRAMS_MAX: u8 = 24;
    /// UDP: whether exchanges are timed.
    const TIMING: Timing = Timing::Never;

    /// UDP: whether a datagram can be nothing else, by its port or by a sign of its own. Asked of
    /// all protocols before [`Parser::probe`].
    fn claims(_bytes: &[u8], _look: &Look<'_, Self::State>) -> bool {
        false
    }

    /// Whether bytes begin like this protocol: a few comparisons.
    fn probe(bytes: &[u8], look: &Look<'_, Self::State>) -> Probe;

    /// Looks at the next bytes of a direction in order, or at one datagram.
    fn feed(state: &mut Self::State, bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult;

    /// UDP: takes the round trips of one datagram of either side; false once nothing more can be
    /// timed.
    fn time(
        _state: &mut Self::State,
        _bytes: &[u8],
        _ports: (u16, u16),
        _rtt: &mut RequestRtt,
        _at: &mut Moment<'_>,
    ) -> bool {
        false
    }

    /// Whether the state waits for something, although no direction follows the protocol.
    fn is_live(_state: &Self::State) -> bool {
        false
    }
}
