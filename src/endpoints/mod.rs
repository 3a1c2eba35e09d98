//! Sessions aggregated by endpoint: who was there, how often, and the lowest round trip. Keeps no
//! session's evidence; no result depends on the order of sessions (short of the cap: see
//! [`Endpoints::new`]).

mod accumulator;
mod answer;
pub mod baseline;
mod carry_over;
mod egress;
mod exchange_minima;
mod hidden;
mod interned;
mod key;
mod lines;
mod method;
mod mtu;
mod open;
mod open_pools;
pub mod people;
mod pools;
mod prefix_stats;
mod program;
mod refused;
mod rolling_7d;
mod rows;
mod rtt_excess;
mod scatter;
mod sizes;
mod stepping;
mod stored;
mod summary;
mod table;
mod tags;
mod tunnel;

pub use carry_over::KEPT;
pub use egress::counts_while_open;
pub use rows::EndpointRows;
pub use summary::{
    EndpointSummary, Incoming, LongSession, OsFamily, Print, SideSummary, StackSummary,
};
pub use table::{Endpoints, LOOK_AHEAD};
