//! A session over UDP: which protocol its datagrams speak, and how long both sides take.
//!
//! Owns: the look at a datagram's first bytes, the bounds of looking, which protocols are timed.
//! In: datagrams as they come. Out: calls of parsers. Never: costs a session without a known
//! protocol more than a few comparisons.

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{ParseContext, Timing};
use crate::evidence::protocols::{DatagramProtocol, DatagramStates, Rows};
use crate::evidence::udp_signatures::fault;
use crate::model::protocol::Protocol;
use crate::model::record::Facts;
use crate::model::{Counter, Counters, Heap, Peer, Segment};

/// Datagrams per direction examined while undecided.
const DATAGRAMS_LOOKED: u8 = 4;
/// Datagrams of both directions examined for timing.
const DATAGRAMS_TIMED: u8 = 96;

/// The protocol to which a fault belongs: DNS has relatives on ports of their own.
fn spoken(row: DatagramProtocol, facts: &Option<Box<Facts>>) -> Option<Protocol> {
    let told = facts.as_ref().and_then(|facts| facts.protocol);
    let relative = |told: &Protocol| {
        let relatives = [Protocol::Mdns, Protocol::Llmnr, Protocol::Nbns];
        row.protocol() == Some(Protocol::Dns) && relatives.contains(told)
    };
    told.filter(relative).or(row.protocol())
}

/// What a direction is followed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Follows {
    /// Looking for a protocol.
    #[default]
    Look,
    /// A row of the table.
    Protocol(DatagramProtocol),
    /// Left alone.
    Done,
}

/// One direction.
#[derive(Clone, Copy, Debug, Default)]
struct Direction {
    follows: Follows,
    /// Datagrams looked at so far.
    datagrams: u8,
}

/// Both directions of a session over UDP.
#[derive(Debug, Default)]
pub struct DatagramState {
    initiator: Direction,
    responder: Direction,
    /// What is timed.
    timed: Rows,
    datagrams: u8,
    /// Nothing more is to be timed.
    over: bool,
    states: Option<Box<DatagramStates>>,
}

impl DatagramState {
    /// Looks at one datagram. `times`: exchanges are measured.
    pub fn observe(
        &mut self,
        segment: &Segment<'_>,
        facts: &mut Option<Box<Facts>>,
        counters: &mut Counters,
        times: bool,
    ) {
        let mut direction = self.of(segment.from);
        if direction.follows != Follows::Done {
            if let Some((row, result)) = self.parse(direction.follows, segment, facts) {
                let told = match result {
                    ParseResult::Failed(fault) | ParseResult::Rejected(fault) => {
                        counters.bump(Counter::ParseFailures);
                        counters.note_fault(spoken(row, facts), fault);
                        false
                    }
                    _ => true,
                };
                match row.timing() {
                    Timing::Tells => self.begin_timing(row),
                    Timing::Beside if times && told => self.begin_timing(row),
                    Timing::Beside | Timing::Never => {}
                }
                let over = matches!(result, ParseResult::Done | ParseResult::Failed(_));
                direction.follows = if over { Follows::Done } else { Follows::Protocol(row) };
            } else {
                direction.follows = Follows::Look;
                if let Some((protocol, fault)) = fault(segment.payload, segment.ports) {
                    counters.bump(Counter::ParseFailures);
                    counters.note_fault(Some(protocol), fault);
                }
            }
            direction.count();
            *self.of_mut(segment.from) = direction;
        }
        if self.is_timing() {
            self.time(segment, facts.get_or_insert_default());
        }
        let follows = |one: Direction| matches!(one.follows, Follows::Protocol(_));
        let deaf = !self.wants(Peer::Initiator) && !self.wants(Peer::Responder);
        let quiet = !follows(self.initiator) && !follows(self.responder) && !self.is_timing();
        self.states.take_if(|states| quiet && (deaf || states.is_idle()));
    }

    /// Who takes the datagram, and what is said of it.
    fn parse(
        &mut self,
        follows: Follows,
        segment: &Segment<'_>,
        facts: &mut Option<Box<Facts>>,
    ) -> Option<(DatagramProtocol, ParseResult)> {
        let Segment { from, ports, time, payload, .. } = *segment;
        let mut context = ParseContext { from, ports, time, follows: true, facts };
        if let Follows::Protocol(row) = follows {
            let result = row.feed(payload, &mut context, &mut self.states);
            if result != ParseResult::NotMine {
                return Some((row, result));
            }
        }
        context.follows = false;
        DatagramProtocol::first(payload, &mut context, &mut self.states)
    }

    /// Measures the round trips of one datagram.
    fn time(&mut self, segment: &Segment<'_>, facts: &mut Facts) {
        for row in self.timed.iter() {
            if !row.time(segment, facts, &mut self.states) {
                self.timed.remove(row);
            }
        }
        self.datagrams = self.datagrams.saturating_add(1);
        if self.timed.is_empty() || self.datagrams >= DATAGRAMS_TIMED {
            self.end_timing();
        }
    }

    fn begin_timing(&mut self, row: DatagramProtocol) {
        if !self.over {
            self.timed.add(row);
        }
    }

    /// Nothing more is to be timed: directions that were followed for that only have nothing to do
    /// either.
    fn end_timing(&mut self) {
        self.over = true;
        self.timed = Rows::default();
        for direction in [&mut self.initiator, &mut self.responder] {
            if let Follows::Protocol(row) = direction.follows
                && row.timing() == Timing::Tells
            {
                direction.follows = Follows::Done;
            }
        }
    }

    const fn of(&self, from: Peer) -> Direction {
        match from {
            Peer::Initiator => self.initiator,
            Peer::Responder => self.responder,
        }
    }

    const fn of_mut(&mut self, from: Peer) -> &mut Direction {
        match from {
            Peer::Initiator => &mut self.initiator,
            Peer::Responder => &mut self.responder,
        }
    }

    /// Whether a side has said nothing yet.
    pub fn is_fresh(&self, from: Peer) -> bool {
        let Direction { follows, datagrams } = self.of(from);
        follows == Follows::Look && datagrams == 0
    }

    /// Whether anybody still listens to what this side sends.
    pub fn wants(&self, from: Peer) -> bool {
        self.of(from).follows != Follows::Done
    }

    /// Whether both sides are still timed.
    pub const fn is_timing(&self) -> bool {
        !self.timed.is_empty()
    }
}

impl Direction {
    /// Counts a datagram against the bound of what is followed.
    fn count(&mut self) {
        let datagrams_max = match self.follows {
            Follows::Look => DATAGRAMS_LOOKED,
            Follows::Protocol(row) => row.datagrams_max(),
            Follows::Done => return,
        };
        if datagrams_max == u8::MAX {
            return;
        }
        self.datagrams = self.datagrams.saturating_add(1);
        if self.datagrams >= datagrams_max {
            self.follows = Follows::Done;
        }
    }
}

impl Heap for DatagramState {
    fn heap(&self) -> usize {
        self.states.heap()
    }
}

#[cfg(test)]
#[path = "datagram_tests.rs"]
mod tests;
