//! The results of a run so far: endpoints, alerts, incidents, and learned baselines.
//!
//! Owns: everything that needs the whole run in one order. In: judged sessions and their alerts.
//! Out: events, and at the end of a span its endpoints. Never: writes, or sees a batch.

use std::sync::Arc;

use crate::config::Plan;
use crate::config::memory::Bounds;
use crate::detect::correlation::Seen;
use crate::detect::kept::Kept;
use crate::detect::ledger::{Ledger, Taken};
use crate::detect::likelihood::Prior;
use crate::detect::{RuleSet, SourceCatalog, merge, standing};
use crate::emit;
use crate::endpoints::baseline::Baselines;
use crate::endpoints::people::People;
use crate::endpoints::{EndpointRows, EndpointSummary, Endpoints};
use crate::model::beats::Beat;
use crate::model::endpoint::{EndpointKey, EndpointRow, Fingerprint, PoolOf};
use crate::model::{
    Alert, Change, Counter, Counters, Error, EventKind, EvidenceItem, Held, Incident, Level, Nanos,
};
use crate::pipeline::hits::Hits;
use crate::pipeline::ledger_bounds::ledger_config;
use crate::pipeline::prepare::Prepared;
use crate::pipeline::state::{BaselineTotals, Opened, State};
use crate::pipeline::stored_ledger::StoredLedger;
use crate::sinks::Outlets;

/// A journal of so many bytes is written before its second is over.
const JOURNAL_BYTES: usize = 1 << 20;

/// What an endpoint is called in the ledger: the same for the same endpoint.
fn endpoint_text(key: &EndpointKey) -> String {
    let EndpointKey { ip, side, fingerprint, service } = key;
    let mut text = format!("{ip} {side:?}");
    if let Some(service) = service {
        text.push_str(&format!(" {}/{}", service.transport.0, service.port));
    }
    // What somebody else chose comes last: no text of theirs can read like the rest.
    match fingerprint {
        Some(Fingerprint::Ja4(of)) => text.push_str(&format!(" ja4 {of}")),
        Some(Fingerprint::Ssh(of)) => text.push_str(&format!(" ssh {of}")),
        None => {}
    }
    text
}

/// What a rule fires on once: the endpoint; or, where it rests on a hidden leg, whoever is behind
/// one address. A browser has a line for each of its fingerprints, and a client one for each
/// program.
fn fired_on(row: &EndpointRow, alert: &Alert) -> String {
    let of_leg = |item: &EvidenceItem| item.name.starts_with("longhaul.hidden_leg.");
    let Some(leg) = row.hidden.filter(|_| alert.evidence.iter().any(of_leg)) else {
        return endpoint_text(&row.key);
    };
    match leg.pool.of {
        PoolOf::Subject => format!("leg of {}", alert.subject),
        _ => format!("leg {} {:?} of {}", row.key.ip, row.key.side, alert.subject),
    }
}

/// The order of alerts.ndjson: time, then rule number; the rest makes it a total order.
fn place(alert: &Alert) -> (Nanos, [&str; 4], (u16, u32, u32)) {
    let words = [&alert.rule.id, &alert.rule.uuid, &*alert.subject, &alert.session_id];
    (alert.time, words, alert.packets)
}

/// The correlator's results that were not taken yet.
pub(super) struct Found {
    pub(super) endpoints: Endpoints,
    /// The second of the latest updates that were not judged yet; else the end of time.
    updated: Nanos,
    pub(super) state: Option<State>,
    pub(super) ledger: Ledger,
    /// The ledger's files, where they are kept.
    pub(super) stored: Option<StoredLedger>,
    /// Something was pushed that the ledger has not noted as reported.
    pub(super) pushed: bool,
    /// Why the journal could not be written.
    failure: Option<Error>,
    pub(super) alerts: Kept,
    pub(super) counters: Counters,
    /// Alerts so far, by rule.
    pub(super) hits: Hits,
    pub(super) min_level: Level,
    /// Incidents are withheld while baselines are only learned.
    pub(super) learn_only: bool,
    /// The latest changes were withheld.
    withheld: bool,
    pub(super) rules: Arc<RuleSet>,
    pub(super) catalog: Arc<SourceCatalog>,
}

