//! Thresholds from what is usual at a site, as a proposal to review.
//!
//! Owns: percentiles of the measured amounts, and the text of the proposal. In: results, the bounds
//! of rules. Out: a `[thresholds]` table with the reasons. Never: a change of any rule, or a
//! threshold below the shipped one: what a site has not, others may still suffer from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::explain::Flat;
use crate::model::{Error, RuleInfo, units};
use crate::results::Results;

/// Values are counted in thousandths, to three digits.
const PARTS: f64 = 1_000.0;

/// Fewer values have no 99.9th percentile.
const VALUES_MIN: u64 = 1_000;

/// The percentile.
const PERCENTILE: f64 = 99.9;

/// A number of a rule that a site may replace.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The rule.
    pub rule: RuleInfo,
    /// The file whose lines have the field.
    pub file: &'static str,
    /// The field.
    pub field: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The number in use.
    pub now: f64,
}

/// Everything that was measured of a field.
struct Measured {
    values: Histogram<u64>,
    refused: u64,
    /// Thresholds in use, and how many values reach each.
    reached: Vec<(f64, u64)>,
}

/// The proposal, as the text of a configuration file.
pub fn propose(results: &Results, thresholds: &[Threshold]) -> Result<String, Error> {
    let mut measured: BTreeMap<(&str, &str), Measured> = BTreeMap::new();
    for threshold in thresholds {
        let values = Histogram::new(3).map_err(|e| Error::new("percentiles", e.to_string()))?;
        let key = (threshold.file, threshold.field);
        let fresh = Measured { values, refused: 0, reached: Vec::new() };
        let measured = measured.entry(key).or_insert(fresh);
        if measured.reached.iter().all(|(bound, _)| *bound != threshold.now) {
            measured.reached.push((threshold.now, 0));
        }
    }
    let files: Vec<&str> = measured.keys().map(|(file, _)| *file).collect();
    for (at, file) in files.iter().enumerate() {
        if files.iter().take(at).any(|earlier| earlier == file) {
            continue;
        }
        let mut of_file: Vec<(&str, &mut Measured)> = measured
            .iter_mut()
            .filter(|((of, _), _)| of == file)
            .map(|((_, field), measured)| (*field, measured))
            .collect();
        results.each(file, |line| {
            of_file.iter_mut().for_each(|(field, measured)| measured.take(line, field));
            Ok(())
        })?;
    }
    Ok(text(thresholds, &measured))
}

impl Measured {
    fn take(&mut self, line: &Flat, field: &str) {
        let Some(value) = line.number(field).filter(|value| *value >= 0.0) else { return };
        for (bound, count) in &mut self.reached {
            *count += u64::from(value >= *bound);
        }
        if self.values.record((value * PARTS) as u64).is_err() {
            self.refused += 1;
        }
    }

    fn percentile(&self) -> f64 {
        self.values.value_at_quantile(PERCENTILE / 100.0) as f64 / PARTS
    }

    fn above(&self, bound: f64) -> u64 {
        let of_bound = self.reached.iter().find(|(have, _)| *have == bound);
        of_bound.map_or(0, |(_, count)| *count)
    }
}

const HEAD: &str = "\
# Thresholds proposed from what is usual at this site: the 99.9th percentile of all that was
# measured, where it is above the threshold in use. Review each before you use it: if cases are
# among what was measured, they raise it. Lines without a proposal are comments. For --config.

[thresholds]
";

fn text(thresholds: &[Threshold], measured: &BTreeMap<(&str, &str), Measured>) -> String {
    let mut out = HEAD.to_owned();
    let mut told = BTreeSet::new();
    for of in thresholds {
        // Rules of one number and level share a threshold.
        if !told.insert((&of.rule.id, of.rule.level, of.field)) {
            continue;
        }
        let Some(measured) = measured.get(&(of.file, of.field)) else { continue };
        let values = measured.values.len();
        let (id, level) = (&of.rule.id, of.rule.level.as_str());
        // Writing into a String cannot fail.
        let _ = writeln!(out, "# {id} {}, {level}: {}", of.rule.name, of.rule.title);
        let unit = if of.unit.is_empty() { String::new() } else { format!(" {}", of.unit) };
        let key = format!("rules.{id}.{level}.\"{}\"", of.field);
        let counted = format!(
            "{} values in {}, {} at the threshold in use or above",
            units::count(values),
            of.file,
            units::count(measured.above(of.now)),
        );
        let refused = match measured.refused {
            0 => String::new(),
            n => format!(", {n} too large to count"),
        };
        let percentile = measured.percentile();
        let now = of.now;
        let _ = match values {
            n if n < VALUES_MIN => writeln!(
                out,
                "# {key} = {now}   # {counted}{refused}: fewer than {} say nothing",
                units::count(VALUES_MIN)
            ),
            _ if percentile <= now => writeln!(
                out,
                "# {key} = {now}   # {counted}{refused}; percentile {percentile:.0}{unit}: stays"
            ),
            _ => writeln!(
                out,
                "{key} = {}   # {counted}{refused}; now {now}{unit}",
                rounded(percentile)
            ),
        };
    }
    out
}

/// Three digits: percentiles are no better known.
fn rounded(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let scale = 10f64.powf(2.0 - value.log10().floor());
    (value * scale).ceil() / scale
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::{Alert, Family};

    fn proposal(values: impl Iterator<Item = u64>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let line = |us: u64| format!("{{\"longhaul\":{{\"floor\":{{\"excess_us\":{us}.5}}}}}}\n");
        fs::write(dir.path().join("run.json"), "{}").unwrap();
        fs::write(dir.path().join("endpoints.ndjson"), values.map(line).collect::<String>())
            .unwrap();
        let rule = RuleInfo::clone(&Alert::sample("D04", Family::P).rule);
        let field = "longhaul.floor.excess_us";
        let of = Threshold { rule, file: "endpoints.ndjson", field, unit: "us", now: 40_000.0 };
        propose(&Results::open(dir.path()).unwrap(), &[of]).unwrap()
    }

    fn line(text: &str) -> &str {
        text.lines().find(|line| line.contains("excess_us")).unwrap()
    }

    #[test]
    fn a_site_with_longer_paths_gets_a_higher_threshold() {
        let text = proposal((0..10_000).map(|n| n * 10));
        // 99.9 % of 0 to 99,990 in steps of 10, to three digits and up.
        let table: toml::Table = toml::from_str(&text).unwrap();
        let value =
            table["thresholds"]["rules"]["D04"]["medium"]["longhaul.floor.excess_us"].as_integer();
        assert!(value.is_some_and(|value| (99_800..=100_500).contains(&value)), "{text}");
        assert!(line(&text).contains("6,000 at the threshold in use or above"), "{text}");
    }

    #[test]
    fn nothing_is_lowered_and_nothing_rests_on_little() {
        let text = proposal((0..10_000).map(|n| n / 1_000));
        assert!(line(&text).starts_with("# ") && line(&text).contains("stays"), "{text}");
        let text = proposal((0..999).map(|_| 90_000));
        assert!(line(&text).starts_with("# ") && line(&text).contains("say nothing"), "{text}");
        assert!(toml::from_str::<toml::Table>(&text).is_ok());
    }
}
