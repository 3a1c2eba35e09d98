//! Whether two fields of one event have the same value.
//!
//! Owns: `fieldref` of Sigma. In: two values. Out: yes or no. Never: that an absent value is the
//! same as another.

use crate::detect::pattern::Anchor;
use crate::model::schema::Value;

/// Whether any value of the first agrees with any of the second: numbers by value, others as text.
pub(super) fn is_same(have: &Value<'_>, of: &Value<'_>, anchor: Anchor, cased: bool) -> bool {
    any(have, &mut |have| any(of, &mut |of| one(have, of, anchor, cased)))
}

fn any(value: &Value<'_>, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    match value {
        Value::Absent => false,
        Value::List(list) => list.any(&mut |one| test(&one)),
        one => test(one),
    }
}

fn one(have: &Value<'_>, of: &Value<'_>, anchor: Anchor, cased: bool) -> bool {
    match (have, of, have.as_number(), of.as_number()) {
        (_, _, Some(have), Some(of)) => have.total_cmp(&of).is_eq(),
        (Value::Bool(have), Value::Bool(of), ..) => have == of,
        (Value::Ip(have), Value::Ip(of), ..) if anchor == Anchor::Whole => have == of,
        _ => have.with_text(|have| of.with_text(|of| agree(have, of, anchor, cased))),
    }
}

fn agree(have: &str, of: &str, anchor: Anchor, cased: bool) -> bool {
    if !cased {
        return agree(&have.to_lowercase(), &of.to_lowercase(), anchor, true);
    }
    match anchor {
        Anchor::Whole => have == of,
        Anchor::Contains => have.contains(of),
        Anchor::Starts => have.starts_with(of),
        Anchor::Ends => have.ends_with(of),
    }
}
