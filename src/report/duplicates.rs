//! Explains duplicate packets: how many, how far apart, and what in the set-up causes them.
//!
//! Owns: the sentence. In: duplicates found at a capture point. Out: text. Never: guesses a cause
//! if the duplicates disagree.

use crate::model::{CopyPoint, CopyReport};

/// Below this share of the frames, duplicates are not a matter of set-up and are not mentioned.
const SHARE_WORTH_A_WORD: f64 = 0.01;

/// Fewer duplicates are an accident.
const COPIES_WORTH_A_WORD: u64 = 10;

/// VLAN pairs named.
const VLANS_NAMED: usize = 4;

/// One sentence for each notable point.
pub fn notes(report: &CopyReport) -> Vec<String> {
    let many = report.points.len() > 1;
    let sentence = |point: &CopyPoint| {
        let note = note(point)?;
        Some(if many { format!("Capture point {}: {note}", point.point) } else { note })
    };
    report.points.iter().filter_map(sentence).collect()
}

/// `31 % of frames are copies, median 40 us apart: ...`, if the share is notable.
pub fn note(point: &CopyPoint) -> Option<String> {
    if point.share() < SHARE_WORTH_A_WORD || point.copies < COPIES_WORTH_A_WORD {
        return None;
    }
    let percent = (point.share() * 100.0).round();
    let median = point.skew_ns(0.5).unwrap_or(0) as f64 / 1_000.0;
    let median = if median < 10.0 { format!("{median:.1}") } else { format!("{median:.0}") };
    Some(format!(
        "{percent} % of frames are copies, median {median} us apart: {}. The first of each counts \
         and is timed, copies are left out (--no-dedup keeps them).",
        cause(point)
    ))
}

/// What more than half of the duplicates have in common.
fn cause(point: &CopyPoint) -> String {
    let most = |n: u64| n > point.copies / 2;
    let routed = if most(point.ttl) { ", a router between them" } else { "" };
    if most(point.tunnel) {
        "the same packets arrive plain and through a tunnel, as ERSPAN beside a mirror port \
         sends them"
            .to_owned()
    } else if most(point.vlan) {
        format!("your mirror port sees both sides of {}{routed}", vlans(point))
    } else if most(point.ttl) {
        "your mirror port sees packets before and after a router (their TTL differs)".to_owned()
    } else if most(point.mac) {
        "your mirror port sees packets before and after a device that changes their MAC addresses"
            .to_owned()
    } else if most(point.identical) {
        let of = if vlans_seen(point) { format!(" of {}", vlans(point)) } else { String::new() };
        format!(
            "they differ in nothing, so your mirror port sends both directions{of}, or one port \
             is mirrored twice"
        )
    } else {
        let CopyPoint { ttl, mac, vlan, tunnel, identical, .. } = point;
        format!(
            "{ttl} differ in TTL, {mac} in MAC addresses, {vlan} in VLAN, {tunnel} in tunnel, \
             {identical} in nothing"
        )
    }
}

fn vlans_seen(point: &CopyPoint) -> bool {
    point.vlans.iter().any(|((first, copy), _)| *first > 0 || *copy > 0)
}

/// `VLAN 10/20`: the commonest pairs, in numerical order; an untagged side is named as such.
fn vlans(point: &CopyPoint) -> String {
    let mut ids: Vec<u16> = Vec::new();
    for ((first, copy), _) in &point.vlans {
        for id in [first, copy] {
            if !ids.contains(id) && ids.len() < VLANS_NAMED {
                ids.push(*id);
            }
        }
    }
    ids.sort_unstable();
    let untagged = if ids.first() == Some(&0) { " and untagged" } else { "" };
    let named: Vec<String> = ids.iter().filter(|id| **id > 0).map(u16::to_string).collect();
    format!("VLAN {}{untagged}", named.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Nanos;
    use crate::model::duplicates::Apart;

    fn point(copies: &[(u8, (u16, u16))]) -> CopyPoint {
        let mut point = CopyPoint::new(0);
        point.frames = 100;
        for (apart, vlans) in copies {
            point.observe(Apart::new(*apart), *vlans, Nanos(40_000));
        }
        point
    }

    fn note_of(copies: &[(u8, (u16, u16))]) -> String {
        note(&point(copies)).unwrap()
    }

    #[test]
    fn the_sentence_names_the_most_common_difference() {
        let routed = note_of(&[(Apart::TTL | Apart::MAC | Apart::VLAN, (20, 10)); 31]);
        assert!(routed.starts_with("31 % of frames are copies, median 40 us apart: "), "{routed}");
        assert!(routed.contains("both sides of VLAN 10/20, a router between them."), "{routed}");
        let tagged = note_of(&[(Apart::VLAN, (0, 7)); 12]);
        assert!(tagged.contains("both sides of VLAN 7 and untagged."), "{tagged}");
        let twice = note_of(&[(0, (10, 10)); 12]);
        assert!(twice.contains("differ in nothing") && twice.contains("of VLAN 10"), "{twice}");
        assert!(note_of(&[(0, (0, 0)); 12]).contains("both directions, or one port"));
        assert!(note_of(&[(Apart::TUNNEL, (0, 0)); 12]).contains("through a tunnel"));
        assert!(note_of(&[(Apart::TTL, (0, 0)); 12]).contains("TTL differs"));
        assert!(note_of(&[(Apart::MAC, (0, 0)); 12]).contains("MAC addresses"));
    }

    #[test]
    fn copies_that_do_not_agree_are_counted_instead() {
        let mut mixed = vec![(Apart::TTL, (0, 0)); 6];
        mixed.extend([(Apart::MAC, (0, 0)); 6]);
        mixed.extend([(0, (0, 0)); 6]);
        let text = note_of(&mixed);
        assert!(text.contains("6 differ in TTL, 6 in MAC addresses, 0 in VLAN"), "{text}");
    }

    #[test]
    fn a_few_duplicates_are_not_mentioned() {
        assert_eq!(note(&point(&[(0, (0, 0)); 9])), None);
        let mut rare = point(&[(0, (0, 0)); 50]);
        rare.frames = 100_000;
        assert_eq!(note(&rare), None);
        let report = CopyReport { points: vec![rare], ..CopyReport::default() };
        assert!(notes(&report).is_empty());
    }
}
