//! Correlations as SQL, and the statements of all rules.
//!
//! Owns: the statement of a correlation. In: compiled correlations, the tests of the rules that
//! they count. Out: SQL of three steps: what the rules hold for, with its group; the windows, each
//! of which ends with one of these events; the windows for which the condition holds. Never: a
//! statement for a chain: what it counts fired once in a span, which needs a memory that SQL has
//! not.
//!
//! Different values are counted by two levels of GROUP BY. An event without a value that it is
//! grouped or counted by belongs to no group.

use std::sync::Arc;

use crate::detect::correlation::{Compare, Correlation, Counted, Kind};
use crate::detect::ruleset::{Counting, RuleSet};
use crate::detect::sql::{Statement, holding, in_lines, name, of_events, quoted};
use crate::model::schema::{Field, Judged};

/// The statement of each rule and correlation that raises alerts, by catalogue number.
pub fn statements(rules: &RuleSet) -> Vec<Statement> {
    let counting = rules.correlations().as_slice().iter().filter(|one| one.stands);
    let counting = counting.map(|one| Statement {
        rule: Arc::clone(&one.rule),
        at_least: 1,
        sql: statement(one, rules),
    });
    let mut all: Vec<Statement> = of_events(rules).into_iter().chain(counting).collect();
    let key = |of: &Statement| (of.rule.info().id.clone(), of.rule.info().uuid.clone());
    all.sort_by_cached_key(key);
    all
}

/// The statement of a correlation, or why there is none.
fn statement(of: &Correlation, rules: &RuleSet) -> Result<String, String> {
    let mut members = members(of, rules.session_parts())?;
    members.extend(self::members(of, rules.endpoint_parts())?);
    let matched = members.join("\n  UNION ALL ");
    let windows = windows(of);
    let groups: String = of.shown.iter().enumerate().map(group_shown).collect();
    let holds: Vec<String> = of.condition.0.iter().map(condition).collect();
    let holds = if holds.is_empty() { "1 = 1".to_owned() } else { holds.join(" AND ") };
    Ok(format!(
        "WITH matched AS (\n  {matched}\n), windows AS (\n  {windows}\n)\nSELECT {} AS \
         \"rule.uuid\", id AS \"event.id\", ended AS \"@timestamp\", counted{groups}\nFROM windows \
         WHERE {holds}",
        quoted(&of.rule.info().uuid)
    ))
}

/// The group of a row, under the name of its field.
fn group_shown((at, field): (usize, &Option<&'static str>)) -> String {
    match field {
        Some(field) => format!(", g{at} AS {}", name(field)),
        None => format!(", g{at}"),
    }
}

/// The events of each rule that the correlation counts.
fn members<'r, S: Judged>(
    of: &Correlation,
    rules: impl Iterator<Item = Counting<'r, S>>,
) -> Result<Vec<String>, String> {
    rules.filter(|(_, maker)| maker.of == of.fingerprint).map(member).collect()
}

fn member<S: Judged>((rule, maker): Counting<'_, S>) -> Result<String, String> {
    if maker.via.is_some() {
        return Err("it counts what another correlation fires on, once in a span".to_owned());
    }
    let counted: &[&'static Field<S>] = match &maker.counted {
        Counted::Position(_) => &[],
        Counted::Distinct(fields) => fields,
        Counted::Number(field) => std::slice::from_ref(field),
    };
    let mut columns = String::new();
    let mut there = vec![holding(rule)?];
    let is_number = matches!(maker.counted, Counted::Number(_));
    let groups = maker.group.iter().enumerate().map(|(at, field)| ('g', at, field, false));
    let values = counted.iter().enumerate().map(|(at, field)| ('v', at, field, is_number));
    for (letter, at, field, is_number) in groups.chain(values) {
        columns += &format!(", {} AS {letter}{at}", column(field, is_number)?);
        there.push(format!("s.{} IS NOT NULL", name(field.name)));
    }
    if let Counted::Position(position) = maker.counted {
        columns += &format!(", {position} AS v0");
    }
    Ok(format!(
        "SELECT s.\"event.id\" AS id, s.\"@timestamp\" AS ended{columns}\n  FROM {}s s WHERE {}",
        S::SERVICE,
        there.join(" AND ")
    ))
}

