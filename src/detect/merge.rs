//! Repeated alerts, merged to one with a count.
//!
//! Owns: what one alert takes over of others of its kind. In: the first alert, another. Out: the
//! first with the other added. Never: decides which belong together; the ledger does.

use crate::model::alert::Repeats;
use crate::model::{Alert, EvidenceItem};

/// Maximum sessions, pieces of evidence and packet ranges of a merged alert.
const SESSIONS_MAX: usize = 8;
const EVIDENCE_MAX: usize = 24;
const PACKETS_MAX: usize = 8;

/// Adds an alert of the same kind to the first.
pub fn add(first: &mut Alert, other: &Alert) {
    first.since = first.since.min(other.since);
    if other.ratio > first.ratio {
        first.ratio = other.ratio;
        first.lowered.clone_from(&other.lowered);
    }
    first.quality = first.quality.with(&other.quality);
    for item in &other.evidence {
        add_evidence(first, item);
    }
    for source in &other.sources {
        // As many as there are lists and databases in the run.
        if !first.sources.contains(source) {
            first.sources.push(source.clone());
        }
    }
    let Some(repeats) = &mut first.repeats else { return };
    repeats.count = repeats.count.saturating_add(1);
    repeats.last = repeats.last.max(other.time);
    add_packets(repeats, other.packets);
}

/// Adds an alert that stands for several itself.
pub fn add_all(first: &mut Alert, other: &Alert) {
    add(first, other);
    let (Some(repeats), Some(others)) = (&mut first.repeats, &other.repeats) else { return };
    repeats.count = repeats.count.saturating_add(others.count.saturating_sub(1));
    repeats.last = repeats.last.max(others.last);
    for packets in &others.packets {
        add_packets(repeats, *packets);
    }
    repeats.left_out = repeats.left_out.saturating_add(others.left_out);
}

fn add_packets(repeats: &mut Repeats, packets: (u16, u32, u32)) {
    if repeats.packets.len() + 1 < PACKETS_MAX {
        repeats.packets.push(packets);
    } else {
        repeats.left_out = repeats.left_out.saturating_add(1);
    }
}

fn add_evidence(first: &mut Alert, item: &EvidenceItem) {
    let room = first.evidence.len() < EVIDENCE_MAX;
    let known = first.evidence.iter_mut().find(|have| {
        (&have.name, &have.value, &have.unit) == (&item.name, &item.value, &item.unit)
    });
    match known {
        Some(have) => {
            have.samples = have.samples.saturating_add(item.samples);
            let free = SESSIONS_MAX.saturating_sub(have.sessions.len());
            have.sessions.extend(item.sessions.iter().take(free).cloned());
        }
        None if room => first.evidence.push(item.clone()),
        None => {
            if let Some(repeats) = &mut first.repeats {
                repeats.left_out += 1;
            }
        }
    }
}

/// Whether it stands for more than itself.
pub fn is_repeated(alert: &Alert) -> bool {
    alert.repeats.as_ref().is_some_and(|repeats| repeats.count > 1)
}

/// Adds the count to the message of a merged alert; must be called once, after all were added.
pub fn conclude(alert: &mut Alert) {
    if let Some(repeats) = alert.repeats.as_ref().filter(|repeats| repeats.count > 1) {
        alert.message = format!("{}, {} times", alert.message, repeats.count);
    }
}
