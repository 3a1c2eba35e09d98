//! One logical part of the session table: all sessions whose key falls into it.
//!
//! Owns: sessions, their index, their timers. In: packets in the order read. Out: deliveries and
//! finished sessions, to its [`Listener`]. Never: holds more than its cap: then whole seconds of
//! the sessions nearest to their time-out are pushed out first, and counted.
//!
//! The number of shards is fixed and a key always falls into the same one, so what is pushed out at
//! the cap does not depend on the number of workers.

use hashbrown::HashTable;

use crate::bounded::Slab;
use crate::bounded::Wheel;
use crate::bounded::wheel::Link;
use crate::bounded::wheel::Links;
use crate::model::Counter;
use crate::model::Packet;
use crate::model::TcpFlags;
use crate::model::Transport;
use crate::session::Arrival;
use crate::session::Listener;
use crate::session::Timeouts;
use crate::session::close;
use crate::session::close::Ending;
use crate::session::handshake::SynVerdict;
use crate::session::state::Session;

/// An entry of the index: the hash stands beside the id, so that growing the index touches no
/// session.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    id: u32,
}

/// Where a session may be found; never trusted without looking.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hint(Option<u32>);

/// One shard of the table.
#[derive(Debug)]
pub struct Shard<X> {
    index: HashTable<Entry>,
    sessions: Slab<Session<X>>,
    wheel: Wheel,
    timeouts: Timeouts,
}

impl<X> Links for Slab<Session<X>> {
    fn link(&mut self, id: u32) -> Option<&mut Link> {
        self.get_mut(id).map(|session| &mut session.link)
    }
}

