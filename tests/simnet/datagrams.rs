//! Questions and answers over UDP on the same network: STUN, which sends a question again as it
//! was, and WireGuard, which asks anew each time.
//!
//! Owns: who asks when, what is sent again, and the round trip that each answer truly closes.
//! In: links and the mirror port. Out: frames with their truth. Never: a wall clock.

use super::Dice;
use super::Link;
use super::MS;
use super::Mirror;
use super::START;
use super::Side;
use super::US;

/// When a question is sent again, in ns after it was sent first (RFC 8489 section 6.2.1: 500 ms,
/// then twice as long).
const AGAIN: [u64; 3] = [0, 500 * MS, 1_500 * MS];

/// The port of both ends: not a system port.
pub const PORT: u16 = 51_820;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Both ends ask; a repetition is the same question.
    Stun,
    /// The client asks; a repetition has an index of its own.
    Wireguard,
}

/// Everything that decides what happens.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    pub seed: u64,
    pub near: Link,
    pub far: Link,
    pub mirror: Mirror,
    pub speech: Speech,
    /// Questions, two seconds apart.
    pub questions: u32,
}

/// A frame as the sensor saw it.
#[derive(Clone, Debug)]
pub struct Passed {
    /// ns since 1970.
    pub at: u64,
    pub from: Side,
    /// The full round trip that its passing closes, in ns.
    pub echo: Option<u64>,
    pub bytes: Vec<u8>,
}

impl Talk {
    /// What the sensor saw, in order.
    pub fn run(&self) -> Vec<Passed> {
        let mut dice = Dice::new(self.seed);
        let mut seen = Vec::new();
        for question in 0..self.questions {
            let both = self.speech == Speech::Stun;
            let asker = if both && question % 2 == 1 { Side::Server } else { Side::Client };
            let at = START + u64::from(question) * 2_000 * MS + dice.below(300 * MS);
            self.ask((question, asker, at), &mut dice, &mut seen);
        }
        seen.sort_by_key(|passed| passed.at);
        seen
    }

    fn link(&self, of: Side) -> Link {
        if of == Side::Client { self.near } else { self.far }
    }

    /// One question, sent again until its answer has come.
    fn ask(
        &self,
        (question, asker, first): (u32, Side, u64),
        dice: &mut Dice,
        seen: &mut Vec<Passed>,
    ) {
        let answerer = asker.other();
        let mut answered = u64::MAX;
        for (copy, after) in AGAIN.into_iter().enumerate() {
            let at = first + after;
            if answered < at {
                break;
            }
            let id = question * 4 + copy as u32;
            let (asks, answers) = messages(self.speech, question, id);
            for passes in arrivals(self.link(asker), at, dice) {
                self.mirror((passes, asker, None), (id, &asks), dice, seen);
                for heard in arrivals(self.link(answerer), passes, dice) {
                    for back in arrivals(self.link(answerer), heard, dice) {
                        let truth = Some(back - passes);
                        self.mirror((back, answerer, truth), (id, &answers), dice, seen);
                        for comes in arrivals(self.link(asker), back, dice) {
                            answered = answered.min(comes);
                        }
                    }
                }
            }
        }
    }

    /// What the mirror port makes of a datagram that passes.
    fn mirror(
        &self,
        (at, from, echo): (u64, Side, Option<u64>),
        (id, payload): (u32, &[u8]),
        dice: &mut Dice,
        seen: &mut Vec<Passed>,
    ) {
        let Mirror { missed, doubled, only, from: begins, .. } = self.mirror;
        if dice.chance(missed) || only.is_some_and(|only| only != from) || at < START + begins {
            return;
        }
        let bytes = frame(from, id as u16, payload);
        if dice.chance(doubled) {
            let later = at + US + dice.below(900 * US);
            seen.push(Passed { at: later, from, echo, bytes: bytes.clone() });
        }
        seen.push(Passed { at, from, echo, bytes });
    }
}

/// When copies of a datagram arrive at the other end of a link: none, one or two.
fn arrivals(link: Link, at: u64, dice: &mut Dice) -> Vec<u64> {
    let copies = if dice.chance(link.doubled) { 2 } else { 1 };
    let mut arrivals = Vec::new();
    for _ in 0..copies {
        let late = if dice.chance(link.late) { dice.below(50 * MS) } else { 0 };
        let jitter = dice.below(link.jitter + 1);
        if !dice.chance(link.lost) {
            arrivals.push(at + link.delay + jitter + late);
        }
    }
    arrivals
}

/// A question and its answer. RFC 8489 section 5; the WireGuard paper, section 5.4.
fn messages(speech: Speech, question: u32, id: u32) -> (Vec<u8>, Vec<u8>) {
    match speech {
        Speech::Stun => {
            let message = |kind: u16| {
                let mut out = kind.to_be_bytes().to_vec();
                out.extend([0, 0, 0x21, 0x12, 0xa4, 0x42]);
                out.extend([7; 8]);
                out.extend(question.to_be_bytes());
                out
            };
            (message(0x0001), message(0x0101))
        }
        Speech::Wireguard => {
            let index = 0x1000_0000 + id;
            let mut asks = vec![1, 0, 0, 0];
            asks.extend(index.to_le_bytes());
            asks.resize(148, 0x5a);
            let mut answers = vec![2, 0, 0, 0];
            answers.extend(0x2000_0000u32.wrapping_add(id).to_le_bytes());
            answers.extend(index.to_le_bytes());
            answers.resize(92, 0xa5);
            (asks, answers)
        }
    }
}

/// Ethernet, IPv4, UDP; checksums are left out.
fn frame(from: Side, id: u16, payload: &[u8]) -> Vec<u8> {
    let ends = [[10, 9, 0, 1], [198, 51, 100, 7]];
    let at = usize::from(from == Side::Server);
    let length = 8 + payload.len() as u16;
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    out.extend((20 + length).to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend([0x40, 0, 60, 17, 0, 0]);
    out.extend(ends[at]);
    out.extend(ends[1 - at]);
    out.extend([PORT, PORT].map(u16::to_be_bytes).concat());
    out.extend(length.to_be_bytes());
    out.extend([0, 0]);
    out.extend(payload);
    out
}
