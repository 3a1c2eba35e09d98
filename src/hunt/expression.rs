//! What a filter asks of a line.
//!
//! Owns: the form of a filter, and whether it holds for a line. In: a line as JSON. Out: yes or no.
//! Never: a field that is absent taken for a value: every comparison with it is false.

use std::net::IpAddr;

use serde_json::Value;

/// A filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// All hold.
    All(Vec<Expr>),
    /// One holds.
    Any(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// The field is there.
    Exists(Path),
    /// A value of the field compares so.
    Compare(Path, Op, Literal),
    /// A value of the field is one of these.
    In(Path, Vec<Literal>),
}

/// A field's name, cut at its dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(pub Vec<String>);

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `==`
    Equal,
    /// `!=`: the field is there, and none of its values is equal.
    Differs,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `contains`
    Contains,
    /// `startswith`
    StartsWith,
    /// `endswith`
    EndsWith,
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A text.
    Text(String),
    /// A time of UTC without `Z`: values compare with it as far as it is told.
    Time(String),
    /// A number.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// An address and the number of bits that count.
    Network(IpAddr, u8),
}

impl Expr {
    /// Whether it holds for a line.
    pub fn holds(&self, line: &Value) -> bool {
        match self {
            Expr::All(all) => all.iter().all(|one| one.holds(line)),
            Expr::Any(all) => all.iter().any(|one| one.holds(line)),
            Expr::Not(one) => !one.holds(line),
            Expr::Exists(path) => path.any(line, &mut |_| true),
            Expr::Compare(path, Op::Differs, literal) => {
                path.any(line, &mut |_| true)
                    && !path.any(line, &mut |value| literal.compares(value, Op::Equal))
            }
            Expr::Compare(path, op, literal) => {
                path.any(line, &mut |value| literal.compares(value, *op))
            }
            Expr::In(path, all) => path.any(line, &mut |value| {
                all.iter().any(|literal| literal.compares(value, Op::Equal))
            }),
        }
    }
}

impl Path {
    /// Whether a test holds for any value of the field: of lists for each member.
    fn any(&self, line: &Value, test: &mut dyn FnMut(&Value) -> bool) -> bool {
        any(line, &self.0, test)
    }
}

/// As deep as the parser of JSON lets values nest.
fn any(value: &Value, path: &[String], test: &mut dyn FnMut(&Value) -> bool) -> bool {
    if let Value::Array(all) = value {
        return all.iter().any(|one| any(one, path, test));
    }
    match path.split_first() {
        Some((key, rest)) => value.get(key).is_some_and(|inner| any(inner, rest, test)),
        None => !value.is_null() && test(value),
    }
}

impl Literal {
    fn compares(&self, value: &Value, op: Op) -> bool {
        match (self, value) {
            (Literal::Text(want), Value::String(have)) => texts(have, op, want),
            (Literal::Time(want), Value::String(have)) => {
                let have = have.strip_suffix('Z').unwrap_or(have);
                texts(have.get(..want.len()).unwrap_or(have), op, want)
            }
            (Literal::Number(want), Value::Number(have)) => {
                have.as_f64().is_some_and(|have| ordered(&have, op, want))
            }
            (Literal::Flag(want), Value::Bool(have)) => op == Op::Equal && have == want,
            (Literal::Network(network, bits), Value::String(have)) => {
                let inside = |addr: IpAddr| is_inside(addr, *network, *bits);
                op == Op::Equal && have.parse().is_ok_and(inside)
            }
            _ => false,
        }
    }
}

fn texts(have: &str, op: Op, want: &str) -> bool {
    match op {
        Op::Contains => have.contains(want),
        Op::StartsWith => have.starts_with(want),
        Op::EndsWith => have.ends_with(want),
        order => ordered(have, order, want),
    }
}

fn ordered<T: PartialOrd + ?Sized>(have: &T, op: Op, want: &T) -> bool {
    match op {
        Op::Equal => have == want,
        Op::Differs => have != want,
        Op::Less => have < want,
        Op::AtMost => have <= want,
        Op::Greater => have > want,
        Op::AtLeast => have >= want,
        Op::Contains | Op::StartsWith | Op::EndsWith => false,
    }
}

fn is_inside(addr: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (a, b, all) = match (addr, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let shift = u32::from(all - bits.min(all));
    a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
}
