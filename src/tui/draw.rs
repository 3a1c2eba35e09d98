//! What each part of the view looks like.
//!
//! Owns: the layout. In: the board, what is to be shown of it. Out: cells. Never: more than fits:
//! what does not fit is left out from below, and lists say of how many.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;

use super::board::{Board, State};
use super::counts::Totals;
use super::lists::Filter;
use super::page::Line;
use super::paint::{Canvas, Palette, Tone, below, cell};
use super::view::{Tab, View};
use crate::model::{Counter, Meaning, units};

mod tables;

/// Rows of the overview before its incidents.
const OVERVIEW_HEAD: usize = 9;
/// Columns of a name of a sum.
const NAME: u16 = 11;

/// Draws all of it.
pub(super) fn draw(buffer: &mut Buffer, board: &Board, view: &mut View, palette: Palette) {
    let area = buffer.area;
    let mut canvas = Canvas::new(buffer, palette);
    head(&mut canvas, area, board);
    if let Some(line) = below(area, 1) {
        tabs(&mut canvas, line, view);
    }
    let height = usize::from(area.height);
    let body = Rect {
        y: area.y.saturating_add(3).min(area.bottom()),
        height: area.height.saturating_sub(4),
        ..area
    };
    match (view.is_help, view.page.is_some()) {
        (true, _) => help(&mut canvas, body),
        (_, true) => page(&mut canvas, body, view),
        _ => tab(&mut canvas, body, board, view),
    }
    if height > 3
        && let Some(line) = below(area, height - 1)
    {
        foot(&mut canvas, line, view);
    }
}

fn head(canvas: &mut Canvas<'_>, area: Rect, board: &Board) {
    let (state, tone) = match &board.state {
        State::Waiting(what) => (what.clone(), Tone::Warn),
        State::Reading(done, all) => (format!("reads, {}", units::share(*done, *all)), Tone::Warn),
        State::Running => ("running".to_owned(), Tone::Good),
        State::Ended => ("the run has ended".to_owned(), Tone::Plain),
        State::Failed(why) => (why.clone(), Tone::Bad),
    };
    let x = canvas.put(area, area.x, "longhaul", Tone::Title);
    let x = canvas.put(area, x + 2, &board.title, Tone::Plain);
    let x = canvas.put(area, x + 2, &state, tone);
    if board.faults > 0 {
        let text = format!("{} unreadable", units::number_of(board.faults as usize, "line"));
        canvas.put(area, x + 2, &text, Tone::Bad);
    }
}

fn tabs(canvas: &mut Canvas<'_>, area: Rect, view: &View) {
    let mut x = area.x;
    for (tab, digit) in Tab::ALL.into_iter().zip('1'..) {
        let tone = if tab == view.tab { Tone::Selected } else { Tone::Plain };
        x = canvas.put(area, x, &format!("{digit} {}", tab.name()), tone) + 2;
    }
}

fn foot(canvas: &mut Canvas<'_>, area: Rect, view: &View) {
    if let Some(typed) = &view.typed {
        let text = format!("filter: {typed}_   Enter takes it, Esc leaves it as it was");
        return canvas.row(area, &text, Tone::Accent);
    }
    if view.is_ending {
        return canvas.row(area, "End the run? y ends it, any other key goes on", Tone::Warn);
    }
    let end = if view.ends_run { "q end run" } else { "q quit" };
    let keys = match (view.is_help, &view.page, view.tab) {
        (true, ..) => "any key goes back".to_owned(),
        (_, Some(page), _) => {
            let (last, all) = page.shown;
            format!("{end}  Esc back  Up/Down PgUp/PgDn scroll  Tab view  line {last} of {all}")
        }
        (_, _, Tab::Losses | Tab::Messages) => format!("{end}  Tab/1-7 view  ? help"),
        (_, _, Tab::Subjects) => {
            format!("{end}  Tab/1-7 view  Enter sessions  / filter  s order  ? help")
        }
        _ => format!("{end}  Tab/1-7 view  Enter explain  / filter  s order  ? help"),
    };
    canvas.row(area, &keys, Tone::Faint);
}

