//! Clients of TLS over TCP, direct or behind a proxy, as a sensor near the server sees them.
//!
//! Owns: when each packet passes the sensor. In: what a client is like. Out: a capture. Never: a
//! wall clock, or chance that a seed does not repeat.
//!
//! ```text
//!   client ──hidden leg── proxy ──near leg── sensor ──far leg── server
//! ```
//!
//! Whoever terminates TCP (the proxy, or a client without one) acknowledges what arrives; the
//! client answers. Packets of one direction stay in order, and are all delayed if their path
//! stalls.

use std::net::Ipv4Addr;
use std::net::SocketAddr;

use crate::craft;
use crate::craft::ACK;
use crate::craft::Capture;
use crate::craft::FIN;
use crate::craft::PSH;
use crate::craft::SYN;
use crate::craft::Tcp;
use crate::simnet::Dice;
use crate::simnet::MS;
use crate::simnet::US;

/// How the system that terminates TCP acknowledges data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// At once, always.
    Separate,
    /// After so many ns, every second segment at once (RFC 9293 section 3.8.6.3); with an answer
    /// that comes earlier.
    Delayed(u64),
    /// With the answer only.
    WithAnswer,
}

/// What a client is like. Chances are per mille of answers, times in ns.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Round trip between the proxy and the client; 0 without a proxy.
    pub hidden: u64,
    /// The proxy waits for the client's command before it connects.
    pub commanded: bool,
    /// The proxy waits for an acknowledgement between two small segments (RFC 896).
    pub nagle: u64,
    /// Round trip between whoever terminates TCP and the sensor, and the jitter of one way.
    pub near: u64,
    pub jitter: u64,
    /// For how long the proxy holds back the acknowledgements that open and close a connection.
    pub opening: u64,
    /// What the client computes before the first answer of a handshake, and how much more at most.
    pub computing: (u64, u64),
    /// And before its first data.
    pub hello: u64,
    /// How often it is busy, and for how long at most.
    pub busy: (u64, u64),
    /// How often its path stalls while it answers, and for how long at most.
    pub stall: (u64, u64),
    pub acks: Acks,
    /// How often it resumes an earlier session.
    pub resumes: u64,
    /// Turns behind the handshake, each answered at once.
    pub turns: u64,
    pub sessions: u64,
}

/// A session as it goes on.
struct Session<'d> {
    client: Client,
    ends: [SocketAddr; 2],
    dice: &'d mut Dice,
    /// Next sequence numbers, and the times of the last packets, of client and server.
    next: [u32; 2],
    last: [u64; 2],
    capture: Capture,
}

const FAR: u64 = 4 * MS;
const NAME: &str = "intranet.example";

