//! The files of a live run: written as it goes, finished and begun anew by time or size.
//!
//! Owns: the open set of files, and what is done where there is none. In: lines and findings,
//! second by second. Out: finished sets, each with a run.json that counts what happened since the
//! set before.
//! Never: a finished-looking file that is not finished, or an end of the run because a disk is
//! full.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Output;
use crate::config::SessionLines;
use crate::config::live::LivePlan;
use crate::emit::Origin;
use crate::emit::files::OutFile;
use crate::emit::health::render_health;
use crate::endpoints::EndpointRows;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::Error;
use crate::model::Nanos;
use crate::pipeline::Outcome;
use crate::pipeline::correlator::Findings;
use crate::pipeline::correlator::Found;
use crate::pipeline::correlator::Sink;
use crate::pipeline::live::Tell;
use crate::pipeline::live::WorkerHandle;
use crate::pipeline::live::place::Place;
use crate::pipeline::live::set::Set;
use crate::pipeline::live::set::Settled;
use crate::pipeline::live::stream::Stream;
use crate::pipeline::live::terminal::Terminal;
use crate::pipeline::outputs;
use crate::pipeline::warnings;
use crate::report::summary::SummaryBuilder;

/// A health line comes so often, in seconds of the run's clock.
const HEALTH_SECONDS: u64 = 60;

/// After a failure, whether there is room again is looked at so often.
const RETRY_SECONDS: u64 = 10;

/// Where a live run writes.
pub(super) struct LiveFiles {
    post: WorkerHandle,
    tell: Tell,
    place: Option<Place>,
    names: Vec<PathBuf>,
    /// What every line says of the run.
    origin: Arc<Origin>,
    /// Session lines to a place of their own.
    apart: Option<Stream>,
    /// Alerts and incidents to standard output.
    stdout: Option<Stream>,
    /// Whoever watches a run without files.
    terminal: Option<Terminal>,
    /// None also where the last one failed and there is no room for another.
    set: Option<Set>,
    /// The second of the run's clock at which that is looked at again.
    retry: u64,
    /// What was counted here since the correlator's counters had it.
    own: Counters,
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

impl LiveFiles {
    /// Opens what the plan asks for; `second` is the present one, since 1970.
    pub(super) fn open(
        live: &LivePlan,
        (post, origin): (WorkerHandle, Arc<Origin>),
        tell: Tell,
        second: u64,
    ) -> Result<LiveFiles, Error> {
        let plan = &live.plan;
        let stdout = plan.json.then(|| OutFile::create("-".as_ref())).transpose()?;
        let apart = match &plan.sessions {
            SessionLines::To(path) => Some(OutFile::create(path)?),
            _ => None,
        };
        let mut place = Place::of(live)?;
        let set = place.as_mut().map(|place| place.first_set(second)).transpose()?;
        let watched = place.is_none() && !plan.quiet;
        let shows_alerts = plan.output == Output::Summary;
        let terminal = watched
            .then(|| Terminal::new(Arc::clone(&tell), shows_alerts, plan.lines_to_stdout()))
            .transpose()?;
        Ok(LiveFiles {
            post,
            tell,
            place,
            names: live.interfaces.iter().map(PathBuf::from).collect(),
            origin,
            apart: apart.map(Stream::new),
            stdout: stdout.map(Stream::new),
            terminal,
            set,
            retry: 0,
            own: Counters::default(),
            reported: Counters::default(),
            health: Health::default(),
        })
    }

    /// What users should know of the places that are written to.
    pub(super) fn remarks(&self) -> Vec<String> {
        let left = self.place.iter().flat_map(|place| place.left.iter().cloned());
        let dir = self.set.iter().flat_map(Set::remarks);
        let apart = self.apart.iter().flat_map(Stream::remarks);
        left.chain(dir).chain(apart).collect()
    }

    /// Alerts are written as they come. While there is no set for them they are kept, and so they
    /// are where nobody wants them before the end.
    fn alerts(&mut self, found: &mut Found) {
        let waits = self.place.is_some() && self.set.as_ref().is_none_or(|s| s.failure().is_some());
        let wanted = self.set.is_some()
            || self.stdout.is_some()
            || self.terminal.as_ref().is_some_and(Terminal::shows_alerts);
        if waits || !wanted {
            return;
        }
        let alerts = found.take_alerts();
        if alerts.is_empty() {
            return;
        }
        if let Some(stdout) = &mut self.stdout {
            let write =
                |file: &mut OutFile| outputs::write_alert_lines(file, &self.origin, &alerts);
            let lost = stdout.write(alerts.len() as u64, &self.tell, write);
            self.own.add(Counter::LinesLost, lost);
        }
        if let Some(terminal) = self.terminal.as_mut().filter(|t| t.shows_alerts()) {
            terminal.alerts(&alerts);
        }
        if let Some(set) = &mut self.set {
            set.alerts(&self.origin, alerts);
        }
    }

    fn health_is_due(&mut self, until: Nanos) -> bool {
        if self.health.at == Nanos::ZERO {
            self.health.at = until;
        }
        until.since(self.health.at) >= Nanos::from_secs(HEALTH_SECONDS)
    }

