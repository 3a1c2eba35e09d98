//! Leaves out rules that cannot hold, before their conditions are looked at.
//!
//! Owns: what several rules ask for, and in which order it is looked up. In: conditions; the values
//! of a subject. Out: the rules that are left. Never: decides that a rule holds.
//!
//! Most sessions have little: no tag, no interaction, no answer. A field or a test that many rules
//! ask for is looked up once, and what it leaves out is not asked for anything else.

use crate::detect::case::Values;
use crate::detect::predicate::{Node, Test};
use crate::model::schema::{Field, Judged, Shown};

/// Rules that are sifted together: one bit each.
const TOGETHER: usize = u64::BITS as usize;

/// Tests that cost more are left to the conditions.
const COST_MAX: u32 = 16;

/// A sieve for one kind of subject.
#[derive(Debug)]
pub(super) struct Sieve<S: 'static> {
    blocks: Vec<Block<S>>,
}

/// Up to [`TOGETHER`] rules.
#[derive(Debug)]
struct Block<S: 'static> {
    /// A bit for each of them.
    all: u64,
    /// In the order in which they are looked up.
    gates: Vec<Gate<S>>,
}

/// What rules ask for.
#[derive(Debug)]
struct Gate<S: 'static> {
    field: &'static Field<S>,
    ask: Ask,
    /// The rules that cannot hold otherwise.
    rules: u64,
}

#[derive(Debug)]
enum Ask {
    /// The field is present.
    Present,
    /// It is present, and the test holds; or, if `false`, not both.
    Holds(Test, bool),
}

impl<S: Judged> Sieve<S> {
    /// Of conditions, in the order of their rules.
    pub(super) fn new<'n>(conditions: impl Iterator<Item = &'n Node<S>>) -> Sieve<S> {
        let conditions: Vec<&Node<S>> = conditions.collect();
        Sieve { blocks: conditions.chunks(TOGETHER).map(Block::new).collect() }
    }

    /// The rules that may hold, in order.
    pub(super) fn left<V: Values<S>>(&self, subject: &V) -> impl Iterator<Item = usize> {
        self.blocks.iter().enumerate().flat_map(move |(block, one)| {
            let mut left = one.left(subject);
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.wrapping_sub(1);
                (bit < u64::BITS).then_some(block * TOGETHER + bit as usize)
            })
        })
    }
}

impl<S: Judged> Block<S> {
    fn new(conditions: &[&Node<S>]) -> Block<S> {
        let mut gates: Vec<Gate<S>> = Vec::new();
        let mut all = 0;
        for (index, when) in conditions.iter().enumerate() {
            let rule = 1 << index;
            all |= rule;
            for field in when.needs().into_iter().filter(|field| field.shown != Shown::Always) {
                add(&mut gates, Gate { field, ask: Ask::Present, rules: rule });
            }
            when.literals(true, &mut |field, test, holds| {
                if test.cost() <= COST_MAX && !Node::is_made(field) {
                    let ask = Ask::Holds(test.clone(), holds);
                    add(&mut gates, Gate { field, ask, rules: rule });
                }
            });
        }
        // The condition itself finds what one rule alone tests.
        gates.retain(|gate| matches!(gate.ask, Ask::Present) || gate.rules.count_ones() > 1);
        // What leaves out most goes first.
        gates.sort_by_key(|gate| std::cmp::Reverse(gate.rules.count_ones()));
        Block { all, gates }
    }

    fn left(&self, subject: &impl Values<S>) -> u64 {
        let mut left = self.all;
        for gate in &self.gates {
            if left & gate.rules == 0 {
                continue;
            }
            let value = subject.value(gate.field);
            let passes = match &gate.ask {
                Ask::Present => !value.is_absent(),
                Ask::Holds(test, want) => (!value.is_absent() && test.holds(&value)) == *want,
            };
            if !passes {
                left &= !gate.rules;
                if left == 0 {
                    break;
                }
            }
        }
        left
    }
}

