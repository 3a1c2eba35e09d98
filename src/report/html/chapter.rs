//! The chapter of one subject.
//!
//! Owns: its order: what was found, pictures, where from, programs, sessions, limits. In: a dossier
//! and its findings. Out: HTML. Never: a judgement of its own.

use super::case::{Case, SHARED_BY_MAX};
use super::charts::{days, hidden, lag, light, map, spans};
use super::dossier::{Dossier, HOUR};
use super::markup::Html;
use super::session::Session;
use super::table::{Cell, Table};
use super::words::{moment, probability, span};
use crate::explain::{self, Explanation, Flat};
use crate::model::units;

/// Rows of the table of addresses.
const ADDRESSES_MAX: usize = 24;
/// Rows of the table of programs.
const APPLICATIONS_MAX: usize = 24;
/// Sessions of a chapter without pictures.
const SESSIONS_SHORT: usize = 6;
/// Alerts of a subject with a row of their own.
const ALERTS_MAX: usize = 40;
/// Runs shorter than this have bars instead of a grid of hours.
const SHORT_HOURS: u64 = 12;

/// Sections of an explanation that stand before the pictures; the others stand after the tables.
const FIRST: [&str; 4] = ["Who", "What was seen", "How sure", "How far away"];

/// The chapter of a subject, by its place in the case.
pub(super) fn html(case: &Case, (at, dossier): (usize, &Dossier), is_full: bool) -> Html {
    let id = format!("s{}", at + 1);
    let mut html = Html::default();
    let best = strongest(case, dossier);
    html.raw(format_args!("<section class=\"subject\" id=\"{id}\" aria-labelledby=\"{id}-h\">\n"));
    html.raw(format_args!("<h3 id=\"{id}-h\"><span class=\"no\">{}</span> ", at + 1));
    html.text(&dossier.title()).raw("</h3>\n");
    if let Some(line) = best {
        html.raw("<p class=\"lede\">").text(line.text("message").unwrap_or_default());
        html.raw("</p>\n");
        let rests = super::story::rests_on(line);
        if !rests.is_empty() {
            html.raw("<p>It rests on this: ").text(&rests).raw(".</p>\n");
        }
        html.add(&facts(dossier, line));
    }
    let told = best.map(explain::finding).unwrap_or_default();
    put_sections(&told, true, &mut html);
    if is_full {
        html.add(&pictures(case, dossier, &id));
    } else {
        html.raw("<p class=\"note\">Pictures are left out here, and all but a few sessions: ");
        html.raw("<code>longhaul report --subject</code> writes a report of one subject.</p>\n");
    }
    html.add(&origins(case, dossier));
    html.add(&applications(dossier));
    html.add(&alerts(case, dossier));
    html.add(&sessions(dossier, if is_full { usize::MAX } else { SESSIONS_SHORT }));
    put_sections(&told, false, &mut html);
    html.add(&quality(dossier));
    html.raw("</section>\n");
    html
}

/// The finding that the chapter opens with: its first incident, else its first alert.
pub(super) fn strongest<'a>(case: &'a Case, dossier: &Dossier) -> Option<&'a Flat> {
    let incident = dossier.incidents.first().and_then(|at| case.incidents.get(*at));
    incident.or_else(|| dossier.alerts.first().and_then(|at| case.alerts.get(*at)))
}

/// Level, probability, span and sizes.
fn facts(dossier: &Dossier, line: &Flat) -> Html {
    let mut html = Html::default();
    html.raw("<dl class=\"facts\">");
    let mut put = |name: &str, value: Html| {
        html.raw("<div><dt>").text(name).raw("</dt><dd>").add(&value).raw("</dd></div>");
    };
    put("Level", level(line));
    if let Some(score) = line.number("longhaul.score") {
        put("Probability", plain(&probability(score)));
    }
    let (all, is_exact) = dossier.findings();
    let least = if is_exact { "" } else { "at least " };
    let (incidents, alerts) = (units::count(all.incidents), units::count(all.alerts));
    put("Incidents, alerts", plain(&format!("{least}{incidents}, {least}{alerts}")));
    put("Sessions", plain(&units::count(dossier.sessions)));
    put("Volume", plain(&units::bytes(dossier.bytes)));
    put("Seen", plain(&span(dossier.first, dossier.last)));
    put("Id", plain(line.text("event.id").unwrap_or_default()));
    html.raw("</dl>\n");
    html
}

fn plain(text: &str) -> Html {
    let mut html = Html::default();
    html.text(text);
    html
}

/// A level as a word with its colour.
pub(super) fn level(line: &Flat) -> Html {
    let word = line.text("log.level").unwrap_or("unknown");
    let (class, rank) = match word {
        "critical" => ("high", 4),
        "high" => ("high", 3),
        "medium" => ("medium", 2),
        "low" => ("low", 1),
        _ => ("low", 0),
    };
    let mut html = Html::default();
    html.raw(format_args!("<span class=\"level {class}\" data-v=\"{rank}\">"))
        .text(word)
        .raw("</span>");
    html
}

