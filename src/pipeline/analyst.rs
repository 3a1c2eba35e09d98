//! The analyst loop: merge the workers' sessions by time, sum up endpoints, correlate, write.
//!
//! Owns: everything that needs the whole run in one order: endpoints, incidents, the open files.
//! In: handovers. Out: session lines as they come, the rest at the end.
//! Never: sees a packet; its result does not depend on how many workers there were.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::Plan;
use crate::detect::incidents::IncidentConfig;
use crate::detect::incidents::Incidents;
use crate::dispatch::queue::Receiver;
use crate::dispatch::queue::Sender;
use crate::emit;
use crate::endpoints::EndpointSummary;
use crate::endpoints::Endpoints;
use crate::endpoints::LOOK_AHEAD;
use crate::model::Alert;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::Error;
use crate::model::Incident;
use crate::model::Level;
use crate::model::Nanos;
use crate::model::endpoint::EndpointRow;
use crate::pipeline::desk::Handover;
use crate::pipeline::desk::Order;

/// An alert's event id, as its line has it.
fn alert_id(alert: &Alert) -> String {
    emit::id::alert_id(&alert.rule.id, &alert.session_id, &alert.subject, alert.time)
}

/// One worker's queue and what has come through it.
struct Feed {
    incoming: Receiver<Handover>,
    empties: Sender<Handover>,
    waiting: VecDeque<Handover>,
    /// Next item of the first waiting handover.
    next: usize,
    /// Nothing earlier will come from this worker.
    until: Nanos,
}

/// A place session lines go to.
pub(super) type LineSink<'s> = &'s mut dyn FnMut(&[u8]) -> Result<(), Error>;

/// The analyst.
pub(super) struct Analyst {
    feeds: Vec<Feed>,
    endpoints: Endpoints,
    incidents: Incidents,
    alerts: Vec<Arc<Alert>>,
    counters: Counters,
    alerts_cap: usize,
    min_level: Level,
}

/// What the analyst leaves behind.
pub(super) struct Findings {
    pub(super) endpoints: Vec<EndpointRow>,
    pub(super) alerts: Vec<Arc<Alert>>,
    pub(super) incidents: Vec<Incident>,
    pub(super) counters: Counters,
}

impl Analyst {
    /// An analyst over the workers' queues.
    pub(super) fn new(queues: Vec<(Receiver<Handover>, Sender<Handover>)>, plan: &Plan) -> Analyst {
        let feed = |(incoming, empties)| Feed {
            incoming,
            empties,
            waiting: VecDeque::new(),
            next: 0,
            until: Nanos::ZERO,
        };
        Analyst {
            feeds: queues.into_iter().map(feed).collect(),
            endpoints: Endpoints::new(plan.caps.endpoints),
            incidents: Incidents::new(IncidentConfig::new(alert_id)),
            alerts: Vec::new(),
            counters: Counters::default(),
            alerts_cap: plan.caps.alerts,
            min_level: plan.min_level,
        }
    }

    /// What was found, in output order.
    pub(super) fn finish(mut self) -> Findings {
        self.endpoints.count(&mut self.counters);
        self.counters.add(Counter::SubjectsDropped, self.incidents.subjects_dropped());
        self.counters.add(Counter::IncidentsDropped, self.incidents.incidents_dropped());
        let mut incidents = self.incidents.finish();
        incidents.retain(|incident| incident.level >= self.min_level);
        Findings {
            endpoints: self.endpoints.finish(),
            alerts: self.alerts,
            incidents,
            counters: self.counters,
        }
    }

    /// Works until every worker is done. The first write error ends writing, not the run: the
    /// queues are still emptied so that nobody waits for ever.
    pub(super) fn run(&mut self, sink: LineSink<'_>) -> Result<(), Error> {
        let mut result = Ok(());
        while self.receive() {
            while let Some(feed) = self.earliest() {
                let written = self.take(feed, sink, result.is_ok());
                result = result.and(written);
            }
        }
        result
    }

    /// Waits for the worker that is furthest behind. False when all are done.
    fn receive(&mut self) -> bool {
        let behind = self.feeds.iter_mut().min_by_key(|feed| feed.until);
        let Some(feed) = behind.filter(|feed| feed.until < Nanos(u64::MAX)) else { return false };
        match feed.incoming.recv() {
            Some(handover) => {
                feed.until = handover.until;
                feed.waiting.push_back(handover);
            }
            None => feed.until = Nanos(u64::MAX),
        }
        true
    }

    /// The feed whose next item is the earliest of all, if no feed can still bring an earlier one.
    fn earliest(&mut self) -> Option<usize> {
        let safe = self.feeds.iter().map(|feed| feed.until).min()?;
        let mut best = None;
        for (index, feed) in self.feeds.iter_mut().enumerate() {
            feed.drop_used_up();
            let Some((order, _)) = feed.head() else { continue };
            if order.0 < safe && best.is_none_or(|(earliest, _)| order < earliest) {
                best = Some((order, index));
            }
        }
        best.map(|(_, index)| index)
    }

    fn take(&mut self, feed: usize, sink: LineSink<'_>, writing: bool) -> Result<(), Error> {
        let Some(feed) = self.feeds.get_mut(feed) else { return Ok(()) };
        if feed.next.is_multiple_of(LOOK_AHEAD) {
            self.endpoints.look_ahead(feed.ahead());
        }
        let Some(handover) = feed.waiting.front_mut() else { return Ok(()) };
        let Some((_, at)) = handover.order.get(feed.next).copied() else { return Ok(()) };
        let Some(item) = handover.items.get_mut(at as usize) else { return Ok(()) };
        feed.next += 1;
        self.endpoints.observe(&item.endpoint);
        for alert in item.alerts.drain(..).map(Arc::new) {
            self.incidents.push(&alert);
            if alert.level < self.min_level {
                continue;
            }
            self.counters.bump(Counter::Alerts);
            if self.alerts.len() < self.alerts_cap {
                self.alerts.push(alert);
            } else {
                self.counters.bump(Counter::AlertsDropped);
            }
        }
        let (from, to) = item.line;
        match handover.lines.get(from as usize..to as usize) {
            Some(line) if writing && !line.is_empty() => sink(line),
            _ => Ok(()),
        }
    }
}

impl Feed {
    fn head(&self) -> Option<(Order, u32)> {
        self.waiting.front()?.order.get(self.next).copied()
    }

    /// What endpoints will be asked to observe next.
    fn ahead(&self) -> impl Iterator<Item = &EndpointSummary> {
        let handover = self.waiting.front();
        let order = handover.and_then(|handover| handover.order.get(self.next..));
        let ahead = order.unwrap_or_default().iter().take(LOOK_AHEAD);
        ahead.filter_map(move |(_, at)| Some(&handover?.items.get(*at as usize)?.endpoint))
    }

    /// Gives finished handovers back to their worker, emptied.
    fn drop_used_up(&mut self) {
        while self.waiting.front().is_some_and(|handover| self.next >= handover.order.len()) {
            if let Some(mut handover) = self.waiting.pop_front() {
                handover.order.clear();
                handover.items.clear();
                handover.lines.clear();
                drop(self.empties.try_send(handover));
            }
            self.next = 0;
        }
    }
}