fn help(canvas: &mut Canvas<'_>, area: Rect) {
    const KEYS: [(&str, &str); 12] = [
        ("1 to 7, Tab, Left, Right", "another view"),
        ("Up, Down, k, j", "one row up, down"),
        ("PgUp, PgDn, b, Space", "one screen up, down"),
        ("Home, End, g, G", "the first, the last row"),
        ("Enter", "explains an incident, alert or session; of a subject, its sessions"),
        ("Esc", "back; in a list: without filter"),
        ("/", "shows rows with a text only: type it, then Enter"),
        ("s", "another order of the rows"),
        ("?", "this page"),
        ("q", "ends the view; that of a live run ends the run, after a question"),
        ("Ctrl-C", "ends at once"),
        ("", "near, far: lowest round trips to initiator and responder"),
    ];
    for (at, (key, what)) in KEYS.iter().enumerate() {
        let Some(line) = row(area, at) else { return };
        canvas.row(line, key, Tone::Accent);
        canvas.put(line, line.x.saturating_add(26), what, Tone::Plain);
    }
}

fn page(canvas: &mut Canvas<'_>, area: Rect, view: &mut View) {
    view.height = usize::from(area.height);
    let height = view.height;
    let Some(page) = &mut view.page else { return };
    let lines = page.lines(usize::from(area.width));
    page.top = page.top.min(lines.len().saturating_sub(height));
    page.shown = ((page.top + height).min(lines.len()), lines.len());
    for (at, line) in lines.iter().skip(page.top).take(height).enumerate() {
        let Some(place) = row(area, at) else { return };
        match line {
            Line::Heading(text) => canvas.row(place, text, Tone::Title),
            Line::Text(text) => canvas.row(place, text, Tone::Plain),
            Line::Fault(text) => canvas.row(place, text, Tone::Bad),
        }
    }
}

fn tab(canvas: &mut Canvas<'_>, area: Rect, board: &Board, view: &mut View) {
    match view.tab {
        Tab::Overview => overview(canvas, area, board, view),
        Tab::Losses => losses(canvas, area, &board.counts.totals()),
        Tab::Messages => messages(canvas, area, board),
        _ => list(canvas, area, board, view),
    }
}

/// A row of an area.
fn row(area: Rect, at: usize) -> Option<Rect> {
    below(area, at)
}

/// The part of an area from a row on.
fn from(area: Rect, at: usize) -> Rect {
    let at = u16::try_from(at).unwrap_or(u16::MAX).min(area.height);
    Rect { y: area.y.saturating_add(at), height: area.height - at, ..area }
}

fn overview(canvas: &mut Canvas<'_>, area: Rect, board: &Board, view: &mut View) {
    let totals = board.counts.totals();
    let rate = board.counts.rates.back();
    let per = |of: Option<f64>| of.map_or(String::new(), |n| format!("{}/s", rounded(n)));
    let sums = [
        ("Packets", units::count(totals.packets), per(rate.map(|rate| rate.packets))),
        ("Bytes", units::bytes(totals.bytes), {
            rate.map_or(String::new(), |rate| bit_rate(rate.bits))
        }),
        ("Sessions", units::count(totals.sessions), per(rate.map(|rate| rate.sessions))),
        ("Findings", findings_in_words(board), String::new()),
    ];
    for (at, (name, sum, rate)) in sums.iter().enumerate() {
        let Some(line) = row(area, at) else { break };
        canvas.row(line, name, Tone::Faint);
        let x = canvas.put(line, line.x + NAME, sum, Tone::Plain);
        canvas.put(line, x.max(line.x + NAME + 14) + 2, rate, Tone::Accent);
    }
    if let Some(line) = row(area, 4) {
        canvas.row(line, "Lost", Tone::Faint);
        let places = lost_places(&totals);
        let (text, tone) = if places.is_empty() {
            ("nothing".to_owned(), Tone::Good)
        } else {
            let each = places.iter().map(|(place, n)| format!("{place} {}", units::count(*n)));
            (each.collect::<Vec<_>>().join("  "), Tone::Bad)
        };
        canvas.put(line, line.x + NAME, &text, tone);
    }
    bars(canvas, area, board);
    let rest = from(area, OVERVIEW_HEAD);
    list(canvas, rest, board, view);
}

