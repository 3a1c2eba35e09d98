//! The first page: the story in a paragraph, and the ranked findings.
//!
//! Owns: order and words. In: a case. Out: HTML. Never: a number that the results do not hold.

use super::case::Case;
use super::chapter::{level, rule};
use super::markup::Html;
use super::table::{Cell, Table};
use super::words::{moment, probability, span, time};
use crate::explain::Flat;
use crate::model::units;

/// What is wrong with the result itself: before anything else.
pub(super) fn faults(case: &Case) -> Html {
    let mut html = Html::default();
    if !case.faults.is_empty() {
        html.raw("<section class=\"faults\" aria-labelledby=\"faults\">");
        html.raw("<h2 id=\"faults\">This result is not whole</h2>").list(&case.faults);
        html.raw("</section>\n");
    }
    html
}

/// The story.
pub(super) fn story(case: &Case) -> Html {
    let mut html = Html::default();
    html.raw(
        "<section aria-labelledby=\"story\"><h2 id=\"story\">The story</h2>\n<p class=\"story\">",
    );
    for sentence in paragraph(case) {
        html.text(&sentence).raw(' ');
    }
    html.raw("</p>\n<p class=\"note\">A rule that fires says what was seen, not what was meant. ");
    html.raw("Probabilities start from how rare such cases are and multiply the odds by group of ");
    html.raw("evidence; each finding names what it does not prove. Times are UTC.</p></section>\n");
    html
}

/// One paragraph, by sentences.
fn paragraph(case: &Case) -> Vec<String> {
    let read = format!(
        "{} of {}",
        units::number_of(case.sum("counters.capture.frames") as usize, "packet"),
        units::number_of(case.sum("inputs") as usize, "input"),
    );
    let mut all = Vec::new();
    all.push(if case.has_sessions {
        format!(
            "From {} longhaul followed {} in {read}.",
            span(case.first, case.last),
            units::number_of(case.sessions as usize, "session"),
        )
    } else {
        format!(
            "The run wrote no session lines, so pictures and tables of sessions are missing; it \
             read {read}."
        )
    });
    let subjects = case.dossiers.len() as u64 + case.subjects_more;
    all.push(format!(
        "It raised {} about {}, and {}.",
        units::number_of(case.alerts_all as usize, "alert"),
        units::number_of(subjects as usize, "subject"),
        units::number_of(case.incidents_all as usize, "incident"),
    ));
    let first = case.incidents.first();
    let Some(line) = first.or_else(|| case.alerts.first()) else {
        all.push("No rule fired: nothing in these packets asks for attention.".to_owned());
        return all;
    };
    let kind = if first.is_some() { "incident" } else { "alert" };
    let level = line.text("log.level").unwrap_or("unknown");
    let message = line.text("message").unwrap_or_default();
    all.push(format!("The gravest {kind} (level {level}): {}", ended(message)));
    let rests = rests_on(line);
    if !rests.is_empty() {
        all.push(format!("It rests on this: {}", ended(&rests)));
    }
    let steps = line.texts("longhaul.next_steps");
    all.extend(steps.first().map(|step| format!("Next: {}", ended(step))));
    all
}

/// A sentence with its full stop.
fn ended(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

/// What the strongest alerts of an incident say.
pub(super) fn rests_on(incident: &Flat) -> String {
    const ALERTS_MAX: usize = 3;
    let alerts = incident.objects("longhaul.alerts");
    let messages: Vec<&str> =
        alerts.iter().filter_map(|alert| alert.text("message")).take(ALERTS_MAX).collect();
    messages.join("; ")
}

/// Incidents, ranked, each with its sentence.
pub(super) fn incidents(case: &Case, shown: usize) -> Html {
    let mut html = Html::default();
    html.raw("<section aria-labelledby=\"incidents\"><h2 id=\"incidents\">Incidents</h2>\n");
    if case.incidents.is_empty() {
        html.raw("<p>No incident: no subject reached the probability of one.</p></section>\n");
        return html;
    }
    let mut table = Table::new(
        "Incidents, the gravest first",
        &[
            "Rank",
            "Level",
            "Probability",
            "Subject",
            "What",
            "Groups of evidence",
            "First seen (UTC)",
            "Id",
        ],
    );
    for (at, line) in case.incidents.iter().enumerate() {
        table.row(vec![
            Cell::Number(format!("{}", at + 1), (at + 1) as f64),
            Cell::Markup(level(line)),
            line.number("longhaul.score")
                .map_or(Cell::None, |score| Cell::Number(probability(score), score)),
            Cell::Markup(subject(case, line, shown)),
            Cell::text(line.text("message")),
            Cell::Text(line.texts("longhaul.groups").join(", ")),
            Cell::text(moment(time(line, "event.start"))),
            Cell::Text(line.text("event.id").unwrap_or_default().chars().take(12).collect()),
        ]);
    }
    html.add(&table.html());
    left_out(case.incidents_all, case.incidents.len(), "incidents.ndjson", &mut html);
    html.raw("</section>\n");
    html
}

/// Every alert.
pub(super) fn alerts(case: &Case, shown: usize) -> Html {
    let mut html = Html::default();
    html.raw("<section aria-labelledby=\"alerts\"><h2 id=\"alerts\">Alerts</h2>\n");
    let mut table = Table::new(
        "Alerts, the gravest first",
        &["Rule", "Level", "Subject", "What", "Ratio", "Time (UTC)", "Id"],
    );
    for line in &case.alerts {
        table.row(vec![
            Cell::Text(rule(line)),
            Cell::Markup(level(line)),
            Cell::Markup(subject(case, line, shown)),
            Cell::text(line.text("message")),
            Cell::digits(line.number("longhaul.ratio"), 1),
            Cell::text(moment(time(line, "event.start"))),
            Cell::Text(line.text("event.id").unwrap_or_default().chars().take(12).collect()),
        ]);
    }
    if table.is_empty() {
        html.raw("<p>No rule fired.</p>");
    } else {
        html.add(&table.html());
    }
    left_out(case.alerts_all, case.alerts.len(), "alerts.ndjson", &mut html);
    html.raw("</section>\n");
    html
}

fn left_out(all: u64, shown: usize, file: &str, html: &mut Html) {
    let more = all.saturating_sub(shown as u64);
    if more > 0 {
        let text = format!("{} more of lower rank: {file}.", units::count(more));
        html.raw("<p class=\"note\">").text(&text).raw("</p>\n");
    }
}

/// Its name, with a link to its chapter, if that is among those shown.
fn subject(case: &Case, line: &Flat, shown: usize) -> Html {
    let mut html = Html::default();
    let Some(id) = line.text("longhaul.subject.id") else { return html };
    let name = line.text("longhaul.subject.name").unwrap_or(id);
    match case.chapter(id).filter(|at| *at < shown) {
        Some(at) => html.raw(format_args!("<a href=\"#s{}\">", at + 1)).text(name).raw("</a>"),
        None => html.text(name),
    };
    html
}