/// The text of `longhaul explain`.
fn put_sections(told: &Explanation, is_first: bool, html: &mut Html) {
    let chosen = told.sections.iter().filter(|of| FIRST.contains(&of.heading) == is_first);
    let chosen: Vec<_> = chosen.collect();
    if chosen.is_empty() {
        return;
    }
    html.raw("<div class=\"told\">\n");
    for section in chosen {
        html.raw("<div>").element("h4", section.heading).list(&section.sentences).raw("</div>\n");
    }
    html.raw("</div>\n");
}

fn pictures(case: &Case, dossier: &Dossier, id: &str) -> Html {
    let took = dossier.first.zip(dossier.last).map_or(0, |(first, last)| last.since(first).0);
    let is_short = took < SHORT_HOURS * HOUR;
    let mut all: Vec<Html> = Vec::new();
    all.extend(map::figure(dossier, case.sensor(), id));
    all.extend(light::figure(dossier, id));
    all.extend(hidden::figure(dossier, id));
    all.extend(lag::figure(dossier, id));
    all.extend(if is_short { spans::figure(dossier, id) } else { days::figure(dossier, id) });
    let mut html = Html::default();
    if !all.is_empty() {
        html.raw("<div class=\"pictures\">\n");
        for figure in &all {
            html.add(figure);
        }
        html.raw("</div>\n");
    }
    let used = dossier.endpoints.len() as u64;
    if used < dossier.endpoints_all {
        html.raw("<p class=\"note\">").text(&format!(
            "The first {used} of {} about its addresses are used for pictures: endpoints.ndjson.",
            units::number_of(dossier.endpoints_all as usize, "endpoint"),
        ));
        html.raw("</p>\n");
    }
    if case.sensor().is_none() && !dossier.addresses.is_empty() {
        html.raw("<p class=\"note\">The sensor's place was not given, so there is no map and no ");
        html.raw("distance: read again with <code>--place</code>.</p>\n");
    }
    html
}

/// Remote addresses, and who else was seen there.
fn origins(case: &Case, dossier: &Dossier) -> Html {
    let ranked = dossier.ranked();
    let mut table = Table::new(
        "Remote addresses: where the subject came from or went to",
        &[
            "Address",
            "Direction",
            "Network",
            "Place by the database",
            "Tags",
            "Sessions",
            "Lowest round trip (ms)",
            "First seen (UTC)",
            "Other subjects there",
        ],
    );
    for (ip, of) in ranked.iter().take(ADDRESSES_MAX) {
        let others = case.shared.get(*ip).into_iter().flatten();
        let others: Vec<&str> =
            others.map(String::as_str).filter(|other| *other != dossier.id).collect();
        let is_compared = !of.is_origin || case.shared.contains_key(*ip);
        let mut named = others.iter().copied().take(SHARED_BY_MAX).collect::<Vec<_>>().join(", ");
        if others.len() > SHARED_BY_MAX {
            named.push_str(" and more");
        } else if !is_compared {
            named.push_str("not compared: too many addresses");
        }
        let tags: Vec<&str> = of.tags.iter().map(String::as_str).collect();
        table.row(vec![
            Cell::Text((*ip).to_owned()),
            Cell::Text(if of.is_origin { "came from" } else { "went to" }.to_owned()),
            Cell::text(of.owner.clone()),
            Cell::text(of.place.clone()),
            Cell::text(Some(tags.join(", "))),
            Cell::count(of.sessions),
            Cell::millis(of.rtt_us),
            Cell::text(moment(of.first)),
            Cell::text(Some(named)),
        ]);
    }
    let more = ranked.len().saturating_sub(ADDRESSES_MAX) as u64;
    let mut html = titled("Where from, where to", &table);
    if more > 0 || dossier.addresses_more > 0 {
        html.raw("<p class=\"note\">").text(&format!(
            "{} more addresses are not shown, and {} sessions with others were not told apart: \
             sessions.ndjson has them.",
            units::count(more),
            units::count(dossier.addresses_more),
        ));
        html.raw("</p>\n");
    }
    html
}

fn titled(title: &'static str, table: &Table) -> Html {
    let mut html = Html::default();
    if !table.is_empty() {
        html.element("h4", title).add(&table.html());
    }
    html
}

