//! Spreads packets over workers: whole sessions to one worker, in batches, without a lock.
//!
//! Owns: the open batch of each lane and the queues. In: packets with the block that holds their
//! bytes.
//! Out: [`Batch`]es. Never: copies bytes, allocates per packet, or lets a queue grow: a full lane
//! makes the reader wait.

pub mod batch;
pub mod duplicates;
pub mod lanes;
pub mod queue;

pub use batch::Batch;
pub use duplicates::Duplicates;
pub use duplicates::Passing;
pub use lanes::Dispatcher;
pub use lanes::Lane;
pub use lanes::WorkerGone;
