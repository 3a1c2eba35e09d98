//! Who held an address, and when.
//!
//! Owns: the spans of each address. In: leases, announcements, log-ins. Out: the holder at a time.
//! Never: gives one device's name to another: a span ends when another link-layer address gets the
//! address; or lets one message take away what two have confirmed.

use std::sync::Arc;

use crate::bounded::Aging;
use crate::model::record::{Holder, NameSources};
use crate::model::{HolderFacts, Nanos, Place};

/// Holders kept per address.
const SPANS: usize = 4;
/// How long a name or a log-in without an end is valid: a Kerberos ticket lasts 10 hours by
/// default, a working day no longer.
pub const BELIEVED: Nanos = Nanos::from_secs(12 * 3600);

/// Protocols by which a server grants an address to who asked for it.
const LEASES: [&str; 2] = ["dhcp", "dhcpv6"];

/// One holder of an address.
#[derive(Clone, Debug)]
struct Span {
    since: Nanos,
    until: Nanos,
    holder: Arc<Holder>,
    /// Two people use it at once: behind a home router, or on a server. A session cannot be
    /// attributed to one of them.
    several: bool,
    /// It may have held the address before it was first seen, as no lease was seen.
    open: bool,
    /// Until when the device could have held it, had it not released it: a release costs the server
    /// nothing, and the device may go on.
    unreleased: Nanos,
}

/// What a device calls itself.
#[derive(Clone, Debug)]
struct Called {
    name: Arc<str>,
    by: NameSources,
    /// Another name, given since, that takes the place of a confirmed one once it is confirmed too.
    next: Option<(Arc<str>, NameSources)>,
}

impl Called {
    fn bytes(&self) -> usize {
        let next = self.next.as_ref().map_or(0, |(name, _)| name.len());
        size_of::<Called>() + self.name.len() + next
    }

    fn take(&mut self, name: &Arc<str>, by: NameSources) {
        if self.name == *name {
            self.by = again(self.by, by);
            return;
        }
        let known = self.next.take().filter(|(next, _)| next == name);
        let by = known.map_or(by, |(_, known)| again(known, by));
        if by.is_confirmed() || !self.by.is_confirmed() {
            (self.name, self.by) = (Arc::clone(name), by);
        } else {
            self.next = Some((Arc::clone(name), by));
        }
    }
}

/// Each granted lease is an exchange of its own; an announcement is one packet.
fn again(known: NameSources, by: NameSources) -> NameSources {
    let leased = known.has(by) && LEASES.iter().any(|lease| by.has(NameSources::of(lease)));
    known.with(if leased { by.twice() } else { by })
}

impl Span {
    /// Its device: a user may have left with the lease.
    fn without_user(&self) -> Arc<Holder> {
        Arc::new(Holder { user: None, from: None, ..Holder::clone(&self.holder) })
    }

    /// Whether its device, which released the address, goes on with it under the same name.
    fn is_resumed(&self, facts: &HolderFacts, at: Nanos) -> bool {
        let own = facts.mac.is_some() && facts.mac == self.holder.mac;
        let named = facts.host.is_none() || facts.host == self.holder.host;
        own && named && self.until < at && at <= self.unreleased
    }

    /// The first name stays: a lease's is the device's own, a later one may be a service's.
    /// `named_by` is the source of the name just seen.
    fn take(&mut self, facts: &HolderFacts, named_by: NameSources, until: Nanos) {
        let known = &*self.holder;
        let mut known_by = known.known_by.clone();
        if !known_by.contains(&facts.by) {
            known_by.push(facts.by);
            known_by.sort_unstable();
        }
        let user = known.user.clone().or_else(|| facts.user.clone()).filter(|_| !self.several);
        let host = known.host.clone().or_else(|| facts.host.clone());
        let agrees = facts.host.is_some() && facts.host == host;
        let named_by = known.named_by.with(if agrees { named_by } else { NameSources::default() });
        // Only a user connects from somewhere.
        let from = facts.from.or(known.from).filter(|_| user.is_some());
        let mac = known.mac.or(facts.mac);
        let holder = Holder { mac, host, user, from, named_by, known_by };
        if *known != holder {
            self.holder = Arc::new(holder);
        }
        self.until = self.until.max(until);
        self.unreleased = self.until;
    }
}