/// Packets by time, if a sensor has counted them; else sessions.
fn bars(canvas: &mut Canvas<'_>, area: Rect, board: &Board) {
    let (Some(head), Some(line)) = (row(area, 6), row(area, 7)) else { return };
    let rates = &board.counts.rates;
    if rates.len() > 1 {
        let packets: Vec<f64> = rates.iter().map(|rate| rate.packets).collect();
        let most = packets.iter().copied().fold(0.0, f64::max);
        let text = rates.back().map_or(String::new(), |last| {
            format!(
                "Packets per second until {}, at most {}",
                units::moment(last.until),
                rounded(most)
            )
        });
        canvas.row(head, &text, Tone::Faint);
        return canvas.bars(line, &packets, Tone::Accent);
    }
    let (bins, width) = board.history.bins();
    if bins.is_empty() {
        return;
    }
    let mut counts: Vec<f64> = bins.iter().map(|n| *n as f64).collect();
    let mut width = width;
    // All of the run is shown, so that its beginning is not missing on a narrow screen.
    while counts.len() > usize::from(line.width.max(1)) {
        counts = counts.chunks(2).map(|pair| pair.iter().sum()).collect();
        width *= 2;
    }
    let each = units::span(crate::model::Nanos::from_secs(width));
    canvas.row(head, &format!("Sessions by their beginning, {each} a column"), Tone::Faint);
    canvas.bars(line, &counts, Tone::Accent);
}

fn findings_in_words(board: &Board) -> String {
    let of = |n: u64, what: &str| units::number_of(n as usize, what);
    format!(
        "{}, {}, {}",
        of(board.incidents.all, "incident"),
        of(board.alerts.all, "alert"),
        of(board.subjects.len() as u64 + board.subjects_more, "subject"),
    )
}

/// A number without needless digits.
fn rounded(number: f64) -> String {
    if number < 9.95 { format!("{number:.1}") } else { units::count(number.round() as u64) }
}

fn bit_rate(bits: f64) -> String {
    for (unit, scale) in [("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)] {
        if bits >= scale {
            return format!("{:.1} {unit}", bits / scale);
        }
    }
    format!("{bits:.0} bit/s")
}

/// What is missing from the results. Duplicates are left out on purpose.
fn lost_places(totals: &Totals) -> Vec<(&str, u64)> {
    let all = totals.losses.iter().map(|(place, lost)| (place.as_str(), *lost));
    all.filter(|(place, _)| *place != "duplicates").collect()
}

fn losses(canvas: &mut Canvas<'_>, area: Rect, totals: &Totals) {
    use super::paint::Column;
    const COLUMNS: [Column; 3] = [
        Column { title: "place", width: 18, is_right: false, from: 0 },
        Column { title: "lost", width: 14, is_right: true, from: 0 },
        Column { title: "what", width: 0, is_right: false, from: 48 },
    ];
    if totals.losses.is_empty() {
        return canvas.row(area, "Nothing known was lost.", Tone::Good);
    }
    let rows = totals.losses.iter().map(|(place, lost)| {
        let words = words_of(place).join(", ");
        let tone = if place == "duplicates" { Tone::Plain } else { Tone::Bad };
        vec![cell(place).tone(tone), cell(units::count(*lost)), cell(words)]
    });
    canvas.table(area, &COLUMNS, &rows.collect::<Vec<_>>(), None);
}

/// What the counters of a place count.
fn words_of(place: &str) -> Vec<&'static str> {
    if place == "duplicates" {
        return vec!["copies of packets, left out on purpose"];
    }
    let words = Counter::ALL.iter().filter_map(|counter| match counter.meaning() {
        Meaning::Loss { place: of, words } if of == place => Some(words),
        _ => None,
    });
    words.collect()
}

