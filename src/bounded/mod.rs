//! Containers with a fixed cap and a policy at the cap; nothing else in the program may grow.

pub mod account;
pub mod aging;
pub mod cow_map;
pub mod file;
pub mod pieces;
pub mod slab;
pub mod wheel;

pub use account::Account;
pub use aging::Aging;
pub use cow_map::CowMap;
pub use pieces::{Fit, Pieces};
pub use slab::Slab;
pub use wheel::Wheel;
