//! How far the time of a packet is to be believed, and how finely its clock divides time.
//!
//! Owns: two small values that travel with each packet. In: capture fills them. Out: session asks
//! them before it measures. Never: a time.

use crate::model::Nanos;

/// How far a time is to be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Trust {
    /// It fits the times around it.
    #[default]
    Believed = 0,
    /// It fits those after it: the clock of its source was set back, or had been led astray.
    SetBack = 1,
    /// Hours or more away from those before it, and too little follows to tell which are right. It
    /// is the time of what begins here, and ends or extends nothing that was there before.
    Doubtful = 2,
    /// It has none, or one that others refute; it was given the time of its source's clock, and
    /// nothing may be measured by it.
    Absent = 3,
}

impl Trust {
    /// Whether spans may be measured to and from it.
    pub const fn measures(self) -> bool {
        !matches!(self, Trust::Absent)
    }

    /// Whether timers may run by it.
    pub const fn moves_timers(self) -> bool {
        matches!(self, Trust::Believed | Trust::SetBack)
    }
}

/// How finely a clock divides time: 0 is a clock so fine that its grain does not matter (in 7
/// microseconds light goes a kilometre and back), `n` one of up to 5 microseconds times two to the
/// `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grain(u8);

/// The finest grain that does not matter, in ns.
const FINE: u64 = 10_000;

/// Ticks that a span must last where the grain matters: it is then known to a tenth.
const TICKS_MIN: u64 = 10;

impl Grain {
    /// A clock by which nothing can be measured.
    pub const USELESS: Grain = Grain(63);

    /// Of a clock whose readings are so many ns apart: the next step that is no finer.
    pub const fn of(ns: u64) -> Grain {
        let units = ns.div_ceil(FINE / 2);
        if units <= 2 {
            return Grain(0);
        }
        // Of 64 bits at most 52 are left.
        let step = u64::BITS - (units - 1).leading_zeros();
        if step < 28 { Grain(step as u8) } else { Grain::USELESS }
    }

    /// Its length in ns; of one that does not matter, 0.
    pub const fn as_nanos(self) -> u64 {
        match self.0 {
            0 => 0,
            step => (FINE / 2) << step,
        }
    }

    /// Whether a span is long enough to be told by this clock. Two equal readings say only
    /// "shorter than the grain" (RFC 6298 section 2.3 calls it G), and a reading may be a grain
    /// off.
    pub const fn tells(self, span: Nanos) -> bool {
        match self.0 {
            0 => span.0 > 0,
            63 => false,
            _ => span.0 >= self.as_nanos() * TICKS_MIN,
        }
    }
}

/// Both of them, in the byte that travels with a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(u8);

impl Stamp {
    /// A time that is believed, of a clock whose grain does not matter.
    pub const PLAIN: Stamp = Stamp(0);

    /// Of a time.
    pub const fn new(trust: Trust, grain: Grain) -> Stamp {
        Stamp((trust as u8) << 6 | grain.0)
    }

    /// How far the time is to be believed.
    pub const fn trust(self) -> Trust {
        match self.0 >> 6 {
            0 => Trust::Believed,
            1 => Trust::SetBack,
            2 => Trust::Doubtful,
            _ => Trust::Absent,
        }
    }

    /// How finely its clock divides time.
    pub const fn grain(self) -> Grain {
        Grain(self.0 & 63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_must_exceed_what_the_clock_can_tell() {
        let ms = |n: u64| Nanos::from_millis(n);
        assert_eq!(Grain::of(1), Grain(0));
        assert_eq!(Grain::of(1_000), Grain(0));
        assert!(Grain::of(1_000).tells(Nanos(1_000)));
        assert!(!Grain::of(1_000).tells(Nanos(0)), "equal readings");
        assert!(!Grain::of(10_000_000).tells(ms(30)), "30 ms by ticks of 10");
        assert!(Grain::of(10_000_000).tells(ms(105)));
        assert!(!Grain::of(1_000_000_000).tells(Nanos::from_secs(9)));
        assert!(!Grain::of(u64::MAX).tells(Nanos(u64::MAX)));
    }

    #[test]
    fn a_grain_is_never_made_finer() {
        for ns in [10_001, 12_345, 1_000_000, 10_000_000, 15_625_000, 1_000_000_000] {
            let kept = Grain::of(ns).as_nanos();
            assert!((ns..ns * 2).contains(&kept), "{ns} became {kept}");
        }
    }

    #[test]
    fn a_byte_holds_both() {
        for trust in [Trust::Believed, Trust::SetBack, Trust::Doubtful, Trust::Absent] {
            for grain in [Grain(0), Grain::of(10_000_000), Grain::USELESS] {
                let stamp = Stamp::new(trust, grain);
                assert_eq!((stamp.trust(), stamp.grain()), (trust, grain));
            }
        }
    }
}
