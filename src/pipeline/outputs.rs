//! Where a run's results go: the five files, standard output, or nowhere.
//!
//! Owns: the open files. In: session lines as they come, the outcome at the end. Out: files under
//! their final names, all at once at the end. Never: a partial file that looks finished.

use std::sync::Arc;

use serde_json::Value;
use serde_json::json;

use crate::config::Output;
use crate::config::Plan;
use crate::config::SessionLines;
use crate::emit::Origin;
use crate::emit::alert::IncidentContext;
use crate::emit::alert::render_alert;
use crate::emit::alert::render_incident;
use crate::emit::endpoint::render_endpoint;
use crate::emit::files::OutDir;
use crate::emit::files::OutFile;
use crate::emit::run::Build;
use crate::emit::run::Loss;
use crate::emit::run::RunReport;
use crate::emit::run::Sensor;
use crate::emit::run::SensorPlace;
use crate::emit::run::Totals;
use crate::model::Alert;
use crate::model::CopyPoint;
use crate::model::CopyReport;
use crate::model::Counter;
use crate::model::Error;
use crate::model::Incident;
use crate::model::Nanos;
use crate::model::endpoint::EndpointRow;
use crate::pipeline::OldList;
use crate::pipeline::Outcome;
use crate::pipeline::correlator::Sink;
use crate::pipeline::prepare::Prepared;
use crate::pipeline::state;
use crate::report::duplicates::note as copies_note;

/// Bytes rendered before they are written.
const RENDER_BYTES: usize = 64 * 1024;

/// Whether anybody will read session lines.
pub(super) fn wants_session_lines(plan: &Plan) -> bool {
    match plan.sessions {
        SessionLines::Off => false,
        SessionLines::To(_) => true,
        SessionLines::WithOutput => matches!(plan.output, Output::Dir { .. }),
    }
}

/// The open files.
pub(super) struct Outputs {
    dir: Option<OutDir>,
    sessions: Option<OutFile>,
}

impl Outputs {
    /// Opens what the plan asks for, before anything is read.
    pub(super) fn open(plan: &Plan) -> Result<Outputs, Error> {
        let mut dir = match &plan.output {
            Output::Dir { path, force } => Some(OutDir::create(path, *force)?),
            Output::Json | Output::Summary => None,
        };
        let sessions = match (&plan.sessions, &mut dir) {
            (SessionLines::To(path), _) => Some(OutFile::create(path)?),
            (SessionLines::WithOutput, Some(dir)) => Some(dir.file("sessions.ndjson")?),
            _ => None,
        };
        Ok(Outputs { dir, sessions })
    }

    /// What users should know of the places that are written to.
    pub(super) fn remarks(&self) -> Vec<String> {
        let dir = self.dir.iter().flat_map(OutDir::remarks);
        dir.chain(self.sessions.iter().flat_map(OutFile::remarks)).collect()
    }

    /// Writes everything else and gives all files their names.
    pub(super) fn finish(
        self,
        plan: &Plan,
        prepared: &Prepared,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        if let Some(file) = self.sessions {
            file.finish()?;
        }
        if plan.json {
            let mut stdout = OutFile::create("-".as_ref())?;
            write_alerts(&mut stdout, outcome)?;
            write_incidents(&mut stdout, outcome)?;
            stdout.finish()?;
        }
        let Some(mut dir) = self.dir else { return Ok(()) };
        let mut file = dir.file("alerts.ndjson")?;
        write_alerts(&mut file, outcome)?;
        file.finish()?;
        write_rest(&mut dir, outcome, report(plan, prepared, outcome))?;
        dir.finish()
    }
}

impl Sink for Outputs {
    fn session(&mut self, line: &[u8]) -> Result<bool, Error> {
        self.sessions.as_mut().map_or(Ok(false), |file| file.write_line(line).map(|()| true))
    }
}

/// The files that are written at the end.
fn write_rest(dir: &mut OutDir, outcome: &Outcome, report: RunReport) -> Result<(), Error> {
    let mut file = dir.file("endpoints.ndjson")?;
    write_endpoint_lines(&mut file, &outcome.origin, outcome.endpoints.iter())?;
    file.finish()?;
    let mut file = dir.file("incidents.ndjson")?;
    write_incidents(&mut file, outcome)?;
    file.finish()?;
    let mut file = dir.file("run.json")?;
    let mut text = Vec::new();
    report.render(&mut text)?;
    file.write(&text)?;
    file.finish()
}

/// Endpoints as lines.
pub(super) fn write_endpoint_lines(
    file: &mut OutFile,
    origin: &Origin,
    rows: impl Iterator<Item = EndpointRow>,
) -> Result<(), Error> {
    write_lines(file, rows, |row, lines| render_endpoint(&row, origin, lines))
}

fn write_lines<T>(
    file: &mut OutFile,
    rows: impl Iterator<Item = T>,
    render: impl Fn(T, &mut Vec<u8>),
) -> Result<(), Error> {
    let mut lines = Vec::with_capacity(RENDER_BYTES);
    for row in rows {
        render(row, &mut lines);
        if lines.len() >= RENDER_BYTES {
            file.write(&lines)?;
            lines.clear();
        }
    }
    file.write(&lines)
}

