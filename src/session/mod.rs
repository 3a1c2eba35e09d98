//! Follows sessions: who began, how it stands, how long its legs are, which bytes come next.
//!
//! Owns: the session table, TCP's two directions, time-outs as data.
//! In: packets with their frame's bytes, in the order read. Out: in-order payload to whoever
//! listens, and one [`Finished`] a session. Never: looks into payload, judges, reads a clock, or
//! depends on how many workers there are: a [`Shard`] sees all packets of its keys and nothing
//! else.

mod close;
mod decoy;
mod ends;
mod fragments;
mod handshake;
mod lasting;
mod reopen;
mod reorder;
mod rtt;
mod rtt_samples;
pub mod schedule;
mod shard;
mod state;
mod stream;
mod syn;
#[cfg(test)]
mod tests;
pub mod timeouts;
mod update;
mod waiting;

pub use schedule::Schedule;
pub use shard::Hint;
pub use shard::Shard;
pub use timeouts::Timeouts;

use crate::model::Addr;
use crate::model::Interest;
use crate::model::Packet;
use crate::model::Peer;
use crate::model::Record;
use crate::model::Segment;
use crate::model::beats::Beat;
use crate::model::fired::FiredRules;

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
}

/// A session that is over, or was pushed out, or stood open when the input ended.
#[derive(Debug)]
pub struct Finished<X> {
    /// Its facts so far; evidence and context are still empty.
    pub record: Record,
    /// What the listener kept with it.
    pub extra: Option<Box<X>>,
    /// What fired while it lasted.
    pub fired: Option<Box<FiredRules>>,
    /// It was ended by its timer, or with the input, in the second that its record names: those of
    /// one second of a shard come in the order of their beginning, then of `tie`. Else by a
    /// packet.
    pub timed: bool,
    /// Orders sessions that began at the same time: [`crate::model::FlowKey::order`].
    pub tie: u64,
}

/// A session that goes on, as it stood at the end of a second of the clock.
#[derive(Debug)]
pub struct Update<'a, X> {
    /// Its facts so far; evidence and context are still empty.
    pub record: Record,
    /// What the listener keeps with it.
    pub extra: Option<&'a X>,
    /// What fired in earlier updates; the listener adds what fires in this one.
    pub fired: &'a mut Option<Box<FiredRules>>,
    /// As in [`Finished`].
    pub tie: u64,
}

/// Bytes that a session holds beside its place in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// What waits for more to come: early segments, messages that are not whole.
    pub waiting: usize,
    /// What stays until its end.
    pub kept: usize,
}

/// What a listener keeps with a session, as far as its bytes are concerned. Asked for with each
/// payload: it must know, not count.
pub trait Weighed {
    /// Bytes it holds, its own box included.
    fn weight(&self) -> Weight;
}

/// The memory of one shard, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The table itself.
    pub sessions: usize,
    /// What sessions keep until their end.
    pub kept: usize,
    /// What waits for more to come.
    pub waiting: usize,
    /// Fragments that wait for the rest of their datagram.
    pub fragments: usize,
}

impl Room {
    /// As much as there is.
    pub const UNBOUNDED: Room =
        Room { sessions: usize::MAX, kept: usize::MAX, waiting: usize::MAX, fragments: usize::MAX };
}

/// Who keeps nothing.
impl Weighed for () {
    fn weight(&self) -> Weight {
        Weight::default()
    }
}

/// Who listens to a shard. `X` is what it keeps with each session.
pub trait Listener<X> {
    /// A session begins with a packet that was in a tunnel, or had more before it than one plain
    /// tag. Gives the outermost VLAN id.
    fn wrapped(&mut self, extra: &mut Option<Box<X>>, arrival: &Arrival<'_>) -> Option<u16> {
        let _ = (extra, arrival);
        None
    }

    /// The first packet of the other side was in a tunnel.
    fn answered_in_tunnel(&mut self, extra: &mut Option<Box<X>>, arrival: &Arrival<'_>) {
        let _ = (extra, arrival);
    }

    /// Whose words these are, where they tell: asked of sessions that were picked up in the middle.
    fn speaker(&self, payload: &[u8]) -> Option<Peer> {
        let _ = payload;
        None
    }

    /// The session's ends had been taken for each other: what was concluded from that is void.
    fn turned(&mut self, extra: &mut Option<Box<X>>) {
        let _ = extra;
    }

    /// Payload arrived.
    fn deliver(&mut self, extra: &mut Option<Box<X>>, segment: &Segment<'_>) -> Interest;

    /// There is no room for what waits: nothing more of the session will be delivered.
    fn let_go(&mut self, extra: &mut Option<Box<X>>) {
        let _ = extra;
    }

    /// A session goes on, and one of the times has come at which that is told.
    fn update(&mut self, update: Update<'_, X>) {
        let _ = update;
    }

    /// A host did something in a second of the clock that is to be seen beside what it did in
    /// sessions of other shards.
    fn beat(&mut self, second: u32, host: Addr, beat: Beat) {
        let _ = (second, host, beat);
    }

    /// A session is over.
    fn finish(&mut self, finished: Finished<X>);

    /// Something is to be counted.
    fn count(&mut self, counter: crate::model::Counter, n: u64);
}
