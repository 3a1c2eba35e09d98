//! Buffers early TCP segments until the gap before them is filled or given up.
//!
//! Owns: copies of early segments, capped. In: segments ahead of their stream. Out: them, in order.
//! Never: waits beyond the cap, or beyond the peer's acknowledgement of what is missing.

use crate::model::Peer;
use crate::model::heap::ALLOCATION;

/// Segments buffered per session, both directions together. Thirty-two full-size ones are more than
/// a first window (RFC 6928: ten) in each direction.
const SEGMENTS: usize = 32;

/// Bytes buffered per session.
const BYTES: usize = 64 * 1_024;

/// One early segment.
#[derive(Debug)]
pub(crate) struct Early {
    pub(crate) side: Peer,
    pub(crate) seq: u32,
    pub(crate) bytes: Box<[u8]>,
    /// Length on the wire (longer than `bytes` if truncated).
    pub(crate) wire: u32,
    /// It may be a decoy: only an acknowledgement makes it part of the stream.
    pub(crate) suspect: bool,
}

/// The early segments of one session.
#[derive(Debug, Default)]
pub(crate) struct Reorder {
    early: Vec<Early>,
    bytes: usize,
}

impl Reorder {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.early.is_empty()
    }

    /// Bytes held, including its own box.
    pub(crate) fn weight(&self) -> usize {
        let segments = self.early.capacity() * size_of::<Early>() + self.early.len() * ALLOCATION;
        size_of::<Reorder>() + 2 * ALLOCATION + segments + self.bytes
    }

    /// Buffers a segment. False at a cap: nothing is buffered.
    pub(crate) fn keep(&mut self, side: Peer, seq: u32, payload: &[u8], wire: u32) -> bool {
        self.keep_early(Early { side, seq, bytes: Box::default(), wire, suspect: false }, payload)
    }

    /// Buffers a doubtful segment of the initiator, if it is the next of its stream or continues
    /// other doubtful ones.
    pub(crate) fn keep_suspect(&mut self, next: u32, seq: u32, payload: &[u8], wire: u32) -> bool {
        let mut suspects = self.early.iter().filter(|early| early.suspect);
        let at_end = |early: &Early| early.seq.wrapping_add(early.wire) == seq;
        let fits = match suspects.next() {
            None => seq == next,
            Some(first) => at_end(first) || suspects.any(at_end),
        };
        let side = Peer::Initiator;
        fits && self
            .keep_early(Early { side, seq, bytes: Box::default(), wire, suspect: true }, payload)
    }

    /// Takes the doubtful segment that starts there.
    pub(crate) fn take_suspect(&mut self, seq: u32) -> Option<Early> {
        self.take(|early| early.suspect && early.seq == seq)
    }

    /// The end of the first doubtful segment.
    pub(crate) fn suspect_end(&self, seq: u32) -> Option<u32> {
        let mut early = self.early.iter();
        let first = early.find(|early| early.suspect && early.seq == seq)?;
        Some(seq.wrapping_add(first.wire))
    }

    /// Drops the doubtful segments: others came in their place. Returns their number.
    pub(crate) fn drop_suspects(&mut self) -> usize {
        let before = self.early.len();
        self.early.retain(|early| !early.suspect);
        self.bytes = self.early.iter().map(|early| early.bytes.len()).sum();
        before - self.early.len()
    }

    fn keep_early(&mut self, early: Early, payload: &[u8]) -> bool {
        if self.early.len() >= SEGMENTS || self.bytes + payload.len() > BYTES {
            return false;
        }
        self.bytes += payload.len();
        self.early.push(Early { bytes: payload.into(), ..early });
        true
    }

    /// Swaps the sides.
    pub(crate) fn turn(&mut self) {
        self.early.iter_mut().for_each(|early| early.side = early.side.other());
    }

    /// The distance from `next` to the nearest buffered segment of `side` behind it.
    pub(crate) fn nearest(&self, side: Peer, next: u32) -> Option<u32> {
        let of_side = self.early.iter().filter(|early| early.side == side && !early.suspect);
        of_side.map(|early| early.seq.wrapping_sub(next)).filter(|gap| *gap < 1 << 31).min()
    }

    /// Takes a segment of `side` that starts at or before `next`.
    pub(crate) fn take_ready(&mut self, side: Peer, next: u32) -> Option<Early> {
        let due = |early: &Early| next.wrapping_sub(early.seq) < 1 << 31;
        self.take(|early| early.side == side && !early.suspect && due(early))
    }

    fn take(&mut self, which: impl FnMut(&Early) -> bool) -> Option<Early> {
        let at = self.early.iter().position(which)?;
        let early = self.early.swap_remove(at);
        self.bytes -= early.bytes.len();
        Some(early)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_within_its_caps() {
        let mut reorder = Reorder::default();
        for n in 0..SEGMENTS as u32 {
            assert!(reorder.keep(Peer::Initiator, n * 10, &[0; 10], 10));
        }
        assert!(!reorder.keep(Peer::Initiator, 5_000, &[0; 10], 10));
        let mut reorder = Reorder::default();
        assert!(reorder.keep(Peer::Initiator, 0, &[0; BYTES], 10));
        assert!(!reorder.keep(Peer::Responder, 0, &[0; 1], 1));
    }

    #[test]
    fn returns_segments_in_order() {
        let mut reorder = Reorder::default();
        reorder.keep(Peer::Initiator, 110, b"b", 1);
        reorder.keep(Peer::Responder, 50, b"x", 1);
        assert_eq!(reorder.nearest(Peer::Initiator, 100), Some(10));
        assert!(reorder.take_ready(Peer::Initiator, 100).is_none());
        assert_eq!(&*reorder.take_ready(Peer::Initiator, 110).unwrap().bytes, b"b");
        assert!(!reorder.is_empty());
    }
}
