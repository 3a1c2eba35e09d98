//! The ledger: which alerts and incidents were reported, and at which level.
//!
//! Each alert passes it once. It says whether the alert stands for itself, waits for more of its
//! kind, or repeats one that was reported; whether a rule has fired on an endpoint before; and what
//! has become of the incidents of its subject. Events that correlations count pass it,
//! too.
//!
//! Owns: entries by rule, subject and what they are about; subjects with their alerts; groups of
//! correlations; the journal of what has changed. In: alerts and events in the order of the run.
//! Out: verdicts, incidents, bytes that bring a ledger back. Never: reads or writes a file.

pub(in crate::detect) mod codec;
mod combine;
mod entries;
mod store;

use std::sync::Arc;

pub use entries::Verdict;
pub use store::{HEAD, StoreError, records};

use crate::detect::correlation::{Correlations, Event, Seen, State};
use crate::detect::incidents::{IncidentConfig, Incidents};
use crate::detect::ledger::entries::Entries;
use crate::detect::likelihood::Prior;
use crate::model::{Alert, Counters, Incident, Level, Nanos};
use crate::wire::framed;

/// Incidents whose window is over are looked for at most once in this span of packet time.
const CLOSE_EVERY: Nanos = Nanos::from_secs(3_600);

/// What a ledger may hold.
#[derive(Clone, Copy, Debug)]
pub struct LedgerConfig {
    /// Bytes of entries.
    pub entries: usize,
    /// Bytes of subjects with their alerts, and of incidents that are closed and not yet reported.
    pub subjects: usize,
    /// Bytes of groups of correlations.
    pub groups: usize,
}

/// What becomes of an alert.
#[derive(Debug)]
pub enum Taken {
    /// It is reported, and has its event id now.
    Stands(Arc<Alert>),
    /// It adds to the alert of that number, or to one that is not kept.
    Again(Option<usize>, Box<Alert>),
    /// There are too few of its kind so far.
    Waits,
}

/// The ledger of a run.
pub struct Ledger {
    entries: Entries,
    incidents: Incidents,
    groups: State,
    /// Events that were stored and not yet counted: that takes the rules.
    uncounted: Vec<Event>,
    closed: Nanos,
    /// Records of what has changed, where they are kept.
    journal: Option<Vec<u8>>,
    /// Alerts that the run before this one raised but did not report before it was killed.
    unreported: Vec<Arc<Alert>>,
}

impl Ledger {
    /// Nothing fired yet.
    pub fn new(config: LedgerConfig) -> Ledger {
        Ledger {
            entries: Entries::new(config.entries),
            incidents: Incidents::new(IncidentConfig {
                bytes_max: config.subjects,
                ..IncidentConfig::default()
            }),
            groups: State::new(config.groups),
            uncounted: Vec::new(),
            closed: Nanos::ZERO,
            journal: None,
            unreported: Vec::new(),
        }
    }

    /// What is believed of a person before anything is seen, from here on.
    pub fn set_prior(&mut self, prior: Prior) {
        self.incidents.set_prior(prior);
    }

    /// Whether nothing is known of anything.
    pub fn is_empty(&self) -> bool {
        let unknown = self.entries.iter().next().is_none();
        let nothing = self.groups.len() == 0 && self.uncounted.is_empty();
        let nobody = self.incidents.subjects().next().is_none();
        unknown && nothing && nobody && self.unreported.is_empty()
    }

