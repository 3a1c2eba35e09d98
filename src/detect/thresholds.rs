//! Thresholds of rules, and those that a site sets in their place.
//!
//! Owns: which comparisons have a threshold, by number and level of the rule and by field. In:
//! rules, the site's numbers. Out: the same rules with these. Never: a number that changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::detect::correlation::{Compare, Condition, Wanted};
use crate::detect::did_you_mean::{did_you_mean, nearest};
use crate::detect::predicate::{Node, Order, Prefix, Test};
use crate::detect::rule::{Built, Compiled, Rule};
use crate::model::endpoint::EndpointRow;
use crate::model::schema::{Judged, find_in};
use crate::model::site_values::{Numbers, SiteValues};
use crate::model::{Error, Level, Record, RuleInfo};

/// What a correlation compares.
const VALUE: &str = "value";

/// A number that a rule compares with.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The field, or `value` of a correlation.
    pub field: String,
    /// `gt`, `gte`, `lt`, `lte`; of correlations also `eq` and `neq`.
    pub order: &'static str,
    /// The number.
    pub bound: f64,
    /// Its unit.
    pub unit: &'static str,
}

const fn word(order: Order) -> Option<&'static str> {
    match order {
        Order::Equal => None,
        Order::Greater => Some("gt"),
        Order::AtLeast => Some("gte"),
        Order::Less => Some("lt"),
        Order::AtMost => Some("lte"),
    }
}

/// The thresholds of a condition.
pub(super) fn of_node<S: Judged>(when: &Node<S>) -> Vec<Threshold> {
    let mut leaves = Vec::new();
    when.leaves(&mut leaves);
    let mut all: Vec<Threshold> = Vec::new();
    for (field, test) in leaves {
        let Test::Number(order, bound) = test else { continue };
        let Some(order) = word(*order) else { continue };
        let (field, unit) = (field.name.to_owned(), field.unit);
        let one = Threshold { field, order, bound: *bound, unit };
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

/// The thresholds of a correlation.
pub(super) fn of_condition(condition: &Condition, unit: &'static str) -> Vec<Threshold> {
    let one = |(compare, bound): &(Compare, f64)| {
        let order = Compare::ALL.iter().find(|(_, of)| of == compare).map(|(word, _)| *word)?;
        Some(Threshold { field: VALUE.to_owned(), order, bound: *bound, unit })
    };
    condition.0.iter().filter_map(one).collect()
}

/// What is wrong with a site's numbers.
#[derive(Default)]
struct Faults {
    errors: Vec<Error>,
    /// Thresholds that a rule lacks; another rule of its number and level may have them.
    missing: BTreeMap<(String, String), Error>,
    found: BTreeSet<(String, String)>,
}

impl Faults {
    fn into_errors(self) -> Vec<Error> {
        let lost = self.missing.into_iter().filter(|(name, _)| !self.found.contains(name));
        self.errors.into_iter().chain(lost.map(|(_, error)| error)).collect()
    }
}

/// Sets the site's numbers. Returns what is wrong with them.
pub(super) fn apply(
    rules: &mut [Built],
    wanted: &mut [Wanted],
    site: &SiteValues,
) -> Result<(), Vec<Error>> {
    let mut faults = Faults::default();
    let known: Vec<RuleInfo> = rules
        .iter()
        .map(|built| RuleInfo::clone(built.rule().info()))
        .chain(wanted.iter().map(|one| RuleInfo::clone(one.rule.info())))
        .collect();
    for numbers in [&site.thresholds].into_iter().chain(site.groups.iter().map(|g| &g.numbers)) {
        check_rules(numbers, &known, &mut faults.errors);
    }
    for built in rules.iter_mut() {
        match built {
            Built::Session(compiled) => of_rule(compiled, site, &mut faults),
            Built::Endpoint(compiled) => of_rule(compiled, site, &mut faults),
        }
    }
    for one in wanted.iter_mut() {
        of_correlation(one, site, &mut faults.errors);
    }
    let place = |error: Error| match &site.place {
        Some((file, line)) => error.at(file, *line),
        None => error,
    };
    let errors = faults.into_errors();
    if errors.is_empty() { Ok(()) } else { Err(errors.into_iter().map(place).collect()) }
}

/// The numbers for a rule, by its number or its UUID.
fn own<'n>(
    numbers: &'n Numbers,
    info: &RuleInfo,
) -> impl Iterator<Item = (&'n String, &'n f64)> + use<'n> {
    let level = info.level;
    let keys = [(info.id.clone(), level), (info.uuid.clone(), level)];
    keys.into_iter().filter_map(|key| numbers.get(&key)).flatten()
}

