//! Round trips of a session: in-session samples of a leg, and exchanges that force a peer to
//! answer.
//!
//! Owns: their words and shapes, and the arithmetic from an exchange to a gap. In: session and
//! evidence fill them. Out: emit shows them, endpoints and detect use them. Never: halves, means,
//! or a verdict.

use crate::model::Heap;
use crate::model::lag::{Lag, Lags, Verdict};

/// The methods of in-session round trips; a leg may have several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Methods(pub u8);

impl Methods {
    /// The first echo of a TCP timestamp (RFC 7323 section 3).
    pub const TIMESTAMP: u8 = 1;
    /// Data and the first acknowledgement that covers it (RFC 6298, Karn's rule).
    pub const ACKNOWLEDGEMENT: u8 = 2;

    /// Whether every method of `bits` was used.
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// Their words, in this order.
    pub const fn words(self) -> &'static [&'static str] {
        match (self.has(Self::TIMESTAMP), self.has(Self::ACKNOWLEDGEMENT)) {
            (true, true) => &["timestamp", "ack"],
            (true, false) => &["timestamp"],
            (false, true) => &["ack"],
            (false, false) => &[],
        }
    }

    /// The methods with these words.
    pub fn of(words: &[&str]) -> Option<Methods> {
        let bit = |word: &&str| match *word {
            "timestamp" => Some(Self::TIMESTAMP),
            "ack" => Some(Self::ACKNOWLEDGEMENT),
            _ => None,
        };
        words.iter().map(bit).try_fold(0, |bits, bit| Some(bits | bit?)).map(Methods)
    }
}

/// In-session round trips of one leg: sensor to one end and back, in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// Lowest.
    pub min_ns: u64,
    /// Median, from a bounded sample of all.
    pub p50_ns: u64,
    /// 95th percentile, likewise.
    pub p95_ns: u64,
    /// Round trips measured.
    pub samples: u32,
    /// The methods used.
    pub methods: Methods,
}

/// Something one end sends that the other must answer before the protocol continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exchange {
    /// TCP's handshake is complete: the initiator's first payload, if it sends first.
    FirstData,
    /// TLS over TCP: the server's first flight, the client's next (RFC 8446 section 2, RFC 5246
    /// section 7.3); of the responder: ClientHello, ServerHello.
    Tls,
    /// The same if an earlier session is resumed (RFC 8446 section 2.2, RFC 5246 section 7.3).
    TlsResumed,
    /// The same with a client certificate, or inside OpenVPN over TCP, where it may be one: a
    /// person or a card may have to answer.
    TlsCertificate,
    /// TLS 1.2: the server's Finished, the client's first data (RFC 5246 section 7.3).
    TlsData,
    /// SSH: the server's identification or KEXINIT, the client's (RFC 4253 sections 4.2 and 7).
    Ssh,
    /// SSH user authentication: an answer of the server, the client's next request (RFC 4252).
    SshAuth,
    /// DTLS: HelloVerifyRequest or HelloRetryRequest, the second ClientHello; or as TLS.
    Dtls,
    /// DTLS, if an earlier session is resumed: the server's Finished, the client's.
    DtlsResumed,
    /// QUIC: the server's Initial or Handshake, the client's Handshake (RFC 9001 section 4.1).
    Quic,
    /// QUIC, if an earlier session is resumed: the flight has no certificate to check.
    QuicResumed,
    /// IKEv2: the response to IKE_SA_INIT, IKE_AUTH (RFC 7296 section 1.2).
    Ike,
    /// WireGuard: handshake response, first transport message (WireGuard whitepaper section 5.4).
    Wireguard,
    /// OpenVPN: a control packet and its acknowledgement; over TCP, the server's reset and the
    /// client's next packet.
    Openvpn,
    /// RDP and CredSSP: a server's message of the connection sequence, the client's next.
    Rdp,
    /// RFB: the server's version or security message, the client's answer (RFC 6143 section 7.1).
    Rfb,
    /// DNS over UDP: a question and its answer, including the resolver's own queries.
    Dns,
    /// WebSocket or HTTP/2 ping and pong, or STUN request and response: answered without computing.
    Ping,
}

