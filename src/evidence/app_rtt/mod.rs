//! Round trips of the opening of a TCP session: who had to answer whom, and how long it took.
//!
//! Owns: the state of the opening and the turns measured so far. In: segments in order, with the
//! number of problems in the stream so far. Out: [`Turns`]. Never: keeps payload, continues after
//! its bounds, or measures across a loss.
//!
//! A turn is the time from the last packet that requires an answer to the first packet of the
//! answer, both as they passed the sensor. So it is a full round trip between the sensor and the
//! program that answers, including its computing time. If a proxy terminates TCP, the program that
//! answers is behind it: the round trip of TLS or SSH is longer than that of TCP by the hidden leg
//! (Xue et al., NDSS 2025).

mod chain;
mod excluded;
mod lag;
#[cfg(test)]
mod lag_tests;
mod mark;
mod openvpn;
mod ping;
mod signs;
#[cfg(test)]
mod tests;

use self::chain::{CHAIN_SEGMENTS, CHAIN_SEGMENTS_TUNNEL, ChainWatch};
use self::lag::NOT_YET;
use self::mark::{Mark, Slot, acknowledges};
use self::openvpn::OpenvpnStep;
use self::ping::Pings;
use crate::model::lag::{Lag, Lags};
use crate::model::latency::{Exchange, Exclusions, Turn, Turns};
use crate::model::record::TlsFacts;
use crate::model::{Counter, Counters, Heap, Nanos, Peer, Segment};

/// Segments checked while nothing is known: an SMTP dialogue before STARTTLS has ten.
const SEGMENTS_UNKNOWN: u16 = 12;
/// Segments checked in all: an opening has fewer than thirty; the rest is for pings, which servers
/// send every 5 to 30 s into a conversation of some packets a second.
const SEGMENTS_MAX: u16 = 128;
/// Bytes after the opening: a session that moves more is no conversation, and a ping in it waits in
/// queues.
const BYTES_MAX: u32 = 32 * 1024;
/// Segments within which lags are taken where the exchanges are over: four turns of a browser.
const LAG_SEGMENTS_MAX: u16 = 64;
/// Turns kept per session.
const TURNS_MAX: usize = 16;
/// Authentication requests that follow from the server's answer: `none`, key offered, key used.
/// Later the server sends without being asked (measured: a minimum over all turns is near 0).
const AUTH_TURNS: u8 = 3;
/// Answers of an RFB opening: version, security type, and two more (RFC 6143 section 7.1 to 7.3).
const RFB_TURNS: u8 = 4;
/// Rounds of CredSSP, or of the MCS connection (MS-RDPBCGR section 1.3.1.1), behind TLS.
const RDP_TURNS: u8 = 3;

/// The state of the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing known.
    Unknown,
    /// SSH up to the client's NEWKEYS.
    Ssh,
    /// RDP's connection request was sent.
    Rdp,
    /// A ClientHello was sent.
    Hello,
    /// The server's first flight has started.
    ServerFlight,
    /// The client has answered it; and whether application data came with it.
    ClientFlight { with_data: bool },
    /// TLS 1.2: the server finishes the handshake, the client's data come next.
    ServerFinished,
    /// RDP behind TLS: the client sends first, without being asked.
    RdpBehindTls,
    /// Each answer of the initiator counts, this many more.
    Rounds(Exchange, u8),
    /// OpenVPN, whose packets stand in a stream here.
    Openvpn(OpenvpnStep),
    /// Behind TLS: pings only.
    Pings,
    /// Nothing more is measured.
    Over,
}

/// The state of one session's opening: 248 bytes.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    turns: Vec<Turn>,
    lags: Lags,
    excluded: Exclusions,
    phase: Phase,
    /// Last payload of initiator and responder.
    last: (Slot, Slot),
    /// When initiator and responder acknowledged the other's last payload; the maximum time means
    /// "not yet".
    acked: (Nanos, Nanos),
    /// The sender of the previous segment.
    before: Option<Peer>,
    /// SSH: the server's identification string. TLS: a ping that waits for its answer.
    asked: Slot,
    pings: Pings,
    chain: ChainWatch,
    segments: u16,
    bytes: u32,
    /// TLS runs inside RDP.
    rdp: bool,
    /// No further lag is taken.
    lags_over: bool,
    /// What the responder sent last came in pieces, of which an earlier one was acknowledged alone.
    pieces: bool,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            turns: Vec::new(),
            lags: Lags::default(),
            excluded: Exclusions::default(),
            phase: Phase::Unknown,
            last: (Slot::EMPTY, Slot::EMPTY),
            acked: (NOT_YET, NOT_YET),
            before: None,
            asked: Slot::EMPTY,
            pings: Pings::default(),
            chain: ChainWatch::default(),
            segments: 0,
            bytes: 0,
            rdp: false,
            lags_over: false,
            pieces: false,
        }
    }
}

