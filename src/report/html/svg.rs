//! Plots as inline SVG: scales, axes, marks, and the figure around them.
//!
//! Owns: geometry and labels. In: ranges, points. Out: SVG that is drawn by classes of the style
//! sheet. Never: a style of its own, or a picture without its table.

use super::markup::{Html, escaped};
use super::table::Table;

/// Width and height of a plot in its own units.
pub(super) const WIDTH: f64 = 480.0;
/// Likewise.
pub(super) const HEIGHT: f64 = 300.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 42.0;

/// The range of an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    min: f64,
    max: f64,
    is_log: bool,
}

impl Scale {
    /// From zero to a round number above `max`.
    pub(super) fn linear(max: f64) -> Scale {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let step = nice_step(max / 4.0);
        Scale { min: 0.0, max: (max / step).ceil() * step, is_log: false }
    }

    /// Whole decades around all values.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Scale {
        let usable = values.filter(|value| value.is_finite() && *value > 0.0);
        let (low, high) =
            usable.fold((f64::MAX, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        if high <= 0.0 {
            return Scale { min: 1.0, max: 10.0, is_log: true };
        }
        let min = 10_f64.powf(low.max(1e-3).log10().floor());
        let max = 10_f64.powf(high.max(1e-3).log10().ceil()).max(min * 10.0);
        Scale { min, max, is_log: true }
    }

    /// Its upper end.
    pub(super) const fn max(self) -> f64 {
        self.max
    }

    /// Its lower end.
    pub(super) const fn min(self) -> f64 {
        self.min
    }

    /// 0 to 1 within the range.
    fn share(self, value: f64) -> f64 {
        let share = if self.is_log {
            let low = self.min.log10();
            (value.max(self.min).log10() - low) / (self.max.log10() - low)
        } else {
            (value - self.min) / (self.max - self.min)
        };
        share.clamp(0.0, 1.0)
    }

    fn ticks(self) -> Vec<f64> {
        if self.is_log {
            let (low, high) = (self.min.log10().round() as i32, self.max.log10().round() as i32);
            return (low..=high).map(|power| 10_f64.powi(power)).collect();
        }
        let step = nice_step(self.max / 4.0);
        let count = (self.max / step).round() as u32;
        (0..=count.min(12)).map(|n| f64::from(n) * step).collect()
    }
}

/// 1, 2 or 5 times a power of ten.
fn nice_step(about: f64) -> f64 {
    let power = 10_f64.powf(about.max(1e-9).log10().floor());
    let times = about / power;
    power
        * if times <= 1.0 {
            1.0
        } else if times <= 2.0 {
            2.0
        } else if times <= 5.0 {
            5.0
        } else {
            10.0
        }
}

/// A plot in the making.
pub(super) struct Plot {
    x: Scale,
    y: Scale,
    body: Html,
}

impl Plot {
    /// Axes with their names.
    pub(super) fn new((x, x_name): (Scale, &str), (y, y_name): (Scale, &str)) -> Plot {
        let mut plot = Plot { x, y, body: Html::default() };
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for value in y.ticks() {
            let at = plot.down(value);
            plot.body.raw(format_args!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>"));
            plot.label((LEFT - 6.0, at + 4.0), "e", &tick(value));
        }
        for value in x.ticks() {
            let at = plot.across(value);
            plot.body.raw(format_args!("<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/>"));
            plot.label((at, bottom + 16.0), "m", &tick(value));
        }
        plot.body.raw(format_args!("<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>"));
        plot.label(((LEFT + right) / 2.0, HEIGHT - 8.0), "m b", x_name);
        let middle = (TOP + bottom) / 2.0;
        plot.body.raw(format_args!(
            "<text class=\"m b\" transform=\"translate(12 {middle:.1}) rotate(-90)\">{}</text>",
            escaped(y_name)
        ));
        plot
    }

    /// Pixels from the left.
    pub(super) fn across(&self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT)
    }

    /// Pixels from the top.
    pub(super) fn down(&self, value: f64) -> f64 {
        TOP + (1.0 - self.y.share(value)) * (HEIGHT - TOP - BOTTOM)
    }

