//! The modifiers of one line of a selection.
//!
//! Owns: which modifiers exist, which go together, and which fit a field. In: the parser's
//! modifiers. Out: the operation that they ask for, or one error. Never: looks at values.

use rsigma_parser::Modifier;

use crate::detect::calendar::CalendarPart;
use crate::detect::pattern::Anchor;
use crate::detect::predicate::Order;
use crate::detect::refusal::{Refusal, refuse};
use crate::model::schema::{Field, Kind};

/// What a rule author may write.
pub(super) const SUPPORTED: &str = "supported: contains startswith endswith all re (with i m s) \
                                    cidr gt gte lt lte neq exists cased windash expand fieldref \
                                    minute hour day week month year";

/// The names of all of them, for suggestions.
pub(super) const NAMES: &[&str] = &[
    "contains",
    "startswith",
    "endswith",
    "all",
    "re",
    "i",
    "m",
    "s",
    "cidr",
    "gt",
    "gte",
    "lt",
    "lte",
    "neq",
    "exists",
    "cased",
    "windash",
    "expand",
    "fieldref",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
];

/// The operation that the modifiers of an item request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Text(Anchor),
    Regex,
    Inside,
    Exists,
    Order(Order),
}

/// What changes an operation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) all: bool,
    pub(super) cased: bool,
    pub(super) not_equal: bool,
    pub(super) ignore_case: bool,
    pub(super) multi_line: bool,
    pub(super) dot_all: bool,
    /// Each dash before a word stands for any other.
    pub(super) dashes: bool,
    /// `%name%` in a value stands for what the site has put there.
    pub(super) expand: bool,
    /// The value is the name of another field.
    pub(super) other_field: bool,
    /// Of a time, only this number.
    pub(super) part: Option<CalendarPart>,
}

/// Reads the modifiers of an item.
///
/// Errors: one that is not supported, and why; two that contradict each other; one that the type
/// of the field does not allow.
pub(super) fn read_modifiers<S>(
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
            other => read_flag(*other, &mut flags)?,
        }
    }
    let operator = match operators.as_slice() {
        [] if flags.part.is_some() => Operator::Order(Order::Equal),
        [] => Operator::Text(Anchor::Whole),
        [one] => *one,
        _ => return refuse("modifiers contradict each other", "give one operator per field"),
    };
    check_together(operator, flags)?;
    check_fit(field, operator, flags)?;
    Ok((operator, flags))
}

fn read_flag(modifier: Modifier, flags: &mut Flags) -> Result<(), Refusal> {
    let part = match modifier {
        Modifier::All => return set(&mut flags.all),
        Modifier::Cased => return set(&mut flags.cased),
        Modifier::Neq => return set(&mut flags.not_equal),
        Modifier::IgnoreCase => return set(&mut flags.ignore_case),
        Modifier::Multiline => return set(&mut flags.multi_line),
        Modifier::DotAll => return set(&mut flags.dot_all),
        Modifier::WindAsh => return set(&mut flags.dashes),
        Modifier::Expand => return set(&mut flags.expand),
        Modifier::FieldRef => return set(&mut flags.other_field),
        Modifier::Minute => CalendarPart::Minute,
        Modifier::Hour => CalendarPart::Hour,
        Modifier::Day => CalendarPart::Day,
        Modifier::Week => CalendarPart::Week,
        Modifier::Month => CalendarPart::Month,
        Modifier::Year => CalendarPart::Year,
        other => {
            let name = format!("{other:?}").to_lowercase();
            let help = "fields hold decoded values, so an encoded text would never be found: \
                        write the plain text";
            return refuse(format!("modifier `{name}` is not supported"), help);
        }
    };
    if flags.part.replace(part).is_some() {
        return refuse("modifiers contradict each other", "give one part of the time per field");
    }
    Ok(())
}

fn set(flag: &mut bool) -> Result<(), Refusal> {
    *flag = true;
    Ok(())
}

/// Modifiers that exclude each other.
fn check_together(operator: Operator, flags: Flags) -> Result<(), Refusal> {
    if operator != Operator::Regex && (flags.ignore_case || flags.multi_line || flags.dot_all) {
        return refuse("`i`, `m` and `s` belong to `re`", "text is compared without case already");
    }
    let is_text = matches!(operator, Operator::Text(_));
    if flags.dashes && !is_text {
        return refuse(
            "`windash` belongs to text",
            "leave it out, or leave out the other modifier",
        );
    }
    if flags.dashes && flags.other_field {
        return refuse("`windash` needs a text, and `fieldref` a field", "leave out one of them");
    }
    if flags.other_field && (!is_text || flags.part.is_some() || flags.expand) {
        let help = "`fieldref` goes with contains, startswith, endswith, cased, all and neq";
        return refuse("modifiers contradict each other", help);
    }
    if flags.part.is_some() && !matches!(operator, Operator::Order(_)) {
        let help = "a part of a time is a number: gt, gte, lt, lte or none of them";
        return refuse("modifiers contradict each other", help);
    }
    if flags.expand && !(is_text || operator == Operator::Inside) {
        let help = "a placeholder stands for texts or prefixes: write the value itself";
        return refuse("`expand` goes with texts and `cidr`", help);
    }
    Ok(())
}

fn check_fit<S>(field: &'static Field<S>, operator: Operator, flags: Flags) -> Result<(), Refusal> {
    let kind = field.kind.as_str();
    let number = matches!(field.kind, Kind::Int | Kind::Signed | Kind::Float);
    let time = matches!(field.kind, Kind::Time | Kind::Date);
    let of_day = matches!(flags.part, Some(CalendarPart::Hour | CalendarPart::Minute));
    let why = match operator {
        _ if flags.part.is_some() && !time => Some("parts of a time need a time"),
        _ if of_day && field.kind == Kind::Date => Some("hours and minutes need a time of day"),
        _ if flags.part.is_some() => None,
        Operator::Exists => None,
        Operator::Order(_) if !number => Some("greater and less need a number"),
        Operator::Inside if !matches!(field.kind, Kind::Ip | Kind::Ips | Kind::Texts) => {
            Some("`cidr` needs an address")
        }
        Operator::Regex | Operator::Text(Anchor::Contains | Anchor::Starts | Anchor::Ends)
            if number || field.kind == Kind::Bool =>
        {
            Some("parts of text need a text")
        }
        Operator::Text(_)
            if (flags.cased || flags.dashes) && (number || field.kind == Kind::Bool) =>
        {
            Some("`cased` and `windash` need a text")
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
