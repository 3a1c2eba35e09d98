//! Which sessions an event is about, and what to say on their packets.
//!
//! Owns: the way from an incident to its alerts, from an alert to its sessions. In: results, an
//! event. Out: sessions with keys, times and comments. Never: more sessions than a cap, or one
//! left out without a note.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::rc::Rc;

use memchr::memmem::Finder;
use serde::Deserialize;

use crate::explain::Flat;
use crate::model::escape::escaped;
use crate::model::{Addr, Error, Nanos, Transport};
use crate::results::{Results, find::Event};

/// Sessions of one slice.
const SESSIONS_MAX: usize = 262_144;

/// Characters of a comment.
const COMMENT_MAX: usize = 2_000;

/// Pieces of evidence that a comment names.
const EVIDENCE_MAX: usize = 8;

/// `event.action` of a line that sums up unanswered sessions.
const SUMMED: &str = "sessions-summed";

/// A session to carve.
#[derive(Clone, Debug)]
pub struct Session {
    /// `event.id`.
    pub id: String,
    /// Its ends, the initiator first; ports are 0 where the protocol has none.
    pub ends: [(Addr, u16); 2],
    /// IANA number.
    pub transport: Transport,
    /// 4 or 6.
    pub version: u8,
    /// Whether the line has ports.
    pub has_ports: bool,
    /// Community ID as in the line: it tells sessions without ports apart.
    pub community: Option<String>,
    /// Outermost VLAN.
    pub vlan: Option<u16>,
    /// Identifier of the innermost tunnel.
    pub network: Option<u64>,
    /// Time of the first and the last packet.
    pub span: (Nanos, Nanos),
    /// Number of the input of the first packet, and the ordinals of the first and the last packet.
    pub place: (u64, u64, u64),
    /// What the comments of its first and last packet say.
    pub claims: Vec<Rc<str>>,
    /// Near and far round trip of its handshake.
    pub handshake: (Option<f64>, Option<f64>),
}

/// What is to be carved.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// One sentence about the slice.
    pub title: String,
    /// Sessions, each once.
    pub sessions: Vec<Session>,
    /// What could not be followed.
    pub notes: Vec<String>,
}

/// What an alert asks for.
#[derive(Default)]
struct Claims {
    by_id: BTreeMap<String, Vec<Rc<str>>>,
    endpoints: Vec<Endpoint>,
}

/// An alert about an endpoint rests on all its sessions of a time.
struct Endpoint {
    ip: Addr,
    port: Option<u16>,
    span: (Nanos, Nanos),
    claim: Rc<str>,
}

/// An event, and what it claims of which sessions.
pub struct Asked {
    id: String,
    title: String,
    notes: Vec<String>,
    claims: Claims,
    /// It is a session, and this is it.
    known: Option<Session>,
}

/// What an event asks for.
///
/// Errors: it has no packets of its own.
pub fn asked(results: &Results, event: &Event) -> Result<Asked, Error> {
    let line = event.line();
    let id = line.text("event.id").unwrap_or_default().to_owned();
    let mut claims = Claims::default();
    let mut notes = Vec::new();
    let mut known = None;
    let title = match event {
        Event::Session(line) if line.text("event.action") == Some(SUMMED) => {
            let cause = "it sums up unanswered sessions, of which no packet is told apart";
            return Err(Error::new(format!("event {id}"), cause)
                .help("take the id of an alert, an incident or a session with a line of its own"));
        }
        Event::Session(line) => {
            claims.by_id.insert(id.clone(), Vec::new());
            let read = session(line);
            known = Some(read.map_err(|cause| Error::new(format!("event {id}"), cause))?);
            format!("longhaul: packets of session {id}")
        }
        Event::Finding(line) if line.text("event.dataset") == Some("longhaul.incident") => {
            of_incident(results, line, &mut claims, &mut notes)?;
            let message = line.text("message").unwrap_or_default();
            format!("longhaul: packets behind incident {id}: {message}")
        }
        Event::Finding(line) => {
            claims.add(line);
            notes.extend(repetitions(line));
            format!("longhaul: packets behind {}", claim(line))
        }
    };
    Ok(Asked { id, title: short(&title), notes, claims, known })
}

