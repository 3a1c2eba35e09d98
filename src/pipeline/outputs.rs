//! The outputs of a run: files in a directory, standard output, or none.
//!
//! Owns: which sinks a plan needs, the directory of files, the content of run.json. In: events.
//! Out: files under their final names, all at once at the end. Never: a partial file that looks
//! finished.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::capture::FileReport;
use crate::config::memory::Shares;
use crate::config::{Output, Plan, SessionLines};
use crate::emit::Origin;
use crate::emit::health::render_health;
use crate::emit::lines::{render_alert, render_endpoint, render_incident};
use crate::emit::run::{Build, Loss, RunReport, Sensor, SensorPlace, Totals};
use crate::model::event::SessionLine;
use crate::model::finding::Advice;
use crate::model::{CopyPoint, CopyReport, Counter, Error, Event, EventKind, Format, Nanos};
use crate::pipeline::delivery;
use crate::pipeline::prepare::{OldList, Prepared};
use crate::pipeline::state::{self, BaselineTotals};
use crate::pipeline::warnings::Warning;
use crate::report::duplicates::note as copies_note;
use crate::sinks::files::{OutDir, OutFile};
use crate::sinks::stream::{Stream, write_events};
use crate::sinks::{Outlets, Queue, SetFacts, Sink, SpanEnd};

/// Written by `--json`.
pub(super) const JSON_KINDS: &[EventKind] = &[EventKind::Alert, EventKind::Incident];

/// Lines of sessions that files get.
pub(super) const fn session_kinds(plan: &Plan) -> &'static [EventKind] {
    match plan.write_updates {
        true => &[EventKind::SessionUpdate, EventKind::SessionEnd],
        false => &[EventKind::SessionEnd],
    }
}

/// Whether session lines are needed.
pub(super) fn wants_session_lines(plan: &Plan) -> bool {
    delivery::takes(plan, EventKind::SessionEnd)
        || delivery::wants_update_lines(plan)
        || plan.view.is_some()
        || wants_session_files(plan)
}

fn wants_session_files(plan: &Plan) -> bool {
    match plan.sessions {
        SessionLines::Off => false,
        SessionLines::To(_) => true,
        SessionLines::WithOutput => matches!(plan.output, Output::Dir { .. }),
    }
}

/// Events as lines of ECS JSON.
pub(super) struct Ecs(pub(super) Arc<Origin>);

impl Format for Ecs {
    fn render(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        let Ecs(origin) = self;
        match event {
            Event::SessionUpdate(line) | Event::SessionEnd(line) => {
                out.extend_from_slice(line.line);
            }
            Event::Endpoint(row) => render_endpoint(row, origin, out),
            Event::Alert(alert) => {
                let (next_steps, does_not_prove) = crate::detect::incidents::of_alert(alert);
                let advice = Advice { next_steps: &next_steps, does_not_prove: &does_not_prove };
                render_alert(alert, advice, origin, out);
            }
            Event::Incident(incident) => {
                let next_steps = crate::detect::incidents::next_steps(incident);
                let does_not_prove = crate::detect::incidents::does_not_prove(incident);
                let advice = Advice { next_steps: &next_steps, does_not_prove: &does_not_prove };
                render_incident(incident, advice, origin, out);
            }
            Event::Health(health) => {
                let span = (health.since, health.until);
                render_health(span, &health.counted, &health.one_way_feeds, origin, out);
            }
        }
    }
}

/// The outputs of a run over files, opened before anything is read.
pub(super) struct Opened {
    sessions: Option<OutFile>,
    stdout: Option<OutFile>,
    dir: Option<Open>,
    bytes: usize,
    kinds: &'static [EventKind],
    delivery: Vec<Box<dyn Sink>>,
}

