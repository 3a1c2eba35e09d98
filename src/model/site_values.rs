//! What a site writes into rules: the values of placeholders, other thresholds.
//!
//! Owns: their form in a configuration. In: parsed TOML. Out: values by name. Never: a rule.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::model::{Error, Level};

/// Most values of a placeholder, and most groups with thresholds of their own.
const VALUES_MAX: usize = 10_000;
const GROUPS_MAX: usize = 16;

/// A value that stands for a placeholder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum SiteValue {
    /// Text, with the wildcards of Sigma; a prefix for `cidr`.
    Text(String),
    /// A whole number.
    Number(i64),
}

/// Thresholds by number and level of a rule, then by field.
pub type Numbers = BTreeMap<(String, Level), BTreeMap<String, f64>>;

/// Thresholds for some networks.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdGroup {
    /// Prefixes: sessions with one end in them, and endpoints there.
    pub networks: Vec<String>,
    /// The thresholds.
    pub numbers: Numbers,
}

/// Everything that a site writes into rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SiteValues {
    /// The values of `%name%`.
    pub placeholders: BTreeMap<String, Vec<SiteValue>>,
    /// Thresholds in place of those of the rules.
    pub thresholds: Numbers,
    /// The same for some networks; the first that fits decides.
    pub groups: Vec<ThresholdGroup>,
    /// Where the thresholds stand in the configuration.
    pub place: Option<(PathBuf, u32)>,
}

/// The table `[thresholds]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdKeys {
    #[serde(default)]
    rules: RuleKeys,
    #[serde(default)]
    groups: Vec<GroupKeys>,
}

type RuleKeys = BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupKeys {
    networks: Vec<String>,
    rules: RuleKeys,
}

const LEVELS: [Level; 5] =
    [Level::Informational, Level::Low, Level::Medium, Level::High, Level::Critical];

impl ThresholdKeys {
    /// Checks the values. Errors: all that are wrong.
    pub fn check(self) -> Result<(Numbers, Vec<ThresholdGroup>), Vec<Error>> {
        let mut errors = Vec::new();
        let numbers = numbers(self.rules, &mut errors);
        if self.groups.len() > GROUPS_MAX {
            let cause = format!("{} groups are more than {GROUPS_MAX}", self.groups.len());
            errors.push(Error::new("thresholds.groups", cause).help("join some"));
        }
        let mut groups = Vec::new();
        for group in self.groups {
            if group.networks.is_empty() {
                let help = "list prefixes: `networks = [\"10.30.0.0/16\"]`";
                errors.push(Error::new("thresholds.groups", "a group has no network").help(help));
            }
            let numbers = self::numbers(group.rules, &mut errors);
            groups.push(ThresholdGroup { networks: group.networks, numbers });
        }
        if errors.is_empty() { Ok((numbers, groups)) } else { Err(errors) }
    }
}

fn numbers(rules: RuleKeys, errors: &mut Vec<Error>) -> Numbers {
    let mut all = Numbers::new();
    for (number, of_levels) in rules {
        for (word, fields) in of_levels {
            let what = format!("thresholds.rules.{number}.{word}");
            let Some(level) = LEVELS.into_iter().find(|level| level.as_str() == word) else {
                let help = "informational, low, medium, high or critical";
                errors.push(Error::new(what, format!("`{word}` is no level")).help(help));
                continue;
            };
            if let Some((name, _)) = fields.iter().find(|(_, bound)| !bound.is_finite()) {
                let cause = format!("the threshold of `{name}` is no number");
                errors.push(Error::new(what, cause).help("write a finite number"));
            }
            all.insert((number.clone(), level), fields);
        }
    }
    all
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
