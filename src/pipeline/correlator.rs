//! The correlator loop: merge the workers' sessions by time, aggregate endpoints, correlate, write.
//!
//! Owns: the merge order, the seconds of a run. Its results are in `findings`.
//! In: batches. Out: events, pushed to the outputs: session lines at once; alerts and incidents
//! each second of a live run, else at its end.
//! Never: sees a packet; its result does not depend on the number of workers.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::Plan;
use crate::dispatch::queue::{Receiver, Sender};
use crate::emit::Origin;
use crate::endpoints::{EndpointSummary, LOOK_AHEAD};
use crate::model::beats::Beat;
use crate::model::event::SessionLine;
use crate::model::{Counter, Error, Held, Nanos};
use crate::pipeline::findings::{Findings, Found};
use crate::pipeline::gauges;
use crate::pipeline::heartbeat::{Heartbeat, SpanFacts};
use crate::pipeline::prepare::Prepared;
use crate::pipeline::record_batch::{ItemKind, Order, RecordBatch, THE_END, Until};
use crate::pipeline::scans::{Scans, Sum};
use crate::pipeline::state::Opened;
use crate::sinks::{Outlets, Round, SpanEnd, Wish};

/// One worker's queue and the batches from it.
struct Feed {
    incoming: Receiver<RecordBatch>,
    empties: Sender<RecordBatch>,
    waiting: VecDeque<RecordBatch>,
    /// Next item of the first waiting batch.
    next: usize,
    /// Nothing earlier will come from this worker.
    until: Until,
}

/// The correlator.
pub(super) struct Correlator {
    feeds: Vec<Feed>,
    found: Found,
    scans: Scans,
    /// Messages of seconds that not all workers have passed.
    beats: Vec<Beat>,
    /// The second before which they were compared.
    settled: u32,
    /// The latest time of a session that others confirm.
    confirmed: Nanos,
    /// Only in a live run.
    live: Option<Heartbeat>,
}

/// The results at the end of a run.
pub(super) struct Finished {
    pub(super) findings: Findings,
    pub(super) state: Option<Opened>,
    pub(super) live: Option<Heartbeat>,
}

impl Correlator {
    /// Gives it the baselines and the ledger of earlier runs; in a live run after its heartbeat.
    pub(super) fn with_state(mut self, state: Option<Opened>) -> Result<Correlator, Error> {
        if let Some(opened) = state {
            self.found.restore(opened, self.live.is_some())?;
        }
        Ok(self)
    }

    /// A correlator over the workers' queues.
    pub(super) fn new(
        queues: Vec<(Receiver<RecordBatch>, Sender<RecordBatch>)>,
        plan: &Plan,
        prepared: &Prepared,
        origin: &Arc<Origin>,
    ) -> Correlator {
        let feed = |(incoming, empties)| Feed {
            incoming,
            empties,
            waiting: VecDeque::new(),
            next: 0,
            until: Until::default(),
        };
        let found = Found::new(plan, prepared);
        let feeds = queues.into_iter().map(feed).collect();
        let scans = Scans::new(origin);
        let confirmed = Nanos::ZERO;
        Correlator { feeds, found, scans, beats: Vec::new(), settled: 0, confirmed, live: None }
    }

    /// The same, for a live run.
    #[must_use]
    pub(super) fn with_heartbeat(mut self, live: Heartbeat) -> Correlator {
        self.live = Some(live);
        self
    }

    /// Ends the last span: pushes what was not reported yet, and returns all results in output
    /// order, with the state to be saved.
    pub(super) fn finish(mut self, outlets: &mut Outlets) -> Result<Finished, Error> {
        outlets.drain()?;
        outlets.span_ends(true);
        let findings = self.found.take();
        findings.push(outlets)?;
        let Found { state, stored, ledger, endpoints, .. } = self.found;
        let people = endpoints.into_people();
        let opened = |(state, stored)| Opened { state, stored, ledger, people };
        let state = state.zip(stored).map(opened);
        Ok(Finished { findings, state, live: self.live })
    }

    /// Runs until every worker is done. The first write error ends writing, not the run: the queues
    /// are still emptied so that nobody waits for ever.
    pub(super) fn run(&mut self, outlets: &mut Outlets) -> Result<(), Error> {
        let (mut result, mut round) = (Ok(()), Nanos::ZERO);
        while self.receive() {
            // Everything that ended before this second is here.
            let ((second, ..), ..) = self.safe();
            loop {
                let next = self.earliest();
                let until = next.map_or(second, |(at, _)| at.min(second));
                self.found.judge_updated(until);
                self.settle_beats(until);
                let written = self.write_sums(until, outlets, result.is_ok());
                result = result.and(written);
                let is_later = next.is_none_or(|(at, _)| at >= second);
                if result.is_ok() && is_later && second > round && second < Nanos(u64::MAX) {
                    round = second;
                    result = self.round(second, outlets);
                }
                let Some((_, feed)) = next else { break };
                let written = self.take(feed, outlets, result.is_ok());
                result = result.and(written);
            }
        }
        result
    }

