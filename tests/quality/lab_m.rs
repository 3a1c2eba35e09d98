//! The second laboratory set: browsers, HTTP/2 and /3, OpenSSH 10, proxies that the client does not
//! command; judged as a whole and after the first sessions.
//!
//! Owns: the first sessions of a capture, and the tables. In: captures with their truth. Out: rows
//! on the console, and what falls short of a target. Never: reads a file's name for its label.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use serde_json::Value;

/// Sessions of the client that are looked at.
const FIRST: [Option<usize>; 4] = [Some(1), Some(2), Some(4), None];

/// What a capture shows and what was made of its first sessions.
pub struct Case {
    pub id: String,
    pub expect: String,
    pub software: String,
    pub tunnel: String,
    pub truth_ms: f64,
    pub found: [Found; FIRST.len()],
}

/// The verdict on the client.
#[derive(Clone, Copy, Default)]
pub struct Found {
    pub confidence: f64,
    pub ms: f64,
    pub l3: bool,
    pub d03: bool,
    pub d06: bool,
}

impl Case {
    fn whole(&self) -> Found {
        self.found[FIRST.len() - 1]
    }

    fn is_flagged(&self, at: usize) -> bool {
        self.found[at].confidence >= crate::FLAGGED
    }

    /// The error of the length, as a share of it.
    fn error(&self) -> f64 {
        (self.whole().ms - self.truth_ms).abs() / self.truth_ms
    }

    fn line(&self) -> String {
        let confidences: Vec<String> =
            self.found.iter().map(|found| format!("{:.3}", found.confidence)).collect();
        let found = self.whole();
        format!(
            "{} {} {} over {}: truth {:.1} ms, found {:.1}; confidence {}; l3 {}, D03 {}, D06 {}",
            self.id,
            self.expect,
            self.software,
            self.tunnel,
            self.truth_ms,
            found.ms,
            confidences.join(" "),
            found.l3,
            found.d03,
            found.d06
        )
    }
}

/// Judges each capture of a folder with a `truth` folder, two at a time.
pub fn cases(folder: &Path) -> Vec<Case> {
    let mut truths: Vec<PathBuf> =
        fs::read_dir(folder.join("truth")).unwrap().flatten().map(|entry| entry.path()).collect();
    truths.sort();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(path) = truths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let truth: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
                    if let Some(case) = case(folder, &truth) {
                        done.lock().unwrap().insert(path.clone(), case);
                    }
                }
            });
        }
    });
    done.into_inner().unwrap().into_values().collect()
}

fn case(folder: &Path, truth: &Value) -> Option<Case> {
    let text = |field: &str| truth[field].as_str().unwrap_or_default().to_owned();
    let id = text("id");
    let capture = folder.join(format!("{id}.pcap"));
    if !capture.exists() {
        return None;
    }
    let (client, home) = (text("client_ip"), format!("{}/32", text("server_ip")));
    let bytes = fs::read(&capture).unwrap();
    let found = FIRST.map(|most| match most {
        None => judge(&capture, &home, &client),
        Some(most) => {
            let part = tempfile::Builder::new().suffix(".pcap").tempfile().unwrap();
            fs::write(part.path(), first_sessions(&bytes, most)).unwrap();
            judge(part.path(), &home, &client)
        }
    });
    Some(Case {
        id,
        expect: text("expect"),
        software: text("software"),
        tunnel: text("tunnel"),
        truth_ms: truth["hidden_rtt_ms"].as_f64().unwrap_or_default(),
        found,
    })
}

fn judge(capture: &Path, home: &str, client: &str) -> Found {
    let outcome = crate::read(capture, Some(home.to_owned()), 1).unwrap();
    let surest = crate::surest(&outcome.endpoints, client);
    let leg = surest.as_ref().and_then(|row| row.hidden);
    let l3 = outcome
        .endpoints
        .iter()
        .any(|row| row.key.ip.to_string() == client && row.tunnel.is_some_and(|tunnel| tunnel.l3));
    let fired = |id: &str| outcome.alerts.iter().any(|alert| &*alert.rule.id == id);
    Found {
        confidence: leg.map_or(0.0, |leg| leg.confidence),
        ms: leg.map_or(0.0, |leg| leg.ns as f64 / 1e6),
        l3,
        d03: fired("D03"),
        d06: fired("D06"),
    }
}

