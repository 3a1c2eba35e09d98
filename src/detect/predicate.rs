//! Tests on fields, and how they combine.
//!
//! Owns: tests on values, the tree of and/or/not, and the fields that a tree requires.
//! In: values of a record. Out: yes or no. Never: parsing, error texts.

use std::net::IpAddr;
use std::sync::Arc;

use regex_automata::meta::Regex;

use crate::detect::calendar::CalendarPart;
use crate::detect::case::Values;
use crate::detect::pattern::{Anchor, Pattern};
use crate::detect::same::is_same;
use crate::model::Addr;
use crate::model::schema::{Field, Judged, Value};

/// Numeric comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Greater,
    AtLeast,
    Less,
    AtMost,
}

/// A test of one value.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Text(Pattern),
    /// Compiled, and as it is written, with its flags.
    Regex(Box<Regex>, Box<str>),
    Inside(Prefix),
    Address(Addr),
    Number(Order, f64),
    /// A number of a time.
    Calendar(CalendarPart, Order, f64),
    Flag(bool),
    AnyOf(Box<[Test]>),
    AllOf(Box<[Test]>),
}

/// An address prefix of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    v4: bool,
    bits: u128,
    mask: u128,
}

impl Prefix {
    /// From `address/length`.
    pub(super) fn parse(text: &str) -> Option<Prefix> {
        let (addr, length) = text.split_once('/')?;
        let ip: IpAddr = addr.parse().ok()?;
        let length: u32 = length.parse().ok()?;
        if length > if ip.is_ipv4() { 32 } else { 128 } {
            return None;
        }
        let length = if ip.is_ipv4() { length + 96 } else { length };
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        Some(Prefix { v4: ip.is_ipv4(), bits: Addr::from(ip).to_bits() & mask, mask })
    }

    /// Whether it is one of IPv4.
    pub(super) const fn is_v4(self) -> bool {
        self.v4
    }

    /// Its first and last address.
    pub(super) const fn range(self) -> (u128, u128) {
        (self.bits, self.bits | !self.mask)
    }

    pub(super) fn holds(self, addr: Addr) -> bool {
        // Every IPv4 address is stored as IPv6, so ::/0 must check the family too.
        addr.to_bits() & self.mask == self.bits && addr.to_v4().is_some() == self.v4
    }
}

impl Test {
    /// Whether the test holds for a value that is present.
    pub(super) fn holds(&self, value: &Value<'_>) -> bool {
        match self {
            Test::AnyOf(all) => all.iter().any(|test| test.holds(value)),
            Test::AllOf(all) => all.iter().all(|test| test.holds(value)),
            leaf => match value {
                Value::List(list) => list.any(&mut |one| leaf.holds_for_one(&one)),
                one => leaf.holds_for_one(one),
            },
        }
    }

    fn holds_for_one(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Test::Number(order, bound), value) => {
                value.as_number().is_some_and(|have| order.holds(have, *bound))
            }
            (Test::Calendar(part, order, bound), value) => {
                part.of(value).is_some_and(|have| order.holds(have as f64, *bound))
            }
            (Test::Flag(want), Value::Bool(have)) => want == have,
            (Test::Address(want), Value::Ip(have)) => want == have,
            (Test::Inside(prefix), Value::Ip(have)) => prefix.holds(*have),
            (Test::Inside(prefix), value) => value.with_text(|text| {
                text.parse::<IpAddr>().is_ok_and(|ip| prefix.holds(Addr::from(ip)))
            }),
            (Test::Text(pattern), value) => value.with_text(|text| pattern.matches(text)),
            (Test::Regex(regex, _), value) => value.with_text(|text| regex.is_match(text)),
            _ => false,
        }
    }

    /// Whether it is known to be the same test: regular expressions are not compared.
    pub(super) fn is_same(&self, other: &Test) -> bool {
        let all_same = |some: &[Test], others: &[Test]| {
            some.len() == others.len() && some.iter().zip(others).all(|(a, b)| a.is_same(b))
        };
        match (self, other) {
            (Test::Text(a), Test::Text(b)) => a == b,
            (Test::Inside(a), Test::Inside(b)) => a == b,
            (Test::Address(a), Test::Address(b)) => a == b,
            (Test::Number(a, x), Test::Number(b, y)) => a == b && x.total_cmp(y).is_eq(),
            (Test::Flag(a), Test::Flag(b)) => a == b,
            (Test::AnyOf(a), Test::AnyOf(b)) | (Test::AllOf(a), Test::AllOf(b)) => all_same(a, b),
            _ => false,
        }
    }

    /// Rough cost: cheap tests go first.
    pub(super) fn cost(&self) -> u32 {
        match self {
            Test::Flag(_) | Test::Number(..) | Test::Address(_) => 1,
            Test::Inside(_) | Test::Calendar(..) => 2,
            Test::Text(_) => 4,
            Test::Regex(..) => 64,
            Test::AnyOf(all) | Test::AllOf(all) => all.iter().map(Test::cost).sum(),
        }
    }
}