fn messages(canvas: &mut Canvas<'_>, area: Rect, board: &Board) {
    if board.messages.is_empty() {
        return canvas.row(area, "No messages.", Tone::Faint);
    }
    let mut lines: Vec<String> = Vec::new();
    for text in board.messages.iter().rev().take(usize::from(area.height)) {
        let mut one = String::new();
        crate::explain::put_fact(text, usize::from(area.width), &mut one);
        lines.extend(one.lines().map(str::to_owned));
    }
    for (at, text) in lines.iter().enumerate() {
        let Some(line) = row(area, at) else { return };
        canvas.row(line, text, Tone::Plain);
    }
}

/// A list: which rows of how many, then the rows.
fn list(canvas: &mut Canvas<'_>, area: Rect, board: &Board, view: &mut View) {
    let height = usize::from(area.height).saturating_sub(2);
    view.height = height;
    let mut state = view.list();
    let ids = view.ids(board);
    let (at, count) = (state.place(&ids), ids.len());
    state.scroll(count, height);
    let (filter, order, top) = (view.filter.clone(), state.order, state.top);
    view.keep(state);
    let shown = (&filter, order, (top, height));
    let table = match view.tab {
        Tab::Overview | Tab::Incidents => tables::incidents(board, shown),
        Tab::Alerts => tables::alerts(board, shown),
        Tab::Subjects => tables::subjects(board, shown),
        _ => tables::sessions(board, shown),
    };
    let heading = heading(board, view, (count, &filter, order));
    canvas.row(area, &heading, Tone::Title);
    if count == 0 {
        if let Some(line) = row(area, 1) {
            canvas.row(line, none(board, view.tab), Tone::Faint);
        }
        return;
    }
    canvas.table(from(area, 1), table.columns, &table.rows, at.checked_sub(top));
}

/// What an empty list says: sessions may have been counted and not written as lines.
fn none(board: &Board, tab: Tab) -> &'static str {
    let is_written = board.sessions_all > 0 || board.counts.totals().sessions == 0;
    if tab != Tab::Sessions || is_written || board.state != State::Ended {
        return "None.";
    }
    "The run has written no sessions.ndjson (--no-sessions, or as Parquet only)."
}

fn heading(board: &Board, view: &View, (count, filter, order): (usize, &Filter, usize)) -> String {
    let (what, kept, all) = match view.tab {
        Tab::Overview | Tab::Incidents => {
            ("Incidents", board.incidents.rows.len(), board.incidents.all)
        }
        Tab::Alerts => ("Alerts", board.alerts.rows.len(), board.alerts.all),
        Tab::Subjects => {
            let kept = board.subjects.len();
            ("Subjects", kept, kept as u64 + board.subjects_more)
        }
        _ => ("Sessions", board.sessions.len(), board.sessions_all + board.omitted),
    };
    let mut text = format!("{what}: {}", units::count(count as u64));
    if count != kept || kept as u64 != all {
        text.push_str(&format!(" of {}", units::count(all)));
    }
    if kept as u64 != all {
        text.push_str(&format!(" ({} kept here)", units::count(kept as u64)));
    }
    if let Some(name) = view.tab.orders().get(order) {
        text.push_str(&format!(", {name}"));
    }
    if let Some(subject) = &filter.subject {
        text.push_str(&format!(", of {}", units::safe(subject, 40)));
    }
    if !filter.text.is_empty() {
        text.push_str(&format!(", with \"{}\"", units::safe(&filter.text, 40)));
    }
    if *filter != Filter::default() {
        text.push_str(" (Esc: all)");
    }
    if board.sets_more > 0 && view.tab != Tab::Overview {
        text.push_str(&format!("; {} not read", units::number_of(board.sets_more, "older set")));
    }
    text
}
