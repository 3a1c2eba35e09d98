//! `longhaul rules sql`, `stats` and `tune`: rules and what runs found with them.
//!
//! Owns: the answers' layout. In: rules, results. Out: SQL, a table, a proposal. Never: a rate that
//! nothing was counted for.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::{self, CommandResult, RAN};
use crate::model::RuleInfo;
use crate::model::site_values::SiteValues;
use crate::pipeline::queries::{self, Statement};
use crate::report::units;
use crate::results::tune::Threshold;
use crate::results::{Results, stats, tune};

/// Prints the statements.
pub(super) fn sql(paths: &[PathBuf], views_of: Option<&Path>) -> CommandResult {
    let (mut text, statements) = match views_of {
        None => queries::sql(paths, None)?,
        Some(run) => {
            let results = Results::open(run).map_err(|e| vec![e])?;
            queries::sql(paths, Some(&|file| results.files(file)))?
        }
    };
    statements.iter().for_each(|of| put_statement(of, &mut text));
    cli::print(&text)?;
    let without: Vec<String> = statements
        .iter()
        .filter_map(|of| Some(format!("{}: {}", of.rule.info().id, of.sql.as_ref().err()?)))
        .collect();
    cli::print_notes(&without);
    Ok(RAN)
}

/// A statement below its rule's name, or why there is none.
fn put_statement(of: &Statement, text: &mut String) {
    let info = of.rule.info();
    let level = info.level.as_str();
    // Writing into a String cannot fail.
    let _ = writeln!(text, "\n-- {} {}, {level}: {}", info.id, info.name, one_line(&info.title));
    if of.at_least > 1 {
        let _ =
            writeln!(text, "-- an alert from {} rows of a subject within a day on", of.at_least);
    }
    let _ = match &of.sql {
        Ok(sql) => writeln!(text, "{sql};"),
        Err(cause) => writeln!(text, "-- no statement: {}", one_line(cause)),
    };
}

/// A title cannot end a comment.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Prints how often each rule fired.
pub(super) fn stats(run: &Path, json: bool) -> CommandResult {
    let results = Results::open(run).map_err(|e| vec![e])?;
    let rules = queries::rules(&[], &SiteValues::default())?;
    let rules: Vec<RuleInfo> =
        rules.into_iter().filter_map(|(info, enabled)| enabled.then_some(info)).collect();
    let stats = stats::stats(&results, &rules).map_err(|e| vec![e])?;
    cli::print(&if json { json_lines(&stats) } else { table(&stats) })?;
    Ok(RAN)
}

fn json_lines(stats: &stats::Stats) -> String {
    let base = &stats.base;
    let of = |rule: &stats::RuleStats| {
        let line = json!({
            "rule": {"id": rule.id, "name": rule.name, "level": rule.level},
            "alerts": rule.alerts, "hits": rule.hits, "subjects": rule.subjects,
            "incidents": rule.incidents,
            "sessions": base.sessions, "all_subjects": base.subjects, "days": base.days,
            "per_1000_sessions": base.per_1000_sessions(rule.hits),
            "per_1000_subject_days": base.per_1000_subject_days(rule.hits),
        });
        format!("{line}\n")
    };
    stats.rules.iter().map(of).collect()
}

fn table(stats: &stats::Stats) -> String {
    let base = &stats.base;
    let subjects = match (base.subjects, base.more_subjects) {
        (None, _) => "subjects unknown (no session lines)".to_owned(),
        (Some(n), false) => format!("{} subjects", units::count(n)),
        (Some(n), true) => format!("more than {} subjects", units::count(n)),
    };
    let mut text = format!(
        "{} sessions, {subjects}, {}\n",
        units::count(base.sessions),
        units::number_of(base.days as usize, "day")
    );
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}"));
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "\n{:<5}{:<14}{:>8}{:>9}{:>12}{:>16}{:>10}{:>10}  name",
        "rule",
        "level",
        "alerts",
        "hits",
        "/1,000 sess",
        "/1,000 subj day",
        "subjects",
        "incidents"
    );
    for rule in &stats.rules {
        let (sessions, subject_days) =
            (base.per_1000_sessions(rule.hits), base.per_1000_subject_days(rule.hits));
        let _ = writeln!(
            text,
            "{:<5}{:<14}{:>8}{:>9}{:>12}{:>16}{:>10}{:>10}  {}",
            rule.id,
            rule.level,
            units::count(rule.alerts),
            units::count(rule.hits),
            rate(sessions),
            rate(subject_days),
            units::count(rule.subjects),
            units::count(rule.incidents),
            rule.name
        );
    }
    let _ = writeln!(
        text,
        "\n{} about {}: {} per 1,000 subjects and day",
        units::number_of(stats.incidents as usize, "incident"),
        units::number_of(stats.incident_subjects as usize, "subject"),
        rate(base.per_1000_subject_days(stats.incidents))
    );
    if !stats.quiet.is_empty() {
        let _ = writeln!(text, "of the embedded rules did not fire: {}", stats.quiet.join(", "));
    }
    text
}

/// Prints a proposal.
pub(super) fn tune(run: &Path, rules: &[PathBuf]) -> CommandResult {
    let results = Results::open(run).map_err(|e| vec![e])?;
    let bounds = queries::bounds(rules)?;
    let of = |bound: queries::Bound| Threshold {
        file: if bound.service == "session" { "sessions.ndjson" } else { "endpoints.ndjson" },
        rule: bound.rule,
        field: bound.field,
        unit: bound.unit,
        now: bound.value,
    };
    let thresholds: Vec<Threshold> = bounds.into_iter().map(of).collect();
    let text = tune::propose(&results, &thresholds).map_err(|e| vec![e])?;
    cli::print(&text)?;
    Ok(RAN)
}
