//! One logical part of the session table: all sessions whose key maps to it.
//!
//! Owns: sessions, their index, their timers, their fragmented datagrams. In: packets in the order
//! read. Out: deliveries and finished sessions, to its [`Listener`]. Never: holds more than its
//! cap: at the cap the sessions nearest to their timeout are evicted first, and counted.
//!
//! The number of shards is fixed and a key always maps to the same one, so evictions at the cap do
//! not depend on the number of workers.

mod ends;
mod updates;

use hashbrown::HashTable;

use crate::bounded::{Slab, Wheel};
use crate::model::{Counter, Nanos, Packet, PacketFlags, TcpFlags, Transport};
use crate::session::close::{self, End, Ending};
use crate::session::fragments::Fragments;
use crate::session::handshake::SynVerdict;
use crate::session::lasting::Pool;
use crate::session::plain::News;
use crate::session::shard::updates::Updates;
use crate::session::state::{Bits, Session, Shared};
use crate::session::waiting::Holdings;
use crate::session::{Arrival, Listener, Room, Schedule, Timeouts, Weighed, Weight};

/// An entry of the index: it includes the hash, so that growing the index touches no session.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    id: u32,
}

/// Bytes of a slot in the table, at least: a session, two entries of an index that is half full,
/// four timers and two more, a quarter of a block of round trips, an eighth of a block for long
/// sessions and a 128th of one for replies; each list may have twice its content allocated.
const PLACE_BYTES: usize = 480;

/// Average timers per session in the wheel before stale ones are removed, and a number that is
/// always allowed.
const TIMERS_PER_SESSION: usize = 4;
const TIMERS_FREE: usize = 4_096;

/// A guess at a session's slot; always verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint(Option<u32>);

/// One shard of the table.
#[derive(Debug)]
pub struct Shard<X> {
    index: HashTable<Entry>,
    sessions: Slab<Session<X>>,
    wheel: Wheel,
    updates: Updates,
    shared: Shared,
    timeouts: Timeouts,
    /// The shortest timeout of any session.
    shortest: u32,
    /// Start, tie and id of the sessions that are due.
    due: Vec<(Nanos, u64, u32)>,
    /// Those that held most when last ranked, the heaviest last. They may have ended since, and
    /// others may use their slots.
    heavy: Vec<u32>,
}

/// How many of this many sessions may have their round trips timed: sessions with data in both
/// directions are far fewer than a table full of scans, and each needs another 200 bytes.
const fn timed(sessions: usize) -> usize {
    sessions.div_ceil(4)
}

/// How many of this many sessions may be long: a full table has far fewer that exchange data for
/// seconds.
const fn lasting(sessions: usize) -> usize {
    sessions.div_ceil(8)
}

