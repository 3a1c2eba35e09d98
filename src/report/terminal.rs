//! The summary as text for a terminal.
//!
//! Owns: layout and colour. In: a summary, whether to use colour, the terminal's width.
//! Out: lines. Never: unescaped untrusted text.

use crate::model::escape::escaped;
use crate::model::{Counter, Counters, Level, Meaning};
use crate::report::histogram::Histogram;
use crate::report::summary::{DrivenLine, Summary};
use crate::report::{spans, units};

/// Text style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Use ANSI colours. The caller checks the terminal and `NO_COLOR`.
    pub colour: bool,
    /// Columns of the terminal; less than 40 is treated as 40.
    pub width: usize,
}

/// The role of a piece of text, for its colour.
#[derive(Clone, Copy, Debug)]
enum Tone {
    Plain,
    Title,
    Faint,
    Good,
    Warn,
    Bad,
    Accent,
}

/// One cell of a table.
struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

fn left(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), tone: Tone::Plain, right: false }
}

fn right(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), tone: Tone::Plain, right: true }
}

impl Cell {
    fn tone(mut self, tone: Tone) -> Cell {
        self.tone = tone;
        self
    }
}

/// The whole summary, ending in a newline.
pub fn render(summary: &Summary, style: Style) -> String {
    let mut page =
        Page { out: String::new(), style: Style { width: style.width.max(40), ..style } };
    put_inputs(&mut page, summary);
    put_feeds(&mut page, summary);
    put_protocols(&mut page, summary);
    put_legs(&mut page, summary);
    put_owners(&mut page, summary);
    put_control(&mut page, summary);
    put_alerts(&mut page, summary);
    put_incidents(&mut page, summary);
    put_baselines(&mut page, summary);
    put_copies(&mut page, summary);
    put_quality(&mut page, &summary.counters);
    put_losses(&mut page, &summary.counters);
    page.out
}

struct Page {
    out: String,
    style: Style,
}

impl Page {
    fn paint(&mut self, text: &str, tone: Tone) {
        let text = &escaped(text);
        let code = match tone {
            Tone::Plain => "",
            Tone::Title => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "1;31",
            Tone::Accent => "36",
        };
        if self.style.colour && !code.is_empty() {
            self.out.push_str("\u{1b}[");
            self.out.push_str(code);
            self.out.push('m');
            self.out.push_str(text);
            self.out.push_str("\u{1b}[0m");
        } else {
            self.out.push_str(text);
        }
    }

    /// A title and its total.
    fn title(&mut self, title: &str, total: &str) {
        self.out.push('\n');
        self.paint(title, Tone::Title);
        if !total.is_empty() {
            self.out.push_str("  ");
            let free = self.style.width.saturating_sub(title.len() + 2);
            self.paint(&units::safe(total, free), Tone::Faint);
        }
        self.out.push('\n');
    }

    /// Rows in aligned columns; the first row is a faint heading. The last column gets the
    /// remaining width.
    fn table(&mut self, rows: &[Vec<Cell>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.text.chars().count().max(*width);
            }
        }
        fit(&mut widths, self.style.width);
        for (i, row) in rows.iter().enumerate() {
            self.row(row, &widths, i == 0);
        }
    }

    fn row(&mut self, row: &[Cell], widths: &[usize], heading: bool) {
        let mut pad = 2;
        for (cell, width) in row.iter().zip(widths) {
            let text = units::safe(&cell.text, *width);
            let free = width.saturating_sub(text.chars().count());
            let (before, after) = if cell.right { (free, 0) } else { (0, free) };
            // Padding is written only before further text, so that no line ends in blanks.
            if !text.is_empty() {
                self.out.extend(std::iter::repeat_n(' ', pad + before));
                self.paint(&text, if heading { Tone::Faint } else { cell.tone });
                pad = after + 2;
            } else {
                pad += width + 2;
            }
        }
        self.out.push('\n');
    }

    /// Wraps words into lines with an indent of `indent` blanks.
    fn paragraph(&mut self, text: &str, indent: usize) {
        const LINES_MAX: usize = 6;
        let width = self.style.width.saturating_sub(indent);
        let mut lines = vec![String::new()];
        for word in units::safe(text, LINES_MAX * width).split_whitespace() {
            let word = units::safe(word, width);
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(&word),
                Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                    line.push(' ');
                    line.push_str(&word);
                }
                _ => lines.push(word),
            }
        }
        for line in lines.iter().filter(|line| !line.is_empty()) {
            self.out.extend(std::iter::repeat_n(' ', indent));
            self.out.push_str(line);
            self.out.push('\n');
        }
    }

    fn line(&mut self, text: &str, tone: Tone) {
        let text = units::safe(text, self.style.width.saturating_sub(2));
        self.out.push_str("  ");
        self.paint(&text, tone);
        self.out.push('\n');
    }
}

