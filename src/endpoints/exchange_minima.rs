//! Response times of an endpoint: the shortest answers of each kind of exchange, and samples.
//!
//! Owns: the few shortest answers of each kind of exchange, and fair samples of those whose scatter
//! tells something. In: the turns of sessions. Out: numbers for the estimator. Never: a result that
//! depends on the order of sessions, or more than a few hundred bytes.

use crate::endpoints::answer::{Answer, PROMPT_NS, Sample};
use crate::model::latency::{Exchange, Turns};

/// Lowest values kept per kind.
const LOWEST: usize = 4;
/// Samples per outlier: with this many more samples one more of the lowest values is skipped,
/// because a single outlier among many must not hide a leg.
const SAMPLES_PER_ODD: u32 = 16;
/// A gap below this is not significant.
pub(super) const SILENT_NS: u64 = 10_000_000;

/// The shortest answers of one kind of exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lowest {
    pub(super) exchange: Exchange,
    pub(super) samples: u32,
    /// Lags, ascending.
    lags: [u64; LOWEST],
    /// Round trips of answers whose lag is unknown, ascending.
    trips: [u64; LOWEST],
}

impl Lowest {
    const fn new(exchange: Exchange) -> Lowest {
        Lowest { exchange, samples: 0, lags: [u64::MAX; LOWEST], trips: [u64::MAX; LOWEST] }
    }

    fn add(&mut self, answer: Answer) {
        self.samples = self.samples.saturating_add(1);
        match answer {
            Answer::Lag(ns) => insert(&mut self.lags, ns),
            Answer::RoundTrip(ns) => insert(&mut self.trips, ns),
        }
    }

    /// Adds the values of another day.
    fn merge(&mut self, other: &Lowest) {
        self.samples = self.samples.saturating_add(other.samples);
        other.lags.iter().for_each(|ns| insert(&mut self.lags, *ns));
        other.trips.iter().for_each(|ns| insert(&mut self.trips, *ns));
    }

    /// The same, with what the answers took beyond a leg of `floor_ns`.
    fn without_leg(&self, floor_ns: u64) -> Lowest {
        let known = |ns: u64| if ns == u64::MAX { ns } else { ns.saturating_sub(floor_ns) };
        Lowest { trips: self.trips.map(known), ..*self }
    }

    /// What the shortest answer took beyond a leg of `floor_ns`, or with many samples the one after
    /// the outliers.
    pub(super) fn gap_ns(&self, floor_ns: u64) -> u64 {
        let mut all = self.lags;
        self.without_leg(floor_ns).trips.iter().for_each(|ns| insert(&mut all, *ns));
        let odd = (self.samples / SAMPLES_PER_ODD).min(LOWEST as u32 - 1);
        all.get(odd as usize).copied().unwrap_or(u64::MAX)
    }
}

/// Inserts into an ascending list that keeps its lowest values.
fn insert(lowest: &mut [u64; LOWEST], value: u64) {
    let mut carried = value;
    for kept in lowest {
        if carried < *kept {
            std::mem::swap(kept, &mut carried);
        }
    }
}

/// All values of one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Gathered {
    pub(super) floor_ns: u64,
    /// The first kind seen: most endpoints have no other, and stored here it costs no further cache
    /// miss.
    first: Option<Lowest>,
    others: Vec<Lowest>,
    /// Answers that need computing, if they are not prompt.
    pub(super) computed: Sample,
    /// First data that are not prompt.
    pub(super) first_data: Sample,
    /// Lags of the turns behind a TLS handshake.
    pub(super) later: Sample,
    /// Sessions with a full handshake among the exchanges.
    pub(super) handshakes: u32,
}

impl Gathered {
    pub(super) const fn new() -> Gathered {
        Gathered {
            floor_ns: u64::MAX,
            first: None,
            others: Vec::new(),
            computed: Sample::new(),
            first_data: Sample::new(),
            later: Sample::new(),
            handshakes: 0,
        }
    }

    /// Adds a session's exchanges that the initiator answered, if the transport's round trip on its
    /// leg is known; `salt` distinguishes the session from others with equal times.
    pub(super) fn add(&mut self, turns: &Turns, transport_ns: Option<u64>, salt: u64) {
        let Some(transport_ns) = transport_ns else { return };
        self.floor_ns = self.floor_ns.min(transport_ns);
        let answered = || turns.turns.iter().filter(|turn| turn.by_initiator);
        let has = |wanted: fn(Exchange) -> bool| answered().any(|turn| wanted(turn.exchange));
        self.handshakes = self.handshakes.saturating_add(u32::from(has(is_full_handshake)));
        for turn in answered() {
            let answer = Answer::of(turn, transport_ns);
            self.kind(turn.exchange, |kind| kind.add(answer));
            if answer.gap_ns(transport_ns) < SILENT_NS {
                continue;
            }
            if needs_computing(turn.exchange) {
                self.computed.add(answer, salt);
            } else if turn.exchange == Exchange::FirstData {
                self.first_data.add(answer, salt);
            }
        }
        // What other protocols do there are exchanges of their own.
        if has(is_tls) && !has(is_beyond_tls) {
            // In TLS 1.2 the first turn behind the handshake is an exchange of its own, too.
            let from = if has(|exchange| exchange == Exchange::TlsData) { 2 } else { 1 };
            for at in from..crate::model::lag::TURNS {
                if let Some(ns) = later_ns(turns, at, transport_ns) {
                    self.later.add(Answer::Lag(ns), salt ^ at as u64);
                }
            }
        }
    }

