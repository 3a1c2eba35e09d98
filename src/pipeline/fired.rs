//! Which rules have fired on which endpoints, and when.
//!
//! Owns: the last time of each pair. In: alerts on endpoints. Out: whether one is told again.
//! Policy at the cap: the eighth that fired longest ago is forgotten; such a rule may fire on its
//! endpoint once more. Never: depends on the order of a hash table.

use std::collections::HashMap;

use crate::endpoints::KEPT;
use crate::model::Nanos;
use crate::model::endpoint::EndpointKey;

/// At the cap the ROOMth part makes room at once.
const ROOM: usize = 8;

/// Pairs of endpoint and rule, by the rule's UUID.
pub(super) struct Fired {
    at: HashMap<(EndpointKey, String), Nanos>,
    cap: usize,
    forgotten: u64,
}

impl Fired {
    /// None yet, and room for so many.
    pub(super) fn new(cap: usize) -> Fired {
        Fired { at: HashMap::new(), cap: cap.max(ROOM), forgotten: 0 }
    }

    /// A rule fires on an endpoint. Whether that is told: not again within a week.
    pub(super) fn tell(&mut self, endpoint: &EndpointKey, rule: &str, now: Nanos) -> bool {
        let pair = (endpoint.clone(), rule.to_owned());
        if self.at.get(&pair).is_some_and(|before| now.since(*before) <= KEPT) {
            return false;
        }
        if self.at.len() >= self.cap {
            self.forget_oldest();
        }
        self.at.insert(pair, now);
        true
    }

    /// Forgets what may be told again anyway.
    pub(super) fn tidy(&mut self) {
        let now = self.at.values().copied().max().unwrap_or_default();
        self.at.retain(|_, at| now.since(*at) <= KEPT);
    }

    /// How many were forgotten before their time since the last call.
    pub(super) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    #[cold]
    fn forget_oldest(&mut self) {
        let mut all: Vec<_> = self.at.drain().collect();
        // Two pairs never compare equal.
        all.sort_unstable_by(|(a, at), (b, bt)| (at, a).cmp(&(bt, b)));
        let goes = self.cap.div_ceil(ROOM);
        self.forgotten += goes as u64;
        self.at.extend(all.into_iter().skip(goes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Addr;
    use crate::model::endpoint::Locality;

    #[test]
    fn a_rule_fires_once_a_week_and_the_oldest_are_forgotten() {
        let key = |n: u8| EndpointKey {
            ip: Addr::v4([192, 0, 2, n]),
            side: Locality::Remote,
            fingerprint: None,
            service: None,
        };
        let mut fired = Fired::new(16);
        let at = |n: u8| Nanos::from_secs(u64::from(n));
        assert!(fired.tell(&key(0), "a", at(0)) && !fired.tell(&key(0), "a", at(9)));
        assert!(fired.tell(&key(0), "a", KEPT.plus(at(1))));
        let mut fired = Fired::new(16);
        for n in 0..40 {
            assert!(fired.tell(&key(n), "a", at(n)));
            assert!(fired.at.len() <= 16);
        }
        assert_eq!(fired.take_forgotten() as usize + fired.at.len(), 40);
        assert!(!fired.tell(&key(39), "a", at(50)) && fired.tell(&key(1), "a", at(50)));
        fired.tell(&key(200), "a", KEPT.plus(at(200)));
        fired.tidy();
        assert_eq!(fired.at.len(), 1);
    }
}
