//! A TCP session's two directions: who speaks there, and which bytes must wait for more.
//!
//! Owns: the look at the first bytes, the protocol that fits them, a capped buffer while a message
//! straddles segments. In: payload in order. Out: calls of parsers. Never: copies a message that is
//! whole in one segment, or looks on after the bounds below.

use crate::evidence::held::{Held, Measure};
use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{LOOK_BYTES_MAX, ParseContext, Probe};
use crate::evidence::protocols::{StreamProtocol, StreamStates};
use crate::model::heap::ALLOCATION;
use crate::model::record::Facts;
use crate::model::{Counter, Counters, Heap, Peer, Segment};
use crate::wire::Fault;

/// Segments of a direction examined for a protocol's start. Preambles take turns: SOCKS 2, CONNECT
/// with a refused and a good log-in 3, STARTTLS in SMTP 4 to 6; 16 leaves room for small segments.
const TURNS_MAX: u8 = 16;
/// Undecided bytes of a direction examined: a PROXY header, a CONNECT head or an SMTP dialogue is
/// far shorter; a protocol that started differently and sent this much is not a known one.
pub(super) const LOOKED_BYTES_MAX: u16 = 8 * 1024;

/// What a direction is followed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Follows {
    /// Looking for a protocol's start.
    #[default]
    Look,
    /// A row of the table.
    Protocol(StreamProtocol),
    /// Ignored from now on.
    Done,
}

/// Both directions of a stream.
#[derive(Debug, Default)]
pub struct StreamState {
    initiator: StreamParser,
    responder: StreamParser,
    states: Option<Box<StreamStates>>,
}

impl StreamState {
    /// Looks at the next bytes in order.
    pub fn observe(
        &mut self,
        segment: &Segment<'_>,
        facts: &mut Option<Box<Facts>>,
        counters: &mut Counters,
    ) {
        let Segment { from, ports, time, .. } = *segment;
        let (parser, other) = match from {
            Peer::Initiator => (&mut self.initiator, &self.responder),
            Peer::Responder => (&mut self.responder, &self.initiator),
        };
        let states = &mut self.states;
        let parse = ParseContext { from, ports, time, follows: false, facts };
        parser.observe(segment, &mut Feeding { parse, states, counters });
        let deaf = parser.is_done() && other.is_done();
        // Most sessions that were relayed live on for long after the dialogue before.
        states.take_if(|states| deaf || states.is_idle());
    }

    fn of(&self, from: Peer) -> &StreamParser {
        match from {
            Peer::Initiator => &self.initiator,
            Peer::Responder => &self.responder,
        }
    }

    /// Whether a side has said nothing yet.
    pub fn is_fresh(&self, from: Peer) -> bool {
        self.of(from).is_fresh()
    }

    /// Whether anybody still listens to what this side sends.
    pub fn wants(&self, from: Peer) -> bool {
        !self.of(from).is_done()
    }

    /// Passes a segment over if all of it belongs to a body that is skipped, or if only the other
    /// side is still listened to.
    #[inline]
    pub fn skip(&mut self, segment: &Segment<'_>) -> bool {
        let (parser, other) = match segment.from {
            Peer::Initiator => (&mut self.initiator, &self.responder),
            Peer::Responder => (&mut self.responder, &self.initiator),
        };
        if parser.is_done() {
            return !other.is_done();
        }
        let passes = parser.passes_over(segment.payload, segment.gap);
        if passes {
            parser.skip -= segment.payload.len() as u32;
        }
        passes
    }

    /// Whether a segment may add facts: not where nobody listens, nor in a body that nobody reads.
    pub fn takes(&self, segment: &Segment<'_>) -> bool {
        let parser = self.of(segment.from);
        !parser.is_done() && !parser.passes_over(segment.payload, segment.gap)
    }
}

impl Heap for StreamState {
    fn heap(&self) -> usize {
        let sides = [&self.initiator, &self.responder].into_iter();
        let held = sides.filter_map(|side| side.held.as_deref());
        let held: usize = held.map(|held| size_of::<Held>() + ALLOCATION + held.heap()).sum();
        held + self.states.heap()
    }
}

/// What feeding a direction needs beside it.
struct Feeding<'a> {
    parse: ParseContext<'a>,
    states: &'a mut Option<Box<StreamStates>>,
    counters: &'a mut Counters,
}

/// One direction of a stream.
#[derive(Debug, Default)]
struct StreamParser {
    follows: Follows,
    /// Undecided segments, preambles and messages so far.
    turns: u8,
    /// Undecided bytes so far.
    looked: u16,
    /// Bytes of a body still to skip.
    skip: u32,
    held: Option<Box<Held>>,
}

/// The result for a run of bytes.
enum Run {
    /// All used, or nothing more is needed.
    All,
    /// The bytes from here on wait for more: at least this much.
    Wait(usize, usize),
    /// The bytes from here on belong to no known protocol.
    Unknown(usize),
}

impl StreamParser {
    fn is_fresh(&self) -> bool {
        self.follows == Follows::Look && self.turns == 0 && self.looked == 0 && self.held.is_none()
    }

    fn is_done(&self) -> bool {
        self.follows == Follows::Done
    }

    /// Whether all of the next bytes belong to a body that is skipped.
    const fn passes_over(&self, payload: &[u8], gap: bool) -> bool {
        !gap && self.held.is_none() && payload.len() <= self.skip as usize
    }

    fn observe(&mut self, segment: &Segment<'_>, feeding: &mut Feeding<'_>) {
        if self.is_done() {
            return;
        }
        if segment.gap {
            // An incomplete message is lost; a known protocol may still start at a later segment.
            self.held = None;
            self.skip = 0;
            self.follows = Follows::Look;
        }
        match self.held.take() {
            None => self.observe_fresh(segment.payload, feeding),
            Some(held) => self.observe_held(held, segment.payload, feeding),
        }
    }

