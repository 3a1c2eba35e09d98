//! The appendix: what the report stands on.
//!
//! Owns: tables of inputs, rules and databases, losses. In: the descriptions of runs. Out: HTML.
//! Never: a host name or a clock of the machine that made it.

use std::collections::BTreeSet;

use super::case::Case;
use super::markup::Html;
use super::table::{Cell, Table};
use super::words::{moment, time};
use crate::explain::Flat;
use crate::model::units;

/// Most inputs with a row of their own.
const INPUTS_MAX: usize = 1_000;
/// Most builds.
const BUILDS_MAX: usize = 400;

/// The appendix.
pub(super) fn html(case: &Case) -> Html {
    let mut html = Html::default();
    html.raw("<section aria-labelledby=\"appendix\"><h2 id=\"appendix\">");
    html.raw("Appendix: what this rests on</h2>\n");
    html.element("h3", "The run").add(&runs(case));
    html.element("h3", "Inputs").add(&inputs(case));
    html.element("h3", "Rules, databases and lists").add(&builds(case));
    html.element("h3", "Losses").add(&losses(case));
    html.raw("</section>\n");
    html
}

fn runs(case: &Case) -> Html {
    let mut table = Table::new(
        "Program, schema and settings of each run",
        &["Run", "longhaul", "Schema", "Sensor", "Sensor's place (degrees)", "Settings"],
    );
    for (at, run) in case.runs.iter().enumerate() {
        let degrees = run.number("sensor.place.lat").zip(run.number("sensor.place.lon"));
        table.row(vec![
            Cell::Number((at + 1).to_string(), (at + 1) as f64),
            Cell::text(run.text("version")),
            Cell::digits(run.number("schema_version"), 0),
            Cell::text(run.text("sensor.name")),
            Cell::text(degrees.map(|(lat, lon)| format!("{lat:.2}, {lon:.2}"))),
            Cell::Text(run.texts("arguments").join(" ")),
        ]);
    }
    let mut html = table.html();
    let more = (case.runs_all - case.runs.len()) as u64;
    if more > 0 {
        let text = format!("{} more runs, and their inputs: run.json.", units::count(more));
        html.raw("<p class=\"note\">").text(&text).raw("</p>\n");
    }
    html
}

fn inputs(case: &Case) -> Html {
    let mut table = Table::new(
        "Input files and interfaces, with their hashes",
        &["Input", "Verdict", "Reason", "Bytes", "Packets", "First (UTC)", "Last (UTC)", "SHA-256"],
    );
    let all: Vec<Flat> = case.runs.iter().flat_map(|run| run.objects("inputs")).collect();
    for input in all.iter().take(INPUTS_MAX) {
        let path = input.text("path").or_else(|| input.text("interface"));
        table.row(vec![
            Cell::text(path),
            Cell::text(input.text("verdict")),
            Cell::text(input.text("reason")),
            Cell::count(input.count("bytes")),
            Cell::count(input.count("packets")),
            Cell::text(moment(time(input, "first"))),
            Cell::text(moment(time(input, "last"))),
            input.text("sha256").map_or_else(
                || Cell::Text("not computed (--hash-inputs)".to_owned()),
                |hash| Cell::Text(hash.to_owned()),
            ),
        ]);
    }
    let mut html = table.html();
    if all.len() > INPUTS_MAX {
        let text = format!("{} more: run.json.", units::count((all.len() - INPUTS_MAX) as u64));
        html.raw("<p class=\"note\">").text(&text).raw("</p>\n");
    }
    html
}

fn builds(case: &Case) -> Html {
    let mut table = Table::new(
        "Rules, databases and lists that were used, with their builds",
        &["Name", "Kind", "Build", "Entries", "Version or source"],
    );
    let (mut known, mut more) = (BTreeSet::new(), 0);
    for run in &case.runs {
        for (kind, field) in [("rules", "rules"), ("database", "geo"), ("list", "lists")] {
            for build in run.objects(field) {
                let from = build.text("version").or_else(|| build.text("source"));
                let entries = build.number("entries");
                let texts = [build.text("name"), build.text("build"), from];
                let key = (kind, texts.map(|of| of.map(str::to_owned)), entries.map(f64::to_bits));
                if !known.insert(key) {
                    continue;
                }
                if known.len() > BUILDS_MAX {
                    more += 1;
                    continue;
                }
                table.row(vec![
                    Cell::text(build.text("name")),
                    Cell::Text(kind.to_owned()),
                    Cell::text(build.text("build")),
                    Cell::digits(entries, 0),
                    Cell::text(from),
                ]);
            }
        }
    }
    let mut html = table.html();
    if more > 0 {
        let text = format!("{} more: run.json.", units::count(more));
        html.raw("<p class=\"note\">").text(&text).raw("</p>\n");
    }
    html
}

/// What was lost, by place, as run.json counts it.
fn losses(case: &Case) -> Html {
    let mut table = Table::new(
        "What was not seen or not kept, as counted by the run",
        &["Place of the loss", "Count"],
    );
    for (place, count) in &case.losses {
        table.row(vec![Cell::Text(place.clone()), Cell::count(*count)]);
    }
    if table.is_empty() {
        let mut html = Html::default();
        html.raw("<p>Nothing was lost at any place that counts losses.</p>\n");
        return html;
    }
    let mut html = table.html();
    if case.losses_more > 0 {
        let text = format!("{} more at other places: run.json.", units::count(case.losses_more));
        html.raw("<p class=\"note\">").text(&text).raw("</p>\n");
    }
    html
}
