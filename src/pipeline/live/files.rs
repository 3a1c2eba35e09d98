//! The files of a live run: written as it goes, finished and begun anew by time or size.
//!
//! Owns: the open set of files. In: lines and findings, second by second. Out: finished sets, each
//! with a run.json that counts what happened since the set before.
//! Never: a finished-looking file that is not finished.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::config::Output;
use crate::config::SessionLines;
use crate::config::live::LivePlan;
use crate::config::live::Rotate;
use crate::emit::Origin;
use crate::emit::files::Lock;
use crate::emit::files::OutDir;
use crate::emit::files::OutFile;
use crate::emit::files::make_dir;
use crate::emit::files::unfinished_sets;
use crate::emit::health::render_health;
use crate::endpoints::EndpointRows;
use crate::model::CopyReport;
use crate::model::Counters;
use crate::model::Error;
use crate::model::Nanos;
use crate::model::time::civil_from_days;
use crate::pipeline::Outcome;
use crate::pipeline::analyst::Findings;
use crate::pipeline::analyst::Found;
use crate::pipeline::analyst::Sink;
use crate::pipeline::live::Post;
use crate::pipeline::outputs;
use crate::pipeline::warnings;
use crate::report::summary::SummaryBuilder;

/// A health line comes so often, in seconds of the run's clock.
const HEALTH_SECONDS: u64 = 60;

/// Where a live run writes.
pub(super) struct LiveFiles {
    post: Post,
    stop: Arc<AtomicBool>,
    root: Option<PathBuf>,
    /// Of the directory that sets are made in: no other run makes sets there.
    _lock: Option<Lock>,
    /// What earlier runs left there.
    left: Vec<String>,
    rotate: Rotate,
    names: Vec<PathBuf>,
    /// What every line says of the run.
    origin: Arc<Origin>,
    /// Session lines to a place of their own.
    apart: Option<OutFile>,
    writes_sessions: bool,
    /// Alerts to standard output.
    stdout: Option<OutFile>,
    set: Option<Set>,
    /// Counted up to the last finished set.
    reported: Counters,
    health: Health,
}

/// What the last health line said.
#[derive(Default)]
struct Health {
    at: Nanos,
    counted: Counters,
}

/// One set of files.
struct Set {
    dir: OutDir,
    sessions: Option<OutFile>,
    alerts: OutFile,
    health: OutFile,
    bytes: u64,
    alert_lines: u64,
    /// The set ends at this second of the run's clock.
    ends: Option<u64>,
}

impl LiveFiles {
    /// Opens what the plan asks for; `second` is the present one, since 1970.
    pub(super) fn open(
        live: &LivePlan,
        (post, origin): (Post, Arc<Origin>),
        stop: Arc<AtomicBool>,
        second: u64,
    ) -> Result<LiveFiles, Error> {
        let plan = &live.plan;
        let root = match &plan.output {
            Output::Dir { path, .. } => Some(path.clone()),
            Output::Json | Output::Summary => None,
        };
        let stdout = match plan.output {
            Output::Json => Some(OutFile::create("-".as_ref())?),
            _ => None,
        };
        let apart = match &plan.sessions {
            SessionLines::To(path) => Some(OutFile::create(path)?),
            _ => None,
        };
        let (lock, left) = match &root {
            Some(root) if live.rotate.is_on() => {
                make_dir(root)?;
                (Some(Lock::take(root)?), unfinished_sets(root))
            }
            _ => (None, Vec::new()),
        };
        let mut files = LiveFiles {
            post,
            stop,
            root,
            _lock: lock,
            left,
            rotate: live.rotate,
            names: live.interfaces.iter().map(PathBuf::from).collect(),
            origin,
            apart,
            writes_sessions: plan.sessions == SessionLines::WithOutput,
            stdout,
            set: None,
            reported: Counters::default(),
            health: Health::default(),
        };
        files.set = match &plan.output {
            Output::Dir { path, force } if !files.rotate.is_on() => {
                Some(files.begin(OutDir::create(path, *force)?, None)?)
            }
            Output::Dir { path, .. } => Some(files.begin_at(path, second)?),
            Output::Json | Output::Summary => None,
        };
        Ok(files)
    }

