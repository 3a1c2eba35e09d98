//! The outputs of a live run: written continuously, files finished and started anew by time or
//! size.
//!
//! Owns: which sinks a plan needs; the open set of files, and what to do if there is none.
//! In: events. Out: finished sets, each with a run.json that counts what happened since the
//! previous set.
//! Never: a file that looks finished but is not, or an end of the run because a disk is full.

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::config::live::LivePlan;
use crate::config::memory::Shares;
use crate::config::{Output, SessionLines};
use crate::model::event::SessionLine;
use crate::model::{Counter, Counters, Error, EventKind, Format};
use crate::pipeline::live::place::Place;
use crate::pipeline::live::set::{Set, Settled};
use crate::pipeline::live::terminal::Terminal;
use crate::pipeline::outputs::{JSON_KINDS, session_kinds};
use crate::report::summary::Summary;
use crate::sinks::files::OutFile;
use crate::sinks::stream::Stream;
use crate::sinks::{Outlets, Queue, Round, SetFacts, Sink, SpanEnd, Tell, Wish};

/// Each stream may hold this part of the outputs' memory (1/n): there are at most two at a time.
/// The other half is for the queues.
const STREAMS_SHARE: usize = 4;

/// After a failure, how often to check for free space.
const RETRY_SECONDS: u64 = 10;

/// Opens the sinks of the plan beside those that are given; `second` is the current one, since
/// 1970. Alerts that a terminal shows are added to `shown`.
pub(super) fn open(
    live: &LivePlan,
    format: &Arc<dyn Format>,
    (tell, shown): (&Tell, &Arc<Mutex<Summary>>),
    (second, mut sinks): (u64, Vec<Box<dyn Sink>>),
) -> Result<Outlets, Error> {
    let plan = &live.plan;
    let bytes = Shares::of(plan.memory).outputs;
    let stream_bytes = bytes / STREAMS_SHARE;
    let stream = |path: &Path, kinds| {
        let file = OutFile::create(path)?.detached(stream_bytes)?;
        Ok(Stream::new(file, kinds, Arc::clone(format), Some(Arc::clone(tell))))
    };
    if plan.json {
        sinks.push(Box::new(stream("-".as_ref(), JSON_KINDS)?));
    }
    if let SessionLines::To(path) = &plan.sessions {
        sinks.push(Box::new(stream(path, session_kinds(plan))?));
    }
    let place = Place::of(live)?;
    if place.is_none() && !plan.quiet && plan.view.is_none() {
        let flags = (plan.output == Output::Summary, plan.lines_to_stdout());
        let terminal = Terminal::new(Arc::clone(tell), Arc::clone(shown), flags, stream_bytes)?;
        sinks.push(Box::new(terminal));
    }
    if let Some(place) = place {
        sinks.push(Box::new(Sets::open(place, Arc::clone(format), Arc::clone(tell), second)?));
    }
    Ok(Outlets::new(sinks, bytes / 2))
}

/// Sets of files, one after the other.
struct Sets {
    tell: Tell,
    format: Arc<dyn Format>,
    place: Place,
    /// None also if the last one failed and there is no room for another.
    set: Option<Set>,
    /// The second of the run's clock for the next check.
    retry: u64,
    /// Counts here that the correlator does not have yet.
    own: Counters,
    /// Lines lost here since the start of the run.
    lost: u64,
    /// The counters at the last finished set.
    reported: Counters,
}

impl Sets {
    fn open(
        mut place: Place,
        format: Arc<dyn Format>,
        tell: Tell,
        second: u64,
    ) -> Result<Sets, Error> {
        let set = Some(place.first_set(second)?);
        let (own, reported) = (Counters::default(), Counters::default());
        Ok(Sets { tell, format, place, set, retry: 0, own, lost: 0, reported })
    }

    fn lose(&mut self, lines: u64) {
        self.own.add(Counter::LinesLost, lines);
        self.lost += lines;
    }

    fn say(&self, messages: &[String]) {
        messages.iter().for_each(|text| (self.tell)(text));
    }

    /// Starts a set again, if there is room for one.
    fn resume(&mut self, second: u64) {
        let begun = self.place.has_room().then(|| self.place.next_set(second));
        match begun {
            Some(Ok(set)) => {
                (self.tell)(&format!(
                    "writing again, to {}; lines lost so far: {}",
                    set.path().display(),
                    self.lost
                ));
                self.set = Some(set);
            }
            // What keeps it from being begun was said when it was first so.
            None | Some(Err(_)) => self.retry = second + RETRY_SECONDS,
        }
    }

