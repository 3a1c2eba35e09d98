//! An incomplete message, and when it is worth parsing again.
//!
//! Owns: the bytes so far, and what the last parse found to be missing. In: further bytes. Out:
//! whether to parse again from the start. Never: lets tiny segments cost more than a few passes
//! over each byte, or skips a parse that could complete the message.

use crate::model::Heap;
use crate::model::heap::ALLOCATION;
use crate::wire::tls_record::PayloadCount;

/// A message this short is parsed again with each segment.
const SHORT: usize = 256;
/// Parses of a longer one of unknown length; after that it has to grow by an eighth first, so that
/// all passes together cost nine times its length.
const READINGS_FREE: u8 = 16;

/// How the missing part of a message is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Its bytes.
    Bytes,
    /// Payload of handshake records: each may carry a single byte of it.
    Records,
    /// A head, which ends with an empty line.
    Head,
}

/// An incomplete message.
#[derive(Debug, Default)]
pub struct Held {
    /// The available bytes.
    pub bytes: Vec<u8>,
    /// Length at the last parse.
    read: usize,
    /// How much was missing then, at least: bytes, or payload.
    missing: usize,
    readings: u8,
    payload: PayloadCount,
    /// Payload that is needed.
    payload_due: usize,
}

impl Heap for Held {
    fn heap(&self) -> usize {
        // Not by its bytes: it is weighed with each segment.
        if self.bytes.capacity() == 0 { 0 } else { self.bytes.capacity() + ALLOCATION }
    }
}

impl Held {
    /// The bytes of a message of which a parse found this much to be missing.
    pub fn new(bytes: &[u8], missing: usize) -> Held {
        let mut held = Held { bytes: bytes.to_vec(), ..Held::default() };
        held.wait(missing);
        held
    }

    /// Drops used bytes, and waits for more.
    pub fn used(&mut self, bytes: usize, missing: usize) {
        if bytes > 0 {
            self.bytes.drain(..bytes);
            (self.readings, self.payload) = (0, PayloadCount::default());
        }
        self.wait(missing);
    }

    fn wait(&mut self, missing: usize) {
        (self.read, self.missing) = (self.bytes.len(), missing);
        self.readings = self.readings.saturating_add(1);
        // Counted when it is asked for: only where records are.
        self.payload_due = 0;
    }

    /// Adds bytes. Returns whether parsing again may find more than the last time.
    pub fn take(&mut self, more: &[u8], measure: Measure) -> bool {
        let before = self.bytes.len();
        if measure == Measure::Records && self.payload_due == 0 {
            // What was missing then, counted from what was available then.
            self.payload.count(&self.bytes);
            self.payload_due = self.payload.so_far().saturating_add(self.missing);
        }
        self.bytes.extend_from_slice(more);
        let length = self.bytes.len();
        match measure {
            _ if length < SHORT => true,
            Measure::Records => {
                self.payload.count(&self.bytes);
                self.payload.is_over() || self.payload.so_far() >= self.payload_due
            }
            Measure::Head => {
                let joint = self.bytes.get(before.saturating_sub(3)..).unwrap_or_default();
                ends_head(joint) || length >= 2 * self.read
            }
            Measure::Bytes if self.missing > 1 => length >= self.read + self.missing,
            Measure::Bytes => self.readings < READINGS_FREE || length >= self.read + self.read / 8,
        }
    }
}

/// Whether a line feed is followed by an empty line.
fn ends_head(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|b| *b == b'\n');
    // Of the first the beginning may be missing; behind the last no line feed stands.
    lines.next();
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        if lines.peek().is_some() && matches!(line, [] | [b'\r']) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds bytes one by one to a parser that finds `missing` of a prefix missing, until none is.
    /// Returns the lengths at which it was called.
    fn feed(
        bytes: &[u8],
        measure: Measure,
        missing: impl Fn(&[u8]) -> Option<usize>,
    ) -> (Vec<usize>, bool) {
        let first = missing(&bytes[..1]).expect("the first byte is not all");
        let mut held = Held::new(&bytes[..1], first);
        let mut asked = Vec::new();
        for byte in &bytes[1..] {
            if held.take(&[*byte], measure) {
                asked.push(held.bytes.len());
                match missing(&held.bytes) {
                    None => return (asked, true),
                    Some(n) => held.used(0, n),
                }
            }
        }
        (asked, false)
    }

    #[test]
    fn a_message_of_known_length_is_read_when_it_is_here() {
        let bytes = vec![0; 30_000];
        let (asked, done) = feed(&bytes, Measure::Bytes, |seen| {
            30_000usize.checked_sub(seen.len()).filter(|n| *n > 0)
        });
        assert!(done);
        assert_eq!(asked.iter().filter(|at| **at >= SHORT).collect::<Vec<_>>(), [&30_000]);
    }

    #[test]
    fn one_of_unknown_length_is_read_a_bounded_number_of_times() {
        let bytes = vec![0; 30_000];
        let (asked, _) = feed(&bytes, Measure::Bytes, |_| Some(1));
        let read: usize = asked.iter().sum();
        assert!(read < 12 * bytes.len(), "{read}");
    }

    #[test]
    fn a_head_is_read_at_its_empty_line() {
        for end in [&b"\r\n\r\n"[..], b"\n\n", b"\n\r\n"] {
            let line = [&b"a:"[..], &[b'x'; 20], b"\r\n"].concat();
            let bytes = [&line.repeat(300)[..], &line[..20], end].concat();
            let whole = bytes.len();
            let (asked, done) =
                feed(&bytes, Measure::Head, |seen| (seen.len() < whole).then_some(1));
            assert!(done, "{end:?}");
            let read: usize = asked.iter().sum();
            assert!(read < 8 * whole, "{read} of {whole}");
        }
    }

    #[test]
    fn one_byte_records_are_counted_once() {
        let message = vec![7u8; 6_000];
        let bytes: Vec<u8> = message.iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
        let (asked, done) = feed(&bytes, Measure::Records, |seen| {
            6_000usize.checked_sub(seen.len() / 6).filter(|n| *n > 0)
        });
        assert!(done);
        assert_eq!(asked.iter().filter(|at| **at >= SHORT).collect::<Vec<_>>(), [&36_000]);
    }

    #[test]
    fn another_record_ends_the_wait() {
        let mut bytes: Vec<u8> = (0..600).flat_map(|_| [22, 3, 1, 0, 1, 7]).collect();
        bytes.extend([23, 3, 3, 0, 9]);
        let (asked, _) = feed(&bytes, Measure::Records, |_| Some(5_000));
        assert!(asked.contains(&3_605), "{asked:?}");
    }
}