/// Spreads 32 bits of hash over the 64 that the index wants (it takes its tag from the top seven).
const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl<X> Shard<X> {
    /// An empty shard of at most `cap` sessions.
    pub fn new(cap: usize, timeouts: Timeouts) -> Shard<X> {
        Shard {
            index: HashTable::new(),
            sessions: Slab::new(cap),
            wheel: Wheel::new(timeouts.longest()),
            timeouts,
        }
    }

    /// Sessions alive.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is alive.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Where the packet's session is now, as a hint for [`Shard::touch`]. Asked for a whole batch
    /// at once, so that the look-ups' cache misses overlap.
    #[inline]
    pub fn locate(&self, packet: &Packet) -> Hint {
        Hint(self.find(packet))
    }

    /// Takes one packet into account: the session it belongs to is found or opened and brought up
    /// to date.
    pub fn touch(&mut self, arrival: Arrival<'_>, hint: Hint, listener: &mut impl Listener<X>) {
        let packet = arrival.packet;
        if packet.clock > self.wheel.now() {
            self.expire(packet.clock, listener);
        }
        let good = |id: &u32| self.sessions.get(*id).is_some_and(|s| s.key == packet.key);
        let id = match hint.0.filter(good).or_else(|| self.find(packet)) {
            Some(id) if self.still_open(id, packet) => id,
            Some(id) => {
                self.end(id, Ending::Cut, packet.clock, listener);
                self.open(arrival, listener)
            }
            None => self.open(arrival, listener),
        };
        let Some(session) = self.sessions.get_mut(id) else { return };
        let span = self.timeouts.of(session.class());
        session.observe(arrival, listener);
        // A timer that comes too late would hand the session over behind its time, out of order.
        if self.timeouts.of(session.class()) < span {
            self.rearm(id);
        }
    }

    fn find(&self, packet: &Packet) -> Option<u32> {
        let same = |entry: &Entry| {
            entry.hash == packet.hash
                && self.sessions.get(entry.id).is_some_and(|session| session.key == packet.key)
        };
        self.index.find(spread(packet.hash), same).map(|entry| entry.id)
    }

    /// Whether a packet continues the session with this id: a fresh SYN begins another.
    fn still_open(&self, id: u32, packet: &Packet) -> bool {
        if packet.key.transport != Transport::TCP || !packet.tcp_flags.any(TcpFlags::SYN) {
            return true;
        }
        let verdict = self.sessions.get(id).map(|session| {
            session.handshake.judge_syn(&session.step(packet, session.side(packet)))
        });
        verdict != Some(SynVerdict::New)
    }

    fn open(&mut self, arrival: Arrival<'_>, listener: &mut impl Listener<X>) -> u32 {
        let packet = arrival.packet;
        if self.sessions.is_full() {
            self.push_out(packet.clock, listener);
        }
        let mut session = Session::open(packet, arrival.file, arrival.frame);
        session.touched = packet.clock;
        let due = session.deadline(&self.timeouts);
        // Room was made above; a cap of zero is refused by the configuration.
        let Ok(id) = self.sessions.insert(session) else { return u32::MAX };
        self.wheel.arm(id, due, &mut self.sessions);
        let entry = Entry { hash: packet.hash, id };
        self.index.insert_unique(spread(packet.hash), entry, |entry| spread(entry.hash));
        listener.count(Counter::Sessions, 1);
        id
    }

    fn rearm(&mut self, id: u32) {
        let Some(due) = self.sessions.get(id).map(|s| s.deadline(&self.timeouts)) else { return };
        self.wheel.disarm(id, &mut self.sessions);
        self.wheel.arm(id, due, &mut self.sessions);
    }

    /// Ends every session whose deadline lies before `clock`.
    pub fn expire(&mut self, clock: u32, listener: &mut impl Listener<X>) {
        while let Some(id) = self.wheel.expire(clock, &mut self.sessions) {
            let Some(due) = self.sessions.get(id).map(|s| s.deadline(&self.timeouts)) else {
                continue;
            };
            if due < clock {
                self.remove(id, Ending::Silence, due, listener);
            } else {
                self.wheel.arm(id, due, &mut self.sessions);
            }
        }
    }

    /// The input is over: hands over the sessions that are due before `clock`, still open.
    pub fn drain(&mut self, clock: u32, listener: &mut impl Listener<X>) {
        while let Some(id) = self.wheel.expire(clock, &mut self.sessions) {
            let Some(due) = self.sessions.get(id).map(|s| s.deadline(&self.timeouts)) else {
                continue;
            };
            if due < clock {
                self.remove(id, Ending::Cut, due, listener);
            } else {
                self.wheel.arm(id, due, &mut self.sessions);
            }
        }
    }

    /// Makes room: all sessions of the earliest second in which one is due go.
    fn push_out(&mut self, clock: u32, listener: &mut impl Listener<X>) {
        let before = self.sessions.len();
        while self.sessions.len() == before {
            let Some(second) = self.wheel.next_due() else { return };
            self.push_out_second(second, clock, listener);
        }
        listener.count(Counter::SessionsEvicted, (before - self.sessions.len()) as u64);
    }

    fn push_out_second(&mut self, second: u32, clock: u32, listener: &mut impl Listener<X>) {
        while let Some(id) = self.wheel.peek(second) {
            let due = self.sessions.get(id).map_or(second, |s| s.deadline(&self.timeouts));
            self.wheel.disarm(id, &mut self.sessions);
            if due > second {
                self.wheel.arm(id, due, &mut self.sessions);
            } else {
                self.remove(id, Ending::Cut, clock, listener);
            }
        }
    }

    fn end(&mut self, id: u32, ending: Ending, at: u32, listener: &mut impl Listener<X>) {
        self.wheel.disarm(id, &mut self.sessions);
        self.remove(id, ending, at, listener);
    }

    fn remove(&mut self, id: u32, ending: Ending, at: u32, listener: &mut impl Listener<X>) {
        let Some(session) = self.sessions.remove(id) else { return };
        if let Ok(entry) = self.index.find_entry(spread(session.hash), |entry| entry.id == id) {
            entry.remove();
        }
        listener.finish(close::finish(session, ending, at));
    }
}
