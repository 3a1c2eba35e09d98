//! The page of metrics.
//!
//! Owns: the names of metrics, how long events have waited in spools. In: what threads publish.
//! Out: text. Never: a counter by name: all of the table are there.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::Value;

use crate::emit::run::Loss;
use crate::metrics::{Kind, Page, Spread, State};
use crate::model::{Counters, Nanos};
use crate::pipeline::delivery::Watched;
use crate::pipeline::gauges::{Gauges, LANE_BATCHES, TABLES, Table, limit};
use crate::pipeline::snapshot::{Current, Snapshot, lock};
use crate::pipeline::stats::{Stats, wall_clock};
use crate::sinks::spool::Waiting;

/// Moments that are remembered of a spool: of more, every second one is forgotten.
const MOMENTS_MAX: usize = 1_024;

/// What makes pages.
pub(super) struct Pages {
    spools: Vec<WatchedSpool>,
    begun: Nanos,
}

/// A spool, and when it was written how far.
struct WatchedSpool {
    watched: Watched,
    moments: VecDeque<(u64, Instant)>,
}

impl Pages {
    pub(super) fn new(watched: Vec<Watched>) -> Pages {
        let spool = |watched| WatchedSpool { watched, moments: VecDeque::new() };
        Pages { spools: watched.into_iter().map(spool).collect(), begun: wall_clock() }
    }

    /// The page now.
    pub(super) fn render(&mut self, board: &Stats, current: &Current, state: &State) -> String {
        let mut page = Page::default();
        let snapshot = current.get();
        self.of_run(&mut page, board, &snapshot, state);
        let counted = board.sum();
        losses(&mut page, &counted);
        counters(&mut page, &counted);
        interfaces(&mut page, &board.interfaces());
        let gauges = board.gauges();
        tables(&mut page, &gauges, &snapshot);
        queues(&mut page, &gauges);
        times(&mut page, &gauges);
        hits(&mut page, board);
        ages(&mut page, &snapshot);
        self.sinks(&mut page);
        page.finish()
    }

    fn of_run(&self, page: &mut Page, board: &Stats, snapshot: &Snapshot, state: &State) {
        let plan = &snapshot.plan;
        page.family("longhaul_info", Kind::Gauge, "The program and the sensor's name.");
        let version = env!("CARGO_PKG_VERSION");
        page.sample(&[("version", version), ("sensor", &plan.sensor)], 1);
        let help = "Whether it captures and results go on, as /readyz says.";
        page.single("longhaul_ready", Kind::Gauge, help, u8::from(*state == State::Ready));
        let help = "When the run began, by the system's clock, in seconds since 1970.";
        let seconds = |at: Nanos| at.as_micros_f64() / 1e6;
        page.single("longhaul_start_time_seconds", Kind::Gauge, help, seconds(self.begun));
        let help = "The last second that is over, by the clock of the run, which is that of \
                    packets, in seconds since 1970.";
        let round = board.round.load(Ordering::Relaxed);
        page.single("longhaul_clock_seconds", Kind::Gauge, help, round);
        let help = "Memory that tables and buffers share, as --memory says.";
        page.single("longhaul_memory_budget_bytes", Kind::Gauge, help, plan.memory);
    }

    fn sinks(&mut self, page: &mut Page) {
        if self.spools.is_empty() {
            return;
        }
        let now = Instant::now();
        let seen: Vec<_> = self.spools.iter_mut().filter_map(|spool| spool.look(now)).collect();
        let help = "Events in the spool of a sink that its receiver has not confirmed.";
        page.family("longhaul_sink_waiting_events", Kind::Gauge, help);
        seen.iter().for_each(|(name, _, all)| page.sample(&[("sink", name)], all.lines));
        let help = "How long the oldest of them has waited since this start, by the system's \
                    clock: what an earlier run left counts from this start.";
        page.family("longhaul_sink_lag_seconds", Kind::Gauge, help);
        seen.iter().for_each(|(name, lag, _)| page.sample(&[("sink", name)], lag));
        let help = "Bytes of the spool of a sink.";
        page.family("longhaul_sink_spool_bytes", Kind::Gauge, help);
        seen.iter().for_each(|(name, _, all)| page.sample(&[("sink", name)], all.bytes));
        let help = "Bytes of events that the receiver of a sink has refused: refused.ndjson beside \
                    its spool has them.";
        page.family("longhaul_sink_refused_bytes", Kind::Gauge, help);
        seen.iter().for_each(|(name, _, all)| page.sample(&[("sink", name)], all.refused));
    }
}

impl WatchedSpool {
    /// Name, the seconds that the oldest has waited, and what waits; nothing if it cannot be read.
    fn look(&mut self, now: Instant) -> Option<(&str, f64, Waiting)> {
        let (name, dir, ends) = &self.watched;
        let waiting = ends.waiting(dir).ok()?;
        if self.moments.back().is_none_or(|(written, _)| *written < waiting.written) {
            self.moments.push_back((waiting.written, now));
        }
        while self.moments.front().is_some_and(|(written, _)| *written <= waiting.confirmed) {
            self.moments.pop_front();
        }
        if self.moments.len() > MOMENTS_MAX {
            let mut goes = true;
            // Not the first one: it says how long the oldest has waited.
            self.moments.retain(|_| {
                goes = !goes;
                !goes
            });
        }
        let since = self.moments.front().map(|(_, since)| now.saturating_duration_since(*since));
        let lag = since.filter(|_| waiting.lines > 0).unwrap_or_default();
        Some((name, lag.as_secs_f64(), waiting))
    }
}