fn write_alerts(file: &mut OutFile, outcome: &Outcome) -> Result<(), Error> {
    write_alert_lines(file, &outcome.origin, &outcome.alerts)
}

/// Alerts as lines.
pub(super) fn write_alert_lines(
    file: &mut OutFile,
    origin: &Origin,
    alerts: &[Arc<Alert>],
) -> Result<(), Error> {
    write_lines(file, alerts.iter(), |alert, out| render_alert(alert, origin, out))
}

fn write_incidents(file: &mut OutFile, outcome: &Outcome) -> Result<(), Error> {
    write_incident_lines(file, &outcome.origin, &outcome.incidents)
}

/// Incidents as lines.
pub(super) fn write_incident_lines(
    file: &mut OutFile,
    origin: &Origin,
    incidents: &[Incident],
) -> Result<(), Error> {
    write_lines(file, incidents.iter(), |incident, out| {
        let next_steps = crate::detect::incidents::next_steps(incident);
        let does_not_prove = crate::detect::incidents::does_not_prove(incident);
        let context =
            IncidentContext { origin, next_steps: &next_steps, does_not_prove: &does_not_prove };
        render_incident(incident, &context, out);
    })
}

/// run.json.
pub(super) fn report(plan: &Plan, prepared: &Prepared, outcome: &Outcome) -> RunReport {
    RunReport {
        arguments: shaping_arguments(plan),
        sensor: sensor(plan, prepared),
        inputs: inputs(outcome),
        rules: prepared.rules.infos().iter().map(rules_build).collect(),
        geo: prepared.enrich.geo.databases().map(geo_build).collect(),
        lists: prepared
            .enrich
            .lists
            .infos()
            .iter()
            .map(|list| list_build(list, &outcome.old_lists))
            .collect(),
        one_way_feeds: outcome.sessions.feeds().one_way().map(|feed| json!(feed)).collect(),
        interrupted: outcome.interrupted,
        warnings: outcome.warnings.iter().map(|warning| json!(warning)).collect(),
        state: outcome.learned.as_ref().map_or(Value::Null, state::report),
        loss: Loss::of(&outcome.counters),
        duplicates: outcome.copies.as_ref().map_or(Value::Null, duplicates),
        counters: outcome.counters.clone(),
        totals: Totals {
            sessions: outcome.counters.get(Counter::Sessions),
            endpoints: outcome.endpoints.len() as u64,
            alerts: outcome.alerts.len() as u64,
            incidents: outcome.incidents.len() as u64,
        },
        environment: environment(plan, outcome),
        ..RunReport::new(env!("CARGO_PKG_VERSION"))
    }
}

/// What may differ between two runs over the same input.
fn environment(plan: &Plan, outcome: &Outcome) -> Value {
    let mut environment = json!({ "arguments": plan.arguments, "workers": plan.workers });
    if let (Some(object), false) = (environment.as_object_mut(), outcome.remarks.is_empty()) {
        object.insert("remarks".to_owned(), json!(outcome.remarks));
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

/// The file reports, each with the index that records name it by.
fn inputs(outcome: &Outcome) -> Value {
    let report = |file: &crate::capture::FileReport| {
        let mut value = serde_json::to_value(file).unwrap_or(Value::Null);
        let index = outcome.names.iter().position(|name| *name == file.path);
        if let (Some(object), Some(index)) = (value.as_object_mut(), index) {
            object.insert("file".to_owned(), json!(index));
        }
        value
    };
    Value::Array(outcome.files.iter().map(report).collect())
}

/// The arguments that shape the result, in a fixed order.
fn shaping_arguments(plan: &Plan) -> Vec<String> {
    let mut words = vec![format!("point-by={:?}", plan.point_by).to_lowercase()];
    words.push(match plan.dedup_window_us {
        Some(us) => format!("dedup-window={us}"),
        None => "no-dedup".to_owned(),
    });
    let flags = [
        ("filter", plan.filter.clone()),
        ("place", plan.place.clone()),
        ("max-ratio", Some(plan.max_ratio.to_string())),
        ("min-level", Some(plan.min_level.as_str().to_owned())),
        ("memory", Some(plan.memory.to_string())),
        ("unanswered", Some(plan.unanswered.to_string())),
        ("cap-sessions", Some(plan.caps.sessions.to_string())),
        ("cap-endpoints", Some(plan.caps.endpoints.to_string())),
        ("cap-alerts", Some(plan.caps.alerts.to_string())),
        ("learn-days", plan.state.as_ref().map(|_| plan.days_to_learn().to_string())),
        ("cap-baselines", plan.state.as_ref().map(|_| plan.caps.baselines.to_string())),
    ];
    let given = flags.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    words.extend(given);
    words
}

/// VLANs of a first packet and of its copy (0 is none), and how often.
fn vlan_pair(((first, copy), copies): &((u16, u16), u64)) -> Value {
    json!({ "first": first, "copy": copy, "copies": copies })
}

/// What was found of copies, by capture point.
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
