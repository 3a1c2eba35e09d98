//! Updates of long sessions: which sessions, and when.
//!
//! Owns: their second timer, at the times of a [`Schedule`] after their start. In: the clock, and
//! the packets of a session. Out: updates, to the listener. Never: ends a session.
//!
//! An update shows a session as it was at the end of a second of the run's clock. Watermarks come
//! later than that, so a packet of a later second first makes the update that is due; if no packet
//! comes, the timer does. The result is the same.
//!
//! Policy at the cap of long sessions: those that have exchanged the least data make room for one
//! that has exchanged more, except those on which a rule has fired. The data of a session are
//! those of the side that sent less: who sends much to somebody that hardly answers gains nothing.
//! So whoever wants to keep a session from being watched has to hold as many others open as there
//! is room for, and to exchange more in each of them, both ways.

use std::cmp::Reverse;

use crate::bounded::Wheel;
use crate::model::Counter;
use crate::session::close::{self, End, Ending};
use crate::session::lasting::messages::MessageObserver;
use crate::session::lasting::{LASTS, Lasting};
use crate::session::schedule::Schedule;
use crate::session::shard::{Shard, TIMERS_FREE, TIMERS_PER_SESSION};
use crate::session::state::{Bits, Session};
use crate::session::timeouts::Class;
use crate::session::{Listener, Update, Weighed, Weight};

/// At the cap of long sessions at most one in so many goes at once.
const ROOM: usize = 8;

/// Seconds that a wheel covers beyond the longest time between two updates: watermarks may come
/// late.
const SLACK: u32 = 64;

/// The update timers of a shard.
#[derive(Debug)]
pub(super) struct Updates {
    schedule: Schedule,
    /// Separate from the timers that end sessions, because those rank evictions.
    wheel: Wheel,
    /// When long sessions were last ranked, and the least data that one of them had then.
    ranked: (u32, u64),
}

impl Updates {
    pub(super) fn new(schedule: Schedule) -> Updates {
        let span = if schedule.is_empty() { 0 } else { schedule.span() + SLACK };
        Updates { wheel: Wheel::new(span), schedule, ranked: (0, 0) }
    }

    /// The earliest second in which one may be due.
    pub(super) fn next_due(&mut self) -> Option<u32> {
        self.wheel.next_due()
    }

    /// No more updates.
    pub(super) fn close(&mut self) {
        self.wheel.clear();
    }
}

impl<X: Weighed> Shard<X> {
    /// Whether the packet is the first of its session in a second of the clock.
    #[inline(always)]
    pub(super) fn begins_second(&self, id: u32, clock: u32) -> bool {
        self.sessions.get(id).is_some_and(|session| clock > session.touched)
    }

    /// A session's first packet in a second: first makes an update that is due. Returns whether the
    /// session is still there.
    pub(super) fn enter_second(
        &mut self,
        id: u32,
        clock: u32,
        listener: &mut impl Listener<X>,
    ) -> bool {
        let due = self.overdue(id, clock);
        let Some(session) = self.sessions.get(id) else { return false };
        if session.bits.has(Bits::LISTED) && !self.updates.schedule.is_empty() {
            let began = session.began(&self.shared.lasting);
            let at = self.updates.schedule.at_or_after(session.touched.saturating_sub(began));
            let at = began.saturating_add(at);
            if at < due.unwrap_or(clock) && at >= self.updates.wheel.now() {
                self.make_update(id, at, listener);
            }
        }
        if let Some(at) = due {
            let end = End { ending: Ending::Silence, at, timed: true };
            self.remove(id, end, listener);
            return false;
        }
        let Some(session) = self.sessions.get(id) else { return false };
        let (bits, new) = (session.bits, !session.bits.any(Bits::LONG | Bits::REFUSED));
        if new && bits.has(Bits::DATA) && clock.saturating_sub(session.since) >= LASTS {
            self.watch(id, clock, listener);
        }
        true
    }

    /// Makes the update of every session whose time came before `clock`; those of one second in the
    /// order in which it would end them.
    pub fn make_updates(&mut self, clock: u32, listener: &mut impl Listener<X>) {
        while let Some((second, ids)) = self.updates.wheel.expire(clock) {
            let mut due: Vec<_> = ids.iter().filter_map(|id| self.place(*id)).collect();
            self.updates.wheel.give_back(ids);
            due.sort_unstable();
            // Ids are reused: one may be here twice.
            due.dedup();
            for (_, _, id) in due {
                let Some(session) = self.sessions.get(id) else { continue };
                if !session.bits.has(Bits::LISTED) {
                    continue;
                }
                let began = session.began(&self.shared.lasting);
                let seconds = second.saturating_sub(began);
                if self.updates.schedule.has(seconds) && session.touched <= second {
                    self.make_update(id, second, listener);
                }
                self.updates.wheel.arm(id, began + self.updates.schedule.after(seconds));
            }
        }
    }

    /// From its first data on, a session has an update timer.
    #[cold]
    pub(super) fn list(&mut self, id: u32, clock: u32) {
        let updates = &mut self.updates;
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.bits.set(Bits::LISTED);
        if updates.schedule.is_empty() {
            return;
        }
        if updates.wheel.armed() == 0 {
            updates.wheel.expire(clock);
        }
        let began = session.began(&self.shared.lasting);
        let next = updates.schedule.at_or_after(clock.saturating_sub(began));
        updates.wheel.arm(id, began.saturating_add(next));
        if updates.wheel.armed() > TIMERS_PER_SESSION * self.sessions.len() + TIMERS_FREE {
            self.rebuild_updates();
        }
    }

