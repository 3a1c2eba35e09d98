//! Values of fields in words.
//!
//! Owns: rounding and units of numbers, bounds on texts that others chose. In: values of a line.
//! Out: short texts. Never: escapes: that is for whoever prints.

use crate::explain::Flat;
use crate::model::{Nanos, units};

/// Characters of a text that somebody else chose: enough for the longest DNS name.
const TEXT_MAX: usize = 255;

/// A text that is not too long.
pub(super) fn bounded(text: &str) -> String {
    if text.len() <= TEXT_MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(TEXT_MAX).collect();
    if text.chars().nth(TEXT_MAX).is_some() {
        short.push('…');
    }
    short
}

/// A number with its unit, rounded: the line keeps each digit.
pub(super) fn with_unit(number: f64, unit: &str) -> String {
    match unit {
        "ns" => units::span(Nanos(number.max(0.0) as u64)),
        "us" => units::millis((number.max(0.0) * 1_000.0) as u64),
        "bytes" => units::bytes(number.max(0.0) as u64),
        _ => format!("{} {unit}", plain(number)).trim().to_owned(),
    }
}

/// A number without its unit.
fn plain(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    if number.abs() >= 100.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}

/// A ratio or factor.
pub(super) fn times(ratio: f64) -> String {
    if ratio >= 10.0 || ratio.fract() == 0.0 {
        format!("{ratio:.0}")
    } else {
        format!("{ratio:.1}")
    }
}

/// A probability: small ones keep two digits.
pub(super) fn probability(share: f64) -> String {
    match share {
        p if p >= 0.995 => format!("{p:.4}"),
        p if p >= 0.01 => format!("{p:.2}"),
        p => format!("{p:.4}"),
    }
}

/// A time of a line to the second, in UTC.
pub(super) fn moment(time: &str) -> String {
    let second = time.get(..19).unwrap_or(time);
    second.replacen('T', " ", 1)
}

/// `name (id)`, or the id alone.
pub(super) fn person(line: &Flat) -> String {
    let id = line.text("longhaul.subject.id").unwrap_or("somebody unknown");
    match line.text("longhaul.subject.name") {
        Some(name) => format!("{} ({})", bounded(name), bounded(id)),
        None => bounded(id),
    }
}

/// An end of a session, with its owner and place, as far as they are known.
pub(super) fn end(line: &Flat, side: &str) -> Option<String> {
    let of = |name: &str| line.text(&format!("{side}.{name}")).map(bounded);
    let mut text = of("ip")?;
    let port = line.number(&format!("{side}.port"));
    text.push_str(&port.map_or(String::new(), |port| format!(" port {port:.0}")));
    let number = line.number(&format!("{side}.as.number"));
    let place = of("geo.region_iso_code").or_else(|| of("geo.country_iso_code"));
    let known: Vec<String> = [
        of("domain"),
        number.map(|number| format!("AS{number:.0}")),
        of("as.organization.name"),
        place.map(|place| format!("database says {place}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !known.is_empty() {
        text.push_str(&format!(" [{}]", known.join(", ")));
    }
    Some(text)
}

/// How far to trust the capture.
pub(super) fn quality(line: &Flat) -> Vec<String> {
    let count = |name: &str| line.count(&format!("longhaul.quality.{name}"));
    let mut all = Vec::new();
    for (name, what) in [
        ("retransmits", "repeated segments"),
        ("out_of_order", "segments out of order"),
        ("duplicates", "duplicates of packets"),
        ("gaps", "gaps in the streams"),
    ] {
        let n = count(name);
        if n > 0 {
            all.push(format!("{} {what}.", units::count(n)));
        }
    }
    for (name, what) in [
        ("one_way", "Only one direction was seen: what needs both is missing."),
        ("truncated", "The capture cut packets off."),
        ("unconfirmed", "Nothing shows that the initiator holds its address: it may be forged."),
    ] {
        if line.flag(&format!("longhaul.quality.{name}")) {
            all.push(what.to_owned());
        }
    }
    if all.is_empty() {
        all.push("No loss, no duplicates, both directions.".to_owned());
    }
    all
}

/// Which frames of which file; sessions name it by its number among the inputs.
pub(super) fn packets(line: &Flat, inputs: &[String]) -> Vec<String> {
    let one = |place: &Flat| {
        let number = place.count("input");
        let by_number = usize::try_from(number).ok().and_then(|number| inputs.get(number));
        let named = place.text("file").or(by_number.map(String::as_str)).map(bounded);
        let file = named.unwrap_or_else(|| format!("input {number} of run.json"));
        let (first, last) = (place.count("first"), place.count("last"));
        format!("{file}, frames {first} to {last}.")
    };
    let mut all: Vec<String> = line.objects("longhaul.packets").iter().map(one).collect();
    if let Some(id) = line.text("network.community_id") {
        all.push(format!("Community ID {id}."));
    }
    all
}
