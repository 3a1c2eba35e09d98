//! One direction of a session: what every packet changes.
//!
//! Owns: counters, the position of a stream, the longest datagram. In: packets. Out: nothing by
//! itself. Never: grows.

use crate::model::facts::LongDatagram;
use crate::session::stream::Stream;

/// One direction's counters, which every packet changes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Half {
    /// Frame bytes on the wire.
    pub(crate) bytes: u64,
    /// The position of this direction's TCP stream. Over UDP, which has none, its next number is
    /// the length and fingerprint of the longest datagram.
    pub(crate) stream: Stream,
    /// Packets; the maximum value means at least that many.
    pub(crate) packets: u32,
}

/// Every link carries IP packets of 1,280 bytes (RFC 8200 section 5), so a longer UDP datagram.
const LONG_DATAGRAM: u32 = 1_280 - 20;

impl Half {
    /// Notes a datagram, if it is the longest so far and not every link carries it.
    #[inline]
    pub(crate) fn note_datagram(&mut self, payload_wire: u32, payload: &[u8]) {
        let bytes = payload_wire.saturating_add(8);
        if bytes > LONG_DATAGRAM
            && bytes > self.stream.next() >> 16
            && let Ok(bytes) = u16::try_from(bytes)
            && let Some(print) = LongDatagram::print_of(payload)
        {
            self.stream.start(u32::from(bytes) << 16 | u32::from(print));
        }
    }

    /// UDP length and fingerprint of that datagram. Not for TCP.
    pub(crate) fn longest(&self) -> Option<(u16, u16)> {
        let longest = self.stream.next();
        (longest > 0).then_some(((longest >> 16) as u16, longest as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_longest_datagrams_is_kept() {
        let mut half = Half::default();
        let print = |fill: u8| LongDatagram::print_of(&[fill; 16]).unwrap();
        for (payload, fill, want) in [
            (1_252, 1, None),
            (1_253, 2, Some((1_261, print(2)))),
            (1_300, 3, Some((1_308, print(3)))),
            (1_300, 4, Some((1_308, print(3)))),
            (1_260, 5, Some((1_308, print(3)))),
            (70_000, 6, Some((1_308, print(3)))),
        ] {
            half.note_datagram(payload, &[fill; 40]);
            assert_eq!(half.longest(), want, "{payload}");
        }
        half.note_datagram(1_400, &[7; 15]);
        assert_eq!(half.longest(), Some((1_308, print(3))), "too little was captured");
    }
}