/// Holders by address, and names by link-layer address.
#[derive(Clone, Debug)]
pub struct Holders {
    spans: Aging<Place, Vec<Span>>,
    names: Aging<[u8; 6], Called>,
    /// Devices that give others' hardware addresses in ARP probes: the address they use, and how
    /// many they gave.
    senders: Aging<[u8; 6], (Option<Place>, u8)>,
}

/// Few devices do that: one for so many addresses.
pub(super) const SENDERS_PART: usize = 64;

impl Holders {
    /// A table with room for `cap` addresses, and as many devices.
    pub fn new(cap: usize) -> Holders {
        Holders {
            spans: Aging::new(cap, span_bytes),
            names: Aging::new(cap, Called::bytes),
            senders: Aging::new(cap / SENDERS_PART, |_| size_of::<(Option<Place>, u8)>()),
        }
    }

    /// Bytes replaced since the last call while a snapshot may have had them.
    pub fn take_replaced(&mut self) -> usize {
        self.spans.take_replaced() + self.names.take_replaced() + self.senders.take_replaced()
    }

    /// A device announces its name, whatever its address. Returns the number of evictions.
    pub fn set_host(&mut self, mac: [u8; 6], name: &Arc<str>, by: NameSources) -> usize {
        let by_none = NameSources::default();
        let fresh = || Called { name: Arc::clone(name), by: by_none, next: None };
        self.names.update(mac, fresh, |called| called.take(name, by)).1
    }

    /// A device gave others' hardware addresses in ARP probes. Returns the number of evictions.
    pub fn set_senders(&mut self, mac: [u8; 6], said: (Option<Place>, u8)) -> usize {
        self.senders.update(mac, || said, |known| *known = said).1
    }

    /// How many it gave, if it is the device behind an address.
    pub fn arp_senders(&self, place: Place, held: Option<[u8; 6]>, mac: Option<[u8; 6]>) -> u8 {
        if self.senders.is_empty() {
            return 0;
        }
        let of = |mac: Option<[u8; 6]>| self.senders.get(&mac?);
        match (of(held), of(mac)) {
            (Some((_, count)), _) => *count,
            (None, Some((own, count))) if *own == Some(place) => *count,
            _ => 0,
        }
    }

    /// A server assigns an address to a device: any other holder loses it.
    pub fn lease(&mut self, place: Place, facts: &HolderFacts, at: Nanos) -> usize {
        let named = facts.mac.filter(|_| facts.host.is_none()).and_then(|mac| self.names.get(&mac));
        let Some(Called { name, by, .. }) = named else {
            return self.note(place, (facts, NameSources::of(facts.by)), at, false);
        };
        let (facts, by) = (HolderFacts { host: Some(Arc::clone(name)), ..facts.clone() }, *by);
        self.note(place, (&facts, by), at, false)
    }

    /// The holder of an address says something about itself.
    pub fn observe(&mut self, place: Place, facts: &HolderFacts, at: Nanos) -> usize {
        self.note(place, (facts, NameSources::of(facts.by)), at, true)
    }

    /// An address is released. What another device than the holder says changes nothing.
    pub fn release(&mut self, place: Place, by: Option<[u8; 6]>, at: Nanos) {
        let last = self.spans.get(&place).and_then(|spans| spans.last());
        let is_its =
            |held: &Span| by.is_none() || held.holder.mac.is_none_or(|mac| by == Some(mac));
        if !last.is_some_and(is_its) {
            return;
        }
        self.spans.update(place, Vec::new, |spans| {
            if let Some(last) = spans.last_mut() {
                last.until = last.until.min(at);
            }
        });
    }

