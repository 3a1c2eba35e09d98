//! How much evidence weighs: the site's prior and a likelihood ratio for each rule.
//!
//! Owns: the form of the table, embedded or in a configuration. In: parsed TOML. Out: rows, prior.
//! Never: a default that nobody sees.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::{Error, Group, Level};

/// Days in a year of service: up to it an employee counts as recently hired.
const RECENT_DAYS: u32 = 365;

/// What a rule's alerts weigh.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What its evidence fails together with.
    pub group: Option<Group>,
    /// How much more often it fires on a case than on the honest.
    pub ratio: Option<f64>,
    /// It makes an incident without a second group.
    pub alone: Option<bool>,
    /// The ratio where a tag of a benign explanation holds.
    pub tagged: BTreeMap<String, f64>,
    /// Where the ratio comes from, in words.
    pub source: Option<String>,
    /// Cases it fired on, of how many.
    pub cases: Option<String>,
    /// Honest people it fired on, of how many.
    pub honest: Option<String>,
}

/// What an employee's time of service says before anything is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tenure {
    /// Up to so many days an employee counts as recently hired.
    pub recent_days: u32,
    /// The ratio of recently hired employees.
    pub recent: f64,
    /// The ratio of the others.
    pub longer: f64,
}

/// The table: a site's own values over the embedded ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Likelihood {
    /// One in so many people is a case.
    pub prior_one_in: Option<f64>,
    /// What the time of service says.
    pub tenure: Option<Tenure>,
    /// Rows by number and level of a rule.
    pub rows: BTreeMap<(String, Level), Row>,
}

/// The keys of a table; all optional.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LikelihoodKeys {
    prior_one_in: Option<f64>,
    tenure: Option<TenureKeys>,
    #[serde(default)]
    rules: BTreeMap<String, BTreeMap<String, RowKeys>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenureKeys {
    recent_days: Option<u32>,
    recent: f64,
    longer: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowKeys {
    group: Option<String>,
    ratio: Option<f64>,
    alone: Option<bool>,
    #[serde(default)]
    tagged: BTreeMap<String, f64>,
    source: Option<String>,
    cases: Option<String>,
    honest: Option<String>,
}

/// Whether a number may be a likelihood ratio.
pub fn is_ratio(ratio: f64) -> bool {
    ratio.is_finite() && (0.001..=100_000.0).contains(&ratio)
}

const LEVELS: [Level; 5] =
    [Level::Informational, Level::Low, Level::Medium, Level::High, Level::Critical];

impl LikelihoodKeys {
    /// Checks the values. Errors: all that are wrong.
    pub fn check(self) -> Result<Likelihood, Vec<Error>> {
        let mut errors = Vec::new();
        let mut refuse = |what: String, cause: String, help: &str| {
            errors.push(Error::new(what, cause).help(help));
        };
        if let Some(n) = self.prior_one_in
            && !(2.0..=1e9).contains(&n)
        {
            let cause = format!("{n} is out of range");
            refuse("likelihood.prior_one_in".into(), cause, "2 to 1000000000; 2000 by default");
        }
        let tenure = self.tenure.map(|keys| Tenure {
            recent_days: keys.recent_days.unwrap_or(RECENT_DAYS),
            recent: keys.recent,
            longer: keys.longer,
        });
        if tenure.is_some_and(|of| !is_ratio(of.recent) || !is_ratio(of.longer)) {
            let cause = "recent or longer is out of range".to_owned();
            refuse("likelihood.tenure".into(), cause, RATIO_HELP);
        }
        let mut rows = BTreeMap::new();
        for (number, of_levels) in self.rules {
            for (word, keys) in of_levels {
                let what = format!("likelihood.rules.{number}.{word}");
                let Some(level) = LEVELS.into_iter().find(|level| level.as_str() == word) else {
                    let help = "informational, low, medium, high or critical";
                    refuse(what, format!("`{word}` is no level"), help);
                    continue;
                };
                let group = keys.group.as_deref().map(|name| (name, Group::of(name)));
                if let Some((name, None)) = group {
                    refuse(what.clone(), format!("`{name}` is no group"), GROUP_HELP);
                }
                let mut ratios = keys.ratio.iter().chain(keys.tagged.values());
                if let Some(wrong) = ratios.find(|ratio| !is_ratio(**ratio)) {
                    refuse(what, format!("ratio {wrong} is out of range"), RATIO_HELP);
                }
                let row = Row {
                    group: group.and_then(|(_, group)| group),
                    ratio: keys.ratio,
                    alone: keys.alone,
                    tagged: keys.tagged,
                    source: keys.source,
                    cases: keys.cases,
                    honest: keys.honest,
                };
                rows.insert((number.clone(), level), row);
            }
        }
        let table = Likelihood { prior_one_in: self.prior_one_in, tenure, rows };
        if errors.is_empty() { Ok(table) } else { Err(errors) }
    }
}

/// The help of a wrong group.
pub const GROUP_HELP: &str =
    "list, network, latency, place, stack, tool, control, colocation or behaviour";

/// The help of a wrong ratio.
pub const RATIO_HELP: &str = "a likelihood ratio is 0.001 to 100000; 1 says nothing";

impl Likelihood {
    /// Replaces what another table sets.
    pub fn overlay(&mut self, over: &Likelihood) {
        self.prior_one_in = over.prior_one_in.or(self.prior_one_in);
        self.tenure = over.tenure.or(self.tenure);
        for (key, row) in &over.rows {
            let Some(own) = self.rows.get_mut(key) else {
                self.rows.insert(key.clone(), row.clone());
                continue;
            };
            own.group = row.group.or(own.group);
            own.ratio = row.ratio.or(own.ratio);
            own.alone = row.alone.or(own.alone);
            own.tagged.extend(row.tagged.clone());
            if row.ratio.is_some() {
                let of_site = Some("the site's configuration".to_owned());
                own.source = row.source.clone().or(of_site);
                (own.cases, own.honest) = (row.cases.clone(), row.honest.clone());
            }
        }
    }

    /// The row of a rule.
    pub fn row(&self, number: &str, level: Level) -> Option<&Row> {
        self.rows.get(&(number.to_owned(), level))
    }
}
