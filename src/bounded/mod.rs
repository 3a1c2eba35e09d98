//! Fixed-capacity containers: the only things that may grow, each with a cap and a policy at the
//! cap.
//!
//! Owns: slab, timer wheel, a map that forgets. In: ids, keys and values. Out: ids and values.
//! Never: protocol knowledge, a clock (time is an argument).

pub mod aging;
pub mod slab;
pub mod wheel;

pub use aging::Aging;
pub use slab::Slab;
pub use wheel::Wheel;