    fn note(
        &mut self,
        place: Place,
        (facts, named_by): (&HolderFacts, NameSources),
        at: Nanos,
        open: bool,
    ) -> usize {
        let add = |spans: &mut Vec<Span>| add(spans, (facts, named_by), at, open);
        self.spans.update(place, Vec::new, add).1
    }

    /// The holder when a session started; or, if nobody is known to have held it before, when it
    /// ended; or the device that released it and goes on using it, as the session's frames show.
    pub fn of(
        &self,
        place: Place,
        mac: Option<[u8; 6]>,
        start: Nanos,
        end: Nanos,
    ) -> Option<Arc<Holder>> {
        if self.spans.is_empty() {
            return None;
        }
        let spans = self.spans.get(&place)?;
        let holds = |span: &&Span| span.since <= start && start <= span.until;
        let before = |span: &&Span| span.open && start < span.since && span.since <= end;
        let goes_on = |span: &&Span| {
            let own = mac.is_some() && mac == span.holder.mac;
            own && span.since <= start && start <= span.unreleased
        };
        let span = spans.iter().rev().find(holds).or_else(|| spans.first().filter(before));
        match span {
            Some(span) => Some(Arc::clone(&span.holder)),
            None => spans.last().filter(goes_on).map(Span::without_user),
        }
    }
}

/// Bytes of the holders of an address.
fn span_bytes(spans: &Vec<Span>) -> usize {
    let text = |text: &Option<Arc<str>>| text.as_deref().map_or(0, str::len);
    let words = |holder: &Holder| holder.known_by.capacity() * size_of::<&str>();
    let own = |span: &Span| text(&span.holder.host) + text(&span.holder.user) + words(&span.holder);
    let holders: usize = spans.iter().map(|span| size_of::<Holder>() + own(span)).sum();
    size_of::<Vec<Span>>() + spans.capacity() * size_of::<Span>() + holders
}

/// Adds facts about the holder of an address to its spans.
fn add(
    spans: &mut Vec<Span>,
    (facts, named_by): (&HolderFacts, NameSources),
    at: Nanos,
    open: bool,
) {
    let until = at.plus(facts.lasts.unwrap_or(BELIEVED));
    let several = match spans.last_mut() {
        Some(last) if at <= last.until && is_same_device(&last.holder, facts) => {
            if last.several || is_same_user(&last.holder, facts) {
                return last.take(facts, named_by, until);
            }
            true
        }
        _ => false,
    };
    let open = open && spans.is_empty();
    let resumed = spans.last().filter(|last| last.is_resumed(facts, at));
    let holder = resumed.map(Span::without_user).unwrap_or_default();
    if let Some(last) = spans.last_mut() {
        last.until = last.until.min(at);
        last.unreleased = last.until;
    }
    if spans.len() >= SPANS {
        spans.remove(0);
    }
    let mut span = Span { since: at, until, holder, several, open, unreleased: until };
    span.take(facts, named_by, until);
    spans.push(span);
}

/// Whether the message may be from the same device.
fn is_same_device(holder: &Holder, facts: &HolderFacts) -> bool {
    holder.mac.is_none() || facts.mac.is_none() || holder.mac == facts.mac
}

