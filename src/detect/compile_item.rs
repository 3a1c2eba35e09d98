//! Compiles one line of a selection: field, modifiers, values.
//!
//! Owns: the checks of values. In: the parser's item. Out: a [`Node`], or one error. Never: a
//! value that can never match.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use rsigma_parser::{DetectionItem, Modifier, SigmaValue};

use crate::detect::did_you_mean::{did_you_mean, nearest};
use crate::detect::expand::expand;
use crate::detect::known_field::known_field;
use crate::detect::modifiers::{Flags, Operator, read_modifiers};
use crate::detect::pattern::{Anchor, Pattern};
use crate::detect::predicate::{Node, Order, Prefix, Test};
use crate::detect::refusal::{Refusal, refuse};
use crate::model::Addr;
use crate::model::schema::{Field, Judged, Kind};
use crate::model::site_values::SiteValues;

/// Maximum size of a compiled regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Compiles an item whose field is known. `neq` negates the whole item, so it also holds if the
/// field is absent, like `not` before a selection.
pub(super) fn compile_item<S: Judged>(
    field: &'static Field<S>,
    item: &DetectionItem,
    site: &SiteValues,
) -> Result<Node<S>, Refusal> {
    let (operator, flags) = read_modifiers(field, &item.field.modifiers)?;
    let node = if flags.other_field {
        compile_references(field, &item.values, (operator, flags))?
    } else if flags.expand {
        let values = expand(&item.values, site)?;
        compile_plain(field, &DetectionItem { values, ..item.clone() }, (operator, flags))?
    } else {
        compile_plain(field, item, (operator, flags))?
    };
    Ok(if flags.not_equal { Node::Not(Box::new(node)) } else { node })
}

fn compile_plain<S: Judged>(
    field: &'static Field<S>,
    item: &DetectionItem,
    (operator, flags): (Operator, Flags),
) -> Result<Node<S>, Refusal> {
    if operator == Operator::Exists {
        return match item.values.as_slice() {
            [SigmaValue::Bool(want)] => Ok(Node::Present(field, *want)),
            _ => refuse("`exists` takes one value", "write `true` or `false`"),
        };
    }
    if let [SigmaValue::Null] = item.values.as_slice() {
        return match item.field.modifiers.as_slice() {
            [] | [Modifier::Neq] => Ok(Node::Present(field, false)),
            _ => refuse(
                "`null` takes no modifier but `neq`",
                "`field: null` holds where the field is absent",
            ),
        };
    }
    if flags.all && item.values.len() < 2 {
        return refuse("`all` needs more than one value", "leave `all` out, or give a list");
    }
    let mut tests = Vec::new();
    for value in &item.values {
        let test = compile_value(field, operator, flags, value);
        tests.push(test.map_err(|r| Refusal { value: Some(value.to_string()), ..r })?);
    }
    match (tests.len(), flags.all) {
        (0, _) => refuse(format!("`{}` has no value", field.name), "give one or a list"),
        (1, _) => Ok(Node::Is(field, tests.remove(0))),
        (_, true) => Ok(Node::Is(field, Test::AllOf(tests.into()))),
        (_, false) => Ok(Node::Is(field, Test::AnyOf(tests.into()))),
    }
}

/// Compares the field with others of the same event. It holds where both are present.
fn compile_references<S: Judged>(
    field: &'static Field<S>,
    values: &[SigmaValue],
    (operator, flags): (Operator, Flags),
) -> Result<Node<S>, Refusal> {
    let Operator::Text(anchor) = operator else {
        return refuse("`fieldref` compares fields", "leave the other modifiers out");
    };
    if flags.all && values.len() < 2 {
        return refuse("`all` needs more than one value", "leave `all` out, or give a list");
    }
    let mut nodes = Vec::new();
    for value in values {
        let SigmaValue::String(name) = value else {
            return refuse(format!("`{value}` is no field"), "write the name of a field");
        };
        let other: &'static Field<S> = known_field(&name.original)
            .map_err(|(cause, help)| Refusal { cause, help, value: Some(name.original.clone()) })?;
        if class(field.kind) != class(other.kind) {
            let types = (field.kind.as_str(), other.kind.as_str());
            let cause = format!("`{}` and `{}` can never be equal", field.name, other.name);
            return refuse(cause, format!("one is of type {}, the other {}", types.0, types.1));
        }
        nodes.push(Node::Same { field, other, anchor, cased: flags.cased });
    }
    match (nodes.len(), flags.all) {
        (0, _) => refuse(format!("`{}` has no value", field.name), "name a field"),
        (1, _) => Ok(nodes.remove(0)),
        (_, true) => Ok(Node::all(nodes)),
        (_, false) => Ok(Node::Any(nodes.into())),
    }
}

/// Types whose values may be equal.
const fn class(kind: Kind) -> u8 {
    match kind {
        Kind::Text | Kind::Word(_) | Kind::Texts => 0,
        Kind::Time | Kind::Date => 1,
        Kind::Int | Kind::Signed | Kind::Float => 2,
        Kind::Bool => 3,
        Kind::Ip | Kind::Ips => 4,
    }
}

