//! Reasons why a turn is not measured.
//!
//! Owns: their counters. In: a reason. Out: it is noted with the session. Never: a turn.

use super::{Beside, Watch};
use crate::model::Counter;
use crate::model::latency::Exclusions;

impl Watch {
    pub(super) fn exclude(&mut self, why: u16, beside: &mut Beside<'_>) {
        self.excluded.0 |= why;
        for (_, counter) in EXCLUDED.iter().filter(|(bit, _)| why & bit != 0) {
            beside.counters.bump(*counter);
        }
    }
}

/// The counter of each reason.
const EXCLUDED: [(u16, Counter); 6] = [
    (Exclusions::EARLY_DATA, Counter::TurnsEarlyData),
    (Exclusions::RETRY_REQUEST, Counter::TurnsRetryRequest),
    (Exclusions::CLIENT_CERTIFICATE, Counter::TurnsClientCertificate),
    (Exclusions::LOSS, Counter::TurnsLoss),
    (Exclusions::SPLIT_FLIGHT, Counter::TurnsSplitFlight),
    (Exclusions::STALL, Counter::TurnsStalled),
];
