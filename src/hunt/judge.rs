//! Rules over the sessions or endpoints of finished results.
//!
//! Owns: hits as lines, repetitions that make an alert only together. In: lines, rules. Out: one
//! JSON object a hit. Never: an incident: who is behind an address takes all of a run.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::detect::{Counts, Hit, LineOf, RuleSet};
use crate::model::alert::Level;
use crate::model::{Nanos, escape::escaped_json};

/// Repetitions count together for a day.
const DAY: Nanos = Nanos::from_secs(86_400);

/// Groups of repetitions that are counted.
const GROUPS_MAX: usize = 262_144;

/// Bytes of hits that wait for more of their kind.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// What makes hits repetitions: rule, subject, values.
type Group = (String, String, String);

/// Hits of a kind within a day from the first.
struct Window {
    first: Nanos,
    /// Those that wait until there are enough of them; `None` once there are.
    waiting: Option<Vec<String>>,
}

impl Window {
    const fn at(first: Nanos) -> Window {
        Window { first, waiting: Some(Vec::new()) }
    }

    /// Bytes of hits that wait.
    fn bytes(&self) -> usize {
        self.waiting.iter().flatten().map(String::len).sum()
    }

    /// Adds a hit; gives those that have waited enough. As in a run, a window begins with the
    /// first hit behind the last window, or before it if an older result is read later.
    fn add(&mut self, time: Nanos, text: String, at_least: u64) -> Vec<String> {
        if time.since(self.first).max(self.first.since(time)) > DAY {
            *self = Window::at(time);
        }
        let Some(waiting) = &mut self.waiting else { return vec![text] };
        waiting.push(text);
        if (waiting.len() as u64) < at_least {
            return Vec::new();
        }
        self.waiting.take().unwrap_or_default()
    }
}

/// Where repetitions stand, as it is noted.
#[derive(Serialize, Deserialize)]
struct State {
    /// Groups with the first time of their windows, and what waits in them.
    groups: Vec<(Group, u64, Option<Vec<String>>)>,
    hits: u64,
    uncounted: u64,
    /// What correlations have counted, and what of it was dropped.
    counts: Vec<u8>,
    dropped: u64,
}

/// Judges lines.
pub struct Judge<'r> {
    rules: &'r RuleSet,
    level: Level,
    of: LineOf,
    counts: Counts,
    groups: HashMap<Group, Window>,
    /// Bytes of hits that wait in them.
    waiting: usize,
    hits: u64,
    uncounted: u64,
}

impl<'r> Judge<'r> {
    /// With these rules, of this level or above.
    pub fn new(rules: &'r RuleSet, level: Level, of: LineOf) -> Judge<'r> {
        let (groups, counts) = (HashMap::new(), Counts::default());
        Judge { rules, level, of, counts, groups, waiting: 0, hits: 0, uncounted: 0 }
    }

    /// Where repetitions stand.
    pub fn state(&self) -> Value {
        let group = |(group, window): (&Group, &Window)| {
            (group.clone(), window.first.0, window.waiting.clone())
        };
        let groups = self.groups.iter().map(group).collect();
        let (counts, dropped) = (self.counts.to_bytes(), self.counts.dropped());
        json!(State { groups, hits: self.hits, uncounted: self.uncounted, counts, dropped })
    }

    /// Goes on where another stood.
    ///
    /// Errors: that is no such state.
    pub fn restore(&mut self, state: &Value) -> Result<(), String> {
        let damaged = |error: String| format!("its state is damaged: {error}");
        let State { groups, hits, uncounted, counts, dropped } =
            State::deserialize(state).map_err(|error| damaged(error.to_string()))?;
        self.counts = Counts::of_bytes(&counts, dropped).map_err(damaged)?;
        let window = |(group, first, waiting)| (group, Window { first: Nanos(first), waiting });
        self.groups = groups.into_iter().map(window).collect();
        self.waiting = self.groups.values().map(Window::bytes).sum();
        (self.hits, self.uncounted) = (hits, uncounted);
        Ok(())
    }

    /// Hits so far.
    pub const fn hits(&self) -> u64 {
        self.hits
    }

    /// Hits that were not counted with others of their kind, because too many kinds or bytes of
    /// them wait.
    pub const fn uncounted(&self) -> u64 {
        self.uncounted
    }

    /// Groups and events of correlations that were dropped at their caps.
    pub const fn dropped(&self) -> u64 {
        self.counts.dropped()
    }

    /// What lines it judges.
    pub const fn of(&self) -> LineOf {
        self.of
    }

    /// The hits of a line, each a line of JSON.
    ///
    /// Errors: the line is not as it was written.
    pub fn line(&mut self, line: &Value) -> Result<Vec<String>, String> {
        // Of a session that goes on the last line says all; no rule judges sums of sessions.
        if line.pointer("/event/action").is_some() {
            return Ok(Vec::new());
        }
        let (rules, level) = (self.rules, self.level);
        let mut out = Vec::new();
        let hits = rules.hits_with(self.of, line, &mut self.counts)?;
        for hit in hits.into_iter().filter(|hit| hit.rule.level >= level) {
            let text = render(&hit, line);
            match &hit.repeats {
                Some((at_least, common)) if *at_least > 1 => {
                    self.count(&hit, (*at_least, common), (line, text), &mut out);
                }
                _ => out.push(text),
            }
        }
        self.hits += out.len() as u64;
        Ok(out)
    }

    /// Gives out hits that need repetitions once there are enough within a day.
    fn count(
        &mut self,
        hit: &Hit<'_>,
        (at_least, common): (u64, &str),
        (line, text): (&Value, String),
        out: &mut Vec<String>,
    ) {
        let subject = text_at(line, "/longhaul/subject/id").to_owned();
        let group = (hit.rule.uuid.clone(), subject, common.to_owned());
        let is_full = self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&group);
        if is_full || self.waiting + text.len() > WAITING_BYTES_MAX {
            self.uncounted += 1;
            return;
        }
        let time = Nanos::parse(text_at(line, "/@timestamp")).unwrap_or_default();
        let window = self.groups.entry(group).or_insert_with(|| Window::at(time));
        let before = window.bytes();
        out.extend(window.add(time, text, at_least));
        self.waiting = self.waiting - before + window.bytes();
    }
}

