//! Carries endpoints over from one file set of a live run to the next: each set starts a new table,
//! but rules need days of data.
//!
//! Owns: the last week of endpoints that rules judge, by identity. In: a table whose set is being
//! finished. Out: entries for the new table. Never: grows past the table's cap: of too many, those
//! seen on most days stay.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::endpoints::accumulator::Judged;
use crate::endpoints::rolling_7d::Week;
use crate::model::Nanos;
use crate::model::endpoint::EndpointKey;

/// An endpoint not seen for this long is forgotten: rules look at seven days.
pub const KEPT: Nanos = Nanos::from_secs(7 * 86_400);

/// The data kept of one endpoint.
#[derive(Clone, Debug)]
pub(super) struct CarriedEndpoint {
    pub(super) last: Nanos,
    pub(super) week: Option<Box<Week>>,
    pub(super) judged: Box<Judged>,
}

/// Carried endpoints, each until it is seen again.
#[derive(Debug, Default)]
pub(super) struct Carried(HashMap<EndpointKey, CarriedEndpoint, RandomState>);

impl Carried {
    /// Of `all`, those seen within a week of the latest, at most `cap`; and the number of others.
    pub(super) fn of(
        all: impl Iterator<Item = (EndpointKey, CarriedEndpoint)>,
        cap: usize,
    ) -> (Carried, u64) {
        let mut all: Vec<(EndpointKey, CarriedEndpoint)> = all.collect();
        let now = all.iter().map(|(_, carried)| carried.last).max().unwrap_or_default();
        all.retain(|(_, carried)| now.since(carried.last) <= KEPT);
        let dropped = all.len().saturating_sub(cap);
        if dropped > 0 {
            let worth = |carried: &CarriedEndpoint| (carried.judged.days_seen(), carried.last);
            all.sort_unstable_by(|(a, one), (b, other)| {
                worth(other).cmp(&worth(one)).then_with(|| a.cmp(b))
            });
            all.truncate(cap);
        }
        (Carried(all.into_iter().collect()), dropped as u64)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The data of an endpoint that is seen again, in a session whose last packet came `now`.
    pub(super) fn get(&self, key: &EndpointKey, now: Nanos) -> Option<CarriedEndpoint> {
        self.0.get(key).filter(|carried| now.since(carried.last) <= KEPT).cloned()
    }

    /// Takes the data of an endpoint that is seen again, in a session that ended `now`.
    pub(super) fn take(&mut self, key: &EndpointKey, now: Nanos) -> Option<CarriedEndpoint> {
        self.0.remove(key).filter(|carried| now.since(carried.last) <= KEPT)
    }

    /// Those that were not seen again.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = (EndpointKey, CarriedEndpoint)> {
        std::mem::take(&mut self.0).into_iter()
    }
}
