//! The memory budget and the bounds of output, with tiny bounds. The floods at full size are among
//! the attacks of `make torture`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use std::net::SocketAddr;
use std::process::Command;

use craft::ACK;
use craft::Capture;
use craft::MS;
use craft::SECOND;
use craft::START;
use craft::SYN;
use craft::Tcp;
use craft::at;
use serde_json::Value;

fn count(run: &Value, name: &str) -> u64 {
    at(run, &format!("counters.session.{name}")).as_u64().unwrap()
}

/// Every session opened has a line, or is part of a line that sums several.
fn accounted(said: &craft::Said) {
    let lines = said.sessions.len() as u64 - count(&said.run, "summary_lines");
    assert_eq!(count(&said.run, "sessions"), lines + count(&said.run, "summed"));
}

/// One source sends SYNs to all ports within a second; another one is answered meanwhile.
fn scan() -> Capture {
    let mut capture = Capture::default();
    for port in 1..4_000u16 {
        let to = SocketAddr::new("10.0.0.9".parse().unwrap(), port);
        let syn = Tcp { seq: 1, ack: 0, flags: SYN, ttl: 60, payload: b"" };
        capture.add(
            START + u64::from(port) * MS / 10,
            craft::tcp("198.51.100.7:50000".parse().unwrap(), to, syn),
        );
    }
    let mut answered = craft::Connection::new("198.51.100.8:40000", "10.0.0.9:443");
    capture.join(answered.open().close());
    capture.sorted()
}

#[test]
fn a_scan_is_summed_and_no_session_is_lost() {
    let capture = scan().pcap();
    let one = craft::read(&capture, &["--unanswered", "320", "--workers", "1"]);
    accounted(&one);
    let summed: Vec<&Value> =
        one.sessions.iter().filter(|line| at(line, "event.action") == "sessions-summed").collect();
    // They time out in one or two seconds of the clock.
    assert!((1..=2).contains(&summed.len()), "{}", summed.len());
    assert!(summed.iter().all(|line| at(line, "source.ip") == "198.51.100.7"));
    let sessions = |line: &&Value| at(line, "longhaul.summary.sessions").as_u64().unwrap();
    let all: u64 = summed.iter().map(sessions).sum();
    assert_eq!(all, count(&one.run, "summed"));
    assert!((3_999 - 640..=3_999 - 320).contains(&all), "{all}");
    let answered = |line: &&Value| at(line, "source.ip") == "198.51.100.8";
    assert_eq!(one.sessions.iter().filter(answered).count(), 1);
    for workers in ["2", "8"] {
        let other = craft::read(&capture, &["--unanswered", "320", "--workers", workers]);
        assert_eq!(one.sessions, other.sessions, "{workers} workers");
        assert_eq!(one.endpoints, other.endpoints);
    }
    let every = craft::read(&capture, &["--workers", "1"]);
    assert_eq!((every.sessions.len(), every.endpoints), (4_000, one.endpoints));
}

/// Sessions of one five-tuple after the other, all at one time: each ends the one before.
#[test]
fn a_stopped_clock_loses_no_session() {
    let mut capture = Capture::default();
    let (from, to) = ("198.51.100.7:50000".parse().unwrap(), "10.0.0.9:80".parse().unwrap());
    for n in 0..20_000u32 {
        let syn = Tcp { seq: n * 100_000, ack: 0, flags: SYN, ttl: 60, payload: b"" };
        capture.add(START, craft::tcp(from, to, syn));
    }
    let capture = capture.pcap();
    let one = craft::read(&capture, &["--no-dedup", "--workers", "1"]);
    accounted(&one);
    assert_eq!(count(&one.run, "sessions"), 20_000);
    let two = craft::read(&capture, &["--no-dedup", "--workers", "2"]);
    assert_eq!(one.sessions, two.sessions);
}

/// 81 names of a kilobyte in a few answers: most are left out, and that is counted.
#[test]
fn the_facts_of_a_session_are_bounded() {
    let mut answer = vec![0, 7, 0x81, 0x80, 0, 1, 0, 81, 0, 0, 0, 0, 1, b'a', 0, 0, 12, 0, 1];
    let base = answer.len() as u16 + 12;
    for record in 0..81u8 {
        answer.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9]);
        let name = match record {
            0 => [&[&[62][..], &[1; 62]].concat().repeat(4)[..], &[0]].concat(),
            _ => [&[2, b'n', record][..], &(0xc000 | (base + 63)).to_be_bytes()].concat(),
        };
        answer.extend((name.len() as u16).to_be_bytes());
        answer.extend(name);
    }
    let (client, resolver) = ("10.0.0.9:30000".parse().unwrap(), "8.8.8.8:53".parse().unwrap());
    let mut capture = Capture::default();
    capture.add(START, craft::udp(client, resolver, &craft::dns_query(7, "a", 12)));
    capture.add(START + MS, craft::udp(resolver, client, &answer));
    let said = craft::read(&capture.pcap(), &[]);
    let line = said.sessions[0].to_string();
    assert!((4_000..24_000).contains(&line.len()), "{}", line.len());
    assert_eq!(at(&said.run, "counters.evidence.facts_cut"), 1);
    assert_eq!(at(&said.run, "loss.facts"), 1);
    assert_eq!(at(&said.sessions[0], "longhaul.quality.truncated"), true);
}

/// Many sessions, each waiting for a byte that never comes.
#[test]
fn the_session_that_waited_longest_is_dropped_first() {
    let mut capture = Capture::default();
    for n in 0..1_500u32 {
        let from = SocketAddr::new("198.51.100.7".parse().unwrap(), 1_024 + n as u16);
        let to = "10.0.0.9:443".parse().unwrap();
        let time = START + u64::from(n) * MS;
        let syn = Tcp { seq: 1, ack: 0, flags: SYN, ttl: 60, payload: b"" };
        capture.add(time, craft::tcp(from, to, syn));
        for part in 0..8 {
            let seq = 12 + part * 1_400;
            let early = Tcp { seq, ack: 1, flags: ACK, ttl: 60, payload: &[7; 1_400] };
            capture.add(time, craft::tcp(from, to, early));
        }
    }
    let said = craft::read(&capture.pcap(), &["--memory", "192MiB"]);
    accounted(&said);
    let waiting = at(&said.run, "loss.waiting").as_u64().unwrap();
    assert!((500..1_500).contains(&waiting), "{waiting}");
    // In the run's last second the last of them are still waiting.
    assert_eq!(count(&said.run, "segments_dropped"), 0);
    assert!(said.run["arguments"].as_array().unwrap().contains(&"memory=201326592".into()));
}

#[test]
fn a_wrong_budget_is_refused() {
    for wrong in ["1MiB", "much", "12", "1.5GiB"] {
        let run = Command::new(env!("CARGO_BIN_EXE_longhaul"))
            .args(["read", "nothing.pcap", "--memory", wrong])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(said.contains("error: memory: ") && said.contains("help: give a size"), "{said}");
        assert_eq!(run.status.code(), Some(2), "{}", START / SECOND);
    }
}
