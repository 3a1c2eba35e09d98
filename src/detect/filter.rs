//! Sigma filters: what a site leaves out of rules that are written elsewhere.
//!
//! Owns: which rules a filter is for. In: a parsed filter, the rules. Out: the rules, each with the
//! filter's condition beside its own. Never: a filter without effect.

use rsigma_parser::{FilterRule, FilterRuleTarget};

use crate::detect::compile::compile;
use crate::detect::did_you_mean::{did_you_mean, nearest};
use crate::detect::predicate::Node;
use crate::detect::rule::{Built, Compiled};
use crate::detect::yaml_spans::Document;
use crate::model::Error;
use crate::model::schema::Judged;
use crate::model::site_values::SiteValues;

/// Joins a filter to the rules that it names: these hold where its condition holds as well.
///
/// Errors: a rule that is not there, and what is wrong with the condition.
pub(super) fn apply(
    filter: &FilterRule,
    doc: &Document,
    rules: &mut [Built],
    site: &SiteValues,
) -> Result<(), Vec<Error>> {
    let mut errors = Vec::new();
    if doc.child("filter", "rules") == doc.top("filter") {
        let help = "list the ids of rules under `rules`, or write `any`";
        errors.push(doc.refuse(doc.top("filter"), "the filter names no rules").help(help));
    }
    let line = doc.child("filter", "rules");
    if let FilterRuleTarget::Specific(names) = &filter.rules {
        for name in names {
            if rules.iter().any(|built| is_named(built, name)) {
                continue;
            }
            let ids = rules.iter().map(|built| built.rule().info().uuid.as_str());
            let names = rules.iter().map(|built| built.rule().info().name.as_str());
            let near = nearest(name, ids.chain(names));
            let help = did_you_mean(near, "give the `id` or the `name` of a rule");
            let cause = format!("filter: there is no rule `{name}`");
            errors.push(doc.refuse(doc.text(line, name), cause).help(help));
        }
    }
    let service = filter.logsource.as_ref().and_then(|source| source.service.as_deref());
    for built in rules.iter_mut() {
        let wanted = match &filter.rules {
            FilterRuleTarget::Any => service.is_none_or(|of| of == built.rule().service()),
            FilterRuleTarget::Specific(names) => names.iter().any(|name| is_named(built, name)),
        };
        let joined = match built {
            _ if !wanted => Ok(()),
            Built::Session(compiled) => join(compiled, filter, doc, site),
            Built::Endpoint(compiled) => join(compiled, filter, doc, site),
        };
        // Each rule finds the same errors.
        let new = joined.err().into_iter().flatten().filter(|e| !errors.contains(e));
        errors.extend(new.collect::<Vec<_>>());
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn is_named(built: &Built, name: &str) -> bool {
    let info = built.rule().info();
    info.uuid.eq_ignore_ascii_case(name) || info.name == name
}

fn join<S: Judged>(
    compiled: &mut Compiled<S>,
    filter: &FilterRule,
    doc: &Document,
    site: &SiteValues,
) -> Result<(), Vec<Error>> {
    let (more, _) = compile::<S>(&filter.detection, doc, site)?;
    let own = std::mem::replace(&mut compiled.when, Node::Any(Box::new([])));
    compiled.when = Node::all(vec![own, more]);
    Ok(())
}
