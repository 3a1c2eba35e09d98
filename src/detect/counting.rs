//! Counts the events of a case.
//!
//! Owns: the state of correlations over one case. In: events given as fields and values. Out: the
//! correlations that fire. Never: an alert.

use crate::detect::calendar::seconds_of;
use crate::detect::case::{Case, Values};
use crate::detect::correlation::{Event, Part, State};
use crate::detect::ruleset::RuleSet;
use crate::model::endpoint::EndpointRow;
use crate::model::schema::{Field, Judged, Value, find_in};
use crate::model::{Nanos, Record, RuleInfo};

/// Enough for any case.
const BYTES: usize = 64 << 20;

/// Correlations over the events of a case.
pub(super) struct Counting<'r> {
    rules: &'r RuleSet,
    state: State,
    events: u64,
    fired: Vec<(&'r RuleInfo, String)>,
}

impl<'r> Counting<'r> {
    /// Nothing counted yet.
    pub(super) fn new(rules: &'r RuleSet) -> Counting<'r> {
        Counting { rules, state: State::new(BYTES), events: 0, fired: Vec::new() }
    }

    /// Counts a session, at its end.
    pub(super) fn session(&mut self, case: &Case) {
        let number = |name| {
            find_in::<Record>(name).and_then(|field| value(case, field).as_number()).unwrap_or(0.0)
        };
        let end = moment::<Record>(case, "event.start") + (number("event.duration") / 1e9) as u64;
        self.count(end, self.rules.counted_of_session(case));
    }

    /// Counts an endpoint.
    pub(super) fn endpoint(&mut self, case: &Case) {
        let at = moment::<EndpointRow>(case, "@timestamp");
        self.count(at, self.rules.counted_of_endpoint(case));
    }

    fn count(&mut self, seconds: u64, all: Vec<Vec<Part>>) {
        self.events += 1;
        let session = u128::from(self.events).to_be_bytes();
        for parts in all {
            let event = Event { time: Nanos::from_secs(seconds).0, session, parts };
            let rules = self.rules;
            for one in rules.correlations().count(&mut self.state, &event) {
                if one.correlation.stands {
                    let info = one.correlation.rule.info();
                    self.fired.push((&**info, one.correlation.words(&one.hit, one.part)));
                }
            }
        }
    }

    /// Each correlation that fired, once.
    pub(super) fn fired(mut self) -> Vec<(&'r RuleInfo, String)> {
        self.fired.sort_by(|(a, _), (b, _)| a.uuid.cmp(&b.uuid));
        self.fired.dedup_by(|(a, _), (b, _)| a.uuid == b.uuid);
        self.fired
    }
}

fn value<'c, S: Judged>(case: &'c Case, field: &Field<S>) -> Value<'c> {
    case.value(field)
}

/// Seconds since 1970 of a time that a case gives.
fn moment<S: Judged>(case: &Case, name: &str) -> u64 {
    let text = find_in::<S>(name).map(|field| value(case, field).to_text());
    text.and_then(|text| seconds_of(&text)).unwrap_or(0)
}