/// Narrows the columns until a row fits, the last one before the widest of the others. Each column
/// is preceded by two blanks.
fn fit(widths: &mut [usize], room: usize) {
    const LEAST: usize = 8;
    let mut over = (widths.iter().map(|width| width + 2).sum::<usize>()).saturating_sub(room);
    if let Some(last) = widths.last_mut() {
        let less = over.min(last.saturating_sub(LEAST));
        (*last, over) = (*last - less, over - less);
    }
    while over > 0 {
        match widths.iter_mut().max() {
            Some(widest) if *widest > 1 => *widest -= 1,
            _ => return,
        }
        over -= 1;
    }
}

fn put_inputs(page: &mut Page, summary: &Summary) {
    let inputs = &summary.inputs;
    page.paint("longhaul", Tone::Title);
    let read = format!(
        "  {}, {}, {}",
        match inputs.interfaces {
            0 => units::number_of(inputs.files as usize, "file"),
            n => units::number_of(n as usize, "interface"),
        },
        units::number_of(inputs.frames as usize, "packet"),
        units::bytes(inputs.bytes)
    );
    page.paint(&read, Tone::Plain);
    page.out.push('\n');
    for line in spans::lines(&inputs.clusters) {
        page.line(&line, Tone::Plain);
    }
    const PROBLEMS_MAX: usize = 10;
    for (name, verdict) in inputs.problems.iter().take(PROBLEMS_MAX) {
        page.line(&format!("! {name}: {verdict}"), Tone::Warn);
    }
    if inputs.problems.len() > PROBLEMS_MAX {
        let more = inputs.problems.len() - PROBLEMS_MAX;
        let more = units::number_of(more, "more file");
        page.line(&format!("! and {more} with problems"), Tone::Warn);
    }
    for warning in &inputs.warnings {
        page.paragraph(&format!("! {warning}"), 2);
    }
    if let Some((lists, name, days)) = &inputs.old_lists {
        let lists = units::number_of(*lists as usize, "list");
        page.line(
            &format!("! {lists} too old for this capture ({name}: {days} days):"),
            Tone::Warn,
        );
        page.line("  alerts that rest on such lists alone weigh half", Tone::Warn);
    }
}

/// One-way capture points, one line each.
fn put_feeds(page: &mut Page, summary: &Summary) {
    const FEEDS_MAX: usize = 5;
    for feed in summary.one_way.iter().take(FEEDS_MAX) {
        page.line(&format!("! {}", feed.sentence()), Tone::Warn);
    }
    if summary.one_way.len() > FEEDS_MAX {
        let more = summary.one_way.len() - FEEDS_MAX;
        page.line(&format!("! and {more} more capture points with one direction"), Tone::Warn);
    }
}

fn put_protocols(page: &mut Page, summary: &Summary) {
    page.title("Sessions", &units::count(summary.sessions));
    if summary.protocols.is_empty() {
        return;
    }
    let most = summary.protocols.iter().map(|line| line.sessions).max().unwrap_or(1).max(1);
    let mut rows = vec![vec![left("protocol"), right("sessions"), right("share"), right("bytes")]];
    for line in &summary.protocols {
        let bar = (line.sessions * 20).div_ceil(most) as usize;
        rows.push(vec![
            left(line.name).tone(Tone::Accent),
            right(units::count(line.sessions)),
            right(units::share(line.sessions, summary.sessions)),
            right(units::bytes(line.bytes)),
            left("▪".repeat(bar)).tone(Tone::Faint),
        ]);
    }
    page.table(&rows);
}