fn applications(dossier: &Dossier) -> Html {
    let mut table = Table::new(
        "Programs and protocols of the subject's sessions",
        &["Program or protocol", "Sessions", "Bytes"],
    );
    let mut all: Vec<_> = dossier.applications.iter().collect();
    all.sort_by(|a, b| b.1.1.cmp(&a.1.1).then_with(|| a.0.cmp(b.0)));
    for (name, (sessions, bytes)) in all.iter().take(APPLICATIONS_MAX) {
        table.row(vec![
            Cell::Text((*name).clone()),
            Cell::count(*sessions),
            Cell::Number(units::bytes(*bytes), *bytes as f64),
        ]);
    }
    let mut html = titled("Applications", &table);
    if all.len() > APPLICATIONS_MAX {
        html.raw("<p class=\"note\">").text(&format!(
            "{} more with fewer bytes: sessions.ndjson.",
            all.len() - APPLICATIONS_MAX
        ));
        html.raw("</p>\n");
    }
    html
}

fn alerts(case: &Case, dossier: &Dossier) -> Html {
    let mut table = Table::new(
        "Alerts about the subject",
        &["Rule", "Level", "What", "Ratio", "Times", "Time (UTC)", "Id"],
    );
    let own = dossier.alerts.iter().filter_map(|at| case.alerts.get(*at));
    for line in own.take(ALERTS_MAX) {
        table.row(vec![
            Cell::Text(rule(line)),
            Cell::Markup(level(line)),
            Cell::text(line.text("message")),
            Cell::digits(line.number("longhaul.ratio"), 1),
            Cell::count(line.count("longhaul.count").max(1)),
            Cell::text(moment(super::words::time(line, "event.start"))),
            Cell::Text(line.text("event.id").unwrap_or_default().chars().take(12).collect()),
        ]);
    }
    let mut html = titled("Alerts", &table);
    let shown = dossier.alerts.len().min(ALERTS_MAX) as u64;
    let more = dossier.findings().0.alerts.saturating_sub(shown);
    if more > 0 {
        html.raw("<p class=\"note\">")
            .text(&format!("{} more of lower level or ratio: alerts.ndjson.", units::count(more)));
        html.raw("</p>\n");
    }
    html
}

/// Number and name of the rule.
pub(super) fn rule(line: &Flat) -> String {
    let of = |name: &str| line.text(name).unwrap_or_default().to_owned();
    format!("{} {}", of("rule.id"), of("rule.name")).trim().to_owned()
}

fn sessions(dossier: &Dossier, most: usize) -> Html {
    let mut table = Table::new(
        "Sessions that matter most, in the order of time",
        &[
            "Start (UTC)",
            "Duration",
            "From",
            "To",
            "Server name",
            "Program",
            "Bytes",
            "Round trip (ms)",
            "Verdict",
            "Evidence",
            "Id",
        ],
    );
    for of in dossier.kept.iter().take(most) {
        let took = of.end.zip(of.start).map(|(end, start)| end.since(start));
        table.row(vec![
            Cell::text(moment(of.start)),
            took.map_or(Cell::None, |took| Cell::Number(units::span(took), took.0 as f64)),
            Cell::Text(of.from.clone()),
            Cell::Text(of.to.clone()),
            Cell::text(of.server.clone()),
            Cell::Text(of.program().to_owned()),
            Cell::Number(units::bytes(of.bytes), of.bytes as f64),
            Cell::millis(of.remote_us),
            Cell::text(verdict(of)),
            Cell::text(of.is_named.then_some("yes")),
            Cell::Text(of.id.chars().take(12).collect()),
        ]);
    }
    let mut html = titled("Sessions", &table);
    html.raw("<p class=\"note\">").text(&format!(
        "{} of {} shown: those that findings name, then refuted places, remote control and long \
         ones. All of them: sessions.ndjson. An id opens with longhaul explain.",
        units::count(dossier.kept.len().min(most) as u64),
        units::number_of(dossier.sessions as usize, "session"),
    ));
    html.raw("</p>\n");
    html
}

/// Its verdict, with whose claim is refuted.
fn verdict(of: &Session) -> Option<String> {
    let verdict = of.verdict.as_deref()?;
    Some(match of.refuted.words() {
        Some(whose) => format!("{verdict}: {whose}"),
        None => verdict.to_owned(),
    })
}

/// Sessions whose capture is not whole.
fn quality(dossier: &Dossier) -> Html {
    let of = &dossier.quality;
    let all = [
        (of.retransmits, "with repeated segments"),
        (of.out_of_order, "with segments out of order"),
        (of.duplicates, "with duplicates of packets"),
        (of.gaps, "with gaps in the streams"),
        (of.one_way, "of which one direction was seen"),
        (of.truncated, "with packets cut off"),
        (of.unconfirmed, "whose initiator may be forged"),
    ];
    let told: Vec<String> = all
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", units::count(*count)))
        .collect();
    let mut html = Html::default();
    html.raw("<p class=\"note\">").text(&format!(
        "Capture of all {}: {}.",
        units::number_of(dossier.sessions as usize, "session"),
        if told.is_empty() {
            "no loss, no duplicates, both directions".to_owned()
        } else {
            told.join(", ")
        },
    ));
    html.raw("</p>\n");
    html
}