/// Thresholds by number (or UUID) and level of a rule.
pub(super) type Table = BTreeMap<(String, Level), Vec<Threshold>>;

/// What rules compare with, by number and level; rules of one number that compare one field with
/// different numbers, by UUID.
pub(super) fn table(all: &[(&RuleInfo, Vec<Threshold>)]) -> Table {
    let differ = |a: &Threshold, b: &Threshold| {
        (&a.field, a.order) == (&b.field, b.order) && a.bound.total_cmp(&b.bound).is_ne()
    };
    let mut table = Table::new();
    for (info, own) in all {
        let clashes = all.iter().any(|(other, theirs)| {
            (&other.id, other.level) == (&info.id, info.level)
                && other.uuid != info.uuid
                && own.iter().any(|one| theirs.iter().any(|their| differ(one, their)))
        });
        let name = if clashes { info.uuid.clone() } else { info.id.clone() };
        let of_name = table.entry((name, info.level)).or_default();
        for one in own {
            if !of_name.contains(one) {
                of_name.push(one.clone());
            }
        }
    }
    table.retain(|_, of_name| !of_name.is_empty());
    table
}

fn what(info: &RuleInfo) -> String {
    format!("thresholds.rules.{}.{}", info.id, info.level.as_str())
}

fn check_rules(numbers: &Numbers, known: &[RuleInfo], errors: &mut Vec<Error>) {
    for (number, level) in numbers.keys() {
        let is_it = |info: &RuleInfo| info.id == *number || info.uuid == *number;
        if known.iter().any(|info| is_it(info) && info.level == *level) {
            continue;
        }
        let what = format!("thresholds.rules.{number}.{}", level.as_str());
        let levels: Vec<&str> =
            known.iter().filter(|info| is_it(info)).map(|info| info.level.as_str()).collect();
        let help = match levels.is_empty() {
            true => {
                let near = nearest(number, known.iter().map(|info| info.id.as_str()));
                did_you_mean(near, "`longhaul rules list` shows the rules")
            }
            false => format!("its levels are: {}", levels.join(", ")),
        };
        errors.push(Error::new(what, "there is no such rule").help(help));
    }
}

fn of_rule<S: Judged>(compiled: &mut Compiled<S>, site: &SiteValues, faults: &mut Faults) {
    let info = Arc::clone(compiled.rule.info());
    for (field, bound) in set(&mut compiled.when, (&info, &site.thresholds), faults) {
        show(compiled, &field, Some(bound));
    }
    for group in site.groups.iter().rev().filter(|of| own(&of.numbers, &info).next().is_some()) {
        let mut theirs = compiled.when.clone();
        let changed = set(&mut theirs, (&info, &group.numbers), faults);
        let Some(there) = within::<S>(&group.networks, &what(&info), &mut faults.errors) else {
            continue;
        };
        let others = std::mem::replace(&mut compiled.when, Node::Any(Box::new([])));
        let there = there.named();
        compiled.when = Node::Any(Box::new([
            Node::all(vec![there.clone(), theirs]),
            Node::all(vec![there.negated(), others]),
        ]));
        // Which of the numbers decided is not told.
        changed.iter().for_each(|(field, _)| show(compiled, field, None));
    }
}

/// Sets the numbers of a rule; returns fields and numbers.
fn set<S: Judged>(
    when: &mut Node<S>,
    (info, numbers): (&RuleInfo, &Numbers),
    faults: &mut Faults,
) -> Vec<(String, f64)> {
    let mut changed: Vec<(String, f64)> = Vec::new();
    for (name, bound) in own(numbers, info) {
        let of = (what(info), name.clone());
        match replace(when, name, *bound) {
            Ok(field) => {
                faults.found.insert(of);
                changed.push((field, *bound));
            }
            Err((true, cause, help)) => {
                let error = Error::new(what(info), cause).help(help);
                faults.missing.insert(of, error);
            }
            Err((false, cause, help)) => {
                faults.errors.push(Error::new(what(info), cause).help(help));
            }
        }
    }
    changed
}

/// Shows another threshold with the evidence.
fn show<S: Judged>(compiled: &mut Compiled<S>, field: &str, bound: Option<f64>) {
    for (of, item) in &mut compiled.evidence {
        if of.name == field && item.threshold.is_some() {
            item.threshold = bound;
        }
    }
    let mut info = RuleInfo::clone(compiled.rule.info());
    info.evidence = compiled.evidence.iter().map(|(_, item)| item.clone()).collect();
    let rule = Rule { info: Arc::new(info), ..Rule::clone(&compiled.rule) };
    compiled.rule = Arc::new(rule);
}

