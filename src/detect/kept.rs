//! Keeps alerts until they are written.
//!
//! Owns: alerts by their number in the run. In: alerts in the order of the run. Out: all that are
//! kept. Policy at the cap: evicts, at the lowest level and ratio, an alert of the subject and
//! rule with most of that kind, the newest of equals. Never: gives an alert's number to another.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{Alert, Level};

/// The eviction order, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    level: Level,
    /// Bits of the likelihood ratio, which sort like the numbers.
    ratio: u64,
    /// How many of its rule and subject were kept before it: a subject that keeps firing evicts its
    /// own alerts, not others'.
    nth: Reverse<u32>,
    /// Its number in the run.
    number: Reverse<usize>,
}

/// A subject, and the UUID of a rule.
type Kind = (Arc<str>, String);

/// Alerts up to a cap.
#[derive(Debug)]
pub struct Kept {
    cap: usize,
    next: usize,
    alerts: BTreeMap<usize, (Arc<Alert>, Rank)>,
    ranks: BTreeSet<Rank>,
    of_kind: HashMap<Kind, u32>,
}

impl Kept {
    /// Empty, with room for `cap` alerts.
    pub fn new(cap: usize) -> Kept {
        Kept {
            cap,
            next: 0,
            alerts: BTreeMap::new(),
            ranks: BTreeSet::new(),
            of_kind: HashMap::new(),
        }
    }

    /// The number that the next alert will have.
    pub const fn next(&self) -> usize {
        self.next
    }

    /// Alerts that are kept.
    pub fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// Adds an alert, at the cap in place of a lesser one. Returns whether an alert was dropped,
    /// this one or another.
    pub fn push(&mut self, alert: Arc<Alert>) -> bool {
        let number = self.next;
        self.next += 1;
        let nth = self.of_kind.entry(kind(&alert)).or_default();
        let rank = Rank {
            level: alert.level,
            ratio: alert.ratio.max(0.0).to_bits(),
            nth: Reverse(*nth),
            number: Reverse(number),
        };
        *nth += 1;
        self.ranks.insert(rank);
        self.alerts.insert(number, (alert, rank));
        let full = self.alerts.len() > self.cap;
        if full && let Some(least) = self.ranks.pop_first() {
            self.drop_one(least);
        }
        full
    }

    fn drop_one(&mut self, least: Rank) {
        let Some((alert, _)) = self.alerts.remove(&least.number.0) else { return };
        let kind = kind(&alert);
        if let Some(count) = self.of_kind.get_mut(&kind) {
            *count -= 1;
            if *count == 0 {
                self.of_kind.remove(&kind);
            }
        }
    }

    /// An alert by its number, if it is still here.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut Arc<Alert>> {
        self.alerts.get_mut(&number).map(|(alert, _)| alert)
    }

    /// Takes all of them, in the order of the run.
    pub fn take(&mut self) -> Vec<Arc<Alert>> {
        self.ranks.clear();
        self.of_kind.clear();
        std::mem::take(&mut self.alerts).into_values().map(|(alert, _)| alert).collect()
    }
}

fn kind(alert: &Alert) -> Kind {
    (Arc::clone(&alert.subject), alert.rule.uuid.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;

    fn alert(subject: &str, level: Level, ratio: f64) -> Arc<Alert> {
        let subject = Arc::from(subject);
        Arc::new(Alert { subject, level, ratio, ..Alert::sample("D08", Family::R) })
    }

    fn subjects(kept: &mut Kept) -> Vec<String> {
        kept.take().iter().map(|alert| alert.subject.to_string()).collect()
    }

    #[test]
    fn the_lowest_alert_is_evicted_not_the_newest() {
        let mut kept = Kept::new(3);
        for n in 0..1_000 {
            kept.push(alert(&format!("flood{n}"), Level::Low, 0.3));
        }
        assert!(kept.push(alert("farm", Level::High, 0.6)));
        assert!(kept.push(alert("proxy", Level::Low, 0.5)));
        for n in 0..1_000 {
            assert!(kept.push(alert(&format!("flood{n}"), Level::Low, 0.3)));
        }
        assert_eq!(subjects(&mut kept), ["flood0", "farm", "proxy"]);
    }

    #[test]
    fn a_subject_that_keeps_firing_evicts_its_own_alerts() {
        let mut kept = Kept::new(10);
        for _ in 0..1_000 {
            kept.push(alert("loud", Level::Low, 0.3));
        }
        for n in 0..5 {
            kept.push(alert(&format!("quiet{n}"), Level::Low, 0.3));
        }
        for _ in 0..1_000 {
            kept.push(alert("loud", Level::Low, 0.3));
        }
        let kept = subjects(&mut kept);
        assert_eq!(kept.iter().filter(|subject| subject.starts_with("quiet")).count(), 5);
        assert_eq!(kept.len(), 10);
    }

    #[test]
    fn every_alert_is_kept_or_counted_and_numbers_stay() {
        let mut kept = Kept::new(5);
        let dropped = (0..100).filter(|n| kept.push(alert("s", Level::Low, f64::from(*n)))).count();
        assert_eq!(dropped, 95);
        assert!(kept.get_mut(0).is_none());
        assert!((kept.get_mut(99).map_or(0.0, |alert| alert.ratio) - 99.0).abs() < 1e-9);
        assert_eq!((kept.take().len(), kept.next()), (5, 100));
        assert!(!kept.push(alert("s", Level::Low, 0.0)), "there is room again");
        assert!(kept.get_mut(100).is_some() && kept.get_mut(99).is_none());
    }

    #[test]
    fn without_room_every_alert_is_counted_as_dropped() {
        let mut kept = Kept::new(0);
        assert!(kept.push(alert("s", Level::Critical, 1.0)));
        assert!(kept.take().is_empty());
    }
}
