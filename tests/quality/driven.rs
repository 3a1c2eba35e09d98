//! Hosts driven through remote-control software, and what looks like it.
//!
//! Owns: the groups, and the table. In: captures with their truth. Out: rows on the console, and
//! what falls short of a target. Never: reads a file's name for its label.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use longhaul::model::endpoint::EndpointRow;
use serde_json::Value;

/// What a capture shows of its laptop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// Somebody elsewhere types.
    Typed,
    /// Somebody elsewhere only moves the mouse.
    Mouse,
    /// Somebody elsewhere types by an IP-KVM: the input comes to the device, not to the laptop.
    Kvm,
    /// Nobody elsewhere works on it.
    Local,
    /// A device or program keeps it awake.
    Synthetic,
}

fn group(truth: &Value) -> Option<Group> {
    let text = |field: &str| truth[field].as_str().unwrap_or_default();
    let controlled = text("expect").starts_with("controlled");
    match (text("expect"), text("vantage")) {
        // A KVM beside the laptop leaves nothing here; two who share a screen are neither.
        ("kvm_in_silent" | "shared", _) => None,
        ("jiggler", _) => Some(Group::Synthetic),
        (_, "home") if controlled => Some(Group::Kvm),
        _ if controlled && text("input") == "mouse" => Some(Group::Mouse),
        _ if controlled => Some(Group::Typed),
        _ => Some(Group::Local),
    }
}

/// A group of one half: captures, those read as driven, those read as synthetic.
type Counts = BTreeMap<(bool, Group), [usize; 3]>;

/// Reads all captures of a folder. Returns what falls short.
pub fn table(folder: &Path) -> Vec<String> {
    let mut truths: Vec<PathBuf> =
        fs::read_dir(folder.join("truth")).unwrap().flatten().map(|entry| entry.path()).collect();
    truths.sort();
    let (mut counts, mut short, mut legs) = (Counts::new(), Vec::new(), Vec::new());
    for (number, path) in truths.iter().enumerate() {
        let truth: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let Some(group) = group(&truth) else { continue };
        let text = |field: &str| truth[field].as_str().unwrap_or_default();
        let capture = folder.join(text("pcap"));
        let home = format!("{}/32", text("client_ip"));
        let Some(outcome) = crate::read(&capture, Some(home), 1) else {
            short.push(format!("{}: not read", text("id")));
            continue;
        };
        let driven = outcome.endpoints.iter().any(|row| {
            row.traits.control.is_some_and(|control| control.confidence >= crate::FLAGGED)
        });
        let synthetic = outcome.endpoints.iter().any(|row| row.traits.synthetic.is_some());
        let leg = leg(outcome.endpoints.iter(), &truth).filter(|_| group == Group::Typed);
        if let Some((None, ms)) = leg {
            println!("  {} {}: way of {ms} ms unknown", text("id"), text("software"));
        }
        legs.extend(leg);
        let count = counts.entry((number % 2 == 0, group)).or_default();
        count[0] += 1;
        count[1] += usize::from(driven);
        count[2] += usize::from(synthetic);
        if driven != matches!(group, Group::Typed | Group::Kvm | Group::Mouse) {
            println!("  {} {} {group:?}: driven {driven}", text("id"), text("software"));
        }
        let wrong = group == Group::Typed && !driven || group == Group::Local && driven;
        short.extend(wrong.then(|| format!("{} {group:?}: driven {driven}", text("id"))));
        let made_up = synthetic && group != Group::Synthetic;
        short.extend(made_up.then(|| format!("{}: synthetic", text("id"))));
    }
    println!("{:6} {:10} {:>9} {:>7} {:>10}", "half", "group", "captures", "driven", "synthetic");
    for ((first, group), [all, driven, synthetic]) in counts {
        let half = if first { "first" } else { "second" };
        println!("{half:6} {:10} {all:9} {driven:7} {synthetic:10}", format!("{group:?}"));
    }
    show_legs(&legs);
    short
}

/// From which true round trip on the way to who controls is long, in ms.
const LONG_MS: f64 = 80.0;

/// The way to who controls a driven host, in ms: found, and true.
fn leg(mut rows: impl Iterator<Item = EndpointRow>, truth: &Value) -> Option<(Option<f64>, f64)> {
    let driven = rows.find_map(|row| {
        row.traits.control.filter(|control| control.confidence >= crate::FLAGGED)
    })?;
    let found = driven.leg.map(|leg| leg.whole_ns as f64 / 1e6);
    Some((found, truth["total_rtt_ms"].as_f64()?))
}

fn show_legs(legs: &[(Option<f64>, f64)]) {
    let far = |ms: f64| ms >= LONG_MS;
    let count = |long: bool, found: fn(Option<bool>) -> bool| {
        let of = legs.iter().filter(|(_, truth)| far(*truth) == long);
        of.filter(|(leg, _)| found(leg.map(far))).count()
    };
    for long in [true, false] {
        let (yes, no) = (count(long, |is| is == Some(true)), count(long, |is| is == Some(false)));
        let unknown = count(long, |is| is.is_none());
        let way = if long { "long" } else { "short" };
        println!("{way} way to who controls: long {yes}, short {no}, unknown {unknown}");
    }
    let mut errors: Vec<f64> = legs
        .iter()
        .filter_map(|(leg, truth)| Some((leg.as_ref()? - truth).abs() / truth))
        .collect();
    errors.sort_by(f64::total_cmp);
    let at = |part: f64| crate::control::at(&errors, part).unwrap_or_default() * 100.0;
    println!("  off by {:.1} % (p50), {:.1} % (p90)", at(0.5), at(0.9));
}
