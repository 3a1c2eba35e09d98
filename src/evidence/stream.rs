//! One direction of a TCP stream: who speaks here, and which bytes must wait for more.
//!
//! Owns: the look at the first bytes, the protocol that fits them, a capped buffer while a message
//! straddles segments. In: payload in order. Out: calls to the observers. Never: copies a message
//! that is whole in one segment, or looks on after the bounds below.

use crate::evidence::app_signatures;
use crate::evidence::datagram::Talk;
use crate::evidence::dns;
use crate::evidence::held::Held;
use crate::evidence::held::Measure;
use crate::evidence::html_title;
use crate::evidence::http;
use crate::evidence::http::After;
use crate::evidence::openvpn;
use crate::evidence::parse_result::ParseResult;
use crate::evidence::socks_rdp_vnc;
use crate::evidence::ssh;
use crate::evidence::stream_sign::Sign;
use crate::evidence::stream_sign::sign;
use crate::evidence::tls;
use crate::evidence::websocket;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::Peer;
use crate::model::record::Facts;
use crate::wire::WireError;
use crate::wire::http::HEAD_MAX;
use crate::wire::http::Source;
use crate::wire::proxy_header;
use crate::wire::rdp;
use crate::wire::ssh::IDENTIFICATION_MAX;
use crate::wire::ssh::PACKET_MAX;

/// Segments of a direction looked at for a protocol's start. Preambles take turns: SOCKS 2,
/// CONNECT with a refused and a good log-in 3, STARTTLS in SMTP 4 to 6; 16 leaves room for small
/// segments.
const TURNS_MAX: u8 = 16;
/// Undecided bytes of a direction looked at: a PROXY header, a CONNECT head or an SMTP dialogue is
/// far shorter; a protocol that began otherwise and sent this much is not one that is listened
/// for.
pub(super) const LOOKED_BYTES_MAX: u16 = 8 * 1024;
/// A ClientHello with many post-quantum shares, or a flight with certificates, fits (RFC 8446
/// records are 16 KiB; a handshake message may be 16 MiB, which nobody sends).
const HELD_TLS_MAX: usize = 64 * 1024;
/// The length prefix of DNS over TCP allows no more.
const HELD_DNS_MAX: usize = 2 + 65_535;
/// Before a protocol is told: the longest thing waited for is a PROXY v1 line (107 bytes).
const HELD_LOOK_MAX: usize = 256;
/// Messages of DNS over TCP looked at in each direction.
const DNS_MESSAGES_MAX: u8 = 64;

/// What a lane is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Looking for a protocol's start.
    #[default]
    Look,
    /// Following TLS.
    Tls,
    /// Following SSH.
    Ssh,
    /// Waiting for the rest of a request.
    HttpRequest,
    /// Waiting for the rest of a response.
    HttpResponse,
    /// Following DNS, over TCP or UDP.
    Dns,
    /// Following QUIC.
    Quic,
    /// Following DTLS.
    Dtls,
    /// Stepping over how SOCKS, RDP or RFB begins.
    Greeting,
    /// Following SSDP.
    Ssdp,
    /// Following IKE.
    Ike,
    /// Following WireGuard.
    Wireguard,
    /// Following OpenVPN, over TCP or UDP.
    Openvpn,
    /// Following STUN, behind which DTLS may begin.
    Stun,
    /// Looking for a page's title.
    Page,
    /// Following the frames of a WebSocket.
    Websocket,
    /// Reading a PROXY header.
    ProxyHeader,
    /// Reading a message that may tell its protocol.
    Opening,
    /// Looking for the hellos of RDP over UDP.
    RdpUdp,
    /// Left alone.
    Done,
}

impl Mode {
    /// Whether a datagram of it is looked at for its timing only, by the session's talk.
    pub const fn is_timed_only(self) -> bool {
        matches!(self, Mode::Ike | Mode::Wireguard | Mode::Openvpn | Mode::Stun)
    }
}

/// What the lane may use while it looks at a segment.
pub struct ParseContext<'a> {
    /// Who sent it.
    pub role: Peer,
    /// Initiator's and responder's port.
    pub ports: (u16, u16),
    /// The session's facts, made at the first sign of a protocol.
    pub facts: &'a mut Option<Box<Facts>>,
    /// What both sides say together, made where a protocol needs it.
    pub talk: &'a mut Option<Box<Talk>>,
    /// Where failures are counted.
    pub counters: &'a mut Counters,
}

impl ParseContext<'_> {
    /// The facts, to write to.
    pub fn facts(&mut self) -> &mut Facts {
        self.facts.get_or_insert_default()
    }
}

/// One direction of a session.
#[derive(Debug, Default)]
pub struct StreamParser {
    /// What it is doing.
    pub mode: Mode,
    /// Undecided segments, requests or datagrams so far.
    pub turns: u8,
    /// Undecided bytes so far.
    looked: u16,
    /// Bytes of a body still to pass over.
    skip: u32,
    pub(super) held: Option<Box<Held>>,
}

