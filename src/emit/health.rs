//! The sensor's own state: a line a minute in health.ndjson, and a text on SIGUSR1.
//!
//! Owns: the layout of both. In: counters. Out: an ECS event of kind `metric`; lines of text.
//! Never: a clock of its own.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::emit::run::{Faults, Loss};
use crate::emit::{ECS_VERSION, Origin, SCHEMA_VERSION};
use crate::model::escape::escaped_json;
use crate::model::{Counters, Nanos};

/// One line of health.ndjson: the counts from `since` to `until`. Counters that did not change are
/// left out; losses and the list of capture points with one direction only are always there.
pub fn render_health(
    (since, until): (Nanos, Nanos),
    counted: &Counters,
    one_way_feeds: &[Value],
    origin: &Origin,
    out: &mut Vec<u8>,
) {
    let mut groups: Map<String, Value> = Map::new();
    for (counter, value) in counted.iter().filter(|(_, value)| *value > 0) {
        let group = groups.entry(counter.group()).or_insert_with(|| json!({}));
        if let Some(group) = group.as_object_mut() {
            group.insert(counter.name().to_owned(), json!(value));
        }
    }
    let line = json!({
        "@timestamp": until.to_string(),
        "event": {
            "kind": "metric",
            "category": ["network"],
            "type": ["info"],
            "dataset": "longhaul.health",
            "start": since.to_string(),
            "end": until.to_string(),
        },
        "ecs": { "version": ECS_VERSION },
        "observer": origin.observer_value(),
        "longhaul": {
            "schema_version": SCHEMA_VERSION,
            "health": {
                "counters": groups,
                "parse_errors": Faults(counted.parse_errors()),
                "loss": Loss::of(counted),
                "one_way_feeds": one_way_feeds,
            },
        },
    });
    out.extend_from_slice(escaped_json(&line.to_string()).as_bytes());
    out.push(b'\n');
}

/// The counters as text: all losses first, then every counter that is not zero.
pub fn describe(counted: &Counters) -> String {
    let mut text = String::from("loss:");
    let loss = serde_json::to_value(Loss::of(counted)).unwrap_or_default();
    // Writing into a String cannot fail.
    for (place, value) in loss.as_object().into_iter().flatten() {
        let _ = write!(text, " {place}={value}");
    }
    let mut group = "";
    for (counter, value) in counted.iter().filter(|(_, value)| *value > 0) {
        if counter.group() != group {
            group = counter.group();
            let _ = write!(text, "\n{group}:");
        }
        let _ = write!(text, " {}={value}", counter.name());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::samples;
    use crate::model::Counter;

    #[test]
    fn a_line_has_every_loss_even_if_zero() {
        let mut counted = Counters::default();
        counted.add(Counter::Frames, 7);
        counted.add(Counter::RingDrops, 3);
        let mut out = Vec::new();
        let span = (Nanos::from_secs(60), Nanos::from_secs(120));
        render_health(span, &counted, &[json!({"point": 3})], &samples::origin(), &mut out);
        let line: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["event"]["kind"], "metric");
        assert_eq!(line["observer"]["name"], "longhaul");
        assert_eq!(line["@timestamp"], "1970-01-01T00:02:00.000000000Z");
        assert_eq!(line["longhaul"]["health"]["counters"]["capture"]["frames"], 7);
        let loss = &line["longhaul"]["health"]["loss"];
        assert_eq!((&loss["ring"], &loss["nic"]), (&json!(3), &json!(0)));
        assert_eq!(line["longhaul"]["health"]["one_way_feeds"][0]["point"], 3);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
    }

    #[test]
    fn the_text_has_every_loss_and_the_counters_above_zero() {
        let mut counted = Counters::default();
        counted.add(Counter::NicDrops, 5);
        let text = describe(&counted);
        assert!(text.starts_with("loss:") && text.contains(" nic=5") && text.contains(" ring=0"));
        assert!(text.contains("\ncapture: nic_drops=5"), "{text}");
    }
}
