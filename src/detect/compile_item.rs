//! Compiles one line of a selection: field, modifiers, values.
//!
//! Owns: which modifiers apply to which field, and the checks of values. In: the parser's item.
//! Out: a [`Node`], or one error. Never: a modifier that it does not implement.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use rsigma_parser::{DetectionItem, Modifier, SigmaValue};

use crate::detect::did_you_mean::{did_you_mean, nearest};
use crate::detect::pattern::{Anchor, Pattern};
use crate::detect::predicate::{Node, Order, Prefix, Test};
use crate::model::Addr;
use crate::model::schema::{Field, Judged, Kind};

/// Maximum size of a compiled regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Why an item cannot be compiled.
pub(super) struct Refusal {
    pub(super) cause: String,
    pub(super) help: String,
    /// The faulty value, if it is one of several.
    pub(super) value: Option<String>,
}

fn refuse<T>(cause: impl Into<String>, help: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { cause: cause.into(), help: help.into(), value: None })
}

/// The operation that the modifiers of an item request.
#[derive(Clone, Copy, PartialEq)]
enum Operator {
    Text(Anchor),
    Regex,
    Inside,
    Exists,
    Order(Order),
}

#[derive(Clone, Copy, Default)]
struct Flags {
    all: bool,
    cased: bool,
    not_equal: bool,
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
}

/// Compiles an item whose field is known. `neq` negates the whole item, so it also holds if the
/// field is absent, like `not` before a selection.
pub(super) fn compile_item<S: Judged>(
    field: &'static Field<S>,
    item: &DetectionItem,
) -> Result<Node<S>, Refusal> {
    let (operator, flags) = read_modifiers(field, &item.field.modifiers)?;
    let node = compile_plain(field, item, (operator, flags))?;
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

const SUPPORTED: &str = "supported: contains startswith endswith all re (with i m s) cidr \
                         gt gte lt lte neq exists cased";

fn read_modifiers<S>(
    field: &'static Field<S>,
    modifiers: &[Modifier],
) -> Result<(Operator, Flags), Refusal> {
    let mut flags = Flags::default();
    let mut operators = Vec::new();
    for modifier in modifiers {
        match modifier {
            Modifier::Contains => operators.push(Operator::Text(Anchor::Contains)),
            Modifier::StartsWith => operators.push(Operator::Text(Anchor::Starts)),
            Modifier::EndsWith => operators.push(Operator::Text(Anchor::Ends)),
            Modifier::Re => operators.push(Operator::Regex),
            Modifier::Cidr => operators.push(Operator::Inside),
            Modifier::Exists => operators.push(Operator::Exists),
            Modifier::Gt => operators.push(Operator::Order(Order::Greater)),
            Modifier::Gte => operators.push(Operator::Order(Order::AtLeast)),
            Modifier::Lt => operators.push(Operator::Order(Order::Less)),
            Modifier::Lte => operators.push(Operator::Order(Order::AtMost)),
            Modifier::All => flags.all = true,
            Modifier::Cased => flags.cased = true,
            Modifier::Neq => flags.not_equal = true,
            Modifier::IgnoreCase => flags.ignore_case = true,
            Modifier::Multiline => flags.multi_line = true,
            Modifier::DotAll => flags.dot_all = true,
            other => {
                let name = format!("{other:?}").to_lowercase();
                return refuse(format!("modifier `{name}` is not supported"), SUPPORTED);
            }
        }
    }
    let operator = match operators.as_slice() {
        [] => Operator::Text(Anchor::Whole),
        [one] => *one,
        _ => return refuse("modifiers contradict each other", "give one operator per field"),
    };
    if operator != Operator::Regex && (flags.ignore_case || flags.multi_line || flags.dot_all) {
        return refuse("`i`, `m` and `s` belong to `re`", "text is compared without case already");
    }
    check_fit(field, operator, flags)?;
    Ok((operator, flags))
}

fn check_fit<S>(field: &'static Field<S>, operator: Operator, flags: Flags) -> Result<(), Refusal> {
    let kind = field.kind.as_str();
    let number = matches!(field.kind, Kind::Int | Kind::Float);
    let why = match operator {
        Operator::Exists => None,
        Operator::Order(_) if !number => Some("greater and less need a number"),
        Operator::Inside if !matches!(field.kind, Kind::Ip | Kind::Texts) => {
            Some("`cidr` needs an address")
        }
        Operator::Regex | Operator::Text(Anchor::Contains | Anchor::Starts | Anchor::Ends)
            if number || field.kind == Kind::Bool =>
        {
            Some("parts of text need a text")
        }
        Operator::Text(_) if flags.cased && (number || field.kind == Kind::Bool) => {
            Some("`cased` needs a text")
        }
        _ => None,
    };
    match why {
        None => Ok(()),
        Some(why) => {
            let help = format!("`{}` is of type {kind}", field.name);
            refuse(format!("{why}, and `{}` is none", field.name), help)
        }
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
            Some(bound) => Ok(Test::Number(order, bound)),
            None => refuse(format!("`{value}` is no number"), "write a number without quotes"),
        },
        (Operator::Text(anchor), value) => compile_text(field, anchor, flags.cased, value),
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
    cased: bool,
    value: &SigmaValue,
) -> Result<Test, Refusal> {
    let wrong = |help: &str| {
        refuse(format!("`{value}` does not fit `{}`: {}", field.name, field.kind.as_str()), help)
    };
    let text = match (field.kind, value) {
        (Kind::Int | Kind::Float, value) => {
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
    let pattern = Pattern::new(&text.parts, anchor, cased);
    let whole = pattern.as_whole();
    match (field.kind, whole) {
        (Kind::Ip, Some(whole)) => match whole.parse::<std::net::IpAddr>() {
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
        Ok(regex) => Ok(Test::Regex(Box::new(regex))),
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

    const PLAIN: Flags = Flags {
        all: false,
        cased: false,
        not_equal: false,
        ignore_case: false,
        multi_line: false,
        dot_all: false,
    };

    /// An engine that goes back and tries again would take longer than the world lasts: these end
    /// because each character is looked at once for each state of the pattern.
    #[test]
    fn no_pattern_takes_more_than_its_length_for_each_character() {
        let text = format!("{}!", "a".repeat(64 * 1_024));
        for pattern in
            ["^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "^(.*a){25}$", "^(a?){64}a{64}b", "(a*)*(a*)*b"]
        {
            let Ok(Test::Regex(regex)) = compile_regex(pattern, PLAIN) else {
                panic!("{pattern} compiles")
            };
            assert!(!regex.is_match(&text), "{pattern}");
        }
    }

    #[test]
    fn patterns_that_unfold_or_nest_without_end_are_refused() {
        let nested = format!("{}a{}", "(".repeat(100), ")".repeat(100));
        for pattern in ["((a{100}){100}){100}", "(?:(?:x{200}){200}){200}", &nested] {
            assert!(compile_regex(pattern, PLAIN).is_err(), "{pattern}");
        }
        for pattern in ["(?=a)", r"(a)\1", "(?<!a)b"] {
            assert!(compile_regex(pattern, PLAIN).is_err(), "{pattern} looks around or back");
        }
    }
}