/// The sessions of events, in one pass over the lines of sessions.
///
/// Errors: no sessions were written. Of one event: its own are missing, or too many.
pub fn of(results: &Results, asked: Vec<Asked>) -> Result<Vec<Result<Wanted, Error>>, Error> {
    let mut found: Vec<Found> = asked.iter().map(|of| Found::of(of.known.as_ref())).collect();
    let mut line_of = |bytes: &[u8]| {
        let read: Result<Head<'_>, _> = serde_json::from_slice(bytes);
        let head = read.map_err(|error| format!("it is no session: {error}"))?;
        let mut line = None;
        let open = asked.iter().zip(&mut found).filter(|(of, _)| of.known.is_none());
        for (of, found) in open.filter(|(of, _)| of.claims.may_be(&head)) {
            let line = match &line {
                Some(line) => line,
                None => line.insert(
                    Flat::parse(bytes).map_err(|error| format!("it is no JSON object: {error}"))?,
                ),
            };
            found.add(&of.claims, &head, line)?;
        }
        Ok(true)
    };
    let sieve = Sieve::of(&asked);
    let files = match sieve.texts() {
        // No line has to be searched for.
        _ if asked.iter().all(|of| of.known.is_some()) => 1,
        Some(texts) => results.each_line_with("sessions.ndjson", &texts, line_of)?,
        None => results.each_line("sessions.ndjson", |bytes| match sieve.lets_through(bytes) {
            true => line_of(bytes).map(drop),
            false => Ok(()),
        })?,
    };
    if let (0, Some(first)) = (files, asked.first()) {
        return Err(Error::new(format!("event {}", first.id), "no sessions were written")
            .help("read the captures again without --no-sessions, into a directory"));
    }
    Ok(asked.into_iter().zip(found).map(|(of, found)| of.wanted(found)).collect())
}

/// Tells most lines that nobody asks for without reading them as JSON: that takes most of the time.
struct Sieve {
    /// Ids that are asked for.
    ids: HashSet<Vec<u8>>,
    /// Addresses that are, as lines have them.
    addresses: Vec<Finder<'static>>,
}

impl Sieve {
    /// More addresses take as long as reading the line.
    const ADDRESSES_MAX: usize = 16;

    /// Fewer texts are found faster by a search for each than by a look at each line.
    const TEXTS_MAX: usize = 6;

    fn of(asked: &[Asked]) -> Sieve {
        let ids = asked.iter().flat_map(|of| of.claims.by_id.keys());
        let ends = asked.iter().flat_map(|of| &of.claims.endpoints);
        let texts: BTreeSet<String> = ends.map(|end| format!("\"{}\"", end.ip)).collect();
        let finder = |text: &String| Finder::new(text.as_bytes()).into_owned();
        let ids = ids.map(|id| id.clone().into_bytes()).collect();
        Sieve { ids, addresses: texts.iter().map(finder).collect() }
    }

    /// What lines that are asked for hold, if that is little.
    fn texts(&self) -> Option<Vec<&[u8]>> {
        let addresses = self.addresses.iter().map(Finder::needle);
        let texts: Vec<&[u8]> = self.ids.iter().map(Vec::as_slice).chain(addresses).collect();
        (texts.len() <= Sieve::TEXTS_MAX).then_some(texts)
    }

    /// Whether a line may be asked for. One that does not look like ours is.
    fn lets_through(&self, line: &[u8]) -> bool {
        let Some(id) = own_id(line) else { return true };
        self.ids.contains(id)
            || self.addresses.len() > Sieve::ADDRESSES_MAX
            || self.addresses.iter().any(|one| one.find(line).is_some())
    }
}

/// The `event.id` of a line that is as this program writes it: `event` has no object inside.
fn own_id(line: &[u8]) -> Option<&[u8]> {
    const EVENT: &[u8] = b"\"event\":{";
    const ID: &[u8] = b"\"id\":\"";
    let event = line.get(memchr::memmem::find(line, EVENT)? + EVENT.len()..)?;
    let event = event.get(..memchr::memchr2(b'{', b'}', event)?)?;
    let id = event.get(memchr::memmem::find(event, ID)? + ID.len()..)?;
    let id = id.get(..memchr::memchr(b'"', id)?)?;
    id.iter().all(u8::is_ascii_hexdigit).then_some(id)
}

impl Asked {
    /// With its sessions.
    fn wanted(mut self, found: Found) -> Result<Wanted, Error> {
        let Found { sessions, sums, beyond, .. } = found;
        let refuse = |cause: &str| Error::new(format!("event {}", self.id), cause);
        if beyond {
            let cause = format!("the event has more than {SESSIONS_MAX} sessions");
            return Err(refuse(&cause).help("take the id of one of its alerts"));
        }
        let known: BTreeSet<&str> = sessions.iter().map(|session| session.id.as_str()).collect();
        let missing = self.claims.by_id.keys().filter(|id| !known.contains(id.as_str())).count();
        if missing > 0 {
            self.notes.push(format!(
                "{missing} sessions that the evidence names have no line in sessions.ndjson (an \
                 earlier run, or a cap): their packets are not in the slice"
            ));
        }
        if sessions.is_empty() {
            let help = "the packets are with the run in which the sessions were written";
            let cause = match sums {
                0 => "none of its sessions has a line in sessions.ndjson",
                _ => {
                    "sessions.ndjson has only sums of its sessions, of which no packet is told \
                     apart"
                }
            };
            return Err(refuse(cause).help(help));
        }
        if sums > 0 {
            self.notes.push(format!(
                "{sums} sums of unanswered sessions have no frames here: a sum does not say which \
                 are its own"
            ));
        }
        Ok(Wanted { title: self.title, sessions, notes: self.notes })
    }
}

