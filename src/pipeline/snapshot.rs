//! Rules, lists, databases and configuration as one value that is replaced as a whole.
//!
//! Owns: the current snapshot. In: a new one. Out: the current one. Never: changes a snapshot in
//! use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Plan;
use crate::pipeline::prepare::Prepared;

/// The data that sessions are judged with, and the plan that it came from.
pub(super) struct Snapshot {
    pub(super) plan: Plan,
    pub(super) prepared: Prepared,
}

/// The current snapshot.
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

    /// The current snapshot.
    pub(super) fn get(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.snapshot))
    }

    /// Replaces it.
    pub(super) fn replace(&self, plan: Plan, prepared: Prepared) {
        *lock(&self.snapshot) = Arc::new(Snapshot { plan, prepared });
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

/// A thread that died while it held the lock has left consistent numbers.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
