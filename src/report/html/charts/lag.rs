//! Remote control: how often input is followed by traffic on the controlling session, and how late.
//!
//! Owns: the plot of lags. In: endpoints that are driven, sessions with echoes. Out: a figure.
//! Never: a confidence of its own.

use crate::explain::Flat;
use crate::model::units;
use crate::report::html::dossier::Dossier;
use crate::report::html::markup::Html;
use crate::report::html::svg::{Figure, WIDTH};
use crate::report::html::table::{Cell, Table};
use crate::report::html::words::millis;

/// Most rows.
const ROWS_MAX: usize = 12;
const LEFT: f64 = 150.0;
const TOP: f64 = 20.0;
const ROW: f64 = 38.0;

/// The figure, if a host of the subject is driven.
pub(in crate::report::html) fn figure(dossier: &Dossier, id: &str) -> Option<Html> {
    let is_driven = |line: &&Flat| line.number("longhaul.remote_control.share").is_some();
    let all: Vec<&Flat> = dossier.endpoints.iter().filter(is_driven).collect();
    if all.is_empty() {
        return None;
    }
    let shown: Vec<&&Flat> = all.iter().take(ROWS_MAX).collect();
    let mut table = Table::new(
        "Hosts that follow another session, with the lag",
        &[
            "Host",
            "Driven from",
            "Via",
            "Lag (ms)",
            "Followed",
            "By chance",
            "Samples",
            "Confidence",
        ],
    );
    let across = |share: f64| LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - 26.0);
    let height = TOP + shown.len() as f64 * ROW + 22.0;
    let mut drawing = Html::default();
    for step in 0..=4_u32 {
        let (x, text) = (across(f64::from(step) / 4.0), height - 4.0);
        drawing
            .raw(format_args!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{:.0}\"/>", height - 18.0));
        let percent = step * 25;
        drawing
            .raw(format_args!("<text class=\"m\" x=\"{x:.1}\" y=\"{text:.1}\">{percent} %</text>"));
    }
    for (row, line) in shown.iter().enumerate() {
        let of = |name: &str| line.number(&format!("longhaul.remote_control.{name}"));
        let (share, chance) = (of("share").unwrap_or_default(), of("baseline"));
        let y = TOP + row as f64 * ROW + 10.0;
        let host = line.text("endpoint.ip").unwrap_or_default();
        let lag =
            of("lag_us").map_or("lag unknown".to_owned(), |us| format!("{} late", millis(us)));
        drawing.raw(format_args!("<text class=\"s\" x=\"0\" y=\"{:.1}\">", y + 4.0));
        drawing.text(&units::safe(host, 22)).raw("</text>");
        drawing.raw(format_args!("<text class=\"s\" x=\"0\" y=\"{:.1}\">", y + 18.0));
        drawing.text(&lag).raw("</text>");
        let (from, to) = (across(chance.unwrap_or_default()), across(share));
        drawing.raw(format_args!("<path class=\"link\" d=\"M{from:.1} {y:.1}H{to:.1}\"/>"));
        if chance.is_some() {
            drawing.raw(format_args!(
                "<circle class=\"open\" cx=\"{from:.1}\" cy=\"{y:.1}\" r=\"5\"/>"
            ));
        }
        let diamond = format!("M{to:.1} {:.1}l6 6-6 6-6-6z", y - 6.0);
        drawing.raw(format_args!("<path class=\"bad\" d=\"{diamond}\"/>"));
        table.row(cells(line));
    }
    let samples: u64 = all.iter().map(|line| line.count("longhaul.remote_control.samples")).sum();
    let text = format!(
        "{}, {} messages: the share that is followed within the lag by a message on the other \
         session, against the share that chance explains.{}",
        units::number_of(all.len(), "driven host"),
        units::count(samples),
        if all.len() > ROWS_MAX { " The rest: endpoints.ndjson." } else { "" },
    );
    let key = [("bad", "followed"), ("open", "by chance")];
    let (id, size) = (format!("{id}-lag"), (WIDTH, height));
    Some(Figure { id, title: "Remote control: lag", text, size, key: &key, drawing, table }.html())
}

fn cells(line: &Flat) -> Vec<Cell> {
    let of = |name: &str| line.number(&format!("longhaul.remote_control.{name}"));
    let text = |name: &str| Cell::text(line.text(name));
    let percent = |share: Option<f64>| match share {
        Some(share) => Cell::Number(format!("{:.0} %", share * 100.0), share),
        None => Cell::None,
    };
    vec![
        text("endpoint.ip"),
        text("longhaul.remote_control.from"),
        text("longhaul.remote_control.via"),
        Cell::millis(of("lag_us")),
        percent(of("share")),
        percent(of("baseline")),
        Cell::count(line.count("longhaul.remote_control.samples")),
        Cell::digits(of("confidence"), 3),
    ]
}