fn of_incident(
    results: &Results,
    incident: &Flat,
    claims: &mut Claims,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let members = incident.objects("longhaul.alerts");
    let ids = members.iter().filter_map(|alert| alert.text("event.id")).map(str::to_owned);
    let mut open: BTreeSet<String> = ids.collect();
    results.each("alerts.ndjson", |alert| {
        if alert.text("event.id").is_some_and(|id| open.remove(id)) {
            claims.add(alert);
            notes.extend(repetitions(alert));
        }
        Ok(())
    })?;
    let own: Rc<str> = claim(incident).into();
    for session in named(incident) {
        claims.by_id.entry(session).or_insert_with(|| vec![Rc::clone(&own)]);
    }
    let more = incident.count("longhaul.alerts_more");
    let unknown = open.len() as u64 + more;
    if unknown > 0 {
        notes.push(format!(
            "{unknown} alerts of the incident have no line in this result: of their packets the \
             slice holds those of the sessions that the incident names"
        ));
    }
    Ok(())
}

/// A merged alert names some of the sessions that it stands for.
fn repetitions(alert: &Flat) -> Option<String> {
    let (count, known) = (alert.count("longhaul.count"), named(alert).len() as u64);
    let id = alert.text("event.id").unwrap_or_default();
    (count > known).then(|| {
        format!("alert {id} stands for {count} sessions and names {known} of them: those are here")
    })
}

/// The sessions that an alert or incident names.
fn named(line: &Flat) -> Vec<String> {
    let evidence = line.objects("longhaul.evidence");
    let mut all: BTreeSet<String> =
        evidence.iter().flat_map(|item| item.texts("sessions")).map(str::to_owned).collect();
    all.extend(line.text("longhaul.session.id").map(str::to_owned));
    all.into_iter().collect()
}

impl Claims {
    fn add(&mut self, alert: &Flat) {
        let claim: Rc<str> = claim(alert).into();
        for session in named(alert) {
            self.by_id.entry(session).or_default().push(Rc::clone(&claim));
        }
        let time = |name: &str| alert.text(name).and_then(Nanos::parse);
        let ip = alert.text("endpoint.ip").and_then(|ip| ip.parse::<IpAddr>().ok());
        if let (Some(ip), Some(start), Some(end)) = (ip, time("event.start"), time("event.end")) {
            let port = alert.number("endpoint.service.port").map(|port| port as u16);
            self.endpoints.push(Endpoint { ip: ip.into(), port, span: (start, end), claim });
        }
    }
}

/// A rule and its evidence in one line.
fn claim(line: &Flat) -> String {
    let text = |name: &str| line.text(name).unwrap_or_default();
    let kind = match text("event.dataset") {
        "longhaul.incident" => "incident",
        _ => "alert",
    };
    let head = format!(
        "{kind} {} {} {} ({}): {}",
        text("event.id"),
        text("rule.id"),
        text("rule.name"),
        text("log.level"),
        text("message")
    );
    let evidence = line.objects("longhaul.evidence");
    let pieces: Vec<String> = evidence.iter().take(EVIDENCE_MAX).filter_map(piece).collect();
    match pieces.is_empty() {
        true => short(&head),
        false => short(&format!("{head}; evidence: {}", pieces.join(", "))),
    }
}

fn piece(item: &Flat) -> Option<String> {
    let name = item.text("name")?;
    let value = match item.number("value") {
        Some(number) => format!("{number} {}", item.text("unit").unwrap_or_default()),
        None => item.text("text")?.to_owned(),
    };
    let bound = item.number("threshold").map_or(String::new(), |bound| format!(" (bound {bound})"));
    Some(format!("{name} = {}{bound}", value.trim()))
}

/// Printable, and not longer than a comment may be.
fn short(text: &str) -> String {
    escaped(text).chars().take(COMMENT_MAX).collect()
}

/// What is read of every session line: enough to tell whether it is wanted.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    event: HeadEvent<'a>,
    #[serde(default)]
    source: HeadEnd,
    #[serde(default)]
    destination: HeadEnd,
}

#[derive(Deserialize)]
struct HeadEvent<'a> {
    id: &'a str,
    action: Option<&'a str>,
}

#[derive(Default, Deserialize)]
struct HeadEnd {
    ip: Option<IpAddr>,
    port: Option<u16>,
}

