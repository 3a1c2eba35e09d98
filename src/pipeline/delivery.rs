//! The sinks of the configuration: their spools are written here, and sent by a process of our own.
//!
//! Owns: that process. In: a plan. Out: a sink for each spool. Never: sends anything: the process
//! that captures cannot, and one that sends never sees a packet.
//!
//! The sender is this program again, started before privileges are dropped. It ends when its
//! standard input does, however this process ends, once everything is sent or the time for that is
//! over. Without a sender the spools fill, and nothing else changes.

#![allow(clippy::disallowed_methods, reason = "the sender is waited for: it sees no packets")]

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::config::Plan;
use crate::model::sink::SinkPlan;
use crate::model::{Error, EventKind, Format};
use crate::pipeline::forwarder;
use crate::sinks::spool::{Ends, Spool, SpoolSink, Wanted};
use crate::sinks::{Sink, Tell};

/// How much longer than it was given the sender may take to end.
const GRACE: Duration = Duration::from_secs(20);

/// A spool that is watched: the sink's name, the directory, how far it is written.
pub(super) type Watched = (String, PathBuf, Arc<Ends>);

/// The spools of a run, and the process that sends what is in them.
pub(super) struct Delivery {
    spools: Vec<(SinkPlan, Spool)>,
    temporary: Option<PathBuf>,
    sender: Option<Child>,
    drain: Duration,
}

/// The directory of a sink's spool; `temporary` has those of sinks that name none.
pub fn spool_dir(sink: &SinkPlan, temporary: Option<&Path>) -> Option<PathBuf> {
    sink.spool.clone().or_else(|| temporary.map(|dir| dir.join(&sink.name)))
}

/// Whether any sink takes events of a kind.
pub(super) fn takes(plan: &Plan, kind: EventKind) -> bool {
    plan.sinks.iter().any(|sink| sink.kinds.contains(&kind))
}

/// Whether lines of open sessions are needed.
pub(super) fn wants_update_lines(plan: &Plan) -> bool {
    plan.write_updates || takes(plan, EventKind::SessionUpdate)
}

/// Every error in the sinks that can be found without connecting.
pub(super) fn check(plan: &Plan) -> Vec<Error> {
    let opened = plan.sinks.iter().map(|sink| forwarder::target(sink, &plan.sensor));
    opened.filter_map(Result::err).collect()
}

impl Delivery {
    /// Opens the spools and starts the sender, which becomes `user` if that is given.
    pub(super) fn start(plan: &Plan, user: Option<&str>) -> Result<Delivery, Error> {
        let drain = Duration::from_secs(plan.drain_seconds);
        let mut delivery = Delivery { spools: Vec::new(), temporary: None, sender: None, drain };
        if plan.sinks.is_empty() {
            return Ok(delivery);
        }
        if plan.sinks.iter().any(|sink| sink.spool.is_none()) {
            delivery.temporary = Some(temporary()?);
        }
        for sink in &plan.sinks {
            if let Some(dir) = spool_dir(sink, delivery.temporary.as_deref()) {
                let spool = Spool::open(&dir, sink.spool_max)?;
                delivery.spools.push((sink.clone(), spool));
            }
        }
        delivery.sender = Some(delivery.spawn(plan, user)?);
        Ok(delivery)
    }

    fn spawn(&self, plan: &Plan, user: Option<&str>) -> Result<Child, Error> {
        let failed = |cause: std::io::Error| Error::new("sender of sinks", cause.to_string());
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(["sinks", "forward", "--sensor", &plan.sensor]);
        command.args(["--drain", &format!("{}s", plan.drain_seconds)]);
        command.arg("--config").arg(plan.config.as_deref().unwrap_or(Path::new("")));
        if let Some(dir) = &self.temporary {
            command.arg("--temporary").arg(dir);
        }
        if let Some(user) = user {
            command.args(["--user", user]);
        }
        command.stdin(Stdio::piped()).spawn().map_err(failed)
    }

    /// The directories that are written.
    pub(super) fn dirs(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let spools = self.spools.iter().map(|(_, spool)| spool.dir().to_path_buf());
        self.temporary.clone().into_iter().chain(spools)
    }

    /// The spools, to be watched.
    pub(super) fn watched(&self) -> Vec<Watched> {
        let watched = |(plan, spool): &(SinkPlan, Spool)| {
            (plan.name.clone(), spool.dir().to_path_buf(), spool.ends())
        };
        self.spools.iter().map(watched).collect()
    }

    /// The sinks.
    pub(super) fn sinks(&mut self, format: &Arc<dyn Format>, tell: &Tell) -> Vec<Box<dyn Sink>> {
        let sink = |(plan, spool): (SinkPlan, Spool)| {
            let wanted = Wanted { kinds: plan.kinds, level: plan.level };
            let (format, tell) = (Arc::clone(format), Arc::clone(tell));
            Box::new(SpoolSink::new(plan.name, spool, wanted, format, tell)) as Box<dyn Sink>
        };
        self.spools.drain(..).map(sink).collect()
    }

    /// All is written: waits for the sender.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let Some(mut sender) = self.sender.take() else { return Ok(()) };
        drop(sender.stdin.take());
        let failed = |cause: &dyn std::fmt::Display| {
            Error::new("sender of sinks", cause.to_string())
                .help("`longhaul sinks flush` with the same configuration sends what waits")
        };
        let late = Instant::now() + self.drain + GRACE;
        loop {
            match sender.try_wait().map_err(|e| failed(&e))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(failed(&format!("it ended with {status}"))),
                None if Instant::now() >= late => return Err(failed(&"it does not end")),
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        // After an error: the sender sees the end of its input and ends by itself.
        if let Some(sender) = &mut self.sender {
            drop(sender.stdin.take());
        } else if let Some(dir) = &self.temporary {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// A directory for this process, that nobody else can read.
pub(super) fn temporary() -> Result<PathBuf, Error> {
    let dir = std::env::temp_dir().join(format!("longhaul-spool-{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&dir).map_err(|cause| {
        Error::new(format!("temporary spool {}", dir.display()), cause.to_string())
            .help("name a spool for each sink, or set TMPDIR")
    })?;
    Ok(dir)
}
