//! Round trip against distance, with what light allows.
//!
//! Owns: the lines of light. In: sessions with a round trip and a place. Out: a figure. Never: a
//! verdict of its own.

use crate::model::physics::{KM_PER_RTT_MS_FIBRE, KM_PER_RTT_MS_VACUUM};
use crate::model::units;
use crate::report::html::dossier::Dossier;
use crate::report::html::markup::Html;
use crate::report::html::session::{Claim, Session};
use crate::report::html::svg::{Figure, HEIGHT, Plot, Scale, WIDTH};
use crate::report::html::table::{Cell, Table};

/// Most marks.
const MARKS_MAX: usize = 120;

/// The figure, if a session has both values.
pub(in crate::report::html) fn figure(dossier: &Dossier, id: &str) -> Option<Html> {
    let usable = |of: &'_ Session| Some((of.clone(), of.claim()?));
    let all: Vec<(Session, Claim)> =
        dossier.kept.iter().filter_map(usable).take(MARKS_MAX).collect();
    if all.is_empty() {
        return None;
    }
    let point =
        |(of, claim): &(Session, Claim)| (claim.km, of.remote_us.unwrap_or_default() / 1_000.0);
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
        &[
            "Session",
            "With",
            "Claim of",
            "Round trip (ms)",
            "Distance (km)",
            "Light needs (ms)",
            "Verdict on this claim",
        ],
    );
    for of in &all {
        let (session, claim) = of;
        plot.mark(if claim.is_refuted { "bad" } else { "good" }, claim.is_refuted, point(of));
        table.row(vec![
            Cell::Text(session.id.chars().take(12).collect()),
            Cell::text(session.remote.clone()),
            Cell::Text(claim.of.to_owned()),
            Cell::millis(session.remote_us),
            Cell::digits(Some(claim.km), 0),
            Cell::digits(Some(claim.km / KM_PER_RTT_MS_VACUUM), 1),
            Cell::text(verdict(session, claim)),
        ]);
    }
    let wrong = all.iter().filter(|(_, claim)| claim.is_refuted).count();
    let text = format!(
        "{} of {} with both values, one mark each; {wrong} answered sooner than light in a vacuum \
         could have come from the place that the subjects file claims, or without one the \
         database. Below the dashed line a claim is refuted; above it, it is possible.",
        units::count(all.len() as u64),
        units::number_of(dossier.claims_all as usize, "session"),
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

/// What is known of one claim: the line's own verdict is about all of them.
fn verdict<'a>(session: &'a Session, claim: &Claim) -> Option<&'a str> {
    match session.verdict.as_deref() {
        Some("too-fast") if !claim.is_refuted => Some("possible"),
        all => all,
    }
}
