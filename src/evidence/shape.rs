//! The shape of a stream: whether it looks random from its first byte on, and whether the sizes of
//! its first bursts are those of a TLS handshake inside.
//!
//! Owns: the sizes of the first bursts of one session. In: segments in order. Out: bits of
//! [`shape`]. Never: names a program, keeps payload, or continues after a few bursts.
//!
//! Random: nothing in a first packet is text, half its bits are ones, and it has as many different
//! bytes as chance gives (the first two after Wu et al., "How the Great Firewall of China Detects
//! and Blocks Fully Encrypted Traffic", USENIX Security 2023, section 4). Both sides have to start
//! like that, and no other observer may recognise the protocol.
//!
//! A TLS handshake inside (Xue et al., "Fingerprinting Obfuscated Proxy Traffic with Encapsulated
//! TLS Handshakes", USENIX Security 2024): whatever encapsulates it, a client sends a ClientHello,
//! a server a flight with a certificate, the client a Finished of one of few sizes, the server a
//! ticket or data. An HTTP/2 client is recognised by the empty SETTINGS that it acknowledges with.

use crate::model::app_facts::shape;
use crate::model::{Peer, Segment};

/// Bytes of a first packet that are examined.
const NOISE_BYTES: usize = 256;
/// Fewest bytes that can be distinguished from anything else.
const NOISE_BYTES_MIN: usize = 40;
/// The longest run of text in random data (Wu et al.: more than 20 exempts).
const TEXT_RUN_MAX: usize = 20;
/// Bursts examined: a relay's first answer and a ticket may come before the handshake inside.
const BURSTS_MAX: usize = 10;
/// Client's burst with a ClientHello: the smallest with a name and TLS 1.3 has some 220 bytes, the
/// largest with post-quantum shares some 2,000; a proxy's own request stands before.
const HELLO: std::ops::RangeInclusive<u16> = 280..=3_000;
/// Server's flight: hello and certificates. One small certificate makes 900 bytes; chains over 6 KB
/// are rare, and a page of that size is not.
const FLIGHT: std::ops::RangeInclusive<u16> = 900..=6_500;
/// The client's first record or segment after that: a change of cipher and a Finished have 64 or 80
/// bytes in TLS 1.3 (RFC 8446 appendix D.4 and section 4.4.4), 93 or 126 in TLS 1.2 with the key
/// exchange before; what hides them adds a header and a tag, 18 to 60 bytes.
const FINISHED: std::ops::RangeInclusive<u16> = 82..=190;
/// A record that acknowledges SETTINGS in HTTP/2 (RFC 9113 section 6.5): 9 bytes and what TLS adds:
/// 22 in TLS 1.3, 29 or 21 in TLS 1.2.
const SETTINGS_ACKS: [u16; 3] = [31, 38, 30];
/// Earlier application data that belong to the outer handshake: a client's Finished.
const OUTER_FINISHED: [u16; 4] = [53, 69, 45, 61];

/// The carrier of the bursts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outer {
    /// Nothing has been seen.
    #[default]
    Nothing,
    /// Random from the first byte.
    Noise,
    /// TLS: its handshake is in progress.
    Opening,
    /// TLS: application data.
    Tls,
    /// Something else, or enough was seen.
    Over,
}

/// Bytes in one direction without any of the other in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Burst {
    by_responder: bool,
    /// First record or segment.
    first: u16,
    bytes: u16,
}

/// The state of a session's shape: 16 bytes, and its bursts once there are data to examine.
#[derive(Debug, Default)]
pub(super) struct Shape {
    outer: Outer,
    flags: u8,
    count: u8,
    bursts: Option<Box<[Burst; BURSTS_MAX]>>,
}

/// First packets that look random: the initiator's, the responder's.
const NOISE: [u8; 2] = [1, 2];
/// First packets that were seen, likewise.
const SEEN: [u8; 2] = [4, 8];
/// The responder sent the outer ClientHello.
const CLIENT_RESPONDS: u8 = 16;
/// The client's outer Finished has passed.
const FINISHED_PASSED: u8 = 32;
/// The client acknowledged SETTINGS.
const HTTP2: u8 = 64;

impl Shape {
    const fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    const fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    /// Examines the next segment.
    pub(super) fn observe(&mut self, segment: &Segment<'_>) {
        if self.outer == Outer::Over {
            return;
        }
        let bytes = segment.payload;
        let responds = segment.from == Peer::Responder;
        self.observe_first(segment, responds);
        match (self.outer, bytes) {
            _ if segment.gap => self.outer = Outer::Over,
            // An outer hello of the client: after CONNECT or SOCKS it comes late.
            (Outer::Nothing | Outer::Noise, _) if begins_hello(segment) => {
                self.outer = Outer::Opening;
                self.set(CLIENT_RESPONDS, responds);
                self.set(NOISE[0] | NOISE[1], false);
            }
            (Outer::Opening | Outer::Tls, _) => self.observe_records(bytes, responds),
            (Outer::Noise, _) => self.add(responds, length(bytes)),
            _ => {}
        }
    }

    /// The first payload of each side.
    fn observe_first(&mut self, segment: &Segment<'_>, responds: bool) {
        let [seen, noise] = if responds { [SEEN[1], NOISE[1]] } else { [SEEN[0], NOISE[0]] };
        if self.has(seen) {
            return;
        }
        self.set(seen, true);
        // The initiator sends first there, and the session's opening was seen; what the responder
        // sends matters only behind that. An outer hello is none, whatever its bytes look like.
        let begins = match responds {
            true => self.has(NOISE[0]),
            false => segment.opened.is_some() && !self.has(SEEN[1]) && !begins_hello(segment),
        };
        let is_noise = begins && is_noise(segment.payload);
        self.set(noise, is_noise);
        if !responds && is_noise {
            self.outer = Outer::Noise;
        } else if responds && self.outer == Outer::Noise && !is_noise {
            self.outer = Outer::Over;
        }
    }

