//! Lags: how long answers take behind the acknowledgement of their question.
//!
//! Owns: which packet acknowledges what the other side sent. In: packets with and without payload.
//! Out: the lag of a turn. Never: a lag across a loss, or of what was in flight.

use super::mark::{Mark, acknowledges};
use super::{Phase, Watch};
use crate::model::lag::Lag;
use crate::model::record::TlsFacts;
use crate::model::{Nanos, Peer, Segment};

/// Not acknowledged yet.
pub(super) const NOT_YET: Nanos = Nanos(u64::MAX);

impl Watch {
    /// A packet of `from`, with or without payload, acknowledges: the first that covers exactly
    /// what the other side has sent begins the lag. One that covers more tells of bytes that the
    /// sensor missed, or is forged.
    pub(in crate::evidence) fn acknowledged(&mut self, from: Peer, ack: u32, time: Nanos) {
        let (asked, acked) = match from {
            Peer::Initiator => (self.last.1, &mut self.acked.0),
            Peer::Responder => (self.last.0, &mut self.acked.1),
        };
        if *acked == NOT_YET && asked.get().is_some_and(|asked| asked.end == ack) {
            *acked = time;
        }
    }

    /// How long this segment took behind the acknowledgement of what it answers.
    pub(super) fn lag(&self, asked: Mark, segment: &Segment<'_>) -> Lag {
        let (last, acked) = match segment.from {
            Peer::Initiator => (self.last.1, self.acked.0),
            Peer::Responder => (self.last.0, self.acked.1),
        };
        let whole = last.end == asked.end && segment.numbers.1 == asked.end;
        if !whole || acked == NOT_YET || asked.time > acked || asked.troubles != segment.troubles {
            return Lag::NONE;
        }
        segment.time.checked_since(acked).map_or(Lag::NONE, Lag::of)
    }

    /// The lag of the next turn, whatever is exchanged.
    pub(super) fn take_lag(&mut self, segment: &Segment<'_>, tls: Option<&TlsFacts>) {
        let by_initiator = segment.from == Peer::Initiator;
        let asked = if by_initiator { self.last.1 } else { self.last.0 };
        let Some(asked) = asked.get().filter(|_| self.before != Some(segment.from)) else { return };
        // What does not acknowledge all of it was sent before, and is no answer.
        if self.lags_over || !acknowledges(segment.numbers.1, asked.end) {
            return;
        }
        // A client that sends early data need not wait (RFC 8446 section 2.3).
        let early = by_initiator
            && self.phase == Phase::ServerFlight
            && tls.is_some_and(|tls| tls.early_data);
        let lag = if early { Lag::NONE } else { self.lag(asked, segment) };
        if let Some(round_trip) = segment.time.checked_since(asked.time) {
            self.lags.add(by_initiator, round_trip, lag);
        }
    }
}
