//! The demonstration with false times, and what is held against it.

use serde_json::Value;

use crate::craft;
use crate::craft::Capture;
use crate::craft::SECOND;
use crate::craft::Said;
use crate::craft::at;

pub const HOUR: u64 = 3_600 * SECOND;
pub const YEAR_2106: u64 = u32::MAX as u64 * SECOND;

/// The demonstration's frames.
pub fn demo() -> Capture {
    let stored =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/demo/farm.pcap.zst"))
            .unwrap();
    let bytes = zstd::stream::decode_all(stored.as_slice()).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let unit = match word(0) {
        0xa1b2_c3d4 => 1_000,
        0xa1b2_3c4d => 1,
        magic => panic!("the demonstration begins with {magic:08x}"),
    };
    let (mut capture, mut head) = (Capture::default(), 24);
    while head < bytes.len() {
        let time = u64::from(word(head)) * SECOND + u64::from(word(head + 4)) * unit;
        let end = head + 16 + word(head + 8) as usize;
        capture.add(time, bytes[head + 16..end].to_vec());
        head = end;
    }
    capture
}

/// What [`verdicts`] gives.
pub type Verdicts = (Vec<String>, Vec<(String, String)>, Vec<String>);

/// Five-tuple and state of every session; rule and level of every alert; level of every incident.
pub fn verdicts(said: &Said) -> Verdicts {
    let tuple = |session: &Value| {
        let of = |path: &str| at(session, path).to_string();
        let (from, to) = (of("source.ip") + &of("source.port"), of("destination.ip"));
        format!("{from} {to}{} {}", of("destination.port"), of("longhaul.state"))
    };
    let mut sessions: Vec<String> = said.sessions.iter().map(tuple).collect();
    sessions.sort();
    let mut rules = said.rules();
    rules.sort();
    let level = |incident: &Value| at(incident, "log.level").to_string();
    (sessions, rules, said.incidents.iter().map(level).collect())
}

/// A run of frames at `from` gets other times.
pub fn falsified(capture: &Capture, (from, run): (usize, usize), how: fn(u64) -> u64) -> Capture {
    let mut capture = capture.clone();
    let frames = capture.frames.iter_mut().skip(from).take(run);
    frames.for_each(|(time, _)| *time = how(*time));
    capture
}

/// How a time is falsified, with a word for it.
type Lie = (&'static str, fn(u64) -> u64);

/// Every lie at every place, in runs of up to a thousand: what it changed.
pub fn everywhere() -> Result<(), String> {
    let demo = demo();
    let wanted = verdicts(&craft::read(&demo.pcap(), &[]));
    let end = demo.frames.len();
    let lies: [Lie; 7] = [
        ("2106", |_| YEAR_2106),
        ("1970", |_| 0),
        ("an hour ahead", |t| t + HOUR),
        ("a day ahead", |t| t + 24 * HOUR),
        ("an hour behind", |t| t - HOUR),
        ("a day behind", |t| t - 24 * HOUR),
        ("a minute ahead", |t| t + 60 * SECOND),
    ];
    let mut changed = Vec::new();
    for (name, how) in lies {
        for run in [1, 2, 10, 100, 1_000] {
            for from in [0, 1, 700, 1_500, end - run] {
                // A pause of a minute at an end is nothing that can be told from a true one.
                if name == "a minute ahead" && (from == 0 || from + run == end) {
                    continue;
                }
                let said = craft::read(&falsified(&demo, (from, run), how).pcap(), &[]);
                let got = verdicts(&said);
                if (&got.0, &got.2) != (&wanted.0, &wanted.2) {
                    changed.push(format!("{run} frames {name} from {from}: {}", got.0.len()));
                }
            }
        }
    }
    if changed.is_empty() { Ok(()) } else { Err(changed.join("; ")) }
}
