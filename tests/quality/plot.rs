//! The plot of docs/latency.md.
//!
//! Owns: its shape. In: points. Out: docs/hidden-leg.svg, written with LONGHAUL_BLESS=1. Never: a
//! number of its own.

use std::fmt::Write;

/// What a capture is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A long leg hides behind the endpoint.
    Hidden,
    /// A short one does.
    Short,
    /// None does.
    Direct,
    /// None does, and the client is slow.
    Slow,
    /// A satellite gateway ends TCP.
    Satellite,
}

impl Class {
    const ALL: [(Class, &'static str, &'static str); 5] = [
        (Class::Hidden, "#0b6e4f", "hidden leg of 40 ms or more"),
        (Class::Short, "#7a9e7e", "hidden leg of 4 to 20 ms"),
        (Class::Direct, "#2b59c3", "direct"),
        (Class::Slow, "#d1495b", "direct, slow client"),
        (Class::Satellite, "#8d6a9f", "split TCP by satellite"),
    ];

    fn colour(self) -> &'static str {
        Class::ALL.iter().find(|(class, ..)| *class == self).map_or("", |(_, colour, _)| colour)
    }
}

/// One capture.
pub struct Point {
    pub class: Class,
    pub truth_ms: f64,
    pub found_ms: f64,
    pub confidence: f64,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
const PANEL: f64 = 320.0;
const TOP: f64 = 40.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 490.0;
const LONGEST_MS: f64 = 650.0;

/// Left: found against true length. Right: confidence against found length.
pub fn hidden_legs(points: &[Point]) {
    let at_x = |ms: f64| (ms.min(LONGEST_MS) / LONGEST_MS) * PANEL;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    panel(&mut svg, LEFT, "true hidden round trip, ms", "estimate, ms", LONGEST_MS);
    panel(&mut svg, RIGHT, "estimated hidden round trip, ms", "confidence", 1.0);
    let bottom = TOP + PANEL;
    line(&mut svg, (LEFT, bottom), (LEFT + PANEL, TOP));
    line(&mut svg, (RIGHT, bottom - PANEL / 2.0), (RIGHT + PANEL, bottom - PANEL / 2.0));
    for point in points {
        let colour = point.class.colour();
        let (truth, found) = (at_x(point.truth_ms), at_x(point.found_ms));
        dot(&mut svg, (LEFT + truth, bottom - found), colour);
        dot(&mut svg, (RIGHT + found, bottom - point.confidence * PANEL), colour);
    }
    for (at, (_, colour, name)) in Class::ALL.iter().enumerate() {
        let x = LEFT + 155.0 * at as f64;
        dot(&mut svg, (x, 18.0), colour);
        text(&mut svg, (x + 8.0, 22.0), "start", name);
    }
    svg.push_str("</svg>\n");
    if std::env::var_os("LONGHAUL_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hidden-leg.svg");
        std::fs::write(path, svg).unwrap();
    }
}

fn panel(svg: &mut String, x: f64, below: &str, left: &str, top: f64) {
    let bottom = TOP + PANEL;
    writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{TOP}\" width=\"{PANEL}\" height=\"{PANEL}\" fill=\"none\" \
         stroke=\"#444\"/>"
    )
    .unwrap();
    for ms in [0.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0] {
        let at = x + ms / LONGEST_MS * PANEL;
        text(svg, (at, bottom + 16.0), "middle", &format!("{ms:.0}"));
    }
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let value = share * top;
        let label = if top > 1.0 { format!("{value:.0}") } else { format!("{value:.2}") };
        text(svg, (x - 6.0, bottom - share * PANEL + 4.0), "end", &label);
    }
    text(svg, (x + PANEL / 2.0, bottom + 34.0), "middle", below);
    text(svg, (x + 6.0, TOP + 14.0), "start", left);
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#bbb\" \
         stroke-dasharray=\"4 3\"/>",
        from.0, from.1, to.0, to.1
    )
    .unwrap();
}

fn dot(svg: &mut String, at: (f64, f64), colour: &str) {
    writeln!(
        svg,
        "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.2\" fill=\"{colour}\" fill-opacity=\"0.7\"/>",
        at.0, at.1
    )
    .unwrap();
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, words: &str) {
    writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{words}</text>",
        at.0, at.1
    )
    .unwrap();
}
