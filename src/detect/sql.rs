//! Rules as SQL over the fields of the output.
//!
//! Owns: the statement of a rule, and the tables that statements read; those of correlations stand
//! in `sql_correlation`. In: compiled rules, as the engine runs them. Out: SQL. Never: a statement
//! that answers other than the engine: what SQL cannot say is refused with the reason.
//!
//! A table has a row an event and a column a field; `FIELD.hex` holds an address as 32 hexadecimal
//! digits, so that a prefix is a range. Lists stand in a second table, `…_values`, with a row a
//! member. No test relies on NULL: a field that is absent fails it, also below NOT.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detect::calendar::CalendarPart;
use crate::detect::correlation::PartMaker;
use crate::detect::pattern::{Anchor, Pattern};
use crate::detect::predicate::{Node, Order, Test};
use crate::detect::rule::{Compiled, Rule};
use crate::detect::ruleset::RuleSet;
use crate::model::schema::{Field, Judged, Kind, find_in};

/// A rule's statement, or why there is none.
pub struct Statement {
    /// The rule.
    pub rule: Arc<Rule>,
    /// How many times within a day it must hold to be an alert.
    pub at_least: u64,
    /// The statement, without its semicolon.
    pub sql: Result<String, String>,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Text.
    Text,
    /// A time in UTC.
    Time,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// An address as text, and beside it as digits.
    Address,
    /// A list of texts or addresses: rows of the table of values.
    List,
}

/// A field that statements read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name of the field and the column.
    pub name: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// The list of objects that it is a member of, if it is one.
    pub of: Option<&'static str>,
}

/// A table that statements read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// `sessions` or `endpoints`: the file without its ending.
    pub name: String,
    /// Its columns, by name.
    pub columns: Vec<Column>,
}

/// The statement of each rule on single events that raises alerts.
pub(super) fn of_events(rules: &RuleSet) -> Vec<Statement> {
    let sessions = rules.on_sessions().iter().filter(|rule| rule.stands).map(statement);
    let endpoints = rules.on_endpoints().iter().filter(|rule| rule.stands).map(statement);
    sessions.chain(endpoints).collect()
}

/// The tables that the statements read.
pub fn tables(rules: &RuleSet) -> Vec<Table> {
    vec![
        table(rules.on_sessions(), rules.session_parts().map(|(_, maker)| maker)),
        table(rules.on_endpoints(), rules.endpoint_parts().map(|(_, maker)| maker)),
    ]
}

fn table<'r, S: Judged>(
    rules: &[Compiled<S>],
    counted: impl Iterator<Item = &'r PartMaker<S>>,
) -> Table {
    let mut columns = BTreeMap::new();
    let mut add = |field: &'static Field<S>| {
        if in_lines(field).is_err() {
            return;
        }
        let of = field.each.map(|(list, ..)| list.name);
        let column = Column { name: field.name, holds: holds(field.kind), of };
        columns.insert(field.name, column);
    };
    for rule in rules {
        rule.when.visit(false, &mut |field, _| add(field));
    }
    counted.flat_map(PartMaker::fields).for_each(&mut add);
    ["event.id", "@timestamp", "longhaul.subject.id"]
        .iter()
        .filter_map(|name| find_in::<S>(name))
        .filter(|field| field.in_lines())
        .for_each(add);
    Table { name: format!("{}s", S::SERVICE), columns: columns.into_values().collect() }
}

const fn holds(kind: Kind) -> Holds {
    match kind {
        Kind::Text | Kind::Word(_) | Kind::Date => Holds::Text,
        Kind::Time => Holds::Time,
        Kind::Int | Kind::Signed | Kind::Float => Holds::Number,
        Kind::Bool => Holds::Flag,
        Kind::Ip => Holds::Address,
        Kind::Texts | Kind::Ips => Holds::List,
    }
}

fn statement<S: Judged>(rule: &Compiled<S>) -> Statement {
    let table = format!("{}s", S::SERVICE);
    let sql = holding(rule).map(|when| {
        format!(
            "SELECT {} AS \"rule.uuid\", s.\"event.id\", s.\"@timestamp\"\nFROM {table} s\n\
             WHERE {when}",
            quoted(&rule.rule.info().uuid)
        )
    });
    Statement { rule: Arc::clone(&rule.rule), at_least: rule.at_least, sql }
}

