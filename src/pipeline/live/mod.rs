//! A run on interfaces: the same loops as for files, and what only a run without an end needs.
//!
//! Owns: how the parts of a live run are assembled. In: a [`LiveRun`]. Out: files that are finished
//! during the run, and an [`Outcome`] at its end.
//! Never: drops a packet itself: if a thread is slow the ring fills, and the kernel counts.

mod capture_loop;
mod confine;
mod files;
mod messages;
mod place;
mod reload;
mod request;
mod set;
mod signals;
mod space;
mod terminal;
mod view;
mod watchdog;

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::capture::live::{Backend, LiveOptions};
use crate::capture::{BlockPool, LiveSource, interfaces};
use crate::config::live::LivePlan;
use crate::model::{Counter, Error, Format, Held};
use crate::pipeline::delivery::Delivery;
use crate::pipeline::heartbeat::{Heartbeat, SpanFacts};
use crate::pipeline::live::capture_loop::Listener;
use crate::pipeline::live::messages::Messages;
use crate::pipeline::live::signals::Signals;
use crate::pipeline::live::view::{View, Words};
use crate::pipeline::live::watchdog::Life;
use crate::pipeline::monitor::{Monitor, Telling};
use crate::pipeline::outputs::Ecs;
use crate::pipeline::reader::Reader;
use crate::pipeline::snapshot::{Current, lock};
use crate::pipeline::state::{self, Opened, State};
use crate::pipeline::stats::{Stats, WorkerHandle, wall_clock};
use crate::pipeline::{Outcome, Work, assemble, prepared, warnings};
use crate::report::summary::Summary;
use crate::sinks::{Outlets, SpanEnd};

pub use crate::capture::interfaces::Interface;
pub use crate::pipeline::live::request::{LiveRun, Replan};
pub use crate::sinks::Tell;

/// Bytes of a buffer for frames from libpcap, and how many idle ones are kept.
const POOL: (usize, usize) = (1 << 20, 16);

/// Slots before those of the workers: the reader's and the correlator's.
const PLACES: usize = 2;

/// The interfaces that can be captured on.
pub fn interfaces() -> Result<Vec<Interface>, Error> {
    interfaces::list()
}

/// Runs until a signal or the plan's duration ends it.
pub fn run(run: &LiveRun) -> Result<Outcome, Vec<Error>> {
    if run.live.plan.view.is_none() {
        return go(run, None);
    }
    let (words, tell) = Words::new(&run.tell);
    let told = LiveRun { live: run.live.clone(), replan: Arc::clone(&run.replan), tell };
    let outcome = go(&told, Some(&words));
    words.repeat();
    outcome
}

