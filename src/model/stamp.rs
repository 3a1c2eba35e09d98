//! The trust in a packet's time, and the granularity of its clock.
//!
//! Owns: two small values that travel with each packet. In: capture fills them in. Out: session
//! checks them before it measures. Never: a time.

use crate::model::Nanos;

/// The trust in a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Trust {
    /// It fits the times around it.
    #[default]
    Believed = 0,
    /// It fits those after it: the clock of its source was set back, or had been misled.
    SetBack = 1,
    /// It is hours or more away from those before it, and too little follows to decide which are
    /// right. It applies to what starts here, and neither ends nor extends anything older.
    Doubtful = 2,
    /// There is none, or others refute it. The packet has the time of its source's clock instead,
    /// and must not be used for measurement.
    Absent = 3,
}

impl Trust {
    /// Whether spans to and from it may be measured.
    pub const fn measures(self) -> bool {
        !matches!(self, Trust::Absent)
    }

    /// Whether it may move timers.
    pub const fn moves_timers(self) -> bool {
        matches!(self, Trust::Believed | Trust::SetBack)
    }
}

/// The granularity of a clock: 0 is a clock so fine that it does not matter (in 7 microseconds
/// light travels a kilometre and back), `n` is up to 5 microseconds times two to the `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grain(u8);

/// The largest granularity that does not matter, in ns.
const FINE: u64 = 10_000;

/// Ticks that a span must last if the granularity matters: it is then known to a tenth.
const TICKS_MIN: u64 = 10;

impl Grain {
    /// A clock that cannot be used for measurement.
    pub const USELESS: Grain = Grain(63);

    /// For a clock whose readings are this far apart, in ns: the next step that is no finer.
    pub const fn of(ns: u64) -> Grain {
        let units = ns.div_ceil(FINE / 2);
        if units <= 2 {
            return Grain(0);
        }
        // Of 64 bits at most 52 are left.
        let step = u64::BITS - (units - 1).leading_zeros();
        if step < 28 { Grain(step as u8) } else { Grain::USELESS }
    }

    /// Its length in ns; 0 if it does not matter.
    pub const fn as_nanos(self) -> u64 {
        match self.0 {
            0 => 0,
            step => (FINE / 2) << step,
        }
    }

    /// Whether a span is long enough to be measured with this clock. Two equal readings only mean
    /// "shorter than a tick" (RFC 6298 section 2.3 calls it G), and a reading may be off by one
    /// tick.
    pub const fn resolves(self, span: Nanos) -> bool {
        match self.0 {
            0 => span.0 > 0,
            63 => false,
            _ => span.0 >= self.as_nanos() * TICKS_MIN,
        }
    }
}

/// Both, in the byte that travels with a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(u8);

impl Stamp {
    /// A believed time of a clock whose granularity does not matter.
    pub const PLAIN: Stamp = Stamp(0);

    /// Combines both.
    pub const fn new(trust: Trust, grain: Grain) -> Stamp {
        Stamp((trust as u8) << 6 | grain.0)
    }

    /// The trust in the time.
    pub const fn trust(self) -> Trust {
        match self.0 >> 6 {
            0 => Trust::Believed,
            1 => Trust::SetBack,
            2 => Trust::Doubtful,
            _ => Trust::Absent,
        }
    }

    /// The granularity of its clock.
    pub const fn grain(self) -> Grain {
        Grain(self.0 & 63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_must_exceed_the_resolution_of_the_clock() {
        let ms = |n: u64| Nanos::from_millis(n);
        assert_eq!(Grain::of(1), Grain(0));
        assert_eq!(Grain::of(1_000), Grain(0));
        assert!(Grain::of(1_000).resolves(Nanos(1_000)));
        assert!(!Grain::of(1_000).resolves(Nanos(0)), "equal readings");
        assert!(!Grain::of(10_000_000).resolves(ms(30)), "30 ms by ticks of 10");
        assert!(Grain::of(10_000_000).resolves(ms(105)));
        assert!(!Grain::of(1_000_000_000).resolves(Nanos::from_secs(9)));
        assert!(!Grain::of(u64::MAX).resolves(Nanos(u64::MAX)));
    }

    #[test]
    fn a_stored_granularity_is_never_finer_than_the_clock() {
        for ns in [10_001, 12_345, 1_000_000, 10_000_000, 15_625_000, 1_000_000_000] {
            let kept = Grain::of(ns).as_nanos();
            assert!((ns..ns * 2).contains(&kept), "{ns} became {kept}");
        }
    }

    #[test]
    fn trust_and_granularity_fit_one_byte() {
        for trust in [Trust::Believed, Trust::SetBack, Trust::Doubtful, Trust::Absent] {
            for grain in [Grain(0), Grain::of(10_000_000), Grain::USELESS] {
                let stamp = Stamp::new(trust, grain);
                assert_eq!((stamp.trust(), stamp.grain()), (trust, grain));
            }
        }
    }
}
