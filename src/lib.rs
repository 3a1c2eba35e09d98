//! longhaul: a passive sensor that measures how far away the other end of a session really is.
//!
//! The modules are listed in the order of data flow.

pub mod bounded;
pub mod explain;
pub mod model;
pub mod wire;

pub mod capture;
pub mod decode;
pub mod detect;
pub mod dispatch;
pub mod emit;
pub mod endpoints;
pub mod enrich;
pub mod evidence;
pub mod formats;
pub mod forward;
pub mod identity;
pub mod metrics;
pub mod sandbox;
pub mod session;
pub mod sinks;

pub mod bundle;
pub mod carve;
pub mod cli;
pub mod config;
pub mod hunt;
#[cfg(feature = "parquet")]
pub mod lake;
pub mod pipeline;
pub mod report;
pub mod results;
#[cfg(feature = "tui")]
pub mod tui;