    /// Segments that start with a record; others continue one.
    fn observe_records(&mut self, bytes: &[u8], responds: bool) {
        let mut rest = bytes;
        let from_client = responds == self.has(CLIENT_RESPONDS);
        while let [kind @ 0x14..=0x17, 3, 0..=4, high, low, behind @ ..] = rest {
            let size = u16::from_be_bytes([*high, *low]);
            if *kind == 0x17 {
                self.observe_data(size, from_client, responds);
            }
            match behind.get(usize::from(size)..) {
                Some(next) => rest = next,
                None => return,
            }
        }
    }

    fn observe_data(&mut self, size: u16, from_client: bool, responds: bool) {
        if from_client && !self.has(FINISHED_PASSED) {
            self.set(FINISHED_PASSED, true);
            self.outer = Outer::Tls;
            // TLS 1.3 shows its Finished as data; TLS 1.2 does not.
            if OUTER_FINISHED.contains(&size) {
                return;
            }
        }
        // What the server sends before is its own flight.
        if self.has(FINISHED_PASSED) {
            let acknowledges = from_client && SETTINGS_ACKS.contains(&size);
            self.set(HTTP2, self.has(HTTP2) || acknowledges);
            self.add(responds, size);
        }
    }

    /// Adds a record or a segment to the bursts.
    fn add(&mut self, by_responder: bool, size: u16) {
        let at = usize::from(self.count);
        let bursts = self.bursts.get_or_insert_default();
        let last = at.checked_sub(1).and_then(|last| bursts.get_mut(last));
        if let Some(last) = last.filter(|last| last.by_responder == by_responder) {
            last.bytes = last.bytes.saturating_add(size);
            return;
        }
        match bursts.get_mut(at) {
            Some(slot) => {
                *slot = Burst { by_responder, first: size, bytes: size };
                self.count += 1;
            }
            None => self.outer = Outer::Over,
        }
    }

    /// The results, as bits of [`shape`]; `told`: an observer recognised the protocol.
    pub(super) fn bits(&self, told: bool) -> u8 {
        let noise = self.has(NOISE[0] | NOISE[1]) && !told;
        let fully = if noise { shape::FULLY_ENCRYPTED } else { 0 };
        let wraps = self.has(FINISHED_PASSED) || noise;
        if wraps && !self.has(HTTP2) && self.has_handshake() {
            fully | shape::ENCAPSULATED_TLS
        } else {
            fully
        }
    }

    /// Whether four consecutive bursts have the sizes of a handshake.
    fn has_handshake(&self) -> bool {
        let all = self.bursts.as_deref().map(<[Burst; BURSTS_MAX]>::as_slice).unwrap_or_default();
        let bursts = all.get(..usize::from(self.count)).unwrap_or_default();
        bursts.windows(4).take(3).any(|four| match four {
            [hello, flight, finished, _] => {
                hello.by_responder == self.has(CLIENT_RESPONDS)
                    && HELLO.contains(&hello.bytes)
                    && FLIGHT.contains(&flight.bytes)
                    && FINISHED.contains(&finished.first)
            }
            _ => false,
        })
    }
}

/// Whether a segment begins with a ClientHello, and nothing before it is missing.
fn begins_hello(segment: &Segment<'_>) -> bool {
    !segment.gap && matches!(segment.payload, [0x16, 3, _, _, _, 1, ..])
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

/// Whether a first packet looks random.
fn is_noise(bytes: &[u8]) -> bool {
    let window = bytes.get(..NOISE_BYTES).unwrap_or(bytes);
    let printable = |byte: &u8| matches!(byte, 0x20..=0x7e);
    let begins = window.get(..6).is_some_and(|head| !head.iter().all(printable));
    if window.len() < NOISE_BYTES_MIN || !begins {
        return false;
    }
    let (mut ones, mut text, mut run, mut longest) = (0, 0_u32, 0, 0);
    let mut seen = [0u64; 4];
    for byte in window {
        ones += byte.count_ones();
        run = if printable(byte) { run + 1 } else { 0 };
        text += u32::from(run > 0);
        longest = longest.max(run);
        if longest > TEXT_RUN_MAX {
            return false;
        }
        if let Some(word) = seen.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }
    let count = window.len() as f64;
    let mean = f64::from(ones) / count;
    let different = f64::from(seen.iter().map(|word| word.count_ones()).sum::<u32>());
    // Bits of noise: mean 4, standard deviation sqrt(2) a byte.
    let balanced = (mean - 4.0).abs() <= (4.0 * (2.0 / count).sqrt()).min(0.6);
    // Different values among `count`: 256 (1 - (255/256)^count), with less spread than the square
    // root of those that repeat.
    let expected = 256.0 * (1.0 - (255.0_f64 / 256.0).powf(count));
    let spread = 4.0 * (count - expected).max(1.0).sqrt();
    // 95 of 256 values are text; four standard deviations above that is no chance.
    let texts = 0.371 * count + 4.0 * (0.233 * count).sqrt();
    let plain = f64::from(text) > texts;
    balanced && different >= expected - spread && !plain
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
