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
pub(super) struct Remains {
    pub(super) last: Nanos,
    pub(super) week: Option<Box<Week>>,
    pub(super) judged: Box<Judged>,
}

/// Carried endpoints, each until it is seen again.
#[derive(Debug, Default)]
pub(super) struct Carried(HashMap<EndpointKey, Remains, RandomState>);

impl Carried {
    /// Of `all`, those seen within a week of the latest, at most `cap`; and the number of others.
    pub(super) fn of(
        all: impl Iterator<Item = (EndpointKey, Remains)>,
        cap: usize,
    ) -> (Carried, u64) {
        let mut all: Vec<(EndpointKey, Remains)> = all.collect();
        let now = all.iter().map(|(_, remains)| remains.last).max().unwrap_or_default();
        all.retain(|(_, remains)| now.since(remains.last) <= KEPT);
        let dropped = all.len().saturating_sub(cap);
        if dropped > 0 {
            let worth = |remains: &Remains| (remains.judged.days_seen(), remains.last);
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

    /// Takes the data of an endpoint that is seen again, in a session that ended `now`.
    pub(super) fn take(&mut self, key: &EndpointKey, now: Nanos) -> Option<Remains> {
        self.0.remove(key).filter(|remains| now.since(remains.last) <= KEPT)
    }

    /// Those that were not seen again.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = (EndpointKey, Remains)> {
        std::mem::take(&mut self.0).into_iter()
    }
}