/// What became of a run of bytes.
enum Run {
    /// All used, or nobody listens.
    All,
    /// What stands from here on waits for more: so much at least.
    Wait(usize, usize),
    /// What stands from here on belongs to no known protocol.
    Unknown(usize),
}

impl StreamParser {
    /// Whether it has seen nothing yet.
    pub fn is_fresh(&self) -> bool {
        self.mode == Mode::Look && self.turns == 0 && self.looked == 0 && self.held.is_none()
    }

    /// Whether the next bytes are all of a body that nobody reads.
    pub const fn passes_over(&self, payload: &[u8], gap: bool) -> bool {
        !gap && self.held.is_none() && payload.len() <= self.skip as usize
    }

    /// Looks at the next bytes in order. `gap`: bytes were lost just before them.
    pub fn observe(&mut self, payload: &[u8], gap: bool, context: &mut ParseContext<'_>) {
        if gap {
            // A message in progress is lost; a known protocol may still start at a later segment.
            self.held = None;
            self.skip = 0;
            self.mode = Mode::Look;
        }
        match self.held.take() {
            None => self.observe_fresh(payload, context),
            Some(held) => self.observe_held(held, payload, context),
        }
    }

    fn observe_fresh(&mut self, payload: &[u8], context: &mut ParseContext<'_>) {
        match self.run(payload, context) {
            Run::All => {}
            Run::Unknown(at) => self.pass(payload.len() - at),
            Run::Wait(at, missing) => {
                let bytes = payload.get(at..).unwrap_or_default();
                self.hold(Box::new(Held::new(bytes, missing)), context);
            }
        }
    }

    fn observe_held(
        &mut self,
        mut held: Box<Held>,
        payload: &[u8],
        context: &mut ParseContext<'_>,
    ) {
        let before = held.bytes.len();
        let measure = match self.mode {
            Mode::Tls => Measure::Records,
            Mode::HttpRequest | Mode::HttpResponse => Measure::Head,
            _ => Measure::Bytes,
        };
        let is_due = held.take(payload, measure);
        if !is_due && held.bytes.len() < self.held_max() {
            self.held = Some(held);
            return;
        }
        #[cfg(test)]
        crate::wire::reader::visited::note(held.bytes.len());
        match self.run(&held.bytes, context) {
            Run::All => {}
            Run::Wait(at, missing) => {
                held.used(at, missing);
                self.hold(held, context);
            }
            // What was held led nowhere: this segment is a start of its own.
            Run::Unknown(at) if at < before => {
                self.pass(before - at);
                self.observe_fresh(payload, context);
            }
            Run::Unknown(at) => self.pass(held.bytes.len() - at),
        }
    }

    /// Bytes of a message that may wait, by what the lane is doing.
    const fn held_max(&self) -> usize {
        match self.mode {
            Mode::Tls => HELD_TLS_MAX,
            Mode::Ssh => PACKET_MAX + 4 + IDENTIFICATION_MAX,
            Mode::Dns => HELD_DNS_MAX,
            Mode::HttpRequest | Mode::HttpResponse => HEAD_MAX,
            Mode::Openvpn => 2 + openvpn::STREAM_PACKET_MAX,
            Mode::Greeting => socks_rdp_vnc::HELD_MAX,
            Mode::Page => html_title::PAGE_MAX,
            Mode::Websocket => websocket::FRAME_MAX,
            Mode::ProxyHeader => proxy_header::SIZE_MAX,
            Mode::Opening => app_signatures::HELD_MAX,
            _ => HELD_LOOK_MAX,
        }
    }

    /// Keeps a message that is not whole, unless it is over the cap of its protocol.
    fn hold(&mut self, held: Box<Held>, context: &mut ParseContext<'_>) {
        if held.bytes.len() > self.held_max() {
            context.counters.bump(Counter::MessagesOverCap);
            self.finish();
        } else {
            self.held = Some(held);
        }
    }

