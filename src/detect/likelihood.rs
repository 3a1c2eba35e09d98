//! The table of likelihood ratios that comes with the rules.
//!
//! Owns: its text, and what follows from ratios. In: the table, evidence by group. Out: rows, the
//! posterior. Never: two pieces of evidence of one group.

use std::path::PathBuf;
use std::sync::Arc;

use crate::detect::rule::Rule;
use crate::model::likelihood::{LikelihoodKeys, Tenure};
use crate::model::{Error, Factor, Likelihood};

/// `rules/likelihood.toml`.
const TEXT: &str = include_str!("../../rules/likelihood.toml");

/// One person in so many is a case, unless the table says otherwise.
const PRIOR_ONE_IN: f64 = 2_000.0;

/// The embedded table.
///
/// Errors: none for a program that passed its tests.
pub fn embedded() -> Result<Likelihood, Vec<Error>> {
    let at = |error: Error| error.at(&PathBuf::from("rules/likelihood.toml"), 0);
    let keys: LikelihoodKeys = toml::from_str(TEXT).map_err(|error| {
        vec![at(Error::new("likelihood", error.to_string()).help("mend the table"))]
    })?;
    keys.check().map_err(|errors| errors.into_iter().map(at).collect())
}

/// Refuses rows of rules that are not there.
pub(super) fn check_rows(site: &Likelihood, rules: &[Arc<Rule>]) -> Result<(), Vec<Error>> {
    let is_there = |number: &str, level| {
        rules.iter().any(|rule| rule.info.id == number && rule.info.level == level)
    };
    let unknown = site.rows.keys().filter(|(number, level)| !is_there(number, *level));
    let errors: Vec<Error> = unknown
        .map(|(number, level)| {
            let what = format!("likelihood.rules.{number}.{}", level.as_str());
            let help = "`longhaul rules list` names the rules and their levels";
            Error::new(what, "no rule has this number and level").help(help)
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// What is believed of a person before anything is seen.
#[derive(Clone, Copy, Debug)]
pub struct Prior {
    /// One person in so many is a case.
    pub one_in: f64,
    /// What the time of service says.
    pub tenure: Option<Tenure>,
}

impl Default for Prior {
    fn default() -> Prior {
        Prior { one_in: PRIOR_ONE_IN, tenure: None }
    }
}

impl Prior {
    /// Of a table.
    pub fn of(table: &Likelihood) -> Prior {
        Prior { one_in: table.prior_one_in.unwrap_or(PRIOR_ONE_IN), tenure: table.tenure }
    }
}

/// The probability of some odds.
pub fn probability(odds: f64) -> f64 {
    odds / (1.0 + odds)
}

/// The odds after the evidence of all groups, from the share of cases before.
pub(super) fn odds(prior: f64, tenure: Option<f64>, factors: &[Factor]) -> f64 {
    let all = factors.iter().map(|factor| factor.ratio).product::<f64>();
    prior / (1.0 - prior) * tenure.unwrap_or(1.0) * all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Group, Level};

    /// The groups of evidence of these rows, and the posterior without a date of hire.
    fn together(rows: &[(&str, Level)]) -> (usize, f64) {
        let table = embedded().unwrap();
        let mut best: BTreeMap<Group, f64> = BTreeMap::new();
        for (number, level) in rows {
            let row = table.row(number, *level).unwrap();
            let of_group = best.entry(row.group.unwrap()).or_insert(1.0);
            *of_group = of_group.max(row.ratio.unwrap());
        }
        let prior = 1.0 / Prior::of(&table).one_in;
        let all = best.values().product::<f64>();
        (best.len(), probability(prior / (1.0 - prior) * all))
    }

    /// One measurement, session, device or journey that two rules see is no second witness.
    #[test]
    fn what_has_one_cause_is_no_incident() {
        use Level::{High, Informational, Low, Medium};
        for (rows, groups) in [
            ([("D06", Informational), ("D36", Medium)], None),
            ([("D10", High), ("D08", Medium)], Some(1)),
            ([("D23", High), ("D23", Medium)], Some(1)),
            ([("D23", High), ("D23", Low)], Some(1)),
            ([("D23", High), ("D22", High)], Some(1)),
            ([("D11", High), ("D08", Medium)], None),
            ([("D34", Medium), ("D35", High)], None),
        ] {
            let (counted, score) = together(&rows);
            assert!(score < 0.5, "{rows:?}: {score}");
            assert!(groups.is_none_or(|groups| groups == counted), "{rows:?}: {counted}");
        }
        // Two that have not.
        assert!(together(&[("D36", Medium), ("D34", Medium)]).1 >= 0.5);
    }
}
