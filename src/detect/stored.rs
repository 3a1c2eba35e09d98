//! Judges lines of finished results.
//!
//! Owns: which rules hold for a line, what they say of it, and what correlations have counted so
//! far. In: rules, lines in the order of their times. Out: hits. Never: an alert: the ledger, which
//! merges repetitions and knows subjects, is the run's.

use std::fmt;

use serde_json::Value as Json;

use crate::detect::case::Case;
use crate::detect::correlation::{Event, Part, State, put_state, read_state};
use crate::detect::ledger::codec::Writer;
use crate::detect::rule::Compiled;
use crate::detect::ruleset::RuleSet;
use crate::model::endpoint::EndpointRow;
use crate::model::schema::Judged;
use crate::model::{Counter, Counters, Nanos, Record, RuleInfo};
use crate::wire::Reader;

/// Most bytes of groups of correlations.
const GROUPS_BYTES: usize = 64 << 20;

/// A rule that holds for a line.
#[derive(Clone, Debug)]
pub struct Hit<'r> {
    /// The rule.
    pub rule: &'r RuleInfo,
    /// What it says of the session or endpoint.
    pub message: String,
    /// Hits within a day that make an alert, and the values that they have in common.
    pub repeats: Option<(u64, String)>,
}

/// What lines are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineOf {
    /// A session.
    Session,
    /// An endpoint.
    Endpoint,
}

impl LineOf {
    /// As rules name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            LineOf::Session => "session",
            LineOf::Endpoint => "endpoint",
        }
    }
}

/// What correlations have counted so far.
pub struct Counts {
    state: State,
    dropped: u64,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts { state: State::new(GROUPS_BYTES), dropped: 0 }
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts").field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

impl Counts {
    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        put_state(&mut writer, &self.state);
        writer.0
    }

    /// Of bytes.
    ///
    /// Errors: they are not what was written.
    pub fn of_bytes(bytes: &[u8], dropped: u64) -> Result<Counts, String> {
        let mut counts = Counts { dropped, ..Counts::default() };
        let mut reader = Reader::new(bytes);
        read_state(&mut reader, &mut counts.state).map_err(|_| "groups are cut off".to_owned())?;
        if reader.is_empty() { Ok(counts) } else { Err("something follows the groups".to_owned()) }
    }

    /// Groups and events that were dropped at the caps.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn count_dropped(&mut self) {
        let mut counters = Counters::default();
        self.state.count(&mut counters);
        self.dropped += counters.get(Counter::CorrelationGroupsDropped)
            + counters.get(Counter::CorrelationEventsDropped);
    }
}

impl RuleSet {
    /// The rules on sessions that hold for a session's line.
    ///
    /// Errors: the line is not as it was written; names the field.
    pub fn hits(&self, line: &Json) -> Result<Vec<Hit<'_>>, String> {
        Ok(held(self.on_sessions(), &of_line::<Record>(line)?))
    }

    /// The same of sessions or endpoints, and the correlations that the line completes.
    ///
    /// Errors: as those of [`RuleSet::hits`].
    pub fn hits_with(
        &self,
        of: LineOf,
        line: &Json,
        counts: &mut Counts,
    ) -> Result<Vec<Hit<'_>>, String> {
        let (mut hits, parts) = match of {
            LineOf::Session => {
                let case = of_line::<Record>(line)?;
                (held(self.on_sessions(), &case), self.counted_of_session(&case))
            }
            LineOf::Endpoint => {
                let case = of_line::<EndpointRow>(line)?;
                (held(self.on_endpoints(), &case), self.counted_of_endpoint(&case))
            }
        };
        let text = |name: &str| line.pointer(name).and_then(Json::as_str).unwrap_or_default();
        let time = Nanos::parse(text("/@timestamp")).unwrap_or_default().0;
        for parts in parts.into_iter().filter(|parts| !parts.is_empty()) {
            self.complete(time, parts, (&mut hits, counts));
        }
        hits.sort_by_key(|hit| &hit.rule.id);
        Ok(hits)
    }

    /// Counts an event. No hit names its sessions: the line is the last of them.
    fn complete<'r>(
        &'r self,
        time: u64,
        parts: Vec<Part>,
        (hits, counts): (&mut Vec<Hit<'r>>, &mut Counts),
    ) {
        let event = Event { time, session: [0; 16], parts };
        let fired = self.correlations().count(&mut counts.state, &event);
        for one in fired.into_iter().filter(|one| one.correlation.stands) {
            hits.push(Hit {
                rule: one.correlation.rule.info(),
                message: one.correlation.words(&one.hit, one.part),
                repeats: None,
            });
        }
        counts.count_dropped();
    }

    /// Rules on what these lines are not of.
    pub fn not_on(&self, of: LineOf) -> usize {
        let other = |service: &str| service != "correlation" && service != of.as_str();
        self.iter().filter(|rule| other(rule.service())).count()
    }
}

fn of_line<S: Judged>(line: &Json) -> Result<Case, String> {
    Case::of_line::<S>(line).map_err(|error| error.cause)
}

/// The rules that hold for a case.
fn held<'r, S: Judged>(rules: &'r [Compiled<S>], case: &Case) -> Vec<Hit<'r>>
where
    Case: crate::detect::case::Values<S>,
{
    let held = rules.iter().filter(|rule| rule.stands && rule.when.holds(case));
    let hit = |rule: &'r Compiled<S>| Hit {
        rule: &rule.rule.info,
        message: rule.message.fill(case),
        repeats: (!rule.merge_by.is_empty()).then(|| (rule.at_least, rule.common(case))),
    };
    let mut hits: Vec<Hit<'r>> = held.map(hit).collect();
    hits.sort_by_key(|hit| &hit.rule.id);
    hits
}