/// Opens the outputs of a plan.
pub(super) fn open(plan: &Plan) -> Result<Opened, Error> {
    let dir = match &plan.output {
        Output::Dir { path, force } => {
            let mut dir = OutDir::create(path, *force)?;
            let writes_sessions = plan.sessions == SessionLines::WithOutput;
            let sessions = writes_sessions.then(|| dir.file("sessions.ndjson")).transpose()?;
            let alerts = dir.file("alerts.ndjson")?;
            let incidents = dir.file("incidents.ndjson")?;
            Some(Open { dir, sessions, alerts, incidents })
        }
        Output::Json | Output::Summary => None,
    };
    let sessions = match &plan.sessions {
        SessionLines::To(path) => Some(OutFile::create(path)?),
        SessionLines::WithOutput | SessionLines::Off => None,
    };
    let stdout = plan.json.then(|| OutFile::create("-".as_ref())).transpose()?;
    let bytes = Shares::of(plan.memory).outputs;
    let kinds = session_kinds(plan);
    Ok(Opened { sessions, stdout, dir, bytes, kinds, delivery: Vec::new() })
}

impl Opened {
    /// Adds sinks.
    pub(super) fn with(mut self, sinks: Vec<Box<dyn Sink>>) -> Opened {
        self.delivery = sinks;
        self
    }

    /// The sinks, which write events in that format. The rest is added at the end of the run.
    pub(super) fn outlets(self, format: &Arc<dyn Format>) -> Outlets {
        let mut sinks = self.delivery;
        let kinds = self.kinds;
        let stream = |file, kinds| Stream::new(file, kinds, Arc::clone(format), None);
        if let Some(file) = self.sessions {
            sinks.push(Box::new(stream(file, kinds)));
        }
        if let Some(file) = self.stdout {
            sinks.push(Box::new(stream(file, JSON_KINDS)));
        }
        if let Some(open) = self.dir {
            let writes_sessions = open.sessions.is_some();
            let (open, format) = (Some(open), Arc::clone(format));
            let kinds = if writes_sessions { kinds } else { &[] };
            sinks.push(Box::new(Directory { open, kinds, format }));
        }
        Outlets::new(sinks, self.bytes)
    }
}

/// A directory that gets the files of one run.
struct Directory {
    open: Option<Open>,
    /// Lines of sessions.
    kinds: &'static [EventKind],
    format: Arc<dyn Format>,
}

/// Its files.
struct Open {
    dir: OutDir,
    sessions: Option<OutFile>,
    alerts: OutFile,
    incidents: OutFile,
}

impl Sink for Directory {
    fn wants(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::SessionEnd | EventKind::SessionUpdate => self.kinds.contains(&kind),
            EventKind::Health => false,
            EventKind::Endpoint | EventKind::Alert | EventKind::Incident => true,
        }
    }

    fn session(&mut self, line: &SessionLine<'_>) -> Result<bool, Error> {
        let file = self.open.as_mut().and_then(|open| open.sessions.as_mut());
        file.map_or(Ok(false), |file| file.write_line(line.line).map(|()| true))
    }

    fn drain(&mut self, queue: &mut Queue) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let files =
            [(EventKind::Alert, &mut open.alerts), (EventKind::Incident, &mut open.incidents)];
        for (kind, file) in files {
            let count = queue.of(kind).count();
            write_events(file, &*self.format, queue.of(kind))?;
            queue.acknowledge(kind, count);
        }
        Ok(())
    }

    fn end_span(&mut self, end: &SpanEnd<'_>, _queue: &mut Queue) -> Result<(), Error> {
        let Some(open) = self.open.take().filter(|_| end.is_last) else { return Ok(()) };
        let Open { mut dir, sessions, alerts, incidents } = open;
        let (alert_lines, incident_lines) = (alerts.lines(), incidents.lines());
        sessions.map_or(Ok(()), OutFile::finish)?;
        alerts.finish()?;
        incidents.finish()?;
        let mut file = dir.file("endpoints.ndjson")?;
        write_endpoints(&mut file, &*self.format, end.endpoints.rows())?;
        file.finish()?;
        let mut file = dir.file("run.json")?;
        let facts = SetFacts {
            counters: end.counted.clone(),
            alerts: alert_lines,
            incidents: incident_lines,
            incomplete: None,
        };
        file.write(&(end.report)(facts)?)?;
        file.finish()?;
        dir.finish()
    }

    fn remarks(&self) -> Vec<String> {
        self.open.iter().flat_map(|open| open.dir.remarks()).collect()
    }
}