    /// A second is over, and everything before it was pushed.
    fn round(&mut self, until: Nanos, outlets: &mut Outlets) -> Result<(), Error> {
        let begun = self.live.as_ref().and_then(|live| live.handle.begin());
        let result = self.do_round(until, outlets);
        let Correlator { found, feeds, live: Some(live), .. } = self else { return result };
        if let Some(begun) = begun {
            live.spent.add(gauges::nanoseconds(begun));
        }
        live.passed(until, &mut found.hits);
        let waiting = || feeds.iter().map(|feed| feed.waiting.len());
        live.handle.show_gauges(|| {
            let queues = (waiting().collect(), outlets.queued());
            gauges::of_correlator(found, queues, &live.spent)
        });
        result
    }

    fn do_round(&mut self, until: Nanos, outlets: &mut Outlets) -> Result<(), Error> {
        let Correlator { found, live, .. } = self;
        found.endpoints.count(&mut found.counters);
        let Some(live) = live else { return Ok(()) };
        if let Some(snapshot) = live.handle.renewed() {
            found.min_level = snapshot.plan.min_level;
            found.learn_only = snapshot.plan.learn_only;
            found.renew(&snapshot.prepared);
        }
        outlets.count(&mut found.counters);
        live.handle.show(&found.counters);
        found.release(until, outlets)?;
        if let Some(health) = live.health_in_time(until) {
            outlets.push(&Held::Health(Arc::new(health)))?;
        }
        let counted = live.handle.board.sum();
        let wish = outlets.round(&Round { until, counted: &counted })?;
        found.note_reported();
        if wish == Wish::EndSpan {
            self.end_span(until, outlets)?;
        }
        self.save_in_time(until);
        Ok(())
    }

    fn save_in_time(&mut self, until: Nanos) {
        let Correlator { found, live: Some(live), .. } = self else { return };
        if let Err(error) = found.save_in_time(until) {
            (live.tell)(&format!("{error}\nwhat was learned is kept and saved the next time"));
        }
    }

    /// Ends a span of endpoints and starts another.
    fn end_span(&mut self, until: Nanos, outlets: &mut Outlets) -> Result<(), Error> {
        let Correlator { found, live: Some(live), .. } = self else { return Ok(()) };
        outlets.span_ends(false);
        let findings = found.take();
        findings.push(outlets)?;
        outlets.count(&mut found.counters);
        live.handle.show(&found.counters);
        let span = SpanFacts {
            until,
            endpoints: &findings.endpoints,
            learned: findings.learned.as_ref(),
            copies: None,
            claims: (0, 0),
            one_way_feeds: Vec::new(),
        };
        let counted = live.handle.board.sum();
        let ended = outlets.end_span(&SpanEnd {
            until,
            is_last: false,
            endpoints: &*findings.endpoints,
            counted: &counted,
            report: &|set| live.report(set, &span),
        });
        for error in ended.err().into_iter().flatten() {
            (live.tell)(&error.to_string());
        }
        found.note_reported();
        Ok(())
    }

    /// Writes the sums of seconds before `until`. Their sessions count like their line.
    fn write_sums(
        &mut self,
        until: Nanos,
        outlets: &mut Outlets,
        writing: bool,
    ) -> Result<(), Error> {
        let (counters, mut result) = (&mut self.found.counters, Ok(()));
        for sum in self.scans.take_before(until) {
            let writing = writing && result.is_ok();
            let Sum { line, sessions } = sum;
            let written = if writing { outlets.session(&line) } else { Ok(false) };
            if let Ok(true) = written {
                counters.bump(Counter::SummaryLines);
                counters.add(Counter::SessionsSummed, sessions);
            } else {
                counters.add(Counter::SessionsUnsaved, sessions);
            }
            result = result.and(written.map(|_| ()));
        }
        result
    }

    /// Compares what hosts did in the seconds before one that all workers have passed.
    fn settle_beats(&mut self, until: Nanos) {
        let until = u32::try_from(until.as_secs()).unwrap_or(u32::MAX);
        if until <= self.settled {
            return;
        }
        self.settled = until;
        let mut over: Vec<Beat> = self.beats.extract_if(.., |beat| beat.second < until).collect();
        over.sort_unstable();
        for beats in over.chunk_by(|a, b| a.second == b.second) {
            let Some(first) = beats.first() else { continue };
            self.found.take_messages(first.second, beats);
        }
    }

    /// Nothing before this position will come.
    fn safe(&self) -> Until {
        self.feeds.iter().map(|feed| feed.until).min().unwrap_or_default()
    }

    /// Waits for the worker that is furthest behind. False when all are done.
    fn receive(&mut self) -> bool {
        let behind = self.feeds.iter_mut().min_by_key(|feed| feed.until);
        let Some(feed) = behind.filter(|feed| feed.until < THE_END) else { return false };
        match feed.incoming.recv() {
            Some(mut batch) => {
                feed.until = batch.until;
                self.beats.append(&mut batch.beats);
                feed.waiting.push_back(batch);
            }
            None => feed.until = THE_END,
        }
        true
    }

