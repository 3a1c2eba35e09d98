//! Home hosts that are driven from elsewhere: stepping stones.
//!
//! Owns: what each home host exchanged lately with whom, and which of it followed which. In: small
//! messages of sessions that last, in order of time; what those sessions are. Out: for a host how
//! sure it is that somebody types through it, by which way, and how fast. Never: judges, or
//! depends on the number of workers: messages come second by second, sorted.
//!
//! What was found holds for seven days of the run's clock, and until the subjects file says that
//! somebody else has the address; of an address that it does not name no change is known.
//!
//! Policy at the caps, which are in bytes: hosts go for which least was found, of those the ones
//! silent for longest; at least an eighth at once. Services have a share of their own, so that they
//! take no host's place: of them those silent for longest go.

mod host;
mod pair;
mod recent;
mod rhythm;
mod service;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::endpoints::baseline::Known;
use crate::endpoints::key::Key;
use crate::endpoints::stepping::host::Host;
use crate::endpoints::stepping::pair::DRIVEN;
use crate::endpoints::stepping::service::Service;
use crate::endpoints::summary::{EndpointSummary, LongSession};
use crate::endpoints::table::{Endpoints, Entry};
use crate::model::beats::{Beat, BeatKind};
use crate::model::controller_leg::ControllerLeg;
use crate::model::endpoint::{EndpointKey, EndpointRow, Locality};
use crate::model::endpoint_facts::{Control, LatestSession, SyntheticInput};
use crate::model::heap::ALLOCATION;
use crate::model::{Addr, Nanos};

/// Seconds between two judgements of a host.
const JUDGED_EACH_S: u32 = 10;

/// Seconds between two searches for hosts that nothing would be lost with.
const SWEPT_EACH_S: u32 = 256;

/// At the cap at least one host in so many goes.
const ROOM: usize = 8;

/// One part in so many of the cap is for services.
const SERVED: usize = 4;

/// Clients that wait to be judged.
const ALONE: usize = 4_096;

/// Bytes of a service in the map.
const SERVICE: usize = 2 * size_of::<((Addr, u16), Service)>() + ALLOCATION;

/// Bytes of a host in the map.
const PLACE: usize = 2 * size_of::<(Addr, Host)>() + ALLOCATION;

/// What is known of the sessions that messages come by.
#[derive(Clone, Debug)]
pub(super) struct Via {
    session: LatestSession,
    long: LongSession,
    /// The host answers there: it offers a service.
    serves: bool,
    /// The leg to who is at the other end, or behind it.
    leg: Option<ControllerLeg>,
}

/// The home hosts.
#[derive(Clone, Debug, Default)]
pub(super) struct Stepping {
    /// Of hosts and of services.
    cap: usize,
    service_cap: usize,
    bytes: usize,
    service_bytes: usize,
    hosts: HashMap<Addr, Host, RandomState>,
    /// Services of home hosts, by port.
    services: HashMap<(Addr, u16), Service, RandomState>,
    /// Hosts to judge, the last one first.
    due: Vec<Addr>,
    /// Clients of services that may send something alone.
    alone: Vec<((Addr, u16), Addr)>,
    swept: u32,
    judged: u32,
    pub(super) dropped: u64,
    /// Clients of services that were forgotten at a cap, or not looked at.
    pub(super) clients_dropped: u64,
}

impl Stepping {
    /// Holds at most so many bytes.
    pub(super) fn new(cap: usize) -> Stepping {
        let service_cap = cap / SERVED;
        Stepping { cap: cap - service_cap, service_cap, ..Stepping::default() }
    }

    /// Bytes held.
    pub(super) const fn held(&self) -> usize {
        self.bytes + self.service_bytes
    }

    /// Takes the messages of one second, sorted; then it may be time to judge.
    pub(super) fn take(&mut self, beats: &[Beat]) {
        for beats in beats.chunk_by(|a, b| a.host == b.host) {
            let Some(first) = beats.first() else { continue };
            let host = self.hosts.entry(first.host).or_insert_with(|| {
                let host = Host::default();
                self.bytes += PLACE + host.bytes();
                host
            });
            let before = host.bytes();
            beats.iter().for_each(|beat| host.take(beat));
            self.bytes = (self.bytes + host.bytes()).saturating_sub(before);
        }
        let inputs = beats.iter().filter(|beat| beat.kind == BeatKind::Input && beat.service > 0);
        inputs.for_each(|beat| self.serve(beat));
        if self.service_bytes > self.service_cap {
            self.make_room_for_services();
        }
        if self.bytes > self.cap {
            self.make_room();
        }
    }

