//! The round-trip disc in words: how far away the other end can be.
//!
//! Owns: the sentences about distance. In: the legs, discs and claims of a line. Out: sentences
//! with km. Never: a place: a round trip bounds a distance only.

use crate::explain::Flat;
use crate::explain::words::{bounded, with_unit};
use crate::model::physics::{KM_PER_RTT_MS_FIBRE, KM_PER_RTT_MS_REAL, KM_PER_RTT_MS_VACUUM};

/// Every bound that the line holds.
pub(super) fn sentences(line: &Flat) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(hidden(line));
    all.extend(leg(line));
    all.extend(claim(line));
    all.extend(region(line));
    if all.is_empty() {
        all.extend(line.objects("longhaul.evidence").iter().filter_map(measured));
    }
    all
}

/// A round trip among the evidence, where the line has none of its own: an incident's.
fn measured(item: &Flat) -> Option<String> {
    let who = match item.text("name")? {
        "longhaul.near.handshake_us" => "an initiator",
        "longhaul.far.handshake_us" => "a responder",
        "longhaul.floor_us" => "an endpoint",
        _ => return None,
    };
    let sessions = item.texts("sessions").into_iter().map(bounded).collect::<Vec<_>>().join(", ");
    Some(disc(&format!("{who} (session {sessions})"), item.number("value")?))
}

/// Half of the Earth's circumference: nothing is farther away.
const FARTHEST_KM: f64 = 20_015.0;

/// A distance; one that bounds nothing says so.
fn within(km: f64) -> String {
    if km >= FARTHEST_KM {
        return format!("anywhere on Earth (the bound is {km:.0} km)");
    }
    format!("within {km:.0} km")
}

/// The leg to the end that is not ours: of an inbound session that of the initiator.
fn leg(line: &Flat) -> Option<String> {
    let direction = line.text("network.direction");
    let (side, leg) = match direction {
        Some("inbound") => ("source", "near"),
        _ => ("destination", "far"),
    };
    let at_handshake = line.number(&format!("longhaul.{leg}.handshake_us"));
    let within = line.number(&format!("longhaul.{leg}.rtt.min_us"));
    let us = [at_handshake, within].into_iter().flatten().reduce(f64::min)?;
    let who = line.text(&format!("{side}.ip")).map_or_else(|| side.to_owned(), bounded);
    Some(disc(&who, us))
}

/// The disc of a full round trip in microseconds.
fn disc(who: &str, us: f64) -> String {
    let of = |per_ms: f64| within(us / 1_000.0 * per_ms);
    format!(
        "The round trip to {who} took {} at the least: what answers there is {} by fibre (2/3 of \
         the speed of light), more likely {} (4/9, as real paths are), and certainly {}.",
        with_unit(us, "us"),
        of(KM_PER_RTT_MS_FIBRE),
        of(KM_PER_RTT_MS_REAL),
        of(KM_PER_RTT_MS_VACUUM),
    )
}

/// Of an endpoint: floor and hidden leg together.
fn hidden(line: &Flat) -> Option<String> {
    let fibre = line.number("longhaul.disc.fibre_km")?;
    let who = line.text("endpoint.ip").map_or_else(|| "the endpoint".to_owned(), bounded);
    let real = line.number("longhaul.disc.real_km");
    let real = real.map_or(String::new(), |km| format!(", more likely {} (4/9)", within(km)));
    Some(format!(
        "Whoever answers at or behind {who} is {} by fibre (2/3 of the speed of light){real}: its \
         lowest round trip, and the leg hidden behind it, allow no more.",
        within(fibre)
    ))
}

/// The place that is claimed, against the disc.
fn claim(line: &Flat) -> Option<String> {
    let km = line.number("longhaul.physics.claim_km")?;
    let whose = match line.text("longhaul.physics.claim_of") {
        Some("subject") => "the place that the subjects file claims",
        _ => "the region that the geo database gives",
    };
    let verdict = match line.text("longhaul.physics.verdict") {
        Some("too-fast") => "farther than light could travel: that place is wrong",
        Some("possible") => "within reach, which does not confirm it",
        _ => "and nothing is decided",
    };
    Some(format!("To the nearest point of {whose} it is {km:.0} km: {verdict}."))
}

/// The claimed place and the region against what was measured over days, of endpoints.
fn region(line: &Flat) -> Vec<String> {
    let excess = |of: &str, place: &str| {
        let us = line.number(&format!("longhaul.{of}.excess_us"))?;
        Some(format!("The round trip is {} above what {place} explains.", with_unit(us, "us")))
    };
    [excess("claim", "the claimed place"), excess("region", "the address's region")]
        .into_iter()
        .flatten()
        .collect()
}
