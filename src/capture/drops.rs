//! Frames that a capture file reports as lost.
//!
//! Owns: how the counters of interfaces and packets combine. In: options of pcapng blocks. Out:
//! sums. Never: an estimate.

use serde::Serialize;

use crate::capture::step::Order;

/// epb_dropcount (draft-ietf-opsawg-pcapng section 4.3).
const DROPCOUNT: u16 = 4;
/// isb_ifdrop and isb_osdrop (section 4.6).
const IFDROP: u16 = 5;
const OSDROP: u16 = 7;

/// A drop count in the obsolete packet block that means "unknown".
const UNKNOWN: u16 = 0xffff;

/// The losses reported for one interface of one section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReportedLosses {
    /// The last statistics: each block's counters continue those of the block before.
    card: u64,
    system: u64,
    /// Losses noted in packet blocks.
    noted: u64,
}

impl ReportedLosses {
    /// Reads an option of an interface statistics block.
    pub(super) fn statistics(&mut self, order: Order, code: u16, value: &[u8]) {
        let losses = value.first_chunk().map(|bytes| order.u64(*bytes));
        // All ones means "unknown".
        match (code, losses.filter(|n| *n != u64::MAX)) {
            (IFDROP, Some(n)) => self.card = n,
            (OSDROP, Some(n)) => self.system = n,
            _ => {}
        }
    }

    /// Reads an option of an enhanced packet block.
    pub(super) fn packet(&mut self, order: Order, code: u16, value: &[u8]) {
        if let (DROPCOUNT, Some(bytes)) = (code, value.first_chunk()) {
            self.noted = self.noted.saturating_add(order.u64(*bytes));
        }
    }

    /// Reads the drop count of an obsolete packet block.
    pub(super) fn count(&mut self, drops: u16) {
        if drops != UNKNOWN {
            self.noted = self.noted.saturating_add(drops.into());
        }
    }
}

/// Frames that were lost before they reached a file, as far as the file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drops {
    /// Lost by the interface.
    pub card: u64,
    /// Lost by the capturing system.
    pub system: u64,
    /// Lost by either: what packets report beyond the two above.
    pub either: u64,
}

impl Drops {
    /// The sum.
    pub const fn total(&self) -> u64 {
        self.card.saturating_add(self.system).saturating_add(self.either)
    }

    /// Adds the losses of an interface. Statistics and packets report the same losses, so only the
    /// excess of the packets' sum is added to `either`.
    pub(super) const fn add(&mut self, losses: ReportedLosses) {
        self.card = self.card.saturating_add(losses.card);
        self.system = self.system.saturating_add(losses.system);
        let more = losses.noted.saturating_sub(losses.card.saturating_add(losses.system));
        self.either = self.either.saturating_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_statistics_count_and_packets_only_beyond_them() {
        let mut losses = ReportedLosses::default();
        for (code, n) in [(IFDROP, 10u64), (IFDROP, 25), (OSDROP, 5), (IFDROP, u64::MAX)] {
            losses.statistics(Order::Big, code, &n.to_be_bytes());
        }
        losses.statistics(Order::Big, OSDROP, &[1, 2, 3]);
        let mut drops = Drops::default();
        drops.add(losses);
        assert_eq!(drops, Drops { card: 25, system: 5, either: 0 });
        losses.packet(Order::Big, DROPCOUNT, &31u64.to_be_bytes());
        losses.count(UNKNOWN);
        losses.count(2);
        drops.add(losses);
        assert_eq!(drops, Drops { card: 50, system: 10, either: 3 });
    }

    #[test]
    fn numbers_of_any_size_add_up_without_wrapping() {
        let mut losses = ReportedLosses::default();
        for code in [IFDROP, OSDROP] {
            losses.statistics(Order::Little, code, &(u64::MAX - 1).to_le_bytes());
        }
        losses.packet(Order::Little, DROPCOUNT, &[0xff; 8]);
        losses.packet(Order::Little, DROPCOUNT, &[0xff; 8]);
        let mut drops = Drops::default();
        drops.add(losses);
        drops.add(losses);
        assert_eq!(drops.total(), u64::MAX);
    }
}
