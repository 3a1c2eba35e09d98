//! run.json: program, inputs, rules, databases, counters and losses of a run.
//!
//! Owns: the report's form. In: the results of a run. Out: pretty-printed JSON. Never: a clock or
//! host name of its own; values that may differ between two runs over the same input are under
//! `environment`, so that the rest can be compared byte by byte.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::emit::SCHEMA_VERSION;
use crate::model::escape::escaped_json;
use crate::model::parse_errors::ParseErrors;
use crate::model::{Counter, Counters, Error, Meaning};

/// The report of one run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Version of the field names: [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Program version.
    pub version: String,
    /// Arguments that affect the result, in a fixed order. `environment` has them as given.
    pub arguments: Vec<String>,
    /// Location and configuration of the sensor.
    pub sensor: Sensor,
    /// One report for each input file, in the order of file indices.
    pub inputs: Value,
    /// Rule sets, with builds.
    pub rules: Vec<Build>,
    /// Geo and AS databases, with builds.
    pub geo: Vec<Build>,
    /// Lists, with builds, in the order of list indices.
    pub lists: Vec<Build>,
    /// Capture points whose mirror port sends one direction only, with their counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub one_way_feeds: Vec<Value>,
    /// A signal ended the run early.
    pub interrupted: bool,
    /// Options that are missing or probably wrong: name and text of each warning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Value>,
    /// The baselines learned so far, if there is a state directory.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub state: Value,
    /// Why the files of a live set end early, if their file system refused to take more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Losses, by place.
    pub loss: Loss,
    /// Duplicates made by a mirror port, by capture point; null with `--no-dedup`.
    pub duplicates: Value,
    /// Every counter, grouped by stage; parse errors by protocol and kind.
    #[serde(flatten, serialize_with = "counted")]
    pub counters: Counters,
    /// Number of lines of each file.
    pub totals: Totals,
    /// Values that may differ between runs: host, wall clock, duration, workers, paths as given.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub environment: Value,
}

/// Location and configuration of the sensor, as given by its operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sensor {
    /// Its name: `observer.name` of every line.
    pub name: String,
    /// Its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<SensorPlace>,
    /// `in`, `out` or `both`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vantage: Option<String>,
    /// Home networks, as prefixes.
    pub home: Vec<String>,
    /// People and devices are replaced by pseudonyms.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pseudonymised: bool,
}

/// A place on earth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SensorPlace {
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
    /// The airport or city code, if it was given by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A rule set, database or list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Build {
    /// Its name.
    pub name: String,
    /// The day of the build: `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// SHA-256 of a rule set, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `embedded`, or a file's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Rules, records or entries in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// Age in days at the end of the capture, if it is too old to trust: an alert that rests on
    /// such lists alone has half its evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_days: Option<u64>,
}

/// One number per place of loss: the sums of the counters of kind `loss`, and duplicates. If all
/// are zero, nothing known was lost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loss(Counters);

/// A share, to a millionth.
fn share(part: u64, rest: u64) -> f64 {
    let whole = part.saturating_add(rest).max(1) as f64;
    (part as f64 / whole * 1e6).round() / 1e6
}

impl Loss {
    /// The losses that counters hold.
    pub fn of(counters: &Counters) -> Loss {
        Loss(counters.clone())
    }

    /// Each place with its number, in the order of the counters.
    pub fn places(&self) -> Vec<(&'static str, u64)> {
        let mut places: Vec<(&'static str, u64)> = Vec::new();
        for (counter, value) in self.0.iter() {
            let place = match counter.meaning() {
                Meaning::Loss { place, .. } => place,
                // Excluded on purpose, but missing from the results all the same.
                _ if counter == Counter::Duplicates => "duplicates",
                _ => continue,
            };
            match places.iter_mut().find(|(known, _)| *known == place) {
                Some((_, sum)) => *sum = sum.saturating_add(value),
                None => places.push((place, value)),
            }
        }
        // Threads never drop: the reader waits, and on an interface the ring fills meanwhile.
        places.push(("queue", 0));
        places
    }

    /// The share of all TCP bytes that the capture lost, from 0 to 1: an estimate by unseen bytes
    /// that the other end acknowledged.
    pub fn capture_share(&self) -> f64 {
        share(self.0.get(Counter::AckedUnseenBytes), self.0.get(Counter::TcpBytes))
    }
}

impl Serialize for Loss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (place, value) in self.places() {
            map.serialize_entry(place, &value)?;
        }
        map.serialize_entry("capture_share", &self.capture_share())?;
        map.end()
    }
}

