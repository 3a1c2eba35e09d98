//! Locations, owners, lists and physics of a finished session.
//!
//! Owns: databases, lists and their lookup. In: [`Record`](crate::model::Record).
//! Out: the record with its `context` and both parties' `place` and `asn` filled in.
//! Never: judges (detect does), looks at packets, reads a clock.

mod cache;
pub mod community_id;
mod controller;
pub mod data;
pub mod enricher;
pub mod framed;
pub mod geo;
mod hits;
pub mod intel;
mod list_file;
mod list_header;
pub mod lists;
pub mod lpm;
pub mod names;
pub mod nat64;
mod packed_tree;
pub mod physics;
pub mod places;
mod prefix_index;
mod pseudonym;
pub mod schema;
pub mod signatures;
pub mod subjects;

#[cfg(test)]
mod enricher_tests;
#[cfg(test)]
mod geo_made_tests;
#[cfg(test)]
mod geo_tests;
#[cfg(test)]
mod list_tests;

pub use data::{EnrichData, EnrichOptions};
pub use enricher::Enricher;
pub use hits::HITS_MAX;
pub use lpm::Prefix;
pub use nat64::Nat64;
pub use places::{SensorPlace, parse_place};