/// The packets of the first sessions of a capture (Ethernet, IPv4, microseconds): by the order of
/// their first packets; fragments belong to their two addresses.
fn first_sessions(capture: &[u8], most: usize) -> Vec<u8> {
    const HEAD: usize = 24;
    const PACKET_HEAD: usize = 16;
    assert_eq!(capture[..4], [0xd4, 0xc3, 0xb2, 0xa1], "little-endian, microseconds");
    let mut kept = capture[..HEAD].to_vec();
    let mut order: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut at = HEAD;
    while let Some(length) = capture.get(at + 8..at + 12) {
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let end = at + PACKET_HEAD + length;
        let Some(key) = session(&capture[at + PACKET_HEAD..end]) else {
            at = end;
            continue;
        };
        let count = order.len();
        if *order.entry(key).or_insert(count) < most {
            kept.extend_from_slice(&capture[at..end]);
        }
        at = end;
    }
    kept
}

/// What tells a session: protocol, addresses and ports, in either direction.
fn session(frame: &[u8]) -> Option<Vec<u8>> {
    let ip = frame.get(14..).filter(|_| frame[12..14] == [8, 0])?;
    let payload = ip.get(usize::from(ip[0] & 15) * 4..)?;
    let fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x1fff != 0;
    let port = |at: usize| if fragment { [0, 0] } else { [payload[at], payload[at + 1]] };
    let end = |from: usize, at: usize| [&ip[from..from + 4], &port(at)].concat();
    if !matches!(ip[9], 6 | 17) || payload.len() < 4 {
        return None;
    }
    let mut ends = [end(12, 0), end(16, 2)];
    ends.sort();
    Some([&[ip[9]][..], &ends[0], &ends[1]].concat())
}

/// Counts of some cases.
pub struct Tally<'c>(Vec<&'c Case>);

impl<'c> Tally<'c> {
    pub fn of(cases: &'c [Case], wanted: impl Fn(&Case) -> bool) -> Tally<'c> {
        Tally(cases.iter().filter(|case| wanted(case)).collect())
    }

    fn count(&self, wanted: impl Fn(&Case) -> bool) -> usize {
        self.0.iter().filter(|case| wanted(case)).count()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The share flagged within the first sessions number `at` of [`FIRST`].
    pub fn flagged(&self, at: usize) -> f64 {
        self.count(|case| case.is_flagged(at)) as f64 / self.len() as f64
    }

    pub fn share(&self, wanted: impl Fn(&Found) -> bool) -> f64 {
        self.count(|case| wanted(&case.whole())) as f64 / self.len() as f64
    }

    fn row(&self, name: &str) {
        let flagged: Vec<String> = (0..FIRST.len())
            .map(|at| format!("{:3}", self.count(|case| case.is_flagged(at))))
            .collect();
        println!(
            "| {name:34} | {:3} | {} | {:3} | {:3} | {:3} |",
            self.len(),
            flagged.join(" | "),
            self.count(|case| case.whole().d03),
            self.count(|case| case.whole().l3),
            self.count(|case| case.whole().d06)
        );
    }

    /// Median and 90th percentile of the error of those with an estimate.
    pub fn errors(&self) -> (f64, f64) {
        let known = self.0.iter().filter(|case| case.whole().ms > 0.0);
        let mut errors: Vec<f64> = known.map(|case| case.error()).collect();
        (crate::quantile(&mut errors, 0.5), crate::quantile(&mut errors, 0.9))
    }
}

/// The tables, and each case that is not like its class.
pub fn show(cases: &[Case]) {
    println!("flagged after the first 1, 2, 4 and all sessions; D03, l3 and D06 of all:");
    println!(
        "| captures                           |   n |   1 |   2 |   4 | all | D03 |  l3 | D06 |"
    );
    for expect in ["proxied", "direct", "l3_vpn", "udp_relay"] {
        let class = |case: &Case| case.expect == expect;
        Tally::of(cases, class).row(expect);
        let parts: [fn(&Case) -> &String; 2] = [|case| &case.tunnel, |case| &case.software];
        for part in parts {
            let mut names: Vec<&String> = cases.iter().filter(|c| class(c)).map(part).collect();
            names.sort();
            names.dedup();
            for name in names {
                Tally::of(cases, |c| class(c) && part(c) == name).row(&format!("  {name}"));
            }
        }
    }
    for case in cases {
        let found = case.whole();
        let (proxied, tunnel) = (case.expect == "proxied", case.expect == "l3_vpn");
        let usual = (0..FIRST.len()).all(|at| case.is_flagged(at) == proxied)
            && found.d03 == proxied
            && found.l3 == tunnel
            && found.d06 == tunnel;
        if !usual {
            println!("  unlike its class: {}", case.line());
        }
    }
}
