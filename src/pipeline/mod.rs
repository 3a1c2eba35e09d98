//! The composition root: the only place that names every stage.
//!
//! Owns: threads and the queues between them. In: a [`Plan`]. Out: an [`Outcome`], and the files of
//! the plan.
//! Never: protocol knowledge, or a result that depends on the number of workers.
//!
//! One reader (this thread), one or more workers, one correlator:
//! `reader ══ batches ══► worker ══ batches ══► correlator ──► files`.

mod clock;
mod correlator;
pub(crate) mod decap_config;
pub mod delivery;
mod findings;
mod follow;
pub mod forwarder;
mod gauges;
mod heartbeat;
mod hits;
pub mod in_sets;
pub mod intel;
pub mod interrupts;
mod ledger_bounds;
pub mod live;
pub mod monitor;
mod outgoing;
mod outputs;
mod own_sessions;
pub(crate) mod prepare;
mod progress;
pub mod queries;
mod reader;
mod reader_bindings;
mod record_batch;
mod record_worker;
mod scans;
mod set_notes;
pub mod shipment;
mod snapshot;
mod source;
pub mod state;
mod stats;
pub mod stored_ledger;
pub mod stored_people;
mod taken;
mod tally;
mod tunnel_proof;
mod verdicts;
pub mod warnings;
mod worker;

use std::any::Any;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::{io, thread};

use serde_json::json;

pub use crate::capture::{FileReport, Interrupt, Verdict};
use crate::config::Plan;
use crate::decode::Decoder;
use crate::dispatch::{Dispatcher, queue};
use crate::emit::Origin;
use crate::endpoints::EndpointRows;
use crate::model::escape::escaped_lines;
use crate::model::{Alert, CopyReport, Counters, Error, Format, Incident, Nanos};
use crate::pipeline::correlator::{Correlator, Finished};
use crate::pipeline::delivery::Delivery;
use crate::pipeline::heartbeat::Heartbeat;
use crate::pipeline::outgoing::Queues;
use crate::pipeline::outputs::{Ecs, RunFacts};
pub use crate::pipeline::prepare::OldList;
use crate::pipeline::prepare::Prepared;
pub use crate::pipeline::progress::{NoProgress, Progress, RecordTap};
use crate::pipeline::reader::{Reader, ReaderReport};
use crate::pipeline::reader_bindings::ToWorkers;
use crate::pipeline::record_worker::RecordWorker;
use crate::pipeline::state::{BaselineTotals, Opened, State};
use crate::pipeline::verdicts::nothing_readable;
pub use crate::pipeline::verdicts::problems;
use crate::pipeline::warnings::{Answer, Warning};
use crate::pipeline::worker::Worker;
use crate::report::summary::{RuleLine, SummaryBuilder};
use crate::sinks::{Outlets, SetFacts, SpanEnd, Tell};

/// Handovers in flight from one worker. A watermark is a batch, and every worker gets the same
/// ones, so a worker whose queue is full is ahead of another that still has watermarks to handle:
/// nobody waits for ever.
const BATCHES: usize = 1;

/// The results of a run, beside its files.
pub struct Outcome {
    /// Totals of sessions, legs and protocols.
    pub sessions: SummaryBuilder,
    /// Every endpoint, in output order.
    pub endpoints: Arc<EndpointRows>,
    /// Every alert kept, in output order.
    pub alerts: Vec<Arc<Alert>>,
    /// Every incident, in output order.
    pub incidents: Vec<Incident>,
    /// One report per input file.
    pub files: Vec<FileReport>,
    /// Path of each input with packets, by the index in records.
    pub names: Vec<PathBuf>,
    /// The facts about the run in every line.
    pub origin: Arc<Origin>,
    /// All counters.
    pub counters: Counters,
    /// First and last packet's time.
    pub span: Option<(Nanos, Nanos)>,
    /// Duplicate statistics, if duplicates were looked for.
    pub copies: Option<CopyReport>,
    /// Lists too old for the capture's time, oldest first.
    pub old_lists: Vec<OldList>,
    /// Possible mistakes in the request.
    pub warnings: Vec<Warning>,
    /// A signal ended reading early.
    pub interrupted: bool,
    /// Notes for users about the output locations.
    pub remarks: Vec<String>,
    /// Alerts that a live run has shown already, by rule; they are not in `alerts`.
    pub shown: Vec<RuleLine>,
    /// Totals of the baselines, if a state directory keeps them.
    pub learned: Option<BaselineTotals>,
    /// That directory, until the baselines are saved.
    state: Option<Opened>,
    /// The correlator's part of a live run.
    live: Option<Heartbeat>,
}

