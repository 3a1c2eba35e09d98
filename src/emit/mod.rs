//! Writes records, endpoints, alerts and incidents as NDJSON, and run.json.
//!
//! Owns: the form of the lines, JSON Schema, the index template. In: records, endpoint rows,
//! alerts, incidents. Out: bytes. Never: decides which events are reported.

pub mod health;
mod index_template;
pub mod json_schema;
pub mod lines;
pub mod run;

mod json;
mod line;
mod origin;
mod repeated;
mod splunk;
pub(crate) mod text;

pub use crate::model::event_id as id;
pub use crate::model::event_id::event_id;
pub use crate::model::schema::{ECS_VERSION, SCHEMA_VERSION};
pub use index_template::{Store, index_template};
pub use origin::Origin;
pub use repeated::Repeated;
pub use splunk::splunk_settings;

#[cfg(test)]
pub(crate) mod samples;
