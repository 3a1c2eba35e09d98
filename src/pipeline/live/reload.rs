//! Rules, lists, databases and configuration, read again while the run goes on.
//!
//! Owns: the snapshot in force. In: SIGHUP. Out: a new snapshot, or every error and the old one.
//! Never: a change to a snapshot that is in force, or a half-loaded one.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;

use crate::config::Plan;
use crate::pipeline::live::LiveRun;
use crate::pipeline::live::stats::lock;
use crate::pipeline::prepare;
use crate::pipeline::prepare::Prepared;

/// What judges the sessions, and the plan it was made of.
pub(in crate::pipeline) struct Snapshot {
    pub(in crate::pipeline) plan: Plan,
    pub(in crate::pipeline) prepared: Prepared,
}

/// The snapshot in force.
pub(in crate::pipeline) struct Current {
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

    fn replace(&self, plan: Plan, prepared: Prepared) {
        *lock(&self.snapshot) = Arc::new(Snapshot { plan, prepared });
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

/// Loads snapshots on a thread of its own: the reader goes on reading.
#[derive(Default)]
pub(super) struct Reloader {
    loading: Option<JoinHandle<()>>,
}

impl Reloader {
    /// Begins to load. Where it is still at it, this says so and does nothing.
    pub(super) fn begin(&mut self, run: &LiveRun, current: &Arc<Current>) {
        if self.loading.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return (run.tell)("still loading; send the signal again when that is done");
        }
        let (replan, tell) = (Arc::clone(&run.replan), Arc::clone(&run.tell));
        let current = Arc::clone(current);
        let load = move || {
            let loaded = replan().and_then(|plan| Ok((prepare::prepare(&plan)?, plan)));
            match loaded {
                Ok((prepared, plan)) => {
                    let rules = prepared.rules.iter().len();
                    current.replace(plan, prepared);
                    tell(&format!(
                        "reloaded: {rules} rules, lists, signatures, databases and configuration"
                    ));
                }
                Err(errors) => {
                    errors.iter().for_each(|error| tell(&error.to_string()));
                    tell("not reloaded: what was in force stays in force");
                }
            }
        };
        match thread::Builder::new().name("reload".to_owned()).spawn(load) {
            Ok(thread) => self.loading = Some(thread),
            Err(e) => (run.tell)(&format!("not reloaded: {e}")),
        }
    }
}
