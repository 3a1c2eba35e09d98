//! Tables that can be sorted and filtered, and read without a script.
//!
//! Owns: their markup: caption, scopes, values to sort by. In: columns and cells. Out: HTML. Never:
//! sorts or leaves out a row by itself.

use super::markup::Html;
use crate::model::units;

/// Most bytes of a table: rows beyond it are counted only.
pub(super) const BYTES_MAX: usize = 300_000;

/// A cell.
pub(super) enum Cell {
    /// A text.
    Text(String),
    /// A number as people read it, and itself.
    Number(String, f64),
    /// Nothing is known.
    None,
    /// Markup of our own.
    Markup(Html),
}

impl Cell {
    /// A text, or nothing.
    pub(super) fn text(text: Option<impl Into<String>>) -> Cell {
        text.map(Into::into).filter(|text| !text.is_empty()).map_or(Cell::None, Cell::Text)
    }

    /// A whole number.
    pub(super) fn count(n: u64) -> Cell {
        Cell::Number(crate::model::units::count(n), n as f64)
    }

    /// A number with a fixed number of digits behind the point.
    pub(super) fn digits(value: Option<f64>, digits: usize) -> Cell {
        value.map_or(Cell::None, |value| Cell::Number(format!("{value:.digits$}"), value))
    }

    /// Microseconds, shown in the milliseconds that the column's name says.
    pub(super) fn millis(us: Option<f64>) -> Cell {
        us.map_or(Cell::None, |us| {
            let text = super::words::millis(us);
            Cell::Number(text.trim_end_matches(" ms").to_owned(), us)
        })
    }
}

/// A table: its caption, the names of its columns, its rows.
pub(super) struct Table {
    caption: String,
    columns: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// One without rows.
    pub(super) fn new(caption: impl Into<String>, columns: &'static [&'static str]) -> Table {
        Table { caption: caption.into(), columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its markup; the first cell of a row is its head.
    pub(super) fn html(&self) -> Html {
        let mut html = Html::default();
        html.raw("<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"");
        html.text(&self.caption).raw("\"><table><caption>").text(&self.caption);
        html.raw("</caption><thead><tr>");
        for (at, column) in self.columns.iter().enumerate() {
            let is_number = |row: &Vec<Cell>| matches!(row.get(at), Some(Cell::Number(..)));
            let class = if self.rows.iter().any(is_number) { " class=\"n\"" } else { "" };
            html.raw("<th scope=\"col\"").raw(class).raw('>').text(column).raw("</th>");
        }
        html.raw("</tr></thead><tbody>\n");
        let mut left = self.rows.len();
        for row in &self.rows {
            let mut one = Html::default();
            one.raw("<tr>");
            for (at, cell) in row.iter().enumerate() {
                put(cell, at == 0, &mut one);
            }
            one.raw("</tr>\n");
            if html.len() + one.len() > BYTES_MAX {
                break;
            }
            left -= 1;
            html.add(&one);
        }
        html.raw("</tbody></table></div>\n");
        if left > 0 {
            let text = format!("{} more rows have no room here.", units::count(left as u64));
            html.raw("<p class=\"note\">").text(&text).raw("</p>\n");
        }
        html
    }

    /// The same under a line to click on, as the words behind a picture.
    pub(super) fn folded(&self, summary: &str) -> Html {
        let mut html = Html::default();
        html.raw("<details><summary>").text(summary).raw("</summary>");
        html.add(&self.html()).raw("</details>\n");
        html
    }
}

/// Long words may break anywhere, times nowhere.
fn class_of(text: &str) -> &'static str {
    const WORD_MAX: usize = 20;
    let is_time = text.len() == 19 && text.as_bytes().get(4) == Some(&b'-');
    match text {
        _ if is_time => " class=\"time\">",
        _ if text.split(' ').any(|word| word.len() > WORD_MAX) => " class=\"long\">",
        _ => ">",
    }
}

fn put(cell: &Cell, is_head: bool, html: &mut Html) {
    let (tag, scope) = if is_head { ("th", " scope=\"row\"") } else { ("td", "") };
    html.raw('<').raw(tag).raw(scope);
    match cell {
        Cell::Text(text) => html.raw(class_of(text)).text(text),
        Cell::Number(text, value) => {
            html.raw(" class=\"n\"");
            // What the script reads of the text is enough, unless its unit varies.
            let reads = text.replace(',', "").parse::<f64>();
            if reads.is_err() {
                html.raw(format_args!(" data-v=\"{value}\""));
            }
            html.raw('>').text(text)
        }
        Cell::None => html.raw(" class=\"no\">–"),
        Cell::Markup(markup) => html.raw('>').add(markup),
    };
    html.raw("</").raw(tag).raw('>');
}
