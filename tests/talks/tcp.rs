//! A talkative program over TCP with Nagle's algorithm (RFC 896): what it writes while something of
//! it is not acknowledged waits.
//!
//! Owns: one end's sequence numbers. In: segments, timers. Out: segments. Never: repeats anything,
//! since its network loses nothing.

use crate::net::Dice;
use crate::net::MS;
use crate::net::Program;
use crate::net::Wishes;
use crate::net::segment;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;

/// See the module.
pub struct Talker {
    server: bool,
    nagle: bool,
    next: u32,
    acknowledged: u32,
    expected: u32,
    open: bool,
    waiting: Vec<u8>,
    /// Writes still to come, unasked.
    unasked: u32,
}

impl Talker {
    pub fn new(server: bool, nagle: bool, unasked: u32) -> Talker {
        let next = if server { u32::MAX - 20 } else { 7_000 };
        let (acknowledged, waiting) = (next, Vec::new());
        Talker { server, nagle, next, acknowledged, expected: 0, open: false, waiting, unasked }
    }

    fn segment(&mut self, flags: u8, payload: &[u8]) -> Vec<u8> {
        let numbers = (self.next, self.expected);
        let out = segment(self.server, numbers, flags, payload);
        let takes = payload.len() as u32 + u32::from(flags & SYN != 0);
        self.next = self.next.wrapping_add(takes);
        out
    }

    fn write(&mut self, bytes: &[u8], wishes: &mut Wishes) {
        self.waiting.extend(bytes);
        self.flush(wishes);
    }

    fn flush(&mut self, wishes: &mut Wishes) {
        let held = self.nagle && self.acknowledged != self.next;
        if !self.waiting.is_empty() && !held {
            let bytes = std::mem::take(&mut self.waiting);
            let segment = self.segment(ACK | PSH, &bytes);
            wishes.send.push(segment);
        }
    }

    fn begin(&mut self, dice: &mut Dice, wishes: &mut Wishes) {
        self.open = true;
        if self.server {
            self.write(b"RFB 003.008\n", wishes);
        }
        for n in 0..self.unasked {
            wishes.timers.push((dice.below(1_500 * MS), 1 + n));
        }
    }
}

impl Program for Talker {
    fn wake(&mut self, timer: u32, _dice: &mut Dice) -> Wishes {
        let mut wishes = Wishes::default();
        if timer > 0 {
            self.write(b"unasked", &mut wishes);
        } else if !self.server {
            let syn = self.segment(SYN, &[]);
            wishes.send.push(syn);
        }
        wishes
    }

    fn hear(&mut self, packet: &[u8], dice: &mut Dice) -> Wishes {
        let mut wishes = Wishes::default();
        let number = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
        let (seq, ack, flags, payload) = (number(4), number(8), packet[13], &packet[20..]);
        if flags & SYN != 0 {
            self.expected = seq.wrapping_add(1);
            let answer = if self.server { SYN | ACK } else { ACK };
            let answer = self.segment(answer, &[]);
            wishes.send.push(answer);
            if !self.server {
                self.acknowledged = self.next;
                self.begin(dice, &mut wishes);
            }
            return wishes;
        }
        self.acknowledged = ack;
        if !self.open {
            self.begin(dice, &mut wishes);
        }
        if !payload.is_empty() {
            self.expected = seq.wrapping_add(payload.len() as u32);
            let asked = payload != b"reply" && dice.chance(600);
            let sent = wishes.send.len();
            if asked {
                self.write(b"reply", &mut wishes);
            }
            if wishes.send.len() == sent {
                let acknowledgement = self.segment(ACK, &[]);
                wishes.send.push(acknowledgement);
            }
        }
        self.flush(&mut wishes);
        wishes
    }
}