/// Endpoints as lines.
pub(super) fn write_endpoints(
    file: &mut OutFile,
    format: &dyn Format,
    rows: impl Iterator<Item = crate::model::EndpointRow>,
) -> Result<(), Error> {
    let mut lines = Vec::with_capacity(RENDER_BYTES);
    for row in rows {
        format.render(&Event::Endpoint(&row), &mut lines);
        if lines.len() >= RENDER_BYTES {
            file.write(&lines)?;
            lines.clear();
        }
    }
    file.write(&lines)
}

/// Bytes rendered before they are written.
const RENDER_BYTES: usize = 64 * 1024;

/// The content of run.json beside the plan and the counts of its set of files.
pub(super) struct RunFacts<'a> {
    /// Reports of input files; none in a live run.
    pub(super) files: &'a [FileReport],
    /// Paths of inputs by the index in records.
    pub(super) names: &'a [PathBuf],
    pub(super) old_lists: &'a [OldList],
    pub(super) one_way_feeds: Vec<Value>,
    pub(super) interrupted: bool,
    pub(super) warnings: &'a [Warning],
    pub(super) learned: Option<&'a BaselineTotals>,
    pub(super) copies: Option<&'a CopyReport>,
    pub(super) endpoints: usize,
    pub(super) remarks: &'a [String],
}

/// run.json.
pub(super) fn report(
    plan: &Plan,
    prepared: &Prepared,
    run: &RunFacts<'_>,
    set: SetFacts,
) -> RunReport {
    let lists = prepared.enrich.lists.infos();
    RunReport {
        arguments: shaping_arguments(plan),
        sensor: sensor(plan, prepared),
        inputs: inputs(run),
        rules: prepared.rules.infos().iter().map(rules_build).collect(),
        geo: prepared.enrich.geo.databases().map(geo_build).collect(),
        lists: lists.iter().map(|list| list_build(list, run.old_lists)).collect(),
        one_way_feeds: run.one_way_feeds.clone(),
        interrupted: run.interrupted,
        warnings: run.warnings.iter().map(|warning| json!(warning)).collect(),
        state: run.learned.map_or(Value::Null, state::report),
        loss: Loss::of(&set.counters),
        duplicates: run.copies.map_or(Value::Null, duplicates),
        totals: Totals {
            sessions: set.counters.get(Counter::Sessions),
            endpoints: run.endpoints as u64,
            alerts: set.alerts,
            incidents: set.incidents,
        },
        incomplete: set.incomplete,
        counters: set.counters,
        environment: environment(plan, run.remarks),
        ..RunReport::new(env!("CARGO_PKG_VERSION"))
    }
}

/// What may differ between two runs over the same input.
fn environment(plan: &Plan, remarks: &[String]) -> Value {
    let mut environment = json!({ "arguments": plan.arguments, "workers": plan.workers });
    if let (Some(object), false) = (environment.as_object_mut(), remarks.is_empty()) {
        object.insert("remarks".to_owned(), json!(remarks));
    }
    environment
}

fn sensor(plan: &Plan, prepared: &Prepared) -> Sensor {
    let place = prepared.enrich.sensor.as_ref().map(|place| SensorPlace {
        lat: place.latitude,
        lon: place.longitude,
        code: Some(place.name.to_string()),
    });
    Sensor {
        name: plan.sensor.clone(),
        place,
        vantage: Some(plan.vantage.as_str().to_owned()),
        home: plan.home.clone(),
        pseudonymised: prepared.enrich.pseudonyms.is_some(),
    }
}

/// The file reports, each with its index in records.
fn inputs(run: &RunFacts<'_>) -> Value {
    let indices: HashMap<&Path, usize> =
        run.names.iter().enumerate().rev().map(|(at, name)| (name.as_path(), at)).collect();
    let report = |file: &FileReport| {
        let mut value = serde_json::to_value(file).unwrap_or(Value::Null);
        let index = indices.get(file.path.as_path());
        if let (Some(object), Some(index)) = (value.as_object_mut(), index) {
            object.insert("file".to_owned(), json!(index));
        }
        value
    };
    Value::Array(run.files.iter().map(report).collect())
}

