//! Sessions summed to endpoints: who was there, how often, and how near at its nearest.
//!
//! Owns: one small entry for each endpoint, capped. In: two ends of each session. Out: rows in a
//! fixed order. Never: a session's evidence, or a result that depends on the order of sessions
//! (short of the cap: see [`Endpoints::new`]).

pub mod baseline;
mod carried;
mod excess;
mod forced;
mod hidden;
mod interned;
mod key;
mod method;
mod mtu;
mod neighbours;
mod program;
mod rows;
mod summary;
mod table;
mod tags;
mod tally;
mod tunnel;
mod week;

pub use carried::KEPT;
pub use rows::EndpointRows;
pub use summary::EndpointSummary;
pub use summary::Family;
pub use summary::Incoming;
pub use summary::Print;
pub use summary::SideSummary;
pub use summary::StackSummary;
pub use table::Endpoints;
pub use table::LOOK_AHEAD;