fn put_legs(page: &mut Page, summary: &Summary) {
    if summary.near.samples() + summary.far.samples() == 0 {
        return;
    }
    page.title("Legs", "full round trips from the sensor, by TCP handshake");
    let heads = ["handshakes", "5 % below", "median", "95 % below"].map(right);
    let mut rows = vec![std::iter::once(left("leg")).chain(heads).collect::<Vec<_>>()];
    rows.push(leg("near", &summary.near));
    rows.push(leg("far", &summary.far));
    page.table(&rows);
}

fn leg(name: &str, legs: &Histogram) -> Vec<Cell> {
    let mut row = vec![left(name).tone(Tone::Accent), right(units::count(legs.samples()))];
    for share in [0.05, 0.5, 0.95] {
        row.push(right(legs.quantile(share).map_or("-".into(), units::millis)));
    }
    row
}

fn put_owners(page: &mut Page, summary: &Summary) {
    if summary.owners.is_empty() {
        return;
    }
    page.title("Remote owners", "floor: the nearest any of their addresses came");
    let mut rows =
        vec![vec![left("AS"), left("country"), right("sessions"), right("floor"), left("holder")]];
    for owner in &summary.owners {
        rows.push(vec![
            left(match owner.number {
                0 => "-".to_owned(),
                number => format!("AS{number}"),
            })
            .tone(Tone::Accent),
            left(owner.country.as_deref().unwrap_or("-")),
            right(units::count(owner.sessions)),
            right(owner.floor_ns.map_or("-".into(), units::millis)),
            left(owner.name.as_deref().unwrap_or("not announced or not known")),
        ]);
    }
    page.table(&rows);
    if summary.owners_more > 0 {
        page.line(&format!("and {} more", units::count(summary.owners_more)), Tone::Faint);
    }
}

/// Hosts of ours through which somebody elsewhere types: facts, of which rules may make alerts.
fn put_control(page: &mut Page, summary: &Summary) {
    if summary.driven.is_empty() && summary.controlled == 0 {
        return;
    }
    page.title("Remote control", "keystrokes of ours that follow messages from elsewhere");
    if !summary.driven.is_empty() {
        let heads = ["keystrokes", "follow", "by chance", "after", "far end"].map(right);
        let texts = ["host", "driven from", "by"].map(left);
        let mut rows = vec![texts.into_iter().chain(heads).collect::<Vec<_>>()];
        rows.extend(summary.driven.iter().map(driven));
        page.table(&rows);
    }
    if summary.driven_more > 0 {
        page.line(&format!("and {} more", units::count(summary.driven_more)), Tone::Faint);
    }
    if summary.controlled > 0 {
        let sessions = units::number_of(summary.controlled as usize, "session");
        let text = format!("{sessions} of ours with a screen going out and input coming in");
        page.line(&text, Tone::Faint);
    }
}

fn driven(line: &DrivenLine) -> Vec<Cell> {
    let control = &line.control;
    let share = |share: f64| right(format!("{:.0} %", share * 100.0));
    let by = control.tool.as_deref().or(control.via.as_deref()).unwrap_or("-");
    vec![
        left(line.host.to_string()).tone(Tone::Title),
        left(control.from.to_string()).tone(Tone::Accent),
        left(by),
        right(units::count(control.keys.into())),
        share(control.share),
        share(control.baseline),
        right(units::millis(control.lag_ns)),
        right(control.leg.map_or("-".into(), |leg| units::millis(leg.whole_ns))),
    ]
}

const fn level_tone(level: Level) -> Tone {
    match level {
        Level::Critical | Level::High => Tone::Bad,
        Level::Medium => Tone::Warn,
        Level::Low | Level::Informational => Tone::Faint,
    }
}

fn put_alerts(page: &mut Page, summary: &Summary) {
    let total = summary.rules.iter().map(|line| line.alerts).sum();
    page.title("Alerts", &units::count(total));
    for line in &summary.rules {
        page.out.push_str("  ");
        page.paint(&format!("{:<14}", line.level.as_str()), level_tone(line.level));
        // The width left beside the level, the id and the count.
        let name = units::safe(&line.name, page.style.width.saturating_sub(40));
        page.paint(&format!("{} {name}", units::safe(&line.id, 8)), Tone::Title);
        page.paint(&format!("  x{}", units::count(line.alerts)), Tone::Faint);
        page.out.push('\n');
        page.paragraph(&line.message, 16);
    }
}

