//! The view on a screen of its own: every part at several sizes, keys, hostile names.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use ratatui_core::backend::TestBackend;
use ratatui_core::buffer::Buffer;
use ratatui_core::terminal::Terminal;
use serde_json::{Value, json};

use super::board::{Board, State};
use super::draw::draw;
use super::page;
use super::paint::Palette;
use super::view::{Action, Key, View};
use crate::model::escape::is_unsafe;

const HOSTILE: &str = "Û東a\u{1b}[2Jb\u{9b}31mc\u{7f}\rd\u{202e}e\u{2066}f\u{200f}g\n";
const PLAIN: Palette = Palette { colour: false, drawings: true };
const ASCII: Palette = Palette { colour: false, drawings: false };

fn id(n: usize) -> String {
    format!("{n:032x}")
}

fn time(n: usize) -> String {
    format!("2026-11-22T{:02}:{:02}:{:02}.000000000Z", n / 3_600 % 24, n / 60 % 60, n % 60)
}

fn session(n: usize) -> Value {
    json!({
        "@timestamp": time(n + 5),
        "event": {"id": id(n), "dataset": "longhaul.session", "action": "session-end",
                  "start": time(n), "end": time(n + 5)},
        "source": {"ip": format!("10.20.0.{}", n % 200), "port": 50_000,
                   "geo": {"country_iso_code": "US"}},
        "destination": {"ip": "203.0.113.9", "port": 443, "geo": {"country_iso_code": "DE"}},
        "network": {"bytes": 1_000 * n, "direction": "outbound", "protocol": "tls",
                    "transport": "tcp"},
        "tls": {"client": {"server_name": "www.example.com"}},
        "longhaul": {"near": {"handshake_us": 190.0}, "far": {"handshake_us": 1_000.0 * n as f64},
                     "subject": {"id": format!("10.20.0.{}", n % 200)}},
    })
}

fn finding(n: usize, dataset: &str, level: (&str, u64), name: &str) -> Value {
    json!({
        "@timestamp": time(n),
        "event": {"id": id(n), "dataset": dataset, "severity": level.1, "start": time(n)},
        "log": {"level": level.0},
        "message": format!("what was found of {name}"),
        "rule": {"id": "D08", "name": "residential-proxy"},
        "longhaul": {"subject": {"id": format!("S{n}"), "name": name}, "score": 0.97,
                     "ratio": 12.5, "groups": ["R", "T"], "change": "opened",
                     "evidence": [{"sessions": [id(3)]}]},
    })
}

fn health(n: usize, ring: u64) -> Value {
    json!({
        "event": {"dataset": "longhaul.health", "start": time(n), "end": time(n + 1)},
        "longhaul": {"health": {
            "counters": {"capture": {"frames": 1_234, "bytes": 1_000_000},
                         "session": {"sessions": 7}},
            "loss": {"ring": ring, "nic": 0, "duplicates": 2, "capture_share": 0.0}}},
    })
}

fn put(board: &mut Board, line: &Value) {
    board.add(1, line.to_string().as_bytes());
}

/// A board with something of everything.
fn full() -> Board {
    let mut board = Board::new("eth0, eth1");
    (0..40).for_each(|n| put(&mut board, &session(n)));
    put(&mut board, &finding(100, "longhaul.incident", ("high", 70), "Ada Example"));
    put(&mut board, &finding(101, "longhaul.incident", ("medium", 50), "Bo Example"));
    put(&mut board, &finding(102, "longhaul.alert", ("low", 30), "Bo Example"));
    (0..50).for_each(|n| put(&mut board, &health(n, u64::from(n == 49) * 5)));
    board.say("sandbox: seccomp: 90 system calls allowed, nothing can be sent");
    board.becomes(State::Running);
    board
}

fn screen(board: &Board, view: &mut View, size: (u16, u16)) -> Buffer {
    screen_of(PLAIN, board, view, size)
}

fn screen_of(
    palette: Palette,
    board: &Board,
    view: &mut View,
    (width, height): (u16, u16),
) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), board, view, palette)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width.max(1));
    let rows = buffer.content().chunks(width);
    let line = |row: &[ratatui_core::buffer::Cell]| -> String {
        row.iter().map(|cell| cell.symbol()).collect()
    };
    rows.map(|row| line(row).trim_end().to_owned() + "\n").collect()
}

fn shown(board: &Board, view: &mut View) -> String {
    text(&screen(board, view, (80, 24)))
}

fn press(view: &mut View, board: &Board, keys: &str) {
    for c in keys.chars() {
        view.key(Key::Char(c), board);
    }
}

