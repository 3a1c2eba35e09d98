//! The configuration file: TOML, every key checked, no key ignored.
//!
//! Owns: the keys. In: text. Out: changes to a [`Plan`]. Never: a key that does nothing.

use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;

use crate::config::Caps;
use crate::config::Plan;
use crate::config::Vantage;
use crate::config::WORKERS_MAX;
use crate::config::bounded;
use crate::config::parse_level;
use crate::model::Error;

const KEYS: &str = "keys are home, place, vantage, workers, rules, geo, lists, subjects, \
                    min_level, no_decap, key and [caps] with sessions, endpoints, alerts";

/// The file's keys; all optional. Flags win over the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    home: Option<Vec<String>>,
    place: Option<String>,
    vantage: Option<String>,
    workers: Option<usize>,
    rules: Option<PathBuf>,
    geo: Option<PathBuf>,
    lists: Option<PathBuf>,
    subjects: Option<PathBuf>,
    min_level: Option<String>,
    no_decap: Option<Vec<String>>,
    key: Option<Vec<String>>,
    caps: Option<CapsTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapsTable {
    sessions: Option<usize>,
    endpoints: Option<usize>,
    alerts: Option<usize>,
}

/// Reads a configuration file.
pub fn load_config(path: &Path) -> Result<ConfigFile, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::new("configuration", e.to_string()).at(path, 0))?;
    parse_config(path, &text)
}

/// Reads a configuration file's text; `path` is for messages.
pub fn parse_config(path: &Path, text: &str) -> Result<ConfigFile, Error> {
    toml::from_str(text).map_err(|e| {
        let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.lines().count().max(1) + usize::from(before.ends_with('\n'));
        Error::new("configuration", e.message().to_owned())
            .at(path, u32::try_from(line).unwrap_or(0))
            .help(KEYS)
    })
}

impl ConfigFile {
    /// Applies the file to a plan, all errors at once.
    pub fn apply(self, plan: &mut Plan) -> Result<(), Vec<Error>> {
        let mut errors = Vec::new();
        if let Some(home) = self.home {
            plan.home = home;
        }
        plan.no_decap = self.no_decap.unwrap_or_default();
        plan.key = self.key.unwrap_or_default();
        plan.place = self.place.or(plan.place.take());
        plan.rules = self.rules.or(plan.rules.take());
        plan.geo = self.geo.or(plan.geo.take());
        plan.lists = self.lists.or(plan.lists.take());
        plan.subjects = self.subjects.or(plan.subjects.take());
        set(&mut plan.vantage, self.vantage.map(|word| parse_vantage(&word)), &mut errors);
        let workers = self.workers.map(|n| bounded("workers", n, 1, WORKERS_MAX));
        set(&mut plan.workers, workers, &mut errors);
        set(&mut plan.min_level, self.min_level.map(|word| parse_level(&word)), &mut errors);
        if let Some(caps) = self.caps {
            caps.apply(&mut plan.caps, &mut errors);
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

impl CapsTable {
    fn apply(self, caps: &mut Caps, errors: &mut Vec<Error>) {
        let checked = |what: &'static str, n: usize| bounded(what, n, 16, 1 << 28);
        set(&mut caps.sessions, self.sessions.map(|n| checked("caps.sessions", n)), errors);
        set(&mut caps.endpoints, self.endpoints.map(|n| checked("caps.endpoints", n)), errors);
        set(&mut caps.alerts, self.alerts.map(|n| checked("caps.alerts", n)), errors);
    }
}

fn set<T>(slot: &mut T, value: Option<Result<T, Error>>, errors: &mut Vec<Error>) {
    match value {
        Some(Ok(value)) => *slot = value,
        Some(Err(error)) => errors.push(error),
        None => {}
    }
}

/// A vantage by its word.
pub fn parse_vantage(word: &str) -> Result<Vantage, Error> {
    match word {
        "in" => Ok(Vantage::In),
        "out" => Ok(Vantage::Out),
        "both" => Ok(Vantage::Both),
        _ => Err(Error::new("vantage", format!("`{word}` is not a vantage"))
            .help("give in (remote employees arrive here), out (our devices leave here) or both")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = parse_config(Path::new("c.toml"), "workers = 2\nhoem = []\n").unwrap_err();
        assert_eq!(error.place, Some((PathBuf::from("c.toml"), 2)));
        assert!(error.cause.contains("hoem"), "{error}");
    }

    #[test]
    fn every_bad_value_is_named_at_once() {
        let text = "workers = 99\nvantage = \"up\"\n[caps]\nsessions = 1\n";
        let file = parse_config(Path::new("c.toml"), text).unwrap();
        let errors = file.apply(&mut Plan::default()).unwrap_err();
        assert_eq!(errors.len(), 3, "{errors:?}");
    }

    #[test]
    fn good_values_reach_the_plan() {
        let mut plan = Plan::default();
        let text =
            "home = [\"192.0.2.0/24\"]\nplace = \"SEA\"\nworkers = 3\nmin_level = \"high\"\n";
        parse_config(Path::new("c.toml"), text).unwrap().apply(&mut plan).unwrap();
        assert_eq!(plan.home, ["192.0.2.0/24"]);
        assert_eq!((plan.place.as_deref(), plan.workers), (Some("SEA"), 3));
    }
}
