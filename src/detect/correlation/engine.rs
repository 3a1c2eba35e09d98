//! Counts what workers saw.
//!
//! Owns: the correlations of a rule set. In: events in the order of the run, the state of the run.
//! Out: alerts. Never: an event that its session has told before.

use std::sync::Arc;

use crate::detect::correlation::definition::{Correlation, Part};
use crate::detect::correlation::parts::PartMaker;
use crate::detect::correlation::seen::{Event, Seen};
use crate::detect::correlation::shape::Entry;
use crate::detect::correlation::state::State;
use crate::detect::correlation::window::Hit;
use crate::detect::rule::Rule;
use crate::model::{Alert, SourceInfo};

/// A correlation that fires, and the part of the event that made it.
pub(in crate::detect) struct Fired<'c, 'p> {
    pub(in crate::detect) correlation: &'c Correlation,
    pub(in crate::detect) part: &'p Part,
    pub(in crate::detect) hit: Hit,
}

/// The correlations of a rule set. Immutable; shared between workers.
#[derive(Debug, Default)]
pub struct Correlations {
    /// By fingerprint.
    all: Vec<Correlation>,
    sources: Vec<SourceInfo>,
}

impl Correlations {
    pub(in crate::detect) fn new(
        mut all: Vec<Correlation>,
        sources: Vec<SourceInfo>,
    ) -> Correlations {
        all.sort_unstable_by_key(|one| one.fingerprint);
        Correlations { all, sources }
    }

    /// Each of them, to be changed.
    pub(in crate::detect) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Correlation> {
        self.all.iter_mut()
    }

    /// The rules of those that raise alerts.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.all.iter().filter(|one| one.stands).map(|one| &one.rule)
    }

    /// All of them.
    pub(in crate::detect) fn as_slice(&self) -> &[Correlation] {
        &self.all
    }

    /// What is read for correlations, each with the correlation's rule.
    pub(in crate::detect) fn with_rules<S>(
        &self,
        makers: Vec<PartMaker<S>>,
    ) -> Vec<(PartMaker<S>, Arc<Rule>)> {
        let with = |maker: PartMaker<S>| {
            let rule = Arc::clone(&self.find(maker.of)?.rule);
            Some((maker, rule))
        };
        makers.into_iter().filter_map(with).collect()
    }

    /// The correlation of a fingerprint.
    pub(in crate::detect) fn find(&self, fingerprint: u64) -> Option<&Correlation> {
        let at = self.all.binary_search_by_key(&fingerprint, |one| one.fingerprint).ok()?;
        self.all.get(at)
    }

    /// Counts an event; what fires counts for the next of a chain.
    pub(in crate::detect) fn count<'c, 'p>(
        &'c self,
        state: &mut State,
        event: &'p Event,
    ) -> Vec<Fired<'c, 'p>> {
        let mut fired: Vec<Fired<'c, 'p>> = Vec::new();
        for part in &event.parts {
            let time = match part.via {
                None => event.time,
                Some(via) => {
                    let first = fired.iter().find(|one| one.correlation.fingerprint == via);
                    let Some(first) = first else { continue };
                    first.hit.time
                }
            };
            // Of rules that were replaced while the event was on its way.
            let Some(correlation) = self.find(part.of) else { continue };
            let entry = Entry::new(time, part.value, event.session);
            let (shape, level) = (&correlation.shape, correlation.rule.info().level);
            let holds = |have: f64| correlation.condition.holds(have);
            let key = (part.of, part.key);
            if let Some(hit) = state.add(key, entry, (shape, level), &holds) {
                fired.push(Fired { correlation, part, hit });
            }
        }
        fired
    }

    /// Counts what a worker has seen, and raises what follows.
    pub(in crate::detect) fn observe(&self, state: &mut State, seen: &Seen) -> Vec<Alert> {
        let fired = self.count(state, &seen.event);
        let stands = fired.into_iter().filter(|one| one.correlation.stands);
        let raise = |one: Fired<'_, '_>| {
            let source = self.sources.get(one.correlation.origin)?;
            Some(one.correlation.raise(&one.hit, one.part, (&seen.alert, source)))
        };
        stands.filter_map(raise).collect()
    }
}