#[test]
fn the_overview_has_rates_losses_and_incidents_in_80_by_24() {
    let board = full();
    let said = shown(&board, &mut View::new(true));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("longhaul  eth0, eth1  running"), "{said}");
    for what in [
        "Packets    61,700",
        "1,234/s",
        "8.0 Mbit/s",
        "2 incidents, 1 alert, 43 subjects",
        "Lost       ring 5",
        "Incidents: 2, newest first",
        "Ada Example",
        "q end run",
    ] {
        assert!(said.contains(what), "{what}\n{said}");
    }
    assert!(said.find("Bo Example") < said.find("Ada Example"), "the newest first\n{said}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{said}");
}

#[test]
fn each_part_shows_its_rows() {
    let board = full();
    let mut view = View::new(false);
    for (key, wanted) in [
        ("2", &["Incidents: 2, gravest first", "high", "0.97", "Ada Example"][..]),
        ("3", &["Alerts: 1, newest first", "D08 residential-proxy"]),
        ("4", &["Subjects: 43", "Ada Example", "0.97", "10.20.0.10 "]),
        ("5", &["Sessions: 40, newest first", "203.0.113.9:443", "0.19 ms", "39.0 ms", "tls"]),
        ("6", &["ring", "duplicates", "copies of packets, left out on purpose"]),
        ("7", &["sandbox: seccomp: 90 system calls allowed"]),
    ] {
        press(&mut view, &board, key);
        let said = shown(&board, &mut view);
        wanted.iter().for_each(|what| assert!(said.contains(what), "{key}: {what}\n{said}"));
        assert!(said.contains("q quit"), "{said}");
    }
}

#[test]
fn any_size_will_do() {
    let board = full();
    let sizes = [(1, 1), (2, 2), (1, 24), (80, 1), (3, 4), (10, 5), (39, 12), (80, 24), (200, 60)];
    for size in sizes {
        for board in [&board, &Board::new("")] {
            for (tab, more) in [1, 2, 3, 4, 5, 6, 7].iter().zip(["", "?", "/x"].iter().cycle()) {
                let mut view = View::new(true);
                press(&mut view, board, &tab.to_string());
                screen(board, &mut view, size);
                view.key(Key::End, board);
                screen(board, &mut view, size);
                press(&mut view, board, more);
                screen(board, &mut view, size);
                let mut view = View::new(true);
                press(&mut view, board, &tab.to_string());
                view.key(Key::Enter, board);
                screen(board, &mut view, size);
                view.key(Key::End, board);
                screen(board, &mut view, size);
            }
        }
    }
    let mut view = View::new(true);
    press(&mut view, &board, "5");
    let wide = text(&screen(&board, &mut view, (200, 60)));
    assert!(wide.contains("www.example.com") && wide.contains("bytes"), "{wide}");
    assert!(wide.lines().filter(|line| line.contains("203.0.113.9:443")).count() == 40, "{wide}");
}

#[test]
fn a_row_stays_selected_while_others_come_in_above_it() {
    let mut board = full();
    let mut view = View::new(false);
    press(&mut view, &board, "5jj");
    let asked = |view: &mut View, board: &Board| match view.key(Key::Enter, board) {
        Action::Ask(id, _) => {
            view.key(Key::Escape, board);
            id
        }
        other => format!("{other:?}"),
    };
    assert_eq!(asked(&mut view, &board), id(37));
    (50..60).for_each(|n| put(&mut board, &session(n)));
    assert_eq!(asked(&mut view, &board), id(37));
    press(&mut view, &board, "g");
    assert_eq!(asked(&mut view, &board), id(59));
    (60..62).for_each(|n| put(&mut board, &session(n)));
    assert_eq!(asked(&mut view, &board), id(61), "the first row is whichever is the first");
    press(&mut view, &board, "G");
    assert_eq!(asked(&mut view, &board), id(0));
    // The selected row is on the screen.
    let said = shown(&board, &mut view);
    assert!(said.contains("10.20.0.0") && !said.contains("10.20.0.39"), "{said}");
}

