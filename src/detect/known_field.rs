//! Fields by name, as rules write them.

use crate::detect::did_you_mean::{did_you_mean, nearest};
use crate::model::Record;
use crate::model::endpoint::EndpointRow;
use crate::model::schema::{self, Field, Judged};

/// The field of a name, or why there is none and what to do.
pub(super) fn known_field<S: Judged>(name: &str) -> Result<&'static Field<S>, (String, String)> {
    match schema::find_in::<S>(name) {
        Some(field) if field.in_rules() => Ok(field),
        Some(_) => Err((
            format!("field `{name}` cannot be asked for in a rule"),
            format!(
                "it is the same for every {0}, or known only when the {0} is written",
                S::SERVICE
            ),
        )),
        None if name.is_empty() => {
            Err(("a value without a field".to_owned(), "write `field: value`".to_owned()))
        }
        None if elsewhere::<S>(name).is_some() => Err((
            format!("`{name}` is no field of {}", with_article(S::SERVICE)),
            format!(
                "it is one of {}: write `service: {}` under `logsource`, or another field",
                with_article(elsewhere::<S>(name).unwrap_or_default()),
                elsewhere::<S>(name).unwrap_or_default()
            ),
        )),
        None => Err((
            format!("unknown field `{name}`"),
            did_you_mean(
                nearest(name, S::fields().iter().filter(|f| f.in_rules()).map(|f| f.name)),
                "the fields are listed in docs/fields.md",
            ),
        )),
    }
}

/// What has such a field, if something else has.
fn elsewhere<S: Judged>(name: &str) -> Option<&'static str> {
    let of_sessions = schema::find(name).map(|_| Record::SERVICE);
    let of_endpoints = schema::find_in::<EndpointRow>(name).map(|_| EndpointRow::SERVICE);
    of_sessions.or(of_endpoints).filter(|service| *service != S::SERVICE)
}

fn with_article(service: &str) -> String {
    format!("{} {service}", if service.starts_with('e') { "an" } else { "a" })
}
