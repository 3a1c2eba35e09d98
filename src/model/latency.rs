//! Round trips of a session: in-session samples of a leg, and exchanges that force a peer to
//! answer.
//!
//! Owns: their words and shapes, and the arithmetic from an exchange to a gap. In: session and
//! evidence fill them. Out: emit shows them, endpoints and detect weigh them. Never: halves, means,
//! or a verdict.

use crate::model::Heap;

/// How in-session round trips were taken; several may be true of one leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Methods(pub u8);

impl Methods {
    /// A TCP timestamp's first echo (RFC 7323 section 3).
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

    /// The methods of these words.
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
    /// Round trips taken.
    pub samples: u32,
    /// How.
    pub methods: Methods,
}

/// What one end sent that the other had to answer before anything went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exchange {
    /// TCP's handshake is done: the initiator's first payload, where it speaks first.
    FirstData,
    /// TLS over TCP: the server's first flight, the client's next (RFC 8446 section 2, RFC 5246
    /// section 7.3); of the responder: ClientHello, ServerHello.
    Tls,
    /// The same where an earlier session is resumed (RFC 8446 section 2.2, RFC 5246 section 7.3).
    TlsResumed,
    /// The same where the client proves who it is: a person or a card may have to answer.
    TlsCertificate,
    /// TLS 1.2: the server's Finished, the client's first data (RFC 5246 section 7.3).
    TlsData,
    /// SSH: the server's identification or KEXINIT, the client's (RFC 4253 sections 4.2 and 7).
    Ssh,
    /// SSH user authentication: an answer of the server, the client's next request (RFC 4252).
    SshAuth,
    /// DTLS: HelloVerifyRequest or HelloRetryRequest, the second ClientHello; or as TLS.
    Dtls,
    /// QUIC: the server's Initial or Handshake, the client's Handshake (RFC 9001 section 4.1).
    Quic,
    /// IKEv2: the response to IKE_SA_INIT, IKE_AUTH (RFC 7296 section 1.2).
    Ike,
    /// WireGuard: handshake response, first transport message (WireGuard whitepaper section 5.4).
    Wireguard,
    /// OpenVPN: a control packet and its acknowledgement.
    Openvpn,
    /// RDP and CredSSP: a server's message of the connection sequence, the client's next.
    Rdp,
    /// RFB: the server's version or security message, the client's answer (RFC 6143 section 7.1).
    Rfb,
    /// DNS over UDP: a question and its answer, the resolver's own asking included.
    Dns,
    /// WebSocket or HTTP/2 ping and pong, or STUN request and response: answered without thought.
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
        Exchange::Quic,
        Exchange::Ike,
        Exchange::Wireguard,
        Exchange::Openvpn,
        Exchange::Rdp,
        Exchange::Rfb,
        Exchange::Dns,
        Exchange::Ping,
    ];

    /// Those that go over UDP.
    pub const OVER_UDP: [Exchange; 7] = [
        Exchange::Dtls,
        Exchange::Quic,
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
            Exchange::Quic => "quic",
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

/// One such exchange, measured: from the last packet that forced the answer to the first that
/// answers, both as the sensor saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What it was.
    pub exchange: Exchange,
    /// The initiator was made to answer; else the responder.
    pub by_initiator: bool,
    /// The full round trip between the sensor and whoever answered, its thinking included, in ns.
    pub round_trip_ns: u64,
}

/// Why an exchange gives no turn; several may be true of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Exclusions(pub u16);

impl Exclusions {
    /// The handshake resumed an earlier session: the client may answer at once.
    pub const RESUMED: u16 = 1;
    /// Early data was offered (RFC 8446 section 2.3).
    pub const EARLY_DATA: u16 = 2;
    /// HelloRetryRequest: the flights are others (RFC 8446 section 4.1.4).
    pub const RETRY_REQUEST: u16 = 4;
    /// The server asked for the client's certificate: a person or a card may have to answer.
    pub const CLIENT_CERTIFICATE: u16 = 8;
    /// Something was sent again, came out of order or is missing meanwhile.
    pub const LOSS: u16 = 16;
    /// A flight whose end cannot be told: the answer came before its last packet, or does not
    /// acknowledge it.
    pub const SPLIT_FLIGHT: u16 = 32;