/// The arguments that affect the result, in a fixed order.
fn shaping_arguments(plan: &Plan) -> Vec<String> {
    let mut words = vec![format!("point-by={:?}", plan.point_by).to_lowercase()];
    words.push(match plan.dedup_window_us {
        Some(us) => format!("dedup-window={us}"),
        None => "no-dedup".to_owned(),
    });
    let flags = [
        ("filter", plan.filter.clone()),
        ("enable", joined(&plan.enable)),
        ("disable", joined(&plan.disable)),
        ("key", joined(&plan.key)),
        ("no-decap", joined(&plan.no_decap)),
        ("place", plan.place.clone()),
        ("max-ratio", Some(plan.max_ratio.to_string())),
        ("min-level", Some(plan.min_level.as_str().to_owned())),
        ("memory", Some(plan.memory.to_string())),
        ("unanswered", Some(plan.unanswered.to_string())),
        ("cap-sessions", Some(plan.caps.sessions.to_string())),
        ("cap-endpoints", Some(plan.caps.endpoints.to_string())),
        ("cap-alerts", Some(plan.caps.alerts.to_string())),
        ("learn-days", plan.state.as_ref().map(|_| plan.days_to_learn().to_string())),
        ("learn-only", plan.learn_only.then(|| "true".to_owned())),
        ("cap-baselines", plan.state.as_ref().map(|_| plan.caps.baselines.to_string())),
    ];
    let given = flags.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    words.extend(given);
    words
}

/// The values of an option that was given.
fn joined(words: &[String]) -> Option<String> {
    (!words.is_empty()).then(|| words.join(","))
}

/// VLANs of an original and of its duplicate (0 is none), and their count.
fn vlan_pair(((first, copy), copies): &((u16, u16), u64)) -> Value {
    json!({ "first": first, "copy": copy, "copies": copies })
}

/// Duplicate statistics, by capture point.
fn duplicates(report: &CopyReport) -> Value {
    let micros = |ns: Option<u64>| ns.map(|ns| Nanos(ns).as_micros_f64());
    let point = |point: &CopyPoint| {
        let CopyPoint { frames, copies, ttl, mac, vlan, tunnel, identical, .. } = point;
        json!({
            "point": point.point,
            "frames": frames,
            "copies": copies,
            "share": point.share(),
            "skew_us": {
                "p50": micros(point.skew_ns(0.5)),
                "p95": micros(point.skew_ns(0.95)),
                "max": point.longest().as_micros_f64(),
            },
            "differ_in": {
                "ttl": ttl, "mac": mac, "vlan": vlan, "tunnel": tunnel, "nothing": identical,
            },
            "vlans": point.vlans.iter().map(vlan_pair).collect::<Vec<_>>(),
            "note": copies_note(point),
        })
    };
    json!({
        "window_us": Nanos(report.window.0).as_micros_f64(),
        "points": report.points.iter().map(point).collect::<Vec<_>>(),
    })
}

fn rules_build(info: &crate::detect::RuleSetInfo) -> Build {
    Build {
        name: info.name.clone(),
        build: info.built_at.map(Nanos::date),
        version: Some(info.sha256.clone()),
        source: None,
        entries: Some(info.count as u64),
        old_days: None,
    }
}

fn geo_build(info: &crate::enrich::geo::DatabaseInfo) -> Build {
    Build {
        name: info.name.clone(),
        build: Some(info.build.clone()),
        version: None,
        source: Some(info.file.clone()),
        entries: None,
        old_days: None,
    }
}

fn list_build(info: &crate::enrich::lists::ListInfo, old: &[OldList]) -> Build {
    Build {
        name: info.name.to_string(),
        build: Some(info.date.clone()).filter(|date| !date.is_empty()),
        version: None,
        source: Some(info.source.clone()),
        entries: Some(info.entries as u64),
        old_days: old.iter().find(|list| list.name == *info.name).map(|list| list.age_days),
    }
}