/// Spreads 32 bits of hash over the 64 that the index needs (it uses the top seven as tag).
const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl<X: Weighed> Shard<X> {
    /// An empty shard of at most `cap` sessions, with no limit on bytes.
    pub fn new(cap: usize, timeouts: Timeouts) -> Shard<X> {
        Shard::within(cap, Room::UNBOUNDED, timeouts)
    }

    /// An empty shard of at most `cap` sessions and this much memory.
    pub fn within(cap: usize, room: Room, timeouts: Timeouts) -> Shard<X> {
        let cap = cap.min(room.sessions / PLACE_BYTES).max(1);
        Shard {
            index: HashTable::new(),
            sessions: Slab::new(cap),
            wheel: Wheel::new(timeouts.longest()),
            updates: Updates::new(Schedule::default()),
            shared: Shared {
                fragments: Fragments::new(room.fragments),
                trips: Slab::new(timed(cap)),
                timed: true,
                lasting: Pool::new(lasting(cap)),
                holdings: Holdings::new(room.waiting, room.kept),
            },
            timeouts,
            shortest: timeouts.shortest(),
            due: Vec::new(),
            heavy: Vec::new(),
        }
    }

    /// The same, with round trips of handshakes only.
    pub fn without_round_trips(mut self) -> Shard<X> {
        self.shared.timed = false;
        self
    }

    /// The same, with updates of long sessions at these times after their start.
    pub fn with_updates(mut self, schedule: &Schedule) -> Shard<X> {
        self.updates = Updates::new(schedule.clone());
        self
    }

    /// Open sessions.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Sessions that may be open at once.
    pub const fn cap(&self) -> usize {
        self.sessions.cap()
    }

    /// Bytes of facts, and bytes that wait to be reassembled.
    pub const fn held(&self) -> (usize, usize) {
        (self.shared.holdings.kept.held(), self.shared.holdings.waiting.held())
    }

    /// Timers in the wheel, including stale ones.
    #[cfg(test)]
    pub(super) fn timers(&self) -> usize {
        self.wheel.armed()
    }

    /// Bytes that its sessions keep.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.shared.holdings.kept.held()
    }

    /// Where the packet's session probably is: the first entry of the index with its hash. Called
    /// for a whole batch at once, so that the cache misses overlap.
    #[inline]
    pub fn locate(&self, packet: &Packet) -> Hint {
        let entry = self.index.find(spread(packet.hash), |entry| entry.hash == packet.hash);
        Hint(entry.map(|entry| entry.id))
    }

    /// Prefetches the cache lines of a session that the packet will touch. The result has no
    /// meaning.
    #[inline]
    pub fn warm(&self, hint: Hint, packet: &Packet) -> u64 {
        let Some(session) = hint.0.and_then(|id| self.sessions.get(id)) else { return 0 };
        let always = u64::from(session.touched) ^ session.initiator.bytes;
        // Handshake packets carry no payload.
        let handshake = if packet.payload_len == 0 { session.handshake.warm() } else { 0 };
        always ^ handshake
    }

    /// Processes one packet: finds or creates its session and updates it.
    #[inline(always)]
    pub fn touch(&mut self, arrival: Arrival<'_>, hint: Hint, listener: &mut impl Listener<X>) {
        let packet = arrival.packet;
        let Some(id) = hint.0 else { return self.touch_apart(arrival, hint, listener) };
        let Some(session) = self.sessions.get_mut(id).filter(|s| s.goes_on_with(packet)) else {
            return self.touch_apart(arrival, hint, listener);
        };
        let news = session.take(arrival, &mut self.shared, listener);
        if news.any() || self.shared.fragments.has_given_up() {
            self.follow_up((id, packet.clock), news, listener);
        }
    }

    /// The same for a packet that does not simply go on with the session of its hint.
    #[inline(never)]
    fn touch_apart(&mut self, arrival: Arrival<'_>, hint: Hint, listener: &mut impl Listener<X>) {
        let Some(id) = self.admit(arrival, hint, listener) else { return };
        let Some(session) = self.sessions.get_mut(id) else { return };
        let news = session.take(arrival, &mut self.shared, listener);
        if news.any() || self.shared.fragments.has_given_up() {
            self.follow_up((id, arrival.packet.clock), news, listener);
        }
    }

    /// Where such a packet belongs: its session is ended first if it was due
    /// or the packet begins another, and is created if there is none. `None`: it is a duplicate.
    #[inline]
    fn admit(
        &mut self,
        arrival: Arrival<'_>,
        hint: Hint,
        listener: &mut impl Listener<X>,
    ) -> Option<u32> {
        let packet = arrival.packet;
        if self.wheel.armed() == 0 {
            self.wheel.expire(packet.clock);
        }
        let good = |id: &u32| self.sessions.get(*id).is_some_and(|s| s.key == packet.key);
        let mut found = hint.0.filter(good).or_else(|| self.find(packet));
        if let Some(id) = found
            && self.begins_second(id, packet.clock)
            && !self.enter_second(id, packet.clock, listener)
        {
            found = None;
        }
        if packet.flags.has(PacketFlags::DUPLICATE) {
            self.count_copy(found);
            return None;
        }
        Some(match found {
            Some(id) if self.still_open(id, packet) => id,
            Some(id) => self.follow(id, arrival, listener),
            None => self.open(arrival, listener),
        })
    }

    /// Does what follows from a packet for others than its session: the bytes that it holds, its
    /// timers, datagrams that were given up.
    #[inline(never)]
    fn follow_up(&mut self, (id, clock): (u32, u32), news: News, listener: &mut impl Listener<X>) {
        if news.weighed.is_some_and(|before| self.weigh(id, before)) {
            self.make_room(id, clock, listener);
        }
        if news.rearms {
            self.rearm(id);
        }
        if news.lists {
            self.list(id, clock);
        }
        if self.shared.fragments.has_given_up() {
            self.read_beginnings(listener);
        }
    }

    /// Reads the start of fragmented datagrams that were given up.
    #[cold]
    fn read_beginnings(&mut self, listener: &mut impl Listener<X>) {
        for datagram in self.shared.fragments.take_given_up() {
            let id = self.find(&datagram.first);
            let Some((id, session)) = id.and_then(|id| Some((id, self.sessions.get_mut(id)?)))
            else {
                continue;
            };
            let before = session.weight();
            session.read_beginning(&datagram, listener);
            self.weigh(id, before);
        }
    }

    /// Charges the change in a session's bytes. Returns whether too much is held.
    fn weigh(&mut self, id: u32, before: Weight) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        let now = session.weight();
        if now == before {
            return false;
        }
        let holdings = &mut self.shared.holdings;
        holdings.change(id, before, now);
        holdings.waiting.is_over() || holdings.kept.is_over() || holdings.is_untidy()
    }

    /// Too much is held: the session that has waited longest is no longer parsed; of what is kept,
    /// the heaviest sessions are evicted, so that a sender of many heavy sessions cannot evict
    /// light ones. If no other session is heavy, the one that needs more is no longer parsed.
    #[cold]
    fn make_room(&mut self, id: u32, clock: u32, listener: &mut impl Listener<X>) {
        if self.shared.holdings.is_untidy() {
            let waits = |id| self.sessions.get(id).is_some_and(|s| s.weight().waiting > 0);
            self.shared.holdings.tidy(waits);
        }
        while self.shared.holdings.waiting.is_over() {
            let Some(first) = self.shared.holdings.first() else { break };
            if self.stop_listening(first, |weight| weight.waiting > 0, listener) {
                listener.count(Counter::WaitingDropped, 1);
            }
        }
        self.evict_large(id, clock, listener);
        if self.shared.holdings.kept.is_over() && self.stop_listening(id, |_| true, listener) {
            listener.count(Counter::EvidenceCut, 1);
        }
    }

    /// Stops parsing a session that holds as much as `asked`; returns whether it was one.
    fn stop_listening(
        &mut self,
        id: u32,
        asked: impl FnOnce(Weight) -> bool,
        listener: &mut impl Listener<X>,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(id) else { return false };
        let before = session.weight();
        if !asked(before) {
            return false;
        }
        session.stop_listening(listener);
        self.weigh(id, before);
        true
    }

    /// Ends a session whose five-tuple a new one uses. If both start at the same time, the new one
    /// records it, because nothing else distinguishes their identities.
    fn follow(&mut self, id: u32, arrival: Arrival<'_>, listener: &mut impl Listener<X>) -> u32 {
        let packet = arrival.packet;
        let same_time = self.sessions.get(id).filter(|session| session.start == packet.time);
        let twin = same_time.map_or(0, |session| session.twin.saturating_add(1));
        let syn_ack = self.sessions.get(id).and_then(|session| session.reopened(packet));
        let end = End { ending: Ending::Cut, at: packet.clock, timed: false };
        self.remove(id, end, listener);
        let id = self.open(arrival, listener);
        if let Some(session) = self.sessions.get_mut(id) {
            session.twin = twin;
            if let Some(syn_ack) = syn_ack {
                session.resume(packet, syn_ack);
            }
        }
        id
    }

    /// Counts a duplicate; if its session has ended, it counts in the run's total only.
    #[cold]
    fn count_copy(&mut self, id: Option<u32>) {
        if let Some(session) = id.and_then(|id| self.sessions.get_mut(id)) {
            session.duplicates = session.duplicates.saturating_add(1);
        }
    }

    fn find(&self, packet: &Packet) -> Option<u32> {
        let same = |entry: &Entry| {
            entry.hash == packet.hash
                && self.sessions.get(entry.id).is_some_and(|session| session.key == packet.key)
        };
        self.index.find(spread(packet.hash), same).map(|entry| entry.id)
    }

    /// Whether a packet continues the session with this id: a new SYN begins another. But anybody
    /// can forge a SYN and its answer: an active session continues until the initiator acknowledges
    /// both.
    fn still_open(&self, id: u32, packet: &Packet) -> bool {
        if packet.key.transport != Transport::TCP {
            return true;
        }
        let syn = packet.tcp_flags.any(TcpFlags::SYN);
        self.sessions.get(id).is_none_or(|session| {
            if session.bits.has(Bits::REOPENS) && session.reopened(packet).is_some() {
                return false;
            }
            let step = || session.step(packet, session.side(packet));
            !(syn
                && session.handshake.judge_syn(&step()) == SynVerdict::New
                && !session.is_under_way(packet.clock))
        })
    }

    fn open(&mut self, arrival: Arrival<'_>, listener: &mut impl Listener<X>) -> u32 {
        let packet = arrival.packet;
        if self.sessions.is_full() {
            self.evict(packet.clock, listener);
        }
        let mut session = Session::open(packet, arrival.file, arrival.frame);
        session.touched = packet.clock;
        let wrapped = packet.flags.0 & (PacketFlags::TUNNELLED | PacketFlags::TAGGED) != 0;
        if wrapped
            && !session.bits.has(Bits::VLAN)
            && let Some(vlan) = listener.wrapped(&mut session.extra, &arrival)
        {
            session.bits.set(Bits::VLAN);
            session.vlan = vlan;
        }
        let due = session.deadline(&self.timeouts);
        // Room was made above; the configuration refuses a cap of zero.
        let weight = session.weight();
        let Ok(id) = self.sessions.insert(session) else { return u32::MAX };
        self.shared.holdings.change(id, Weight::default(), weight);
        self.arm(id, due);
        let entry = Entry { hash: packet.hash, id };
        self.index.insert_unique(spread(packet.hash), entry, |entry| spread(entry.hash));
        listener.count(Counter::Sessions, 1);
        id
    }

    fn rearm(&mut self, id: u32) {
        if let Some(due) = self.due(id) {
            self.arm(id, due);
        }
    }

    fn arm(&mut self, id: u32, due: u32) {
        let second = self.wheel.arm(id, due);
        if let Some(session) = self.sessions.get_mut(id) {
            session.armed = second;
        }
        if self.wheel.armed() > TIMERS_PER_SESSION * self.sessions.len() + TIMERS_FREE {
            self.rebuild_wheel();
        }
    }

    /// Too many timers of ended sessions, or stale ones: keeps only valid timers.
    fn rebuild_wheel(&mut self) {
        self.wheel.clear();
        for (id, session) in self.sessions.iter() {
            self.wheel.arm(id, session.armed);
        }
    }

    /// When a session is due whose timer came up in this second; `None` if the timer is stale: the
    /// session has ended or was armed again since.
    fn due_in(&self, id: u32, second: u32) -> Option<u32> {
        let session = self.sessions.get(id).filter(|session| session.armed == second)?;
        Some(session.deadline(&self.timeouts))
    }

    fn due(&self, id: u32) -> Option<u32> {
        self.sessions.get(id).map(|session| session.deadline(&self.timeouts))
    }

    /// When a session was due, if before `clock`: no timer has come up since.
    fn overdue(&self, id: u32, clock: u32) -> Option<u32> {
        let session = self.sessions.get(id)?;
        if clock.saturating_sub(session.touched) <= self.shortest {
            return None;
        }
        Some(session.deadline(&self.timeouts)).filter(|due| *due < clock)
    }

    fn remove(&mut self, id: u32, end: End, listener: &mut impl Listener<X>) {
        if !self.shared.fragments.is_empty()
            && let Some(key) = self.sessions.get(id).map(|session| session.key)
        {
            self.shared.fragments.close_session(&key, listener);
            self.read_beginnings(listener);
        }
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Ok(entry) = self.index.find_entry(spread(session.hash), |entry| entry.id == id) {
            entry.remove();
        }
        self.shared.holdings.change(id, session.weight(), Weight::default());
        session.count_end(listener);
        let (timed, long) = (session.trips, session.bits.has(Bits::LONG).then_some(session.since));
        let trips = self.shared.trips.get(timed);
        let lasting = long.and_then(|block| self.shared.lasting.remove(block));
        let kept = lasting.as_ref().map_or(0, |lasting| lasting.kept());
        self.shared.holdings.kept.change(kept, 0);
        listener.finish(close::finish(session, trips, lasting, end));
        self.shared.trips.discard(timed);
        self.sessions.discard(id);
    }
}