#[test]
fn rows_are_ordered_and_filtered() {
    let board = full();
    let mut view = View::new(false);
    press(&mut view, &board, "5s");
    let said = shown(&board, &mut view);
    assert!(said.contains("longest round trip first"), "{said}");
    press(&mut view, &board, "sss/Zzz");
    assert!(shown(&board, &mut view).contains("filter: Zzz_"));
    view.key(Key::Backspace, &board);
    view.key(Key::Escape, &board);
    assert!(shown(&board, &mut view).contains("Sessions: 40, newest"));
    press(&mut view, &board, "/10.20.0.39");
    view.key(Key::Enter, &board);
    let said = shown(&board, &mut view);
    assert!(said.contains("Sessions: 1 of 40") && said.contains("Esc: all"), "{said}");
    view.key(Key::Escape, &board);
    // Of a subject its sessions are opened.
    press(&mut view, &board, "4/0.7");
    view.key(Key::Enter, &board);
    view.key(Key::Enter, &board);
    let said = shown(&board, &mut view);
    assert!(said.contains("Sessions: 1 of 40, newest first, of 10.20.0.7"), "{said}");
    // Evidence is marked.
    view.key(Key::Escape, &board);
    press(&mut view, &board, "5sss");
    let said = shown(&board, &mut view);
    assert!(said.contains("named by alerts first") && said.contains("! 10.20.0.3"), "{said}");
}

#[test]
fn an_explanation_is_shown_and_scrolled() {
    let board = full();
    let mut view = View::new(false);
    press(&mut view, &board, "2");
    let Action::Ask(asked, answer) = view.key(Key::Enter, &board) else { panic!("no question") };
    assert!(view.is_asking() && shown(&board, &mut view).contains("looks for it"));
    *answer.lock().unwrap() = Some(page::explain(&board, &asked));
    assert!(!view.is_asking());
    let said = shown(&board, &mut view);
    assert!(said.contains("Ada Example") && said.contains("Esc back"), "{said}");
    let told = page::explain(&board, &asked).unwrap().text(80, false);
    assert!(said.contains(told.lines().nth(1).unwrap().trim_end()), "{told}\n{said}");
    let small = |view: &mut View| text(&screen(&board, view, (80, 8)));
    let first = small(&mut view);
    view.key(Key::PageDown, &board);
    assert!(small(&mut view) != first);
    view.key(Key::End, &board);
    let last = small(&mut view);
    view.key(Key::Down, &board);
    assert_eq!(small(&mut view), last, "there is nothing below the last line");
    view.key(Key::Home, &board);
    assert_eq!(small(&mut view), first);
    view.key(Key::Escape, &board);
    assert!(shown(&board, &mut view).contains("Incidents: 2"));
    assert!(page::explain(&board, &id(9_999)).is_err());
    assert!(page::explain(&board, &id(7)).is_ok(), "a session");
}

#[test]
fn the_run_is_not_ended_by_a_slip() {
    let board = full();
    let mut view = View::new(true);
    assert!(matches!(view.key(Key::Char('q'), &board), Action::Draw));
    assert!(shown(&board, &mut view).contains("End the run?"));
    assert!(matches!(view.key(Key::Char('n'), &board), Action::Draw));
    view.key(Key::Char('q'), &board);
    assert!(matches!(view.key(Key::Char('y'), &board), Action::Quit));
    assert!(matches!(view.key(Key::Interrupt, &board), Action::Quit));
    assert!(matches!(View::new(false).key(Key::Char('q'), &board), Action::Quit));
    let mut view = View::new(true);
    press(&mut view, &board, "/q");
    assert!(shown(&board, &mut view).contains("filter: q_"), "typed, not a command");
}

#[test]
fn hostile_names_cannot_control_the_terminal() {
    let mut board = Board::new(HOSTILE);
    let mut line = session(1);
    for name in ["application", "protocol"] {
        line["network"][name] = json!(HOSTILE);
    }
    line["source"]["ip"] = json!(HOSTILE);
    line["destination"]["geo"]["region_iso_code"] = json!(HOSTILE);
    line["longhaul"]["subject"] = json!({"id": HOSTILE, "name": HOSTILE});
    line["longhaul"]["remote_control"]["tool"] = json!(HOSTILE);
    put(&mut board, &line);
    for dataset in ["longhaul.incident", "longhaul.alert"] {
        let mut line = finding(2, dataset, (HOSTILE, 70), HOSTILE);
        line["rule"]["name"] = json!(HOSTILE);
        line["longhaul"]["change"] = json!(HOSTILE);
        line["longhaul"]["groups"] = json!([HOSTILE]);
        put(&mut board, &line);
    }
    let mut lost = health(1, 5);
    lost["longhaul"]["health"]["loss"][HOSTILE] = json!(7);
    put(&mut board, &lost);
    board.say(HOSTILE);
    board.becomes(State::Failed(HOSTILE.to_owned()));
    for tab in "1234567".chars() {
        let mut view = View::new(false);
        view.filter.text = HOSTILE.to_lowercase();
        view.key(Key::Char(tab), &board);
        for open in [false, true] {
            if open && let Action::Ask(asked, answer) = view.key(Key::Enter, &board) {
                *answer.lock().unwrap() = Some(page::explain(&board, &asked));
            }
            for size in [(80, 24), (200, 60), (20, 8)] {
                let buffer = screen(&board, &mut view, size);
                let symbols = buffer.content().iter().flat_map(|cell| cell.symbol().chars());
                let bad: Vec<char> = symbols.filter(|c| is_unsafe(*c)).collect();
                assert!(bad.is_empty(), "{tab} {bad:?}");
                // The last byte of `Û` in UTF-8 is 0x9b, a command of 8-bit terminals.
                let buffer = screen_of(ASCII, &board, &mut view, size);
                let bad = buffer.content().iter().find(|cell| !cell.symbol().is_ascii());
                assert_eq!(bad, None, "{tab}");
            }
        }
    }
    let said = text(&screen(&board, &mut View::new(false), (200, 24)));
    assert!(said.contains("Û東 a\\u{1b}[2Jb\\u{9b}31m"), "{said}");
    let said = text(&screen_of(ASCII, &board, &mut View::new(false), (200, 24)));
    assert!(said.contains("??a\\u{1b}[2Jb\\u{9b}31m"), "{said}");
}