fn add<S>(gates: &mut Vec<Gate<S>>, new: Gate<S>) {
    let is_same = |gate: &&mut Gate<S>| {
        gate.field.name == new.field.name
            && match (&gate.ask, &new.ask) {
                (Ask::Present, Ask::Present) => true,
                (Ask::Holds(one, want), Ask::Holds(other, wanted)) => {
                    want == wanted && one.is_same(other)
                }
                _ => false,
            }
    };
    match gates.iter_mut().find(is_same) {
        Some(gate) => gate.rules |= new.rules,
        None => gates.push(new),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::ruleset::RuleSet;
    use crate::emit::samples;
    use crate::model::Record;
    use crate::model::record::{Direction, SessionState};

    /// What the conditions themselves say.
    fn agrees(rules: &RuleSet, record: &Record) {
        let conditions = || rules.on_sessions().iter().map(|rule| &rule.when);
        let sieve = Sieve::new(conditions());
        let left: Vec<usize> = sieve.left(record).collect();
        assert!(left.is_sorted(), "{left:?}");
        for (index, when) in conditions().enumerate() {
            assert!(left.contains(&index) || !when.holds(record), "{index} is left out");
        }
    }

    fn many(count: usize) -> String {
        let rule = |n: usize| {
            format!(
                "title: t\nid: 00000000-0000-4000-8000-{n:012}\nlogsource:\n  product: longhaul\n  \
                 service: session\ndetection:\n  a:\n    network.direction: outbound\n    \
                 destination.port: {}\n  b:\n    - longhaul.state: opened\n    - \
                 source.port|gte: {n}\n  condition: a and not b\nlevel: low\nlonghaul:\n  id: \
                 D{}\n  family: N\n  topologies: [T1]\n  message: m\n  evidence: [{{field: \
                 source.ip}}]\n",
                n % 3,
                200 + n
            )
        };
        (0..count).map(rule).collect::<Vec<_>>().join("---\n")
    }

    #[test]
    fn a_session_without_anything_leaves_few_rules() {
        let rules = RuleSet::embedded().unwrap();
        let sieve = Sieve::new(rules.on_sessions().iter().map(|rule| &rule.when));
        let mut record = samples::bare_record();
        record.state = SessionState::Opened;
        let left = sieve.left(&record).count();
        assert!(left <= 2, "{left} of {}", rules.on_sessions().len());
    }

    #[test]
    fn more_rules_than_bits_are_sifted_in_blocks() {
        let rules = RuleSet::from_text("many.yml", &many(150)).unwrap();
        let sieve = Sieve::new(rules.on_sessions().iter().map(|rule| &rule.when));
        assert_eq!(sieve.blocks.len(), 3);
        let mut record = samples::bare_record();
        (record.context.direction, record.state) = (Direction::Outbound, SessionState::Closed);
        (record.responder.port, record.initiator.port) = (1, 1);
        let holds = |record: &Record| {
            rules.on_sessions().iter().filter(|rule| rule.when.holds(record)).count()
        };
        let left: Vec<usize> = sieve.left(&record).collect();
        assert_eq!((left.len(), holds(&record)), (50, 49));
        assert!(left.iter().all(|index| index % 3 == 1), "{left:?}");
        record.state = SessionState::Opened;
        assert_eq!((sieve.left(&record).count(), holds(&record)), (0, 0));
    }

    proptest! {
        #[test]
        fn no_rule_that_holds_is_left_out(
            direction in prop::sample::select(vec![
                Direction::Inbound, Direction::Outbound, Direction::Internal, Direction::External,
            ]),
            state in prop::sample::select(vec![
                SessionState::Opened, SessionState::Established, SessionState::Reset,
            ]),
            tag in prop::sample::select(vec!["vpn:astrill", "hosting", "sase", "tor", "kvm:pikvm"]),
            on in prop::sample::select(vec!["source.ip", "destination.ip"]),
            flags in any::<[bool; 3]>(),
            seconds in 0u64..700,
        ) {
            let rules = RuleSet::embedded().unwrap();
            let mut record =
                if flags[0] { samples::tls_record() } else { samples::nasty_record() };
            (record.context.direction, record.state) = (direction, state);
            record.quality.unconfirmed = flags[1];
            record.context.application_approved = flags[2];
            record.end = crate::model::Nanos(record.start.0 + seconds * 1_000_000_000);
            if let Some(hit) = record.context.hits.first_mut() {
                (hit.tag, hit.on) = (tag.into(), on);
            }
            agrees(&rules, &record);
        }
    }
}