impl Outcome {
    /// Saves baselines and ledger: after the results, so that a run that left none has taught
    /// nothing.
    fn save_state(&mut self) -> Result<(), Vec<Error>> {
        let Some(opened) = self.state.take() else { return Ok(()) };
        let Opened { state, mut stored, ledger, people } = opened;
        let saved = state.save().and_then(|()| state.save_people(&people));
        saved.and_then(|()| stored.save(&ledger)).map_err(|e| vec![e])
    }

    fn answer(&self) -> Answer<'_> {
        Answer {
            interrupted: self.interrupted,
            counted: &self.counters,
            endpoints: &self.endpoints,
            claims: self.sessions.claims(),
            learning: self.learned.as_ref().is_some_and(BaselineTotals::learning),
        }
    }

    /// Finishes the outputs of a run over files.
    fn finish(
        &mut self,
        plan: &Plan,
        prepared: &Prepared,
        outlets: &mut Outlets,
    ) -> Result<(), Vec<Error>> {
        let report = |set: SetFacts| {
            let facts = RunFacts {
                files: &self.files,
                names: &self.names,
                old_lists: &self.old_lists,
                one_way_feeds: self.sessions.feeds().one_way().map(|feed| json!(feed)).collect(),
                interrupted: self.interrupted,
                warnings: &self.warnings,
                learned: self.learned.as_ref(),
                copies: self.copies.as_ref(),
                endpoints: self.endpoints.len(),
                remarks: &self.remarks,
            };
            let mut text = Vec::new();
            outputs::report(plan, prepared, &facts, set).render(&mut text)?;
            Ok(text)
        };
        outlets.end_span(&SpanEnd {
            until: self.span.map_or(Nanos::ZERO, |(_, last)| last),
            is_last: true,
            endpoints: &*self.endpoints,
            counted: &self.counters,
            report: &report,
        })
    }

    /// Whether there is any packet: an empty result would say that nothing happened.
    fn anything_readable(&self) -> bool {
        self.files.iter().any(|file| file.packets > 0)
    }
}

/// Every error that prevents a plan from running, without running it.
pub fn check(plan: &Plan) -> Vec<Error> {
    prepared(plan).err().unwrap_or_default()
}

/// Everything that a run needs; sinks are not connected to, but their files are read.
fn prepared(plan: &Plan) -> Result<Prepared, Vec<Error>> {
    let wrong = delivery::check(plan);
    match prepare::prepare(plan) {
        Ok(prepared) if wrong.is_empty() => Ok(prepared),
        Ok(_) => Err(wrong),
        Err(errors) => Err(errors.into_iter().chain(wrong).collect()),
    }
}

/// Tells the user of a run over files what sinks have to say.
fn to_user() -> Tell {
    Arc::new(|text: &str| {
        // There is no other place to report that standard error failed.
        drop(writeln!(io::stderr().lock(), "note: {}", escaped_lines(text)));
    })
}

/// Runs a plan to its end.
pub fn run(plan: &Plan, progress: &mut dyn Progress) -> Result<Outcome, Vec<Error>> {
    run_tapped(plan, progress, None)
}

/// Runs a plan to its end, or until `interrupt` stops reading.
pub fn run_until(
    plan: &Plan,
    progress: &mut dyn Progress,
    interrupt: &Interrupt,
) -> Result<Outcome, Vec<Error>> {
    run_all(plan, progress, None, interrupt)
}