fn losses(page: &mut Page, counted: &Counters) {
    let help = "What is missing from the results, by place, as `loss` of run.json has it.";
    page.family("longhaul_loss_total", Kind::Counter, help);
    let loss = Loss::of(counted);
    loss.places().iter().for_each(|(place, count)| page.sample(&[("place", place)], count));
    let help = "The share of all TCP bytes that the capture lost, estimated.";
    page.single("longhaul_capture_loss_share", Kind::Gauge, help, loss.capture_share());
}

fn counters(page: &mut Page, counted: &Counters) {
    for (counter, value) in counted.iter() {
        let name = format!("longhaul_{}_{}_total", counter.group(), counter.name());
        page.single(&name, Kind::Counter, counter.sentence(), value);
    }
    let help = "Messages of a protocol that could not be read, by kind of fault.";
    page.family("longhaul_parse_errors_total", Kind::Counter, help);
    for (protocol, kinds) in counted.parse_errors().iter() {
        for (kind, count) in kinds {
            page.sample(&[("protocol", protocol), ("kind", kind)], count);
        }
    }
}

fn interfaces(page: &mut Page, interfaces: &Value) {
    for (name, key, help) in [
        ("longhaul_interface_packets_total", "packets", "Frames of an interface."),
        ("longhaul_interface_ring_drops_total", "ring_drops", "Frames that its ring lost."),
        ("longhaul_interface_nic_drops_total", "nic_drops", "Frames that its card lost."),
        ("longhaul_interface_downs_total", "downs", "Times that it was down or away."),
    ] {
        page.family(name, Kind::Counter, help);
        for one in interfaces.as_array().into_iter().flatten() {
            let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default();
            let count = one.get(key).and_then(Value::as_u64).unwrap_or_default();
            page.sample(&[("interface", text("interface"))], count);
        }
    }
}

fn tables(page: &mut Page, gauges: &[Gauges], snapshot: &Snapshot) {
    let used = |table: Table| -> u64 {
        gauges.iter().filter_map(|of| of.tables.get(table as usize)).sum()
    };
    let most = |table: Table| {
        let sessions: usize = gauges.iter().map(|of| of.sessions_cap).sum();
        limit(table, &snapshot.plan).unwrap_or(sessions as u64)
    };
    for (unit, in_bytes) in [("entries", false), ("bytes", true)] {
        let of_unit = || TABLES.iter().filter(|(.., bytes)| *bytes == in_bytes);
        let help = "What a table holds.";
        page.family(&format!("longhaul_table_{unit}"), Kind::Gauge, help);
        of_unit().for_each(|(table, name, _)| page.sample(&[("table", name)], used(*table)));
        let help = "What a table may hold.";
        page.family(&format!("longhaul_table_limit_{unit}"), Kind::Gauge, help);
        of_unit().for_each(|(table, name, _)| page.sample(&[("table", name)], most(*table)));
    }
}

/// The slots of the reader and the correlator; those of workers follow.
const READER: usize = 0;
const CORRELATOR: usize = 1;

fn queues(page: &mut Page, gauges: &[Gauges]) {
    let lanes = |at: usize| gauges.get(at).into_iter().flat_map(|of| of.lanes.iter().enumerate());
    let help = "Batches of packets queued for a worker.";
    page.family("longhaul_worker_queue_batches", Kind::Gauge, help);
    lanes(READER).for_each(|(at, depth)| page.sample(&[("worker", &at.to_string())], depth));
    let help = "Batches of packets that may be queued for a worker.";
    page.single("longhaul_worker_queue_limit_batches", Kind::Gauge, help, LANE_BATCHES);
    let help = "Batches of sessions of a worker that wait for those of others.";
    page.family("longhaul_merge_queue_batches", Kind::Gauge, help);
    lanes(CORRELATOR).for_each(|(at, depth)| page.sample(&[("worker", &at.to_string())], depth));
    let help = "Alerts, incidents and lines of health queued for all outputs.";
    let events = gauges.get(CORRELATOR).map_or(0, |of| of.events);
    page.single("longhaul_output_queue_events", Kind::Gauge, help, events);
}

fn times(page: &mut Page, gauges: &[Gauges]) {
    let mut workers = Spread::default();
    gauges.iter().skip(CORRELATOR + 1).for_each(|of| workers.merge(&of.spent));
    let of = |at: usize| gauges.get(at).map(|of| &of.spent);
    let stages = of(READER).map(|spent| ("read", spent)).into_iter();
    let stages = stages.chain([("work", &workers)]);
    let stages = stages.chain(of(CORRELATOR).map(|spent| ("correlate", spent)));
    let help = "How long a stage takes: read, for a block of frames, with waiting for workers; \
                work, for a batch of up to 64 packets; correlate, for what is done once a second.";
    page.spreads("longhaul_stage_seconds", help, "stage", stages);
}

fn hits(page: &mut Page, board: &Stats) {
    let help = "Alerts that were reported, by rule and level.";
    page.family("longhaul_rule_alerts_total", Kind::Counter, help);
    for (rule, level, count) in lock(&board.hits).iter() {
        page.sample(&[("rule", rule), ("level", level)], count);
    }
}

fn ages(page: &mut Page, snapshot: &Snapshot) {
    let now = wall_clock();
    let age = |built: Nanos| now.since(built).as_secs();
    let enrich = &snapshot.prepared.enrich;
    let help = "Age of a list by its date and the system's clock.";
    page.family("longhaul_list_age_seconds", Kind::Gauge, help);
    for list in enrich.lists.infos().iter().filter(|list| list.built_at > Nanos::ZERO) {
        page.sample(&[("list", &list.name)], age(list.built_at));
    }
    let help = "Age of a geo database by its build and the system's clock.";
    page.family("longhaul_geo_age_seconds", Kind::Gauge, help);
    for database in enrich.geo.databases() {
        page.sample(
            &[("database", &database.name), ("file", &database.file)],
            age(database.built_at),
        );
    }
}
