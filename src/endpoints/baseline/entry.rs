//! The baseline of one prefix, network, person or service.
//!
//! Owns: two spans of 64 days, so that the old path is forgotten some time after a path changes.
//! In: round trips with their day and address. Out: floor, sessions, days, percentiles. Never: more
//! than two spans; the sum of two entries depends neither on order nor on grouping.

use std::borrow::Cow;

use crate::endpoints::baseline::counts::Counts;
use crate::model::{Addr, Nanos};

const DAY_S: u64 = 86_400;

/// Days per span: one bit each.
const SPAN_DAYS: u64 = 64;

/// The lowest round trip of a session on one leg.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// The day on which the session ended, since 1970.
    pub(super) day: u64,
    /// [`address_bit`] of the remote end.
    pub(super) address: u64,
    /// The round trip, in ns.
    pub(super) ns: u64,
}

impl Sample {
    /// A round trip to `ip` in a session that ended at `end`.
    pub(super) fn new(ip: Addr, ns: u64, end: Nanos) -> Sample {
        Sample { day: end.as_secs() / DAY_S, address: address_bit(ip), ns }
    }
}

/// One of 64 bits for an address; an IPv6 address by its /64, since hosts change the rest (RFC
/// 8981). Two addresses that share a bit count as one, so the count is never too high.
fn address_bit(ip: Addr) -> u64 {
    let bits = match ip.to_v4() {
        Some(v4) => u64::from(u32::from(v4)),
        None => (ip.to_bits() >> 64) as u64,
    };
    // The multiplier of Knuth's multiplicative hash for 64 bits.
    1 << (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

/// The statistics of a span of 64 days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The number of the span, in units of 64 days since 1970.
    pub(super) number: u64,
    /// One bit per day.
    pub(super) days: u64,
    /// One bit or more for the addresses.
    pub(super) addresses: u64,
    /// The lowest round trip, in ns.
    pub(super) floor_ns: u64,
    pub(super) counts: Counts,
}

impl Span {
    fn new(number: u64) -> Span {
        let counts = Counts::default();
        Span { number, days: 0, addresses: 0, floor_ns: u64::MAX, counts }
    }

    fn learn(&mut self, sample: &Sample) {
        self.days |= 1 << (sample.day % SPAN_DAYS);
        self.addresses |= sample.address;
        self.floor_ns = self.floor_ns.min(sample.ns);
        self.counts.record(sample.ns);
    }

    fn add(&mut self, other: &Span) {
        self.days |= other.days;
        self.addresses |= other.addresses;
        self.floor_ns = self.floor_ns.min(other.floor_ns);
        self.counts.add(&other.counts);
    }
}

/// The latest span with any session, and the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaselineEntry {
    pub(super) now: Span,
    pub(super) before: Option<Box<Span>>,
}

impl BaselineEntry {
    /// An entry with its first round trip.
    pub(super) fn new(sample: &Sample) -> BaselineEntry {
        let mut now = Span::new(sample.day / SPAN_DAYS);
        now.learn(sample);
        BaselineEntry { now, before: None }
    }

    /// Adds a round trip; one that is older than both spans is ignored.
    pub(super) fn learn(&mut self, sample: &Sample) {
        if let Some(span) = self.span(sample.day / SPAN_DAYS) {
            span.learn(sample);
        }
    }

    /// Adds the entry of another sensor.
    pub(super) fn add(&mut self, other: BaselineEntry) {
        let BaselineEntry { now, before } = other;
        for span in [Some(now), before.map(|before| *before)].into_iter().flatten() {
            if let Some(mine) = self.span(span.number) {
                mine.add(&span);
            }
        }
    }

    /// The span of a number; a later one shifts the present ones.
    fn span(&mut self, number: u64) -> Option<&mut Span> {
        if number > self.now.number {
            let last = std::mem::replace(&mut self.now, Span::new(number));
            let follows = last.number.checked_add(1) == Some(number);
            self.before = follows.then(|| Box::new(last));
        }
        if number == self.now.number {
            return Some(&mut self.now);
        }
        let follows = number.checked_add(1) == Some(self.now.number);
        follows.then(|| &mut **self.before.get_or_insert_with(|| Box::new(Span::new(number))))
    }

    /// The amount of data behind it.
    pub(super) fn support(&self) -> Support {
        let before = self.before.as_deref();
        let samples = before.map_or(0, |before| before.counts.samples());
        Support {
            sessions: self.now.counts.samples() + samples,
            days: self.days(),
            addresses: (self.now.addresses | before.map_or(0, |b| b.addresses)).count_ones(),
        }
    }

    /// The histogram of both spans.
    pub(super) fn counts(&self) -> Cow<'_, Counts> {
        let Some(before) = &self.before else { return Cow::Borrowed(&self.now.counts) };
        let mut counts = self.now.counts.clone();
        counts.add(&before.counts);
        Cow::Owned(counts)
    }

    /// The lowest round trip, in ns.
    pub(super) fn lowest_ns(&self) -> u64 {
        self.now.floor_ns.min(self.before.as_deref().map_or(u64::MAX, |before| before.floor_ns))
    }

    fn days(&self) -> u32 {
        let before = self.before.as_deref().map_or(0, |before| before.days.count_ones());
        self.now.days.count_ones() + before
    }

    /// The eviction order at the cap: days, sessions, the last day.
    pub(super) fn worth(&self) -> (u32, u64, u64) {
        let last = u64::from(self.now.days.checked_ilog2().unwrap_or(0));
        let day = self.now.number.saturating_mul(SPAN_DAYS).saturating_add(last);
        (self.days(), self.support().sessions, day)
    }
}

/// The amount of data behind an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Support {
    pub(super) sessions: u64,
    pub(super) days: u32,
    /// Different addresses, at most 64.
    pub(super) addresses: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(day: u64, ns: u64) -> Sample {
        Sample { day, address: 1 << (day % 5), ns }
    }

    #[test]
    fn days_are_counted_over_two_spans_and_older_ones_forgotten() {
        let mut entry = BaselineEntry::new(&sample(63, 5));
        entry.learn(&sample(64, 7));
        entry.learn(&sample(64, 9));
        let support = Support { sessions: 3, days: 2, addresses: 2 };
        assert_eq!((entry.support(), entry.lowest_ns()), (support, 5));
        assert_eq!(entry.counts().samples(), 3);
        entry.learn(&sample(128, 8));
        assert_eq!((entry.support().sessions, entry.lowest_ns()), (3, 7));
        entry.learn(&sample(63, 1));
        assert_eq!(entry.lowest_ns(), 7, "too old to count");
        entry.learn(&sample(400, 50));
        assert_eq!((entry.support().sessions, entry.worth()), (1, (1, 1, 400)));
    }

    #[test]
    fn a_late_round_trip_finds_the_span_before() {
        let mut entry = BaselineEntry::new(&sample(64, 7));
        entry.learn(&sample(2, 3));
        assert_eq!((entry.support().days, entry.lowest_ns()), (2, 3));
    }

    #[test]
    fn addresses_of_one_subnet_of_ipv6_are_one() {
        let bit = |text: &str| address_bit(Addr::from(text.parse::<std::net::IpAddr>().unwrap()));
        assert_eq!(bit("2001:db8::1"), bit("2001:db8::2"));
        assert_ne!(bit("2001:db8::1"), bit("2001:db8:0:1::1"));
        assert_ne!(bit("192.0.2.1"), bit("192.0.2.2"));
    }
}
