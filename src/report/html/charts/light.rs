//! Round trip against distance, with what light allows.
//!
//! Owns: the lines of light. In: sessions with a round trip and a place. Out: a figure. Never: a
//! verdict of its own.

use crate::model::physics::{KM_PER_RTT_MS_FIBRE, KM_PER_RTT_MS_VACUUM};
use crate::model::units;
use crate::report::html::dossier::Dossier;
use crate::report::html::markup::Html;
use crate::report::html::session::Session;
use crate::report::html::svg::{Figure, HEIGHT, Plot, Scale, WIDTH};
use crate::report::html::table::{Cell, Table};

/// Most marks.
const MARKS_MAX: usize = 120;

/// The figure, if a session has both values.
pub(in crate::report::html) fn figure(dossier: &Dossier, id: &str) -> Option<Html> {
    let usable = |of: &&Session| of.remote_us.is_some() && (of.geo_km.or(of.claim_km)).is_some();
    let all: Vec<&Session> = dossier.kept.iter().filter(usable).take(MARKS_MAX).collect();
    if all.is_empty() {
        return None;
    }
    let point = |of: &Session| (km(of), of.remote_us.unwrap_or_default() / 1_000.0);
    let far = all.iter().map(|of| point(of).0).fold(1_000.0, f64::max);
    let slow = all.iter().map(|of| point(of).1).fold(0.0, f64::max);
    let x = Scale::linear(far);
    let y = Scale::linear(slow.max(x.max() / KM_PER_RTT_MS_FIBRE));
    let mut plot = Plot::new(
        (x, "Distance from the sensor to the place the database or file claims (km)"),
        (y, "Lowest round trip (ms)"),
    );
    let end = x.max();
    plot.line("line fibre", &[(0.0, 0.0), (end, end / KM_PER_RTT_MS_FIBRE)]);
    plot.line("line vacuum", &[(0.0, 0.0), (end, end / KM_PER_RTT_MS_VACUUM)]);
    let mut table = Table::new(
        "Lowest round trip of a session and distance to the claimed place",
        &["Session", "With", "Round trip (ms)", "Distance (km)", "Light needs (ms)", "Verdict"],
    );
    for session in &all {
        let class = if session.is_too_fast() { "bad" } else { "good" };
        plot.mark(class, session.is_too_fast(), point(session));
        table.row(vec![
            Cell::Text(session.id.chars().take(12).collect()),
            Cell::text(session.remote.clone()),
            Cell::millis(session.remote_us),
            Cell::digits(Some(km(session)), 0),
            Cell::digits(Some(km(session) / KM_PER_RTT_MS_VACUUM), 1),
            Cell::text(session.verdict.clone()),
        ]);
    }
    let wrong = all.iter().filter(|of| of.is_too_fast()).count();
    let text = format!(
        "{} with both values, one mark each; {wrong} answered sooner than light in a vacuum could \
         have come from the claimed place. Below the dashed line a claim is refuted; above it, it \
         is possible.",
        units::number_of(all.len(), "session"),
    );
    let key = [
        ("line fibre", "light in fibre, 2/3 c"),
        ("line vacuum", "light in a vacuum, c"),
        ("bad", "claim refuted"),
        ("good", "not refuted"),
    ];
    let (id, size) = (format!("{id}-light"), (WIDTH, HEIGHT));
    let (title, drawing) = ("Round trip against distance", plot.finish());
    Some(Figure { id, title, text, size, key: &key, drawing, table }.html())
}

/// The place that somebody claims goes before that of a database.
fn km(session: &Session) -> f64 {
    session.claim_km.or(session.geo_km).unwrap_or_default()
}
