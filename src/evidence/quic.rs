//! QUIC: the hellos inside Initial packets, which anyone on the path can decrypt.
//!
//! Owns: a session's Initial keys, and its handshake streams while a hello is incomplete. In:
//! datagrams as they come. Out: TLS facts. Never: decrypts other packets, or keeps a byte after a
//! hello is complete.

use crate::evidence::ja4::Carrier;
use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe, Timing};
use crate::evidence::quic_numbers::Numbers;
use crate::evidence::quic_rtt::{self, Opener};
use crate::evidence::request_response_rtt::{Moment, RequestRtt, print_of};
use crate::evidence::tls::{record_client_hello, record_server_hello};
use crate::model::record::{Facts, Protocol, TlsFacts};
use crate::model::{Heap, Peer};
use crate::wire::Fault;
use crate::wire::quic::{Crypto, CryptoFrames, LongPacket, PacketType, Version};
use crate::wire::quic_initial::{InitialKeys, Perspective};
use crate::wire::reader::{Reader, WireError};
use crate::wire::tls::{CLIENT_HELLO, ClientHello, SERVER_HELLO, ServerHello};

/// Initial packets per direction to decrypt, or to try. A hello takes 1 to 3, each retransmitted a
/// few times; a try costs a key derivation and a decryption, so forged packets need a bound.
const INITIALS_MAX: u8 = 16;
/// Bytes of a handshake stream kept: a ClientHello with post-quantum shares takes 2 KiB, and there
/// are few Initial packets before the first answer.
const STREAM_BYTES_MAX: usize = 16 * 1024;
/// Separate pieces of a handshake stream kept. Clients that shuffle cut a packet's share into about
/// ten, and send two or three packets.
const PIECES_MAX: usize = 32;
/// Connections that a client has started and nobody answered yet, beside the latest: decoys are
/// sent before the real hello.
const RIVALS_MAX: usize = 3;
/// Type and length of a handshake message (RFC 8446 section 4).
const HANDSHAKE_HEADER_BYTES: usize = 4;

/// QUIC.
#[derive(Debug, Default)]
pub struct Quic;

impl Parser for Quic {
    type State = QuicState;

    const PROTOCOL: Option<Protocol> = Some(Protocol::Quic);
    const TIMING: Timing = Timing::Beside;

    fn probe(bytes: &[u8], look: &Look<'_, QuicState>) -> Probe {
        let speaks_quic = || look.facts.is_some_and(|f| f.protocol == Some(Protocol::Quic));
        Probe::of(Some(match bytes {
            // A long header: form and fixed bits, a version (RFC 9000 section 17.2).
            [first, version @ ..] if first & 0xc0 == 0xc0 && !version.starts_with(&[0; 4]) => true,
            [0x09 | 0x0d, ..] => LongPacket::is_of_another_version(bytes),
            // An answer may clear the fixed bit (RFC 9287 section 3.1).
            [0x80..=0xff, ..] => speaks_quic(),
            _ => false,
        }))
    }

    fn feed(state: &mut QuicState, bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        state.observe(bytes, context.from, context.facts())
    }

    fn time(
        state: &mut QuicState,
        bytes: &[u8],
        _ports: (u16, u16),
        rtt: &mut RequestRtt,
        at: &mut Moment<'_>,
    ) -> bool {
        if let Some(Connection { client, keys, .. }) = &state.connection {
            let numbers = match &mut state.numbers {
                None if at.role != *client => Some(state.numbers.insert(Box::default())),
                numbers => numbers.as_mut(),
            };
            if let Some(numbers) = numbers {
                numbers.follow(bytes, (*client, keys), rtt, at);
            }
        }
        quic_rtt::follow(bytes, state.opener(), rtt, at)
    }
}

/// The state of a session's QUIC handshake.
#[derive(Debug, Default)]
pub struct QuicState {
    /// A long header of a known version was seen.
    told: bool,
    connection: Option<Connection>,
    /// Earlier connections, the latest last. Anybody can send a first packet with a connection id
    /// of their own; the server's answer can be decrypted with the keys of only one.
    rivals: Vec<Rival>,
    /// The facts of the current connection's hello, until it is certain that this is the right
    /// connection.
    withheld: Option<Box<TlsFacts>>,
    /// A server's packet was decrypted: it is certain which connection is the right one.
    answered: bool,
    /// A short fingerprint of the first connection id.
    first: Option<u32>,
    initiator: Stream,
    responder: Stream,
    /// Of the flights, once the server has answered.
    numbers: Option<Box<Numbers>>,
}