    /// Gives bytes to the observers until they are used or somebody waits.
    fn run(&mut self, bytes: &[u8], context: &mut ParseContext<'_>) -> Run {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.mode == Mode::Done {
                return Run::All;
            }
            if self.skip > 0 {
                let step = (self.skip as usize).min(rest.len());
                self.skip -= step as u32;
                at += step;
                continue;
            }
            match self.step(rest, context) {
                ParseResult::Used(0) | ParseResult::Done => self.finish(),
                ParseResult::Used(n) => at += n,
                ParseResult::NeedMore => return Run::Wait(at, 1),
                ParseResult::Await(missing) => return Run::Wait(at, missing),
                ParseResult::NotMine => return Run::Unknown(at),
                ParseResult::Failed => {
                    context.counters.bump(Counter::ParseFailures);
                    self.finish();
                }
            }
        }
        Run::All
    }

    fn step(&mut self, rest: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        if self.mode == Mode::Look {
            match sign(rest, context) {
                Sign::Nothing => return ParseResult::NotMine,
                Sign::Short => return ParseResult::NeedMore,
                Sign::Preamble(n) => return ParseResult::Used(n),
                Sign::Fits(mode) => self.mode = mode,
            }
        }
        let step = self.ask(rest, context);
        if step == ParseResult::NotMine {
            self.mode = Mode::Look;
        }
        step
    }

    /// Asks the observer of the mode.
    fn ask(&mut self, rest: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        let role = context.role;
        match self.mode {
            Mode::Tls => tls::observe_tls(rest, role, context.facts()),
            Mode::Ssh => ssh::observe_ssh(rest, role, context.facts()),
            Mode::HttpRequest => {
                let (step, after) = http::observe_request(rest, Source::Stream, context.facts());
                self.after_head(step, after)
            }
            Mode::HttpResponse => {
                let (step, after) = http::observe_response(rest, Source::Stream, context.facts());
                self.after_head(step, after)
            }
            Mode::Dns => {
                let step = dns::observe_dns_stream(rest, role, context.facts());
                if matches!(step, ParseResult::Used(_)) {
                    self.turns = self.turns.saturating_add(1);
                }
                if self.turns > DNS_MESSAGES_MAX { ParseResult::Done } else { step }
            }
            Mode::Greeting => {
                let on_port = context.ports.0 == rdp::PORT || context.ports.1 == rdp::PORT;
                let facts = context.facts.get_or_insert_default();
                let talk = context.talk.get_or_insert_default();
                let streams = talk.streams.get_or_insert_default();
                let step = streams.greetings.observe(rest, role, on_port, facts);
                if let ParseResult::Used(_) = step {
                    self.mode = Mode::Look;
                    self.turn();
                }
                step
            }
            Mode::Page => html_title::observe_page(rest, context.facts()),
            Mode::Websocket => {
                let step = websocket::observe(rest, role, context.facts());
                if let ParseResult::Used(_) = step {
                    self.turn();
                }
                step
            }
            Mode::ProxyHeader => self.proxy_header(rest, context),
            Mode::Opening => {
                let facts = context.facts.get_or_insert_default();
                let talk = context.talk.get_or_insert_default();
                let streams = talk.streams.get_or_insert_default();
                let step = streams.openings.observe(rest, role, facts);
                if let ParseResult::Used(_) = step {
                    self.mode = Mode::Look;
                    self.turn();
                }
                step
            }
            Mode::Openvpn => {
                let facts = context.facts.get_or_insert_default();
                let talk = context.talk.get_or_insert_default();
                talk.openvpn.observe_stream(rest, role, facts)
            }
            _ => ParseResult::Done,
        }
    }

    /// Whom a proxy speaks for; what it passes on comes behind.
    fn proxy_header(&mut self, rest: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        match proxy_header::proxy_header(rest) {
            Ok((size, named)) => {
                if let Some(named) = named {
                    let spoken = context.facts().rare_mut().spoken.get_or_insert_default();
                    spoken.proxy.get_or_insert(named);
                }
                self.mode = Mode::Look;
                self.turn();
                ParseResult::Used(size)
            }
            Err(WireError::NeedMore(_)) => ParseResult::NeedMore,
            Err(_) => ParseResult::NotMine,
        }
    }

    /// Settles what follows an HTTP head.
    fn after_head(&mut self, step: ParseResult, after: After) -> ParseResult {
        match (step, after) {
            (ParseResult::Used(_), After::Unknown) => return ParseResult::Done,
            (ParseResult::Used(_), After::Page) => self.mode = Mode::Page,
            (ParseResult::Used(_), After::Frames) => self.mode = Mode::Websocket,
            (ParseResult::Used(_), After::Body(bytes)) => {
                self.skip = bytes;
                self.mode = Mode::Look;
                self.turn();
            }
            (ParseResult::Used(_), After::Tunnel) => {
                // Whoever speaks in the tunnel has all the turns of a new stream but one, so that a
                // chain of refused CONNECTs ends too.
                self.mode = Mode::Look;
                self.turn();
            }
            _ => {}
        }
        step
    }

    /// Counts bytes that belong to no known protocol.
    fn pass(&mut self, bytes: usize) {
        self.looked = self.looked.saturating_add(u16::try_from(bytes).unwrap_or(u16::MAX));
        self.turn();
    }

    fn turn(&mut self) {
        self.turns = self.turns.saturating_add(1);
        if self.turns >= TURNS_MAX || self.looked >= LOOKED_BYTES_MAX {
            self.finish();
        }
    }

    /// Leaves the direction alone from here on.
    pub fn finish(&mut self) {
        self.mode = Mode::Done;
        self.held = None;
        self.skip = 0;
    }
}
