//! A correlation, compiled.
//!
//! Owns: its condition, and what its alerts say. In: hits, and the alert of the event that made
//! it. Out: alerts. Never: state; the values of other events than the last one.

use std::sync::Arc;

use crate::detect::correlation::message::Message;
use crate::detect::correlation::shape::{Kind, Shape};
use crate::detect::correlation::window::Hit;
use crate::detect::rule::Rule;
use crate::detect::template::human;
use crate::model::schema::{Value, hex};
use crate::model::{Alert, EvidenceItem, EvidenceValue, Nanos, SourceInfo};

/// Comparison of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum Compare {
    Greater,
    AtLeast,
    Less,
    AtMost,
    Equal,
    Unequal,
}

impl Compare {
    /// The word of Sigma for it.
    pub(in crate::detect) const ALL: [(&'static str, Compare); 6] = [
        ("gt", Compare::Greater),
        ("gte", Compare::AtLeast),
        ("lt", Compare::Less),
        ("lte", Compare::AtMost),
        ("eq", Compare::Equal),
        ("neq", Compare::Unequal),
    ];

    fn holds(self, have: f64, bound: f64) -> bool {
        let order = have.total_cmp(&bound);
        match self {
            Compare::Greater => order.is_gt(),
            Compare::AtLeast => order.is_ge(),
            Compare::Less => order.is_lt(),
            Compare::AtMost => order.is_le(),
            Compare::Equal => order.is_eq(),
            Compare::Unequal => order.is_ne(),
        }
    }
}

/// What must hold: all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::detect) struct Condition(pub(in crate::detect) Vec<(Compare, f64)>);

impl Condition {
    /// Whether it holds for a number.
    pub(in crate::detect) fn holds(&self, have: f64) -> bool {
        // -0 is 0.
        let have = have + 0.0;
        self.0.iter().all(|(compare, bound)| compare.holds(have, *bound))
    }

    /// Replaces a number; where there are several, `order` says which.
    pub(in crate::detect) fn set(&mut self, order: Option<&str>, to: f64) -> Result<(), String> {
        let is_it = |compare: Compare| {
            let word = Compare::ALL.iter().find(|(_, of)| *of == compare).map(|(word, _)| *word);
            order.is_none_or(|order| Some(order) == word)
        };
        let mut found = self.0.iter_mut().filter(|(compare, _)| is_it(*compare));
        match (found.next(), found.next()) {
            (Some((_, bound)), None) if (0.0..=1e15).contains(&to) => {
                *bound = to;
                Ok(())
            }
            (Some(_), None) => Err(format!("{to} is out of range")),
            (None, _) => Err("the correlation has no such comparison".to_owned()),
            (Some(_), Some(_)) => Err("the correlation compares with several numbers".to_owned()),
        }
    }

    /// Whether a number exists for which it holds: of whole numbers from 0 to `most`, if that is
    /// given.
    pub(in crate::detect) fn can_hold(&self, most: Option<u64>) -> bool {
        let bounds = self.0.iter().map(|(_, bound)| *bound);
        let Some(most) = most else {
            let near =
                |bound: f64| [bound - 1.0, bound.next_down(), bound, bound.next_up(), bound + 1.0];
            let middle = bounds.clone().sum::<f64>() / self.0.len().max(1) as f64;
            return bounds.flat_map(near).chain([middle]).any(|have| self.holds(have));
        };
        let whole =
            bounds.flat_map(|bound| [bound.floor() - 1.0, bound.floor(), bound.floor() + 1.0]);
        let fits = |have: &f64| (0.0..=most as f64).contains(have);
        whole.chain([1.0, most as f64]).filter(fits).any(|have| have >= 1.0 && self.holds(have))
    }
}

/// A compiled correlation.
#[derive(Debug)]
pub(in crate::detect) struct Correlation {
    pub(in crate::detect) rule: Arc<Rule>,
    /// What is counted: states of another definition are not its own.
    pub(in crate::detect) fingerprint: u64,
    pub(in crate::detect) shape: Shape,
    pub(in crate::detect) condition: Condition,
    /// The unit of the number.
    pub(in crate::detect) unit: &'static str,
    pub(in crate::detect) message: Message,
    /// Names of the fields that it groups by; of aliases that are no fields, none.
    pub(in crate::detect) shown: Vec<Option<&'static str>>,
    /// How many fields its values are made of; 0 where events are counted.
    pub(in crate::detect) values: usize,
    /// Its own alerts are raised.
    pub(in crate::detect) stands: bool,
    /// Index of its origin.
    pub(in crate::detect) origin: usize,
}

/// What an event tells a correlation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::detect) struct Part {
    /// Fingerprint of the correlation.
    pub(in crate::detect) of: u64,
    /// It counts only if that correlation fires on this event.
    pub(in crate::detect) via: Option<u64>,
    pub(in crate::detect) key: u128,
    /// As in a window's event.
    pub(in crate::detect) value: u64,
    /// The values it is grouped by, as JSON.
    pub(in crate::detect) group: Vec<String>,
    /// The likelihood ratio, and what has lowered it.
    pub(in crate::detect) ratio: f64,
    pub(in crate::detect) lowered: Vec<String>,
}

