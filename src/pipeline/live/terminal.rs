//! Alerts and a status line per minute, for a run that writes no files.
//!
//! Owns: what was shown. In: alerts, counts. Out: text on standard output, and its part of the
//! final summary. Never: the same alert twice.

use std::sync::{Arc, Mutex};

use crate::emit::run::Loss;
use crate::model::{Alert, Counter, Counters, Error, Event, EventKind, Nanos};
use crate::pipeline::snapshot::lock;
use crate::report::live;
use crate::report::summary::Summary;
use crate::sinks::files::OutFile;
use crate::sinks::{Queue, Round, Sink, SpanEnd, Tell, Wish};

/// A run that has received nothing for this long is probably on the wrong interface.
const SILENT_START: Nanos = Nanos::from_secs(10);

/// The terminal sink.
pub(super) struct Terminal {
    tell: Tell,
    /// Standard output; none if session lines use it.
    out: Option<OutFile>,
    /// Alerts are shown when they fire.
    shows_alerts: bool,
    /// Alerts by rule, for the final summary.
    shown: Arc<Mutex<Summary>>,
    /// Frames at the last check, and the clock when they last grew; that of the first check.
    frames: u64,
    grown: Option<Nanos>,
    /// The message about a silent start was printed.
    asked: bool,
}

impl Terminal {
    /// Shows status lines, and alerts if no other output has them; on standard output unless that
    /// is in use.
    pub(super) fn new(
        tell: Tell,
        shown: Arc<Mutex<Summary>>,
        (shows_alerts, taken): (bool, bool),
        stream_bytes: usize,
    ) -> Result<Terminal, Error> {
        let open = || OutFile::create("-".as_ref())?.detached(stream_bytes);
        let stdout = (shows_alerts && !taken).then(open);
        Ok(Terminal {
            tell,
            out: stdout.transpose()?,
            shows_alerts,
            shown,
            frames: 0,
            grown: None,
            asked: false,
        })
    }

    fn alert(&mut self, alert: &Alert) {
        lock(&self.shown).add_alerts([alert]);
        let mut line = live::alert_line(alert);
        let Some(out) = &mut self.out else { return (self.tell)(&line) };
        line.push('\n');
        let written = out.write(line.as_bytes()).and_then(|()| out.flush());
        if let Err(error) = written {
            // They are in the summary anyway.
            (self.tell)(&error.to_string());
            self.out = None;
        }
    }

    /// Once a second: checks for silence, reported early at the start.
    fn look(&mut self, until: Nanos, frames: u64) {
        if frames != self.frames || self.grown.is_none() {
            (self.frames, self.grown) = (frames, Some(until));
        }
        let silent = self.silent(until);
        if frames == 0 && !self.asked && silent >= SILENT_START {
            self.asked = true;
            (self.tell)(&format!("{}: is it the right interface?", live::silence(silent)));
        }
    }

    fn silent(&self, until: Nanos) -> Nanos {
        self.grown.map_or(Nanos::ZERO, |grown| until.since(grown))
    }

    /// Once a minute.
    fn minute(&self, until: Nanos, counted: &Counters) {
        let loss = serde_json::to_value(Loss::of(counted)).unwrap_or_default();
        let losses: Vec<(String, String)> = loss
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, amount)| amount.as_f64() != Some(0.0))
            .map(|(place, amount)| (place.clone(), amount.to_string()))
            .collect();
        let none = counted.get(Counter::Frames) == 0;
        let silent = if none { self.silent(until) } else { Nanos::ZERO };
        (self.tell)(&live::minute_line(counted, &losses, silent));
    }
}

impl Sink for Terminal {
    fn wants(&self, kind: EventKind) -> bool {
        kind == EventKind::Health || (kind == EventKind::Alert && self.shows_alerts)
    }

    fn drain(&mut self, queue: &mut Queue) -> Result<(), Error> {
        let mut shown = 0;
        for event in queue.of(EventKind::Alert) {
            // Without room they wait in the queue.
            if !self.out.as_ref().is_none_or(OutFile::has_room) {
                break;
            }
            if let Event::Alert(alert) = event {
                self.alert(alert);
            }
            shown += 1;
        }
        queue.acknowledge(EventKind::Alert, shown);
        for event in queue.of(EventKind::Health) {
            if let Event::Health(health) = event {
                self.minute(health.until, &health.counted);
            }
        }
        queue.acknowledge(EventKind::Health, queue.of(EventKind::Health).count());
        Ok(())
    }

    fn round(&mut self, round: &Round<'_>) -> Result<Wish, Error> {
        self.look(round.until, round.counted.get(Counter::Frames));
        Ok(Wish::GoOn)
    }

    /// Results at the end of the run are in the summary.
    fn span_ends(&mut self, is_last: bool) {
        self.shows_alerts &= !is_last;
    }

    /// The summary, which has every alert, comes after the lines.
    fn end_span(&mut self, end: &SpanEnd<'_>, queue: &mut Queue) -> Result<(), Error> {
        if !end.is_last {
            return Ok(());
        }
        if let Some(Err(error)) = self.out.as_mut().map(OutFile::wait) {
            (self.tell)(&error.to_string());
        }
        for event in queue.of(EventKind::Alert) {
            if let Event::Alert(alert) = event {
                lock(&self.shown).add_alerts([&**alert]);
            }
        }
        queue.clear();
        Ok(())
    }
}