impl Session<'_> {
    /// A segment that would pass at `at`; returns when it does.
    fn send(&mut self, server: bool, at: u64, flags: u8, payload: &[u8]) -> u64 {
        let from = usize::from(server);
        let at = at.max(self.last[from] + 2 * US);
        self.last[from] = at;
        let ack = if flags & ACK == 0 { 0 } else { self.next[1 - from] };
        let segment = Tcp { seq: self.next[from], ack, flags, ttl: 60, payload };
        self.capture.add(at, craft::tcp(self.ends[from], self.ends[1 - from], segment));
        let takes = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.next[from] = self.next[from].wrapping_add(takes);
        at
    }

    /// One way of the near leg.
    fn way(&mut self) -> u64 {
        self.client.near / 2 + self.dice.below(self.client.jitter + 1)
    }

    /// What the client takes between a question and its answer, as whoever terminates TCP sees it.
    fn thinks(&mut self, computing: u64) -> u64 {
        let Client { hidden, nagle, busy, .. } = self.client;
        let twice = if self.dice.chance(nagle) { hidden } else { 0 };
        let busy = if self.dice.chance(busy.0) { self.dice.below(busy.1) } else { 0 };
        // A path behind the proxy has some jitter, too.
        let scatter = self.dice.below(2 * MS + hidden / 64);
        hidden + twice + computing + busy + scatter
    }

    /// The server sends so many segments, the last of which passes at `at`; they are answered.
    fn turn(&mut self, at: u64, question: &[Vec<u8>], computing: u64, answer: &[u8]) -> u64 {
        let mut arrived = at;
        for (n, segment) in question.iter().enumerate() {
            let passed = self.send(true, at + n as u64 * 20 * US, ACK | PSH, segment);
            arrived = arrived.max(passed + self.way());
        }
        let answers = arrived + self.thinks(computing);
        let odd = question.len() % 2 == 1;
        let acks = match self.client.acks {
            Acks::Delayed(timer) if odd => arrived + timer,
            Acks::WithAnswer => answers,
            _ => arrived,
        };
        let stalls = self.dice.chance(self.client.stall.0);
        let until = if stalls { arrived + self.dice.below(self.client.stall.1) } else { 0 };
        if acks < answers {
            let back = (acks + self.way()).max(until);
            self.send(false, back, ACK, b"");
        }
        let back = (answers + self.way()).max(until);
        self.send(false, back, ACK | PSH, answer)
    }

    fn run(&mut self, start: u64) -> u64 {
        let resumes = self.dice.chance(self.client.resumes);
        let (hello, accept) = match resumes {
            true => (craft::client_hello_resuming(NAME), craft::server_hello_resumed()),
            false => (craft::client_hello(NAME), craft::server_hello()),
        };
        let opened = self.send(false, start, SYN, b"");
        let accepted = self.send(true, opened + FAR, SYN | ACK, b"");
        let (down, up) = (self.way(), self.way());
        let opens = accepted + down + self.client.opening + up;
        let opened = self.send(false, opens, ACK, b"");
        let silent = if self.client.commanded { self.thinks(self.client.hello) } else { 0 };
        let scatter = self.dice.below(MS);
        let direct = if self.client.commanded { 0 } else { self.client.hello };
        let asked = self.send(false, opened + silent + direct + scatter, ACK | PSH, &hello);
        let certificate = [craft::tls_data(1_300), craft::tls_data(900)];
        let flight = if resumes { vec![accept] } else { [&[accept][..], &certificate].concat() };
        let (least, more) = self.client.computing;
        let computing = least + self.dice.below(more + 1);
        let finished = [craft::tls_data(53), craft::tls_data(320)].concat();
        let mut at = self.turn(asked + FAR, &flight, computing, &finished);
        for _ in 0..self.client.turns {
            let segments = 1 + self.dice.below(4) as usize;
            let answer = vec![craft::tls_data(1_200); segments];
            let (working, request) = (self.dice.below(3 * MS), craft::tls_data(280));
            at = self.turn(at + FAR, &answer, working, &request);
        }
        let at = self.send(true, at + FAR, ACK | PSH, &craft::tls_data(700));
        let opening = self.client.opening;
        let back = at + self.client.near + 2 * self.client.jitter + opening;
        let closed = self.send(false, back, FIN | ACK, b"");
        let closed = self.send(true, closed + FAR, FIN | ACK, b"");
        self.send(false, closed + self.client.near + opening, ACK, b"")
    }
}

/// The address of a client: each in a prefix of its own.
pub fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(11, (number >> 8) as u8, number as u8, 7)
}

/// The server's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// The sessions of clients, one after the other each.
pub fn capture(clients: &[Client], seed: u64) -> Capture {
    let mut all = Capture::default();
    for (number, client) in clients.iter().enumerate() {
        let mut dice = Dice::new(seed.wrapping_add(number as u64 * 0x5851_f42d));
        let mut at = craft::START + dice.below(500 * MS);
        for n in 0..client.sessions {
            let from = SocketAddr::from((address(number), 40_000 + n as u16));
            let ends = [from, SocketAddr::from((SERVER, 443))];
            let next = [dice.below(1 << 32) as u32, dice.below(1 << 32) as u32];
            let (last, capture) = ([0; 2], Capture::default());
            let mut session =
                Session { client: *client, ends, dice: &mut dice, next, last, capture };
            at = session.run(at) + 300 * MS;
            all.join(session.capture);
        }
    }
    all.sorted()
}
