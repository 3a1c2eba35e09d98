//! Distributes packets to workers: all packets of a session to one worker, in batches, without a
//! lock.
//!
//! In: packets with the block that holds their bytes. Out: [`Batch`]es. Never: copies bytes,
//! allocates per packet, or lets a queue grow: if a lane is full, the reader waits.

pub mod batch;
pub mod duplicates;
pub mod lanes;
pub mod queue;

pub use batch::Batch;
pub use duplicates::{Duplicates, FrameContext};
pub use lanes::{Dispatcher, Lane, WorkerGone};
