//! Rules: which of the facts matter.
//!
//! Owns: Sigma rules compiled onto the schema, alerts, incidents and advice. In: finished,
//! enriched records. Out: alerts and incidents. Never: looks at packets, changes a record, guesses
//! at what a rule means.

mod advice;
mod alert;
mod alert_endpoint;
pub mod bounds;
mod calendar;
mod case;
pub mod cases;
mod compile;
mod compile_item;
pub mod correlation;
mod counting;
mod did_you_mean;
pub mod embedded;
mod expand;
mod filter;
pub mod incidents;
pub mod kept;
mod known_field;
pub mod ledger;
pub mod likelihood;
mod lint;
mod list_weight;
mod load;
pub mod merge;
mod modifiers;
mod parse;
mod parsed_form;
mod pattern;
mod predicate;
mod probe;
mod refusal;
mod rule;
mod rule_build;
mod rule_keys;
mod rule_meta;
mod ruleset;
mod ruleset_info;
mod same;
mod sieve;
pub mod sql;
pub mod sql_correlation;
pub mod sql_tables;
pub mod standing;
mod stored;
mod subject;
mod switches;
mod template;
mod thresholds;
mod yaml_spans;

pub use alert::SourceCatalog;
pub use list_weight::ListSource;
pub use probe::Probe;
pub use rule::{LIST_AGE_DAYS_MAX, RatioOf, Rule};
pub use ruleset::{Held, RuleSet};
pub use ruleset_info::RuleSetInfo;
pub use stored::{Counts, Hit, LineOf};
pub use switches::Switches;
pub use thresholds::Threshold;
