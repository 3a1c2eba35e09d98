//! Samples of round trips within a session.
//!
//! Owns: one timed segment and sixteen round trips per direction. In: segments and the
//! acknowledgements that cover them. Out: [`RoundTrips`] of a leg. Never: grows, or averages.

use crate::model::latency::{Methods, RoundTrips};
use crate::model::{Nanos, Peer};

/// Longest round trip believed. A sender without an acknowledgement retransmits after a second or
/// less (RFC 6298 section 2), and waits twice as long each time: if none was seen in this time, the
/// sensor missed the acknowledgement.
pub(crate) const LONGEST: Nanos = Nanos(3_000_000_000);

/// Round trips kept per direction for quantiles.
const KEPT: usize = 16;

/// A timed segment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probe {
    /// When it passed.
    pub(crate) at: Nanos,
    /// The sequence number behind it.
    pub(crate) end: u32,
    /// Its timestamp value, if any.
    pub(crate) stamp: Option<u32>,
}

impl Probe {
    /// Whether it has waited longer than any round trip believed, or time has stepped back.
    pub(crate) fn is_stale(&self, now: Nanos) -> bool {
        now.checked_since(self.at).is_none_or(|span| span > LONGEST)
    }

    /// The round trip closed by an acknowledgement that covers it, and the method.
    ///
    /// If it has a timestamp, that must be echoed (RFC 7323 section 4.1 calls it the only way to
    /// distinguish copies, and the sensor may have missed one). Without one, the caller applies
    /// Karn's rule: it drops the probe when its sender retransmits.
    pub(crate) fn close(&self, now: Nanos, echo: Option<u32>) -> Option<(u32, u8)> {
        let method = match (self.stamp, echo) {
            (Some(stamp), Some(echo)) if stamp == echo => Methods::TIMESTAMP,
            (None, _) => Methods::ACKNOWLEDGEMENT,
            _ => return None,
        };
        let span = now.checked_since(self.at).filter(|span| *span <= LONGEST)?;
        Some((u32::try_from(span.0).ok()?, method))
    }
}

/// The samples of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Collected {
    samples: u32,
    min_ns: u32,
    /// Of all round trips in order, those whose ordinal is a multiple of `1 << sparse`.
    kept: [u32; KEPT],
    len: u8,
    sparse: u8,
    methods: u8,
}

impl Collected {
    /// Adds a sample.
    pub(crate) fn add(&mut self, ns: u32, method: u8) {
        self.min_ns = if self.samples == 0 { ns } else { self.min_ns.min(ns) };
        self.methods |= method;
        if self.samples & ((1 << self.sparse) - 1) == 0 {
            self.keep(ns);
        }
        // Far more than a session can reach, since probes become rarer.
        self.samples = self.samples.saturating_add(1);
    }

    /// Keeps a sample; if there is no room, first drops every other one, and from then on half as
    /// many are kept.
    fn keep(&mut self, ns: u32) {
        if usize::from(self.len) >= KEPT {
            let old = self.kept;
            for (slot, ns) in self.kept.iter_mut().zip(old.iter().step_by(2)) {
                *slot = *ns;
            }
            self.len = (KEPT / 2) as u8;
            self.sparse = (self.sparse + 1).min(31);
        }
        if let Some(slot) = self.kept.get_mut(usize::from(self.len)) {
            *slot = ns;
            self.len += 1;
        }
    }

    /// The minimum of all; median and 95th percentile, by nearest rank, of those kept: all if there
    /// are at most sixteen, else 8 to 16 at equal intervals.
    pub(crate) fn result(&self) -> Option<RoundTrips> {
        let mut sorted = self.kept;
        let sorted = sorted.get_mut(..usize::from(self.len))?;
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let at = (sorted.len() * percent).div_ceil(100).checked_sub(1)?;
            sorted.get(at).map(|ns| u64::from(*ns))
        };
        Some(RoundTrips {
            min_ns: u64::from(self.min_ns),
            p50_ns: rank(50)?,
            p95_ns: rank(95)?,
            samples: self.samples,
            methods: Methods(self.methods),
        })
    }
}