    fn say_health(&mut self, until: Nanos, counted: Counters) {
        let more = counted.since(&self.health.counted);
        if let Some(terminal) = &self.terminal {
            terminal.minute(until, &more);
        }
        let since = std::mem::replace(&mut self.health, Health { at: until, counted }).at;
        match &mut self.set {
            Some(set) => {
                let mut line = Vec::new();
                let feeds = self.post.one_way_feeds();
                render_health((since, until), &more, &feeds, &self.origin, &mut line);
                set.health(&line);
            }
            None if self.place.is_some() => self.own.bump(Counter::LinesLost),
            None => {}
        }
    }

    /// Writes what a set lacks but run.json, and counts what could not be written.
    fn settle(&mut self, set: Set, found: &Findings) -> Settled {
        let most = self.place.as_mut().and_then(|place| {
            let (most, told) = place.rows(&set, found, &mut self.own);
            told.iter().for_each(|text| (self.tell)(text));
            most
        });
        let settled = set.settle(&self.origin, found, most);
        self.own.add(Counter::LinesLost, settled.lost);
        self.own.add(Counter::SetsIncomplete, u64::from(settled.incomplete().is_some()));
        settled
    }

    /// Finishes a set. What reader and workers sum up is known at the end of the run only.
    fn conclude(&mut self, settled: Settled, outcome: Outcome) -> Result<(), Error> {
        let more = outcome.counters.since(&self.reported);
        self.reported.clone_from(&outcome.counters);
        let snapshot = self.post.current.get();
        let old_lists = snapshot.prepared.old_lists(Some(self.health.at));
        let outcome = Outcome { counters: more, old_lists, ..outcome };
        let warnings = warnings::of(&snapshot.plan, &snapshot.prepared, &outcome);
        let outcome = Outcome { warnings, ..outcome };
        let mut report = outputs::report(&snapshot.plan, &snapshot.prepared, &outcome);
        report.totals.alerts = settled.alert_lines;
        report.inputs = self.post.board.interfaces();
        if report.one_way_feeds.is_empty() {
            report.one_way_feeds = self.post.one_way_feeds();
        }
        report.incomplete = settled.incomplete();
        let path = settled.path().to_path_buf();
        let ended = settled.finish(&report);
        if let Some(incomplete) = &report.incomplete {
            (self.tell)(&format!(
                "{} ends early: {incomplete}; counting goes on, and writing when there is room",
                path.display()
            ));
        }
        if let Some(place) = &mut self.place {
            let told = place.finished(path, &mut self.own);
            told.iter().for_each(|text| (self.tell)(text));
        }
        ended
    }

    /// Finishes the present set and begins another.
    fn turn(&mut self, second: u64, found: &mut Found) {
        let Some(set) = self.set.take() else { return };
        let failed = set.failure().is_some();
        let findings = found.take();
        let settled = self.settle(set, &findings);
        let failed = failed || settled.incomplete().is_some();
        self.count(found);
        let outcome = Outcome {
            endpoints: Arc::clone(&findings.endpoints),
            learned: findings.learned,
            counters: self.post.board.sum(),
            incidents: findings.incidents,
            ..nothing(&self.names, &self.origin)
        };
        if let Some(stdout) = &mut self.stdout {
            // The end of a set has alerts of its own: those on its endpoints.
            let alerts = &findings.alerts;
            let write =
                |file: &mut OutFile| outputs::write_alert_lines(file, &outcome.origin, alerts);
            let lost = stdout.write(alerts.len() as u64, &self.tell, write)
                + write_incidents(stdout, &self.tell, &outcome);
            self.own.add(Counter::LinesLost, lost);
        }
        let concluded = self.conclude(settled, outcome);
        if let Err(error) = &concluded {
            (self.tell)(&error.to_string());
        }
        if failed || concluded.is_err() {
            self.retry = second + RETRY_SECONDS;
            return;
        }
        match self.place.as_mut().map(|place| place.next_set(second)).transpose() {
            Ok(set) => self.set = set,
            Err(error) => {
                (self.tell)(&format!(
                    "{error}
it is tried again until there is room"
                ));
                self.retry = second + RETRY_SECONDS;
            }
        }
    }

    /// Begins a set again, where there is room for one.
    fn resume(&mut self, second: u64) {
        let Some(place) = self.place.as_mut().filter(|place| place.has_room()) else {
            self.retry = second + RETRY_SECONDS;
            return;
        };
        match place.next_set(second) {
            Ok(set) => {
                let lost = self.own.get(Counter::LinesLost)
                    + self.post.board.sum().get(Counter::LinesLost);
                (self.tell)(&format!(
                    "writing again, to {}; lines lost so far: {lost}",
                    set.path().display()
                ));
                self.set = Some(set);
            }
            // What keeps it from being begun was said when it was first so.
            Err(_) => self.retry = second + RETRY_SECONDS,
        }
    }

