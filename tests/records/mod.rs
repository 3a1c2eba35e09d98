//! Records and endpoints from flat JSON objects, for tests of what rules make of them.
//!
//! Owns: the way back from field names to what was seen. In:
//! `{"network.direction": "inbound", ...}`. Out: a record or an endpoint that has exactly these values. Never: part of the program.

#![allow(dead_code, unused_imports, reason = "each test uses its own part of it")]

pub mod app_facts;
pub mod driven;
pub mod endpoint;
pub mod interaction;
pub mod latency;
pub mod people;
pub mod physics;
pub mod record;

pub use endpoint::endpoint_from_json;
pub use record::record_from_json;

use longhaul::detect::SourceCatalog;
use longhaul::model::{Nanos, SourceInfo};

/// A list and two databases, all of one day.
pub fn catalog() -> SourceCatalog {
    let list = SourceInfo {
        kind: "list",
        name: "a".into(),
        version: "".into(),
        built_at: Some(Nanos::from_secs(1_790_000_000)),
    };
    SourceCatalog { lists: vec![list.clone().into()], place: Some(list.clone()), asn: Some(list) }
}
