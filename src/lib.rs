//! longhaul: a passive sensor that tells how far away the other end of a session really is.
//!
//! The modules stand in the order in which data flows.

pub mod bounded;
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
pub mod identity;
pub mod sandbox;
pub mod session;

pub mod cli;
pub mod config;
pub mod pipeline;
pub mod report;
