//! Which rules are on.
//!
//! Owns: how a site names them. In: what it switches on and off. Out: the rules that are left, or
//! every name that fits none. Never: changes a rule.

use crate::detect::did_you_mean::{did_you_mean, nearest};
use crate::detect::rule::Rule;
use crate::detect::ruleset::RuleSet;
use crate::model::Error;

/// What a site switches: numbers, names or ids of rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Switches<'s> {
    /// Rules that are off unless somebody wants them (`enabled: false`).
    pub enable: &'s [String],
    /// Rules that nobody wants here; of those in both lists too.
    pub disable: &'s [String],
}

impl Switches<'_> {
    fn is_on(&self, rule: &Rule) -> bool {
        let named = |words: &[String]| words.iter().any(|word| is_called(rule, word));
        !named(self.disable) && (rule.is_enabled() || named(self.enable))
    }
}

/// Whether a word names a rule: all rules of its number or name, or the one of its id.
fn is_called(rule: &Rule, word: &str) -> bool {
    let info = rule.info();
    [&info.id, &info.name, &info.uuid].iter().any(|own| own.eq_ignore_ascii_case(word))
}

impl RuleSet {
    /// The rules that are on.
    ///
    /// Errors: words that name no rule.
    pub fn switched(self, switches: Switches<'_>) -> Result<RuleSet, Vec<Error>> {
        let unknown = |(key, word): (&str, &String)| {
            if self.iter().any(|rule| is_called(rule, word)) {
                return None;
            }
            let infos = self.iter().map(|rule| rule.info());
            let names = infos.flat_map(|info| [info.id.as_str(), info.name.as_str()]);
            let help = "`longhaul rules list` prints numbers and names";
            let error = Error::new(key, format!("no rule is called `{word}`"));
            Some(error.help(did_you_mean(nearest(word, names), help)))
        };
        let enable = switches.enable.iter().map(|word| ("enable", word));
        let words = enable.chain(switches.disable.iter().map(|word| ("disable", word)));
        let errors: Vec<Error> = words.filter_map(unknown).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(self.raising(|rule| switches.is_on(rule)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(enable: &[&str], disable: &[&str]) -> Result<Vec<String>, Vec<Error>> {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (enable, disable): (Vec<String>, Vec<String>) = (own(enable), own(disable));
        let rules = RuleSet::embedded().unwrap();
        let rules = rules.switched(Switches { enable: &enable, disable: &disable })?;
        Ok(rules.iter().map(|rule| rule.info().id.clone()).collect())
    }

    fn has(numbers: &[String], number: &str) -> bool {
        numbers.iter().any(|one| one == number)
    }

    #[test]
    fn a_rule_is_on_as_it_says_unless_the_site_says_otherwise() {
        let usual = numbers(&[], &[]).unwrap();
        assert!(has(&usual, "D25") && !has(&usual, "D31"), "{usual:?}");
        assert!(has(&numbers(&["D31"], &[]).unwrap(), "D31"));
        assert!(has(&numbers(&["input_stall_bursts"], &[]).unwrap(), "D31"));
        assert!(!has(&numbers(&["d31"], &["D31"]).unwrap(), "D31"), "off is off");
        let less = numbers(&[], &["D25", "vpn_exit_inbound"]).unwrap();
        assert!(!has(&less, "D25") && !has(&less, "D01") && has(&less, "D02"));
        let all = RuleSet::embedded().unwrap();
        let one = all.iter().find(|rule| rule.info().id == "D05").unwrap().info().uuid.clone();
        let count = |all: &[String]| all.iter().filter(|id| *id == "D05").count();
        assert_eq!(count(&numbers(&[], &[&one]).unwrap()) + 1, count(&usual), "by id one alone");
    }

    #[test]
    fn a_name_of_no_rule_is_an_error() {
        let errors = numbers(&["D310"], &["synthetic_inputs"]).unwrap_err();
        let said: Vec<String> = errors.iter().map(|error| format!("{error:?}")).collect();
        assert_eq!(said.len(), 2);
        assert!(said[1].contains("synthetic_input"), "{said:?}");
    }
}