/// The results that were taken.
pub(super) struct Findings {
    pub(super) endpoints: Arc<EndpointRows>,
    pub(super) alerts: Vec<Arc<Alert>>,
    /// Incidents that have changed.
    pub(super) changes: Vec<Arc<Incident>>,
    /// All incidents that are open, or were closed since they were reported.
    pub(super) incidents: Vec<Incident>,
    pub(super) counters: Counters,
    /// Totals of the baselines by then, if there are any.
    pub(super) learned: Option<BaselineTotals>,
}

impl Findings {
    /// Pushes everything to report.
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
    /// No results yet.
    pub(super) fn new(plan: &Plan, prepared: &Prepared) -> Found {
        let bounds = Bounds::of(plan);
        let mut found = Found {
            endpoints: Endpoints::new(bounds.endpoints, bounds.open_bytes)
                .with_hosts(bounds.hosts_bytes),
            updated: Nanos(u64::MAX),
            state: None,
            ledger: Ledger::new(ledger_config(&bounds)),
            stored: None,
            pushed: false,
            failure: None,
            alerts: Kept::new(bounds.alerts),
            counters: Counters::default(),
            hits: Hits::default(),
            min_level: plan.min_level,
            learn_only: plan.learn_only,
            withheld: false,
            rules: Arc::clone(&prepared.rules),
            catalog: Arc::clone(&prepared.catalog),
        };
        found.endpoints.set_people(People::new(bounds.people_bytes));
        found.endpoints.set_foreign_hours(plan.foreign_hours);
        found.set_prior();
        found
    }

    fn set_prior(&mut self) {
        self.ledger.set_prior(Prior::of(self.rules.likelihood()));
    }

    /// From here on, endpoints are judged with another snapshot.
    pub(super) fn renew(&mut self, prepared: &Prepared) {
        self.rules = Arc::clone(&prepared.rules);
        self.catalog = Arc::clone(&prepared.catalog);
        self.set_prior();
    }

    /// Gives it the baselines, people and the ledger of earlier runs. A live run keeps a journal.
    pub(super) fn restore(&mut self, opened: Opened, is_live: bool) -> Result<(), Error> {
        let Opened { state, mut stored, ledger, people } = opened;
        self.endpoints.set_people(people);
        self.ledger = ledger;
        self.ledger.count_stored(self.rules.correlations());
        self.set_prior();
        self.counters.add(Counter::JournalCut, stored.cut);
        if is_live {
            // With this a journal begins, and what is cut off the last one is gone.
            stored.save(&self.ledger)?;
            self.ledger.begin_journal();
        }
        for mut alert in self.ledger.take_unreported() {
            if alert.level >= self.min_level {
                standing::note(&self.rules, Arc::make_mut(&mut alert));
                self.keep(alert);
            }
        }
        (self.state, self.stored) = (Some(state), Some(stored));
        Ok(())
    }

    /// Writes changes to the ledger's journal; called before the outputs get them.
    fn append(&mut self, lasting: bool) {
        let journal = self.ledger.take_journal();
        let Some(stored) = self.stored.as_mut().filter(|_| !journal.is_empty()) else { return };
        if let Err(error) = stored.append(&journal, lasting) {
            self.counters.bump(Counter::JournalFailures);
            self.failure = Some(error);
        }
    }

    /// Everything that was pushed has reached the outputs.
    pub(super) fn note_reported(&mut self) {
        if std::mem::take(&mut self.pushed) {
            match self.withheld {
                true => self.ledger.note_alerted(self.min_level),
                false => self.ledger.note_reported(self.min_level),
            }
            self.append(false);
        }
    }

    /// Saves baselines, people and ledger, if they are kept and it is time to.
    pub(super) fn save_in_time(&mut self, now: Nanos) -> Result<(), Error> {
        let failed = self.failure.take().map_or(Ok(()), Err);
        let due = self.state.as_mut().map_or(Ok(false), |state| state.save_in_time(now));
        if let (Ok(true), Some(stored)) = (&due, &mut self.stored) {
            stored.save(&self.ledger)?;
            let people = self.endpoints.people();
            self.state.as_ref().map_or(Ok(()), |state| state.save_people(people))?;
        }
        due.map(|_| ()).and(failed)
    }

    /// Takes what an open session of that second has contributed to its endpoint so far.
    pub(super) fn update(&mut self, second: Nanos, id: [u8; 16], endpoint: EndpointSummary) {
        self.endpoints.update(id, endpoint);
        self.updated = second;
    }

