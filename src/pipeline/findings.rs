//! What a run has found so far: endpoints, alerts, incidents, and what was learned.
//!
//! Owns: everything that needs the whole run in one order. In: judged sessions and their alerts.
//! Out: events, and at the end of a span its endpoints. Never: writes, or sees a batch.

use std::sync::Arc;

use crate::config::Plan;
use crate::config::memory::Bounds;
use crate::detect::RuleSet;
use crate::detect::SourceCatalog;
use crate::detect::incidents::IncidentConfig;
use crate::detect::incidents::Incidents;
use crate::detect::kept::Kept;
use crate::detect::merge;
use crate::detect::merge::Merger;
use crate::detect::merge::Verdict;
use crate::emit;
use crate::endpoints::EndpointRows;
use crate::endpoints::Endpoints;
use crate::model::Alert;
use crate::model::Change;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::Error;
use crate::model::EventKind;
use crate::model::Held;
use crate::model::Incident;
use crate::model::Level;
use crate::model::Nanos;
use crate::model::endpoint::EndpointRow;
use crate::pipeline::fired::Fired;
use crate::pipeline::prepare::Prepared;
use crate::pipeline::state::BaselineTotals;
use crate::pipeline::state::State;
use crate::sinks::Outlets;

/// An alert's event id.
fn alert_id(alert: &Alert) -> String {
    emit::id::alert_id(&alert.rule.uuid, &alert.session_id, &alert.subject, alert.time)
}

/// What alerts.ndjson is ordered by: time, then rule number; the rest makes it one order.
fn place(alert: &Alert) -> (Nanos, [&str; 4], (u16, u32, u32)) {
    let words = [&alert.rule.id, &alert.rule.uuid, &*alert.subject, &alert.session_id];
    (alert.time, words, alert.packets)
}

/// What the correlator has found so far and nobody has taken yet.
pub(super) struct Found {
    pub(super) endpoints: Endpoints,
    pub(super) state: Option<State>,
    pub(super) incidents: Incidents,
    pub(super) merger: Merger,
    pub(super) alerts: Kept,
    pub(super) counters: Counters,
    pub(super) min_level: Level,
    pub(super) rules: Arc<RuleSet>,
    pub(super) catalog: Arc<SourceCatalog>,
    pub(super) fired: Fired,
}

/// What the correlator leaves behind.
pub(super) struct Findings {
    pub(super) endpoints: Arc<EndpointRows>,
    pub(super) alerts: Vec<Arc<Alert>>,
    /// Incidents that have changed.
    pub(super) changes: Vec<Arc<Incident>>,
    /// All incidents that are open, or were closed since they were told.
    pub(super) incidents: Vec<Incident>,
    pub(super) counters: Counters,
    /// How much was learned by then, where that is kept.
    pub(super) learned: Option<BaselineTotals>,
}

impl Findings {
    /// Pushes what there is to tell.
    pub(super) fn push(&self, outlets: &mut Outlets) -> Result<(), Error> {
        for alert in &self.alerts {
            outlets.push(&Held::Alert(Arc::clone(alert)))?;
        }
        for incident in &self.changes {
            outlets.push(&Held::Incident(Arc::clone(incident)))?;
        }
        Ok(())
    }
}

impl Found {
    /// Nothing found yet.
    pub(super) fn new(plan: &Plan, prepared: &Prepared) -> Found {
        let bounds = Bounds::of(plan);
        Found {
            endpoints: Endpoints::new(bounds.endpoints),
            state: None,
            incidents: Incidents::new(IncidentConfig {
                subjects_max: bounds.subjects,
                incidents_max: bounds.subjects,
                ..IncidentConfig::default()
            }),
            merger: Merger::new(bounds.kinds),
            alerts: Kept::new(bounds.alerts),
            counters: Counters::default(),
            min_level: plan.min_level,
            rules: Arc::clone(&prepared.rules),
            catalog: Arc::clone(&prepared.catalog),
            fired: Fired::new(bounds.fired),
        }
    }

    /// From here on, endpoints meet another snapshot.
    pub(super) fn renew(&mut self, prepared: &Prepared) {
        self.rules = Arc::clone(&prepared.rules);
        self.catalog = Arc::clone(&prepared.catalog);
    }

    /// Writes what was learned, where it is kept and the time has come.
    pub(super) fn save_in_time(&mut self, now: Nanos) -> Result<(), Error> {
        self.state.as_mut().map_or(Ok(()), |state| state.save_in_time(now))
    }

    /// Lets the rules look at endpoints that have grown; after the session's own alerts.
    pub(super) fn judge_ripe(&mut self) {
        loop {
            let learned = self.state.as_ref().map(|state| &state.baselines);
            let Some(row) = self.endpoints.next_due(learned) else { return };
            let mut alerts = Vec::new();
            self.judge(&row, &mut alerts);
            alerts.into_iter().for_each(|alert| self.alert(alert));
        }
    }

