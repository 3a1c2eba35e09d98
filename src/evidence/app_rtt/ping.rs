//! WebSocket pings inside TLS, which only the lengths of records show.
//!
//! Owns: the lengths seen so far. In: segments behind the handshake. Out: turns, once a second ping
//! shows that the first was one. Never: a ping that a matching length alone suggests.
//!
//! Any short record of a server is followed by some record of the client, and now and then that is
//! four bytes longer. So a length counts only if the server sends it twice, the client answers both
//! times, and the client has not sent that length without such a question: a client that asks, is
//! answered and asks again looks the same, but began.

use super::signs::is_application_data;
use super::{Phase, Watch};
use crate::evidence::app_rtt::Beside;
use crate::model::Segment;
use crate::model::latency::{Exchange, Turn};
use crate::model::record::TlsFacts;

/// Pings measured per session.
const PINGS_MAX: u8 = 4;
/// Shortest and longest record of a ping looked for. A WebSocket ping without payload is 2 bytes
/// and 22 of TLS 1.3; one with 16 bytes of payload in TLS 1.2 with AES-GCM is 47.
const PING_RECORD: std::ops::RangeInclusive<usize> = 24..=56;
/// A client's WebSocket frame carries a mask of four bytes, a server's does not (RFC 6455 section
/// 5.1); the payload of a pong is that of the ping (section 5.5.3).
const MASK_BYTES: usize = 4;

/// What the lengths show so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pings {
    /// Length of the answer to the ping that waits.
    pong: u16,
    /// Length of the answers that count.
    counted: u16,
    /// How many there were.
    count: u8,
    /// None can come.
    over: bool,
    /// The first, until there is a second.
    first: Option<Turn>,
    /// Lengths of pongs that the server's records ask for: a bit each, from the shortest on.
    waiting: u64,
    /// Those that the client sent unasked.
    unasked: u64,
}

/// The bit of a pong's length.
fn bit(length: usize) -> Option<u64> {
    let shortest = PING_RECORD.start() + MASK_BYTES;
    let longest = PING_RECORD.end() + MASK_BYTES;
    (shortest..=longest).contains(&length).then(|| 1 << (length - shortest))
}

impl Pings {
    /// Behind a handshake. A client that offers HTTP/2 does not ask for a WebSocket: that begins
    /// with HTTP/1.1 (RFC 6455 section 4.1), and browsers offer that alone for it.
    pub(super) fn behind(tls: Option<&TlsFacts>) -> Pings {
        let over = tls.is_some_and(|tls| tls.alpn.iter().any(|name| **name == *"h2"));
        Pings { over, ..Pings::default() }
    }

    /// A segment of the server; whether it may be a ping.
    pub(super) fn note_ping(&mut self, bytes: &[u8]) -> bool {
        let Some(pong) = pong_of(bytes).filter(|_| !self.over) else { return false };
        self.pong = pong;
        self.waiting |= bit(pong.into()).unwrap_or_default();
        true
    }
}

impl Watch {
    /// A segment of the client: a pong, or not.
    pub(super) fn observe_pong(&mut self, segment: &Segment<'_>, beside: &mut Beside<'_>) {
        let length = segment.payload.len();
        let Some(bit) = bit(length).filter(|_| is_application_data(segment.payload)) else {
            return;
        };
        self.pings.unasked |= bit & !self.pings.waiting;
        self.pings.waiting &= !bit;
        // Of several that wait only the last is timed.
        let last = usize::from(self.pings.pong) == length;
        let Some(asked) = self.asked.get().filter(|_| last) else { return };
        self.asked.take();
        if self.pings.over || self.pings.unasked & bit != 0 {
            return;
        }
        let lag = self.lag(asked, segment);
        let Some(turn) = self.measure(Exchange::Ping, (asked, lag), segment, beside) else {
            return;
        };
        if self.pings.counted != self.pings.pong {
            (self.pings.counted, self.pings.count) = (self.pings.pong, 1);
            self.pings.first = Some(turn);
            return;
        }
        for turn in self.pings.first.take().into_iter().chain([turn]) {
            self.add_turn(turn, beside);
        }
        self.pings.count += 1;
        if self.pings.count >= PINGS_MAX {
            self.phase = Phase::Over;
        }
    }
}

/// Length of the segment that answers this one, if it may be a WebSocket ping: a single, small
/// record of application data.
fn pong_of(bytes: &[u8]) -> Option<u16> {
    let [0x17, 3, _, high, low, ..] = bytes else { return None };
    let lone = bytes.len() == 5 + usize::from(u16::from_be_bytes([*high, *low]));
    (lone && PING_RECORD.contains(&bytes.len()))
        .then(|| u16::try_from(bytes.len() + MASK_BYTES).ok())
        .flatten()
}
