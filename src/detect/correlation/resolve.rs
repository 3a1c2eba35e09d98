//! What correlations name in other documents.
//!
//! Owns: references to rules and to other correlations, aliases, the fields of each. In: sections,
//! and all rules. Out: correlations, and for each rule what is read of its events. Never: a
//! correlation that waits for itself; a name that means two rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detect::correlation::definition::Correlation;
use crate::detect::correlation::fields::{Makers, makers, name_of_field, unit_of};
use crate::detect::correlation::message::Message;
use crate::detect::correlation::naming::{Broken, Naming, Target, Wanted};
use crate::detect::correlation::read::COUNT_MAX;
use crate::detect::correlation::shape::{Kind, Shape};
use crate::detect::did_you_mean::{did_you_mean, nearest};
use crate::detect::rule::{Built, Rule};
use crate::model::Error;
use crate::model::id::siphash_128;

/// Most correlations of a rule set, and the longest chain of them.
const CORRELATIONS_MAX: usize = 1_024;
const DEPTH_MAX: usize = 8;

/// Most events of a group of a correlation that asks for few.
const EVENTS_MAX: usize = 1_024;

/// The correlations of a rule set, and by the UUID of a rule what is read of its events.
#[derive(Default)]
pub(in crate::detect) struct Resolved {
    pub(in crate::detect) correlations: Vec<Correlation>,
    pub(in crate::detect) makers: BTreeMap<String, Makers>,
}

/// Resolves all correlations of a rule set; says which rules raise no alerts of their own.
pub(in crate::detect) fn resolve(
    wanted: Vec<Wanted>,
    rules: &mut [Built],
    broken: &Broken,
) -> Result<Resolved, Vec<Error>> {
    let mut errors = Vec::new();
    if let Some(one) = wanted.get(CORRELATIONS_MAX) {
        let cause = format!("more than {CORRELATIONS_MAX} correlations");
        return Err(vec![one.doc.refuse(one.doc.top("correlation"), cause).help("leave some out")]);
    }
    let targets: Vec<Vec<Option<Target>>> =
        wanted.iter().map(|one| find_all(one, (rules, &wanted, broken), &mut errors)).collect();
    let depths = depths(&wanted, &targets, &mut errors);
    let prints: Vec<u64> =
        wanted.iter().zip(&targets).map(|(one, of)| fingerprint(one, of, rules, &wanted)).collect();
    let mut resolved = Resolved::default();
    let naming = Naming { wanted: &wanted, targets: &targets, depths: &depths, prints: &prints };
    if broken.is_empty() {
        errors.extend(unused(&naming, rules));
    }
    if errors.is_empty() {
        makers(&naming, rules, &mut resolved.makers, &mut errors);
    }
    let stands: Vec<bool> =
        (0..wanted.len()).map(|at| stands(&naming, Target::Correlation(at), rules)).collect();
    let silent: Vec<usize> =
        (0..rules.len()).filter(|at| !stands_alone(&naming, Target::Rule(*at), rules)).collect();
    for at in silent {
        if let Some(rule) = rules.get_mut(at) {
            rule.set_stands(false);
        }
    }
    let all = wanted.into_iter().zip(prints).zip(stands);
    for ((one, fingerprint), stands) in all {
        if let Some(correlation) = compile(one, fingerprint, stands, &mut errors) {
            resolved.correlations.push(correlation);
        }
    }
    if errors.is_empty() { Ok(resolved) } else { Err(errors) }
}

/// Rules that neither raise alerts nor are counted.
fn unused(naming: &Naming<'_>, rules: &[Built]) -> Vec<Error> {
    let is_named = |of: Target| naming.targets.iter().any(|named| named.contains(&Some(of)));
    let rules = rules.iter().enumerate();
    let rules = rules.map(|(at, built)| (Target::Rule(at), &**built.rule()));
    let others = naming.wanted.iter().enumerate();
    let others = others.map(|(at, one)| (Target::Correlation(at), &one.rule));
    let unused = rules.chain(others).filter(|(of, rule)| !rule.is_whole() && !is_named(*of));
    let error = |(_, rule): (Target, &Rule)| {
        let cause = "the rule has no `longhaul`, and no correlation counts it";
        let help = "add `longhaul:` with id, family, topologies, group, ratio, message and \
                    evidence; or name the rule in a correlation";
        Error::new("rule", cause).at(rule.file(), rule.line()).help(help)
    };
    unused.map(error).collect()
}