impl Exchange {
    /// Every one, in order.
    pub const ALL: &'static [Exchange] = &[
        Exchange::FirstData,
        Exchange::Tls,
        Exchange::TlsResumed,
        Exchange::TlsCertificate,
        Exchange::TlsData,
        Exchange::Ssh,
        Exchange::SshAuth,
        Exchange::Dtls,
        Exchange::DtlsResumed,
        Exchange::Quic,
        Exchange::QuicResumed,
        Exchange::Ike,
        Exchange::Wireguard,
        Exchange::Openvpn,
        Exchange::Rdp,
        Exchange::Rfb,
        Exchange::Dns,
        Exchange::Ping,
    ];

    /// Those that go over UDP.
    pub const OVER_UDP: [Exchange; 9] = [
        Exchange::Dtls,
        Exchange::DtlsResumed,
        Exchange::Quic,
        Exchange::QuicResumed,
        Exchange::Ike,
        Exchange::Wireguard,
        Exchange::Openvpn,
        Exchange::Ping,
        Exchange::Dns,
    ];

    /// Its word: `longhaul.gap.WORD_us`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Exchange::FirstData => "first_data",
            Exchange::Tls => "tls",
            Exchange::TlsResumed => "tls_resumed",
            Exchange::TlsCertificate => "tls_certificate",
            Exchange::TlsData => "tls_data",
            Exchange::Ssh => "ssh",
            Exchange::SshAuth => "ssh_auth",
            Exchange::Dtls => "dtls",
            Exchange::DtlsResumed => "dtls_resumed",
            Exchange::Quic => "quic",
            Exchange::QuicResumed => "quic_resumed",
            Exchange::Ike => "ike",
            Exchange::Wireguard => "wireguard",
            Exchange::Openvpn => "openvpn",
            Exchange::Rdp => "rdp",
            Exchange::Rfb => "rfb",
            Exchange::Dns => "dns",
            Exchange::Ping => "ping",
        }
    }
}

/// One such exchange, measured: from the last packet that requires the answer to the first packet
/// of the answer, both as the sensor saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The kind of exchange.
    pub exchange: Exchange,
    /// Whether the initiator answered; else the responder.
    pub by_initiator: bool,
    /// The full round trip between the sensor and the program that answered, including its
    /// computing time, in ns.
    pub round_trip_ns: u64,
    /// How long the answer took behind the acknowledgement of the question; for first data, behind
    /// the acknowledgement that completed the handshake. Over UDP there is none.
    pub lag: Lag,
}

impl Turn {
    /// A turn whose lag is unknown.
    pub const fn new(exchange: Exchange, by_initiator: bool, round_trip_ns: u64) -> Turn {
        Turn { exchange, by_initiator, round_trip_ns, lag: Lag::NONE }
    }

    /// What it took beyond its transport, in ns. First data follow the handshake's acknowledgement,
    /// and are compared with that: the lowest round trip of the session is lower by jitter.
    pub fn gap_ns(&self, transport_ns: Option<u64>) -> Option<u64> {
        let lag = self.lag.ns().filter(|_| self.exchange == Exchange::FirstData);
        lag.or_else(|| Some(self.round_trip_ns.saturating_sub(transport_ns?)))
    }
}

/// Why an exchange gives no turn; a session may have several reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Exclusions(pub u16);

impl Exclusions {
    /// The handshake resumed an earlier session: it is no exclusion, but a kind of its own.
    pub const RESUMED: u16 = 1;
    /// Early data was offered (RFC 8446 section 2.3).
    pub const EARLY_DATA: u16 = 2;
    /// HelloRetryRequest: the flights differ (RFC 8446 section 4.1.4).
    pub const RETRY_REQUEST: u16 = 4;
    /// The server asked for the client's certificate: a person or a card may have to answer.
    pub const CLIENT_CERTIFICATE: u16 = 8;
    /// Something was retransmitted, out of order or missing in between.
    pub const LOSS: u16 = 16;
    /// A flight whose end is unclear: the answer came before its last packet, or does not
    /// acknowledge it.
    pub const SPLIT_FLIGHT: u16 = 32;
    /// The acknowledgement of the question was late too, and came together with the answer.
    pub const STALL: u16 = 64;

    /// Each bit with its word.
    pub const WORDS: [(u16, &'static str); 6] = [
        (Self::EARLY_DATA, "early-data"),
        (Self::RETRY_REQUEST, "retry-request"),
        (Self::CLIENT_CERTIFICATE, "client-certificate"),
        (Self::LOSS, "loss"),
        (Self::SPLIT_FLIGHT, "split-flight"),
        (Self::STALL, "stall"),
    ];

    /// The words of the reasons that apply.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS.into_iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, word)| word)
    }

    /// Whether every reason of `bits` applies.
    pub const fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }
}

/// The exchanges of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// The reliable ones, in the order seen; capped by the observer.
    pub turns: Vec<Turn>,
    /// Why others are excluded.
    pub excluded: Exclusions,
    /// Over UDP: the lowest round trip to the initiator that is answered without computing (a
    /// cookie's echo, an acknowledgement, a ping): the closest equivalent of a transport round
    /// trip.
    pub near: Option<Turn>,
    /// Likewise to the responder.
    pub far: Option<Turn>,
    /// Over UDP: the initiator answered a question of the responder, however long it took.
    pub answered: bool,
    /// Over TCP: how long the first answers took behind the acknowledgement of their question.
    pub lags: Lags,
    /// Over TCP: answers of the responder in a row that took equally long.
    pub chain: Option<Chain>,
}

