//! A packet that waits for its answer.

use crate::model::Nanos;

/// A packet that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) time: Nanos,
    /// Retransmissions, early segments and gaps of the session so far.
    pub(super) troubles: u32,
    /// Sequence number behind its last byte, which an answer acknowledges.
    pub(super) end: u32,
}

/// A mark in 16 bytes instead of 24, since there is one for every TCP session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// The maximum time means "none".
    time: Nanos,
    troubles: u32,
    pub(super) end: u32,
}

impl Slot {
    pub(super) const EMPTY: Slot = Slot { time: Nanos(u64::MAX), troubles: 0, end: 0 };

    pub(super) const fn of(mark: Mark) -> Slot {
        Slot { time: mark.time, troubles: mark.troubles, end: mark.end }
    }

    pub(super) fn get(self) -> Option<Mark> {
        let Slot { time, troubles, end } = self;
        (time != Slot::EMPTY.time).then_some(Mark { time, troubles, end })
    }

    pub(super) fn take(&mut self) -> Option<Mark> {
        std::mem::replace(self, Slot::EMPTY).get()
    }
}

/// Whether an acknowledgement covers all before `end` (RFC 9293 section 3.4, modulo 2^32).
pub(super) const fn acknowledges(ack: u32, end: u32) -> bool {
    ack.wrapping_sub(end) < 1 << 31
}