    fn observe_fresh(&mut self, payload: &[u8], feeding: &mut Feeding<'_>) {
        match self.run(payload, feeding) {
            Run::All => {}
            Run::Unknown(at) => self.pass(payload.len() - at),
            Run::Wait(at, missing) => {
                let bytes = payload.get(at..).unwrap_or_default();
                self.hold(Box::new(Held::new(bytes, missing)), feeding);
            }
        }
    }

    fn observe_held(&mut self, mut held: Box<Held>, payload: &[u8], feeding: &mut Feeding<'_>) {
        let before = held.bytes.len();
        let is_due = held.take(payload, self.measure());
        if !is_due && held.bytes.len() < self.held_max() {
            self.held = Some(held);
            return;
        }
        #[cfg(test)]
        crate::wire::reader::visited::note(held.bytes.len());
        match self.run(&held.bytes, feeding) {
            Run::All => {}
            Run::Wait(at, missing) => {
                held.used(at, missing);
                self.hold(held, feeding);
            }
            // The buffered bytes led nowhere: this segment is a new start.
            Run::Unknown(at) if at < before => {
                self.pass(before - at);
                self.observe_fresh(payload, feeding);
            }
            Run::Unknown(at) => self.pass(held.bytes.len() - at),
        }
    }

    const fn measure(&self) -> Measure {
        match self.follows {
            Follows::Protocol(row) => row.measure(),
            Follows::Look | Follows::Done => Measure::Bytes,
        }
    }

    /// Bytes of a message that may wait.
    const fn held_max(&self) -> usize {
        match self.follows {
            Follows::Protocol(row) => row.held_max(),
            Follows::Look | Follows::Done => LOOK_BYTES_MAX,
        }
    }

    /// Buffers an incomplete message, unless it is over the cap of its protocol.
    fn hold(&mut self, held: Box<Held>, feeding: &mut Feeding<'_>) {
        if held.bytes.len() > self.held_max() {
            feeding.counters.bump(Counter::MessagesOverCap);
            if let Follows::Protocol(row) = self.follows {
                feeding.counters.note_fault(row.protocol(), Fault::OverCap);
            }
            self.finish();
        } else {
            self.held = Some(held);
        }
    }

    /// Gives bytes to the parsers until they are used or somebody waits.
    fn run(&mut self, bytes: &[u8], feeding: &mut Feeding<'_>) -> Run {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.is_done() {
                return Run::All;
            }
            if self.skip > 0 {
                let passed = (self.skip as usize).min(rest.len());
                self.skip -= passed as u32;
                at += passed;
                continue;
            }
            match self.feed(rest, feeding) {
                ParseResult::NotMine => return Run::Unknown(at),
                ParseResult::NeedMore(missing) => return Run::Wait(at, missing),
                ParseResult::Used(0) | ParseResult::Preamble(0, _) | ParseResult::Done => {
                    self.finish();
                }
                ParseResult::Used(bytes) => {
                    at += bytes;
                    self.count_message();
                }
                ParseResult::Preamble(bytes, body) => {
                    at += bytes;
                    self.skip = body;
                    self.follows = Follows::Look;
                    // Whoever speaks behind it has all the turns of a new stream but one, so that
                    // a chain of them ends too.
                    self.turn();
                }
                ParseResult::Becomes(bytes, next) => {
                    at += bytes;
                    self.follows = Follows::Protocol(next);
                }
                ParseResult::Failed(fault) | ParseResult::Rejected(fault) => {
                    if let Follows::Protocol(row) = self.follows {
                        feeding.counters.bump(Counter::ParseFailures);
                        feeding.counters.note_fault(row.protocol(), fault);
                    }
                    self.finish();
                }
            }
        }
        Run::All
    }

    fn feed(&mut self, rest: &[u8], feeding: &mut Feeding<'_>) -> ParseResult {
        let row = match self.follows {
            Follows::Protocol(row) => row,
            Follows::Done => return ParseResult::Done,
            Follows::Look => {
                match StreamProtocol::probe(rest, &feeding.parse, feeding.states.as_deref()) {
                    Some((row, Probe::Fits)) => row,
                    Some((_, Probe::Short)) => return ParseResult::NeedMore(1),
                    Some((_, Probe::Skip(bytes))) => return ParseResult::Used(bytes),
                    Some((_, Probe::No)) | None => return ParseResult::NotMine,
                }
            }
        };
        feeding.parse.follows = self.follows == Follows::Protocol(row);
        self.follows = Follows::Protocol(row);
        let result = row.feed(rest, &mut feeding.parse, feeding.states);
        if result == ParseResult::NotMine {
            self.follows = Follows::Look;
        }
        result
    }

    /// Counts a message of a protocol against the bound of its row.
    fn count_message(&mut self) {
        if let Follows::Protocol(row) = self.follows {
            self.turns = self.turns.saturating_add(1);
            if self.turns > row.messages_max() {
                self.finish();
            }
        }
    }

    /// Counts bytes that belong to no known protocol.
    fn pass(&mut self, bytes: usize) {
        self.looked = self.looked.saturating_add(u16::try_from(bytes).unwrap_or(u16::MAX));
        self.turn();
    }

    fn turn(&mut self) {
        self.turns = self.turns.saturating_add(1);
        if self.turns >= TURNS_MAX || self.looked >= LOOKED_BYTES_MAX {
            self.finish();
        }
    }

    /// Ignores the direction from here on.
    fn finish(&mut self) {
        self.follows = Follows::Done;
        self.held = None;
        self.skip = 0;
    }
}
