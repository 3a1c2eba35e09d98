//! State of a long session: its updates, and the observers of each packet.
//!
//! Owns: one block of at most 704 bytes per session, from a pool of the shard. In: every packet
//! with new payload of a session in which both sides sent data and that is at least [`LASTS`]
//! seconds old. Out: sums for its record. Never: grows, or keeps payload.

mod activity;
mod bulk;
mod checks;
mod echo;
mod interaction;
pub(crate) mod messages;
mod pool;
mod replies;
mod stalls;

pub(crate) use pool::Pool;

use crate::bounded::Slab;
use crate::model::fired::FiredRules;
use crate::model::interaction::{Interaction, Reply};
use crate::model::{Addr, Nanos, Peer, Record, TcpFlags, Transport};
use crate::session::lasting::activity::ActivityObserver;
use crate::session::lasting::bulk::Bulk;
use crate::session::lasting::checks::ChecksObserver;
use crate::session::lasting::echo::EchoObserver;
use crate::session::lasting::interaction::InteractionObserver;
use crate::session::lasting::messages::{INPUT_MAX, MessageObserver, Sighting};
use crate::session::lasting::replies::Replies;
use crate::session::lasting::stalls::StallObserver;
use crate::session::state::{Bits, Session};
use crate::session::{Arrival, Listener};
use crate::wire::multiplexed::Content;

/// Seconds of the run's clock after which a session is long.
pub(crate) const LASTS: u32 = 10;

/// A packet of a long session with payload that was not seen before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed<'a> {
    /// Sender.
    pub(crate) from: Peer,
    /// Its time, if believed.
    pub(crate) time: Option<Nanos>,
    /// It is a segment of TCP.
    pub(crate) tcp: bool,
    /// Bytes of payload on the wire.
    pub(crate) payload: u32,
    /// Those of them that were captured.
    pub(crate) bytes: &'a [u8],
    /// TCP: its flags.
    pub(crate) flags: TcpFlags,
    /// Packets of the responder so far, with this one if it is the responder's.
    pub(crate) answers: u32,
}

/// Observes long sessions. Its state is in the block: it allocates nothing and costs a few
/// instructions per packet.
pub(crate) trait PacketObserver {
    /// Called for each packet with new payload, whose start tells its content.
    fn see(&mut self, passed: &Passed<'_>, content: &Content<'_>);

    /// Called instead for segments that were added up.
    fn add(&mut self, bulk: &Bulk);

    /// Initiator and responder were confused and are swapped now.
    fn turn(&mut self);
}

/// Where the replies of the other end are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Measured {
    /// Nowhere yet.
    Not,
    /// In this block of the pool.
    In(u32),
    /// Another session has the block now: this is what it said.
    Until(Option<Reply>),
}

/// Small messages of the other end after which its replies may be measured; tried again at each
/// power of two.
const REPLIES_FROM: u32 = 16;

/// A long session.
#[derive(Debug)]
pub(crate) struct Lasting {
    /// The second of the run's clock in which it started.
    pub(crate) began: u32,
    /// Its session in the shard's table.
    pub(crate) session: u32,
    /// Updates so far.
    pub(crate) updates: u32,
    /// The rules that fired in them.
    pub(crate) fired: Option<Box<FiredRules>>,
    pub(crate) bulk: Bulk,
    pub(crate) activity: ActivityObserver,
    pub(crate) interaction: InteractionObserver,
    pub(crate) messages: MessageObserver,
    pub(crate) checks: ChecksObserver,
    pub(crate) echo: EchoObserver,
    pub(crate) stalls: StallObserver,
    pub(crate) replies: Measured,
}

impl Lasting {
    pub(crate) const fn new(began: u32, session: u32) -> Lasting {
        Lasting {
            began,
            session,
            updates: 0,
            fired: None,
            bulk: Bulk::NONE,
            activity: ActivityObserver::NONE,
            interaction: InteractionObserver::NONE,
            messages: MessageObserver::NONE,
            checks: ChecksObserver::NONE,
            echo: EchoObserver::NONE,
            stalls: StallObserver::NONE,
            replies: Measured::Not,
        }
    }

    /// Passes a packet to all observers, in a second of the run's clock. Returns what is to be
    /// reported of it.
    fn see(&mut self, passed: &Passed<'_>, clock: u32) -> Option<Sighting> {
        self.settle();
        let content = Content::of(passed.bytes, passed.payload);
        self.activity.see(passed, &content);
        self.interaction.see(passed, &content);
        self.checks.see(passed, &content);
        self.echo.see(passed, &content);
        self.stalls.see(passed, &content);
        self.bulk.follow(passed, self.interaction.longest(passed.from), clock);
        self.messages.see(passed, &content, clock)
    }

    /// Shows a packet to the block in which replies are measured.
    fn measure(&self, passed: &Passed<'_>, all: &mut Slab<Replies>) {
        let (Measured::In(block), Some(time)) = (self.replies, passed.time) else { return };
        let (Some(replies), Some(remote)) = (all.get_mut(block), self.messages.remote()) else {
            return;
        };
        if passed.from == remote {
            if passed.payload <= INPUT_MAX {
                replies.came(time, passed.payload as u16);
            }
        } else if InteractionObserver::ends(passed, self.interaction.longest(passed.from)) {
            replies.sent(time);
        }
    }

