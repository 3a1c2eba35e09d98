//! What a site writes into rules: the values of placeholders.
//!
//! Owns: their form in a configuration. In: parsed TOML. Out: values by name. Never: a rule.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::Error;

/// Most values of a placeholder.
const VALUES_MAX: usize = 10_000;

/// A value that stands for a placeholder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum SiteValue {
    /// Text, with the wildcards of Sigma; a prefix for `cidr`.
    Text(String),
    /// A whole number.
    Number(i64),
}

/// Everything that a site writes into rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SiteValues {
    /// The values of `%name%`.
    pub placeholders: BTreeMap<String, Vec<SiteValue>>,
}

impl SiteValues {
    /// Checks placeholders. Errors: all that are wrong.
    pub fn check_placeholders(all: &BTreeMap<String, Vec<SiteValue>>) -> Result<(), Vec<Error>> {
        let mut errors = Vec::new();
        for (name, values) in all {
            let what = format!("placeholders.{name}");
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(plain) {
                let help = "letters, digits and `_`, as rules write it between two `%`";
                errors.push(Error::new(what, "it is no name of a placeholder").help(help));
            } else if values.is_empty() {
                let help = "give at least one value, or take the line away";
                errors.push(Error::new(what, "it has no value").help(help));
            } else if values.len() > VALUES_MAX {
                let cause = format!("{} values are more than {VALUES_MAX}", values.len());
                errors.push(Error::new(what, cause).help("a list (--lists) takes any number"));
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}