    /// Writes the rest of a set except run.json, and counts what could not be written.
    fn settle(&mut self, set: Set, end: &SpanEnd<'_>, queue: &mut Queue) -> Settled {
        let rows = (queue.len(), end.endpoints.count());
        let (most, messages) = self.place.rows(&set, rows, &mut self.own);
        self.say(&messages);
        let settled = set.settle(&*self.format, (end.endpoints, most), queue);
        self.lose(settled.lost);
        self.own.add(Counter::SetsIncomplete, u64::from(settled.incomplete().is_some()));
        settled
    }

    /// Writes run.json of a set, and renames its files.
    fn conclude(&mut self, settled: Settled, end: &SpanEnd<'_>) -> Result<(), Error> {
        let mut counted = end.counted.clone();
        counted.merge(&self.own);
        let incomplete = settled.incomplete();
        let facts = SetFacts {
            counters: counted.since(&self.reported),
            alerts: settled.alert_lines,
            incidents: settled.incident_lines,
            incomplete: incomplete.clone(),
        };
        self.reported = counted;
        let path = settled.path().to_path_buf();
        let ended = settled.finish(&(end.report)(facts)?);
        if let Some(incomplete) = incomplete {
            (self.tell)(&format!(
                "{} ends early: {incomplete}; counting goes on, and writing when there is room",
                path.display()
            ));
        }
        let messages = self.place.finished(path, &mut self.own);
        self.say(&messages);
        ended
    }

    /// Starts the next set.
    fn begin(&mut self, second: u64) {
        match self.place.next_set(second) {
            Ok(set) => self.set = Some(set),
            Err(error) => {
                (self.tell)(&format!("{error}\nit is tried again until there is room"));
                self.retry = second + RETRY_SECONDS;
            }
        }
    }
}

impl Sink for Sets {
    fn wants(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::SessionEnd => self.place.writes_sessions,
            EventKind::SessionUpdate => self.place.writes_sessions && self.place.writes_updates,
            _ => true,
        }
    }

    fn session(&mut self, line: &SessionLine<'_>) -> Result<bool, Error> {
        let line = line.line;
        if let Some(set) = &mut self.set
            && self.place.lets(set, line.len(), &mut self.own, &self.tell)
        {
            // A set itself counts, at its end, the lines that it did not write.
            return Ok(set.session(line));
        }
        self.lose(1);
        Ok(false)
    }

    /// Alerts and incidents wait while there is no set; health lines would be outdated by then.
    fn drain(&mut self, queue: &mut Queue) -> Result<(), Error> {
        let health = queue.of(EventKind::Health).count();
        match &mut self.set {
            Some(set) => {
                for event in queue.of(EventKind::Health) {
                    let mut line = Vec::new();
                    self.format.render(&event, &mut line);
                    set.health(&line);
                }
                set.events(EventKind::Alert, &*self.format, queue);
                set.events(EventKind::Incident, &*self.format, queue);
            }
            None => self.lose(health as u64),
        }
        queue.acknowledge(EventKind::Health, health);
        Ok(())
    }

    fn round(&mut self, round: &Round<'_>) -> Result<Wish, Error> {
        let second = round.until.as_secs();
        if let Some(set) = &mut self.set {
            set.flush();
            if set.failure().is_some() || self.place.is_full(set, second) {
                return Ok(Wish::EndSpan);
            }
        } else if second >= self.retry {
            self.resume(second);
        }
        Ok(Wish::GoOn)
    }

    fn end_span(&mut self, end: &SpanEnd<'_>, queue: &mut Queue) -> Result<(), Error> {
        let second = end.until.as_secs();
        if self.set.is_none() && end.is_last {
            // Waiting events get a set of their own, or are lost.
            match self.place.next_set(second) {
                Ok(set) => self.set = Some(set),
                Err(error) => {
                    let waited = queue.clear();
                    self.lose(waited);
                    return Err(error);
                }
            }
        }
        let Some(set) = self.set.take() else { return Ok(()) };
        let failed = set.failure().is_some();
        let settled = self.settle(set, end, queue);
        let failed = failed || settled.incomplete().is_some();
        let concluded = self.conclude(settled, end);
        match end.is_last {
            true => return concluded,
            false if failed || concluded.is_err() => self.retry = second + RETRY_SECONDS,
            false => self.begin(second),
        }
        concluded
    }

    fn remarks(&self) -> Vec<String> {
        let left = self.place.left.iter().cloned();
        left.chain(self.set.iter().flat_map(Set::remarks)).collect()
    }

    fn count(&mut self, counters: &mut Counters) {
        counters.merge(&std::mem::take(&mut self.own));
    }
}