/// A connection whose Initial packets can be decrypted.
#[derive(Debug)]
struct Connection {
    /// The sender of the first packet that the client's keys could decrypt.
    client: Peer,
    /// The connection id that its keys are derived from.
    origin: Box<[u8]>,
    keys: InitialKeys,
    /// The connection id of a Retry, from which keys are derived once the client follows it.
    retry: Option<Box<[u8]>>,
}

/// A connection that nobody answered before the client started another.
#[derive(Debug)]
struct Rival {
    connection: Connection,
    stream: Stream,
    /// The facts of its hello.
    tls: Option<Box<TlsFacts>>,
}

/// A decrypted packet.
struct Opened {
    frames: Vec<u8>,
    side: Perspective,
    /// It follows a Retry, or starts a new connection: handshake streams start again.
    anew: bool,
}

impl Heap for QuicState {
    fn heap(&self) -> usize {
        let streams = [&self.initiator, &self.responder].into_iter();
        let streams: usize = streams.map(|s| s.bytes.heap() + s.pieces.heap()).sum();
        let ids = self.connection.as_ref().map_or(0, |c| c.origin.heap() + c.retry.heap());
        streams + ids + self.numbers.heap()
    }
}

impl QuicState {
    /// Examines one datagram.
    pub fn observe(&mut self, datagram: &[u8], role: Peer, facts: &mut Facts) -> ParseResult {
        let mut rest = datagram;
        while let Ok((packet, behind)) = LongPacket::parse(rest) {
            if !self.told && !packet.has_fixed_bit() {
                break;
            }
            self.told = true;
            facts.protocol.get_or_insert(Protocol::Quic);
            rest = behind;
            let step = match packet.packet_type {
                PacketType::Initial => self.observe_initial(&packet, role, facts),
                PacketType::Retry => {
                    self.observe_retry(&packet, role);
                    ParseResult::NeedMore(1)
                }
                PacketType::ZeroRtt | PacketType::Handshake => ParseResult::NeedMore(1),
            };
            if step != ParseResult::NeedMore(1) {
                *self.stream(role) = Stream::default();
                return step;
            }
        }
        if !self.told && LongPacket::is_of_another_version(datagram) {
            facts.protocol.get_or_insert(Protocol::Quic);
            return ParseResult::Done;
        }
        // Once recognised, short headers and damaged datagrams belong to it too.
        let over = self.answered && self.stream(role).told;
        match (self.told, over) {
            (true, true) => ParseResult::Done,
            (true, false) => ParseResult::NeedMore(1),
            (false, _) => ParseResult::NotMine,
        }
    }

    /// The client side of the connection, once certain.
    pub fn client(&self) -> Option<Peer> {
        self.connection.as_ref().map(|connection| connection.client)
    }

    /// Identifies the connection whose handshake is timed.
    pub fn opener(&self) -> Opener {
        let present = self.connection.as_ref().map(|connection| print_of(&connection.origin));
        let answered = self.answered;
        Opener { client: self.client(), origins: (self.first, present), answered }
    }

    fn stream(&mut self, role: Peer) -> &mut Stream {
        match role {
            Peer::Initiator => &mut self.initiator,
            Peer::Responder => &mut self.responder,
        }
    }

    fn observe_initial(
        &mut self,
        packet: &LongPacket<'_>,
        role: Peer,
        facts: &mut Facts,
    ) -> ParseResult {
        let stream = self.stream(role);
        stream.initials = stream.initials.saturating_add(1);
        let last = stream.initials >= INITIALS_MAX;
        let step = match self.open(packet, role, facts) {
            None => ParseResult::NeedMore(1),
            Some(opened) => self.take(&opened, role, facts),
        };
        if !last || step != ParseResult::NeedMore(1) {
            return step;
        }
        // Many Initial packets without a hello: whatever it is, it is not a handshake.
        if self.stream(role).told { ParseResult::Done } else { ParseResult::Failed(Fault::OverCap) }
    }

    /// Processes the content of a decrypted packet. A client is parsed until the server has
    /// answered: an unanswered hello names nothing once there is another.
    fn take(&mut self, opened: &Opened, role: Peer, facts: &mut Facts) -> ParseResult {
        if opened.side == Perspective::Server && !self.answered {
            self.answered = true;
            self.settle(facts);
        }
        let stream = self.stream(role);
        if opened.anew {
            stream.restart();
        }
        if !stream.told {
            match stream.observe(opened, facts) {
                Ok(false) => return ParseResult::NeedMore(1),
                Ok(true) => stream.finish(),
                Err(why) => return ParseResult::Failed(why.fault()),
            }
            if opened.side == Perspective::Client && !self.is_named_by_all(facts) {
                self.withheld = facts.tls.take();
            }
        }
        if self.answered { ParseResult::Done } else { ParseResult::NeedMore(1) }
    }

