//! Who held an address, and when.
//!
//! Owns: the spans of each address. In: leases, announcements, log-ins. Out: the holder at a time.
//! Never: gives one device's name to another: a span ends when another link-layer address gets the
//! address.

use std::sync::Arc;

use crate::bounded::Aging;
use crate::model::Heard;
use crate::model::Nanos;
use crate::model::Place;
use crate::model::record::Holder;
use crate::model::record::NameSources;

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
}

impl Span {
    /// The first name stays: a lease's is the device's own, a later one may be a service's.
    /// `named_by` is the source of the name just seen.
    fn take(&mut self, heard: &Heard, named_by: NameSources, until: Nanos) {
        let known = &*self.holder;
        let mut known_by = known.known_by.clone();
        if !known_by.contains(&heard.by) {
            known_by.push(heard.by);
            known_by.sort_unstable();
        }
        let user = known.user.clone().or_else(|| heard.user.clone()).filter(|_| !self.several);
        let host = known.host.clone().or_else(|| heard.host.clone());
        let agrees = heard.host.is_some() && heard.host == host;
        let named_by = known.named_by.with(if agrees { named_by } else { NameSources::default() });
        let holder = Holder { mac: known.mac.or(heard.mac), host, user, named_by, known_by };
        if *known != holder {
            self.holder = Arc::new(holder);
        }
        self.until = self.until.max(until);
    }
}

/// Holders by address, and names by link-layer address.
#[derive(Clone, Debug)]
pub struct Holders {
    spans: Aging<Place, Vec<Span>>,
    names: Aging<[u8; 6], (Arc<str>, NameSources)>,
}

impl Holders {
    /// A table with room for `cap` addresses, and as many devices.
    pub fn new(cap: usize) -> Holders {
        Holders { spans: Aging::new(cap), names: Aging::new(cap) }
    }

    /// A device announces its name, whatever its address. Returns the number of evictions.
    pub fn set_host(&mut self, mac: [u8; 6], name: &Arc<str>, by: NameSources) -> usize {
        let fresh = || (Arc::clone(name), NameSources::default());
        let rename = |known: &mut (Arc<str>, NameSources)| {
            if known.0 == *name {
                // Each granted lease is an exchange of its own; an announcement is one packet.
                let again =
                    known.1.has(by) && LEASES.iter().any(|lease| NameSources::of(lease) == by);
                known.1 = known.1.with(if again { by.twice() } else { by });
            } else {
                *known = (Arc::clone(name), by);
            }
        };
        self.names.update(mac, fresh, rename).1
    }

    /// A server assigns an address to a device: any other holder loses it.
    pub fn lease(&mut self, place: Place, heard: &Heard, at: Nanos) -> usize {
        let named = heard.mac.filter(|_| heard.host.is_none()).and_then(|mac| self.names.get(&mac));
        let Some((name, by)) = named else {
            return self.note(place, (heard, NameSources::of(heard.by)), at, false);
        };
        let (heard, by) = (Heard { host: Some(Arc::clone(name)), ..heard.clone() }, *by);
        self.note(place, (&heard, by), at, false)
    }

    /// The holder of an address says something about itself.
    pub fn observe(&mut self, place: Place, heard: &Heard, at: Nanos) -> usize {
        self.note(place, (heard, NameSources::of(heard.by)), at, true)
    }

    /// An address is released.
    pub fn release(&mut self, place: Place, at: Nanos) {
        if self.spans.get(&place).is_none() {
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
        (heard, named_by): (&Heard, NameSources),
        at: Nanos,
        open: bool,
    ) -> usize {
        let add = |spans: &mut Vec<Span>| add(spans, (heard, named_by), at, open);
        self.spans.update(place, Vec::new, add).1
    }

    /// The holder when a session started; or, if nobody is known to have held it before, when it
    /// ended.
    pub fn of(&self, place: Place, start: Nanos, end: Nanos) -> Option<Arc<Holder>> {
        if self.spans.is_empty() {
            return None;
        }
        let spans = self.spans.get(&place)?;
        let holds = |span: &&Span| span.since <= start && start <= span.until;
        let before = |span: &&Span| span.open && start < span.since && span.since <= end;
        let span = spans.iter().rev().find(holds).or_else(|| spans.first().filter(before))?;
        Some(Arc::clone(&span.holder))
    }
}

/// Adds what was heard to the holders of an address.
fn add(spans: &mut Vec<Span>, (heard, named_by): (&Heard, NameSources), at: Nanos, open: bool) {
    let until = at.plus(heard.lasts.unwrap_or(BELIEVED));
    let several = match spans.last_mut() {
        Some(last) if at <= last.until && is_same_device(&last.holder, heard) => {
            if last.several || is_same_user(&last.holder, heard) {
                return last.take(heard, named_by, until);
            }
            true
        }
        _ => false,
    };
    let open = open && spans.is_empty();
    if let Some(last) = spans.last_mut() {
        last.until = last.until.min(at);
    }
    if spans.len() >= SPANS {
        spans.remove(0);
    }
    let mut span = Span { since: at, until, holder: Arc::default(), several, open };
    span.take(heard, named_by, until);
    spans.push(span);
}

/// Whether the message may be from the same device.
fn is_same_device(holder: &Holder, heard: &Heard) -> bool {
    holder.mac.is_none() || heard.mac.is_none() || holder.mac == heard.mac
}

/// Whether it may be from the same person.
fn is_same_user(holder: &Holder, heard: &Heard) -> bool {
    holder.user.is_none() || heard.user.is_none() || holder.user == heard.user
}