/// What is available beside the segment.
pub(super) struct Beside<'a> {
    /// TLS facts so far.
    pub(super) tls: Option<&'a TlsFacts>,
    /// Where turns and exclusions are counted.
    pub(super) counters: &'a mut Counters,
}

impl Heap for Watch {
    fn heap(&self) -> usize {
        self.turns.heap()
    }
}

impl Watch {
    /// Whether there is nothing more to measure.
    pub(super) fn is_over(&self) -> bool {
        self.is_past_turns() && self.chain.is_over()
    }

    /// Whether only a chain may follow.
    pub(super) fn is_past_turns(&self) -> bool {
        self.phase == Phase::Over && self.lags_over
    }

    /// Whether the exchanges of the opening are over.
    pub(super) fn is_past_opening(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Adds the results to the session's turns, created if there are results.
    pub(super) fn leave<'f>(self, known: impl FnOnce() -> &'f mut Turns) {
        let chain = self.chain.result();
        let says = !self.turns.is_empty() || !self.lags.is_empty() || chain.is_some();
        if says || self.excluded != Exclusions::default() {
            let known = known();
            known.excluded.0 |= self.excluded.0;
            (known.lags, known.chain) = (self.lags, chain);
            match known.turns.is_empty() {
                true => known.turns = self.turns,
                false => known.turns.extend(self.turns),
            }
        }
    }

    /// Processes the next segment.
    pub(super) fn observe(&mut self, segment: &Segment<'_>, beside: &mut Beside<'_>) {
        if self.is_over() {
            return;
        }
        let mark = Mark { time: segment.time, troubles: segment.troubles, end: segment.numbers.0 };
        if segment.gap && self.phase != Phase::Unknown && !self.is_past_turns() {
            // What was asked or answered in the gap is unknown.
            if self.phase != Phase::Over {
                self.exclude(Exclusions::LOSS, beside);
            }
            (self.phase, self.lags_over) = (Phase::Over, true);
            self.chain.end();
            return;
        }
        self.take_chain(segment);
        if self.is_past_turns() {
            if segment.from == Peer::Initiator {
                self.last.0 = Slot::of(mark);
            }
            self.before = Some(segment.from);
            return self.bound(segment);
        }
        self.take_lag(segment, beside.tls);
        match segment.from {
            Peer::Initiator => {
                if self.last.0.get().is_none() {
                    self.observe_first(segment, beside);
                }
                self.observe_initiator(segment, mark, beside);
                (self.last.0, self.acked.1) = (Slot::of(mark), NOT_YET);
            }
            Peer::Responder => {
                let again = self.before == Some(Peer::Responder);
                self.pieces = again && (self.pieces || self.acked.0 != NOT_YET);
                self.observe_responder(segment, mark, beside);
                (self.last.1, self.acked.0) = (Slot::of(mark), NOT_YET);
            }
        }
        self.acknowledged(segment.from, segment.numbers.1, segment.time);
        self.before = Some(segment.from);
        self.bound(segment);
    }

    /// The initiator's first payload. An SSH client sends its identification string without being
    /// asked (RFC 4253 section 4.2); any other client that waited for the server did not send
    /// first.
    fn observe_first(&mut self, segment: &Segment<'_>, beside: &mut Beside<'_>) {
        let first = self.last.1.get().is_none() || segment.payload.starts_with(b"SSH-");
        if let Some((asked, acked)) = segment.opened.filter(|_| first) {
            let troubles = if self.last.1.get().is_none() { segment.troubles } else { 0 };
            // The handshake's ACK covered the SYN-ACK.
            let end = segment.numbers.1;
            let lag = segment.time.checked_since(acked).map_or(Lag::NONE, Lag::of);
            let asked = (Mark { time: asked, troubles, end }, lag);
            if let Some(turn) = self.measure(Exchange::FirstData, asked, segment, beside) {
                self.add_turn(turn, beside);
            }
        }
    }