    /// What users should know of the places that are written to.
    pub(super) fn remarks(&self) -> Vec<String> {
        let dir = self.set.iter().flat_map(|set| set.dir.remarks());
        let apart = self.apart.iter().flat_map(OutFile::remarks);
        self.left.iter().cloned().chain(dir).chain(apart).collect()
    }

    fn begin(&self, mut dir: OutDir, ends: Option<u64>) -> Result<Set, Error> {
        let sessions = self.writes_sessions.then(|| dir.file("sessions.ndjson")).transpose()?;
        let alerts = dir.file("alerts.ndjson")?;
        let health = dir.file("health.ndjson")?;
        Ok(Set { dir, sessions, alerts, health, bytes: 0, alert_lines: 0, ends })
    }

    /// A set that is named by its first second.
    fn begin_at(&self, root: &Path, second: u64) -> Result<Set, Error> {
        let name = stamp(second);
        let free = |name: &String| !root.join(name).exists();
        let more = (1..u32::MAX).map(|n| format!("{name}-{n}"));
        let name = std::iter::once(name.clone()).chain(more).find(free).unwrap_or(name);
        let ends = self.rotate.seconds.map(|every| (second / every + 1).saturating_mul(every));
        self.begin(OutDir::create(&root.join(name), false)?, ends)
    }

    /// Alerts are written as they come; whoever has no place for them keeps them to the end.
    fn alerts(&mut self, found: &mut Found) -> Result<(), Error> {
        let (file, lines) = match (&mut self.set, &mut self.stdout) {
            (Some(set), _) => (&mut set.alerts, Some(&mut set.alert_lines)),
            (None, Some(stdout)) => (stdout, None),
            (None, None) => return Ok(()),
        };
        let alerts = found.take_alerts();
        if let Some(lines) = lines {
            *lines += alerts.len() as u64;
        }
        let outcome = Outcome { alerts, ..nothing(&self.names, &self.origin) };
        outputs::write_alerts(file, &outcome)
    }

    fn health_is_due(&mut self, until: Nanos) -> bool {
        if self.health.at == Nanos::ZERO {
            self.health.at = until;
        }
        until.since(self.health.at) >= Nanos::from_secs(HEALTH_SECONDS)
    }

    fn say_health(&mut self, until: Nanos, counted: Counters) -> Result<(), Error> {
        let Some(set) = &mut self.set else { return Ok(()) };
        let more = counted.since(&self.health.counted);
        let mut line = Vec::new();
        let feeds = self.post.one_way_feeds();
        render_health((self.health.at, until), &more, &feeds, &self.origin, &mut line);
        self.health = Health { at: until, counted };
        set.health.write(&line)
    }

    fn is_full(&self, second: u64) -> bool {
        self.set.as_ref().is_some_and(|set| {
            set.ends.is_some_and(|end| second >= end)
                || self.rotate.bytes.is_some_and(|most| set.bytes >= most)
        })
    }

    /// Finishes the present set. What reader and workers sum up is known at the end of the run
    /// only.
    fn finish_set(
        &mut self,
        counted: &Counters,
        found: Findings,
        (sums, copies): (SummaryBuilder, Option<CopyReport>),
    ) -> Result<(), Error> {
        let Some(set) = self.set.take() else { return Ok(()) };
        let Set { mut dir, sessions, mut alerts, health, alert_lines, .. } = set;
        let more = counted.since(&self.reported);
        self.reported = counted.clone();
        let snapshot = self.post.current.get();
        let outcome = Outcome {
            sessions: sums,
            endpoints: found.endpoints,
            alerts: found.alerts,
            incidents: found.incidents,
            counters: more,
            old_lists: snapshot.prepared.old_lists(Some(self.health.at)),
            copies,
            learned: found.learned,
            ..nothing(&self.names, &self.origin)
        };
        outputs::write_alerts(&mut alerts, &outcome)?;
        for file in sessions.into_iter().chain([alerts, health]) {
            file.finish()?;
        }
        let warnings = warnings::of(&snapshot.plan, &snapshot.prepared, &outcome);
        let outcome = Outcome { warnings, ..outcome };
        let mut report = outputs::report(&snapshot.plan, &snapshot.prepared, &outcome);
        report.totals.alerts += alert_lines;
        report.inputs = self.post.board.interfaces();
        if report.one_way_feeds.is_empty() {
            report.one_way_feeds = self.post.one_way_feeds();
        }
        outputs::write_rest(&mut dir, &outcome, report)?;
        dir.finish()
    }