impl Correlation {
    /// The message of a hit.
    pub(in crate::detect) fn words(&self, hit: &Hit, part: &Part) -> String {
        let readable = match self.shape.kind {
            Kind::ValueSum | Kind::ValueAvg | Kind::ValuePercentile => {
                human(&Value::Float(hit.value), self.unit)
            }
            _ => format!("{:.0}", hit.value),
        };
        self.message.fill(&part.group, &readable)
    }

    /// The alert of a hit: that of its last event, as far as it says whom it is about, with what
    /// was counted.
    pub(in crate::detect) fn raise(
        &self,
        hit: &Hit,
        part: &Part,
        (last, source): (&Alert, &SourceInfo),
    ) -> Alert {
        let counted = EvidenceItem {
            name: self.shape.kind.as_str().to_owned(),
            value: EvidenceValue::Number(plain(hit.value)),
            unit: self.unit.to_owned(),
            threshold: self.condition.0.first().map(|(_, bound)| *bound),
            samples: hit.samples as u64,
            sessions: hit.sessions.iter().map(|id| hex(id)).collect(),
        };
        let mut context = last.context.clone();
        for (name, json) in self.shown.iter().zip(&part.group) {
            if let Some(name) = name.filter(|name| !context.iter().any(|(have, _)| have == name)) {
                context.push((name.to_owned(), json.clone()));
            }
        }
        let mut sources = last.sources.clone();
        if !sources.contains(source) {
            sources.push(source.clone());
        }
        Alert {
            rule: Arc::clone(self.rule.info()),
            level: self.rule.info().level,
            ratio: part.ratio,
            lowered: part.lowered.clone(),
            time: Nanos(hit.time.max(last.time.0)),
            since: Nanos(hit.since).min(last.since),
            context,
            message: self.words(hit, part),
            evidence: [counted].into_iter().chain(last.evidence.iter().cloned()).collect(),
            sources,
            repeats: None,
            ..last.clone()
        }
    }
}

/// A whole number without a fraction.
fn plain(value: f64) -> String {
    if value.fract().abs() < f64::EPSILON { format!("{value:.0}") } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_can_never_hold_are_known() {
        let can = |all: &[(Compare, f64)], most| Condition(all.to_vec()).can_hold(most);
        assert!(can(&[(Compare::AtLeast, 5.0)], Some(100)));
        assert!(can(&[(Compare::Greater, 1.0), (Compare::Less, 3.0)], Some(100)));
        assert!(!can(&[(Compare::Greater, 1.0), (Compare::Less, 2.0)], Some(100)));
        assert!(can(&[(Compare::Greater, 1.0), (Compare::Less, 2.0)], None));
        assert!(!can(&[(Compare::AtLeast, 4.0)], Some(3)), "of three rules");
        assert!(!can(&[(Compare::Less, 1.0)], Some(100)), "one event is there");
        assert!(!can(&[(Compare::Equal, 1.5)], Some(100)));
        assert!(!can(&[(Compare::AtLeast, 5.0), (Compare::AtMost, 3.0)], None));
        assert!(can(&[(Compare::Unequal, 1.0)], Some(100)));
    }
}