/// Runs a plan to its end; `tap` sees each finished session on its worker's thread.
pub fn run_tapped(
    plan: &Plan,
    progress: &mut dyn Progress,
    tap: Option<RecordTap<'_>>,
) -> Result<Outcome, Vec<Error>> {
    run_all(plan, progress, tap, &Interrupt::default())
}

fn run_all(
    plan: &Plan,
    progress: &mut dyn Progress,
    tap: Option<RecordTap<'_>>,
    interrupt: &Interrupt,
) -> Result<Outcome, Vec<Error>> {
    let mut prepared = prepared(plan)?;
    prepared.read_options.interrupt = interrupt.clone();
    let state = State::of(plan).map_err(|e| vec![e])?;
    read(plan, &prepared, state, (progress, tap))?.readable()?.finish(plan, &prepared)
}

/// What a run has read, before any of it has its final name.
struct Unfinished {
    outcome: Outcome,
    outlets: Outlets,
    delivery: Delivery,
}

/// Reads all inputs.
fn read(
    plan: &Plan,
    prepared: &Prepared,
    state: Option<Opened>,
    (progress, tap): (&mut dyn Progress, Option<RecordTap<'_>>),
) -> Result<Unfinished, Vec<Error>> {
    let opened = outputs::open(plan).map_err(|e| vec![e])?;
    let mut delivery = Delivery::start(plan, None).map_err(|e| vec![e])?;
    let reader = Reader::new(prepared, Decoder::new(prepared.decode));
    let origin = reader.origin(plan);
    let reader = match &plan.follow {
        Some(following) => reader.following(following, prepared, &origin),
        None => reader,
    };
    let format: Arc<dyn Format> = Arc::new(Ecs(Arc::clone(&origin)));
    let mut outlets = opened.with(delivery.sinks(&format, &to_user())).outlets(&format);
    let remarks = outlets.remarks();
    let (dispatcher, workers, correlator) = assemble(plan, prepared, &origin, tap);
    let correlator = correlator.with_state(state).map_err(|e| vec![e])?;
    let work = Work { workers, correlator, origin, outlets: &mut outlets };
    let mut outcome = work.go(|| reader.run(dispatcher, progress))?;
    progress.done();
    outcome.old_lists = prepared.old_lists(outcome.span.map(|(_, last)| last));
    outcome.remarks.extend(remarks);
    // A signal is how following a directory ends; it cuts something off only if a file was open.
    outcome.interrupted = prepared.read_options.interrupt.is_requested()
        && (plan.follow.is_none() || outcome.files.iter().any(FileReport::is_interrupted));
    outcome.warnings = warnings::of(plan, prepared, &outcome.answer());
    Ok(Unfinished { outcome, outlets, delivery })
}

impl Unfinished {
    /// Errors: there is no packet in any input.
    fn readable(self) -> Result<Unfinished, Vec<Error>> {
        match self.outcome.anything_readable() {
            true => Ok(self),
            false => Err(nothing_readable(&self.outcome.files)),
        }
    }

    /// Gives the outputs their names, then saves the state, unless that was done.
    fn finish(self, plan: &Plan, prepared: &Prepared) -> Result<Outcome, Vec<Error>> {
        let Unfinished { mut outcome, mut outlets, delivery } = self;
        outcome.finish(plan, prepared, &mut outlets)?;
        outcome.save_state()?;
        drop(outlets);
        delivery.finish().map_err(|e| vec![e])?;
        Ok(outcome)
    }
}

/// The threads behind the reader.
struct Work<'t, 's> {
    workers: Vec<Worker<'t>>,
    correlator: Correlator,
    origin: Arc<Origin>,
    outlets: &'s mut Outlets,
}

impl Work<'_, '_> {
    /// Runs `read` on this thread and the others beside it, until all are done.
    fn go(self, read: impl FnOnce() -> Result<ReaderReport, Error>) -> Result<Outcome, Vec<Error>> {
        let Work { workers, mut correlator, origin, outlets } = self;
        let pushed = &mut *outlets;
        let (read, worked, written) = thread::scope(|scope| {
            let named = |name: &str| thread::Builder::new().name(name.to_owned());
            let working: Vec<_> = workers
                .into_iter()
                .map(|worker| named("worker").spawn_scoped(scope, move || worker.run()))
                .collect();
            // The correlator owns its queues: if it dies they are dropped, and nobody waits.
            let writing = named("correlator").spawn_scoped(scope, move || {
                let written = correlator.run(pushed);
                (correlator, written)
            });
            let read = read();
            let joined = |handle: io::Result<thread::ScopedJoinHandle<'_, _>>| match handle {
                Ok(handle) => handle.join(),
                Err(e) => Err(Box::new(e) as Box<dyn Any + Send>),
            };
            let worked: Vec<_> = working.into_iter().map(joined).collect();
            (read, worked, writing.map_or_else(|e| Err(Box::new(e) as _), |handle| handle.join()))
        });
        let read = read.map_err(|e| vec![e])?;
        let Ok((correlator, written)) = written else {
            return Err(vec![thread_died("correlator")]);
        };
        written.map_err(|e| vec![e])?;
        let finished = correlator.finish(outlets).map_err(|e| vec![e])?;
        let mut outcome = conclude(read, worked, finished, origin)?;
        outlets.count(&mut outcome.counters);
        Ok(outcome)
    }
}