/// Answers in a row that took equally long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The lowest of these round trips.
    pub round_trip_ns: u64,
    /// How many these are.
    pub turns: u32,
}

impl Heap for Turn {
    fn heap(&self) -> usize {
        0
    }
}

impl Heap for Turns {
    fn heap(&self) -> usize {
        self.turns.heap()
    }
}

impl Turns {
    /// Adds a round trip over UDP that is answered without computing; the lowest is kept.
    pub fn note_answered(&mut self, turn: Turn) {
        let lowest = if turn.by_initiator { &mut self.near } else { &mut self.far };
        if lowest.is_none_or(|lowest| turn.round_trip_ns < lowest.round_trip_ns) {
            *lowest = Some(turn);
        }
    }

    /// The lowest round trip over UDP to the initiator or to the responder: of those answered
    /// without computing, else of the others.
    pub fn over_udp(&self, by_initiator: bool) -> Option<Turn> {
        let answered = if by_initiator { self.near } else { self.far };
        let thought = self.turns.iter().filter(|turn| {
            let udp = matches!(
                turn.exchange,
                Exchange::Dtls
                    | Exchange::DtlsResumed
                    | Exchange::Quic
                    | Exchange::QuicResumed
                    | Exchange::Ike
            );
            udp && turn.by_initiator == by_initiator
        });
        answered.or_else(|| thought.min_by_key(|turn| turn.round_trip_ns).copied())
    }

    /// The gap of an exchange over UDP at the initiator, in ns: its lowest turn less the lowest
    /// round trip without computing; absent if there is no such round trip.
    pub fn gap_over_udp(&self, exchange: Exchange) -> Option<u64> {
        let thought = self.lowest(exchange, true)?;
        Some(thought.saturating_sub(self.near?.round_trip_ns))
    }

    /// The lowest round trip of an exchange, in ns.
    pub fn lowest(&self, exchange: Exchange, by_initiator: bool) -> Option<u64> {
        self.of(exchange, by_initiator).map(|turn| turn.round_trip_ns).min()
    }

    /// The turns of one kind and side.
    fn of(&self, exchange: Exchange, by_initiator: bool) -> impl Iterator<Item = &Turn> {
        let turns = self.turns.iter();
        turns.filter(move |turn| turn.exchange == exchange && turn.by_initiator == by_initiator)
    }
}

/// Turns that [`Turns::settle`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The answer came sooner than its question can have reached the end.
    pub split_flight: u64,
    /// Question and answer were delayed together.
    pub stalled: u64,
}

impl Turns {
    /// Removes each turn whose answer came sooner than its question can have reached the end: the
    /// flight continued while the answer was in transit. An eighth of the leg is allowed for
    /// jitter. Also those that stalled, and lags that say nothing.
    pub fn settle(&mut self, near: &Leg, far: &Leg) -> Removed {
        let (near, far) = (near.transport_ns(), far.transport_ns());
        let mut removed = Removed::default();
        self.turns.retain_mut(|turn| {
            let leg = if turn.by_initiator { near } else { far };
            if leg.is_some_and(|leg| turn.round_trip_ns < leg - leg / 8) {
                removed.split_flight += 1;
                return false;
            }
            // The system itself sends what completes the handshake, and no timer delays it.
            if turn.exchange == Exchange::FirstData {
                return true;
            }
            match turn.lag.judge(turn.round_trip_ns, leg) {
                Verdict::Known => {}
                Verdict::Unknown => turn.lag = Lag::NONE,
                Verdict::Stalled => removed.stalled += 1,
            }
            turn.lag.judge(turn.round_trip_ns, leg) != Verdict::Stalled
        });
        self.lags.settle(near, far);
        for (count, why) in
            [(removed.split_flight, Exclusions::SPLIT_FLIGHT), (removed.stalled, Exclusions::STALL)]
        {
            self.excluded.0 |= if count > 0 { why } else { 0 };
        }
        removed
    }

    /// The cross-layer gap: the lowest round trip of an exchange less that of its transport, in ns;
    /// `None` if either is unknown.
    pub fn gap(&self, exchange: Exchange, by_initiator: bool, leg: &Leg) -> Option<u64> {
        let transport = leg.transport_ns();
        transport?;
        self.of(exchange, by_initiator).filter_map(|turn| turn.gap_ns(transport)).min()
    }
}

/// One leg: the full round trips between the sensor and one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leg {
    /// TCP handshake round trip in ns; absent if Karn's rule, Fast Open or loss forbid it.
    pub handshake_ns: Option<u64>,
    /// Round trips measured within the session.
    pub in_session: Option<RoundTrips>,
}

impl Leg {
    /// The leg's transport round trip: the lower one of handshake and in-session minimum, in ns.
    pub fn transport_ns(&self) -> Option<u64> {
        let in_session = self.in_session.map(|trips| trips.min_ns);
        self.handshake_ns.into_iter().chain(in_session).min()
    }
}
