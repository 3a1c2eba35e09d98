//! The summary's text.
//!
//! Owns: what a person must see. In: made-up summaries. Out: assertions. Never: built into the
//! program.

use super::*;
use crate::model::{Addr, Nanos};
use crate::report::summary::tests::control;
use crate::report::summary::*;

fn summary() -> Summary {
    let mut summary = Summary {
        inputs: InputTotals {
            warnings: Vec::new(),
            files: 2,
            interfaces: 0,
            bytes: 1_100_000_000,
            frames: 1_298_114,
            clusters: spans::clusters([(
                Nanos::from_secs(1_700_000_000),
                Nanos::from_secs(1_700_002_520),
            )]),
            problems: vec![("bad\u{1b}[2J.pcap".into(), "truncated in a record".into())],
            old_lists: Some((2, "tor-prefixes".into(), 412)),
        },
        sessions: 150_021,
        protocols: vec![
            ProtocolLine { name: "tls", sessions: 100_211, bytes: 812_000_000 },
            ProtocolLine { name: "dns", sessions: 49_810, bytes: 9_000_000 },
        ],
        owners: vec![OwnerLine {
            number: 64_500,
            name: Some(
                "Example Transit with a holder's name that goes on and on and on and on".into(),
            ),
            country: Some("US".into()),
            sessions: 12_001,
            floor_ns: Some(4_210_000),
        }],
        owners_more: 3,
        driven: vec![DrivenLine { host: Addr::v4([10, 0, 0, 7]), control: Box::new(control(0.9)) }],
        driven_more: 1,
        controlled: 2,
        rules: vec![RuleLine {
            id: "D05".into(),
            name: "faster_than_light_geo".into(),
            level: Level::High,
            alerts: 3,
            message: "203.0.113.9 answered within 4.2 ms, and 900 km there and back take light at \
                      least 6.0 ms: the claimed place is wrong"
                .into(),
        }],
        incidents: vec![IncidentLine {
            subject: "10.0.0.7".into(),
            groups: "N+R".into(),
            score: 0.884,
            level: Level::High,
            rules: "vpn_exit_inbound".into(),
        }],
        ..Summary::default()
    };
    for ms in 1..=100 {
        summary.far.observe(ms * 1_000_000);
    }
    summary.counters.add(Counter::RejectShort, 12);
    summary
}

#[test]
fn a_summary_matches_the_golden_text() {
    let page = render(&summary(), Style { colour: false, width: 80 });
    assert_eq!(page, include_str!("golden/summary.txt"));
}

#[test]
fn no_line_is_wider_than_the_terminal_or_ends_in_blanks() {
    for width in [0, 60, 72, 80, 200] {
        for line in render(&summary(), Style { colour: false, width }).lines() {
            assert!(line.chars().count() <= width.max(60), "{line}");
            assert_eq!(line.trim_end(), line);
        }
    }
}

#[test]
fn colour_adds_escapes_and_nothing_else() {
    let plain = render(&summary(), Style { colour: false, width: 80 });
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let mut coloured = render(&summary(), Style { colour: true, width: 80 });
    assert!(coloured.contains("\u{1b}[1;31mhigh"));
    for code in ["0", "1", "2", "32", "33", "36", "1;31"] {
        coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(coloured, plain);
}

#[test]
fn an_empty_run_is_reported_as_empty() {
    let page = render(&Summary::default(), Style { colour: false, width: 80 });
    let want = "longhaul  0 files, 0 packets, 0 B\n\nSessions  0\n\nAlerts  0\n\nLost  nothing\n";
    assert_eq!(page, want);
}
