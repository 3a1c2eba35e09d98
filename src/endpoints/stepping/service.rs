//! Messages at one interval that a single client of a service sends.
//!
//! Owns: of each service of a home host its clients, and up to [`SERIES`] series of each. In: small
//! messages that come in to it. Out: a client with a series, where no other one has any. Never:
//! more than [`CLIENTS`] clients, or a series held against a client before others are known.
//!
//! Protocols send keep-alives, and each client chooses the interval and, by its version or cipher,
//! the size: where any other client has a series, they are keep-alives, and so is what is sent
//! while few others are there to compare with. A device that moves the mouse each minute does it
//! for one person only.
//!
//! Policy at the cap: the clients that were silent for longest go, an eighth at once.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::model::endpoint_facts::{InputTest, LatestSession};
use crate::model::heap::ALLOCATION;
use crate::model::{Addr, Nanos};

/// Clients kept of a service.
const CLIENTS: usize = 512;
/// At the cap one in so many goes.
const ROOM: usize = 8;
/// After so many more messages a series is looked at again, if nothing could be said.
const AGAIN: u8 = 32;
/// Sizes of messages watched of a client.
const SERIES: usize = 6;
/// Intervals from so long on, in ms: shorter ones are within a burst.
const APART_MS: u32 = 10_000;
/// A series without a message for so long gives its place away.
const STALE_MS: u32 = 600_000;
/// Messages in a row at one interval, and for how long, before a series says anything.
const STEADY: u8 = 40;
const LASTS_MS: u32 = 1_200_000;
/// So many at the interval of a client's first two make keep-alives of its series.
const SERIES_OF: u8 = 3;
/// After so many it has keep-alives for as long as it is known: these pause while somebody works,
/// so that the series need not be there any more. Fewer happen by chance within days.
const REGULAR: u8 = 8;
/// Others have to be known for so long, and so many of them.
const KNOWN_MS: u64 = 1_200_000;
const OTHERS: usize = 3;
/// How sure that is.
const CONFIDENCE: f64 = 0.6;
/// A verdict holds for seven days without a message that confirms it.
const HOLDS_NS: u64 = 7 * 86_400_000_000_000;

/// Messages of one size.
#[derive(Clone, Copy, Debug, Default)]
struct Series {
    size: u16,
    /// Messages at the interval, in a row; those that came between.
    steady: u8,
    between: u8,
    interval: u32,
    /// When the row began, and its latest message, in ms since the client's first.
    began: u32,
    latest: u32,
}

/// One client.
#[derive(Clone, Debug)]
struct Client {
    first: Nanos,
    latest: Nanos,
    series: [Series; SERIES],
    /// Its latest session, once a series of its own is steady.
    session: Option<Box<LatestSession>>,
    /// It once had a long series, of whatever size and interval.
    regular: bool,
    told: bool,
}

/// One service.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    clients: HashMap<Addr, Client, RandomState>,
    /// Clients with a session.
    sessions: usize,
    /// A client that sent keep-alives was forgotten at the cap.
    regular: bool,
}

/// A client with a series, where no other one has any.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alone {
    pub(super) confidence: f64,
    pub(super) test: InputTest,
    /// How many others use the service without any.
    pub(super) others: u32,
    pub(super) period_ms: u32,
    pub(super) messages: u32,
    pub(super) session: LatestSession,
}

/// Bytes of a client in the map, at most twice over.
const PLACE: usize = 2 * size_of::<(Addr, Client)>();

/// Whether two intervals are one.
const fn agree(a: u32, b: u32) -> bool {
    a.abs_diff(b) <= b / 32 + 20
}

impl Series {
    fn take(&mut self, now: u32) {
        let after = now.saturating_sub(self.latest);
        if self.interval > 0 && agree(after, self.interval) {
            self.steady = self.steady.saturating_add(1);
            self.latest = now;
        } else if self.interval > 0 && after < self.interval {
            // Somebody types between: such a message may have the same size.
            self.between = self.between.saturating_add(1);
            if self.between > self.steady / 2 + 2 {
                *self = Series { size: self.size, began: now, latest: now, ..Series::default() };
            }
        } else {
            let interval = if after >= APART_MS { after } else { 0 };
            let (size, began) = (self.size, self.latest);
            *self = Series { size, interval, began, latest: now, ..Series::default() };
        }
    }

