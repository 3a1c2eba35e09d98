//! Judges lines of finished results.
//!
//! Owns: which rules hold for a session's line, and what they say of it. In: rules, a line. Out:
//! hits. Never: an alert: the ledger, which merges repetitions and knows subjects, is the run's.

use serde_json::Value as Json;

use crate::detect::case::Case;
use crate::detect::ruleset::RuleSet;
use crate::model::{Record, RuleInfo};

/// A rule that holds for a line.
#[derive(Clone, Debug)]
pub struct Hit<'r> {
    /// The rule.
    pub rule: &'r RuleInfo,
    /// What it says of the session.
    pub message: String,
    /// Hits within a day that make an alert, and the values that they have in common.
    pub repeats: Option<(u64, String)>,
}

impl RuleSet {
    /// The rules on sessions that hold for a session's line.
    ///
    /// Errors: the line is not as it was written; names the field.
    pub fn hits(&self, line: &Json) -> Result<Vec<Hit<'_>>, String> {
        let case = Case::of_line::<Record>(line).map_err(|error| error.cause)?;
        let held = self.on_sessions().iter().filter(|rule| rule.stands && rule.when.holds(&case));
        let mut hits = Vec::new();
        for rule in held {
            let merges = !rule.merge_by.is_empty();
            hits.push(Hit {
                rule: &rule.rule.info,
                message: rule.message.fill(&case),
                repeats: merges.then(|| (rule.at_least, rule.common(&case))),
            });
        }
        hits.sort_by_key(|hit| &hit.rule.id);
        Ok(hits)
    }

    /// Rules on endpoints, and correlations: lines of sessions alone do not tell whether they hold.
    pub fn not_on_sessions(&self) -> usize {
        self.iter().filter(|rule| rule.service() != "session").count()
    }
}
