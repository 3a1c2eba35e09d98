//! Reloads rules, lists, databases and configuration during the run.
//!
//! Owns: the loading thread. In: SIGHUP. Out: a new snapshot, or every error and the old one.
//! Never: changes a snapshot in use, or a half-loaded one.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::model::Error;
use crate::pipeline::live::request::LiveRun;
use crate::pipeline::prepare;
use crate::pipeline::snapshot::{Current, lock};

/// How far a loading thread is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// It has said what became of it, or is about to.
    #[default]
    Done,
    /// It loads.
    Loading,
    /// It loads, and was asked again meanwhile: what it has read may be out of date.
    Again,
}

/// Loads snapshots on a separate thread, so that the reader continues.
#[derive(Default)]
pub(super) struct Reloader {
    thread: Option<JoinHandle<()>>,
    stage: Arc<Mutex<Stage>>,
}

impl Reloader {
    /// Begins to load. Where it is still at it, this says so, and all is loaded once more then.
    pub(super) fn begin(&mut self, run: &LiveRun, current: &Arc<Current>) {
        {
            let mut stage = lock(&self.stage);
            let lives = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
            if lives && *stage != Stage::Done {
                *stage = Stage::Again;
                return (run.tell)("still loading: all is loaded once more when that is done");
            }
            *stage = Stage::Loading;
        }
        let (replan, tell) = (Arc::clone(&run.replan), Arc::clone(&run.tell));
        let (current, stage) = (Arc::clone(current), Arc::clone(&self.stage));
        let load = move || {
            loop {
                let loaded = replan().and_then(|plan| Ok((prepare::prepare(&plan)?, plan)));
                let mut stage = lock(&stage);
                if *stage == Stage::Again {
                    *stage = Stage::Loading;
                    continue;
                }
                // Before anybody else may load, so that what is loaded later is there later.
                let outcome = loaded.map(|(prepared, plan)| {
                    let rules = prepared.rules.iter().len();
                    current.replace(plan, prepared);
                    rules
                });
                *stage = Stage::Done;
                drop(stage);
                return report_reload(outcome, &*tell);
            }
        };
        match thread::Builder::new().name("reload".to_owned()).spawn(load) {
            Ok(thread) => self.thread = Some(thread),
            Err(e) => (run.tell)(&format!("not reloaded: {e}")),
        }
    }
}

/// Reports the outcome: how many rules are in force, or the errors.
fn report_reload(outcome: Result<usize, Vec<Error>>, tell: &(dyn Fn(&str) + Send + Sync)) {
    match outcome {
        Ok(rules) => tell(&format!(
            "reloaded: {rules} rules, lists, signatures, databases and configuration"
        )),
        Err(errors) => {
            errors.iter().for_each(|error| tell(&error.to_string()));
            tell("not reloaded: what was in force stays in force");
        }
    }
}
