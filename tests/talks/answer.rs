//! A server that asks in rounds, and a client whose system acknowledges and whose program answers
//! later: because it computes, or because it is elsewhere.
//!
//! Owns: both ends' sequence numbers. In: segments, timers. Out: segments. Never: repeats anything,
//! since its network loses nothing.

use crate::net::Dice;
use crate::net::MS;
use crate::net::Program;
use crate::net::Wishes;
use crate::net::segment;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const ANSWER: u32 = 1;
const TIMER: u32 = 2;

/// How the client's system acknowledges and its program answers, in ns.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Question fully received to answer.
    pub behind: u64,
    /// The timer of delayed acknowledgements; 0 acknowledges at once.
    pub delayed: u64,
    /// Segments per question; every other is acknowledged at once (RFC 9293 section 3.8.6.3).
    pub segments: u32,
}

/// Sequence numbers of one end.
struct End {
    server: bool,
    next: u32,
    expected: u32,
}

impl End {
    const fn new(server: bool) -> End {
        End { server, next: if server { u32::MAX - 20 } else { 7_000 }, expected: 0 }
    }

    fn segment(&mut self, flags: u8, payload: &[u8]) -> Vec<u8> {
        let numbers = (self.next, self.expected);
        let out = segment(self.server, numbers, flags, payload);
        self.next = self.next.wrapping_add(payload.len() as u32 + u32::from(flags & SYN != 0));
        out
    }
}

/// Flags, sequence number and payload of a segment.
fn read(packet: &[u8]) -> (u8, u32, &[u8]) {
    let seq = u32::from_be_bytes(packet[4..8].try_into().unwrap());
    (packet[13], seq, &packet[20..])
}

/// The server: a question each time it is answered.
pub struct Asker {
    end: End,
    segments: u32,
    rounds: u32,
}

impl Asker {
    pub const fn new(manner: Manner) -> Asker {
        Asker { end: End::new(true), segments: manner.segments, rounds: 4 }
    }

    fn ask(&mut self) -> Wishes {
        let mut wishes = Wishes::default();
        if self.rounds > 0 {
            self.rounds -= 1;
            for _ in 0..self.segments {
                let segment = self.end.segment(ACK, b"RFB 003.008\n");
                wishes.send.push(segment);
            }
        }
        wishes
    }
}

impl Program for Asker {
    fn wake(&mut self, _timer: u32, _dice: &mut Dice) -> Wishes {
        Wishes::default()
    }

    fn hear(&mut self, packet: &[u8], _dice: &mut Dice) -> Wishes {
        let (flags, seq, payload) = read(packet);
        if flags & SYN != 0 {
            self.end.expected = seq.wrapping_add(1);
            return Wishes { send: vec![self.end.segment(SYN | ACK, &[])], ..Wishes::default() };
        }
        self.end.expected = seq.wrapping_add(payload.len() as u32);
        // The handshake's acknowledgement is the first.
        if !payload.is_empty() || self.rounds == 4 { self.ask() } else { Wishes::default() }
    }
}

/// The client.
pub struct Answerer {
    end: End,
    manner: Manner,
    /// Segments of the question so far, and those not acknowledged yet.
    heard: u32,
    owed: u32,
}

impl Answerer {
    pub const fn new(manner: Manner) -> Answerer {
        Answerer { end: End::new(false), manner, heard: 0, owed: 0 }
    }

    fn acknowledge(&mut self) -> Wishes {
        self.owed = 0;
        Wishes { send: vec![self.end.segment(ACK, &[])], ..Wishes::default() }
    }
}

impl Program for Answerer {
    fn wake(&mut self, timer: u32, _dice: &mut Dice) -> Wishes {
        match timer {
            0 => Wishes { send: vec![self.end.segment(SYN, &[])], ..Wishes::default() },
            ANSWER => {
                self.owed = 0;
                Wishes { send: vec![self.end.segment(ACK, b"answer")], ..Wishes::default() }
            }
            _ if self.owed > 0 => self.acknowledge(),
            _ => Wishes::default(),
        }
    }

    fn hear(&mut self, packet: &[u8], _dice: &mut Dice) -> Wishes {
        let (flags, seq, payload) = read(packet);
        let bytes = payload.len() as u32 + u32::from(flags & SYN != 0);
        self.end.expected = seq.wrapping_add(bytes);
        if flags & SYN != 0 {
            return self.acknowledge();
        }
        if payload.is_empty() {
            return Wishes::default();
        }
        (self.heard, self.owed) = (self.heard + 1, self.owed + 1);
        let whole = self.heard == self.manner.segments;
        let mut wishes = match self.owed >= 2 || self.manner.delayed == 0 {
            true => self.acknowledge(),
            false => Wishes { timers: vec![(self.manner.delayed, TIMER)], ..Wishes::default() },
        };
        if whole {
            self.heard = 0;
            wishes.timers.push((self.manner.behind, ANSWER));
        }
        wishes
    }
}

/// What a leg of 180 ms looks like behind a system that acknowledges at once.
pub const PROXIED: Manner = Manner { behind: 180 * MS, delayed: 0, segments: 2 };