/// The condition of a rule over a row `s`.
pub(super) fn holding<S: Judged>(rule: &Compiled<S>) -> Result<String, String> {
    node(&rule.when)
}

/// Neither true nor false have a literal in every dialect.
const TRUE: &str = "1 = 1";
const FALSE: &str = "1 = 0";

fn node<S: Judged>(of: &Node<S>) -> Result<String, String> {
    match of {
        Node::Present(field, want) => {
            let there = present(field)?;
            Ok(if *want { there } else { format!("NOT ({there})") })
        }
        Node::Is(field, one) => test(field, one),
        Node::Same { field, other, anchor, cased } => same(field, other, *anchor, *cased),
        Node::All(all) => join(all.iter().map(node), " AND ", TRUE),
        Node::Any(all) => join(all.iter().map(node), " OR ", FALSE),
        Node::AtLeast(n, all) => {
            let ones =
                all.iter().map(|one| Ok(format!("CASE WHEN {} THEN 1 ELSE 0 END", node(one)?)));
            Ok(format!("{} >= {n}", join(ones, " + ", "0")?))
        }
        Node::Not(one) => Ok(format!("NOT ({})", node(one)?)),
        Node::Named(one, _) => node(one),
    }
}

fn join(
    parts: impl Iterator<Item = Result<String, String>>,
    word: &str,
    none: &str,
) -> Result<String, String> {
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    match parts.as_slice() {
        [] => Ok(none.to_owned()),
        [one] => Ok(one.clone()),
        several => Ok(format!("({})", several.join(word))),
    }
}

/// Refuses fields that no line has.
pub(super) fn in_lines<S: Judged>(field: &Field<S>) -> Result<(), String> {
    let is_one = field.each.is_none() || holds(field.kind) == Holds::List;
    match field.in_lines() && is_one {
        true => Ok(()),
        false => Err(format!("`{}` is known to rules and not in the output", field.name)),
    }
}

fn present<S: Judged>(field: &Field<S>) -> Result<String, String> {
    in_lines(field)?;
    Ok(match holds(field.kind) {
        Holds::List => exists(field, TRUE),
        _ => format!("s.{} IS NOT NULL", name(field.name)),
    })
}

/// Some member of a list for which a test holds.
fn exists<S: Judged>(field: &Field<S>, test: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM {}s_values v WHERE v.\"event.id\" = s.\"event.id\" AND v.field = {} \
         AND {test})",
        S::SERVICE,
        quoted(field.name),
    )
}

/// Two fields of one event agree.
fn same<S: Judged>(
    field: &Field<S>,
    other: &Field<S>,
    anchor: Anchor,
    cased: bool,
) -> Result<String, String> {
    in_lines(field)?;
    in_lines(other)?;
    let refuse = || {
        let (field, other) = (field.name, other.name);
        Err(format!("`{field}` and `{other}` are of types that SQL cannot compare"))
    };
    // The list is the table of values, whichever side it is on.
    let list = [field, other].map(|of| holds(of.kind) == Holds::List);
    let of = |of: &Field<S>| match holds(of.kind) {
        Holds::List => "v.value".to_owned(),
        _ => format!("s.{}", name(of.name)),
    };
    let (have, want) = (of(field), of(other));
    let both_text = [field, other]
        .iter()
        .all(|of| matches!(holds(of.kind), Holds::Text | Holds::Address | Holds::List));
    let agree = match anchor {
        _ if !both_text => {
            if holds(field.kind) != holds(other.kind) || holds(field.kind) == Holds::Time {
                return refuse();
            }
            format!("{have} = {want}")
        }
        anchor => {
            let fold = |text: &str| if cased { text.to_owned() } else { format!("LOWER({text})") };
            let (have, want) = (fold(&have), fold(&want));
            match anchor {
                Anchor::Whole => format!("{have} = {want}"),
                Anchor::Contains => format!("POSITION({want} IN {have}) > 0"),
                Anchor::Starts => format!("POSITION({want} IN {have}) = 1"),
                Anchor::Ends => format!("RIGHT({have}, LENGTH({want})) = {want}"),
            }
        }
    };
    match list {
        [true, true] => refuse(),
        [true, false] => Ok(format!("({} AND {})", present(other)?, exists(field, &agree))),
        [false, true] => Ok(format!("({} AND {})", present(field)?, exists(other, &agree))),
        [false, false] => Ok(format!("({} AND {} AND {agree})", present(field)?, present(other)?)),
    }
}