    /// Whether all candidate connections ask for the server in `facts`.
    fn is_named_by_all(&self, facts: &Facts) -> bool {
        let name = |tls: &TlsFacts| tls.server_name.clone();
        let own = facts.tls.as_deref().and_then(name);
        self.rivals.iter().filter_map(|rival| rival.tls.as_deref()).all(|tls| name(tls) == own)
    }

    /// The server answered the current connection: its hello is the right one.
    fn settle(&mut self, facts: &mut Facts) {
        self.rivals = Vec::new();
        if let Some(tls) = self.withheld.take() {
            facts.tls = Some(tls);
        }
    }

    /// Decrypts an Initial packet with the current keys, else with those that it may have started.
    fn open(&mut self, packet: &LongPacket<'_>, role: Peer, facts: &mut Facts) -> Option<Opened> {
        let Some(connection) = &mut self.connection else {
            let (connection, frames) = Connection::begin(packet, role)?;
            self.first = Some(print_of(&connection.origin));
            self.connection = Some(connection);
            return Some(Opened { frames, side: Perspective::Client, anew: true });
        };
        let side =
            if role == connection.client { Perspective::Client } else { Perspective::Server };
        if let Some((frames, anew)) = connection.open(packet, side) {
            return Some(Opened { frames, side, anew });
        }
        if side == Perspective::Server {
            return self.open_of_rival(packet);
        }
        // The right connection is known: a late hello is ignored.
        if self.answered {
            return None;
        }
        // The client follows a Retry that was not seen, or starts another connection.
        let (next, frames) = Connection::begin(packet, role)?;
        let before = self.connection.replace(next);
        let stream = std::mem::take(self.stream(role));
        self.stream(role).initials = stream.initials;
        if let Some(connection) = before {
            let tls = self.withheld.take().or_else(|| facts.tls.take());
            if self.rivals.len() >= RIVALS_MAX {
                self.rivals.remove(0);
            }
            self.rivals.push(Rival { connection, stream, tls });
        }
        Some(Opened { frames, side, anew: true })
    }

    /// Decrypts a server's packet with the keys of an earlier connection, which is then the right
    /// one.
    fn open_of_rival(&mut self, packet: &LongPacket<'_>) -> Option<Opened> {
        for index in 0..self.rivals.len() {
            let rival = self.rivals.get_mut(index)?;
            let Some((frames, anew)) = rival.connection.open(packet, Perspective::Server) else {
                continue;
            };
            let Rival { connection, stream, tls } = self.rivals.remove(index);
            *self.stream(connection.client) = stream;
            self.connection = Some(connection);
            self.withheld = tls;
            return Some(Opened { frames, side: Perspective::Server, anew });
        }
        None
    }

    /// A client derives its next keys from the source connection id of a Retry (RFC 9001 section
    /// 5.2), so a server's packets can be decrypted even if the client's next ones were not seen.
    fn observe_retry(&mut self, packet: &LongPacket<'_>, role: Peer) {
        if let Some(connection) = &mut self.connection
            && connection.client != role
        {
            connection.retry = Some(packet.source.into());
        }
    }
}

impl Connection {
    /// Tries a packet as a client's first.
    fn begin(packet: &LongPacket<'_>, role: Peer) -> Option<(Connection, Vec<u8>)> {
        let keys = InitialKeys::derive(packet.version, packet.destination)?;
        let frames = keys.open(packet, Perspective::Client)?;
        let origin = packet.destination.into();
        Some((Connection { client: role, origin, keys, retry: None }, frames))
    }

    /// The decrypted frames, and whether the keys are those of an earlier Retry.
    fn open(&mut self, packet: &LongPacket<'_>, side: Perspective) -> Option<(Vec<u8>, bool)> {
        if packet.version == self.keys.version()
            && let Some(frames) = self.keys.open(packet, side)
        {
            return Some((frames, false));
        }
        // A server may switch to another version, whose keys are derived from the same connection
        // id (RFC 9369 section 4.1).
        if packet.version != self.keys.version()
            && let Some(frames) = self.rekey(packet.version, self.origin.clone(), packet, side)
        {
            return Some((frames, false));
        }
        let retry = self.retry.clone()?;
        let frames = self.rekey(packet.version, retry, packet, side)?;
        self.retry = None;
        Some((frames, true))
    }