    /// A message to a service.
    fn serve(&mut self, beat: &Beat) {
        let key = (beat.host, beat.service);
        let service = self.services.entry(key).or_insert_with(|| {
            let service = Service::default();
            self.service_bytes += SERVICE + service.bytes();
            service
        });
        let before = service.bytes();
        self.clients_dropped += service.make_room(beat.peer) as u64;
        let ripe = service.take(beat.peer, beat.time, beat.size);
        self.service_bytes = (self.service_bytes + service.bytes()).saturating_sub(before);
        if ripe {
            self.await_judgement(key, beat.peer);
        }
    }

    fn await_judgement(&mut self, key: (Addr, u16), client: Addr) {
        if self.alone.contains(&(key, client)) {
            return;
        }
        if self.alone.len() < ALONE {
            self.alone.push((key, client));
        } else {
            self.clients_dropped += 1;
        }
    }

    /// The next client that sends something which no other one sends.
    pub(super) fn next_alone(&mut self) -> Option<(Addr, Box<SyntheticInput>)> {
        loop {
            let (key, client) = self.alone.pop()?;
            let Some(said) = self.services.get_mut(&key).and_then(|one| one.tell(client)) else {
                continue;
            };
            let input = SyntheticInput {
                confidence: said.confidence,
                test: said.test,
                statistic: said.others.into(),
                period_ms: said.period_ms,
                bursts: said.messages,
                from: client,
                session: Some(said.session),
            };
            return Some((client, Box::new(input)));
        }
    }