    fn observe_initiator(&mut self, segment: &Segment<'_>, mark: Mark, beside: &mut Beside<'_>) {
        let bytes = segment.payload;
        if signs::is_client_hello(bytes) {
            return self.observe_hello(segment, beside);
        }
        match self.phase {
            Phase::Unknown if bytes.starts_with(b"SSH-") => self.phase = Phase::Ssh,
            // A server of VNC that connects to its viewer.
            Phase::Unknown if bytes.starts_with(b"RFB ") => {
                self.chain.begin(CHAIN_SEGMENTS_TUNNEL);
            }
            Phase::Unknown if signs::is_rdp_request(bytes) => self.phase = Phase::Rdp,
            Phase::Unknown if openvpn::begins(bytes) => {
                self.phase = Phase::Openvpn(OpenvpnStep::Reset);
            }
            Phase::Openvpn(step) => self.observe_openvpn_client(step, segment, beside),
            Phase::Rdp => {
                self.answer(Exchange::Rdp, segment, beside);
                self.phase = Phase::Rounds(Exchange::Rdp, RDP_TURNS);
            }
            Phase::ServerFlight => self.observe_client_flight(segment, beside),
            Phase::ClientFlight { .. } if signs::is_application_data(bytes) => {
                self.phase = Phase::ClientFlight { with_data: true };
            }
            Phase::ServerFinished => {
                let with_data = signs::is_application_data(bytes);
                if with_data {
                    self.answer(Exchange::TlsData, segment, beside);
                }
                self.leave_tls(with_data, beside.tls);
            }
            Phase::RdpBehindTls if signs::is_application_data(bytes) => {
                self.phase = Phase::Rounds(Exchange::Rdp, RDP_TURNS);
            }
            Phase::Rounds(exchange, left) => self.observe_round(exchange, left, segment, beside),
            Phase::Pings => self.observe_pong(segment, beside),
            _ => {}
        }
        if self.phase == Phase::Ssh {
            self.observe_ssh_client(segment, mark, beside);
        }
    }

    /// A round of questions and answers. Where Nagle's algorithm held back a part of the question
    /// until the first was acknowledged, and a proxy acknowledges, the answer may be to the first.
    fn observe_round(
        &mut self,
        exchange: Exchange,
        left: u8,
        segment: &Segment<'_>,
        beside: &mut Beside<'_>,
    ) {
        let answered = match self.pieces && self.before == Some(Peer::Responder) {
            true => {
                self.exclude(Exclusions::SPLIT_FLIGHT, beside);
                true
            }
            false => self.answer(exchange, segment, beside),
        };
        if answered {
            let left = left.saturating_sub(1);
            self.phase = if left == 0 { Phase::Over } else { Phase::Rounds(exchange, left) };
        }
    }

    /// A ClientHello: ends any state before it.
    fn observe_hello(&mut self, segment: &Segment<'_>, beside: &mut Beside<'_>) {
        match self.phase {
            Phase::Rdp => {
                self.answer(Exchange::Rdp, segment, beside);
                self.rdp = true;
            }
            Phase::Rounds(exchange, _) => {
                self.answer(exchange, segment, beside);
            }
            Phase::ServerFlight => self.exclude(Exclusions::RETRY_REQUEST, beside),
            _ => {}
        }
        self.phase = Phase::Hello;
        self.chain.begin(CHAIN_SEGMENTS);
    }

    fn observe_responder(&mut self, segment: &Segment<'_>, mark: Mark, beside: &mut Beside<'_>) {
        let bytes = segment.payload;
        match self.phase {
            Phase::Unknown if bytes.starts_with(b"RFB ") => {
                self.chain.begin(CHAIN_SEGMENTS_TUNNEL);
                self.phase = Phase::Rounds(Exchange::Rfb, RFB_TURNS);
            }
            Phase::Unknown | Phase::Ssh if bytes.starts_with(b"SSH-") => {
                self.chain.begin(CHAIN_SEGMENTS_TUNNEL);
                self.asked = Slot::of(mark);
                self.phase = Phase::Ssh;
            }
            Phase::Hello => {
                self.phase = if signs::is_server_hello(bytes) {
                    self.answer(Exchange::Tls, segment, beside);
                    Phase::ServerFlight
                } else {
                    Phase::Over
                };
            }
            Phase::ClientFlight { with_data: false } if signs::ends_handshake(bytes) => {
                self.phase = Phase::ServerFinished;
            }
            Phase::ClientFlight { with_data } => self.leave_tls(with_data, beside.tls),
            Phase::Rounds(exchange, _) => {
                self.answer(exchange, segment, beside);
            }
            Phase::Openvpn(step) => {
                self.phase = step.behind(bytes).map_or(Phase::Over, Phase::Openvpn);
            }
            Phase::Pings if self.pings.note_ping(bytes) => self.asked = Slot::of(mark),
            _ => {}
        }
    }

    /// The client's answer to the server's first flight: key exchange or Finished.
    fn observe_client_flight(&mut self, segment: &Segment<'_>, beside: &mut Beside<'_>) {
        self.phase = Phase::ClientFlight { with_data: false };
        let Some(tls) = beside.tls else { return };
        let (resumed, early) = (tls.resumed == Some(true), tls.early_data);
        let certificate = signs::sends_certificate(segment.payload);
        if tls.retry_request || early || signs::is_alert(segment.payload) {
            let early = if early { Exclusions::EARLY_DATA } else { 0 };
            self.exclude(early, beside);
        } else if resumed {
            // A kind of its own: it needs no public-key work of the client.
            beside.counters.bump(Counter::TurnsResumed);
            self.answer(Exchange::TlsResumed, segment, beside);
        } else if certificate {
            self.exclude(Exclusions::CLIENT_CERTIFICATE, beside);
            self.answer(Exchange::TlsCertificate, segment, beside);
        } else {
            self.answer(Exchange::Tls, segment, beside);
        }
    }