/// Sessions, and the number of sums that are about the same.
#[derive(Default)]
struct Found {
    sessions: Vec<Session>,
    places: HashMap<String, usize>,
    sums: u64,
    /// There are more than a slice may have.
    beyond: bool,
}

impl Claims {
    /// Whether a session may be among those claimed.
    fn may_be(&self, head: &Head<'_>) -> bool {
        self.by_id.contains_key(head.event.id) || self.endpoints.iter().any(|of| of.is_end_of(head))
    }
}

impl Found {
    /// Nothing yet, but a session that is known.
    fn of(known: Option<&Session>) -> Found {
        let sessions: Vec<Session> = known.cloned().into_iter().collect();
        Found { sessions, ..Found::default() }
    }

    /// Adds a session, if it is claimed.
    fn add(&mut self, claims: &Claims, head: &Head<'_>, line: &Flat) -> Result<(), String> {
        if head.event.action == Some(SUMMED) {
            let span = span(line)?;
            self.sums += u64::from(claims.endpoints.iter().any(|of| of.holds(head, span)));
            return Ok(());
        }
        let by_id = claims.by_id.get(head.event.id);
        let mut session = session(line)?;
        session.claims.extend(by_id.into_iter().flatten().cloned());
        let of_endpoints = claims.endpoints.iter().filter(|of| of.holds(head, session.span));
        let more: Vec<Rc<str>> = of_endpoints.map(|of| Rc::clone(&of.claim)).collect();
        if by_id.is_none() && more.is_empty() {
            return Ok(());
        }
        let new = more.into_iter().filter(|claim| !session.claims.contains(claim));
        let new: Vec<Rc<str>> = new.collect();
        session.claims.extend(new);
        let place = self.places.get(&session.id).copied();
        if let Some(known) = place.and_then(|at| self.sessions.get_mut(at)) {
            // A later line of a session that lasted says all that an earlier one did.
            *known = session;
            return Ok(());
        }
        if self.sessions.len() >= SESSIONS_MAX {
            self.beyond = true;
            return Ok(());
        }
        self.places.insert(session.id.clone(), self.sessions.len());
        self.sessions.push(session);
        Ok(())
    }
}

impl Endpoint {
    /// Whether a session has this end.
    fn is_end_of(&self, head: &Head<'_>) -> bool {
        let is = |end: &HeadEnd| end.ip.is_some_and(|ip| Addr::from(ip) == self.ip);
        let service = self.port.is_none() || head.destination.port == self.port;
        service && (is(&head.source) || is(&head.destination))
    }

    /// The same in the time that the alert is about.
    fn holds(&self, head: &Head<'_>, (first, last): (Nanos, Nanos)) -> bool {
        let (start, end) = self.span;
        self.is_end_of(head) && first <= end && last >= start
    }
}

fn missing(name: &str) -> String {
    format!("the session has no {name}: it has no packets of its own")
}

/// Times of the first and the last packet of a line.
fn span(line: &Flat) -> Result<(Nanos, Nanos), String> {
    let time = |name: &str| line.text(name).and_then(Nanos::parse).ok_or_else(|| missing(name));
    Ok((time("event.start")?, time("event.end")?))
}

/// Reads a session's line.
fn session(line: &Flat) -> Result<Session, String> {
    let end = |side: &str| {
        let ip = line.text(&format!("{side}.ip")).and_then(|ip| ip.parse::<IpAddr>().ok());
        let port = line.number(&format!("{side}.port")).map(|port| port as u16);
        ip.map(|ip| (Addr::from(ip), port))
    };
    let from = end("source").ok_or_else(|| missing("source.ip"))?;
    let to = end("destination").ok_or_else(|| missing("destination.ip"))?;
    let number = line.text("network.iana_number").and_then(|text| text.parse().ok());
    let places = line.objects("longhaul.packets");
    let place = places.first().ok_or_else(|| missing("longhaul.packets"))?;
    let own = |name: &str| place.count(name);
    Ok(Session {
        id: line.text("event.id").unwrap_or_default().to_owned(),
        ends: [(from.0, from.1.unwrap_or(0)), (to.0, to.1.unwrap_or(0))],
        transport: Transport(number.ok_or_else(|| missing("network.iana_number"))?),
        version: if line.text("network.type") == Some("ipv6") { 6 } else { 4 },
        has_ports: from.1.is_some() && to.1.is_some(),
        community: line.text("network.community_id").map(str::to_owned),
        vlan: line.text("network.vlan.id").and_then(|text| text.parse().ok()),
        network: line.number("longhaul.encapsulation.id").map(|id| id as u64),
        span: span(line)?,
        place: (own("input"), own("first"), own("last")),
        claims: Vec::new(),
        handshake: (
            line.number("longhaul.near.handshake_us"),
            line.number("longhaul.far.handshake_us"),
        ),
    })
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
mod tests;