    /// From here on, keeps a journal.
    pub fn begin_journal(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// Bytes of the journal so far.
    pub fn journal_len(&self) -> usize {
        self.journal.as_ref().map_or(0, Vec::len)
    }

    /// What was noted since the last call.
    pub fn take_journal(&mut self) -> Vec<u8> {
        self.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Alerts that the run before this one raised but did not report before it was killed.
    pub fn take_unreported(&mut self) -> Vec<Arc<Alert>> {
        std::mem::take(&mut self.unreported)
    }

    /// A rule has fired on an endpoint. Whether that is an alert: not again within a week, but at a
    /// higher level.
    pub fn fires(&mut self, endpoint: String, alert: &Alert) -> bool {
        let record = self.journal.is_some().then(|| store::fired(&endpoint, alert));
        let fires = self.entries.fires(endpoint, alert);
        if fires {
            self.note(record);
        }
        fires
    }

    /// Counts the events that an earlier run stored after its last snapshot.
    pub fn count_stored(&mut self, rules: &Correlations) {
        for event in std::mem::take(&mut self.uncounted) {
            // What they raised was stored with them.
            rules.count(&mut self.groups, &event);
        }
    }

    /// Counts an event; returns the alerts of correlations that fire, to be taken by
    /// [`Ledger::take_noted`].
    pub fn correlate(&mut self, rules: &Correlations, seen: &Seen) -> Vec<Alert> {
        let alerts = rules.observe(&mut self.groups, seen);
        let record = self.journal.is_some().then(|| store::counted(&seen.event, &alerts));
        self.note(record);
        alerts
    }

    /// Takes an alert that the journal has with the event that made it.
    pub fn take_noted(&mut self, alert: Alert, number: Option<usize>) -> Taken {
        self.take_in(alert, number, true)
    }

    /// Takes the next alert of the run; `number` is the one it would be kept under. Incidents
    /// are updated by every alert that is reported.
    pub fn take(&mut self, alert: Alert, number: Option<usize>) -> Taken {
        self.take_in(alert, number, false)
    }

    fn take_in(&mut self, alert: Alert, number: Option<usize>, is_noted: bool) -> Taken {
        let verdict = self.entries.judge(&alert, number);
        if let Verdict::Again(first) = verdict {
            return Taken::Again(first, Box::new(alert));
        }
        let record = (self.journal.is_some() && !is_noted).then(|| store::raised(&alert));
        self.note(record);
        let mut alert = match verdict {
            Verdict::Waits | Verdict::Again(_) => return Taken::Waits,
            Verdict::Ripe(all) => *all,
            Verdict::New => alert,
        };
        alert.id = alert.event_id();
        let alert = Arc::new(alert);
        self.incidents.push(&alert);
        Taken::Stands(alert)
    }

    /// Incidents that were opened, got worse or were closed since the last call, at this level or a
    /// higher one.
    pub fn take_changes(&mut self, level: Level) -> Vec<Incident> {
        self.incidents.take_changes(level)
    }

    /// The incidents that were closed since the last call, at this level or a higher one.
    pub fn take_closed(&mut self, level: Level) -> Vec<Incident> {
        self.incidents.take_closed(level)
    }

    /// Forgets incidents that were closed since the last call without having been reported, whose
    /// last alert was before a time; how many there were at this level or a higher one.
    pub fn discard_unreported(&mut self, until: Nanos, level: Level) -> u64 {
        self.incidents.discard_unreported(until, level)
    }

    /// Everything that was found has reached the outputs: alerts, and incidents of this level or a
    /// higher one.
    pub fn note_reported(&mut self, level: Level) {
        let record = self.journal.is_some().then(|| store::reported(level));
        self.note(record);
    }

    /// Notes that alerts have reached the outputs, and that incidents were withheld from them.
    pub fn note_alerted(&mut self, level: Level) {
        let record = self.journal.is_some().then(|| store::alerted(level));
        self.note(record);
    }

    /// Closes the incidents whose window is over by now.
    pub fn close_old(&mut self, now: Nanos) {
        if now.since(self.closed) < CLOSE_EVERY {
            return;
        }
        self.closed = now;
        if self.incidents.close_old(now) {
            let record = self.journal.is_some().then(|| store::closed(now));
            self.note(record);
        }
    }

    /// The incidents that are open, as they are now, by subject.
    pub fn open(&self) -> Vec<Incident> {
        self.incidents.open()
    }

    /// Bytes of entries, of subjects with their alerts, and of groups.
    pub const fn held(&self) -> (usize, usize, usize) {
        (self.entries.held(), self.incidents.held(), self.groups.held())
    }

    /// Adds to `counters` what fell off since the last call.
    pub fn count(&mut self, counters: &mut Counters) {
        self.entries.count(counters);
        self.incidents.count(counters);
        self.groups.count(counters);
    }

    fn note(&mut self, record: Option<Vec<u8>>) {
        if let (Some(journal), Some(record)) = (&mut self.journal, record) {
            framed::put(&[&record], journal);
        }
    }
}