/// Whether it may be from the same person.
fn is_same_user(holder: &Holder, facts: &HolderFacts) -> bool {
    holder.user.is_none() || facts.user.is_none() || holder.user == facts.user
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Addr;

    const OWN: [u8; 6] = [0xdc, 0xa6, 0x32, 0, 0, 1];
    const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const PLACE: Place = (0, Addr::v4([10, 0, 0, 77]));

    const fn s(seconds: u64) -> Nanos {
        Nanos::from_secs(seconds)
    }

    fn named(host: &str) -> Arc<str> {
        Arc::from(host)
    }

    fn facts(mac: [u8; 6], host: Option<&str>, by: &'static str) -> HolderFacts {
        let lasts = Some(s(3_600));
        HolderFacts { mac: Some(mac), host: host.map(named), by, lasts, ..HolderFacts::default() }
    }

    /// A device that gave its name in both messages of a lease.
    fn pikvm() -> Holders {
        let mut holders = Holders::new(16);
        holders.set_host(OWN, &named("pikvm"), NameSources::of("dhcp").twice());
        holders.lease(PLACE, &facts(OWN, None, "dhcp"), s(10));
        holders
    }

    /// Name of the holder of a session whose frames come from an interface, if confirmed.
    fn confirmed(holders: &Holders, mac: [u8; 6], at: u64) -> Option<String> {
        let holder = holders.of(PLACE, Some(mac), s(at), s(at + 1))?;
        holder.host.as_deref().filter(|_| holder.named_by.is_confirmed()).map(str::to_owned)
    }

    #[test]
    fn a_release_by_another_device_changes_nothing() {
        let mut holders = pikvm();
        holders.release(PLACE, Some(OTHER), s(100));
        assert_eq!(holders.of(PLACE, None, s(200), s(201)).unwrap().mac, Some(OWN));
        holders.release(PLACE, Some(OWN), s(300));
        assert_eq!(holders.of(PLACE, None, s(400), s(401)), None, "its own");
        let mut holders = pikvm();
        holders.release(PLACE, None, s(100));
        assert_eq!(holders.of(PLACE, None, s(200), s(201)), None, "a server's");
    }

    #[test]
    fn a_device_that_releases_its_address_and_uses_it_keeps_its_name() {
        let mut holders = pikvm();
        let user = HolderFacts { user: Some(named("ann")), by: "ntlm", ..HolderFacts::default() };
        holders.observe(PLACE, &user, s(20));
        holders.release(PLACE, Some(OWN), s(100));
        assert_eq!(confirmed(&holders, OWN, 200).as_deref(), Some("pikvm"));
        assert_eq!(holders.of(PLACE, Some(OWN), s(200), s(201)).unwrap().user, None);
        assert_eq!(holders.of(PLACE, Some(OTHER), s(200), s(201)), None, "another device");
        assert_eq!(holders.of(PLACE, Some(OWN), s(90_000), s(90_001)), None, "long expired");
        // Its next announcement makes a span of one message.
        holders.observe(PLACE, &facts(OWN, Some("pikvm"), "mdns"), s(300));
        assert_eq!(confirmed(&holders, OTHER, 301).as_deref(), Some("pikvm"));
        holders.lease(PLACE, &facts(OTHER, Some("desk"), "dhcp"), s(400));
        assert_eq!(holders.of(PLACE, None, s(401), s(402)).unwrap().host, Some(named("desk")));
    }

    #[test]
    fn one_message_takes_no_confirmed_name_away() {
        let mut holders = pikvm();
        holders.set_host(OWN, &named("desk"), NameSources::of("mdns"));
        let later = 20_000;
        holders.lease(PLACE, &facts(OWN, None, "dhcp"), s(later));
        assert_eq!(confirmed(&holders, OWN, later + 1).as_deref(), Some("pikvm"));
        // A device that has a new name says so more than once.
        holders.set_host(OWN, &named("desk"), NameSources::of("nbns"));
        holders.lease(PLACE, &facts(OWN, None, "dhcp"), s(2 * later));
        assert_eq!(confirmed(&holders, OWN, 2 * later + 1).as_deref(), Some("desk"));
        let mut unconfirmed = Holders::new(16);
        for name in ["one", "two"] {
            unconfirmed.set_host(OWN, &named(name), NameSources::of("mdns"));
        }
        unconfirmed.lease(PLACE, &facts(OWN, None, "dhcp"), s(10));
        let holder = unconfirmed.of(PLACE, None, s(11), s(12)).unwrap();
        assert_eq!(holder.host, Some(named("two")), "the last, where none is confirmed");
    }
}