/// A column as a number, or as text, which columns of all types can be brought to.
fn column<S: Judged>(field: &Field<S>, is_number: bool) -> Result<String, String> {
    in_lines(field)?;
    let column = format!("s.{}", name(field.name));
    Ok(if is_number { column } else { format!("CAST({column} AS VARCHAR(4000))") })
}

/// For each event the window that ends with it, with the number that the condition is about.
fn windows(of: &Correlation) -> String {
    let shape = &of.shape;
    let keys: String = (0..of.shown.len()).map(|at| format!(", e.g{at}")).collect();
    let groups: String = (0..of.shown.len()).map(|at| format!(", g{at}")).collect();
    let same: String = (0..of.shown.len()).map(|at| format!(" AND f.g{at} = e.g{at}")).collect();
    let begin = format!("e.ended - INTERVAL '{}' SECOND", shape.span / 1_000_000_000);
    // An event that several of the rules hold for ends one window.
    let from = format!(
        "FROM (SELECT DISTINCT id, ended{groups} FROM matched) e\n    JOIN matched f ON f.ended \
         BETWEEN {begin} AND e.ended{same}"
    );
    let sum = |what: &str| {
        let select = format!("SELECT e.id, e.ended{keys}, {what} AS counted");
        format!("{select}\n  {from}\n  GROUP BY e.id, e.ended{keys}")
    };
    match shape.kind {
        Kind::EventCount => sum("COUNT(*)"),
        Kind::ValueSum => sum("SUM(f.v0)"),
        Kind::ValueAvg => sum("AVG(f.v0)"),
        Kind::ValuePercentile => {
            let part = shape.percentile / 100.0;
            sum(&format!("PERCENTILE_CONT({part}) WITHIN GROUP (ORDER BY f.v0)"))
        }
        Kind::ValueCount | Kind::Temporal => {
            let values: String = (0..of.values.max(1)).map(|at| format!(", f.v{at}")).collect();
            format!(
                "SELECT id, ended{groups}, COUNT(*) AS counted FROM (\n    SELECT e.id, \
                 e.ended{keys}{values} {from}\n    GROUP BY e.id, e.ended{keys}{values}\n  ) each \
                 GROUP BY id, ended{groups}"
            )
        }
        Kind::TemporalOrdered => ordered(of, (&keys, &groups, &begin)),
    }
}

/// Windows in which an event of each rule follows one of the rule before it.
fn ordered(of: &Correlation, (keys, groups, begin): (&str, &str, &str)) -> String {
    let rules = of.shape.rules;
    let step = |at: usize| {
        let same: String =
            (0..of.shown.len()).map(|group| format!(" AND f{at}.g{group} = e.g{group}")).collect();
        let after = match at.checked_sub(1) {
            Some(before) => format!("f{before}.ended"),
            None => begin.to_owned(),
        };
        format!(
            "\n    JOIN matched f{at} ON f{at}.v0 = {at} AND f{at}.ended BETWEEN {after} AND \
             e.ended{same}"
        )
    };
    let steps: String = (0..rules).map(step).collect();
    format!(
        "SELECT DISTINCT e.id, e.ended{keys}, {rules} AS counted\n    FROM (SELECT DISTINCT id, \
         ended{groups} FROM matched) e{steps}"
    )
}

fn condition((compare, bound): &(Compare, f64)) -> String {
    let sign = match compare {
        Compare::Greater => ">",
        Compare::AtLeast => ">=",
        Compare::Less => "<",
        Compare::AtMost => "<=",
        Compare::Equal => "=",
        Compare::Unequal => "<>",
    };
    format!("counted {sign} {bound}")
}
