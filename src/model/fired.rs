//! The rules that have fired on a session so far.
//!
//! Owns: a short list. In: alerts, by rule and level. Out: whether one is new. Never: more than
//! [`FiredRules::MOST`] entries: a rule for which there is no room fires at the session's end.

use crate::model::Level;
use crate::model::heap::ALLOCATION;

/// The rules that fired, each at its highest level so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FiredRules(Vec<(Box<str>, Level)>);

impl FiredRules {
    /// Rules remembered per session.
    pub const MOST: usize = 32;

    /// Whether a rule, by its UUID, has not fired yet, or only at a lower level.
    pub fn is_new(&self, rule: &str, level: Level) -> bool {
        !self.0.iter().any(|(known, before)| &**known == rule && *before >= level)
    }

    /// The same for an open session; a new one is recorded. Without room for it, it does not count
    /// as new yet.
    pub fn record(&mut self, rule: &str, level: Level) -> bool {
        if !self.is_new(rule, level) {
            return false;
        }
        if let Some((_, before)) = self.0.iter_mut().find(|(known, _)| &**known == rule) {
            *before = level;
            return true;
        }
        let has_room = self.0.len() < FiredRules::MOST;
        if has_room {
            self.0.push((rule.into(), level));
        }
        has_room
    }

    /// Bytes on the heap.
    pub fn heap(&self) -> usize {
        let rules = self.0.iter().map(|(rule, _)| rule.len() + ALLOCATION).sum::<usize>();
        rules + self.0.capacity() * size_of::<(Box<str>, Level)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fires_once_and_again_at_a_higher_level() {
        let mut fired = FiredRules::default();
        assert!(fired.record("a", Level::Low) && !fired.record("a", Level::Low));
        assert!(fired.is_new("a", Level::High) && fired.is_new("b", Level::Low));
        assert!(fired.record("a", Level::High) && !fired.record("a", Level::Medium));
        assert!(!fired.is_new("a", Level::High));
    }

    #[test]
    fn a_rule_without_room_waits_for_the_end() {
        let mut fired = FiredRules::default();
        let kept = (0..100).filter(|n| fired.record(&format!("rule {n}"), Level::Low)).count();
        assert_eq!(kept, FiredRules::MOST);
        assert!(!fired.record("another", Level::High) && fired.is_new("another", Level::High));
        assert!(fired.record("rule 3", Level::High), "one that is there may still rise");
        assert!(fired.heap() < 4_096);
    }
}