    /// A second is over.
    pub(super) fn end_second(&mut self, second: u32) {
        if second.saturating_sub(self.swept) >= SWEPT_EACH_S {
            self.swept = second;
            let now = Nanos(u64::from(second) * 1_000_000_000);
            self.hosts.values_mut().for_each(|host| host.age(now));
            self.forget(|_, host| host.is_idle(second));
            self.age_services(now);
        }
        if second / JUDGED_EACH_S != self.judged / JUDGED_EACH_S {
            self.judged = second;
            let changed = self.hosts.iter_mut().filter(|(_, host)| host.changed);
            self.due = changed
                .map(|(addr, host)| {
                    host.changed = false;
                    *addr
                })
                .collect();
            self.due.sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    /// The next host that is driven, of those with news.
    pub(super) fn next_due(&mut self) -> Option<Addr> {
        loop {
            let addr = self.due.pop()?;
            if self.hosts.get(&addr).is_some_and(tells) {
                return Some(addr);
            }
        }
    }

    /// Hosts that are driven, in order.
    pub(super) fn driven(&self) -> Vec<Addr> {
        let driven = self.hosts.iter().filter(|(_, host)| tells(host));
        let mut driven: Vec<Addr> = driven.map(|(addr, _)| *addr).collect();
        driven.sort_unstable();
        driven
    }

    /// Takes what a session is, by which somebody may drive a host.
    pub(super) fn note(&mut self, session: &EndpointSummary) {
        let Some(long) = session.long.as_deref() else { return };
        let sides = [&session.initiator, &session.responder];
        for (at, own) in sides.into_iter().enumerate() {
            let Some(peer) = sides.get(1 - at).filter(|_| own.side == Locality::Home) else {
                continue;
            };
            if let Some(port) = session.service.as_ref().map(|one| one.port).filter(|_| at == 1)
                && peer.side == Locality::Remote
                && !long.approved
            {
                self.note_client((own.ip, port), (peer.ip, session, long));
            }
            let Some(host) = self.hosts.get_mut(&own.ip) else { continue };
            let subject = if at == 1 { &long.responder } else { &long.session.subject };
            if let Some((subject, _)) = subject {
                let before = host.bytes();
                if host.held_by(subject, session.first) {
                    self.bytes = (self.bytes + host.bytes()).saturating_sub(before);
                }
            }
            if !host.has_pair_from(peer.ip) {
                continue;
            }
            let Some(known) = host.known(peer.ip) else { continue };
            let order = |via: &Via| (via.long.tool.is_some(), via.session.end, via.session.id);
            let leg = long.legs.get(1 - at).copied().flatten();
            let had = known.via.as_deref().and_then(|via| via.leg);
            let leg = had.into_iter().chain(leg).max_by_key(sureness);
            if let Some(via) = known.via.as_deref_mut() {
                via.leg = leg;
            }
            let session = latest(session, long, at);
            let via = Via { session, long: long.clone(), serves: at == 1, leg };
            if known.via.as_deref().is_none_or(|had| order(had) < order(&via)) {
                let grows = known.via.replace(Box::new(via)).is_none();
                self.bytes += if grows { size_of::<Via>() + ALLOCATION } else { 0 };
            }
        }
    }

    /// A session of a client that may send something alone. Of a client without one nothing is
    /// said: so nothing is of our own hosts and of approved tools.
    fn note_client(
        &mut self,
        key: (Addr, u16),
        (client, session, long): (Addr, &EndpointSummary, &LongSession),
    ) {
        let service = self.services.get_mut(&key).filter(|service| service.wants(client));
        let Some(service) = service else { return };
        let before = service.bytes();
        service.note(client, latest(session, long, 0));
        self.service_bytes = (self.service_bytes + service.bytes()).saturating_sub(before);
        self.await_judgement(key, client);
    }

    /// What a host's pairs say, if they say anything.
    pub(super) fn control(&self, addr: Addr) -> Option<Box<Control>> {
        let (pair, score, via) = self.hosts.get(&addr)?.best()?;
        Some(Box::new(Control {
            confidence: score.confidence,
            from: pair.from,
            to: pair.to,
            share: score.share,
            baseline: score.baseline,
            lag_ns: score.lag_ns,
            keys: score.keys,
            windows: pair.windows(),
            days: pair.days(),
            via: via.map(|via| Arc::clone(&via.long.kind)),
            tool: via.and_then(|via| via.long.tool.clone()),
            approved: via.is_some_and(|via| via.long.approved),
            serves: via.is_some_and(|via| via.serves),
            relayed: via.is_some_and(|via| via.long.relayed),
            leg: via.and_then(|via| via.leg),
            session: via.map(|via| via.session.clone()),
        }))
    }

    /// Input into a host that no person makes.
    pub(super) fn synthetic(&self, addr: Addr) -> Option<Box<SyntheticInput>> {
        let (from, verdict, via) = self.hosts.get(&addr)?.synthetic()?;
        Some(Box::new(SyntheticInput {
            confidence: verdict.confidence,
            test: verdict.test,
            statistic: verdict.statistic,
            period_ms: verdict.period_ms,
            bursts: verdict.bursts,
            from,
            session: via.map(|via| via.session.clone()),
        }))
    }

    /// Forgets the services that were silent for longest.
    #[cold]
    fn make_room_for_services(&mut self) {
        let ages = self.services.iter().map(|(key, service)| (service.latest(), *key));
        let mut ages: Vec<_> = ages.collect();
        ages.sort_unstable();
        for (_, key) in ages {
            if self.service_bytes <= self.service_cap - self.service_cap / ROOM {
                break;
            }
            if let Some(service) = self.services.remove(&key) {
                self.service_bytes = self.service_bytes.saturating_sub(service.bytes() + SERVICE);
                self.clients_dropped += service.len() as u64;
            }
        }
    }

    /// Forgets the hosts that least was found for.
    #[cold]
    fn make_room(&mut self) {
        let ranks = self.hosts.iter().map(|(addr, host)| (host.evidence(), host.last, *addr));
        let mut ranks: Vec<_> = ranks.collect();
        ranks.sort_unstable();
        let mut left = ranks.len();
        for (_, _, addr) in &ranks {
            if self.bytes <= self.cap - self.cap / ROOM && left <= ranks.len() - ranks.len() / ROOM
            {
                break;
            }
            if let Some(host) = self.hosts.remove(addr) {
                self.bytes = self.bytes.saturating_sub(host.bytes() + PLACE);
            }
            left -= 1;
        }
        self.dropped += (ranks.len() - left) as u64;
    }

    fn age_services(&mut self, now: Nanos) {
        let mut freed = 0;
        self.services.retain(|_, service| {
            let before = service.bytes();
            let goes = service.age(now);
            freed += if goes { before + SERVICE } else { before - service.bytes().min(before) };
            !goes
        });
        self.service_bytes = self.service_bytes.saturating_sub(freed);
    }

    fn forget(&mut self, goes: impl Fn(&Addr, &Host) -> bool) {
        let mut freed = 0;
        self.hosts.retain(|addr, host| {
            let goes = goes(addr, host);
            freed += if goes { host.bytes() + PLACE } else { 0 };
            !goes
        });
        self.bytes = self.bytes.saturating_sub(freed);
    }
}

impl Endpoints {
    /// Takes what hosts sent and received in one second, sorted; all messages of a second at once,
    /// seconds in order.
    pub fn take_messages(&mut self, beats: &[Beat]) {
        self.stepping.take(beats);
    }

    /// A second of the run's clock is over.
    pub fn end_second(&mut self, second: u32) {
        self.stepping.end_second(second);
    }

    /// The next home host with news that is driven.
    pub fn next_driven(&mut self) -> Option<EndpointRow> {
        let host = self.stepping.next_due()?;
        self.row_of(host)
    }

    /// The next remote endpoint that sends a service what no person does.
    pub fn next_alone(&mut self) -> Option<EndpointRow> {
        let (client, input) = self.stepping.next_alone()?;
        let (fingerprint, service) = (None, None);
        let key = EndpointKey { ip: client, side: Locality::Remote, fingerprint, service };
        let none = Entry::new(Key::closed(&key, 0));
        let mut row = self.totals(&none).row(key, None, Known::default());
        let session = input.session.clone()?;
        (row.first, row.last) = (session.start, session.end);
        row.traits.latest = Some(Box::new(session));
        row.traits.synthetic = Some(input);
        Some(row)
    }

    /// A home host, by its ended sessions.
    pub(super) fn row_of(&self, host: Addr) -> Option<EndpointRow> {
        let (fingerprint, service) = (None, None);
        let key = EndpointKey { ip: host, side: Locality::Home, fingerprint, service };
        let known = self.entry_of(&key).and_then(|at| self.entries.get(at));
        let none = Entry::new(Key::closed(&key, 0));
        let totals = self.totals(known.unwrap_or(&none));
        let mut row = totals.row(key, None, Known::default());
        self.add_control(&mut row);
        let session = row.traits.latest.as_deref()?;
        if known.is_none() {
            (row.first, row.last) = (session.start, session.end);
        }
        Some(row)
    }

    /// Adds what drives a home host to its row. The session by which it is driven is the one that
    /// an alert shows.
    pub(super) fn add_control(&self, row: &mut EndpointRow) {
        if row.key.side != Locality::Home {
            return;
        }
        let traits = &mut row.traits;
        traits.control = self.stepping.control(row.key.ip);
        traits.synthetic = self.stepping.synthetic(row.key.ip);
        let control = traits.control.as_deref().filter(|control| control.confidence >= DRIVEN);
        let control = control.and_then(|control| control.session.as_ref());
        let synthetic = traits.synthetic.as_deref().and_then(|one| one.session.as_ref());
        if let Some(session) = control.or(synthetic) {
            traits.latest = Some(Box::new(session.clone()));
        }
    }
}

/// Of several legs by one way the surest counts: checks go on for as long as the session does, a
/// handshake is measured once. Who is at the other end can answer late, never early.
const fn sureness(leg: &ControllerLeg) -> (bool, u32, u64) {
    (matches!(leg.method.as_bytes(), b"stun"), leg.samples, u64::MAX - leg.whole_ns)
}

/// Whether rules should see it.
fn tells(host: &Host) -> bool {
    let driven = host.best().is_some_and(|(_, score, _)| score.confidence >= DRIVEN);
    driven || host.synthetic().is_some()
}

/// The session as alerts show it, seen from one of its ends: that one is whom it is about.
fn latest(session: &EndpointSummary, long: &LongSession, own: usize) -> LatestSession {
    let peer = if own == 0 { &session.responder } else { &session.initiator };
    let serves = own == 1;
    let subject = if serves { &long.responder } else { &long.session.subject };
    let (subject, subject_name) = subject.clone().unzip();
    LatestSession {
        id: long.session.id,
        start: session.first,
        end: session.last,
        packets: long.session.packets,
        quality: long.session.quality,
        peer: peer.ip,
        peer_home: peer.side == Locality::Home,
        subject,
        subject_name: subject_name.flatten(),
        hired: long.session.hired.clone().filter(|_| !serves),
        region: None,
        began: if serves { session.responder.ip } else { session.initiator.ip },
    }
}

#[cfg(test)]
mod tests;
