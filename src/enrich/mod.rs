//! Places, owners, lists and physics for a finished session.
//!
//! Owns: databases, lists and what they say of a record. In: [`Record`](crate::model::Record).
//! Out: the record with its `context` and both parties' `place` and `asn` filled.
//! Never: judges (detect does), looks at packets, reads a clock.

pub mod community_id;
pub mod framed;
pub mod geo;
#[cfg(test)]
mod geo_tests;
pub mod lpm;
pub mod names;
pub mod physics;
pub mod places;
pub mod schema;