    /// Judges endpoints with open sessions that were updated before `until`: once a second, so that
    /// many sessions of one endpoint are one judgement.
    pub(super) fn judge_updated(&mut self, until: Nanos) {
        if self.updated >= until {
            return;
        }
        self.updated = Nanos(u64::MAX);
        loop {
            let learned = self.state.as_ref().and_then(State::learned);
            let Some(row) = self.endpoints.next_updated(learned) else { return };
            self.judge_now(&row);
        }
    }

    /// Takes what home hosts sent and received in one second, sorted, and judges those that turn
    /// out to be driven.
    pub(super) fn take_messages(&mut self, second: u32, beats: &[Beat]) {
        self.endpoints.take_messages(beats);
        self.endpoints.end_second(second);
        while let Some(row) = self.endpoints.next_driven() {
            self.judge_now(&row);
        }
        while let Some(row) = self.endpoints.next_alone() {
            self.judge_now(&row);
        }
    }

    fn judge_now(&mut self, row: &EndpointRow) {
        let (mut alerts, mut seen) = (Vec::new(), Vec::new());
        self.judge(row, (&mut alerts, &mut seen));
        alerts.into_iter().for_each(|alert| self.alert(alert));
        seen.into_iter().for_each(|seen| self.correlate(&seen));
    }

    /// Counts an event, and takes the alerts of correlations that fire.
    pub(super) fn correlate(&mut self, seen: &Seen) {
        for alert in self.ledger.correlate(self.rules.correlations(), seen) {
            let number = (alert.level >= self.min_level).then(|| self.alerts.next());
            let taken = self.ledger.take_noted(alert, number);
            self.taken(taken, number.is_some());
        }
        self.ledger.count(&mut self.counters);
        self.append_if_long();
    }

    /// Judges endpoints that have grown, after the session's own alerts.
    pub(super) fn judge_ripe(&mut self) {
        loop {
            let learned = self.state.as_ref().and_then(State::learned);
            let Some(row) = self.endpoints.next_due(learned) else { return };
            self.judge_now(&row);
        }
    }

    /// Judges every endpoint of a finished span, the earliest alert first. Only the times of all
    /// are held at once: there may be as many alerts as endpoints.
    fn judge_all(&mut self, rows: &EndpointRows) {
        let (mut alerts, mut seen) = (Vec::new(), Vec::new());
        let mut found: Vec<(Nanos, u32)> = Vec::new();
        let learned = self.state.as_ref().and_then(State::learned);
        for (number, row) in rows.judged(learned) {
            self.rules.judge_endpoint(&row, &self.catalog, (&mut alerts, &mut seen));
            let of_alerts = alerts.drain(..).map(|alert| alert.time);
            let of_events = seen.drain(..).map(|seen| seen.alert.time);
            found.extend(of_alerts.chain(of_events).min().map(|time| (time, number)));
        }
        found.sort_by_key(|(time, _)| *time);
        for (_, number) in found {
            let learned = self.state.as_ref().and_then(State::learned);
            let Some(row) = rows.get(number, learned) else { continue };
            self.judge(&row, (&mut alerts, &mut seen));
            alerts.sort_by(|a, b| place(a).cmp(&place(b)));
            alerts.drain(..).for_each(|alert| self.alert(alert));
            seen.drain(..).for_each(|seen| self.correlate(&seen));
        }
    }

    /// The alerts of rules that fire on an endpoint and have not lately, and what correlations
    /// count of it.
    fn judge(&mut self, row: &EndpointRow, (alerts, seen): (&mut Vec<Alert>, &mut Vec<Seen>)) {
        self.rules.judge_endpoint(row, &self.catalog, (alerts, seen));
        alerts.retain(|alert| self.ledger.fires(fired_on(row, alert), alert));
        seen.retain(|seen| match seen.stands {
            true => alerts.iter().any(|alert| alert.rule.uuid == seen.alert.rule.uuid),
            false => self.ledger.fires(fired_on(row, &seen.alert), &seen.alert),
        });
    }

    /// Keeps an alert, or adds it to the one that says the same; also one below the level that is
    /// reported goes into the ledger.
    pub(super) fn alert(&mut self, mut alert: Alert) {
        standing::note(&self.rules, &mut alert);
        let reported = alert.level >= self.min_level;
        let taken = self.ledger.take(alert, reported.then(|| self.alerts.next()));
        self.taken(taken, reported);
        self.append_if_long();
    }

