//! Warnings about possible mistakes in the request: a run succeeds, but says little or the wrong
//! thing.
//!
//! Owns: what is checked, and the texts. In: a plan and its results. Out: [`Warning`]s, each once,
//! for the terminal and run.json. Never: changes a result, or ends a run.

use serde::Serialize;

use crate::config::Plan;
use crate::endpoints::EndpointRows;
use crate::model::endpoint::Locality;
use crate::model::{Counter, Counters};
use crate::pipeline::prepare::Prepared;

/// Fewer judged sessions prove nothing about the sensor's location.
const JUDGED_MIN: u64 = 10;

/// One warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Its name, for programs.
    pub name: &'static str,
    /// One sentence, with what to do.
    pub text: String,
}

impl Warning {
    fn new(name: &'static str, text: impl Into<String>) -> Warning {
        Warning { name, text: text.into() }
    }
}

/// The results of a run, or of a span of it.
pub(super) struct Answer<'a> {
    pub(super) interrupted: bool,
    pub(super) counted: &'a Counters,
    pub(super) endpoints: &'a EndpointRows,
    /// Claimed locations that the speed of light refutes, and those that were judged.
    pub(super) claims: (u64, u64),
    /// Baselines are still only learned.
    pub(super) learning: bool,
}

/// All warnings, once the run is over.
pub(super) fn of(plan: &Plan, prepared: &Prepared, outcome: &Answer<'_>) -> Vec<Warning> {
    let interrupted = outcome.interrupted.then(|| {
        Warning::new("interrupted", "the run was interrupted: it is about what was read by then")
    });
    let withheld = (plan.learn_only && outcome.learning).then(|| {
        let closed = outcome.counted.get(Counter::IncidentsWithheld);
        let text = format!(
            "no incident is reported while baselines are learned (--learn-only): {closed} were \
             opened and closed meanwhile; those that are still open when it ends are reported then"
        );
        Warning::new("learn-only", text)
    });
    let answer = [interrupted, nothing_home(plan, outcome), refuted(plan, outcome)];
    answer.into_iter().chain([withheld]).flatten().chain(of_question(plan, prepared)).collect()
}

/// Warnings that are possible before anything is read.
pub(super) fn of_question(plan: &Plan, prepared: &Prepared) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if plan.place.is_none() {
        let text = "no place was given: without --place there are no distances \
                    (longhaul.physics) and rule D05 cannot fire";
        warnings.push(Warning::new("no-place", text));
    }
    if plan.learn_days.is_some() && plan.state.is_none() {
        let text = "the days to learn (--learn-days) mean nothing without --state: nothing is \
                    learned from run to run";
        warnings.push(Warning::new("no-state", text));
    }
    warnings.extend(unknown_approved(plan, prepared));
    warnings
}

fn nothing_home(plan: &Plan, outcome: &Answer<'_>) -> Option<Warning> {
    let any = outcome.counted.get(Counter::Sessions) > 0;
    let home = || outcome.endpoints.iter().any(|row| row.key.side == Locality::Home);
    (any && !outcome.endpoints.is_empty() && !home()).then(|| {
        let text = format!(
            "no session has an end in the home networks ({}): most rules cannot fire; name your \
             networks with --home",
            plan.home.join(", ")
        );
        Warning::new("nothing-home", text)
    })
}

fn refuted(plan: &Plan, outcome: &Answer<'_>) -> Option<Warning> {
    let (refuted, judged) = outcome.claims;
    let place = plan.place.as_deref()?;
    (judged >= JUDGED_MIN && refuted > judged / 2).then(|| {
        let text = format!(
            "light refutes the place of {refuted} of {judged} sessions: the sensor is probably \
             not at {place} (--place)"
        );
        Warning::new("place-refuted", text)
    })
}

/// Approved tags belong to applications; a tag that names none approves nothing.
fn unknown_approved(plan: &Plan, prepared: &Prepared) -> Option<Warning> {
    let (lists, subjects) = (&prepared.enrich.lists, &prepared.enrich.subjects);
    let known = |tag: &str| tag.split_once(':').is_some_and(|(_, name)| lists.names(name));
    let all = plan.approved.iter().map(String::as_str).chain(subjects.approved_tags());
    let mut unknown: Vec<&str> = all.filter(|tag| !known(tag)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    let more = match unknown.len() {
        0 => return None,
        n @ 1..=5 => unknown.get(..n).unwrap_or_default().join(", "),
        n => format!("{} and {} more", unknown.get(..5).unwrap_or_default().join(", "), n - 5),
    };
    let text = format!(
        "approved, but no application has that tag: {more}; `longhaul protocols` lists tags such \
         as rmm:teamviewer"
    );
    Some(Warning::new("unknown-approved", text))
}