fn compile_value<S>(
    field: &'static Field<S>,
    operator: Operator,
    flags: Flags,
    value: &SigmaValue,
) -> Result<Test, Refusal> {
    match (operator, value) {
        (_, SigmaValue::Null) => refuse(
            "`null` among other values",
            "write a selection of its own: `field: null` holds where the field is absent",
        ),
        (Operator::Regex, SigmaValue::String(text)) => compile_regex(&text.original, flags),
        (Operator::Inside, SigmaValue::String(text)) => match Prefix::parse(&text.original) {
            Some(prefix) => Ok(Test::Inside(prefix)),
            None => refuse(
                format!("`{text}` is no prefix"),
                "write address and length: `192.0.2.0/24`, `2001:db8::/32`",
            ),
        },
        (Operator::Order(order), value) => match number(value) {
            Some(bound) => Ok(match flags.part {
                Some(part) => Test::Calendar(part, order, bound),
                None => Test::Number(order, bound),
            }),
            None => refuse(format!("`{value}` is no number"), "write a number without quotes"),
        },
        (Operator::Text(anchor), value) => compile_text(field, anchor, flags, value),
        (_, value) => refuse(format!("`{value}` is no text"), "put the value in quotes"),
    }
}

fn number(value: &SigmaValue) -> Option<f64> {
    match value {
        SigmaValue::Integer(n) => Some(*n as f64),
        SigmaValue::Float(n) if n.is_finite() => Some(*n),
        _ => None,
    }
}

fn compile_text<S>(
    field: &'static Field<S>,
    anchor: Anchor,
    flags: Flags,
    value: &SigmaValue,
) -> Result<Test, Refusal> {
    let wrong = |help: &str| {
        refuse(format!("`{value}` does not fit `{}`: {}", field.name, field.kind.as_str()), help)
    };
    let text = match (field.kind, value) {
        (Kind::Int | Kind::Signed | Kind::Float, value) => {
            return match number(value) {
                Some(want) => Ok(Test::Number(Order::Equal, want)),
                None => wrong("write a number without quotes"),
            };
        }
        (Kind::Bool, SigmaValue::Bool(want)) => return Ok(Test::Flag(*want)),
        (Kind::Bool, _) => return wrong("write `true` or `false`"),
        (_, SigmaValue::String(text)) => text,
        _ => return wrong("put the value in quotes: YAML reads it as something else"),
    };
    let pattern = Pattern::new(&text.parts, anchor, flags.cased, flags.dashes);
    let whole = pattern.as_whole();
    match (field.kind, whole) {
        (Kind::Ip | Kind::Ips, Some(whole)) => match whole.parse::<std::net::IpAddr>() {
            Ok(ip) => Ok(Test::Address(Addr::from(ip))),
            Err(_) => wrong("write an address, or `cidr` and a prefix"),
        },
        (Kind::Word(words), Some(whole)) if !words.contains(&whole) => {
            let near = nearest(whole, words.iter().copied());
            wrong(&did_you_mean(near, &format!("one of: {}", words.join(", "))))
        }
        _ => Ok(Test::Text(pattern)),
    }
}

/// Patterns match bytes: names, banners and tags are ASCII, so Unicode tables are not worth their
/// size.
fn compile_regex(text: &str, flags: Flags) -> Result<Test, Refusal> {
    let syntax = syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .nest_limit(64)
        .case_insensitive(flags.ignore_case)
        .multi_line(flags.multi_line)
        .dot_matches_new_line(flags.dot_all);
    let limits = Regex::config()
        .utf8_empty(false)
        .nfa_size_limit(Some(REGEX_BYTES_MAX))
        .onepass_size_limit(Some(REGEX_BYTES_MAX))
        .hybrid_cache_capacity(REGEX_BYTES_MAX);
    match Regex::builder().syntax(syntax).configure(limits).build(text) {
        Ok(regex) => {
            let flags = [(flags.ignore_case, 'i'), (flags.multi_line, 'm'), (flags.dot_all, 's')];
            let set: String = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect();
            let source = if set.is_empty() { text.to_owned() } else { format!("(?{set}){text}") };
            Ok(Test::Regex(Box::new(regex), source.into()))
        }
        Err(error) => {
            let cause =
                std::error::Error::source(&error).map_or(error.to_string(), |e| e.to_string());
            let cause =
                cause.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            refuse(
                format!("regular expression: {cause}"),
                "no look-around, no back-references, ASCII classes",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine that goes back and tries again would take longer than the world lasts: these end
    /// because each character is looked at once for each state of the pattern.
    #[test]
    fn no_pattern_takes_more_than_its_length_for_each_character() {
        let text = format!("{}!", "a".repeat(64 * 1_024));
        for pattern in
            ["^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "^(.*a){25}$", "^(a?){64}a{64}b", "(a*)*(a*)*b"]
        {
            let Ok(Test::Regex(regex, _)) = compile_regex(pattern, Flags::default()) else {
                panic!("{pattern} compiles")
            };
            assert!(!regex.is_match(&text), "{pattern}");
        }
    }

    #[test]
    fn patterns_that_unfold_or_nest_without_end_are_refused() {
        let nested = format!("{}a{}", "(".repeat(100), ")".repeat(100));
        for pattern in ["((a{100}){100}){100}", "(?:(?:x{200}){200}){200}", &nested] {
            assert!(compile_regex(pattern, Flags::default()).is_err(), "{pattern}");
        }
        for pattern in ["(?=a)", r"(a)\1", "(?<!a)b"] {
            assert!(
                compile_regex(pattern, Flags::default()).is_err(),
                "{pattern} looks around or back"
            );
        }
    }
}