fn go(run: &LiveRun, words: Option<&Arc<Words>>) -> Result<Outcome, Vec<Error>> {
    let live = &run.live;
    let prepared = prepared(&live.plan)?;
    let pool = BlockPool::new(POOL.0, POOL.1);
    let source = LiveSource::open(&live.interfaces, &options(live), &pool)?;
    let state = State::of(&live.plan).map_err(|e| vec![e])?;
    let mut delivery = Delivery::start(&live.plan, live.user.as_deref()).map_err(|e| vec![e])?;
    let spools = delivery.dirs().collect();
    let monitor = Monitor::start(live, &run.tell).map_err(|e| vec![e])?;
    let view = words.map(|words| View::start(live, words)).transpose();
    let mut view = view.map_err(|e| vec![e])?;
    let life = confined(run, source.sockets(), spools).map_err(|e| vec![e])?;
    // Threads start only here, so that they are confined as well.
    let messages = Messages::start(&run.tell);
    let messages = messages.map_err(|e| vec![Error::new("messages", e.to_string())])?;
    let run = &LiveRun { tell: messages.tell(), ..run.clone() };
    let learned = state.as_ref().map(|of| learned(run, of));
    let signals = Signals::install().map_err(|e| vec![Error::new("signals", e.to_string())])?;
    let board = Arc::new(Stats::new(PLACES + live.plan.workers, live.plan.metrics.is_some()));
    let reader = Reader::live(source, &prepared);
    let origin = reader.origin(&live.plan);
    let (dispatcher, workers, correlator) = assemble(&live.plan, &prepared, &origin, None);
    let of_question = warnings::of_question(&live.plan, &prepared);
    let current = Arc::new(Current::new(live.plan.clone(), prepared));
    let workers = (PLACES..).zip(workers);
    let post = |at| WorkerHandle::new(Arc::clone(&board), at, Arc::clone(&current));
    let workers = workers.map(|(at, worker)| worker.with_post(Some(post(at)))).collect();
    let second = wall_clock().as_secs();
    let names = live.interfaces.iter().map(PathBuf::from).collect();
    let heartbeat = Heartbeat::new(post(1), Arc::clone(&run.tell), names);
    let correlator = correlator.with_heartbeat(heartbeat);
    let correlator = correlator.with_state(state).map_err(|e| vec![e])?;
    let format: Arc<dyn Format> = Arc::new(Ecs(Arc::clone(&origin)));
    let shown = Arc::default();
    let watched = delivery.watched();
    let mut sinks = delivery.sinks(&format, &run.tell);
    if let Some(view) = &mut view {
        let ends = (&shown, &signals.stop);
        sinks.push(view.sink(live, &format, ends).map_err(|e| vec![e])?);
    }
    let opened = files::open(live, &format, (&run.tell, &shown), (second, sinks));
    let mut outlets = opened.map_err(|e| vec![e])?;
    outlets.add_counting(messages.counting());
    outlets.remarks().iter().for_each(|text| (run.tell)(text));
    of_question.iter().for_each(|warning| (run.tell)(&format!("warning: {}", warning.text)));
    (run.tell)(&format!("listening on {}", live.interfaces.join(", ")));
    learned.iter().for_each(|text| (run.tell)(&format!("baselines: {text}")));
    let listener = Listener::new(run, signals, (post(0), life.clone()));
    let telling = monitor
        .map(|monitor| monitor.tell(Arc::clone(&board), Arc::clone(&current), watched, &run.tell));
    let work = Work { workers, correlator, origin, outlets: &mut outlets };
    // Signs of life go on until this function returns.
    let mut _ending = None;
    let mut outcome = work.go(|| {
        let read = listener.run(reader, dispatcher);
        telling.iter().for_each(Telling::stops);
        _ending = Some(life.ends(&run.tell));
        read
    })?;
    // Those of sessions that the end has ended.
    let last_words = board.news(outcome.sessions.feeds().one_way());
    last_words.iter().for_each(|text| (run.tell)(text));
    let last = outcome.span.map(|(_, last)| last);
    let snapshot = current.get();
    outcome.warnings = warnings::of(&snapshot.plan, &snapshot.prepared, &outcome.answer());
    outcome.old_lists = snapshot.prepared.old_lists(last);
    end(run, &mut outcome, &mut outlets)?;
    outcome.shown = std::mem::take(&mut lock::<Summary>(&shown).rules);
    outcome.save_state()?;
    drop(outlets);
    let delivered = delivery.finish().map_err(|e| vec![e]);
    telling.into_iter().for_each(Telling::finish);
    delivered.map(|()| outcome)
}

/// Drops every privilege that the rest of the run does not need.
fn confined(run: &LiveRun, sockets: Vec<RawFd>, spools: Vec<PathBuf>) -> Result<Life, Error> {
    let life = Life::open(&run.live)?;
    confine::confine(run, (sockets, life.words()), spools)?;
    Ok(life)
}

/// What a stored state has learned, in words; says what a killed run has cost it.
fn learned(run: &LiveRun, state: &Opened) -> String {
    let cut = state.stored.cut;
    if cut > 0 {
        (run.tell)(&format!("state: {cut} bytes that a killed run left half written are cut off"));
    }
    state::sentence(&state.state.baselines.totals())
}

/// The run is over: writes a last health line and everything left, and renames all files.
fn end(run: &LiveRun, outcome: &mut Outcome, outlets: &mut Outlets) -> Result<(), Vec<Error>> {
    let Some(mut heartbeat) = outcome.live.take() else { return Ok(()) };
    let until = outcome.span.map_or(heartbeat.at, |(_, last)| last.max(heartbeat.at));
    let health = heartbeat.health(until, outcome.counters.clone());
    let said = outlets.push(&Held::Health(Arc::new(health))).and_then(|()| outlets.drain());
    outlets.count(&mut outcome.counters);
    let span = SpanFacts {
        until,
        endpoints: &outcome.endpoints,
        learned: outcome.learned.as_ref(),
        copies: outcome.copies.as_ref(),
        claims: outcome.sessions.claims(),
        one_way_feeds: outcome.sessions.feeds().one_way().map(|feed| json!(feed)).collect(),
    };
    let ended = outlets.end_span(&SpanEnd {
        until,
        is_last: true,
        endpoints: &*outcome.endpoints,
        counted: &outcome.counters,
        report: &|set| heartbeat.report(set, &span),
    });
    outlets.count(&mut outcome.counters);
    let lost = outcome.counters.get(Counter::LinesLost);
    if lost > 0 {
        (run.tell)(&format!("lines of results that could not be written: {lost}"));
    }
    said.map_err(|e| vec![e]).and(ended)
}

fn options(live: &LivePlan) -> LiveOptions {
    LiveOptions {
        backend: if live.by_pcap { Backend::Pcap } else { Backend::Ring },
        snaplen: live.snaplen,
        ring_bytes: live.ring_bytes,
        promiscuous: live.promiscuous,
        hardware_stamps: live.hardware_stamps,
        fanout: live.fanout,
        filter: live.plan.filter.clone(),
    }
}
