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

/// So many false times in a row change nothing but what is said of those frames.
const FEW: usize = 16;

/// Every lie at every place, in runs of up to a thousand: what it changed that it may not.
///
/// No session is split, joined, ended or lost. Up to [`FEW`] frames nothing else is, either. Beyond
/// that a time that others do not bear out measures nothing: an alert may be lost where a session
/// that it rests on has one of these frames, and where they are the last of a file nobody can tell
/// whether sessions before them had timed out. No alert or incident comes of it.
pub fn everywhere() -> Result<(), String> {
    let demo = demo();
    let honest = craft::read(&demo.pcap(), &[]);
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
        for run in [1, 2, 10, 16, 17, 100, 1_000] {
            for from in [0, 1, 700, 1_500, end - run] {
                // A minute without frames at an end is nothing that can be told from a true one,
                // nor is which of two clocks a minute apart is right.
                if name == "a minute ahead" && (from <= 1 || from + run == end) {
                    continue;
                }
                let said = craft::read(&falsified(&demo, (from, run), how).pcap(), &[]);
                let last = from + run == end;
                if let Err(why) = judge((&honest, &said), &demo.frames[from..from + run], last) {
                    changed.push(format!("{run} frames {name} from {from}: {why}"));
                }
            }
        }
    }
    if changed.is_empty() { Ok(()) } else { Err(changed.join("; ")) }
}

/// What a run with so many false frames says, held against what the honest one said.
fn judge(
    (honest, said): (&Said, &Said),
    frames: &[(u64, Vec<u8>)],
    last: bool,
) -> Result<(), String> {
    let few = frames.len() <= FEW;
    let (wanted, got) = (verdicts(honest), verdicts(said));
    let name = |session: &String| {
        let (tuple, state) = session.rsplit_once(' ').unwrap();
        // Of the frames behind the last that is believed nobody knows when they were.
        let told =
            if last && !few { state.replace("timeout", "established") } else { state.into() };
        format!("{tuple} {told}")
    };
    let names = |verdicts: &Verdicts| {
        let mut names: Vec<String> = verdicts.0.iter().map(name).collect();
        names.sort();
        names
    };
    if names(&wanted) != names(&got) {
        return Err(format!("{} sessions, of {}", got.0.len(), wanted.0.len()));
    }
    let kept = lost(&wanted.2, &got.2);
    let more = (lost(&got.1, &wanted.1), lost(&got.2, &wanted.2));
    if !more.0.is_empty() || !more.1.is_empty() {
        return Err(format!("more: {more:?}"));
    }
    let gone = lost(&wanted.1, &got.1);
    // The incidents are those of the alerts: where none is lost, none is.
    if (few || gone.is_empty()) && !(gone.is_empty() && kept.is_empty()) {
        return Err(format!("lost: {gone:?} {kept:?}"));
    }
    for (rule, level) in gone {
        let of =
            |alert: &&Value| *at(alert, "rule.id") == *rule && *at(alert, "log.level") == *level;
        let rests = |alert: &Value| frames.iter().any(|(_, frame)| is_of(alert, frame));
        if !honest.alerts.iter().filter(of).any(rests) {
            return Err(format!("{rule} {level} is lost, and none of its frames was false"));
        }
    }
    let capture = at(&said.run, "counters.capture");
    let told =
        capture["time_leaps"].as_u64().unwrap() + capture["times_doubtful"].as_u64().unwrap();
    if told == frames.len() as u64 { Ok(()) } else { Err(format!("{told} frames are said")) }
}

/// What the first has more of than the second.
fn lost<T: Clone + PartialEq>(of: &[T], than: &[T]) -> Vec<T> {
    let mut left = than.to_vec();
    let mut more = Vec::new();
    for one in of {
        match left.iter().position(|other| other == one) {
            Some(at) => drop(left.swap_remove(at)),
            None => more.push(one.clone()),
        }
    }
    more
}

/// Whether a frame is between the two ends of an alert.
fn is_of(alert: &Value, frame: &[u8]) -> bool {
    let addresses = ["source.ip", "destination.ip"].map(|end| {
        let ip = at(alert, end).as_str().unwrap();
        match ip.parse().unwrap() {
            std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
            std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
        }
    });
    addresses.iter().all(|ip| frame.windows(ip.len()).any(|bytes| bytes == ip))
}

/// More false times in a row than are held back: the clock is led there and back. A session that is
/// under way then ends there and begins again, so that it is written twice, its alert perhaps, too,
/// or none, for each part lasts less long. Nothing else changes, and the false frames' own times
/// accuse nobody.
pub fn many() -> Result<(), String> {
    let demo = demo();
    let honest = craft::read(&demo.pcap(), &[]);
    let end = demo.frames.len();
    [0, 1, 700, 1_500, 2_500, end]
        .into_iter()
        .try_for_each(|place| led_astray(&demo, &honest, place))
}

fn led_astray(demo: &Capture, honest: &Said, place: usize) -> Result<(), String> {
    let stray = |n: usize| {
        let from = format!("192.0.2.9:{}", 20_000 + n % 100).parse().unwrap();
        (YEAR_2106, craft::udp(from, "192.0.2.8:5001".parse().unwrap(), b"x"))
    };
    let mut capture = demo.clone();
    capture.frames.splice(place..place, (0..4_000).map(stray));
    let said = craft::read(&capture.pcap(), &["--workers", "2"]);
    let tuple = |session: &Value| {
        let of = |path: &str| at(session, path).to_string();
        ["source.ip", "source.port", "destination.ip", "destination.port"].map(of)
    };
    let tuples = |said: &Said| -> Vec<[String; 4]> { said.sessions.iter().map(tuple).collect() };
    let (before, after) = (tuples(honest), tuples(&said));
    if !lost(&before, &after).is_empty() {
        return Err(format!("at {place}: a session is lost"));
    }
    let (earlier, later) = demo.frames.split_at(place);
    let under_way = |session: &Value| {
        [earlier, later].iter().all(|frames| frames.iter().any(|(_, f)| is_of(session, f)))
    };
    let mut may_be_split: Vec<[String; 4]> =
        honest.sessions.iter().filter(|session| under_way(session)).map(tuple).collect();
    let more = lost(&after, &before);
    let own = |tuple: &&[String; 4]| !tuple[0].contains("192.0.2.");
    for split in more.iter().filter(own) {
        let Some(one) = may_be_split.iter().position(|other| other == split) else {
            return Err(format!("at {place}: {split:?} is there too often"));
        };
        may_be_split.swap_remove(one);
    }
    let strays = more.len() - more.iter().filter(own).count();
    let (wanted, got) = (verdicts(honest), verdicts(&said));
    let other = got.1.iter().find(|alert| !wanted.1.contains(alert));
    let more_incidents = lost(&got.2, &wanted.2);
    let unsplit = more.len() == strays;
    let same = lost(&wanted.1, &got.1).is_empty() && got.2 == wanted.2;
    if strays != 100 || other.is_some() || !more_incidents.is_empty() || unsplit && !same {
        return Err(format!("at {place}: {strays} strays, {other:?}, {more_incidents:?}, {same}"));
    }
    Ok(())
}