/// Whether an end is in one of these networks.
fn within<S: Judged>(networks: &[String], what: &str, errors: &mut Vec<Error>) -> Option<Node<S>> {
    let mut tests = Vec::new();
    for text in networks {
        let single = text.parse::<IpAddr>().ok().map(|ip| match ip {
            IpAddr::V4(_) => format!("{ip}/32"),
            IpAddr::V6(_) => format!("{ip}/128"),
        });
        match Prefix::parse(single.as_ref().unwrap_or(text)) {
            Some(prefix) => tests.push(Test::Inside(prefix)),
            None => {
                let help = "write address and length: `192.0.2.0/24`, `2001:db8::/32`";
                let cause = format!("`{text}` is no prefix");
                errors.push(Error::new(what, cause).help(help));
                return None;
            }
        }
    }
    let ends: &[&str] = match S::SERVICE {
        Record::SERVICE => &["source.ip", "destination.ip"],
        EndpointRow::SERVICE => &["endpoint.ip"],
        _ => &[],
    };
    let fields = ends.iter().filter_map(|name| find_in::<S>(name));
    let node = |field| Node::Is(field, Test::AnyOf(tests.clone().into()));
    Some(Node::Any(fields.map(node).collect()))
}

/// Replaces a threshold; `name` is a field, or a field and its comparison (`field|gte`). Returns
/// the field; or whether it is missing, the cause and the help.
fn replace<S: Judged>(
    when: &mut Node<S>,
    name: &str,
    bound: f64,
) -> Result<String, (bool, String, String)> {
    let (field, order) = split(name);
    let all = of_node(when);
    let fits = |one: &&Threshold| one.field == field && order.is_none_or(|of| of == one.order);
    let found: Vec<&Threshold> = all.iter().filter(fits).collect();
    match found.as_slice() {
        [] => {
            let near = nearest(field, all.iter().map(|one| one.field.as_str()));
            let names: Vec<&str> = all.iter().map(|one| one.field.as_str()).collect();
            let otherwise = match names.is_empty() {
                true => "it compares nothing with a number".to_owned(),
                false => format!("it compares: {}", names.join(", ")),
            };
            let cause = format!("the rule has no threshold of `{name}`");
            Err((true, cause, did_you_mean(near, &otherwise)))
        }
        [_] => {
            write(when, (field, order), bound);
            Ok(field.to_owned())
        }
        several => {
            let orders: Vec<String> =
                several.iter().map(|one| format!("{} {}", one.order, one.bound)).collect();
            let help = format!("say which, as `{field}|gte`; of several of one kind none");
            let cause = format!("`{field}` has several thresholds: {}", orders.join(", "));
            Err((false, cause, help))
        }
    }
}

fn split(name: &str) -> (&str, Option<&str>) {
    name.split_once('|').map_or((name, None), |(field, order)| (field, Some(order)))
}

fn write<S: Judged>(node: &mut Node<S>, name: (&str, Option<&str>), bound: f64) {
    match node {
        Node::Is(field, Test::Number(order, have)) => {
            let of = word(*order).filter(|of| name.1.is_none_or(|wanted| wanted == *of));
            if field.name == name.0 && of.is_some() {
                *have = bound;
            }
        }
        Node::Present(..) | Node::Is(..) | Node::Same { .. } => {}
        Node::All(nodes) | Node::Any(nodes) | Node::AtLeast(_, nodes) => {
            nodes.iter_mut().for_each(|node| write(node, name, bound));
        }
        Node::Not(node) => write(node, name, bound),
        Node::Named(node, _) => write(Arc::make_mut(node), name, bound),
    }
}

/// A correlation has one number, `value`, for everybody.
fn of_correlation(one: &mut Wanted, site: &SiteValues, errors: &mut Vec<Error>) {
    let info = Arc::clone(one.rule.info());
    let mut refuse = |cause: String, help: &str| {
        errors.push(Error::new(what(&info), cause).help(help));
    };
    if site.groups.iter().any(|group| own(&group.numbers, &info).next().is_some()) {
        let cause = "a correlation has one threshold for all networks".to_owned();
        refuse(cause, "set it under `[thresholds]` itself");
    }
    for (name, bound) in own(&site.thresholds, &info) {
        let (field, order) = split(name);
        let condition = &mut one.section.condition;
        if field != VALUE {
            refuse(format!("the rule has no threshold of `{name}`"), "it compares: value");
        } else if let Err(cause) = condition.set(order, *bound) {
            refuse(cause, "say which, as `value|gte`, and a number that can be reached");
        }
    }
}