    const fn is_steady(&self) -> bool {
        self.steady >= STEADY && self.latest.saturating_sub(self.began) >= LASTS_MS
    }
}

impl Client {
    fn new(first: Nanos) -> Client {
        let series = [Series::default(); SERIES];
        Client { first, latest: first, series, session: None, regular: false, told: false }
    }

    /// Takes a message. Returns whether its series has just become long enough to be looked at.
    fn take(&mut self, time: Nanos, size: u16) -> bool {
        let ms = time.0.saturating_sub(self.first.0) / 1_000_000;
        let Ok(now) = u32::try_from(ms) else {
            let (session, regular, told) = (self.session.take(), self.regular, self.told);
            *self = Client { session, regular, told, ..Client::new(time) };
            return false;
        };
        let silent_ms = time.0.saturating_sub(self.latest.0) / 1_000_000;
        self.latest = self.latest.max(time);
        let at = self.series.iter().position(|one| one.size == size);
        let rank = |at: &usize| self.series.get(*at).map(|one| (one.steady, one.latest));
        let least = || (0..SERIES).min_by_key(rank);
        let Some(one) = at.or_else(least).and_then(|at| self.series.get_mut(at)) else {
            return false;
        };
        if one.size == size {
            let before = one.steady;
            one.take(now);
            self.regular |= one.steady >= REGULAR;
            let longer = one.steady > before && one.is_steady();
            return longer && (one.steady - STEADY).is_multiple_of(AGAIN);
        }
        // Who types sends many sizes: only the first after a pause takes another one's place.
        let stale = now.saturating_sub(one.latest) >= STALE_MS;
        if one.size > 0 && !stale && silent_ms < u64::from(APART_MS) {
            return false;
        }
        if one.steady > 1 {
            // A series loses its place only to as many messages of other sizes as it has.
            one.steady -= u8::from(one.steady < SERIES_OF);
        } else {
            *one = Series { size, began: now, latest: now, ..Series::default() };
        }
        false
    }

    fn steady(&self) -> Option<&Series> {
        self.series.iter().filter(|one| one.is_steady()).max_by_key(|one| one.steady)
    }

    fn sends_keep_alives(&self) -> bool {
        self.regular || self.series.iter().any(|one| one.steady >= SERIES_OF)
    }

    const fn is_known(&self) -> bool {
        (self.latest.0.saturating_sub(self.first.0)) / 1_000_000 >= KNOWN_MS
    }
}

impl Service {
    /// Takes a message of a client. Returns whether that one may have a series of its own now.
    pub(super) fn take(&mut self, client: Addr, time: Nanos, size: u16) -> bool {
        let one = self.clients.entry(client).or_insert_with(|| Client::new(time));
        one.take(time, size) && !one.told
    }

    /// Makes room for one more client. Returns how many are forgotten for it.
    pub(super) fn make_room(&mut self, client: Addr) -> usize {
        let before = self.clients.len();
        if before >= CLIENTS && !self.clients.contains_key(&client) {
            self.thin();
        }
        before - self.clients.len()
    }

    /// The number of clients.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    #[cold]
    fn thin(&mut self) {
        let mut ages: Vec<Nanos> = self.clients.values().map(|one| one.latest).collect();
        let (_, age, _) = ages.select_nth_unstable(CLIENTS / ROOM);
        let age = *age;
        let mut gone = self.clients.values().filter(|one| one.latest <= age);
        self.regular |= gone.any(Client::sends_keep_alives);
        self.clients.retain(|_, one| one.latest > age);
        self.count();
    }

    fn count(&mut self) {
        self.sessions = self.clients.values().filter(|one| one.session.is_some()).count();
    }

    /// Whether a client's sessions matter.
    pub(super) fn wants(&self, client: Addr) -> bool {
        self.clients.get(&client).is_some_and(|one| !one.told && one.steady().is_some())
    }

    /// The session of a client.
    pub(super) fn note(&mut self, client: Addr, session: LatestSession) {
        if let Some(one) = self.clients.get_mut(&client) {
            self.sessions += usize::from(one.session.replace(Box::new(session)).is_none());
        }
    }