    /// Too many timers of ended sessions.
    fn rebuild_updates(&mut self) {
        let updates = &mut self.updates;
        let now = updates.wheel.now();
        updates.wheel.clear();
        for (id, session) in self.sessions.iter().filter(|(_, s)| s.bits.has(Bits::LISTED)) {
            let began = session.began(&self.shared.lasting);
            let next = updates.schedule.at_or_after(now.saturating_sub(began));
            updates.wheel.arm(id, began.saturating_add(next));
        }
    }

    /// Makes the update of a session as it was at the end of a second, if there is anything new.
    fn make_update(&mut self, id: u32, at: u32, listener: &mut impl Listener<X>) {
        let Some(session) = self.sessions.get(id) else { return };
        let began = session.began(&self.shared.lasting);
        let before = self.updates.schedule.before(at.saturating_sub(began));
        let is_new = before == 0 || session.touched > began.saturating_add(before);
        let ends = session.deadline(&self.timeouts) <= at;
        if !is_new || ends || !session.lasts(began) || !self.watch(id, at, listener) {
            return;
        }
        let Some(session) = self.sessions.get_mut(id) else { return };
        let reply = self.shared.lasting.reply(session.since);
        let Some(lasting) = self.shared.lasting.get_mut(session.since) else { return };
        // From here on others know its identity.
        session.bits.set(Bits::UPDATED | Bits::ROLES_SETTLED);
        lasting.updates = lasting.updates.saturating_add(1);
        let end = End { ending: Ending::Cut, at, timed: true };
        let trips = self.shared.trips.get(session.trips);
        let kept = lasting.kept();
        let mut record = close::record(session, trips, end);
        lasting.tell(reply, &mut record);
        record.update = Some(lasting.updates);
        let (extra, tie) = (session.extra.as_deref(), session.key.order());
        listener.update(Update { record, extra, fired: &mut lasting.fired, tie });
        let (before, now) = (kept, lasting.kept());
        let weigh = |kept| Weight { waiting: 0, kept };
        self.shared.holdings.change(id, weigh(before), weigh(now));
    }

    /// Gives a session a block for long sessions. Returns whether it has one. One that finds no
    /// room is tried again at its next update.
    fn watch(&mut self, id: u32, clock: u32, listener: &mut impl Listener<X>) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        if session.bits.has(Bits::LONG) {
            return true;
        }
        if self.shared.lasting.is_full() {
            self.rank_lasting(session.exchanged(), clock, listener);
        }
        let Some(session) = self.sessions.get_mut(id) else { return false };
        let mut lasting = Lasting::new(session.since, id);
        let home = session.ends().map(|end| listener.is_home(end));
        lasting.messages = MessageObserver::between(home, session.key.transport);
        if session.bits.has(Bits::UPDATED) {
            // It had a block before: the number of an update never comes twice.
            let before = self.updates.schedule.count_before(clock.saturating_sub(session.since));
            lasting.updates = before;
        }
        match self.shared.lasting.insert(lasting) {
            Some(block) => {
                session.bits.set(Bits::LONG);
                session.since = block;
                true
            }
            None => {
                session.refuse(listener);
                false
            }
        }
    }

    /// Makes room for a session that has exchanged so much: of the eighth with the least, those go
    /// that have exchanged less.
    #[cold]
    fn rank_lasting(&mut self, exchanged: u64, clock: u32, listener: &mut impl Listener<X>) {
        let (at, least) = self.updates.ranked;
        // At most once a second, whoever asks.
        if exchanged <= least || at == clock {
            return;
        }
        let pool = &self.shared.lasting;
        let mut ranks: Vec<_> = pool
            .iter()
            .filter(|(_, lasting)| lasting.fired.is_none())
            .filter_map(|(block, lasting)| {
                let data = self.sessions.get(lasting.session)?.exchanged();
                Some((data, Reverse(lasting.began), lasting.session, block))
            })
            .collect();
        ranks.sort_unstable();
        let goes = pool.len().div_ceil(ROOM);
        self.updates.ranked = (clock, ranks.get(goes).map_or(0, |(data, ..)| *data));
        let less = ranks.into_iter().take(goes).take_while(|(data, ..)| *data < exchanged);
        for (_, _, id, block) in less {
            let lasting = self.shared.lasting.remove(block);
            let (Some(lasting), Some(session)) = (lasting, self.sessions.get_mut(id)) else {
                continue;
            };
            session.bits.clear(Bits::LONG);
            session.since = lasting.began;
            session.refuse(listener);
        }
    }
}

impl<X> Session<X> {
    /// Bytes of the side that sent less.
    fn exchanged(&self) -> u64 {
        self.initiator.bytes.min(self.responder.bytes)
    }

    /// There is no room for it among long sessions.
    fn refuse(&mut self, listener: &mut impl Listener<X>) {
        let before = self.bits.has(Bits::REFUSED);
        self.bits.set(Bits::REFUSED);
        listener.count(Counter::SessionsUnwatched, u64::from(!before));
    }

    /// Whether it may ever be updated before its end: it carried data, and, except for TCP, was
    /// answered.
    pub(crate) fn may_have_updates(&self) -> bool {
        match self.class() {
            Class::UdpEstablished | Class::Other => self.bits.has(Bits::DATA),
            Class::UdpOpened => false,
            _ => self.bits.any(Bits::DATA),
        }
    }

    /// Whether it is long: an open TCP connection, or one with traffic for a while. Nothing is
    /// known about one that started at a doubtful time.
    fn lasts(&self, began: u32) -> bool {
        if self.bits.has(Bits::DOUBTFUL) {
            return false;
        }
        let span = self.touched.saturating_sub(began);
        match self.class() {
            Class::TcpEstablished => true,
            Class::TcpHalf => span >= LASTS,
            Class::UdpEstablished | Class::Other => self.bits.has(Bits::DATA) && span >= LASTS,
            _ => false,
        }
    }
}
