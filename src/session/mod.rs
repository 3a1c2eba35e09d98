//! Follows sessions: initiator, state, legs, payload in order.
//!
//! Owns: the session table, TCP's two directions, timeouts as data.
//! In: packets with their frame's bytes, in the order read. Out: in-order payload to the listener,
//! and one [`Finished`] per session. Never: looks into payload, judges, reads a clock, or depends
//! on the number of workers: a [`Shard`] sees all packets of its keys and nothing else.

mod close;
mod confirmed;
mod decoy;
mod ends;
mod fragments;
mod half;
mod handshake;
mod lasting;
mod plain;
mod reopen;
mod reorder;
mod rtt;
mod rtt_samples;
pub mod schedule;
mod shard;
mod sizes;
mod state;
mod stream;
mod syn;
#[cfg(test)]
mod tests;
pub mod timeouts;
mod update;
mod waiting;

pub use schedule::Schedule;
pub use shard::{Hint, Shard};
pub use timeouts::Timeouts;

use crate::model::beats::Beat;
use crate::model::fired::FiredRules;
use crate::model::{Addr, Interest, Nanos, Packet, Peer, Record, Segment};

/// A packet with the bytes it needs.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The packet.
    pub packet: &'a Packet,
    /// The frame's captured bytes, from its start.
    pub frame: &'a [u8],
    /// Input file of the frame.
    pub file: u16,
}

impl<'a> Arrival<'a> {
    fn payload(&self) -> &'a [u8] {
        self.packet.payload(self.frame)
    }

    /// The first byte of the payload; what follows the packet in its frame if there is none.
    #[inline]
    fn start(&self) -> Option<u8> {
        let at = usize::from(self.packet.l4_at) + usize::from(self.packet.l4_len);
        self.frame.get(at).copied()
    }
}

/// A session that ended, was evicted, or was open when the input ended.
#[derive(Debug)]
pub struct Finished<X> {
    /// Its facts so far; evidence and context are still empty.
    pub record: Record,
    /// The listener's data for it.
    pub extra: Option<Box<X>>,
    /// The rules that fired during the session.
    pub fired: Option<Box<FiredRules>>,
    /// Whether its timer or the end of the input ended it, in the second in its record: those of
    /// one second of a shard come in the order of their start, then of `tie`. Otherwise a packet
    /// did.
    pub timed: bool,
    /// Orders sessions that started at the same time: [`crate::model::FlowKey::order`].
    pub tie: u64,
}

/// An open session, as it was at the end of a second of the clock.
#[derive(Debug)]
pub struct Update<'a, X> {
    /// Its facts so far; evidence and context are still empty.
    pub record: Record,
    /// The listener's data for it.
    pub extra: Option<&'a X>,
    /// The rules that fired in earlier updates; the listener adds those of this one.
    pub fired: &'a mut Option<Box<FiredRules>>,
    /// As in [`Finished`].
    pub tie: u64,
}

/// Bytes that a session holds beside its slot in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Data waiting for more: early segments, incomplete messages.
    pub waiting: usize,
    /// Data kept until its end.
    pub kept: usize,
}

/// The size of a listener's data for a session. Called for each payload, so it must not be computed
/// anew.
pub trait Weighed {
    /// Bytes held, including its own box.
    fn weight(&self) -> Weight;
}

/// The memory of one shard, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The table itself.
    pub sessions: usize,
    /// Data that sessions keep until their end.
    pub kept: usize,
    /// Data waiting for more.
    pub waiting: usize,
    /// Fragments that wait for the rest of their datagram.
    pub fragments: usize,
}

impl Room {
    /// No limit.
    pub const UNBOUNDED: Room =
        Room { sessions: usize::MAX, kept: usize::MAX, waiting: usize::MAX, fragments: usize::MAX };
}

/// For listeners without data.
impl Weighed for () {
    fn weight(&self) -> Weight {
        Weight::default()
    }
}

/// The consumer of a shard's sessions. `X` is its data for each session.
pub trait Listener<X> {
    /// A session starts with a packet that was tunnelled, or had more encapsulation than one plain
    /// tag. Returns the outermost VLAN id.
    fn wrapped(&mut self, extra: &mut Option<Box<X>>, arrival: &Arrival<'_>) -> Option<u16> {
        let _ = (extra, arrival);
        None
    }

    /// The first packet of the other side was tunnelled.
    fn answered_in_tunnel(&mut self, extra: &mut Option<Box<X>>, arrival: &Arrival<'_>) {
        let _ = (extra, arrival);
    }

    /// Which side sent this payload, if it shows; called for sessions that were picked up in the
    /// middle.
    fn speaker(&self, payload: &[u8]) -> Option<Peer> {
        let _ = payload;
        None
    }

    /// Initiator and responder were confused and are swapped now: conclusions from their roles are
    /// void.
    fn turned(&mut self, extra: &mut Option<Box<X>>) {
        let _ = extra;
    }

    /// Payload arrived.
    fn deliver(&mut self, extra: &mut Option<Box<X>>, segment: &Segment<'_>) -> Interest;

    /// Whether it takes what comes early at once, with a gap before it: nothing is buffered then,
    /// and whoever looks at each packet sees it when it comes.
    fn takes_gaps(&self, extra: Option<&X>) -> bool {
        let _ = extra;
        false
    }

    /// A TCP packet without payload acknowledges everything before `ack`.
    fn acknowledged(&mut self, extra: &mut Option<Box<X>>, from: Peer, ack: (u32, Nanos)) {
        let _ = (extra, from, ack);
    }

    /// There is no room for waiting data: nothing more of the session will be delivered.
    fn let_go(&mut self, extra: &mut Option<Box<X>>) {
        let _ = extra;
    }

    /// An open session is due for an update.
    fn update(&mut self, update: Update<'_, X>) {
        let _ = update;
    }

    /// A home host sent or received something in a session that lasts: it is to be seen beside
    /// what it did in sessions of other shards. The listener knows the shard.
    fn beat(&mut self, beat: Beat) {
        let _ = beat;
    }

    /// Whether an address belongs to the home networks.
    fn is_home(&self, addr: Addr) -> bool {
        let _ = addr;
        false
    }

    /// A session has ended.
    fn finish(&mut self, finished: Finished<X>);

    /// Adds to a counter.
    fn count(&mut self, counter: crate::model::Counter, n: u64);
}
