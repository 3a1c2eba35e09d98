//! The position of one direction of a TCP stream: what is next, repeated, missing.
//!
//! Owns: the next sequence number and at most one open gap. In: segments. Out: a verdict on each.
//! Never: holds bytes (reorder does).

/// Sequence state of one direction (RFC 9293 section 3.4: comparisons modulo 2^32).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stream {
    next: u32,
    /// Start and length of the gap below `next` that may still be filled; length 0 is none. If the
    /// length is [`STRAY`] there is no gap, and the start is the end of a segment that was too far
    /// away to be accepted.
    hole_at: u32,
    hole_len: u32,
}

/// The position of a segment in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The next bytes, after `skip` bytes already seen.
    InOrder { skip: u32 },
    /// Bytes seen before.
    Repeat,
    /// Fills (part of) the open gap.
    Late,
    /// Starts `missing` bytes ahead of what is next.
    Ahead { missing: u32 },
    /// Too far away to be accepted.
    Stray,
    /// As far away, but it continues an earlier segment there: the stream is there now.
    Elsewhere,
}

/// A segment farther away than this is believed only if another one continues it. A window may be 1
/// GiB (RFC 7323 section 2.3), but between two packets that a sensor sees, only lost data can lie:
/// a second at 100 Mbit/s is 12 MiB.
const FAR: u32 = 16 << 20;

/// Not a length of a gap: those are below [`FAR`].
const STRAY: u32 = u32::MAX;

/// The same, if the peer has acknowledged bytes nearby since.
const STRAY_ACKNOWLEDGED: u32 = u32::MAX - 1;

impl Stream {
    /// The stream starts (again) with `seq` as its next byte.
    pub(crate) fn start(&mut self, seq: u32) {
        *self = Stream { next: seq, ..Stream::default() };
    }

    /// Its state as words, for what is no stream and stands in its place.
    pub(crate) const fn words(&self) -> [u32; 3] {
        [self.next, self.hole_at, self.hole_len]
    }

    /// The same, the other way.
    pub(crate) const fn of_words([next, hole_at, hole_len]: [u32; 3]) -> Stream {
        Stream { next, hole_at, hole_len }
    }

    /// The next sequence number expected.
    pub(crate) const fn next(&self) -> u32 {
        self.next
    }

    /// Bytes of the open gap.
    pub(crate) const fn hole(&self) -> u32 {
        if self.hole_len >= STRAY_ACKNOWLEDGED { 0 } else { self.hole_len }
    }

    /// Whether an acknowledgement covers the whole open gap.
    pub(crate) const fn covers_hole(&self, ack: u32) -> bool {
        let end = self.hole_at.wrapping_add(self.hole_len);
        self.hole() > 0 && ack.wrapping_sub(end) < 1 << 31
    }

    /// The position of `len` bytes at `seq`. Does not advance the stream.
    pub(crate) fn place(&self, seq: u32, len: u32) -> Placed {
        let ahead = seq.wrapping_sub(self.next);
        if ahead == 0 {
            return Placed::InOrder { skip: 0 };
        }
        if ahead < FAR {
            return Placed::Ahead { missing: ahead };
        }
        if !self.is_near(seq) {
            let continues = self.hole_len >= STRAY_ACKNOWLEDGED && self.hole_at == seq;
            return if continues { Placed::Elsewhere } else { Placed::Stray };
        }
        let behind = self.next.wrapping_sub(seq);
        if behind < len {
            return Placed::InOrder { skip: behind };
        }
        if seq.wrapping_sub(self.hole_at) < self.hole() {
            return Placed::Late;
        }
        Placed::Repeat
    }

    /// Whether a sequence number is near enough to what is next to belong to this stream.
    pub(crate) const fn is_near(&self, seq: u32) -> bool {
        seq.wrapping_sub(self.next) < FAR || self.next.wrapping_sub(seq) < FAR
    }

    /// Records the end of a segment that is far away. Returns the bytes of an open gap, which is
    /// given up.
    pub(crate) fn remember(&mut self, end: u32) -> u32 {
        let given_up = self.hole();
        self.hole_at = end;
        self.hole_len = STRAY;
        given_up
    }

    /// The peer acknowledges that number: it received the far segment if that is nearby.
    pub(crate) const fn note_stray_ack(&mut self, ack: u32) {
        if self.hole_len == STRAY && self.hole_at.wrapping_sub(ack).wrapping_add(FAR) < 2 * FAR {
            self.hole_len = STRAY_ACKNOWLEDGED;
        }
    }

    /// Whether the peer acknowledged bytes near the stray segment.
    pub(crate) const fn is_stray_acknowledged(&self) -> bool {
        self.hole_len == STRAY_ACKNOWLEDGED
    }

    /// Advances by `len` bytes in order.
    pub(crate) const fn advance(&mut self, len: u32) {
        self.next = self.next.wrapping_add(len);
    }

    /// Skips `missing` bytes: they become the open gap. Returns the bytes of an older gap that is
    /// given up.
    pub(crate) fn pass_over(&mut self, missing: u32) -> u32 {
        let given_up = self.hole();
        self.hole_at = self.next;
        self.hole_len = missing;
        self.advance(missing);
        given_up
    }

    /// Processes late bytes: the gap shrinks.
    pub(crate) fn fill(&mut self, len: u32) {
        self.hole_len = self.hole().saturating_sub(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_segment_is_recognised() {
        let mut s = Stream::default();
        s.start(u32::MAX - 4);
        assert_eq!(s.place(u32::MAX - 4, 10), Placed::InOrder { skip: 0 });
        s.advance(10); // wraps to 5
        assert_eq!(s.next(), 5);
        assert_eq!(s.place(0, 5), Placed::Repeat);
        assert_eq!(s.place(0, 8), Placed::InOrder { skip: 5 });
        assert_eq!(s.place(25, 8), Placed::Ahead { missing: 20 });
        assert_eq!(s.pass_over(20), 0);
        s.advance(8);
        assert_eq!(s.place(10, 5), Placed::Late);
        s.fill(20);
        assert_eq!(s.place(10, 5), Placed::Repeat);
    }

    #[test]
    fn a_segment_out_of_range_counts_once_a_second_continues_it() {
        for far in [FAR, 1 << 30, 1 << 31, u32::MAX - 2 * FAR] {
            let mut s = Stream::default();
            s.start(1_000 + (1 << 28));
            let seq = far.wrapping_add(s.next());
            assert_eq!(s.place(0, 10), Placed::Stray, "what a field never set holds");
            assert_eq!(s.place(seq, 10), Placed::Stray, "{far}");
            assert_eq!(s.remember(seq.wrapping_add(10)), 0);
            assert_eq!(s.hole(), 0);
            assert_eq!(s.place(seq, 10), Placed::Stray, "the same once more");
            assert_eq!(s.place(s.next(), 10), Placed::InOrder { skip: 0 });
            assert_eq!(s.place(seq.wrapping_add(10), 10), Placed::Elsewhere);
        }
    }
}