/// Whether a rule that is named still raises its own alerts: without `generate` those of the same
/// file do not.
fn stands_alone(naming: &Naming<'_>, of: Target, rules: &[Built]) -> bool {
    let file = match of {
        Target::Rule(at) => rules.get(at).map(|rule| rule.rule().file().to_path_buf()),
        Target::Correlation(at) => naming.wanted.get(at).map(|w| w.rule.file().to_path_buf()),
    };
    let mut named = naming.wanted.iter().zip(naming.targets).filter(|(one, targets)| {
        targets.contains(&Some(of)) && Some(one.rule.file()) == file.as_deref()
    });
    let (mut is_named, mut generates) = (false, false);
    for (one, _) in named.by_ref() {
        is_named = true;
        generates |= one.section.generate;
    }
    !is_named || generates
}

fn stands(naming: &Naming<'_>, of: Target, rules: &[Built]) -> bool {
    let whole = match of {
        Target::Correlation(at) => naming.wanted.get(at).is_some_and(|one| one.rule.is_whole()),
        Target::Rule(_) => true,
    };
    whole && stands_alone(naming, of, rules)
}

fn is_named(rule: &Rule, name: &str) -> bool {
    rule.info().uuid.eq_ignore_ascii_case(name) || rule.info().name == name
}

fn find_all(
    one: &Wanted,
    (rules, wanted, broken): (&[Built], &[Wanted], &Broken),
    errors: &mut Vec<Error>,
) -> Vec<Option<Target>> {
    let line = one.doc.child("correlation", "rules");
    let mut find = |name: &String| {
        let of_rules = rules.iter().enumerate().filter(|(_, rule)| is_named(rule.rule(), name));
        let of_rules = of_rules.map(|(at, _)| Target::Rule(at));
        let of_others = wanted.iter().enumerate().filter(|(_, other)| is_named(&other.rule, name));
        let all: Vec<Target> =
            of_rules.chain(of_others.map(|(at, _)| Target::Correlation(at))).collect();
        let (cause, help) = match all.as_slice() {
            [target] => return Some(*target),
            [] if broken.may_be(name) => return None,
            [] => {
                let known = rules.iter().map(|rule| &**rule.rule());
                let known = known.chain(wanted.iter().map(|other| &other.rule));
                let names = known.flat_map(|rule| [&*rule.info().uuid, &*rule.info().name]);
                let near = nearest(name, names);
                let help = did_you_mean(near, "give the `id` or the `name` of a rule");
                (format!("there is no rule `{name}`"), help)
            }
            several => {
                let ids = several.iter().filter_map(|target| match target {
                    Target::Rule(at) => rules.get(*at).map(|rule| &**rule.rule()),
                    Target::Correlation(at) => wanted.get(*at).map(|other| &other.rule),
                });
                let ids: Vec<&str> = ids.map(|rule| rule.info().uuid.as_str()).collect();
                let cause = format!("{} rules have the name `{name}`", several.len());
                (cause, format!("name one by its id: {}", ids.join(", ")))
            }
        };
        errors.push(one.doc.refuse(one.doc.text(line, name), cause).help(help));
        None
    };
    one.section.rules.iter().map(&mut find).collect()
}