fn test<S: Judged>(field: &Field<S>, of: &Test) -> Result<String, String> {
    in_lines(field)?;
    match of {
        Test::AnyOf(all) => join(all.iter().map(|one| test(field, one)), " OR ", FALSE),
        Test::AllOf(all) => join(all.iter().map(|one| test(field, one)), " AND ", TRUE),
        leaf if holds(field.kind) == Holds::List => {
            Ok(exists(field, &compare("v.value", "v.hex", leaf)?))
        }
        leaf => {
            let column = format!("s.{}", name(field.name));
            let hex = format!("s.{}", name(&format!("{}.hex", field.name)));
            let fits = match leaf {
                Test::Number(..) => holds(field.kind) == Holds::Number,
                Test::Flag(_) => holds(field.kind) == Holds::Flag,
                Test::Calendar(..) => matches!(field.kind, Kind::Time | Kind::Date),
                Test::Address(_) | Test::Inside(_) => holds(field.kind) == Holds::Address,
                _ => matches!(holds(field.kind), Holds::Text | Holds::Address),
            };
            // The engine never holds such a test either.
            if !fits {
                return Ok(FALSE.to_owned());
            }
            Ok(format!("({column} IS NOT NULL AND {})", compare(&column, &hex, leaf)?))
        }
    }
}

/// A test of one value that is there.
fn compare(column: &str, hex: &str, of: &Test) -> Result<String, String> {
    Ok(match of {
        Test::Number(order, bound) => format!("{column} {} {bound}", sign(*order)),
        Test::Calendar(part, order, bound) => {
            let part = match part {
                CalendarPart::Minute => "MINUTE",
                CalendarPart::Hour => "HOUR",
                CalendarPart::Day => "DAY",
                CalendarPart::Week => "WEEK",
                CalendarPart::Month => "MONTH",
                CalendarPart::Year => "YEAR",
            };
            format!("EXTRACT({part} FROM CAST({column} AS TIMESTAMP)) {} {bound}", sign(*order))
        }
        Test::Flag(want) => format!("{column} = {}", if *want { "TRUE" } else { "FALSE" }),
        Test::Address(addr) => format!("{hex} = '{:032x}'", addr.to_bits()),
        Test::Inside(prefix) => {
            let (first, last) = prefix.range();
            let within = format!("{hex} BETWEEN '{first:032x}' AND '{last:032x}'");
            // IPv4 stands within ::ffff:0:0/96.
            let (v4, v4_last) = (0xffff_u128 << 32, (0xffff_u128 << 32) | 0xffff_ffff);
            match !prefix.is_v4() && first <= v4 && v4_last <= last {
                false => within,
                true => {
                    format!("({within} AND NOT ({hex} BETWEEN '{v4:032x}' AND '{v4_last:032x}'))")
                }
            }
        }
        Test::Text(pattern) => text(column, pattern)?,
        Test::Regex(_, source) => format!("REGEXP_LIKE({column}, {})", quoted(source)),
        // Taken apart before.
        Test::AnyOf(_) | Test::AllOf(_) => FALSE.to_owned(),
    })
}

const fn sign(order: Order) -> &'static str {
    match order {
        Order::Equal => "=",
        Order::Greater => ">",
        Order::AtLeast => ">=",
        Order::Less => "<",
        Order::AtMost => "<=",
    }
}

