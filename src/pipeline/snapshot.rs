//! Rules, lists, databases and configuration as one value that is replaced whole.
//!
//! Owns: the snapshot in force. In: a new one. Out: the present one, to whoever asks. Never: a
//! change to a snapshot that is in force.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::config::Plan;
use crate::pipeline::prepare::Prepared;
use crate::pipeline::stats::lock;

/// What judges the sessions, and the plan it was made of.
pub(super) struct Snapshot {
    pub(super) plan: Plan,
    pub(super) prepared: Prepared,
}

/// The snapshot in force.
pub(super) struct Current {
    generation: AtomicU64,
    snapshot: Mutex<Arc<Snapshot>>,
}

impl Current {
    /// The first snapshot.
    pub(super) fn new(plan: Plan, prepared: Prepared) -> Current {
        let snapshot = Mutex::new(Arc::new(Snapshot { plan, prepared }));
        Current { generation: AtomicU64::new(0), snapshot }
    }

    /// How many times it was replaced.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The snapshot in force.
    pub(super) fn get(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.snapshot))
    }

    /// Puts another in force.
    pub(super) fn replace(&self, plan: Plan, prepared: Prepared) {
        *lock(&self.snapshot) = Arc::new(Snapshot { plan, prepared });
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}
