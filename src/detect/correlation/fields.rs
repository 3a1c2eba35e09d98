//! The fields that correlations read of the events of each rule.
//!
//! Owns: aliases and chains down to single rules. In: resolved references. Out: for each rule what
//! is read of its events. Never: a field that the events do not have, or that has several values.

use std::collections::BTreeMap;

use crate::detect::correlation::naming::{Naming, Target};
use crate::detect::correlation::parts::{Counted, PartMaker};
use crate::detect::correlation::shape::Kind;
use crate::detect::known_field::known_field;
use crate::detect::rule::Built;
use crate::model::endpoint::EndpointRow;
use crate::model::schema::{self, Field, Judged, Kind as Type};
use crate::model::{Error, Record};

/// What is read of the events of a rule.
#[derive(Clone, Debug, Default)]
pub(in crate::detect) struct Makers {
    pub(in crate::detect) sessions: Vec<PartMaker<Record>>,
    pub(in crate::detect) endpoints: Vec<PartMaker<EndpointRow>>,
}

/// A field of that name, of whatever kind of event.
pub(super) fn name_of_field(name: &str) -> Option<&'static str> {
    let of_sessions = schema::find(name).map(|field| field.name);
    of_sessions.or_else(|| schema::find_in::<EndpointRow>(name).map(|field| field.name))
}

/// The unit of a field.
pub(super) fn unit_of(name: &str) -> &'static str {
    let of_sessions = schema::find(name).map(|field| field.unit);
    let unit = of_sessions.or_else(|| schema::find_in::<EndpointRow>(name).map(|f| f.unit));
    unit.unwrap_or("")
}

/// Makes what is read of each rule's events.
pub(super) fn makers(
    naming: &Naming<'_>,
    rules: &[Built],
    all: &mut BTreeMap<String, Makers>,
    errors: &mut Vec<Error>,
) {
    for at in 0..naming.wanted.len() {
        check_aliases(naming, at, errors);
        for position in 0..naming.targets.get(at).map_or(0, Vec::len) {
            for rule in below(naming, at, position) {
                let Some(built) = rules.get(rule) else { continue };
                let of_rule = all.entry(built.rule().info().uuid.clone()).or_default();
                let reading = Reading { naming, at, position };
                let made = match built {
                    Built::Session(_) => reading.maker().map(|maker| of_rule.sessions.push(maker)),
                    Built::Endpoint(_) => {
                        reading.maker().map(|maker| of_rule.endpoints.push(maker))
                    }
                };
                let new = made.err().into_iter().flatten().filter(|e| !errors.contains(e));
                errors.extend(new.collect::<Vec<_>>());
            }
        }
    }
    for makers in all.values_mut() {
        // What fires first counts for the next.
        makers.sessions.sort_by_key(|maker| (maker.depth, maker.of));
        makers.endpoints.sort_by_key(|maker| (maker.depth, maker.of));
    }
}

/// The rules whose events reach a correlation by what it names at a position.
fn below(naming: &Naming<'_>, at: usize, position: usize) -> Vec<usize> {
    let target = |at: usize, position: usize| *naming.targets.get(at)?.get(position)?;
    let (mut rules, mut open, mut seen) = (Vec::new(), vec![target(at, position)], Vec::new());
    while let Some(next) = open.pop() {
        match next {
            Some(Target::Rule(rule)) if !rules.contains(&rule) => rules.push(rule),
            Some(Target::Correlation(to)) if !seen.contains(&to) => {
                seen.push(to);
                open.extend(naming.targets.get(to).into_iter().flatten());
            }
            _ => {}
        }
    }
    rules
}