/// Builds the loops behind the reader and the queues between them.
fn assemble<'t>(
    plan: &Plan,
    prepared: &Prepared,
    origin: &Arc<Origin>,
    tap: Option<RecordTap<'t>>,
) -> (ToWorkers, Vec<Worker<'t>>, Correlator) {
    let (dispatcher, lanes) = Dispatcher::new(plan.workers);
    let mut workers = Vec::with_capacity(plan.workers);
    let mut feeds = Vec::with_capacity(plan.workers);
    for (index, lane) in lanes.into_iter().enumerate() {
        let (out, incoming) = queue::bounded(BATCHES, 1);
        let (give_back, empties) = queue::bounded(BATCHES + 2, 1);
        feeds.push((incoming, give_back));
        let queues = Queues { out, empties };
        let lines = outputs::wants_session_lines(plan);
        let records = RecordWorker::new(prepared, origin, lines, tap, queues);
        workers.push(Worker::new(plan, index, records, lane));
    }
    (dispatcher, workers, Correlator::new(feeds, plan, prepared, origin))
}

/// Combines the results of the threads.
fn conclude(
    read: ReaderReport,
    worked: Vec<thread::Result<(Counters, SummaryBuilder)>>,
    finished: Finished,
    origin: Arc<Origin>,
) -> Result<Outcome, Vec<Error>> {
    let mut counters = read.counters;
    let mut sessions = SummaryBuilder::default();
    for result in worked {
        let Ok((counted, summed)) = result else { return Err(vec![thread_died("worker")]) };
        counters.merge(&counted);
        sessions.merge(&summed);
    }
    let Finished { findings, state, live } = finished;
    counters.merge(&findings.counters);
    counters.account_for_sessions();
    Ok(Outcome {
        sessions,
        endpoints: findings.endpoints,
        alerts: findings.alerts,
        incidents: findings.incidents,
        files: read.files,
        origin,
        names: read.names,
        counters,
        span: read.span,
        old_lists: Vec::new(),
        copies: read.copies,
        warnings: Vec::new(),
        interrupted: false,
        remarks: read.remarks,
        shown: Vec::new(),
        learned: findings.learned,
        state,
        live,
    })
}

fn thread_died(which: &str) -> Error {
    Error::new("run", format!("the {which} thread ended unexpectedly"))
        .help("this is a fault of longhaul; please report it, with the capture if you can")
}