/// Number of lines of each file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Sessions.
    pub sessions: u64,
    /// Endpoints.
    pub endpoints: u64,
    /// Alerts.
    pub alerts: u64,
    /// Incidents.
    pub incidents: u64,
}

impl RunReport {
    /// A report of a run that has not started.
    pub fn new(version: impl Into<String>) -> RunReport {
        RunReport {
            schema_version: SCHEMA_VERSION,
            version: version.into(),
            arguments: Vec::new(),
            sensor: Sensor::default(),
            inputs: Value::Array(Vec::new()),
            rules: Vec::new(),
            geo: Vec::new(),
            lists: Vec::new(),
            one_way_feeds: Vec::new(),
            interrupted: false,
            warnings: Vec::new(),
            state: Value::Null,
            incomplete: None,
            loss: Loss::default(),
            duplicates: Value::Null,
            counters: Counters::default(),
            totals: Totals::default(),
            environment: Value::Null,
        }
    }

    /// Appends the report as indented JSON with a final newline.
    pub fn render(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|cause| Error::new("run.json", cause.to_string()))?;
        out.extend_from_slice(escaped_json(&text).as_bytes());
        out.push(b'\n');
        Ok(())
    }
}

/// `counters` and `parse_errors`.
fn counted<S: Serializer>(counters: &Counters, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("counters", &Grouped(counters))?;
    map.serialize_entry("parse_errors", &Faults(counters.parse_errors()))?;
    map.end()
}

/// `{group: {name: value}}`, groups in the order of their first counter.
struct Grouped<'a>(&'a Counters);

impl Serialize for Grouped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut groups: Vec<&'static str> = Vec::new();
        for (counter, _) in self.0.iter() {
            if !groups.contains(&counter.group()) {
                groups.push(counter.group());
            }
        }
        let mut map = serializer.serialize_map(Some(groups.len()))?;
        for group in groups {
            map.serialize_entry(group, &Group { group, counters: self.0 })?;
        }
        map.end()
    }
}

/// `{protocol: {kind: value}}`, without zeros.
pub(super) struct Faults<'a>(pub(super) &'a ParseErrors);

impl Serialize for Faults<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let protocols = self.0.iter().map(|(protocol, kinds)| {
            (protocol, kinds.into_iter().collect::<std::collections::BTreeMap<_, _>>())
        });
        serializer.collect_map(protocols)
    }
}

struct Group<'a> {
    group: &'static str,
    counters: &'a Counters,
}

impl Serialize for Group<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = self.counters.iter().filter(|(counter, _)| counter.group() == self.group);
        serializer.collect_map(members.map(|(counter, value)| (counter.name(), value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parse_errors::Fault;
    use crate::model::protocol::Protocol;

    #[test]
    fn a_report_has_losses_by_place_and_counters_by_group() {
        let mut report = RunReport::new("0.1.0");
        report.counters.add(Counter::Frames, 7);
        report.counters.note_fault(Some(Protocol::Dtls), Fault::Truncated);
        report.counters.add(Counter::RejectShort, 2);
        report.counters.add(Counter::RejectDepth, 1);
        report.counters.add(Counter::SessionsEvicted, 5);
        report.counters.add(Counter::Duplicates, 4);
        report.counters.add(Counter::AckedUnseenBytes, 10);
        report.counters.add(Counter::TcpBytes, 990);
        report.loss = Loss::of(&report.counters);
        report.sensor.place = Some(SensorPlace { lat: 47.6, lon: -122.3, code: None });
        let mut out = Vec::new();
        report.render(&mut out).unwrap();
        assert_eq!(out.last(), Some(&b'\n'));
        let got: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(got["schema_version"], SCHEMA_VERSION);
        assert_eq!(got["counters"]["capture"]["frames"], 7);
        assert_eq!(got["parse_errors"], serde_json::json!({"dtls": {"truncated": 1}}));
        assert_eq!(got["counters"]["decode"]["reject_short"], 2);
        assert_eq!(got["loss"]["decode"], 3);
        assert_eq!(got["loss"]["table"], 5);
        assert_eq!(got["loss"]["duplicates"], 4);
        assert_eq!(got["loss"]["nic"], 0);
        assert_eq!(got["loss"]["capture_bytes"], 10);
        assert_eq!(got["loss"]["capture_share"], 0.01);
        assert_eq!(got["sensor"]["place"], serde_json::json!({"lat": 47.6, "lon": -122.3}));
        assert!(got.get("environment").is_none());
        let counters: usize = got["counters"]
            .as_object()
            .unwrap()
            .values()
            .map(|g| g.as_object().unwrap().len())
            .sum();
        assert_eq!(counters, Counter::ALL.len());
    }
}