    /// A text: class `s`, `m` or `e` says which of its ends is at the point.
    pub(super) fn label(&mut self, (x, y): (f64, f64), class: &str, text: &str) {
        self.body.raw(format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">"));
        self.body.text(text).raw("</text>");
    }

    /// A line through points of the axes' units.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for (at, (x, y)) in points.iter().enumerate() {
            let letter = if at == 0 { 'M' } else { 'L' };
            path.push_str(&format!("{letter}{:.1} {:.1}", self.across(*x), self.down(*y)));
        }
        self.body.raw(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
    }

    /// A mark. The shape repeats what the colour says: discs, diamonds.
    pub(super) fn mark(&mut self, class: &str, is_diamond: bool, (x, y): (f64, f64)) {
        let (x, y) = (self.across(x), self.down(y));
        if is_diamond {
            let path = format!("M{x:.1} {:.1}l5 5-5 5-5-5z", y - 5.0);
            self.body.raw(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
        } else {
            let circle = format!("cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"");
            self.body.raw(format_args!("<circle class=\"{class}\" {circle}/>"));
        }
    }

    /// What is drawn so far.
    pub(super) fn finish(self) -> Html {
        self.body
    }
}

/// A number at an axis.
fn tick(value: f64) -> String {
    if value >= 10_000.0 {
        return crate::model::units::count(value as u64);
    }
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value}") }
}

/// The parts of a figure.
pub(super) struct Figure<'a> {
    /// Its id in the page: unique.
    pub(super) id: String,
    /// Its heading.
    pub(super) title: &'a str,
    /// What it shows, in a sentence with the size of the sample.
    pub(super) text: String,
    /// Width and height of the drawing.
    pub(super) size: (f64, f64),
    /// Marks and their meaning: class of the mark, words.
    pub(super) key: &'a [(&'a str, &'a str)],
    /// The drawing.
    pub(super) drawing: Html,
    /// The same as a table.
    pub(super) table: Table,
}

impl Figure<'_> {
    /// Its markup.
    pub(super) fn html(self) -> Html {
        let mut html = Html::default();
        let (id, (width, height)) = (&self.id, self.size);
        html.raw(format_args!("<figure id=\"{id}\"><h4>")).text(self.title).raw("</h4>\n");
        html.raw(format_args!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\""));
        html.text(&format!("{}. {}", self.title, self.text)).raw("\">");
        html.add(&self.drawing).raw("</svg>\n");
        if !self.key.is_empty() {
            html.raw("<ul class=\"key\">");
            for (class, words) in self.key {
                html.raw("<li><svg viewBox=\"0 0 22 12\" aria-hidden=\"true\">");
                html.raw(sample(class)).raw("</svg>").text(words).raw("</li>");
            }
            html.raw("</ul>");
        }
        html.raw("<figcaption>").text(&self.text).raw("</figcaption>");
        html.add(&self.table.folded("The numbers behind this picture"));
        html.raw("</figure>\n");
        html
    }
}

/// A mark or a piece of a line for the key.
fn sample(class: &str) -> String {
    match class.split(' ').next() {
        Some("line") => format!("<path class=\"{class}\" d=\"M0 6H22\"/>"),
        Some("sensor") => format!("<path class=\"{class}\" d=\"M6 6h10m-5-5v10\"/>"),
        Some("disc" | "bar") => {
            format!("<rect class=\"{class}\" x=\"1\" y=\"1\" width=\"20\" height=\"10\"/>")
        }
        Some("bad") => format!("<path class=\"{class}\" d=\"M11 1l5 5-5 5-5-5z\"/>"),
        _ => format!("<circle class=\"{class}\" cx=\"11\" cy=\"6\" r=\"4\"/>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(Scale::linear(93.0).ticks(), [0.0, 50.0, 100.0]);
        assert_eq!(Scale::linear(15_064.8).max(), 20_000.0);
        assert_eq!(Scale::log([3.1, 93.0].into_iter()).ticks(), [1.0, 10.0, 100.0]);
        for odd in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            assert!(Scale::linear(odd).max().is_finite());
            assert!(Scale::log([odd].into_iter()).max().is_finite());
        }
    }
}