    fn append_if_long(&mut self) {
        if self.ledger.journal_len() > JOURNAL_BYTES {
            self.append(false);
        }
    }

    fn taken(&mut self, taken: Taken, reported: bool) {
        match taken {
            Taken::Again(first, alert) => self.repeat(first, &alert),
            Taken::Waits => self.counters.bump(Counter::AlertsWaiting),
            Taken::Stands(alert) if reported => self.keep(alert),
            Taken::Stands(_) => {}
        }
        self.ledger.count(&mut self.counters);
    }

    fn keep(&mut self, alert: Arc<Alert>) {
        self.counters.bump(Counter::Alerts);
        self.hits.add(&alert);
        if self.alerts.push(alert) {
            self.counters.bump(Counter::AlertsDropped);
        }
    }

    /// Adds an alert to the first of its kind, if that is still here; a first that was written
    /// before, as in a live run, stays as it was, and so does one that was dropped at the cap.
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

    /// Reports the results since the last call.
    pub(super) fn release(&mut self, now: Nanos, outlets: &mut Outlets) -> Result<(), Error> {
        self.ledger.close_old(now);
        self.append(true);
        if outlets.wants(EventKind::Alert) {
            for alert in self.take_alerts() {
                self.pushed = true;
                outlets.push(&Held::Alert(alert))?;
            }
        }
        if outlets.wants(EventKind::Incident) {
            for incident in self.take_changes() {
                self.pushed = true;
                outlets.push(&Held::Incident(incident))?;
            }
        }
        Ok(())
    }

    /// The time up to which incidents are withheld, and whether it has not come yet. Those still
    /// open then are reported.
    fn withholds(&self) -> Option<(Nanos, bool)> {
        let baselines = &self.state.as_ref().filter(|_| self.learn_only)?.baselines;
        Some((baselines.learns_until().unwrap_or(Nanos(u64::MAX)), baselines.learning()))
    }

    /// Incidents that were opened, got worse or were closed since the last call, in output order.
    fn take_changes(&mut self) -> Vec<Arc<Incident>> {
        self.withheld = self.withholds().is_some_and(|(_, learning)| learning);
        if let Some((until, _)) = self.withholds() {
            let closed = self.ledger.discard_unreported(until, self.min_level);
            self.counters.add(Counter::IncidentsWithheld, closed);
        }
        let mut changes = match self.withheld {
            true => self.ledger.take_closed(self.min_level),
            false => self.ledger.take_changes(self.min_level),
        };
        for incident in &mut changes {
            incident.id = emit::id::incident_id(&incident.subject, incident.since, incident.time);
            // Alerts of an earlier run, whose table may have been another.
            for member in incident.alerts.iter_mut().filter(|of| of.alert.prior.is_none()) {
                standing::note(&self.rules, Arc::make_mut(&mut member.alert));
            }
        }
        changes.sort_by(|a, b| (a.time, &a.subject).cmp(&(b.time, &b.subject)));
        changes.into_iter().map(Arc::new).collect()
    }

    /// Ends a span: the results since the last call, in output order. Incidents stay open.
    pub(super) fn take(&mut self) -> Findings {
        let mut endpoints = {
            let next = self.endpoints.successor();
            std::mem::replace(&mut self.endpoints, next)
        };
        endpoints.count(&mut self.counters);
        let learned = self.state.as_ref().and_then(State::learned);
        let endpoints = Arc::new(endpoints.finish(learned));
        if let Some(state) = &mut self.state {
            self.counters.add(Counter::BaselinesDropped, state.newly_dropped());
        }
        self.judge_all(&endpoints);
        self.append(true);
        self.pushed = true;
        let changes = self.take_changes();
        let closed = changes.iter().filter(|incident| incident.change == Change::Closed);
        let mut incidents: Vec<Incident> =
            closed.map(|incident| Incident::clone(incident)).chain(self.ledger.open()).collect();
        incidents.retain(|incident| incident.level >= self.min_level);
        if self.withheld {
            incidents.clear();
        }
        incidents.sort_by(|a, b| (a.time, &a.subject).cmp(&(b.time, &b.subject)));
        Findings {
            endpoints,
            alerts: self.take_alerts(),
            changes,
            incidents,
            counters: self.counters.clone(),
            learned: self.state.as_ref().and_then(State::learned).map(Baselines::totals),
        }
    }
}
