//! Rules, lists, databases and configuration, read again while the run goes on.
//!
//! Owns: the thread that loads. In: SIGHUP. Out: a new snapshot, or every error and the old one.
//! Never: a change to a snapshot that is in force, or a half-loaded one.

use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;

use crate::pipeline::live::LiveRun;
use crate::pipeline::prepare;
use crate::pipeline::snapshot::Current;

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
