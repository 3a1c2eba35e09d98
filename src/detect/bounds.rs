//! The numbers that rules compare measurements with.
//!
//! Owns: which bounds of the rules are about a measured amount. In: compiled rules. Out: bounds.
//! Never: bounds on how much evidence there must be, such as days, sessions or confidence: they say
//! nothing of what is usual at a site.

use crate::detect::predicate::{Order, Test};
use crate::detect::rule::Compiled;
use crate::detect::ruleset::RuleSet;
use crate::model::RuleInfo;
use crate::model::schema::{Field, Judged};

/// A number that a rule asks a measured amount to reach.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The rule.
    pub rule: RuleInfo,
    /// `session` or `endpoint`.
    pub service: &'static str,
    /// The field.
    pub field: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The number.
    pub value: f64,
}

/// Every such bound, by catalogue number.
pub fn bounds(rules: &RuleSet) -> Vec<Bound> {
    let mut all = Vec::new();
    let sessions = rules.on_sessions().iter().filter(|rule| rule.stands);
    sessions.for_each(|rule| collect(rule, &mut all));
    let endpoints = rules.on_endpoints().iter().filter(|rule| rule.stands);
    endpoints.for_each(|rule| collect(rule, &mut all));
    all.sort_by(|a: &Bound, b| {
        let key = |of: &Bound| (of.rule.id.clone(), of.rule.level, of.rule.uuid.clone());
        key(a).cmp(&key(b)).then(a.field.cmp(b.field))
    });
    all
}

fn collect<S: Judged>(rule: &Compiled<S>, all: &mut Vec<Bound>) {
    rule.when.visit(false, &mut |field, test| {
        let Some(Test::Number(Order::AtLeast | Order::Greater, value)) = test else { return };
        let bound = Bound {
            rule: RuleInfo::clone(rule.rule.info()),
            service: S::SERVICE,
            field: field.name,
            unit: field.unit,
            value: *value,
        };
        if is_amount(field) && !all.contains(&bound) {
            all.push(bound);
        }
    });
}

/// Whether a field measures time or distance beyond what is usual.
fn is_amount<S>(field: &Field<S>) -> bool {
    let of_ours = field.name.starts_with("longhaul.");
    of_ours && (matches!(field.unit, "us" | "km") || field.name.ends_with(".ratio"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_bounds_and_counts_are_not() {
        let all = bounds(&RuleSet::embedded().unwrap());
        let has = |id: &str, field: &str, value: f64| {
            all.iter().any(|of| of.rule.id == id && of.field == field && of.value == value)
        };
        assert!(has("D03", "longhaul.hidden_leg.us", 40_000.0));
        assert!(has("D36", "longhaul.region.excess_us", 100_000.0));
        for of in &all {
            assert!(
                !["sessions", "days", "confidence", "duration"]
                    .iter()
                    .any(|word| of.field.ends_with(word))
            );
        }
    }
}
