//! Text, lines and tables on the cells of a screen.
//!
//! Owns: escaping, colours, the widths of columns. In: text that others may have chosen. Out:
//! cells. Never: a character that controls the terminal, or a cell outside the area.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};

use crate::model::units;

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Colours; without them there are bold, dim and reversed text.
    pub colour: bool,
    /// Characters of drawings; without them ASCII.
    pub drawings: bool,
}

/// The role of a piece of text, for its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Title,
    Faint,
    Good,
    Warn,
    Bad,
    Accent,
    Selected,
}

/// A cell of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

pub(super) fn cell(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), tone: Tone::Plain }
}

impl Cell {
    pub(super) fn tone(self, tone: Tone) -> Cell {
        Cell { tone, ..self }
    }
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// 0: what is left, of which there is one.
    pub(super) width: u16,
    pub(super) is_right: bool,
    /// Screens with fewer columns do without it.
    pub(super) from: u16,
}

/// Where to draw.
pub(super) struct Canvas<'b> {
    buffer: &'b mut Buffer,
    palette: Palette,
}

impl<'b> Canvas<'b> {
    pub(super) fn new(buffer: &'b mut Buffer, palette: Palette) -> Canvas<'b> {
        Canvas { buffer, palette }
    }

    fn style(&self, tone: Tone) -> Style {
        let style = Style::new();
        let with = |color| if self.palette.colour { style.fg(color) } else { style };
        match tone {
            Tone::Plain => style,
            Tone::Title => style.add_modifier(Modifier::BOLD),
            Tone::Faint => style.add_modifier(Modifier::DIM),
            Tone::Good => with(Color::Green),
            Tone::Warn => with(Color::Yellow),
            Tone::Bad => with(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Accent => with(Color::Cyan),
            Tone::Selected => style.add_modifier(Modifier::REVERSED),
        }
    }

    /// Writes text from a column of a row on, as far as the area goes; returns the next column.
    pub(super) fn put(&mut self, area: Rect, x: u16, text: &str, tone: Tone) -> u16 {
        let area = area.intersection(self.buffer.area);
        if area.height == 0 || x < area.x || x >= area.right() {
            return x;
        }
        let room = area.right() - x;
        let mut text = units::safe(text, usize::from(room));
        if !self.palette.drawings {
            text = ascii(&text);
        }
        let style = self.style(tone);
        self.buffer.set_stringn(x, area.y, text, usize::from(room), style).0
    }

    /// Writes a row that is as wide as the area.
    pub(super) fn row(&mut self, area: Rect, text: &str, tone: Tone) {
        self.put(area, area.x, text, tone);
    }

    /// Gives a whole row a tone.
    pub(super) fn mark(&mut self, area: Rect, tone: Tone) {
        let style = self.style(tone);
        let area = area.intersection(self.buffer.area);
        self.buffer.set_style(Rect { height: area.height.min(1), ..area }, style);
    }

    /// Counts as a line of bars, the last ones if they do not all fit.
    pub(super) fn bars(&mut self, area: Rect, counts: &[f64], tone: Tone) {
        const DRAWN: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        const ASCII: [char; 9] = [' ', '.', '.', ':', '-', '=', '+', '*', '#'];
        let levels = if self.palette.drawings { DRAWN } else { ASCII };
        let shown = counts.get(counts.len().saturating_sub(usize::from(area.width))..);
        let shown = shown.unwrap_or_default();
        let most = shown.iter().copied().fold(0.0, f64::max);
        let bar = |count: &f64| {
            // Whatever is not nothing can be seen.
            let level = if most > 0.0 { (count / most * 8.0).ceil() } else { 0.0 };
            levels.get(level.clamp(0.0, 8.0) as usize).copied().unwrap_or(' ')
        };
        let text: String = shown.iter().map(bar).collect();
        self.row(area, &text, tone);
    }

    /// A table: its heads, then the rows from the one at `top` on; one may be selected.
    pub(super) fn table(
        &mut self,
        area: Rect,
        columns: &[Column],
        rows: &[Vec<Cell>],
        selected: Option<usize>,
    ) {
        let places = places(area, columns);
        for (column, (x, width)) in columns.iter().zip(&places) {
            let field = Rect { x: *x, width: *width, ..area };
            self.field(field, column.title, (Tone::Faint, column.is_right));
        }
        for (at, row) in rows.iter().enumerate() {
            let Some(line) = below(area, at + 1) else { break };
            let is_selected = selected == Some(at);
            if is_selected {
                self.mark(line, Tone::Selected);
            }
            for ((column, (x, width)), cell) in columns.iter().zip(&places).zip(row) {
                let field = Rect { x: *x, width: *width, ..line };
                let tone = if is_selected { Tone::Selected } else { cell.tone };
                self.field(field, &cell.text, (tone, column.is_right));
            }
        }
    }

    fn field(&mut self, area: Rect, text: &str, (tone, is_right): (Tone, bool)) {
        let len = units::safe(text, usize::from(area.width)).chars().count();
        let free = area.width.saturating_sub(u16::try_from(len).unwrap_or(u16::MAX));
        if area.width > 0 {
            self.put(area, area.x + if is_right { free } else { 0 }, text, tone);
        }
    }
}

/// A terminal that does not take UTF-8 takes its bytes one by one, and 0x9b, the last one of `Û`,
/// begins a command there (ECMA-48, 8-bit CSI).
fn ascii(text: &str) -> String {
    let one = |c: char| match c {
        '…' => '~',
        c if c.is_ascii() => c,
        _ => '?',
    };
    text.chars().map(one).collect()
}

/// A row of an area.
pub(super) fn below(area: Rect, rows: usize) -> Option<Rect> {
    let rows = u16::try_from(rows).ok().filter(|rows| *rows < area.height)?;
    Some(Rect { y: area.y.saturating_add(rows), height: 1, ..area })
}

/// The place and width of each column; 0 wide if it has none.
fn places(area: Rect, columns: &[Column]) -> Vec<(u16, u16)> {
    let is_shown = |column: &Column| area.width >= column.from;
    let fixed: u16 = columns.iter().filter(|of| is_shown(of)).map(|of| of.width + 1).sum();
    let rest = area.width.saturating_sub(fixed);
    let mut x = area.x;
    let place = |column: &Column| {
        let left = area.right().saturating_sub(x);
        let width = match (is_shown(column), column.width) {
            (false, _) => return (x, 0),
            (true, 0) => rest,
            (true, width) => width,
        };
        let place = (x, width.min(left));
        x = x.saturating_add(width).saturating_add(1).min(area.right());
        place
    };
    columns.iter().map(place).collect()
}