    /// Lets the rules look at every endpoint of a span that is over, the earliest alert first. Only
    /// the times of all are held at once: alerts may be as many as endpoints.
    fn judge_all(&mut self, rows: &EndpointRows) {
        let mut alerts = Vec::new();
        let mut found: Vec<(Nanos, u32)> = Vec::new();
        for (number, row) in rows.judged() {
            self.rules.evaluate_endpoint(&row, &self.catalog, &mut alerts);
            let first = alerts.drain(..).map(|alert| alert.time).min();
            found.extend(first.map(|time| (time, number)));
        }
        found.sort_by_key(|(time, _)| *time);
        for (_, number) in found {
            let Some(row) = rows.get(number) else { continue };
            self.judge(&row, &mut alerts);
            alerts.sort_by(|a, b| place(a).cmp(&place(b)));
            alerts.drain(..).for_each(|alert| self.alert(alert));
        }
        self.fired.tidy();
    }

    /// Each rule fires at most once a week on an endpoint: rules look at a week, and a live run
    /// asks them again with each set of files.
    fn judge(&mut self, row: &EndpointRow, sink: &mut Vec<Alert>) {
        self.rules.evaluate_endpoint(row, &self.catalog, sink);
        sink.retain(|alert| self.fired.tell(&row.key, &alert.rule.uuid, alert.time));
        self.counters.add(Counter::AlertsUnmerged, self.fired.take_forgotten());
    }

    /// Keeps an alert, or adds it to the one that says the same. Incidents hear of every alert that
    /// stands for itself, also of those below the level that is reported.
    pub(super) fn alert(&mut self, alert: Alert) {
        let reported = alert.level >= self.min_level;
        let number = reported.then(|| self.alerts.next());
        let verdict = self.merger.judge(&alert, number);
        self.merger.count(&mut self.counters);
        let alert = match verdict {
            Verdict::Again(first) => return self.repeat(first, &alert),
            Verdict::Waits => return self.counters.bump(Counter::AlertsWaiting),
            Verdict::Ripe(all) => *all,
            Verdict::New => alert,
        };
        // One that waited for others has another time now.
        let alert = Arc::new(Alert { id: alert_id(&alert), ..alert });
        self.incidents.push(&alert);
        self.incidents.count(&mut self.counters);
        if reported {
            self.counters.bump(Counter::Alerts);
            if self.alerts.push(alert) {
                self.counters.bump(Counter::AlertsDropped);
            }
        }
    }

    /// Adds an alert to the first of its kind, while that is still here; a first that was written
    /// before, as in a live run, stands as it was, and so does one that was dropped at the cap.
    fn repeat(&mut self, first: Option<usize>, alert: &Alert) {
        self.counters.bump(Counter::AlertsMerged);
        if let Some(first) = first.and_then(|number| self.alerts.get_mut(number)) {
            // The incident keeps the alert as it was when it was raised.
            merge::add(Arc::make_mut(first), alert);
        }
    }

    /// The alerts kept since the last call, in output order.
    fn take_alerts(&mut self) -> Vec<Arc<Alert>> {
        let mut alerts = self.alerts.take();
        for alert in alerts.iter_mut().filter(|alert| merge::is_repeated(alert)) {
            merge::conclude(Arc::make_mut(alert));
        }
        alerts.sort_by(|a, b| place(a).cmp(&place(b)));
        alerts
    }

    /// Tells what was found since the last call, to whoever takes it.
    pub(super) fn release(&mut self, outlets: &mut Outlets) -> Result<(), Error> {
        if outlets.wants(EventKind::Alert) {
            for alert in self.take_alerts() {
                outlets.push(&Held::Alert(alert))?;
            }
        }
        if outlets.wants(EventKind::Incident) {
            for incident in self.take_changes() {
                outlets.push(&Held::Incident(incident))?;
            }
        }
        Ok(())
    }

    /// Incidents that were opened, got worse or were closed since the last call, in output order.
    fn take_changes(&mut self) -> Vec<Arc<Incident>> {
        let mut changes = self.incidents.take_changes(self.min_level);
        for incident in &mut changes {
            incident.id = emit::id::incident_id(&incident.subject, incident.since, incident.time);
        }
        changes.sort_by(|a, b| (a.time, &a.subject).cmp(&(b.time, &b.subject)));
        changes.into_iter().map(Arc::new).collect()
    }

    /// Ends a span: what was found since the last call, in output order. Incidents stay open.
    pub(super) fn take(&mut self) -> Findings {
        let mut endpoints = {
            let next = self.endpoints.successor();
            std::mem::replace(&mut self.endpoints, next)
        };
        endpoints.count(&mut self.counters);
        let learned = self.state.as_ref().map(|state| &state.baselines);
        let endpoints = Arc::new(endpoints.finish(learned));
        if let Some(state) = &mut self.state {
            self.counters.add(Counter::BaselinesDropped, state.newly_dropped());
        }
        self.judge_all(&endpoints);
        let changes = self.take_changes();
        let closed = changes.iter().filter(|incident| incident.change == Change::Closed);
        let mut incidents: Vec<Incident> =
            closed.map(|incident| Incident::clone(incident)).chain(self.incidents.open()).collect();
        incidents.retain(|incident| incident.level >= self.min_level);
        incidents.sort_by(|a, b| (a.time, &a.subject).cmp(&(b.time, &b.subject)));
        Findings {
            endpoints,
            alerts: self.take_alerts(),
            changes,
            incidents,
            counters: self.counters.clone(),
            learned: self.state.as_ref().map(|state| state.baselines.totals()),
        }
    }
}
