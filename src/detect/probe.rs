//! What a rule costs, to be measured.
//!
//! Owns: values that no test is done with early. In: a compiled condition. Out: something to run.
//! Never: a clock; the caller has one.

use crate::detect::predicate::{Node, Test};
use crate::detect::rule::Rule;
use crate::model::Addr;
use crate::model::schema::{Judged, Kind, Value};

/// Length of a long name, in bytes (RFC 1035 section 2.3.4).
const LONG: usize = 255;

/// A rule's tests, each with a value that it has to look at whole.
pub struct Probe<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// How many values and patterns it compares with.
    pub values: usize,
    tests: Vec<(&'r Test, bool)>,
    text: String,
}

impl<'r> Probe<'r> {
    pub(super) fn new<S: Judged>(rule: &'r Rule, when: &'r Node<S>) -> Probe<'r> {
        let mut leaves = Vec::new();
        when.leaves(&mut leaves);
        let is_text = |kind| matches!(kind, Kind::Text | Kind::Word(_) | Kind::Texts);
        let tests: Vec<(&Test, bool)> =
            leaves.iter().map(|(field, test)| (*test, is_text(field.kind))).collect();
        let values = tests.iter().map(|(test, _)| count(test)).sum();
        Probe { rule, values, tests, text: "a".repeat(LONG) }
    }

    /// Runs every test once. Returns how many held, so that none is left out.
    pub fn run(&self) -> usize {
        let address = Value::Ip(Addr([0xfe; 16]));
        let held = |(test, is_text): &&(&Test, bool)| match is_text {
            true => test.holds(&Value::Str(&self.text)),
            false => test.holds(&address),
        };
        self.tests.iter().filter(held).count()
    }
}

fn count(test: &Test) -> usize {
    match test {
        Test::AnyOf(all) | Test::AllOf(all) => all.iter().map(count).sum(),
        _ => 1,
    }
}
