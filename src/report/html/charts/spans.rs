//! Sessions as bars over time.
//!
//! Owns: which sessions have a bar. In: the sessions kept. Out: a figure. Never: a session left out
//! without a word.

use crate::model::{Nanos, units};
use crate::report::html::dossier::Dossier;
use crate::report::html::markup::Html;
use crate::report::html::session::Session;
use crate::report::html::svg::{Figure, WIDTH};
use crate::report::html::table::{Cell, Table};
use crate::report::html::words::moment;

/// Most bars.
const BARS_MAX: usize = 24;
const LEFT: f64 = 128.0;
const TOP: f64 = 22.0;
const ROW: f64 = 16.0;

/// The figure, if a session has both its times.
pub(in crate::report::html) fn figure(dossier: &Dossier, id: &str) -> Option<Html> {
    let mut all: Vec<&Session> =
        dossier.kept.iter().filter(|of| of.start.is_some() && of.end.is_some()).collect();
    all.sort_by_key(|of| std::cmp::Reverse((of.is_named, of.weight())));
    all.truncate(BARS_MAX);
    all.sort_by(|a, b| a.start.cmp(&b.start).then_with(|| a.id.cmp(&b.id)));
    let first = all.iter().filter_map(|of| of.start).min()?;
    let last = all.iter().filter_map(|of| of.end).max()?;
    let whole = last.since(first).0.max(1) as f64;
    let across = |at: Nanos| LEFT + at.since(first).0 as f64 / whole * (WIDTH - LEFT - 8.0);
    let mut table = Table::new(
        "Sessions as bars: start, duration and what they are",
        &["Start (UTC)", "Duration", "Program", "With", "Named as evidence"],
    );
    let mut drawing = Html::default();
    let height = TOP + all.len() as f64 * ROW + 6.0;
    for (part, anchor) in [(0.0, "s"), (0.5, "m"), (1.0, "e")] {
        let at = first.plus(Nanos((whole * part) as u64));
        let (x, clock) = (across(at), clock(at, whole));
        drawing.raw(format_args!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{height:.0}\"/>"));
        drawing.raw(format_args!("<text class=\"{anchor}\" x=\"{x:.1}\" y=\"14\">{clock}</text>"));
    }
    for (row, session) in all.iter().enumerate() {
        let (Some(start), Some(end)) = (session.start, session.end) else { continue };
        let (x, y) = (across(start), TOP + row as f64 * ROW);
        let (width, text) = ((across(end) - x).max(2.0), y + 12.0);
        let class = if session.is_named { "bar bad" } else { "bar good" };
        drawing.raw(format_args!("<text class=\"s\" x=\"0\" y=\"{text:.1}\">"));
        drawing.text(&short(session)).raw("</text>");
        drawing.raw(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"10\"/>",
            y + 3.0
        ));
        table.row(vec![
            Cell::text(moment(Some(start))),
            Cell::Number(units::span(end.since(start)), end.since(start).0 as f64),
            Cell::Text(session.program().to_owned()),
            Cell::text(session.server.clone().or_else(|| session.remote.clone())),
            Cell::Text(if session.is_named { "yes" } else { "no" }.to_owned()),
        ]);
    }
    let text = format!(
        "{} of {}, {} to {} UTC: those named as evidence first, then the longest.",
        units::count(all.len() as u64),
        units::number_of(dossier.sessions as usize, "session"),
        units::moment(first),
        units::moment(last),
    );
    let key = [("bar bad", "named as evidence"), ("bar good", "other session")];
    let (id, size) = (format!("{id}-spans"), (WIDTH, height));
    Some(Figure { id, title: "Sessions over time", text, size, key: &key, drawing, table }.html())
}

/// Its program, as far as there is room.
fn short(session: &Session) -> String {
    let name = session.server.as_deref().unwrap_or_else(|| session.program());
    units::safe(name, 19)
}

/// The clock, or the day where the whole is longer than one.
fn clock(at: Nanos, whole: f64) -> String {
    let text = units::moment(at);
    let range = if whole > 86_400e9 { 0..10 } else { 11..19 };
    text.get(range).unwrap_or_default().to_owned()
}