fn put_incidents(page: &mut Page, summary: &Summary) {
    let total = summary.incidents.len() as u64 + summary.incidents_more;
    if total == 0 {
        return;
    }
    page.title("Incidents", &units::count(total));
    let mut rows =
        vec![vec![left("level"), left("subject"), left("evidence"), right("score"), left("rules")]];
    for line in &summary.incidents {
        rows.push(vec![
            left(line.level.as_str()).tone(level_tone(line.level)),
            left(units::safe(&line.subject, 24)).tone(Tone::Title),
            left(line.groups.as_str()),
            right(format!("{:.2}", line.score)),
            left(line.rules.as_str()),
        ]);
    }
    page.table(&rows);
    if summary.incidents_more > 0 {
        page.line(&format!("and {} more", units::count(summary.incidents_more)), Tone::Faint);
    }
}

/// Whether alerts may rest on learned baselines.
fn put_baselines(page: &mut Page, summary: &Summary) {
    let Some(sentence) = &summary.baselines else { return };
    page.title("Baselines", "");
    page.paragraph(sentence, 2);
}

/// Duplicates are no loss, but they show how the mirror port is set up.
fn put_copies(page: &mut Page, summary: &Summary) {
    const POINTS_SHOWN: usize = 4;
    let (points, copies) = (summary.copies.len(), summary.counters.get(Counter::Duplicates));
    if points == 0 {
        return;
    }
    page.title("Duplicates", &format!("{} left out", units::count(copies)));
    for note in summary.copies.iter().take(POINTS_SHOWN) {
        page.paragraph(note, 2);
    }
    if points > POINTS_SHOWN {
        let more = points - POINTS_SHOWN;
        page.line(&format!("and {more} more capture points with copies"), Tone::Faint);
    }
}

/// The non-zero counters that have a text in `words`, one row each.
fn counted(
    counters: &Counters,
    tone: Tone,
    words: impl Fn(Counter) -> Option<&'static str>,
) -> Vec<Vec<Cell>> {
    let row = |(counter, value): (Counter, u64)| {
        let words = words(counter).filter(|_| value > 0)?;
        Some(vec![right(units::count(value)).tone(tone), left(words)])
    };
    counters.iter().filter_map(row).collect()
}

/// How reliable the measurements are.
fn put_quality(page: &mut Page, counters: &Counters) {
    let rows = counted(counters, Tone::Faint, |counter| match counter.meaning() {
        Meaning::Quality { words } => Some(words),
        _ => None,
    });
    if rows.is_empty() {
        return;
    }
    page.title("Quality", "how far to trust what was measured");
    put_counts(page, rows);
}

fn put_counts(page: &mut Page, rows: Vec<Vec<Cell>>) {
    let head = vec![right("count"), left("what")];
    page.table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
}

fn put_losses(page: &mut Page, counters: &Counters) {
    page.out.push('\n');
    page.paint("Lost", Tone::Title);
    let lost = counted(counters, Tone::Warn, |counter| match counter.meaning() {
        Meaning::Loss { words, .. } => Some(words),
        _ => None,
    });
    if lost.is_empty() {
        page.out.push_str("  ");
        page.paint("nothing", Tone::Good);
        page.out.push('\n');
        return;
    }
    page.out.push('\n');
    put_counts(page, lost);
    put_capture_loss(page, counters);
}

/// Bytes that the other end acknowledged were on the wire, so the capture lost them. An estimate:
/// header bytes count on one side only, and a gap at the end of a stream is invisible.
fn put_capture_loss(page: &mut Page, counters: &Counters) {
    let unseen = counters.get(Counter::AckedUnseenBytes);
    if unseen == 0 {
        return;
    }
    let share = 100.0 * unseen as f64 / (unseen + counters.get(Counter::TcpBytes)) as f64;
    let share = if share < 0.01 { "less than 0.01".into() } else { format!("about {share:.2}") };
    let sessions = counters.get(Counter::AckedUnseenSessions) as usize;
    let sessions = units::number_of(sessions, "session");
    page.line(&format!("the capture lost {share} % of TCP bytes, in {sessions}"), Tone::Warn);
}

#[cfg(test)]
#[path = "terminal_tests.rs"]
mod tests;
