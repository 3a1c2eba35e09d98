//! Fixed-capacity containers: the only things that may grow, each with a cap and a policy at the
//! cap.
//!
//! Owns: accounts of bytes, slab, timer wheel, a map that forgets, whole files. In: ids, keys,
//! values, paths. Out: ids, values, bytes.
//! Never: protocol knowledge, a clock (time is an argument).

pub mod account;
pub mod aging;
pub mod file;
pub mod slab;
pub mod wheel;

pub use account::Account;
pub use aging::Aging;
pub use slab::Slab;
pub use wheel::Wheel;