#[test]
fn what_the_board_holds_is_bounded_and_the_rest_is_counted() {
    let mut board = Board::new("");
    (0..12_000).for_each(|n| put(&mut board, &session(n)));
    assert!(board.sessions.len() <= 5_000 && board.sessions_all == 12_000);
    let oldest = board.sessions.front().unwrap().id.clone();
    assert!(oldest != id(3));
    put(&mut board, &finding(12_001, "longhaul.alert", ("high", 70), "x"));
    (20_000..22_500).for_each(|n| {
        put(&mut board, &finding(n, "longhaul.alert", ("low", 30), "y"));
    });
    assert!(board.alerts.rows.len() <= 2_000 && board.alerts.all == 2_501);
    assert!(board.alerts.rows.iter().any(|row| row.id == id(12_001)), "grave ones stay");
    let mut view = View::new(false);
    press(&mut view, &board, "5");
    let said = shown(&board, &mut view);
    assert!(said.contains(" of 12,000 (") && said.contains("kept here)"), "{said}");
    (0..2_000).for_each(|n| board.say(&format!("message {n}")));
    assert!(board.messages.len() <= 500);
    board.add(1, b"no line");
    assert!(shown(&board, &mut view).contains("1 line unreadable"));
}

#[test]
fn sessions_named_as_evidence_outlast_others() {
    let mut board = Board::new("");
    put(&mut board, &finding(9, "longhaul.alert", ("high", 70), "x"));
    (0..12_000).for_each(|n| put(&mut board, &session(n)));
    let named: Vec<&str> = board.sessions.iter().filter(|s| s.is_named).map(|s| &*s.id).collect();
    assert_eq!(named, [id(3)]);
}

#[test]
fn an_update_and_the_end_of_a_session_are_one_row_and_changes_one_incident() {
    let mut board = Board::new("");
    let mut open = session(1);
    open["event"]["action"] = json!("session-update");
    put(&mut board, &open);
    put(&mut board, &open);
    put(&mut board, &session(1));
    assert_eq!((board.sessions.len(), board.sessions_all), (1, 1));
    for change in ["opened", "worse", "closed"] {
        let mut line = finding(5, "longhaul.incident", ("high", 70), "x");
        line["longhaul"]["change"] = json!(change);
        put(&mut board, &line);
    }
    assert_eq!((board.incidents.rows.len(), board.incidents.all), (1, 1));
    let told = page::explain(&board, &id(5)).unwrap().text(100, false);
    assert!(told.contains("How the incident went") && told.contains("worse: level"), "{told}");
}

#[test]
fn a_sets_own_summary_replaces_its_lines_of_health() {
    let mut board = Board::new("");
    put(&mut board, &health(1, 5));
    put(&mut board, &health(2, 5));
    assert_eq!(board.counts.totals().losses["ring"], 10);
    let run = json!({"counters": {"capture": {"frames": 9}}, "loss": {"ring": 3}});
    board.ended(1, &crate::explain::Flat::parse(run.to_string().as_bytes()).unwrap());
    let totals = board.counts.totals();
    assert_eq!((totals.packets, totals.losses["ring"]), (9, 3));
    let run = json!({"counters": {"session": {"sessions": 2}}});
    board.ended(2, &crate::explain::Flat::parse(run.to_string().as_bytes()).unwrap());
    board.becomes(State::Ended);
    let mut view = View::new(false);
    press(&mut view, &board, "5");
    assert!(shown(&board, &mut view).contains("The run has written no sessions.ndjson"));
}
