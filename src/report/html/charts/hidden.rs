//! Round trip of the transport against that of the program above it.
//!
//! Owns: the plot of hidden legs. In: handshakes, and the floor of endpoints. Out: a figure. Never:
//! an estimate: `endpoints::hidden` is the only place that makes one.

use crate::explain::Flat;
use crate::model::units;
use crate::report::html::dossier::Dossier;
use crate::report::html::markup::Html;
use crate::report::html::session::{Session, Turn};
use crate::report::html::svg::{Figure, HEIGHT, Plot, Scale, WIDTH};
use crate::report::html::table::{Cell, Table};
use crate::report::html::words::{millis, probability};

/// Most marks.
const MARKS_MAX: usize = 160;

/// The figure, if a handshake has both round trips.
pub(in crate::report::html) fn figure(dossier: &Dossier, id: &str) -> Option<Html> {
    let of = |session: &'_ Session| {
        let turns: Vec<(String, Turn)> =
            session.turns.iter().map(|turn| (session.id.clone(), turn.clone())).collect();
        turns
    };
    let all: Vec<(String, Turn)> = dossier.kept.iter().flat_map(of).take(MARKS_MAX).collect();
    if all.is_empty() {
        return None;
    }
    let ms = |us: f64| us / 1_000.0;
    let x = Scale::log(all.iter().map(|(_, turn)| ms(turn.transport_us)));
    let both = all.iter().flat_map(|(_, turn)| [turn.transport_us, turn.application_us]);
    let y = Scale::log(both.map(ms));
    let mut plot = Plot::new(
        (x, "Round trip of the transport (ms, logarithmic)"),
        (y, "Round trip of the program (ms, logarithmic)"),
    );
    let (low, high) = (x.min().max(y.min()), x.max().min(y.max()));
    if low < high {
        plot.line("line fibre", &[(low, low), (high, high)]);
    }
    let estimate = strongest(&dossier.endpoints);
    let floor = estimate.and_then(|line| line.number("longhaul.floor_us")).map(ms);
    if let Some(floor) = floor.filter(|floor| (x.min()..=x.max()).contains(floor)) {
        plot.line("line vacuum", &[(floor, y.min()), (floor, y.max())]);
    }
    let mut table = Table::new(
        "Round trips of transport and program at each handshake",
        &["Session", "Answered by", "Layer", "Transport (ms)", "Program (ms)", "Difference (ms)"],
    );
    for (session, turn) in &all {
        let class = if turn.is_server { "other" } else { "good" };
        plot.mark(class, false, (ms(turn.transport_us), ms(turn.application_us)));
        table.row(vec![
            Cell::Text(session.chars().take(12).collect()),
            Cell::Text(if turn.is_server { "responder" } else { "initiator" }.to_owned()),
            Cell::Text(turn.layer.clone()),
            Cell::millis(Some(turn.transport_us)),
            Cell::millis(Some(turn.application_us)),
            Cell::millis(Some(turn.application_us - turn.transport_us)),
        ]);
    }
    let text = format!(
        "{} of {}, one mark each. On the line the program answers as fast as its address; a mark \
         well above it may hide a leg behind the address. {}",
        units::count(all.len() as u64),
        units::number_of(dossier.turns_all as usize, "handshake"),
        estimate
            .map_or_else(|| "No endpoint of this subject has an estimate.".to_owned(), sentence,),
    );
    let key = [
        ("line fibre", "program as fast as transport"),
        ("line vacuum", "lowest round trip of the endpoint"),
        ("good", "initiator answers"),
        ("other", "responder answers"),
    ];
    let (id, size) = (format!("{id}-hidden"), (WIDTH, HEIGHT));
    let (title, drawing) = ("Hidden leg: program against transport", plot.finish());
    Some(Figure { id, title, text, size, key: &key, drawing, table }.html())
}

/// The endpoint with the surest estimate.
fn strongest(endpoints: &[Flat]) -> Option<&Flat> {
    let confidence =
        |line: &Flat| line.number("longhaul.hidden_leg.confidence").unwrap_or_default();
    let with = endpoints.iter().filter(|line| line.number("longhaul.hidden_leg.us").is_some());
    with.max_by(|a, b| confidence(a).total_cmp(&confidence(b)))
}

fn sentence(line: &Flat) -> String {
    let confidence = line.number("longhaul.hidden_leg.confidence").unwrap_or_default();
    let what =
        if confidence >= 0.5 { "a long leg is hidden there" } else { "no long leg is shown" };
    format!(
        "The surest estimate: {} behind {}, confidence {}, {}: {what}.",
        millis(line.number("longhaul.hidden_leg.us").unwrap_or_default()),
        line.text("endpoint.ip").unwrap_or("an endpoint"),
        probability(confidence),
        units::number_of(line.count("longhaul.hidden_leg.samples") as usize, "sample"),
    )
}
