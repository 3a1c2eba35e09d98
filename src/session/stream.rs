//! Where one direction of a TCP stream stands: what is next, what came twice, what is missing.
//!
//! Owns: the next sequence number and at most one open hole. In: segments. Out: a verdict on each.
//! Never: holds bytes (reorder does).

/// Sequence state of one direction (RFC 9293 section 3.4: comparisons modulo 2^32).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stream {
    next: u32,
    /// Start and length of the hole below `next` that may still be filled; length 0 is none.
    hole_at: u32,
    hole_len: u32,
}

/// What a segment is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The next bytes, after leaving out `skip` bytes already seen.
    InOrder { skip: u32 },
    /// Bytes seen before.
    Repeat,
    /// Fills (part of) a hole that had been passed over.
    Late,
    /// Begins `missing` bytes ahead of what is next.
    Ahead { missing: u32 },
}

/// A distance beyond which two sequence numbers of one stream are not believed (RFC 7323 section
/// 2.3: the largest window is 1 GiB).
const FAR: u32 = 1 << 30;

impl Stream {
    /// The stream begins (again) with `seq` as its next byte.
    pub(crate) fn start(&mut self, seq: u32) {
        *self = Stream { next: seq, ..Stream::default() };
    }

    /// The next sequence number expected.
    pub(crate) const fn next(&self) -> u32 {
        self.next
    }

    /// Bytes of the open hole.
    pub(crate) const fn hole(&self) -> u32 {
        self.hole_len
    }

    /// Where `len` bytes at `seq` belong. Does not move the stream.
    pub(crate) fn place(&self, seq: u32, len: u32) -> Placed {
        let ahead = seq.wrapping_sub(self.next);
        if ahead == 0 {
            return Placed::InOrder { skip: 0 };
        }
        if ahead < FAR {
            return Placed::Ahead { missing: ahead };
        }
        let behind = self.next.wrapping_sub(seq);
        if behind < len {
            return Placed::InOrder { skip: behind };
        }
        if self.hole_len > 0 && seq.wrapping_sub(self.hole_at) < self.hole_len {
            return Placed::Late;
        }
        Placed::Repeat
    }

    /// Moves on by `len` bytes that were in order.
    pub(crate) const fn advance(&mut self, len: u32) {
        self.next = self.next.wrapping_add(len);
    }

    /// Passes over `missing` bytes: they become the open hole. Gives the bytes of an older hole
    /// that is now given up.
    pub(crate) fn pass_over(&mut self, missing: u32) -> u32 {
        let given_up = self.hole_len;
        self.hole_at = self.next;
        self.hole_len = missing;
        self.advance(missing);
        given_up
    }

    /// Takes late bytes into account: the hole shrinks.
    pub(crate) fn fill(&mut self, len: u32) {
        self.hole_len = self.hole_len.saturating_sub(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_segment_is_told_apart() {
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
}