    /// What is said of a client, once.
    pub(super) fn tell(&mut self, client: Addr) -> Option<Alone> {
        let alone = self.alone(client)?;
        if let Some(one) = self.clients.get_mut(&client) {
            one.told = true;
        }
        Some(alone)
    }

    fn alone(&self, client: Addr) -> Option<Alone> {
        let own = self.clients.get(&client).filter(|own| !own.told)?;
        let (series, session) = (own.steady()?, own.session.as_deref()?.clone());
        let others = || self.clients.iter().filter(|(addr, _)| **addr != client);
        let shared = self.regular || others().any(|(_, one)| one.sends_keep_alives());
        let known = others().filter(|(_, one)| one.is_known()).count();
        (!shared && known >= OTHERS).then(|| Alone {
            confidence: CONFIDENCE,
            test: InputTest::Alone,
            others: known as u32,
            period_ms: series.interval,
            messages: series.steady.into(),
            session,
        })
    }

    /// Forgets clients that said nothing for seven days. Returns whether none is left.
    pub(super) fn age(&mut self, now: Nanos) -> bool {
        self.clients.retain(|_, one| now.0.saturating_sub(one.latest.0) < HOLDS_NS);
        self.count();
        self.clients.is_empty()
    }

    /// The latest message.
    pub(super) fn latest(&self) -> Nanos {
        self.clients.values().map(|one| one.latest).max().unwrap_or_default()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        const SESSION: usize = size_of::<LatestSession>() + ALLOCATION;
        self.clients.capacity() * PLACE + self.sessions * SESSION + ALLOCATION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    fn addr(n: u8) -> Addr {
        Addr::v4([198, 51, 100, n])
    }

    fn session(n: u8) -> LatestSession {
        LatestSession { began: addr(n), ..LatestSession::default() }
    }

    /// People who work for two hours, at sizes and times of their own.
    fn service(people: u8) -> Service {
        let mut service = Service::default();
        let mut dice = 7u64;
        let mut below = |limit: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 16) % limit
        };
        let mut all: Vec<(u64, u8, u16)> = (0..people)
            .flat_map(|n| (0..400).map(move |_| n))
            .map(|n| (below(120 * MINUTE), n, 60 + below(30) as u16))
            .collect();
        all.sort_unstable();
        for (at, n, size) in all {
            service.take(addr(n), Nanos(at), size);
        }
        service
    }

    fn each_minute(service: &mut Service, who: u8, size: u16) {
        for n in 0..110 {
            // The device is not quite exact.
            let at = n * MINUTE + (n % 3) * 4_000_000;
            service.take(addr(who), Nanos(at), size);
        }
        service.note(addr(who), session(who));
    }

    #[test]
    fn what_one_client_alone_sends_each_minute_is_input() {
        let mut service = service(4);
        each_minute(&mut service, 9, 73);
        assert!(service.wants(addr(9)) && !service.wants(addr(1)));
        let said = service.tell(addr(9)).unwrap();
        assert_eq!((said.others, said.test), (4, InputTest::Alone));
        assert!(said.period_ms.abs_diff(60_000) < 100 && said.messages >= 100, "{said:?}");
        for n in 110..300 {
            assert!(!service.take(addr(9), Nanos(n * MINUTE), 73), "it is told once");
            service.note(addr(9), session(9));
            assert!(!service.wants(addr(9)) && service.tell(addr(9)).is_none());
        }
    }

    #[test]
    fn what_another_client_sends_too_is_a_keep_alive() {
        let mut service = service(4);
        each_minute(&mut service, 9, 73);
        each_minute(&mut service, 8, 73);
        assert_eq!(service.tell(addr(9)), None);
        assert_eq!(service.tell(addr(8)), None);
    }

    /// Interval and size are each client's own choice.
    #[test]
    fn keep_alives_of_other_intervals_and_sizes_are_keep_alives() {
        let told = |messages: u64, works: bool| {
            let mut service = service(4);
            each_minute(&mut service, 9, 73);
            for n in 0..messages {
                service.take(addr(8), Nanos(n * 5 * MINUTE), 105);
            }
            for n in 0..if works { 40 } else { 0 } {
                let at = messages * 5 * MINUTE + n * n * 500_000_000;
                service.take(addr(8), Nanos(at), 105);
            }
            service.tell(addr(9)).is_some()
        };
        assert!(told(4, false), "chance");
        assert!(!told(5, false));
        assert!(told(5, true), "it is over, and was short");
        assert!(!told(10, true), "they pause while somebody works");
    }

    /// Who makes room by a crowd of clients has nobody accused.
    #[test]
    fn keep_alives_of_a_forgotten_client_still_count() {
        let told = |messages: u64| {
            let mut service = service(4);
            (0..messages).for_each(|n| _ = service.take(addr(8), Nanos(n * MINUTE), 105));
            for n in 0..600u32 {
                let client = Addr::v4((n + 1).to_be_bytes());
                service.make_room(client);
                service.take(client, Nanos(119 * MINUTE + u64::from(n)), 73);
                if n == 300 {
                    each_minute(&mut service, 9, 73);
                    service.take(addr(9), Nanos(120 * MINUTE), 99);
                    (0..4).for_each(|n| _ = service.take(addr(n), Nanos(120 * MINUTE), 73));
                }
            }
            assert!(!service.clients.contains_key(&addr(8)));
            service.tell(addr(9)).is_some()
        };
        assert!(told(2) && !told(20));
    }

    /// Messages so rare that some follow each other at one interval.
    #[test]
    fn a_week_of_work_makes_no_keep_alives() {
        let (mut service, mut dice, mut now) = (Service::default(), 11u64, [0u64; 40]);
        for n in 0..40 * 8_000 {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = &mut now[n % 40];
            *at += (dice >> 33) % 60_000 * 1_000_000;
            service.take(addr((n % 40) as u8), Nanos(*at), 60 + (dice >> 20) as u16 % 3);
        }
        assert!(now.iter().all(|at| *at > 60 * 60 * MINUTE), "sixty hours each");
        assert_eq!(service.clients.values().filter(|one| one.regular).count(), 0);
        let now = service.clients.values().filter(|one| one.sends_keep_alives()).count();
        assert!(now <= 2, "{now}");
    }

    #[test]
    fn without_others_nothing_is_known() {
        let mut few = service(2);
        each_minute(&mut few, 9, 73);
        assert_eq!(few.tell(addr(9)), None, "two others");
        let mut unseen = service(4);
        each_minute(&mut unseen, 9, 73);
        unseen.clients.get_mut(&addr(9)).unwrap().session = None;
        assert_eq!(unseen.tell(addr(9)), None, "whose it is, is unknown");
    }

    #[test]
    fn typing_between_does_not_hide_it_and_is_not_steady_itself() {
        let mut service = service(4);
        let mut all: Vec<(u64, u16)> = (0..110).map(|n| (n * MINUTE, 73)).collect();
        all.extend((0..30).map(|n| (n * 3 * MINUTE + n * n * 1_300_000_000, 73)));
        all.extend((0..300).map(|n| (n * 20_000_000_000 + n * n * 7_000_000, 60 + (n % 7) as u16)));
        all.sort_unstable();
        for (at, size) in all {
            service.take(addr(9), Nanos(at), size);
        }
        service.note(addr(9), session(9));
        assert!(service.tell(addr(9)).is_some());
        for n in 0..4 {
            service.note(addr(n), session(n));
            assert_eq!(service.tell(addr(n)), None, "who works");
        }
    }

    #[test]
    fn clients_are_capped_and_forgotten() {
        let (mut service, mut gone) = (Service::default(), 0);
        for n in 0..2_000u32 {
            let client = Addr::v4((n + 1).to_be_bytes());
            gone += service.make_room(client);
            service.take(client, Nanos(u64::from(n) * 1_000_000), 73);
        }
        assert_eq!(gone + service.len(), 2_000, "each is counted");
        assert!((CLIENTS / 2..=CLIENTS).contains(&service.clients.len()));
        let last = Addr::v4(2_000u32.to_be_bytes());
        assert!(service.clients.contains_key(&last), "the latest stay");
        assert!(service.bytes() < 400_000, "{}", service.bytes());
        assert!(service.age(Nanos(HOLDS_NS * 2)));
    }
}
