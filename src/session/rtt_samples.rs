//! Round trips taken while a session runs: what waits for its acknowledgement, and what came out.
//!
//! Owns: one segment under way and sixteen round trips of each direction. In: segments and the
//! acknowledgements that cover them. Out: [`RoundTrips`] of a leg. Never: grows, or averages.

use crate::model::Nanos;
use crate::model::Peer;
use crate::model::latency::Methods;
use crate::model::latency::RoundTrips;

/// Longest round trip believed. Who is not acknowledged repeats after a second or less (RFC 6298
/// section 2), and every repetition waits twice as long: where none was seen in so long a time, the
/// sensor missed the acknowledgement.
pub(crate) const LONGEST: Nanos = Nanos(3_000_000_000);

/// Round trips kept of a direction for its quantiles.
const KEPT: usize = 16;

/// A segment that waits for its acknowledgement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probe {
    /// When it passed.
    pub(crate) at: Nanos,
    /// The sequence number behind it.
    pub(crate) end: u32,
    /// Its timestamp value, where it has one.
    pub(crate) stamp: Option<u32>,
}

impl Probe {
    /// Whether it has waited for longer than any round trip believed, or time has stepped back.
    pub(crate) fn is_stale(&self, now: Nanos) -> bool {
        now.checked_since(self.at).is_none_or(|span| span > LONGEST)
    }

    /// The round trip that an acknowledgement which covers it closes, and how it is known.
    ///
    /// Where it has a timestamp, that must come back (RFC 7323 section 4.1 calls it the only way
    /// to tell copies apart, and the sensor may have missed one); else Karn's rule is left to
    /// whoever gives up a probe when its sender repeats something.
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

/// What came of the segments of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Collected {
    samples: u32,
    min_ns: u32,
    /// Of all round trips in their order, each whose ordinal is a multiple of `1 << sparse`.
    kept: [u32; KEPT],
    len: u8,
    sparse: u8,
    methods: u8,
}

impl Collected {
    /// Adds one.
    pub(crate) fn add(&mut self, ns: u32, method: u8) {
        self.min_ns = if self.samples == 0 { ns } else { self.min_ns.min(ns) };
        self.methods |= method;
        if self.samples & ((1 << self.sparse) - 1) == 0 {
            self.keep(ns);
        }
        // Far above what one session can bring while probes grow rarer.
        self.samples = self.samples.saturating_add(1);
    }

    /// Keeps one; where there is no room, every other of those kept goes first, and from then on
    /// half as many come.
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

    /// Lowest of all; median and 95th percentile, by nearest rank, of those kept: all where there
    /// are at most sixteen, else 8 to 16 at equal distance in their order.
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
    /// What `side` sent.
    pub(crate) const fn way(&mut self, side: Peer) -> &mut Way {
        match side {
            Peer::Initiator => &mut self.initiator,
            Peer::Responder => &mut self.responder,
        }
    }

    /// Each side becomes the other.
    pub(crate) const fn turn(&mut self) {
        std::mem::swap(&mut self.initiator, &mut self.responder);
    }

    /// The leg between the sensor and `side`: the other end's segments measure it.
    pub(crate) fn leg(&self, side: Peer) -> Option<RoundTrips> {
        match side {
            Peer::Initiator => self.responder.collected.result(),
            Peer::Responder => self.initiator.collected.result(),
        }
    }
}

/// Whether the `n`th packet of a direction may carry a probe: each of the first eight, then ever
/// fewer, one in 64 at the least. A leg's floor shows within its first dozens of round trips, and
/// the packets between touch nothing of this.
pub(crate) const fn is_turn(n: u32) -> bool {
    let every = match n {
        0..9 => 1,
        9..128 => 4,
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
            // What is kept: every such ordinal, from 8 to 16 of them.
            let step = trips.len().div_ceil(KEPT).next_power_of_two();
            let mut kept: Vec<u32> = trips.iter().copied().step_by(step).collect();
            prop_assert!(kept.len() <= KEPT && (step == 1 || kept.len() >= KEPT / 2));
            kept.sort_unstable();
            let rank = |percent: usize| u64::from(kept[(kept.len() * percent).div_ceil(100) - 1]);
            prop_assert_eq!((got.p50_ns, got.p95_ns), (rank(50), rank(95)));
        }
    }
}
