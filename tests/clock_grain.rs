//! The granularity of a clock is not a round trip.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use craft::Capture;
use craft::Connection;
use craft::MS;
use craft::SECOND;
use craft::Said;
use craft::at;

/// A session with a host in Australia, as a sensor near Washington sees it: 2 ms and 30 ms.
fn session() -> Capture {
    let mut connection = Connection::new("10.20.0.5:50000", "101.160.20.35:443");
    connection.open().ask(&craft::client_hello("a.example")).answer(&craft::server_hello());
    for n in 0..20 {
        connection
            .wait(SECOND + n * 7_130_021)
            .ask(&craft::tls_data(40))
            .answer(&craft::tls_data(90));
    }
    connection.close()
}

/// The same with times rounded down to that granularity.
fn coarse(grain: u64) -> Capture {
    let mut capture = session();
    capture.frames.iter_mut().for_each(|(time, _)| *time -= *time % grain);
    capture
}

/// A block of pcapng.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let len = (12 + padded as u32).to_le_bytes();
    let mut out = [&kind.to_le_bytes()[..], &len, body].concat();
    out.resize(8 + padded, 0);
    out.extend(len);
    out
}

/// A pcapng file with one interface; `stamp` gives the units of its clock, or nothing for a block
/// without a time.
fn pcapng(capture: &Capture, tsresol: u8, stamp: impl Fn(usize, u64) -> Option<u64>) -> Vec<u8> {
    let head = [&0x1a2b_3c4du32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let interface = [1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, tsresol, 0, 0, 0, 0, 0, 0, 0];
    let mut out = [block(0x0a0d_0d0a, &head), block(1, &interface)].concat();
    for (n, (time, bytes)) in capture.frames.iter().enumerate() {
        let len = (bytes.len() as u32).to_le_bytes();
        match stamp(n, *time) {
            Some(units) => {
                let (high, low) = ((units >> 32) as u32, units as u32);
                let words = [0u32.to_le_bytes(), high.to_le_bytes(), low.to_le_bytes(), len, len];
                out.extend(block(6, &[&words.concat()[..], bytes].concat()));
            }
            None => out.extend(block(3, &[&len[..], bytes].concat())),
        }
    }
    out
}

fn assert_no_leg(said: &Said, what: &str) {
    assert_eq!(said.sessions.len(), 1, "{what}");
    let session = &said.sessions[0];
    for leg in ["near", "far"] {
        for member in ["handshake_us", "rtt.min_us"] {
            let value = at(session, &format!("longhaul.{leg}.{member}"));
            assert!(value.is_null(), "{what}: {leg}.{member} {value}");
        }
    }
    let gaps = at(session, "longhaul.gap").as_object();
    let measured = gaps.is_some_and(|gaps| gaps.keys().any(|key| key.ends_with("_us")));
    assert!(!measured, "{what}: {session}");
    assert!(!said.rules().iter().any(|(id, _)| id == "D05"), "{what}: {:?}", said.rules());
}

const PLACE: &[&str] = &["--place", "IAD"];

#[test]
fn the_same_session_by_a_fine_clock_has_its_legs() {
    for said in [
        craft::read(&session().pcap(), PLACE),
        craft::read(&pcapng(&session(), 6, |_, t| Some(t / 1_000)), PLACE),
        craft::read(&pcapng(&session(), 9, |_, t| Some(t)), PLACE),
    ] {
        let leg = |name: &str| at(&said.sessions[0], name).as_f64().unwrap();
        assert!((leg("longhaul.near.handshake_us") - 2_000.0).abs() < 2.0);
        assert!((leg("longhaul.far.handshake_us") - 30_000.0).abs() < 2.0);
        assert!((leg("longhaul.far.rtt.min_us") - 30_000.0).abs() < 2.0);
    }
}

#[test]
fn a_coarse_clock_gives_no_leg() {
    for grain in [10 * MS, 15_625_000, 100 * MS, SECOND] {
        assert_no_leg(&craft::read(&coarse(grain).pcap(), PLACE), &format!("{grain} ns"));
    }
}

#[test]
fn a_coarse_resolution_gives_no_leg() {
    // Seconds, tenths, hundredths; halves, and 1/64 s.
    for (tsresol, per_second) in [(0, 1), (1, 10), (2, 100), (0x81, 2), (0x86, 64)] {
        let units = |_, time: u64| {
            Some((u128::from(time) * u128::from(per_second as u64) / u128::from(SECOND)) as u64)
        };
        let said = craft::read(&pcapng(&session(), tsresol, units), PLACE);
        assert_no_leg(&said, &format!("if_tsresol {tsresol}"));
    }
}

#[test]
fn packets_without_a_time_give_no_leg() {
    assert_no_leg(&craft::read(&pcapng(&session(), 6, |_, _| None), PLACE), "none has one");
    // Only the SYN-ACK: the handshake gives no leg, and the others are as before.
    let one = |n, time: u64| (n != 1).then_some(time / 1_000);
    let said = craft::read(&pcapng(&session(), 6, one), PLACE);
    let session = &said.sessions[0];
    assert!(at(session, "longhaul.far.handshake_us").is_null(), "{session}");
    let min = at(session, "longhaul.far.rtt.min_us").as_f64().unwrap();
    assert!((min - 30_000.0).abs() < 2.0, "{min}");
}

#[test]
fn a_burst_with_equal_times_gives_no_leg() {
    // The first five frames have one timestamp, as from a card that timestamps whole bursts.
    let mut capture = session();
    let first = capture.frames[0].0;
    capture.frames.iter_mut().take(5).for_each(|(time, _)| *time = first);
    let said = craft::read(&capture.pcap(), PLACE);
    let session = &said.sessions[0];
    assert!(at(session, "longhaul.far.handshake_us").is_null(), "{session}");
    assert!(at(session, "longhaul.near.handshake_us").is_null(), "{session}");
    let min = at(session, "longhaul.far.rtt.min_us").as_f64().unwrap();
    assert!(min > 0.0, "{session}");
}