/// How many correlations lead to each; circles are errors.
fn depths(
    wanted: &[Wanted],
    targets: &[Vec<Option<Target>>],
    errors: &mut Vec<Error>,
) -> Vec<usize> {
    let next = |at: usize| {
        let of = targets.get(at).into_iter().flatten();
        of.filter_map(|target| match target {
            Some(Target::Correlation(to)) => Some(*to),
            _ => None,
        })
    };
    let mut depths = vec![0; wanted.len()];
    // After as many rounds as there may be steps, whatever still grows is in a circle or too long.
    for _ in 0..=DEPTH_MAX {
        for at in 0..wanted.len() {
            let below = next(at).filter_map(|to| depths.get(to)).max().map_or(0, |deep| deep + 1);
            if let Some(depth) = depths.get_mut(at) {
                *depth = below.max(*depth).min(DEPTH_MAX + 1);
            }
        }
    }
    for (at, one) in wanted.iter().enumerate() {
        if depths.get(at).is_none_or(|depth| *depth <= DEPTH_MAX) {
            continue;
        }
        let line = one.doc.child("correlation", "rules");
        let error = match circle(at, &next) {
            Some(path) => {
                let name = |at: &usize| wanted.get(*at).map_or("", |one| &one.rule.info().name);
                let names: Vec<&str> = path.iter().map(name).collect();
                let cause = format!("correlations wait for each other: {}", names.join(" -> "));
                one.doc.refuse(line, cause).help("take one of these names out")
            }
            None => {
                let cause = format!("a chain of more than {DEPTH_MAX} correlations");
                one.doc.refuse(line, cause).help("shorten it")
            }
        };
        errors.push(error);
    }
    depths
}

/// The way from a correlation to itself, if there is one.
fn circle<I: Iterator<Item = usize>>(
    from: usize,
    next: &impl Fn(usize) -> I,
) -> Option<Vec<usize>> {
    let mut before: BTreeMap<usize, usize> = BTreeMap::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for to in next(at) {
            if to == from {
                let mut path = vec![from, at];
                while let Some(last) = path.last().copied().filter(|last| *last != from) {
                    path.push(before.get(&last).copied().unwrap_or(from));
                }
                if at == from {
                    path.truncate(2);
                }
                path.reverse();
                return Some(path);
            }
            if let std::collections::btree_map::Entry::Vacant(entry) = before.entry(to) {
                entry.insert(at);
                open.push(to);
            }
        }
    }
    None
}

/// What is counted, and of what: not how many, so that a changed threshold keeps the groups.
fn fingerprint(
    one: &Wanted,
    targets: &[Option<Target>],
    rules: &[Built],
    wanted: &[Wanted],
) -> u64 {
    let section = &one.section;
    let named: Vec<&str> = targets
        .iter()
        .filter_map(|target| match target {
            Some(Target::Rule(at)) => rules.get(*at).map(|rule| rule.rule().info().uuid.as_str()),
            Some(Target::Correlation(at)) => {
                wanted.get(*at).map(|other| other.rule.info().uuid.as_str())
            }
            None => None,
        })
        .collect();
    let text = format!(
        "{}\n{}\n{}\n{named:?}\n{:?}\n{:?}\n{:?}",
        one.rule.info().uuid,
        section.kind.as_str(),
        section.span,
        section.group_by,
        section.aliases,
        section.fields,
    );
    let [a, b, c, d, e, f, g, h, ..] = siphash_128(*b"longhaul counts.", text.as_bytes());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn compile(
    one: Wanted,
    fingerprint: u64,
    stands: bool,
    errors: &mut Vec<Error>,
) -> Option<Correlation> {
    let Wanted { rule, message, section, doc } = one;
    let names = &section.group_by;
    let message = Message::parse(&message, names).map_err(|(near, cause, help)| {
        let line = doc.text(doc.child("longhaul", "message"), &near);
        errors.push(doc.refuse(line, format!("message: {cause}")).help(help));
    });
    let of_fields = |name: &String| name_of_field(name);
    let shown = names.iter().map(of_fields).collect();
    let unit = section.fields.first().map_or("", |name| {
        let is_number = !matches!(section.kind, Kind::ValueCount);
        if is_number { unit_of(name) } else { "" }
    });
    let asked = section.condition.0.iter().map(|(_, bound)| *bound).fold(0.0, f64::max);
    let counts = matches!(section.kind, Kind::EventCount | Kind::ValueCount);
    let asked = if counts { asked.min(COUNT_MAX as f64) as usize } else { 0 };
    let shape = Shape {
        kind: section.kind,
        span: section.span,
        rules: section.rules.len(),
        percentile: section.percentile,
        cap: EVENTS_MAX.max(2 * (asked + 1)),
    };
    let rule = Arc::new(rule);
    let values = section.fields.len();
    let condition = section.condition;
    Some(Correlation {
        rule,
        fingerprint,
        shape,
        condition,
        unit,
        message: message.ok()?,
        shown,
        values,
        stands,
        origin: 0,
    })
}
