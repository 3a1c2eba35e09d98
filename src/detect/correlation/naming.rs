//! What correlations name, by place.

use std::collections::BTreeSet;

use rsigma_parser::SigmaRule;

use crate::detect::correlation::read::Section;
use crate::detect::rule::Rule;
use crate::detect::yaml_spans::Document;

/// A correlation that was read.
pub(in crate::detect) struct Wanted {
    pub(in crate::detect) rule: Rule,
    pub(in crate::detect) message: String,
    pub(in crate::detect) section: Section,
    pub(in crate::detect) doc: Document,
}

/// Rules that were not built: nobody can say whether names of them are right.
pub(in crate::detect) struct Broken {
    names: BTreeSet<String>,
    /// Some have not even a name.
    any: bool,
}

impl Broken {
    /// None yet that has a name.
    pub(in crate::detect) fn new(any: bool) -> Broken {
        Broken { names: BTreeSet::new(), any }
    }

    pub(in crate::detect) fn add(&mut self, sigma: &SigmaRule) {
        self.names.extend([&sigma.id, &sigma.name].into_iter().flatten().cloned());
    }

    pub(super) fn may_be(&self, name: &str) -> bool {
        self.any || self.names.contains(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.any && self.names.is_empty()
    }
}

/// What is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Rule(usize),
    Correlation(usize),
}

/// Everything that is known of the names in correlations.
pub(super) struct Naming<'a> {
    pub(super) wanted: &'a [Wanted],
    pub(super) targets: &'a [Vec<Option<Target>>],
    pub(super) depths: &'a [usize],
    pub(super) prints: &'a [u64],
}
