//! State of a long session: its updates, and the observers of each packet.
//!
//! Owns: one block of at most 128 bytes per session, from a pool of the shard. In: every packet of
//! a session in which both sides sent data and that is at least [`LASTS`] seconds old. Out: sums
//! for its record. Never: grows, or looks into payload.

use crate::bounded::Slab;
use crate::model::activity::Activity;
use crate::model::fired::FiredRules;
use crate::model::{Nanos, Packet, Peer, TcpFlags, Transport};
use crate::session::state::{Bits, Session};

/// Seconds of the run's clock after which a session is long.
pub(crate) const LASTS: u32 = 10;

/// The blocks of a shard.
pub(crate) type Pool = Slab<Lasting>;

/// A packet of a long session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    /// Sender.
    pub(crate) from: Peer,
    /// Its time, if believed.
    pub(crate) time: Option<Nanos>,
    /// Bytes of payload on the wire.
    pub(crate) payload: u32,
    /// TCP: whether it advanced its stream; retransmissions and keep-alives do not.
    pub(crate) moves_on: bool,
    /// TCP: its flags.
    #[allow(dead_code, reason = "for observers that tell keystrokes from pictures")]
    pub(crate) flags: TcpFlags,
    /// TCP: sequence and acknowledgement number.
    #[allow(dead_code, reason = "for observers that pair what was sent with what came back")]
    pub(crate) numbers: (u32, u32),
}

/// Observes every packet of long sessions. Its state is in the block: it allocates nothing and
/// costs a few instructions per packet.
pub(crate) trait PacketObserver {
    /// Called for each packet.
    fn see(&mut self, passed: &Passed);

    /// Initiator and responder were confused and are swapped now.
    fn turn(&mut self);
}

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
    pub(crate) activity: ActivityObserver,
}

impl Lasting {
    pub(crate) const fn new(began: u32, session: u32) -> Lasting {
        Lasting { began, session, updates: 0, fired: None, activity: ActivityObserver::NONE }
    }

    /// Passes a packet to all observers.
    pub(crate) fn see(&mut self, passed: &Passed) {
        self.activity.see(passed);
    }

    /// Swaps the sides.
    pub(crate) fn turn(&mut self) {
        self.activity.turn();
    }

    /// Bytes held beside its block.
    pub(crate) fn kept(&self) -> usize {
        self.fired.as_ref().map_or(0, |fired| size_of::<FiredRules>() + fired.heap())
    }
}

/// Counts messages and the seconds in which data passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActivityObserver {
    sums: Activity,
    /// The latest second that counted.
    second: u64,
    /// The side that sent data last.
    from: Option<Peer>,
}

impl ActivityObserver {
    const NONE: ActivityObserver = ActivityObserver {
        sums: Activity { seconds: 0, messages_up: 0, messages_down: 0, last: None },
        second: 0,
        from: None,
    };

    /// The counts, once data passed.
    pub(crate) fn result(&self) -> Option<Activity> {
        self.from.map(|_| self.sums)
    }
}

impl PacketObserver for ActivityObserver {
    fn see(&mut self, passed: &Passed) {
        if passed.payload == 0 || !passed.moves_on {
            return;
        }
        let sums = &mut self.sums;
        if self.from != Some(passed.from) {
            self.from = Some(passed.from);
            let messages = match passed.from {
                Peer::Initiator => &mut sums.messages_up,
                Peer::Responder => &mut sums.messages_down,
            };
            *messages = messages.saturating_add(1);
        }
        let Some(time) = passed.time else { return };
        // Data out of order belong to a second that was counted, or one too far back to tell.
        if time.as_secs() > self.second {
            self.second = time.as_secs();
            sums.seconds = sums.seconds.saturating_add(1);
        }
        sums.last = sums.last.max(Some(time));
    }

    fn turn(&mut self) {
        let sums = &mut self.sums;
        std::mem::swap(&mut sums.messages_up, &mut sums.messages_down);
        self.from = self.from.map(Peer::other);
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

    /// Passes a packet to the observers of long sessions; `expected` is the stream's position
    /// before it.
    pub(crate) fn show(&mut self, (from, expected): (Peer, u32), packet: &Packet, pool: &mut Pool) {
        let Some(lasting) = pool.get_mut(self.since) else { return };
        let tcp = packet.key.transport == Transport::TCP;
        lasting.see(&Passed {
            from,
            time: self.can_time(packet).then_some(packet.time),
            payload: packet.payload_wire(),
            moves_on: !tcp || self.half(from).stream.next() != expected,
            flags: packet.tcp_flags,
            numbers: (packet.seq, packet.ack),
        });
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

    fn passed(from: Peer, ms: u64, payload: u32) -> Passed {
        let time = Some(Nanos(ms * 1_000_000));
        let (flags, numbers) = (TcpFlags(0), (0, 0));
        Passed { from, time, payload, moves_on: true, flags, numbers }
    }

    #[test]
    fn a_block_stays_small() {
        assert!(size_of::<Option<Lasting>>() <= 128, "{}", size_of::<Option<Lasting>>());
    }

    #[test]
    fn consecutive_data_of_one_side_is_a_message() {
        let mut seen = ActivityObserver::NONE;
        assert_eq!(seen.result(), None);
        let (up, down) = (Peer::Initiator, Peer::Responder);
        for (from, ms) in [(up, 1_100), (up, 1_200), (down, 1_300), (up, 5_000), (down, 4_900)] {
            seen.see(&passed(from, ms, 7));
        }
        let repeated = Passed { moves_on: false, ..passed(up, 9_000, 7) };
        let untimed = Passed { time: None, ..passed(up, 0, 7) };
        [repeated, passed(up, 9_500, 0), untimed].iter().for_each(|packet| seen.see(packet));
        let last = Some(Nanos(5_000_000_000));
        let sums = Activity { seconds: 2, messages_up: 3, messages_down: 2, last };
        assert_eq!(seen.result(), Some(sums));
        seen.turn();
        seen.see(&passed(down, 6_000, 1));
        let turned = seen.result().unwrap();
        assert_eq!((turned.messages_up, turned.messages_down, turned.seconds), (2, 3, 3));
    }
}