fn text_at<'v>(line: &'v Value, pointer: &str) -> &'v str {
    line.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A hit as a line: names and types are those of alerts.
fn render(hit: &Hit<'_>, line: &Value) -> String {
    let rule = hit.rule;
    let end = |side: &str| {
        let own = line.get(side);
        let member = |name: &str| Some((name.to_owned(), own?.get(name)?.clone()));
        Value::Object(["ip", "port", "domain"].into_iter().filter_map(member).collect())
    };
    let mut network = Map::new();
    for name in ["transport", "protocol", "application", "direction", "community_id"] {
        let value = line.get("network").and_then(|network| network.get(name)).cloned();
        network.extend(value.map(|value| (name.to_owned(), value)));
    }
    let mut whole = json!({
        "@timestamp": line.get("@timestamp"),
        "event": {
            "kind": "alert",
            "start": line.pointer("/event/start"),
            "end": line.pointer("/event/end"),
        },
        "rule": {
            "id": rule.id,
            "name": rule.name,
            "uuid": rule.uuid,
            "description": rule.title,
        },
        "log": { "level": rule.level.as_str() },
        "message": hit.message,
        "source": end("source"),
        "destination": end("destination"),
        "network": network,
        "longhaul": {
            "family": rule.family.as_str(),
            "group": rule.group.as_str(),
            "ratio": rule.ratio,
            "subject": line.pointer("/longhaul/subject"),
            "session": { "id": line.pointer("/event/id") },
            "packets": line.pointer("/longhaul/packets"),
        },
    });
    // Of an endpoint there is no session to name.
    if let (Some(endpoint), Some(all)) = (line.get("endpoint"), whole.as_object_mut()) {
        ["source", "destination", "network"].iter().for_each(|name| drop(all.remove(*name)));
        all.insert("endpoint".to_owned(), endpoint.clone());
    }
    escaped_json(&whole.to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_count_from_the_first_of_a_day() {
        let hour = |hours: u64| Nanos::from_secs(10 * 86_400 + hours * 3_600);
        let told = |hours: &[u64]| {
            let mut window = Window::at(hour(hours[0]));
            let add = |at: &u64| window.add(hour(*at), at.to_string(), 2).len();
            hours.iter().map(add).collect::<Vec<usize>>()
        };
        assert_eq!(told(&[0, 20, 24]), [0, 2, 1]);
        // Enough for one day is not enough for the next.
        assert_eq!(told(&[0, 20, 30, 31]), [0, 2, 0, 2]);
        assert_eq!(told(&[0, 25, 48]), [0, 0, 2]);
        // An older result that is read later has days of its own.
        assert_eq!(told(&[100, 0, 1]), [0, 0, 2]);
    }
}
