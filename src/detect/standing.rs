//! What the table of ratios says of an alert beside its ratio.
//!
//! Owns: the words for where a ratio comes from, and the prior of an alert. In: the rules in use,
//! an alert. Out: the alert with both. Never: a change of its ratio.

use std::sync::Arc;

use crate::detect::likelihood::Prior;
use crate::detect::rule::RatioOf;
use crate::detect::ruleset::RuleSet;
use crate::detect::subject::tenure;
use crate::model::likelihood::Row;
use crate::model::{Alert, Level};

/// Notes the prior, and the source of the rule's ratio.
pub fn note(rules: &RuleSet, alert: &mut Alert) {
    let prior = Prior::of(rules.likelihood());
    alert.prior = Some((1.0 / prior.one_in, tenure(&prior, alert)));
    alert.ratio_source = source(rules, &alert.rule.uuid, (&alert.rule.id, alert.rule.level));
}

/// Where the ratio of a rule comes from.
fn source(rules: &RuleSet, uuid: &str, (number, level): (&str, Level)) -> Arc<str> {
    let ratio_of = rules.iter().find(|rule| rule.info().uuid == uuid).map(|rule| rule.ratio_of());
    let row = rules.likelihood().row(number, level);
    match (ratio_of, row) {
        (Some(RatioOf::Table), Some(row)) => words(row).into(),
        (Some(RatioOf::Rule), _) => Arc::from("the rule itself"),
        (Some(_), _) => Arc::from("nobody has counted it: a cautious default"),
        (None, _) => Arc::from("a rule that is no longer in use"),
    }
}

fn words(row: &Row) -> String {
    let mut text = row.source.clone().unwrap_or_else(|| "no source is given".to_owned());
    for (on, whom) in [(&row.cases, "cases"), (&row.honest, "honest people")] {
        if let Some(on) = on {
            text.push_str(&format!(", {on} {whom}"));
        }
    }
    text
}
