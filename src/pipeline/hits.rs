//! Alerts by rule, for metrics.
//!
//! Owns: the counts. In: alerts that are reported. Out: rule, level and count. Policy at the cap:
//! rules that come later are counted together.

use std::collections::BTreeMap;

use crate::model::Alert;

/// Rules that are counted each; the alerts of others are counted together.
const RULES_MAX: usize = 1_000;

/// The number and level of a rule.
type Hit = (String, &'static str);

/// Alerts by rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Hits {
    counts: BTreeMap<Hit, u64>,
    others: u64,
    changed: bool,
}

impl Hits {
    /// Counts an alert.
    pub(super) fn add(&mut self, alert: &Alert) {
        self.changed = true;
        let hit = (alert.rule.id.clone(), alert.level.as_str());
        let room = self.counts.len() < RULES_MAX;
        match self.counts.get_mut(&hit) {
            Some(count) => *count += 1,
            None if room => drop(self.counts.insert(hit, 1)),
            None => self.others += 1,
        }
    }

    /// Whether any was counted since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Rule, level and count.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let others = (self.others > 0).then_some(("other", "", self.others));
        let counted = self.counts.iter();
        counted.map(|((rule, level), count)| (rule.as_str(), *level, *count)).chain(others)
    }
}