    /// Each bit with its word.
    pub const WORDS: [(u16, &'static str); 6] = [
        (Self::RESUMED, "resumed"),
        (Self::EARLY_DATA, "early-data"),
        (Self::RETRY_REQUEST, "retry-request"),
        (Self::CLIENT_CERTIFICATE, "client-certificate"),
        (Self::LOSS, "loss"),
        (Self::SPLIT_FLIGHT, "split-flight"),
    ];

    /// The words of those that hold.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS.into_iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, word)| word)
    }

    /// Whether every reason of `bits` holds.
    pub const fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }
}

/// The exchanges of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// Those that can be trusted, in the order seen; capped by whoever fills it.
    pub turns: Vec<Turn>,
    /// Why others are left out.
    pub excluded: Exclusions,
    /// Over UDP: the lowest round trip to the initiator of what is answered without thought (a
    /// cookie's echo, an acknowledgement, a ping): the nearest thing to a transport's own.
    pub near: Option<Turn>,
    /// Likewise to the responder.
    pub far: Option<Turn>,
    /// Over UDP: the initiator answered what the responder asked, however long it took.
    pub answered: bool,
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
    /// Notes a round trip of a datagram that is answered without thought; the lowest is kept.
    pub fn note_answered(&mut self, turn: Turn) {
        let lowest = if turn.by_initiator { &mut self.near } else { &mut self.far };
        if lowest.is_none_or(|lowest| turn.round_trip_ns < lowest.round_trip_ns) {
            *lowest = Some(turn);
        }
    }

    /// Of exchanges over UDP the lowest round trip to the initiator or to the responder: of those
    /// answered without thought, else of the others.
    pub fn over_udp(&self, by_initiator: bool) -> Option<Turn> {
        let answered = if by_initiator { self.near } else { self.far };
        let thought = self.turns.iter().filter(|turn| {
            let udp = matches!(turn.exchange, Exchange::Dtls | Exchange::Quic | Exchange::Ike);
            udp && turn.by_initiator == by_initiator
        });
        answered.or_else(|| thought.min_by_key(|turn| turn.round_trip_ns).copied())
    }

    /// What is hidden behind the initiator by an exchange over UDP, in ns: its lowest turn less the
    /// lowest round trip that took no thought; absent where no such round trip is known.
    pub fn gap_over_udp(&self, exchange: Exchange) -> Option<u64> {
        let thought = self.lowest(exchange, true)?;
        Some(thought.saturating_sub(self.near?.round_trip_ns))
    }

    /// The lowest round trip of an exchange, in ns.
    pub fn lowest(&self, exchange: Exchange, by_initiator: bool) -> Option<u64> {
        self.turns
            .iter()
            .filter(|turn| turn.exchange == exchange && turn.by_initiator == by_initiator)
            .map(|turn| turn.round_trip_ns)
            .min()
    }
}

impl Turns {
    /// Leaves out each turn whose answer came earlier than what it is held to answer can have
    /// reached the end in question: a flight that went on while the answer was under way. An eighth
    /// of the leg is left for its jitter. Gives how many were left out.
    pub fn settle(&mut self, near: &Leg, far: &Leg) -> usize {
        let (near, far) = (near.transport_ns(), far.transport_ns());
        let before = self.turns.len();
        self.turns.retain(|turn| {
            let leg = if turn.by_initiator { near } else { far };
            leg.is_none_or(|leg| turn.round_trip_ns >= leg - leg / 8)
        });
        let left_out = before - self.turns.len();
        if left_out > 0 {
            self.excluded.0 |= Exclusions::SPLIT_FLIGHT;
        }
        left_out
    }

    /// The cross-layer gap: the lowest round trip of an exchange beyond that of its transport, in
    /// ns; nothing where either is unknown.
    pub fn gap(&self, exchange: Exchange, by_initiator: bool, leg: &Leg) -> Option<u64> {
        let transport = leg.transport_ns()?;
        Some(self.lowest(exchange, by_initiator)?.saturating_sub(transport))
    }
}

/// One leg: the full round trips between the sensor and one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leg {
    /// TCP handshake round trip in ns; absent where Karn's rule, Fast Open or loss forbid it.
    pub handshake_ns: Option<u64>,
    /// Round trips taken while the session ran.
    pub in_session: Option<RoundTrips>,
}

impl Leg {
    /// The leg's transport round trip: the lower one of handshake and in-session minimum, in ns.
    pub fn transport_ns(&self) -> Option<u64> {
        let in_session = self.in_session.map(|trips| trips.min_ns);
        self.handshake_ns.into_iter().chain(in_session).min()
    }
}