fn check_aliases(naming: &Naming<'_>, at: usize, errors: &mut Vec<Error>) {
    let Some(one) = naming.wanted.get(at) else { return };
    let line = one.doc.child("correlation", "aliases");
    for (alias, fields) in &one.section.aliases {
        let mut refuse = |near: &str, cause: String, help: &str| {
            errors.push(one.doc.refuse(one.doc.text(line, near), cause).help(help));
        };
        for (rule, _) in fields.iter().filter(|(rule, _)| !one.section.rules.contains(rule)) {
            let cause = format!("alias `{alias}`: rule `{rule}` is not one of `rules`");
            refuse(rule, cause, "name it there too, in the same words");
        }
        for rule in
            one.section.rules.iter().filter(|rule| !fields.iter().any(|(of, _)| of == *rule))
        {
            let cause = format!("alias `{alias}` has no field of rule `{rule}`");
            refuse(alias, cause, "name the field that it stands for in the events of that rule");
        }
        let used = one.section.group_by.contains(alias) || one.section.fields.contains(alias);
        if !used {
            let cause = format!("alias `{alias}` is not used");
            refuse(alias, cause, "name it under `group-by`, or take it away");
        }
    }
}

/// One correlation, and which of its rules an event is of.
struct Reading<'a> {
    naming: &'a Naming<'a>,
    at: usize,
    position: usize,
}

impl Reading<'_> {
    fn maker<S: Judged>(&self) -> Result<PartMaker<S>, Vec<Error>> {
        let (at, naming) = (self.at, self.naming);
        let Some(one) = naming.wanted.get(at) else { return Err(Vec::new()) };
        let mut errors = Vec::new();
        let mut fields = |key: &str, names: &[String], is_number: bool| {
            let mut all: Vec<&'static Field<S>> = Vec::new();
            for name in names {
                match self.field(name, is_number) {
                    Ok(field) => all.push(field),
                    Err((near, cause, help)) => {
                        let is_alias = one.section.aliases.iter().any(|(have, _)| have == name);
                        let block = if is_alias { "aliases" } else { key };
                        let line = one.doc.text(one.doc.child("correlation", block), &near);
                        errors.push(one.doc.refuse(line, format!("{key}: {cause}")).help(help));
                    }
                }
            }
            all
        };
        let kind = one.section.kind;
        let is_number = matches!(kind, Kind::ValueSum | Kind::ValueAvg | Kind::ValuePercentile);
        let group = fields("group-by", &one.section.group_by, false);
        let of_values = fields("condition", &one.section.fields, is_number);
        if !errors.is_empty() {
            return Err(errors);
        }
        let via = match naming.targets.get(at).and_then(|of| of.get(self.position)) {
            Some(Some(Target::Correlation(to))) => naming.prints.get(*to).copied(),
            _ => None,
        };
        let counted = match (kind, of_values.first()) {
            (Kind::ValueCount, _) => Counted::Distinct(of_values),
            (Kind::ValueSum | Kind::ValueAvg | Kind::ValuePercentile, Some(field)) => {
                Counted::Number(field)
            }
            _ => Counted::Position(self.position as u64),
        };
        let of = naming.prints.get(at).copied().unwrap_or_default();
        let depth = naming.depths.get(at).copied().unwrap_or_default();
        Ok(PartMaker { of, via, depth, group, counted })
    }

    /// The field of a name or alias; else the text near it, the cause and the help.
    fn field<S: Judged>(
        &self,
        name: &str,
        is_number: bool,
    ) -> Result<&'static Field<S>, (String, String, String)> {
        let one = self.naming.wanted.get(self.at);
        let rule = one.and_then(|one| one.section.rules.get(self.position));
        let alias = one.and_then(|one| one.section.aliases.iter().find(|(have, _)| have == name));
        let of_rule = alias.and_then(|(_, fields)| fields.iter().find(|(of, _)| Some(of) == rule));
        let real = of_rule.map_or(name, |(_, field)| field.as_str());
        let field: &'static Field<S> = known_field(real).map_err(|(cause, help)| {
            let rule = rule.map_or("", String::as_str);
            (real.to_owned(), format!("{cause} of rule `{rule}`, a {}", S::SERVICE), help)
        })?;
        let wrong = match field.kind {
            Type::Texts | Type::Ips => "has several values",
            Type::Int | Type::Signed | Type::Float => return Ok(field),
            _ if is_number => "is no number",
            _ => return Ok(field),
        };
        let help = format!("it is of type {}", field.kind.as_str());
        Err((real.to_owned(), format!("`{real}` {wrong}"), help))
    }
}
