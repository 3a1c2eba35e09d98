//! Programs over UDP: an agent that asks by STUN, and both ends of a DTLS handshake.
//!
//! Owns: what each says, and when it says it again. In: datagrams, timers. Out: datagrams. Never:
//! encrypts.

use crate::net::Dice;
use crate::net::MS;
use crate::net::Program;
use crate::net::Wishes;

/// RFC 8489 section 6.2.1: half a second, doubled each time.
const STUN_AGAIN: u64 = 500 * MS;
/// RFC 6347 section 4.2.4.1: a second.
const DTLS_AGAIN: u64 = 1_000 * MS;
const TRIES: u32 = 4;

fn datagram(server: bool, payload: &[u8]) -> Vec<u8> {
    let ports: [u16; 2] = if server { [3_478, 40_000] } else { [40_000, 3_478] };
    let mut out: Vec<u8> = ports.into_iter().flat_map(u16::to_be_bytes).collect();
    out.extend((8 + payload.len() as u16).to_be_bytes());
    out.extend([0, 0]);
    out.extend(payload);
    out
}

/// Asks and answers; a timer is `question * TRIES + try`.
pub struct Agent {
    server: bool,
    questions: u32,
    answered: Vec<bool>,
}

impl Agent {
    pub fn new(server: bool, questions: u32) -> Agent {
        Agent { server, questions, answered: vec![false; questions as usize + 1] }
    }

    fn message(&self, kind: u16, transaction: &[u8]) -> Vec<u8> {
        let mut out = kind.to_be_bytes().to_vec();
        out.extend([0, 0, 0x21, 0x12, 0xa4, 0x42]);
        out.extend(transaction);
        datagram(self.server, &out)
    }
}

impl Program for Agent {
    fn wake(&mut self, timer: u32, dice: &mut Dice) -> Wishes {
        let mut wishes = Wishes::default();
        if timer == 0 {
            for n in 1..=self.questions {
                wishes.timers.push((dice.below(3_000 * MS), n * TRIES));
            }
            return wishes;
        }
        let (question, time) = (timer / TRIES, timer % TRIES);
        if !self.answered[question as usize] {
            let mut transaction = [if self.server { 9 } else { 7 }; 12];
            transaction[11] = question as u8;
            wishes.send.push(self.message(0x0001, &transaction));
            if time + 1 < TRIES {
                wishes.timers.push((STUN_AGAIN << time, timer + 1));
            }
        }
        wishes
    }

    fn hear(&mut self, packet: &[u8], _dice: &mut Dice) -> Wishes {
        let mut wishes = Wishes::default();
        let (kind, transaction) = (packet[8], &packet[16..28]);
        match kind {
            0 => wishes.send.push(self.message(0x0101, transaction)),
            _ => self.answered[usize::from(transaction[11])] = true,
        }
        wishes
    }
}

/// A record with one whole handshake message.
fn message(kind: u8, sequence: u8) -> Vec<u8> {
    let body = match kind {
        1 => [&[0xfe, 0xfd][..], &[5; 32], &[0, 0, 0, 2, 0xc0, 0x2b, 1, 0]].concat(),
        2 => [&[0xfe, 0xfd][..], &[6; 32], &[0, 0xc0, 0x2b, 0]].concat(),
        _ => vec![7; 4],
    };
    let len = body.len() as u8;
    let mut out = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12 + len];
    out.extend([kind, 0, 0, len, 0, sequence, 0, 0, 0, 0, 0, len]);
    out.extend(body);
    out
}

/// One end of a handshake with a cookie (RFC 6347 section 4.2.1).
pub struct Dtls {
    server: bool,
    /// The flight that was sent last, from 0 on.
    flight: u32,
    /// Which messages of the server's flight have come.
    heard: [bool; 2],
}

impl Dtls {
    pub fn new(server: bool) -> Dtls {
        Dtls { server, flight: 0, heard: [false; 2] }
    }

    /// The datagrams of a flight: hello, hello verify, hello with the cookie, server's, client's.
    fn send(&mut self, flight: u32, wishes: &mut Wishes) {
        self.flight = flight;
        let datagrams = match flight {
            1 => vec![message(1, 0)],
            2 => vec![message(3, 0)],
            3 => vec![message(1, 1)],
            4 => vec![[message(2, 1), message(11, 2)].concat(), message(14, 3)],
            _ => vec![message(16, 2)],
        };
        wishes.send.extend(datagrams.iter().map(|bytes| datagram(self.server, bytes)));
        // A server keeps no state for a hello without a cookie.
        if flight != 2 {
            wishes.timers.push((DTLS_AGAIN, flight));
        }
    }
}

impl Program for Dtls {
    fn wake(&mut self, timer: u32, _dice: &mut Dice) -> Wishes {
        let mut wishes = Wishes::default();
        if timer == 0 && !self.server {
            self.send(1, &mut wishes);
        } else if timer > 0 && timer == self.flight && timer < 5 {
            let flight = self.flight;
            self.send(flight, &mut wishes);
        }
        wishes
    }

    fn hear(&mut self, packet: &[u8], dice: &mut Dice) -> Wishes {
        let mut wishes = Wishes::default();
        let (kind, sequence) = (packet[8 + 13], packet[8 + 13 + 5]);
        match (self.server, kind, sequence) {
            (true, 1, 0) if self.flight < 4 => self.send(2, &mut wishes),
            (true, 1, 1) if self.flight < 4 => self.send(4, &mut wishes),
            (true, 16, _) => self.flight = 5,
            (false, 3, _) if self.flight == 1 => self.send(3, &mut wishes),
            (false, 2 | 14, _) if self.flight >= 3 => {
                self.heard[usize::from(kind == 14)] = true;
                if self.heard == [true; 2] && self.flight == 3 {
                    self.send(5, &mut wishes);
                } else if self.flight == 5 && dice.chance(500) {
                    // The server said it again: so does the client.
                    self.send(5, &mut wishes);
                }
            }
            _ => {}
        }
        wishes
    }
}