/// One direction: the segments of one side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Way {
    pub(crate) probe: Probe,
    pub(crate) collected: Collected,
}

/// Both directions of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trips {
    initiator: Way,
    responder: Way,
}

impl Trips {
    /// The segments of `side`.
    pub(crate) const fn way(&mut self, side: Peer) -> &mut Way {
        match side {
            Peer::Initiator => &mut self.initiator,
            Peer::Responder => &mut self.responder,
        }
    }

    /// Swaps the sides.
    pub(crate) const fn turn(&mut self) {
        std::mem::swap(&mut self.initiator, &mut self.responder);
    }

    /// The leg between the sensor and `side`, measured by the other end's segments.
    pub(crate) fn leg(&self, side: Peer) -> Option<RoundTrips> {
        match side {
            Peer::Initiator => self.responder.collected.result(),
            Peer::Responder => self.initiator.collected.result(),
        }
    }
}

/// Whether the `n`th packet of a direction may be timed: each of the first 32, then fewer and
/// fewer, down to one in 64. A leg's floor shows within its first dozens of round trips, and the
/// packets in between touch none of this.
pub(crate) const fn is_turn(n: u32) -> bool {
    let every = match n {
        0..33 => 1,
        33..128 => 4,
        128..1_024 => 16,
        _ => 64,
    };
    n.is_multiple_of(every)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_probe_closes_by_its_own_timestamp_only() {
        let stamped = Probe { at: Nanos(1_000), end: 0, stamp: Some(7) };
        assert_eq!(stamped.close(Nanos(5_000), Some(7)), Some((4_000, Methods::TIMESTAMP)));
        assert_eq!(stamped.close(Nanos(5_000), Some(6)), None);
        assert_eq!(stamped.close(Nanos(5_000), None), None);
        let plain = Probe { stamp: None, ..stamped };
        assert_eq!(plain.close(Nanos(5_000), None), Some((4_000, Methods::ACKNOWLEDGEMENT)));
        assert_eq!(plain.close(Nanos(999), None), None, "time stepped back");
        assert_eq!(plain.close(Nanos(1_001 + LONGEST.0), None), None);
        assert!(plain.close(Nanos(1_000 + LONGEST.0), None).is_some());
        assert!(plain.is_stale(Nanos(1_001 + LONGEST.0)) && plain.is_stale(Nanos(0)));
    }

    #[test]
    fn a_block_stays_small() {
        assert!(size_of::<Trips>() <= 208, "{}", size_of::<Trips>());
    }

    proptest! {
        #[test]
        fn quantiles_are_exact_of_few_and_near_of_many(
            trips in proptest::collection::vec(1u32..1_000_000, 1..400),
        ) {
            let mut collected = Collected::default();
            trips.iter().for_each(|ns| collected.add(*ns, Methods::TIMESTAMP));
            let got = collected.result().unwrap();
            let mut sorted = trips.clone();
            sorted.sort_unstable();
            prop_assert_eq!(got.samples as usize, trips.len());
            prop_assert_eq!(got.min_ns, u64::from(sorted[0]));
            prop_assert!(got.min_ns <= got.p50_ns && got.p50_ns <= got.p95_ns);
            // Every such ordinal is kept, 8 to 16 of them.
            let step = trips.len().div_ceil(KEPT).next_power_of_two();
            let mut kept: Vec<u32> = trips.iter().copied().step_by(step).collect();
            prop_assert!(kept.len() <= KEPT && (step == 1 || kept.len() >= KEPT / 2));
            kept.sort_unstable();
            let rank = |percent: usize| u64::from(kept[(kept.len() * percent).div_ceil(100) - 1]);
            prop_assert_eq!((got.p50_ns, got.p95_ns), (rank(50), rank(95)));
        }
    }
}
