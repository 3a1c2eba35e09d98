//! Alerts and a line a minute, for a run that writes no files.
//!
//! Owns: what was shown. In: alerts as they are found, counts. Out: text on standard output, and
//! what the summary at the end needs of it. Never: the same alert twice.

use std::sync::Arc;

use crate::emit::files::OutFile;
use crate::emit::run::Loss;
use crate::model::Alert;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::Error;
use crate::model::Nanos;
use crate::pipeline::live::Tell;
use crate::report::live;
use crate::report::summary::RuleLine;
use crate::report::summary::Summary;

/// A run that has received nothing for so long is likely to listen in the wrong place.
const SILENT_START: Nanos = Nanos::from_secs(10);

/// Whoever watches a run.
pub(super) struct Terminal {
    tell: Tell,
    /// Standard output; none where session lines go there.
    out: Option<OutFile>,
    /// Alerts are shown as they come.
    shows_alerts: bool,
    /// Alerts by rule.
    shown: Summary,
    /// Frames at the last look, and the clock when they last grew; that of the first look.
    frames: u64,
    grown: Option<Nanos>,
    /// That nothing came at the start was said.
    asked: bool,
}

impl Terminal {
    /// Somebody who sees minutes, and alerts where they go nowhere else; on standard output unless
    /// that is taken.
    pub(super) fn new(tell: Tell, shows_alerts: bool, taken: bool) -> Result<Terminal, Error> {
        let stdout = (shows_alerts && !taken).then(|| OutFile::create("-".as_ref()));
        Ok(Terminal {
            tell,
            out: stdout.transpose()?,
            shows_alerts,
            shown: Summary::default(),
            frames: 0,
            grown: None,
            asked: false,
        })
    }

    /// Whether alerts are for it.
    pub(super) fn shows_alerts(&self) -> bool {
        self.shows_alerts
    }

    /// Shows alerts.
    pub(super) fn alerts(&mut self, alerts: &[Arc<Alert>]) {
        self.shown.add_alerts(alerts.iter().map(|alert| &**alert));
        for alert in alerts {
            let mut line = live::alert_line(alert);
            let Some(out) = &mut self.out else {
                (self.tell)(&line);
                continue;
            };
            line.push('\n');
            let written = out.write(line.as_bytes()).and_then(|()| out.flush());
            if let Err(error) = written {
                // They are in the summary all the same.
                (self.tell)(&error.to_string());
                self.out = None;
            }
        }
    }

    /// Once a second: how long nothing has come, said early at the start.
    pub(super) fn look(&mut self, until: Nanos, frames: u64) {
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
    pub(super) fn minute(&self, until: Nanos, counted: &Counters) {
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

    /// What was shown, by rule.
    pub(super) fn finish(self) -> Vec<RuleLine> {
        self.shown.rules
    }
}
