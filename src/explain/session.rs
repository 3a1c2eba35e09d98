//! The story of a session.
//!
//! Owns: its sections. In: the line of a session. Out: an explanation. Never: a judgement: rules
//! make those, and their alerts have a story of their own.

use crate::explain::words::{bounded, end, moment, packets, person, quality, with_unit};
use crate::explain::{Explanation, Flat, distance};

/// The sections of a session; `inputs` are the paths of the run's inputs.
pub fn session(line: &Flat, inputs: &[String]) -> Explanation {
    let mut all = Explanation::default();
    all.add("Who", who(line));
    all.add("What was seen", seen(line));
    all.add("Round trips", legs(line));
    all.add("How far away", distance::sentences(line));
    all.add("When", when(line));
    all.add("Quality of the capture", quality(line));
    all.add("Packets to open", packets(line, inputs));
    all
}

fn who(line: &Flat) -> Vec<String> {
    let mut all = vec![format!("{}: session.", person(line))];
    for (side, word) in [("source", "From"), ("destination", "To")] {
        all.extend(end(line, side).map(|end| format!("{word} {end}.")));
    }
    let tags = line.texts("longhaul.tags").into_iter().map(bounded).collect::<Vec<_>>();
    if !tags.is_empty() {
        all.push(format!("Tagged {}.", tags.join(", ")));
    }
    all
}

fn seen(line: &Flat) -> Vec<String> {
    let mut all = Vec::new();
    let state = line.text("longhaul.state").map(|state| format!(", {state}")).unwrap_or_default();
    let words: Vec<String> =
        ["network.direction", "network.transport", "network.protocol", "network.application"]
            .into_iter()
            .filter_map(|name| line.text(name).map(bounded))
            .collect();
    all.push(format!("{}{state}.", words.join(", ")));
    for (name, what) in [
        ("tls.client.server_name", "Server name asked for"),
        ("dns.question.name", "Name looked up"),
        ("tls.client.ja4", "JA4 of the client"),
        ("user_agent.original", "User agent"),
        ("longhaul.ssh.client", "SSH client"),
        ("longhaul.ssh.server", "SSH server"),
        ("longhaul.interaction.class", "Looks like"),
        ("longhaul.remote_control.tool", "Remote-control tool"),
    ] {
        all.extend(line.text(name).map(|text| format!("{what}: {}.", bounded(text))));
    }
    let volume = |side: &str| {
        let bytes = line.number(&format!("{side}.bytes"))?;
        let packets = line.count(&format!("{side}.packets"));
        Some(format!("{} in {packets} packets", with_unit(bytes, "bytes")))
    };
    if let (Some(sent), Some(got)) = (volume("source"), volume("destination")) {
        all.push(format!("The initiator sent {sent}, the responder {got}."));
    }
    all
}

fn legs(line: &Flat) -> Vec<String> {
    let mut all = Vec::new();
    for (leg, who) in [("near", "initiator"), ("far", "responder")] {
        let of = |name: &str| line.number(&format!("longhaul.{leg}.{name}"));
        let mut words = Vec::new();
        words.extend(of("handshake_us").map(|us| format!("{} at the handshake", ms(us))));
        let lowest = of("rtt.min_us").zip(of("rtt.p50_us"));
        words.extend(lowest.map(|(least, half)| {
            format!("{} at the least within the session, {} half of the time", ms(least), ms(half))
        }));
        if !words.is_empty() {
            all.push(format!("Sensor to {who} and back: {}.", words.join(", ")));
        }
    }
    all.extend(line.fields().iter().filter_map(|(name, value)| {
        let layer = name.strip_prefix("longhaul.gap.")?.strip_suffix("_us")?;
        let us = value.as_f64()?;
        Some(format!("Answers of {layer} took {} longer than the transport.", ms(us)))
    }));
    all
}

fn ms(us: f64) -> String {
    with_unit(us, "us")
}

fn when(line: &Flat) -> Vec<String> {
    let time = |name: &str| line.text(name).map(moment);
    let (Some(start), Some(end)) = (time("event.start"), time("event.end")) else {
        return Vec::new();
    };
    let took = line
        .number("event.duration")
        .map_or(String::new(), |ns| format!(", {}", with_unit(ns, "ns")));
    vec![format!("From {start} to {end} UTC{took}.")]
}