    /// The run is over: what is left is written, and all files get their names.
    pub(super) fn finish(mut self, outcome: &mut Outcome) -> Result<(), Vec<Error>> {
        let until = outcome.span.map_or(self.health.at, |(_, last)| last.max(self.health.at));
        self.say_health(until, outcome.counters.clone());
        let mut errors = Vec::new();
        if let Some(mut stdout) = self.stdout.take() {
            let write = |file: &mut OutFile| {
                outputs::write_alert_lines(file, &outcome.origin, &outcome.alerts)
            };
            let mut lost = stdout.write(outcome.alerts.len() as u64, &self.tell, write);
            lost += write_incidents(&mut stdout, &self.tell, outcome);
            let (more, ended) = stdout.finish(&self.tell);
            self.own.add(Counter::LinesLost, lost + more);
            errors.extend(ended.err());
        }
        if let Some(apart) = self.apart.take() {
            let (lost, ended) = apart.finish(&self.tell);
            self.own.add(Counter::LinesLost, lost);
            errors.extend(ended.err());
        }
        if self.set.is_none()
            && let Some(place) = &mut self.place
        {
            match place.next_set(until.as_secs()) {
                Ok(set) => self.set = Some(set),
                Err(error) => errors.push(error),
            }
        }
        let set = self.set.take();
        let settled = set.map(|set| {
            let found = Findings {
                endpoints: Arc::clone(&outcome.endpoints),
                alerts: outcome.alerts.clone(),
                incidents: outcome.incidents.clone(),
                counters: Counters::default(),
                learned: outcome.learned,
            };
            self.settle(set, &found)
        });
        outcome.counters.merge(&std::mem::take(&mut self.own));
        if let Some(settled) = settled {
            let last = Outcome {
                sessions: outcome.sessions.clone(),
                endpoints: Arc::clone(&outcome.endpoints),
                incidents: outcome.incidents.clone(),
                counters: outcome.counters.clone(),
                copies: outcome.copies.clone(),
                learned: outcome.learned,
                ..nothing(&self.names, &self.origin)
            };
            errors.extend(self.conclude(settled, last).err());
        }
        let lost = outcome.counters.get(Counter::LinesLost);
        if lost > 0 {
            (self.tell)(&format!("lines of results that could not be written: {lost}"));
        }
        outcome.shown = self.terminal.map(Terminal::finish).unwrap_or_default();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Writes a line of sessions; false where it is lost.
    fn written(&mut self, line: &[u8]) -> bool {
        if let Some(apart) = &mut self.apart {
            let lost = apart.write(1, &self.tell, |file| file.write_line(line));
            self.own.add(Counter::LinesLost, lost);
            return lost == 0;
        }
        let Some(place) = &mut self.place else { return false };
        if let Some(set) = &mut self.set
            && place.lets(set, line.len(), &mut self.own, &self.tell)
        {
            // What a set was given and does not write, it counts at its end.
            return set.session(line);
        }
        self.own.bump(Counter::LinesLost);
        false
    }

    fn rounded(&mut self, until: Nanos, found: &mut Found) {
        let second = until.as_secs();
        if let Some(snapshot) = self.post.renewed() {
            found.min_level = snapshot.plan.min_level;
            found.renew(&snapshot.prepared);
        }
        self.count(found);
        self.alerts(found);
        if let Err(error) = found.save_in_time(until) {
            (self.tell)(&format!("{error}\nwhat was learned is kept and saved the next time"));
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.look(until, self.post.board.sum().get(Counter::Frames));
        }
        if self.health_is_due(until) {
            self.say_health(until, self.post.board.sum());
        }
        self.flush();
        let is_full = |set: &Set, place: &Place| place.is_full(set, second);
        match (&self.set, &self.place) {
            (Some(set), Some(place)) if set.failure().is_some() || is_full(set, place) => {
                self.turn(second, found);
            }
            (None, Some(_)) if second >= self.retry => self.resume(second),
            _ => {}
        }
    }

    /// Gives the correlator's counters what was counted here, and shows them.
    fn count(&mut self, found: &mut Found) {
        found.counters.merge(&std::mem::take(&mut self.own));
        self.post.show(&found.counters);
    }

    fn flush(&mut self) {
        if let Some(set) = &mut self.set {
            set.flush();
        }
        for stream in self.apart.iter_mut().chain(&mut self.stdout) {
            let lost = stream.flush(&self.tell);
            self.own.add(Counter::LinesLost, lost);
        }
    }
}

/// Writes incidents to a stream; the number of lines that were lost.
fn write_incidents(stream: &mut Stream, tell: &Tell, outcome: &Outcome) -> u64 {
    let incidents = &outcome.incidents;
    let write =
        |file: &mut OutFile| outputs::write_incident_lines(file, &outcome.origin, incidents);
    stream.write(incidents.len() as u64, tell, write)
}

impl Sink for LiveFiles {
    fn session(&mut self, line: &[u8]) -> Result<bool, Error> {
        Ok(self.written(line))
    }

    fn round(&mut self, until: Nanos, found: &mut Found) -> Result<(), Error> {
        self.rounded(until, found);
        Ok(())
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
        shown: Vec::new(),
    }
}
