//! Facts and judgements as lines of JSON, and the files that hold them.
//!
//! Owns: field names on the wire (ECS 8 and `longhaul.*`), event ids, the output directory.
//! In: records, endpoint rows, alerts, incidents. Out: bytes. Never: decides what is worth saying.

pub mod alert;
pub mod ecs;
pub mod endpoint;
mod facts;
mod gaps;
pub mod health;
pub mod id;
pub mod run;
pub mod scan;

mod json;
mod json_tree;
mod legs;
mod origin;
mod over_udp;
mod physics;
mod spoken;
mod text;

pub use id::event_id;
pub use origin::Origin;

/// Version of the field names and types this build writes; grows when one of them changes.
pub const SCHEMA_VERSION: u32 = 3;

/// The ECS release whose names are used.
pub const ECS_VERSION: &str = "8.17.0";

#[cfg(test)]
pub(crate) mod samples;