fn text(column: &str, pattern: &Pattern) -> Result<String, String> {
    let column = if pattern.is_cased() { column.to_owned() } else { format!("LOWER({column})") };
    if let Some(whole) = pattern.as_whole() {
        return Ok(format!("{column} = {}", quoted(whole)));
    }
    let likes = pattern.likes('!').ok_or("a text with so many dashes takes too many patterns")?;
    let like = |of: &String| Ok(format!("{column} LIKE {} ESCAPE '!'", quoted(of)));
    join(likes.iter().map(like), " OR ", FALSE)
}

/// A text in quotes.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name in quotes: names have dots.
pub fn name(of: &str) -> String {
    format!("\"{}\"", of.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(selection: &str) -> String {
        let text = format!(
            "title: t\nid: 00000000-0000-4000-8000-000000000001\nlogsource: {{product: longhaul, \
             service: session}}\ndetection:\n  s:\n    {selection}\n  condition: s\nlevel: low\n\
             longhaul: {{id: X01, family: N, topologies: [T1], message: m, evidence: []}}\n"
        );
        let rules = RuleSet::from_text("x.yml", &text).unwrap();
        let sql = of_events(&rules).remove(0).sql.unwrap();
        sql.split_once("WHERE ").unwrap().1.to_owned()
    }

    #[test]
    fn a_test_never_rests_on_null() {
        let column = "s.\"source.port\"";
        assert_eq!(when("source.port|gte: 5"), format!("({column} IS NOT NULL AND {column} >= 5)"));
        assert_eq!(when("source.port|exists: false"), format!("NOT ({column} IS NOT NULL)"));
        assert!(when("source.port|neq: 5").starts_with(&format!("NOT (({column} IS NOT NULL")));
    }

    #[test]
    fn texts_are_compared_without_case_and_quoted() {
        let name = "s.\"tls.client.server_name\"";
        let of = |value: &str| when(&format!("tls.client.server_name{value}"));
        assert!(of(": It's").ends_with(&format!("LOWER({name}) = 'it''s')")));
        assert!(of("|endswith: .x_y%z!").ends_with("LIKE '%.x!_y!%z!!' ESCAPE '!')"));
        assert!(of(": a?b*c").ends_with("LIKE 'a_b%c' ESCAPE '!')"));
        assert!(of("|cased: Ab").ends_with(&format!("{name} = 'Ab')")));
        assert!(of("|re|i: ^a'b").ends_with(&format!("REGEXP_LIKE({name}, '(?i)^a''b'))")));
    }

    #[test]
    fn prefixes_are_ranges_of_one_family() {
        let v4 = when("source.ip|cidr: 10.1.0.0/16");
        let (first, last) =
            ("00000000000000000000ffff0a010000", "00000000000000000000ffff0a01ffff");
        assert!(
            v4.ends_with(&format!("\"source.ip.hex\" BETWEEN '{first}' AND '{last}')")),
            "{v4}"
        );
        let all = when("source.ip|cidr: '::/0'");
        assert!(all.contains("AND NOT (s.\"source.ip.hex\" BETWEEN '00000000000000000000ffff0000"));
    }

    #[test]
    fn members_of_lists_are_rows() {
        let tags = when("longhaul.tags|startswith: 'vpn:'");
        assert!(tags.starts_with("EXISTS (SELECT 1 FROM sessions_values v WHERE "), "{tags}");
        assert!(tags.contains("v.field = 'longhaul.tags' AND LOWER(v.value) LIKE 'vpn:%'"));
    }

    #[test]
    fn shipped_rules_have_statements() {
        let rules = RuleSet::embedded().unwrap();
        let all = of_events(&rules);
        let without: Vec<&String> = all.iter().filter_map(|of| of.sql.as_ref().err()).collect();
        // What only the engine sees stands in no line.
        assert!(without.iter().all(|cause| cause.contains("known to rules")), "{without:?}");
        assert!(without.len() * 8 < all.len(), "{without:?}");
        let [sessions, endpoints] = tables(&rules).try_into().unwrap();
        assert_eq!((sessions.name.as_str(), endpoints.name.as_str()), ("sessions", "endpoints"));
        let has = |table: &Table, name| table.columns.iter().any(|column| column.name == name);
        assert!(has(&sessions, "network.direction") && has(&endpoints, "longhaul.hidden_leg.us"));
    }
}
