//! Correlations: what several events of one group make together.
//!
//! A worker says of each event that a rule holds for what the correlations need of it ([`Seen`]);
//! the correlator of the run counts these in the order of the run, so that the results are the
//! same with any number of workers.

mod definition;
mod engine;
mod fields;
mod message;
mod naming;
mod parts;
mod read;
mod resolve;
mod seen;
mod shape;
mod state;
mod stored;
mod sums;
mod window;

pub use engine::Correlations;
pub use seen::Seen;

pub(in crate::detect) use definition::{Compare, Condition, Correlation, Part};
pub(in crate::detect) use naming::{Broken, Wanted};
pub(in crate::detect) use parts::{Counted, PartMaker};
pub(in crate::detect) use read::{read_section, references};
pub(in crate::detect) use resolve::{Resolved, resolve};
pub(in crate::detect) use seen::Event;
pub(in crate::detect) use shape::Kind;
pub(in crate::detect) use state::State;
pub(in crate::detect) use stored::{combine_states, put_event, put_state, read_event, read_state};