    /// Adds the values of another day, or of another line of the same address.
    pub(super) fn merge(&mut self, other: &Gathered) {
        self.floor_ns = self.floor_ns.min(other.floor_ns);
        self.handshakes = self.handshakes.saturating_add(other.handshakes);
        other
            .first
            .iter()
            .chain(&other.others)
            .for_each(|kind| self.kind(kind.exchange, |own| own.merge(kind)));
        self.computed.merge(&other.computed);
        self.first_data.merge(&other.first_data);
        self.later.merge(&other.later);
    }

    /// The same less the leg, so that it can be merged with what was measured over other legs.
    pub(super) fn without_leg(&self) -> Gathered {
        let floor_ns = self.floor_ns;
        Gathered {
            floor_ns: 0,
            first: self.first.map(|kind| kind.without_leg(floor_ns)),
            others: self.others.iter().map(|kind| kind.without_leg(floor_ns)).collect(),
            computed: self.computed.without_leg(floor_ns),
            first_data: self.first_data.without_leg(floor_ns),
            later: self.later.clone(),
            handshakes: self.handshakes,
        }
    }

    /// Changes the values of one kind.
    fn kind(&mut self, exchange: Exchange, change: impl FnOnce(&mut Lowest)) {
        let first = self.first.get_or_insert(Lowest::new(exchange));
        let mut kinds = std::iter::once(first).chain(&mut self.others);
        match kinds.find(|kind| kind.exchange == exchange) {
            Some(kind) => change(kind),
            None => {
                let mut kind = Lowest::new(exchange);
                change(&mut kind);
                self.others.push(kind);
            }
        }
    }

    /// All kinds, in a fixed order.
    pub(super) fn kinds(&self) -> Vec<Lowest> {
        let mut kinds: Vec<Lowest> = self.first.iter().chain(&self.others).copied().collect();
        kinds.sort_unstable_by_key(|kind| kind.exchange);
        kinds
    }
}

/// How long the answer of a later turn took beyond the leg: its lag; or by its round trip, where a
/// timer may have delayed the acknowledgement. An answer that is itself the acknowledgement may be
/// data that crossed in flight, and says nothing.
fn later_ns(turns: &Turns, at: usize, transport_ns: u64) -> Option<u64> {
    let trip = turns.lags.round_trip_ns(true, at)?;
    let prompt = |lag: &u64| trip.saturating_sub(*lag) < transport_ns.saturating_add(PROMPT_NS);
    let lag = turns.lags.ns(true, at).filter(prompt);
    Some(lag.unwrap_or_else(|| trip.saturating_sub(transport_ns)))
}

/// Whether the answer needs public-key arithmetic (by the client or the holder of the key): slow
/// clients are slow here. A resumed TLS handshake verifies no certificate (RFC 8446 section 2.2),
/// but software that looks at each connection delays it as well.
pub(super) const fn needs_computing(exchange: Exchange) -> bool {
    let over_udp = matches!(
        exchange,
        Exchange::Dtls
            | Exchange::DtlsResumed
            | Exchange::Quic
            | Exchange::QuicResumed
            | Exchange::Ike
    );
    over_udp || is_tls(exchange)
}

/// Whether the exchange is part of a TLS handshake over TCP.
const fn is_tls(exchange: Exchange) -> bool {
    matches!(exchange, Exchange::Tls | Exchange::TlsResumed | Exchange::TlsCertificate)
}

/// Whether the protocol inside or around TLS has exchanges of its own.
const fn is_beyond_tls(exchange: Exchange) -> bool {
    matches!(exchange, Exchange::Rdp | Exchange::Rfb | Exchange::Openvpn)
}

/// Whether the exchange belongs to a full handshake: one that neither resumes an earlier session
/// nor waits for a person's certificate. First data and pings are no handshakes.
const fn is_full_handshake(exchange: Exchange) -> bool {
    matches!(
        exchange,
        Exchange::Tls
            | Exchange::Ssh
            | Exchange::SshAuth
            | Exchange::Dtls
            | Exchange::Quic
            | Exchange::Ike
            | Exchange::Wireguard
            | Exchange::Openvpn
            | Exchange::Rdp
            | Exchange::Rfb
    )
}