impl Order {
    pub(super) fn holds(self, have: f64, bound: f64) -> bool {
        match self {
            Order::Equal => (have - bound).abs() < f64::EPSILON,
            Order::Greater => have > bound,
            Order::AtLeast => have >= bound,
            Order::Less => have < bound,
            Order::AtMost => have <= bound,
        }
    }
}

/// A tree of tests.
#[derive(Clone, Debug)]
pub(super) enum Node<S: 'static> {
    Present(&'static Field<S>, bool),
    Is(&'static Field<S>, Test),
    /// The values of two fields agree.
    Same {
        field: &'static Field<S>,
        other: &'static Field<S>,
        anchor: Anchor,
        cased: bool,
    },
    All(Box<[Node<S>]>),
    Any(Box<[Node<S>]>),
    AtLeast(usize, Box<[Node<S>]>),
    Not(Box<Node<S>>),
    /// A selection that a condition names, perhaps again and again, and its cost.
    Named(Arc<Node<S>>, u32),
}

impl<S: Judged> Node<S> {
    /// For conditions that name it: copies share it.
    pub(super) fn named(self) -> Node<S> {
        let cost = self.cost();
        Node::Named(Arc::new(self), cost)
    }

    /// The opposite.
    pub(super) fn negated(self) -> Node<S> {
        match self {
            Node::Not(node) => *node,
            node => Node::Not(Box::new(node)),
        }
    }

    /// Whether any test in it reads the field of this name.
    pub(super) fn reads(&self, name: &str) -> bool {
        match self {
            Node::Present(field, _) | Node::Is(field, _) => field.name == name,
            Node::Same { field, other, .. } => field.name == name || other.name == name,
            Node::All(nodes) | Node::Any(nodes) | Node::AtLeast(_, nodes) => {
                nodes.iter().any(|node| node.reads(name))
            }
            Node::Not(node) => node.reads(name),
            Node::Named(node, _) => node.reads(name),
        }
    }

    /// All of them, cheap ones first. The order does not change the result: tests have no effects.
    pub(super) fn all(mut nodes: Vec<Node<S>>) -> Node<S> {
        nodes.sort_by_cached_key(Node::cost);
        Node::All(nodes.into())
    }

    /// Whether the tree holds for these values.
    pub(super) fn holds(&self, record: &impl Values<S>) -> bool {
        match self {
            Node::Present(field, want) => record.value(field).is_absent() != *want,
            Node::Is(field, test) => {
                let value = record.value(field);
                !value.is_absent() && test.holds(&value)
            }
            Node::Same { field, other, anchor, cased } => {
                is_same(&record.value(field), &record.value(other), *anchor, *cased)
            }
            Node::All(nodes) => nodes.iter().all(|node| node.holds(record)),
            Node::Any(nodes) => nodes.iter().any(|node| node.holds(record)),
            Node::AtLeast(n, nodes) => {
                nodes.iter().filter(|node| node.holds(record)).take(*n).count() == *n
            }
            Node::Not(node) => !node.holds(record),
            Node::Named(node, _) => node.holds(record),
        }
    }

    /// Fields without which the tree cannot hold.
    pub(super) fn needs(&self) -> Vec<&'static Field<S>> {
        match self {
            Node::Present(field, true) | Node::Is(field, _) => vec![field],
            Node::Same { field, other, .. } => vec![field, other],
            Node::Present(_, false) | Node::Not(_) => Vec::new(),
            Node::Named(node, _) => node.needs(),
            Node::All(nodes) => {
                let mut all: Vec<&'static Field<S>> = Vec::new();
                for field in nodes.iter().flat_map(Node::needs) {
                    if !all.iter().any(|have| have.name == field.name) {
                        all.push(field);
                    }
                }
                all
            }
            Node::Any(nodes) => shared_needs(nodes),
            Node::AtLeast(0, _) => Vec::new(),
            Node::AtLeast(_, nodes) => shared_needs(nodes),
        }
    }

    /// Calls `each` with tests that must hold for a present value, or must not hold for one where
    /// the third is `false`: otherwise the tree does not hold, or does where `positive` is not set.
    pub(super) fn literals<'n>(
        &'n self,
        positive: bool,
        each: &mut dyn FnMut(&'static Field<S>, &'n Test, bool),
    ) {
        match (self, positive) {
            (Node::Is(field, test), _) => each(field, test, positive),
            (Node::All(nodes), true) | (Node::Any(nodes), false) => {
                nodes.iter().for_each(|node| node.literals(positive, each));
            }
            (Node::All(nodes), false) | (Node::Any(nodes), true) => {
                if let [one] = &**nodes {
                    one.literals(positive, each);
                }
            }
            (Node::Not(node), _) => node.literals(!positive, each),
            (Node::Named(node, _), _) => node.literals(positive, each),
            (Node::Present(..) | Node::Same { .. } | Node::AtLeast(..), _) => {}
        }
    }

    /// Calls `each` with every field that the tree reads, and its test if a match supports the
    /// rule.
    pub(super) fn visit(
        &self,
        negated: bool,
        each: &mut dyn FnMut(&'static Field<S>, Option<&Test>),
    ) {
        match self {
            Node::Present(field, _) => each(field, None),
            Node::Same { field, other, .. } => {
                each(field, None);
                each(other, None);
            }
            Node::Is(field, test) => each(field, Some(test).filter(|_| !negated)),
            Node::All(nodes) | Node::Any(nodes) | Node::AtLeast(_, nodes) => {
                nodes.iter().for_each(|node| node.visit(negated, each));
            }
            Node::Not(node) => node.visit(!negated, each),
            Node::Named(node, _) => node.visit(negated, each),
        }
    }

    /// Every test in it, with its field.
    pub(super) fn leaves<'n>(&'n self, all: &mut Vec<(&'static Field<S>, &'n Test)>) {
        match self {
            Node::Present(..) | Node::Same { .. } => {}
            Node::Is(field, test) => all.push((field, test)),
            Node::All(nodes) | Node::Any(nodes) | Node::AtLeast(_, nodes) => {
                nodes.iter().for_each(|node| node.leaves(all));
            }
            Node::Not(node) => node.leaves(all),
            Node::Named(node, _) => node.leaves(all),
        }
    }

    /// Whether values of the field are computed on demand: an allocation.
    pub(super) fn is_made(field: &Field<S>) -> bool {
        field.name.ends_with(".tags") || field.name.ends_with(".mac")
    }

    /// Rough cost: cheap tests go first.
    fn cost(&self) -> u32 {
        match self {
            Node::Present(..) => 1,
            Node::Same { .. } => 16,
            Node::Is(field, test) => test.cost() + if Node::is_made(field) { 64 } else { 0 },
            Node::All(nodes) | Node::Any(nodes) | Node::AtLeast(_, nodes) => {
                nodes.iter().map(Node::cost).fold(0, u32::saturating_add)
            }
            Node::Not(node) => node.cost(),
            Node::Named(_, cost) => *cost,
        }
    }
}

fn shared_needs<S: Judged>(nodes: &[Node<S>]) -> Vec<&'static Field<S>> {
    let mut lists = nodes.iter().map(Node::needs);
    let mut shared = lists.next().unwrap_or_default();
    for list in lists {
        shared.retain(|field| list.iter().any(|other| other.name == field.name));
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_keep_to_their_family() {
        let ip = |text: &str| Addr::from(text.parse::<IpAddr>().unwrap());
        let net = Prefix::parse("175.45.176.0/22").unwrap();
        assert!(net.holds(ip("175.45.179.255")) && !net.holds(ip("175.45.180.0")));
        assert!(!Prefix::parse("::/0").unwrap().holds(ip("192.0.2.1")));
        assert!(Prefix::parse("::/0").unwrap().holds(ip("2001:db8::1")));
        assert!(Prefix::parse("0.0.0.0/0").unwrap().holds(ip("192.0.2.1")));
        for bad in ["10.0.0.0", "10.0.0.0/33", "2001:db8::/129", "x/8", "10.0.0/8"] {
            assert_eq!(Prefix::parse(bad), None, "{bad}");
        }
    }
}