    /// The handshake is over; whether it included the client's first data.
    fn leave_tls(&mut self, with_data: bool, tls: Option<&TlsFacts>) {
        self.bytes = 0;
        self.pings = Pings::behind(tls);
        self.phase = match (self.rdp, with_data) {
            (false, _) => Phase::Pings,
            (true, true) => Phase::Rounds(Exchange::Rdp, RDP_TURNS),
            // A ticket of the server requires no answer.
            (true, false) => Phase::RdpBehindTls,
        };
    }

    fn observe_ssh_client(&mut self, segment: &Segment<'_>, mark: Mark, beside: &mut Beside<'_>) {
        if signs::has_kexinit(segment.payload)
            && let Some(asked) = self.asked.take()
        {
            // A client that sends both at once (Dropbear) waited for nothing, although a proxy may
            // have received the server's string before (RFC 4253 section 7.1 allows it).
            match segment.payload.starts_with(b"SSH-") {
                true => self.exclude(Exclusions::SPLIT_FLIGHT, beside),
                false => self.turn(Exchange::Ssh, asked, segment, beside),
            }
        }
        if signs::is_newkeys(segment.payload) {
            self.phase = Phase::Rounds(Exchange::SshAuth, AUTH_TURNS);
            // The server's earlier messages belong to the key exchange.
            self.last = (Slot::of(mark), Slot::EMPTY);
        }
    }

    /// Records a turn if this segment answers one of the other side. Returns whether it does.
    fn answer(&mut self, what: Exchange, segment: &Segment<'_>, beside: &mut Beside<'_>) -> bool {
        let asked = match segment.from {
            Peer::Initiator => self.last.1,
            Peer::Responder => self.last.0,
        };
        match asked.get() {
            Some(asked) if self.before.is_some_and(|before| before != segment.from) => {
                self.turn(what, asked, segment, beside);
                true
            }
            _ => false,
        }
    }

    fn turn(
        &mut self,
        what: Exchange,
        asked: Mark,
        segment: &Segment<'_>,
        beside: &mut Beside<'_>,
    ) {
        let lag = self.lag(asked, segment);
        if let Some(turn) = self.measure(what, (asked, lag), segment, beside) {
            self.add_turn(turn, beside);
        }
    }

    /// The turn from a question to its answer, if that can be measured.
    fn measure(
        &mut self,
        what: Exchange,
        (asked, lag): (Mark, Lag),
        segment: &Segment<'_>,
        beside: &mut Beside<'_>,
    ) -> Option<Turn> {
        if asked.troubles != segment.troubles {
            self.exclude(Exclusions::LOSS, beside);
            return None;
        }
        // An answer acknowledges its question. Data that were in flight, or that Nagle's algorithm
        // (RFC 896) delayed until an earlier segment was acknowledged, come after it and are no
        // answer.
        if !acknowledges(segment.numbers.1, asked.end) {
            self.exclude(Exclusions::SPLIT_FLIGHT, beside);
            return None;
        }
        let span = segment.time.checked_since(asked.time)?;
        let by_initiator = segment.from == Peer::Initiator;
        Some(Turn { exchange: what, by_initiator, round_trip_ns: span.0, lag })
    }

    fn add_turn(&mut self, turn: Turn, beside: &mut Beside<'_>) {
        if self.turns.len() >= TURNS_MAX {
            return;
        }
        beside.counters.bump(Counter::Turns);
        // Most sessions have one.
        if self.turns.is_empty() {
            self.turns.reserve_exact(1);
        }
        self.turns.push(turn);
    }

    /// Ends the measurement at its bounds.
    fn bound(&mut self, segment: &Segment<'_>) {
        self.segments = self.segments.saturating_add(1);
        let bytes = u32::try_from(segment.payload.len()).unwrap_or(u32::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        let unknown = self.phase == Phase::Unknown && self.segments >= SEGMENTS_UNKNOWN;
        if unknown || self.segments >= SEGMENTS_MAX || self.bytes >= BYTES_MAX {
            self.phase = Phase::Over;
        }
        if self.bytes >= BYTES_MAX {
            self.chain.end();
        }
        let past = unknown || self.segments >= LAG_SEGMENTS_MAX || self.lags.is_full();
        self.lags_over |= past;
    }
}
