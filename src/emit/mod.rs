//! Facts and judgements as lines of JSON, and the files that hold them.
//!
//! Owns: field names on the wire (ECS 8 and `longhaul.*`), event ids, the output directory.
//! In: records, endpoint rows, alerts, incidents. Out: bytes. Never: decides what is worth saying.

pub mod health;
mod index_template;
pub mod json_schema;
pub mod lines;
pub mod run;

mod json;
mod line;
mod origin;
mod plan;
mod text;

pub use crate::model::event_id as id;
pub use crate::model::event_id::event_id;
pub use crate::model::schema::ECS_VERSION;
pub use crate::model::schema::SCHEMA_VERSION;
pub use index_template::index_template;
pub use origin::Origin;

#[cfg(test)]
pub(crate) mod samples;
