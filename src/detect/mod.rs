//! Rules: which of the facts matter.
//!
//! Owns: the field table, Sigma rules compiled onto it, alerts, incidents and advice. In: finished,
//! enriched records. Out: alerts and incidents. Never: looks at packets, changes a record, guesses
//! at what a rule means.

mod advice;
mod alert;
mod alert_endpoint;
mod case_endpoint;
mod case_latency;
mod case_physics;
mod case_record;
mod case_spoken;
pub mod cases;
mod compile;
mod compile_item;
mod did_you_mean;
pub mod embedded;
mod endpoint_table;
mod field_table;
pub mod fields;
pub mod incidents;
mod index_template;
pub mod kept;
mod load;
pub mod merge;
mod pattern;
mod predicate;
mod read;
mod read_endpoint;
mod rule;
mod ruleset;
mod template;
mod value;
mod yaml_spans;

pub use alert::SourceCatalog;
pub use index_template::index_template;
pub use rule::LIST_AGE_DAYS_MAX;
pub use rule::Rule;
pub use ruleset::RuleSet;
pub use ruleset::RuleSetInfo;