    /// The run is over: what is left is written, and all files get their names.
    pub(super) fn finish(mut self, outcome: &Outcome) -> Result<(), Error> {
        let until = outcome.span.map_or(self.health.at, |(_, last)| last.max(self.health.at));
        self.say_health(until, outcome.counters.clone())?;
        if let Some(file) = self.apart.take() {
            file.finish()?;
        }
        if let Some(mut stdout) = self.stdout.take() {
            outputs::write_alerts(&mut stdout, outcome)?;
            outputs::write_incidents(&mut stdout, outcome)?;
            stdout.finish()?;
        }
        let found = Findings {
            endpoints: Arc::clone(&outcome.endpoints),
            alerts: outcome.alerts.clone(),
            incidents: outcome.incidents.clone(),
            counters: Counters::default(),
            learned: outcome.learned,
        };
        let sums = (outcome.sessions.clone(), outcome.copies.clone());
        self.finish_set(&outcome.counters, found, sums)
    }

    fn written(&mut self, line: &[u8]) -> Result<(), Error> {
        if let Some(file) = &mut self.apart {
            return file.write(line);
        }
        let Some(set) = &mut self.set else { return Ok(()) };
        set.bytes += line.len() as u64;
        set.sessions.as_mut().map_or(Ok(()), |file| file.write(line))
    }

    fn rounded(&mut self, until: Nanos, found: &mut Found) -> Result<(), Error> {
        let second = until.as_secs();
        if let Some(snapshot) = self.post.renewed() {
            found.min_level = snapshot.plan.min_level;
            found.renew(&snapshot.prepared);
        }
        self.post.show(&found.counters);
        self.alerts(found)?;
        found.save_in_time(until)?;
        if self.health_is_due(until) {
            self.say_health(until, self.post.board.sum())?;
        }
        if self.is_full(second) {
            let findings = found.take();
            // What the end of the set itself counted belongs to it.
            self.post.show(&findings.counters);
            let counted = self.post.board.sum();
            self.finish_set(&counted, findings, (SummaryBuilder::default(), None))?;
            self.set = self.root.as_deref().map(|root| self.begin_at(root, second)).transpose()?;
        }
        let set = self
            .set
            .iter_mut()
            .flat_map(|set| set.sessions.iter_mut().chain([&mut set.alerts, &mut set.health]));
        set.chain(&mut self.apart).chain(&mut self.stdout).try_for_each(OutFile::flush)
    }

    /// A disk that is full ends the run, not only its writing.
    fn settle(&self, result: Result<(), Error>) -> Result<(), Error> {
        if result.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Sink for LiveFiles {
    fn session(&mut self, line: &[u8]) -> Result<(), Error> {
        let result = self.written(line);
        self.settle(result)
    }

    fn round(&mut self, until: Nanos, found: &mut Found) -> Result<(), Error> {
        let result = self.rounded(until, found);
        self.settle(result)
    }
}

fn nothing(names: &[PathBuf], origin: &Arc<Origin>) -> Outcome {
    Outcome {
        sessions: SummaryBuilder::default(),
        endpoints: Arc::new(EndpointRows::none()),
        alerts: Vec::new(),
        incidents: Vec::new(),
        files: Vec::new(),
        names: names.to_vec(),
        origin: Arc::clone(origin),
        counters: Counters::default(),
        span: None,
        old_lists: Vec::new(),
        copies: None,
        warnings: Vec::new(),
        interrupted: false,
        remarks: Vec::new(),
        learned: None,
        state: None,
    }
}

/// `20261123T120000Z` for a second since 1970.
fn stamp(second: u64) -> String {
    let (year, month, day) = civil_from_days(second / 86_400);
    let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::stamp;

    #[test]
    fn sets_are_named_by_their_first_second() {
        assert_eq!(stamp(0), "19700101T000000Z");
        // date -u -d '2026-11-23 12:34:56' +%s
        assert_eq!(stamp(1_795_437_296), "20261123T123456Z");
    }
}
