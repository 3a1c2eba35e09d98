//! TLS carried in pieces by control packets of another protocol.
//!
//! Owns: one direction's bytes so far. In: numbered pieces. Out: the results of TLS's own observer.
//! Never: waits for a piece that comes early: it is retransmitted.

use crate::evidence::held::{Held, Measure};
use crate::evidence::parse_result::ParseResult;
use crate::evidence::tls::observe_tls;
use crate::model::record::Facts;
use crate::model::{Heap, Peer};

/// A hello, and a server's certificates behind its own.
const BYTES_MAX: usize = 16 * 1024;

/// One direction.
#[derive(Debug, Default)]
pub struct ControlTls {
    /// Number of the next piece, less one.
    last: u32,
    held: Option<Held>,
    over: bool,
}

impl Heap for ControlTls {
    fn heap(&self) -> usize {
        self.held.heap()
    }
}

impl ControlTls {
    /// Whether nothing more is expected.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Adds a piece; the first has number 1.
    pub fn take(&mut self, number: u32, piece: &[u8], role: Peer, facts: &mut Facts) {
        if self.over || piece.is_empty() || number != self.last.wrapping_add(1) {
            return;
        }
        self.last = number;
        let mut held = match self.held.take() {
            None => Held::new(piece, 1),
            Some(mut held) => {
                if !held.take(piece, Measure::Records) && held.bytes.len() < BYTES_MAX {
                    self.held = Some(held);
                    return;
                }
                held
            }
        };
        while !held.bytes.is_empty() {
            match observe_tls(&held.bytes, role, facts) {
                ParseResult::Used(bytes) if bytes > 0 => held.used(bytes.min(held.bytes.len()), 1),
                ParseResult::NeedMore(_) if held.bytes.len() >= BYTES_MAX => {
                    break;
                }
                ParseResult::NeedMore(missing) => return self.wait(held, missing),
                _ => break,
            }
        }
        self.over = !held.bytes.is_empty();
    }

    fn wait(&mut self, mut held: Held, missing: usize) {
        held.used(0, missing);
        self.held = Some(held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello without extensions (RFC 5246 section 7.4.1.2) in its record.
    fn hello() -> Vec<u8> {
        let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
        let message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
        [&[22, 3, 1, 0, message.len() as u8][..], &message].concat()
    }

    fn tell(pieces: &[(u32, &[u8])]) -> Option<[u8; 16]> {
        let (mut tls, mut facts) = (ControlTls::default(), Facts::default());
        for (number, piece) in pieces {
            tls.take(*number, piece, Peer::Initiator, &mut facts);
        }
        facts.tls.and_then(|tls| tls.ja3)
    }

    #[test]
    fn pieces_are_put_together_in_their_order() {
        let hello = hello();
        let whole = tell(&[(1, &hello)]);
        assert!(whole.is_some());
        let (a, b) = hello.split_at(20);
        assert_eq!(tell(&[(1, a), (2, b)]), whole);
        assert_eq!(tell(&[(1, a), (1, a), (2, b)]), whole, "sent again");
        assert_eq!(tell(&[(2, b), (1, a)]), None, "too early");
        assert_eq!(tell(&[(2, b), (1, a), (2, b)]), whole);
        assert_eq!(tell(&[(1, b"no TLS"), (2, &hello)]), None);
    }
}
