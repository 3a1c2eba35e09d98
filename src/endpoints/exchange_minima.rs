//! Response times of an endpoint: the lowest round trips of each kind of exchange.
//!
//! Owns: the few lowest round trips of each kind of exchange, and a fair sample of those that need
//! computing. In: the turns of sessions. Out: numbers for the estimator. Never: a result that
//! depends on the order of sessions, or more than a few hundred bytes.

use crate::model::latency::Exchange;
use crate::model::latency::Turn;
use crate::model::latency::Turns;

/// Lowest values kept per kind.
const LOWEST: usize = 4;
/// Samples per outlier: with this many more samples one more of the lowest values is skipped,
/// because a single outlier among many must not hide a leg.
const SAMPLES_PER_ODD: u32 = 16;
/// Round trips sampled from all sessions.
const SAMPLED: usize = 24;

/// The lowest round trips of one kind of exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lowest {
    pub(super) exchange: Exchange,
    pub(super) samples: u32,
    lowest: [u64; LOWEST],
}

impl Lowest {
    const fn new(exchange: Exchange) -> Lowest {
        Lowest { exchange, samples: 0, lowest: [u64::MAX; LOWEST] }
    }

    fn add(&mut self, value: u64) {
        self.samples = self.samples.saturating_add(1);
        let mut carried = value;
        for kept in &mut self.lowest {
            if carried < *kept {
                std::mem::swap(kept, &mut carried);
            }
        }
    }

    /// Adds the values of another day.
    fn merge(&mut self, other: &Lowest) {
        let samples = self.samples.saturating_add(other.samples);
        other.lowest.iter().for_each(|value| self.add(*value));
        self.samples = samples;
    }

    /// The lowest value, or with many samples the one after the outliers.
    pub(super) fn low(&self) -> u64 {
        let odd = (self.samples / SAMPLES_PER_ODD).min(LOWEST as u32 - 1);
        self.lowest.get(odd as usize).copied().unwrap_or(u64::MAX)
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
    /// A sample as (fingerprint, round trip): those with the lowest fingerprints are a fair choice
    /// in any order.
    sample: Vec<(u64, u64)>,
    /// Sessions with a full handshake among the exchanges.
    pub(super) handshakes: u32,
}

impl Gathered {
    pub(super) const fn new() -> Gathered {
        Gathered {
            floor_ns: u64::MAX,
            first: None,
            others: Vec::new(),
            sample: Vec::new(),
            handshakes: 0,
        }
    }

    /// Adds a session's exchanges that the initiator answered, if the transport's round trip on its
    /// leg is known; `salt` distinguishes the session from others with equal times.
    pub(super) fn add(&mut self, turns: &Turns, transport_ns: Option<u64>, salt: u64) {
        let Some(transport_ns) = transport_ns else { return };
        self.floor_ns = self.floor_ns.min(transport_ns);
        let answered = || turns.turns.iter().filter(|turn| turn.by_initiator);
        let full = answered().any(|turn| is_full_handshake(turn.exchange));
        self.handshakes = self.handshakes.saturating_add(u32::from(full));
        for turn in answered() {
            self.add_turn(turn);
            if needs_computing(turn.exchange) {
                self.add_sample(turn.round_trip_ns, salt);
            }
        }
    }

    /// Adds the values of another day.
    pub(super) fn merge(&mut self, other: &Gathered) {
        self.floor_ns = self.floor_ns.min(other.floor_ns);
        self.handshakes = self.handshakes.saturating_add(other.handshakes);
        other
            .first
            .iter()
            .chain(&other.others)
            .for_each(|kind| self.kind(kind.exchange, |own| own.merge(kind)));
        other.sample.iter().for_each(|entry| self.keep_sample(*entry));
    }

    fn add_turn(&mut self, turn: &Turn) {
        self.kind(turn.exchange, |kind| kind.add(turn.round_trip_ns));
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

    fn add_sample(&mut self, round_trip_ns: u64, salt: u64) {
        self.keep_sample((print(round_trip_ns ^ salt.rotate_left(32)), round_trip_ns));
    }

    fn keep_sample(&mut self, entry: (u64, u64)) {
        let at = self.sample.partition_point(|kept| *kept < entry);
        if at < SAMPLED {
            self.sample.insert(at, entry);
            self.sample.truncate(SAMPLED);
        }
    }

    /// All kinds, in a fixed order.
    pub(super) fn kinds(&self) -> Vec<Lowest> {
        let mut kinds: Vec<Lowest> = self.first.iter().chain(&self.others).copied().collect();
        kinds.sort_unstable_by_key(|kind| kind.exchange);
        kinds
    }

    /// The sampled round trips that need computing, ascending.
    pub(super) fn sampled(&self) -> Vec<u64> {
        let mut values: Vec<u64> = self.sample.iter().map(|(_, value)| *value).collect();
        values.sort_unstable();
        values
    }
}

/// Whether the answer needs public-key arithmetic (by the client or the holder of the key): slow
/// clients are slow here.
pub(super) const fn needs_computing(exchange: Exchange) -> bool {
    matches!(
        exchange,
        Exchange::Tls
            | Exchange::TlsResumed
            | Exchange::TlsCertificate
            | Exchange::Dtls
            | Exchange::Quic
            | Exchange::Ike
    )
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

/// Mixes bits. No secret is needed: it only has to spread values (Steele, Lea and Flood, OOPSLA
/// 2014: `SplitMix64`).
const fn print(value: u64) -> u64 {
    let mixed = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
