//! One rule: its Sigma metadata, our keys under `longhaul:`, and its compiled tests.
//!
//! Owns: what a rule is once it is loaded, and how a site weighs it. In: checked metadata. Out: a
//! [`Rule`]. Never: touches a record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::detect::case::Values;
use crate::detect::predicate::Node;
use crate::detect::template::Template;
use crate::model::alert::EvidenceField;
use crate::model::endpoint::EndpointRow;
use crate::model::likelihood::Row;
use crate::model::schema::{Field, Judged};
use crate::model::{Likelihood, Nanos, Record, RuleInfo};

/// A list older than this at the packet's time halves a rule's evidence, unless it sets another
/// age.
pub const LIST_AGE_DAYS_MAX: u32 = 30;

/// Where the likelihood ratio of a rule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatioOf {
    /// The table of the program or of the site.
    Table,
    /// The rule itself.
    Rule,
    /// Nowhere: it is a cautious default.
    Nothing,
}

/// The metadata of a rule.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) info: Arc<RuleInfo>,
    pub(super) service: &'static str,
    pub(super) list_age_days_max: u32,
    /// Where its likelihood ratio comes from.
    pub(super) ratio_of: RatioOf,
    /// Its ratio where a tag of a benign explanation holds.
    pub(super) tagged: BTreeMap<String, f64>,
    /// It judges unless a site switches it off; else only where a site switches it on.
    pub(super) enabled: bool,
    /// The date of its last change, if given.
    pub(super) dated: Option<Nanos>,
    pub(super) description: String,
    pub(super) file: PathBuf,
    pub(super) line: u32,
    /// What its author hardly means: line, text.
    pub(super) notes: Vec<(u32, String)>,
}

/// A rule and its tests, compiled onto the fields of what it judges.
#[derive(Debug)]
pub(super) struct Compiled<S: Judged> {
    pub(super) rule: Arc<Rule>,
    pub(super) when: Node<S>,
    pub(super) message: Template<S>,
    pub(super) evidence: Vec<(&'static Field<S>, EvidenceField)>,
    /// Fields whose values make alerts of one subject repetitions; if empty, each alert is its own.
    pub(super) merge_by: Vec<&'static Field<S>>,
    /// How many repetitions within a day make an alert.
    pub(super) at_least: u64,
    /// Alerts are about the responder, whoever spoke with it.
    pub(super) is_about_responder: bool,
    /// It raises alerts of its own; else only correlations use it.
    pub(super) stands: bool,
    /// Index of its origin.
    pub(super) origin: usize,
}

impl<S: Judged> Compiled<S> {
    /// The values that repetitions have in common; an absent one is empty.
    pub(super) fn common(&self, of: &impl Values<S>) -> String {
        let texts = self.merge_by.iter().map(|field| of.value(field).to_text());
        texts.collect::<Vec<String>>().join("\n")
    }
}

/// A rule by what it judges.
#[derive(Debug)]
pub(super) enum Built {
    Session(Compiled<Record>),
    Endpoint(Compiled<EndpointRow>),
}

impl Built {
    pub(super) fn rule(&self) -> &Arc<Rule> {
        match self {
            Built::Session(compiled) => &compiled.rule,
            Built::Endpoint(compiled) => &compiled.rule,
        }
    }

    /// Takes over what the table says of it.
    pub(super) fn weigh(&mut self, table: &Likelihood, of_site: bool) {
        let info = &self.rule().info;
        let Some(row) = table.row(&info.id, info.level) else { return };
        match self {
            Built::Session(compiled) => Arc::make_mut(&mut compiled.rule).weigh(row, of_site),
            Built::Endpoint(compiled) => Arc::make_mut(&mut compiled.rule).weigh(row, of_site),
        }
    }

    pub(super) const fn set_stands(&mut self, stands: bool) {
        match self {
            Built::Session(compiled) => compiled.stands = stands,
            Built::Endpoint(compiled) => compiled.stands = stands,
        }
    }

    pub(super) fn set_origin(&mut self, origin: usize) {
        match self {
            Built::Session(compiled) => compiled.origin = origin,
            Built::Endpoint(compiled) => compiled.origin = origin,
        }
    }
}

impl Rule {
    /// What it judges: `session` or `endpoint`; or `correlation`.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// What is the same for all its alerts.
    pub fn info(&self) -> &Arc<RuleInfo> {
        &self.info
    }

    /// Where its likelihood ratio comes from.
    pub fn ratio_of(&self) -> RatioOf {
        self.ratio_of
    }

    /// Whether it judges where a site says nothing of it.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether it has what an alert of its own needs.
    pub(super) fn is_whole(&self) -> bool {
        !self.info.id.is_empty()
    }

    /// Takes over what the table says of it. A ratio of its own stands unless a site sets another.
    pub(super) fn weigh(&mut self, row: &Row, of_site: bool) {
        let mut info = RuleInfo::clone(&self.info);
        let free = self.ratio_of != RatioOf::Rule || of_site;
        if let Some(ratio) = row.ratio.filter(|_| free) {
            (info.ratio, self.ratio_of) = (ratio, RatioOf::Table);
        }
        info.group = row.group.filter(|_| free).unwrap_or(info.group);
        info.alone = row.alone.unwrap_or(info.alone);
        self.tagged.extend(row.tagged.clone());
        self.info = Arc::new(info);
    }

    /// Sigma `description`.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Its file; for the embedded rules, relative to `rules/`.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What its author hardly means: line, text.
    pub fn notes(&self) -> &[(u32, String)] {
        &self.notes
    }

    /// Its first line.
    pub fn line(&self) -> u32 {
        self.line
    }
}