    /// Whether its replies should be measured from now on: the other end sends small messages, and
    /// less than ours.
    fn wants_replies(&self, passed: &Passed<'_>) -> bool {
        let (Measured::Not, Some(remote)) = (self.replies, self.messages.remote()) else {
            return false;
        };
        passed.from == remote
            && passed.payload <= INPUT_MAX
            && self.interaction.is_shown_to(remote, REPLIES_FROM)
    }

    /// Gives the observers what was added up.
    #[inline]
    pub(super) fn settle(&mut self) {
        if let Some(bulk) = self.bulk.take() {
            self.activity.add(&bulk);
            self.interaction.add(&bulk);
            self.messages.add(&bulk);
            self.echo.add(&bulk);
        }
    }

    /// Swaps the sides.
    pub(crate) fn turn(&mut self) {
        self.settle();
        self.activity.turn();
        self.interaction.turn();
        self.messages.turn();
        self.checks.turn();
        self.echo.turn();
        self.stalls.turn();
    }

    /// Adds what the observers saw, and the replies.
    pub(crate) fn tell(&mut self, reply: Option<Reply>, record: &mut Record) {
        self.settle();
        record.activity = self.activity.result();
        let (checks, echo) = (self.checks.result(), self.echo.result());
        let stalls = self.stalls.result();
        record.interaction = self.interaction.result().map(|sums| {
            Box::new(Interaction { checks, echo, reply, stalls, ..Interaction::new(sums) })
        });
    }

    /// What its replies said until they were given up, or it was removed.
    pub(crate) const fn reply(&self) -> Option<Reply> {
        match self.replies {
            Measured::Until(reply) => reply,
            _ => None,
        }
    }

    /// Bytes held beside its block.
    pub(crate) fn kept(&self) -> usize {
        self.fired.as_ref().map_or(0, |fired| size_of::<FiredRules>() + fired.heap())
    }
}

impl<X> Session<X> {
    /// The second of the run's clock in which it started.
    pub(crate) fn began(&self, pool: &Pool) -> u32 {
        if !self.bits.has(Bits::LONG) {
            return self.since;
        }
        pool.get(self.since).map_or(self.touched, |lasting| lasting.began)
    }

    /// Passes a packet with payload to the observers of long sessions; `expected` is the stream's
    /// position before it.
    #[inline]
    pub(crate) fn show(
        &mut self,
        (from, expected): (Peer, u32),
        arrival: Arrival<'_>,
        pool: &mut Pool,
        listener: &mut impl Listener<X>,
    ) {
        let packet = arrival.packet;
        // Retransmissions and keep-alives do not advance their stream.
        let tcp = packet.key.transport == Transport::TCP;
        if tcp && self.half(from).stream.next() == expected {
            return;
        }
        let Some(lasting) = pool.get_mut(self.since) else { return };
        if !lasting.bulk.add(from, packet, arrival.start()) {
            self.show_apart(from, arrival, pool, listener);
        }
    }

    #[inline(never)]
    fn show_apart(
        &self,
        from: Peer,
        arrival: Arrival<'_>,
        pool: &mut Pool,
        listener: &mut impl Listener<X>,
    ) {
        let packet = arrival.packet;
        let Some((lasting, replies)) = pool.with_replies(self.since) else { return };
        let passed = Passed {
            from,
            time: self.can_time(packet).then_some(packet.time),
            tcp: packet.key.transport == Transport::TCP,
            payload: packet.payload_wire(),
            bytes: arrival.payload(),
            flags: packet.tcp_flags,
            answers: self.responder.packets,
        };
        if let Some(seen) = lasting.see(&passed, packet.clock) {
            let ends = (self.ends(), self.responder_port(), self.is_confirmed());
            let beats = lasting.messages.beats(seen, ends, (packet.clock, &passed));
            beats.for_each(|beat| listener.beat(beat));
        }
        lasting.measure(&passed, replies);
        if lasting.wants_replies(&passed) {
            pool.begin_replies(self.since);
        }
    }

    /// Initiator and responder.
    pub(crate) const fn ends(&self) -> [Addr; 2] {
        let (a, b) = (self.key.a, self.key.b);
        if self.bits.has(Bits::INITIATOR_B) { [b, a] } else { [a, b] }
    }

    const fn responder_port(&self) -> u16 {
        if self.bits.has(Bits::INITIATOR_B) { self.key.a_port } else { self.key.b_port }
    }

    /// Swaps the sides for the observers as well.
    pub(crate) fn turn_lasting(&self, pool: &mut Pool) {
        if self.bits.has(Bits::LONG)
            && let Some(lasting) = pool.get_mut(self.since)
        {
            lasting.turn();
        }
    }

    /// Records that a side sent data.
    pub(crate) const fn note_data(&mut self, side: Peer) {
        self.bits.set(match side {
            Peer::Initiator => Bits::DATA_INITIATOR,
            Peer::Responder => Bits::DATA_RESPONDER,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_stays_small() {
        assert!(size_of::<Option<Lasting>>() <= 704, "{}", size_of::<Option<Lasting>>());
    }
}