    /// Decrypts a packet with newly derived keys, and keeps them if they fit.
    fn rekey(
        &mut self,
        version: Version,
        origin: Box<[u8]>,
        packet: &LongPacket<'_>,
        side: Perspective,
    ) -> Option<Vec<u8>> {
        let keys = InitialKeys::derive(version, &origin)?;
        let frames = keys.open(packet, side)?;
        self.keys = keys;
        self.origin = origin;
        Some(frames)
    }
}

/// The handshake stream of one direction, as carried by its Initial packets.
#[derive(Debug, Default)]
struct Stream {
    /// Initial packets so far.
    initials: u8,
    /// Bytes from the stream's start; zero for missing pieces.
    bytes: Vec<u8>,
    /// The pieces that are present: start and end, disjoint, in no order.
    pieces: Vec<(usize, usize)>,
    /// Start of the message that is waited for.
    message_at: usize,
    /// The hello is complete.
    told: bool,
}

impl Stream {
    /// Drops the bytes, but not the packet count.
    fn restart(&mut self) {
        *self = Stream { initials: self.initials, ..Stream::default() };
    }

    /// Its hello is complete: drops its bytes.
    fn finish(&mut self) {
        *self = Stream { initials: self.initials, told: true, ..Stream::default() };
    }

    /// Processes the content of a packet; `true` once the hello is complete.
    fn observe(&mut self, opened: &Opened, facts: &mut Facts) -> Result<bool, WireError> {
        for crypto in CryptoFrames::new(&opened.frames) {
            self.insert(&crypto?)?;
        }
        while let Some((kind, body)) = self.message() {
            let told = match (opened.side, kind) {
                (Perspective::Client, CLIENT_HELLO) => record_client(body, facts)?,
                (Perspective::Server, SERVER_HELLO) => record_server(body, facts)?,
                _ => {
                    return Err(WireError::Malformed(
                        Fault::Value,
                        "no hello begins the handshake",
                    ));
                }
            };
            if told {
                return Ok(true);
            }
            self.message_at += HANDSHAKE_HEADER_BYTES + body.len();
        }
        Ok(false)
    }

    /// Inserts a piece.
    fn insert(&mut self, crypto: &Crypto<'_>) -> Result<(), WireError> {
        let over = WireError::Malformed(Fault::OverCap, "QUIC handshake stream over its cap");
        let start = usize::try_from(crypto.offset).map_err(|_| over)?;
        let end = start.checked_add(crypto.bytes.len()).ok_or(over)?;
        if end > STREAM_BYTES_MAX {
            return Err(over);
        }
        if crypto.bytes.is_empty() {
            return Ok(());
        }
        if self.bytes.len() < end {
            #[cfg(test)]
            crate::wire::reader::visited::note(end - self.bytes.len());
            self.bytes.resize(end, 0);
        }
        #[cfg(test)]
        crate::wire::reader::visited::note(crypto.bytes.len() + self.pieces.len());
        for (to, from) in self.bytes.iter_mut().skip(start).zip(crypto.bytes) {
            *to = *from;
        }
        let mut piece = (start, end);
        self.pieces.retain(|other| {
            let touches = other.0 <= piece.1 && piece.0 <= other.1;
            if touches {
                piece = (piece.0.min(other.0), piece.1.max(other.1));
            }
            !touches
        });
        if self.pieces.len() >= PIECES_MAX {
            return Err(WireError::Malformed(
                Fault::OverCap,
                "QUIC handshake stream in too many pieces",
            ));
        }
        self.pieces.push(piece);
        Ok(())
    }

    /// The message that is waited for, once complete: type and body.
    fn message(&self) -> Option<(u8, &[u8])> {
        let end = self.pieces.iter().find(|piece| piece.0 == 0)?.1;
        let mut reader = Reader::new(self.bytes.get(self.message_at..end)?);
        let kind = reader.u8().ok()?;
        let length = reader.u24().ok()?;
        Some((kind, reader.take(length as usize).ok()?))
    }
}

/// Whether nothing more of the client is needed.
fn record_client(body: &[u8], facts: &mut Facts) -> Result<bool, WireError> {
    record_client_hello(&ClientHello::parse(body)?, Carrier::Quic, facts);
    Ok(true)
}

/// After a HelloRetryRequest the real answer still comes (RFC 8446 section 4.1.4).
fn record_server(body: &[u8], facts: &mut Facts) -> Result<bool, WireError> {
    let hello = ServerHello::parse(body)?;
    record_server_hello(&hello, facts);
    Ok(!hello.is_retry_request())
}

#[cfg(test)]
#[path = "quic_tests.rs"]
mod tests;