    /// The feed whose next item is the earliest of all, if no feed can still bring an earlier one;
    /// and the second in which it ended.
    fn earliest(&mut self) -> Option<(Nanos, usize)> {
        let safe = self.safe();
        let mut best = None;
        for (index, feed) in self.feeds.iter_mut().enumerate() {
            feed.drop_used_up();
            let Some((order, _)) = feed.head() else { continue };
            if order.0 < safe && best.is_none_or(|(earliest, _)| order < earliest) {
                best = Some((order, index));
            }
        }
        best.map(|((((second, ..), ..), ..), index)| (second, index))
    }

    fn take(&mut self, feed: usize, outlets: &mut Outlets, writing: bool) -> Result<(), Error> {
        let Some(feed) = self.feeds.get_mut(feed) else { return Ok(()) };
        if feed.next.is_multiple_of(LOOK_AHEAD) {
            self.found.endpoints.look_ahead(feed.ahead());
        }
        let Some(batch) = feed.waiting.front_mut() else { return Ok(()) };
        let Some((order, at)) = batch.order.get(feed.next).copied() else { return Ok(()) };
        let (((second, ..), ..), ..) = order;
        // Read where it lies: an item has a kilobyte.
        let Some(Some(item)) = batch.items.get_mut(at as usize) else { return Ok(()) };
        feed.next += 1;
        let (time, is_update) = match &mut item.kind {
            ItemKind::Ended(endpoint) => {
                date(endpoint, &mut self.confirmed);
                self.found.endpoints.close(&order.1);
                self.found.endpoints.observe(endpoint);
                if let Some(state) = &mut self.found.state {
                    state.learn(endpoint);
                }
                (endpoint.last, false)
            }
            ItemKind::Update(endpoint) => {
                date(endpoint, &mut self.confirmed);
                let last = endpoint.last;
                self.found.update(second, order.1, endpoint.clone());
                (last, true)
            }
        };
        item.alerts.drain(..).for_each(|alert| self.found.alert(alert));
        item.seen.iter().for_each(|seen| self.found.correlate(seen));
        self.found.judge_ripe();
        if let Some(one) = &item.summed {
            // Counted with the line that represents it.
            self.scans.add(second, one);
            return Ok(());
        }
        let (from, to) = item.line;
        let line = batch.lines.get(from as usize..to as usize).unwrap_or_default();
        let written = match line {
            [] => None,
            line if writing => {
                Some(outlets.session(&SessionLine { id: order.1, time, line, is_update }))
            }
            _ => Some(Ok(false)),
        };
        let fate = match (is_update, &written) {
            (true, None) => return Ok(()),
            (true, Some(Ok(true))) => Counter::UpdatesWritten,
            (true, Some(_)) => Counter::UpdatesUnsaved,
            (false, None) => Counter::SessionsNotAsked,
            (false, Some(Ok(true))) => Counter::SessionsWritten,
            (false, Some(_)) => Counter::SessionsUnsaved,
        };
        self.found.counters.bump(fate);
        written.map_or(Ok(()), |written| written.map(|_| ()))
    }
}

/// How far a time that nothing confirms may be from those that are: sessions are few at the end of
/// a capture of many days, and each of them is what confirms the one before it.
const APART: Nanos = Nanos::from_secs(31 * 86_400);

/// A session whose time nothing confirms, and that is far from all others, counts among the
/// endpoints at the latest time that was confirmed: a false time would end windows of days, and
/// raise alerts once more.
fn date(session: &mut EndpointSummary, confirmed: &mut Nanos) {
    if !session.doubtful {
        *confirmed = (*confirmed).max(session.last);
        return;
    }
    let apart = session.last.since(*confirmed).max(confirmed.since(session.first));
    if *confirmed > Nanos::ZERO && apart > APART {
        (session.first, session.last) = (*confirmed, *confirmed);
    }
}

impl Feed {
    fn head(&self) -> Option<(Order, u32)> {
        self.waiting.front()?.order.get(self.next).copied()
    }

    /// The sessions that endpoints will observe next.
    fn ahead(&self) -> impl Iterator<Item = &EndpointSummary> {
        let batch = self.waiting.front();
        let order = batch.and_then(|batch| batch.order.get(self.next..));
        let ahead = order.unwrap_or_default().iter().take(LOOK_AHEAD);
        ahead.filter_map(move |(_, at)| match &batch?.items.get(*at as usize)?.as_ref()?.kind {
            ItemKind::Ended(endpoint) => Some(endpoint),
            ItemKind::Update(_) => None,
        })
    }

    /// Returns finished batches to their worker, emptied.
    fn drop_used_up(&mut self) {
        while self.waiting.front().is_some_and(|batch| self.next >= batch.order.len()) {
            if let Some(mut batch) = self.waiting.pop_front() {
                batch.clear();
                drop(self.empties.try_send(batch));
            }
            self.next = 0;
        }
    }
}

#[cfg(test)]
#[path = "correlator_tests.rs"]
mod tests;
