//! What a correlation calculates, and the events that it is given.
//!
//! Owns: types, spans, caps. In: nothing. Out: what windows and sums are made by. Never: a
//! calculation.

/// A correlation of Sigma 2.1, by what it calculates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum Kind {
    EventCount,
    ValueCount,
    Temporal,
    TemporalOrdered,
    ValueSum,
    ValueAvg,
    ValuePercentile,
}

impl Kind {
    pub(in crate::detect) const ALL: [Kind; 7] = [
        Kind::EventCount,
        Kind::ValueCount,
        Kind::Temporal,
        Kind::TemporalOrdered,
        Kind::ValueSum,
        Kind::ValueAvg,
        Kind::ValuePercentile,
    ];

    /// The word of Sigma.
    pub(in crate::detect) const fn as_str(self) -> &'static str {
        match self {
            Kind::EventCount => "event_count",
            Kind::ValueCount => "value_count",
            Kind::Temporal => "temporal",
            Kind::TemporalOrdered => "temporal_ordered",
            Kind::ValueSum => "value_sum",
            Kind::ValueAvg => "value_avg",
            Kind::ValuePercentile => "value_percentile",
        }
    }
}

/// What is calculated over which span.
#[derive(Clone, Copy, Debug)]
pub(in crate::detect) struct Shape {
    pub(in crate::detect) kind: Kind,
    /// Nanoseconds.
    pub(in crate::detect) span: u64,
    /// How many rules it names.
    pub(in crate::detect) rules: usize,
    /// 0 to 100.
    pub(in crate::detect) percentile: f64,
    /// Most events of a group.
    pub(in crate::detect) cap: usize,
}

/// An event of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::detect) struct Entry {
    /// Nanoseconds, not 0.
    pub(in crate::detect) time: u64,
    /// Bits of a number, a hash, or which of the rules.
    pub(in crate::detect) value: u64,
    pub(in crate::detect) session: [u8; 16],
}

impl Entry {
    /// An event of that time; a capture whose clock began at 0 has none before it.
    pub(in crate::detect) const fn new(time: u64, value: u64, session: [u8; 16]) -> Entry {
        Entry { time: if time == 0 { 1 } else { time }, value, session }
    }
}
