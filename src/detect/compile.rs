//! Compiles the syntax tree of a Sigma rule to a tree of tests on record fields.
//!
//! Owns: selections and conditions. In: the parser's tree. Out: a [`Node`], or every error.
//! Never: guesses: what it cannot evaluate exactly is refused.

use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Quantifier, SelectorPattern,
};

use crate::detect::compile_item::compile_item;
use crate::detect::did_you_mean::{did_you_mean, nearest};
use crate::detect::known_field::known_field;
use crate::detect::lint::can_hold;
use crate::detect::predicate::Node;
use crate::detect::yaml_spans::Document;
use crate::model::Error;
use crate::model::schema::Judged;
use crate::model::site_values::SiteValues;

/// Most selections of a rule: each is looked for in its text, which takes as long as the text is.
const SELECTIONS_MAX: usize = 1_024;

/// What its author hardly means: line, text.
pub(super) type Note = (u32, String);

/// Compiles the detection section of a rule; a list of conditions is joined by "or". Also says
/// what of it has no effect.
pub(super) fn compile<S: Judged>(
    detections: &Detections,
    doc: &Document,
    site: &SiteValues,
) -> Result<(Node<S>, Vec<Note>), Vec<Error>> {
    let mut names: Vec<&String> = detections.named.keys().collect();
    if names.len() > SELECTIONS_MAX {
        let cause = format!("{} selections are more than {SELECTIONS_MAX}", names.len());
        let help = "a field with a list of values takes the place of many selections";
        return Err(vec![doc.refuse(doc.section(""), cause).help(help)]);
    }
    names.sort_by_cached_key(|name| doc.section(name));
    let mut errors = Vec::new();
    let mut selections = Vec::new();
    for name in names {
        let Some(detection) = detections.named.get(name) else { continue };
        let mut compiler = Selection { name, doc, site, seen: Vec::new(), errors: &mut errors };
        let node = compiler.detection(detection);
        selections.push((name.as_str(), node.named()));
    }
    if detections.timeframe.is_some() {
        let line = doc.section("timeframe");
        let cause = format!("`timeframe` counts over several {}s", S::SERVICE);
        errors.push(
            doc.refuse(line, cause)
                .help(format!("a rule looks at one {}: correlations count", S::SERVICE)),
        );
    }
    let mut any = Vec::new();
    for condition in &detections.conditions {
        match self::condition(condition, &selections) {
            Ok(node) => any.push(node),
            Err((cause, help)) => {
                let line = doc.section("condition");
                errors.push(doc.refuse(line, cause).help(help));
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let when = if any.len() == 1 { any.remove(0) } else { Node::Any(any.into()) };
    let mut notes = Vec::new();
    if !can_hold(&when) {
        let line = doc.number(doc.section("condition"));
        notes.push((line, "the condition can never hold".to_owned()));
    }
    for (name, node) in &selections {
        let line = || doc.number(doc.section(name));
        if !detections.conditions.iter().any(|condition| uses(condition, name)) {
            notes.push((line(), format!("selection `{name}` is not used by the condition")));
        } else if !can_hold(node) {
            notes.push((line(), format!("selection `{name}` can never hold")));
        }
    }
    Ok((when, notes))
}

/// Whether a condition names a selection.
fn uses(expr: &ConditionExpr, name: &str) -> bool {
    match expr {
        ConditionExpr::And(all) | ConditionExpr::Or(all) => all.iter().any(|one| uses(one, name)),
        ConditionExpr::Not(one) => uses(one, name),
        ConditionExpr::Identifier(of) => of == name,
        ConditionExpr::Selector { pattern, .. } => pattern.matches_detection_name(name),
    }
}

struct Selection<'a> {
    name: &'a str,
    doc: &'a Document,
    site: &'a SiteValues,
    /// Fields met so far, in the order of the text: the nth use of a field has its own line.
    seen: Vec<&'a str>,
    errors: &'a mut Vec<Error>,
}

impl<'a> Selection<'a> {
    fn detection<S: Judged>(&mut self, detection: &'a Detection) -> Node<S> {
        match detection {
            Detection::AllOf(items) if items.is_empty() => self.refuse("it is empty"),
            Detection::AllOf(items) => {
                Node::all(items.iter().filter_map(|item| self.item(item)).collect())
            }
            Detection::AnyOf(all) if all.is_empty() => self.refuse("it is empty"),
            Detection::AnyOf(all) => Node::Any(all.iter().map(|one| self.detection(one)).collect()),
            Detection::And(all) => Node::all(all.iter().map(|one| self.detection(one)).collect()),
            Detection::Keywords(_) => self.refuse("keywords without a field are not supported"),
            Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {
                self.refuse("array blocks such as `field[any]` are not supported")
            }
        }
    }

    fn refuse<S: Judged>(&mut self, cause: &str) -> Node<S> {
        let line = self.doc.section(self.name);
        let cause = format!("selection `{}`: {cause}", self.name);
        let help = "write a mapping of fields to values; a list field matches by any of its values";
        self.errors.push(self.doc.refuse(line, cause).help(help));
        Node::Any(Box::new([]))
    }

    fn item<S: Judged>(&mut self, item: &'a DetectionItem) -> Option<Node<S>> {
        let name = item.field.name.as_deref().unwrap_or_default();
        let nth = self.seen.iter().filter(|seen| **seen == name).count();
        self.seen.push(name);
        // Searches the text: only for an error.
        let line = || self.doc.field(self.name, name, nth);
        match known_field(name) {
            Ok(field) => match compile_item(field, item, self.site) {
                Ok(node) => return Some(node),
                Err(refusal) => {
                    let line = match &refusal.value {
                        Some(value) => self.doc.text(line(), value),
                        None => line(),
                    };
                    self.errors.push(self.doc.refuse(line, refusal.cause).help(refusal.help));
                }
            },
            Err((cause, help)) => self.errors.push(self.doc.refuse(line(), cause).help(help)),
        }
        None
    }
}

fn condition<S: Judged>(
    expr: &ConditionExpr,
    selections: &[(&str, Node<S>)],
) -> Result<Node<S>, (String, String)> {
    let all_of = |all: &[ConditionExpr]| {
        all.iter().map(|one| condition(one, selections)).collect::<Result<Vec<_>, _>>()
    };
    match expr {
        ConditionExpr::And(all) => Ok(Node::all(all_of(all)?)),
        ConditionExpr::Or(all) => Ok(Node::Any(all_of(all)?.into())),
        ConditionExpr::Not(one) => {
            // Two of them are none, and many of them no depth.
            let (mut one, mut times) = (one, 1);
            while let ConditionExpr::Not(inner) = &**one {
                (one, times) = (inner, times + 1);
            }
            let node = condition(one, selections)?;
            Ok(if times % 2 == 0 { node } else { node.negated() })
        }
        ConditionExpr::Identifier(name) => {
            let found = selections.iter().find(|(have, _)| have == name);
            found.map(|(_, node)| node.clone()).ok_or_else(|| {
                let near = nearest(name, selections.iter().map(|(have, _)| *have));
                let help = did_you_mean(near, "the condition may name selections above it only");
                (format!("condition names `{name}`, which is no selection"), help)
            })
        }
        ConditionExpr::Selector { quantifier, pattern } => {
            let nodes: Vec<Node<S>> = selections
                .iter()
                .filter(|(name, _)| pattern.matches_detection_name(name))
                .map(|(_, node)| node.clone())
                .collect();
            selector(quantifier, pattern, nodes)
        }
    }
}

fn selector<S: Judged>(
    quantifier: &Quantifier,
    pattern: &SelectorPattern,
    nodes: Vec<Node<S>>,
) -> Result<Node<S>, (String, String)> {
    let refuse = |why: &str| {
        let help = "name at least as many selections as the condition asks for".to_owned();
        Err((format!("condition `{quantifier} of {pattern}`: {why}"), help))
    };
    if nodes.is_empty() {
        return refuse("no selection has such a name");
    }
    match quantifier {
        Quantifier::Any => Ok(Node::Any(nodes.into())),
        Quantifier::All => Ok(Node::all(nodes)),
        Quantifier::Count(n) => match usize::try_from(*n) {
            Ok(0) => refuse("it always holds"),
            Ok(n) if n <= nodes.len() => Ok(Node::AtLeast(n, nodes.into())),
            _ => refuse("there are fewer selections"),
        },
    }
}
