//! What the report keeps of a session.
//!
//! Owns: which end is the remote one, and its round trip. In: a session line. Out: a few values.
//! Never: a value that the line does not hold.

use super::words::{owner, place, time};
use crate::explain::Flat;
use crate::model::Nanos;

/// Most characters of a name that is kept.
const NAME_MAX: usize = 128;

/// A session.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct Session {
    /// `event.id`.
    pub(in crate::report) id: String,
    /// A finding names it as evidence.
    pub(in crate::report) is_named: bool,
    /// First and last packet.
    pub(in crate::report) start: Option<Nanos>,
    /// Likewise.
    pub(in crate::report) end: Option<Nanos>,
    /// It came from outside.
    pub(in crate::report) is_inbound: bool,
    /// Initiator.
    pub(in crate::report) from: String,
    /// Responder, with its port.
    pub(in crate::report) to: String,
    /// Name of the server, as far as the client said it.
    pub(in crate::report) server: Option<String>,
    /// Program and protocol.
    pub(in crate::report) application: Option<String>,
    /// Likewise.
    pub(in crate::report) protocol: Option<String>,
    /// Bytes of both directions.
    pub(in crate::report) bytes: u64,
    /// The end that is not ours.
    pub(in crate::report) remote: Option<String>,
    /// Its lowest round trip, in microseconds.
    pub(in crate::report) remote_us: Option<f64>,
    /// Its region, network and centre by the databases.
    pub(in crate::report) place: Option<String>,
    /// Likewise.
    pub(in crate::report) owner: Option<String>,
    /// Likewise.
    pub(in crate::report) centre: Option<(f64, f64)>,
    /// Nearest point of that region, of the claimed place.
    pub(in crate::report) geo_km: Option<f64>,
    /// Likewise.
    pub(in crate::report) claim_km: Option<f64>,
    /// `possible`, `too-fast` or `unknown`.
    pub(in crate::report) verdict: Option<String>,
    /// Whose claims light refutes: the verdict is about all of them.
    pub(in crate::report) refuted: Refuted,
    /// Round trip of a transport handshake and of the layer above it, in microseconds.
    pub(in crate::report) turns: Vec<Turn>,
    /// Remote-control tool.
    pub(in crate::report) tool: Option<String>,
    /// What the traffic looks like.
    pub(in crate::report) class: Option<String>,
    /// Tags.
    pub(in crate::report) tags: Vec<String>,
    /// What is wrong with its capture.
    pub(in crate::report) quality: Flags,
}

/// The claims that are farther than light could have gone.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::report) struct Refuted {
    /// That of the subjects file.
    pub(in crate::report) subject: bool,
    /// That of the geo database.
    pub(in crate::report) geo: bool,
}

/// A claim with a distance: that of the subjects file goes before that of a database.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct Claim {
    /// Its nearest point, in km from the sensor.
    pub(in crate::report) km: f64,
    /// Who claims it.
    pub(in crate::report) of: &'static str,
    /// This one is refuted.
    pub(in crate::report) is_refuted: bool,
}

/// What is wrong with the capture of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::report) struct Flags {
    pub(in crate::report) retransmits: bool,
    pub(in crate::report) out_of_order: bool,
    pub(in crate::report) duplicates: bool,
    pub(in crate::report) gaps: bool,
    pub(in crate::report) one_way: bool,
    pub(in crate::report) truncated: bool,
    pub(in crate::report) unconfirmed: bool,
}

/// A handshake of a layer above the transport.
#[derive(Clone, Debug)]
pub(in crate::report) struct Turn {
    /// `tls`, `ssh` and so on.
    pub(in crate::report) layer: String,
    /// The responder answered; else the initiator.
    pub(in crate::report) is_server: bool,
    /// Round trip of the transport on the same leg.
    pub(in crate::report) transport_us: f64,
    /// Round trip of that layer.
    pub(in crate::report) application_us: f64,
}

impl Session {
    /// Of its line.
    pub(in crate::report) fn of(line: &Flat) -> Session {
        let text = |name: &str| line.text(name).map(short);
        let is_inbound = line.text("network.direction") == Some("inbound");
        let (side, leg) = if is_inbound { ("source", "near") } else { ("destination", "far") };
        let is_outside =
            matches!(line.text("network.direction"), Some("inbound" | "outbound" | "external"));
        let degrees = |of: &str| line.number(&format!("{side}.geo.location.{of}"));
        let port = line.number("destination.port");
        let port = port.map_or(String::new(), |port| format!(":{port:.0}"));
        Session {
            id: text("event.id").unwrap_or_default(),
            is_named: false,
            start: time(line, "event.start"),
            end: time(line, "event.end"),
            is_inbound,
            from: text("source.ip").unwrap_or_default(),
            to: format!("{}{port}", text("destination.ip").unwrap_or_default()),
            server: text("tls.client.server_name")
                .or_else(|| text("dns.question.name"))
                .or_else(|| text("destination.domain")),
            application: text("network.application"),
            protocol: text("network.protocol").or_else(|| text("network.transport")),
            bytes: line.count("network.bytes"),
            remote: text(&format!("{side}.ip")).filter(|_| is_outside),
            remote_us: remote_us(line, leg),
            place: place(line, side).map(|text| short(&text)),
            owner: owner(line, side).map(|text| short(&text)),
            centre: degrees("lat").zip(degrees("lon")),
            geo_km: line.number("longhaul.physics.geo_km"),
            claim_km: line
                .number("longhaul.physics.claim_km")
                .filter(|_| line.text("longhaul.physics.claim_of") == Some("subject")),
            verdict: text("longhaul.physics.verdict"),
            refuted: Refuted::of(line),
            turns: turns(line),
            tool: text("longhaul.remote_control.tool"),
            class: text("longhaul.interaction.class").filter(|class| class != "unknown"),
            tags: line.texts("longhaul.tags").into_iter().take(16).map(short).collect(),
            quality: Flags::of(line),
        }
    }

    /// What it is counted under.
    pub(in crate::report) fn program(&self) -> &str {
        let known = self.application.as_deref().or(self.protocol.as_deref());
        known.unwrap_or("unknown")
    }

    /// The claim that is compared with the round trip, if both are known.
    pub(in crate::report) fn claim(&self) -> Option<Claim> {
        self.remote_us?;
        let of_subject = self.claim_km.map(|km| ("subjects file", km, self.refuted.subject));
        let of_geo = || self.geo_km.map(|km| ("database", km, self.refuted.geo));
        let (of, km, is_refuted) = of_subject.or_else(of_geo)?;
        Some(Claim { km, of, is_refuted })
    }

    /// How much it matters, beside being named: refuted claims, remote control, length.
    pub(in crate::report) fn weight(&self) -> (bool, bool, u64) {
        let controls = self.tool.is_some() || self.class.as_deref() == Some("remote_control");
        let took = self.end.zip(self.start).map_or(0, |(end, start)| end.since(start).0);
        (self.refuted.any(), controls, took)
    }
}

fn short(text: &str) -> String {
    text.chars().take(NAME_MAX).collect()
}

/// The lowest round trip of the remote leg.
fn remote_us(line: &Flat, leg: &str) -> Option<f64> {
    let of = |name: &str| line.number(&format!("longhaul.{leg}.{name}"));
    [of("handshake_us"), of("rtt.min_us")].into_iter().flatten().reduce(f64::min)
}

/// Handshakes of layers above a transport whose own round trip is known.
fn turns(line: &Flat) -> Vec<Turn> {
    let leg = |name: &str| line.number(&format!("longhaul.{name}.handshake_us"));
    let mut all = Vec::new();
    for (prefix, is_server, transport) in
        [("longhaul.gap.", false, leg("near")), ("longhaul.server_gap.", true, leg("far"))]
    {
        let Some(transport_us) = transport.filter(|us| *us > 0.0) else { continue };
        for (name, value) in line.fields() {
            let layer = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix("_us"));
            // The first data may wait for a person.
            let layer = layer.filter(|layer| *layer != "first_data");
            if let Some((layer, gap)) = layer.zip(value.as_f64()).filter(|_| all.len() < 8) {
                let application_us = transport_us + gap.max(0.0);
                all.push(Turn { layer: short(layer), is_server, transport_us, application_us });
            }
        }
    }
    all
}

impl Refuted {
    fn of(line: &Flat) -> Refuted {
        let claims = line.texts("longhaul.physics.refuted");
        Refuted { subject: claims.contains(&"subject"), geo: claims.contains(&"geo") }
    }

    /// At least one.
    pub(in crate::report) fn any(self) -> bool {
        self.subject || self.geo
    }

    /// These and others.
    pub(in crate::report) fn or(self, other: Refuted) -> Refuted {
        Refuted { subject: self.subject || other.subject, geo: self.geo || other.geo }
    }

    /// Who claims them.
    pub(in crate::report) fn words(self) -> Option<&'static str> {
        match (self.subject, self.geo) {
            (true, true) => Some("subjects file and database"),
            (true, false) => Some("subjects file"),
            (false, true) => Some("database"),
            (false, false) => None,
        }
    }
}

impl Flags {
    fn of(line: &Flat) -> Flags {
        let some = |name: &str| line.count(&format!("longhaul.quality.{name}")) > 0;
        let flag = |name: &str| line.flag(&format!("longhaul.quality.{name}"));
        Flags {
            retransmits: some("retransmits"),
            out_of_order: some("out_of_order"),
            duplicates: some("duplicates"),
            gaps: some("gaps"),
            one_way: flag("one_way"),
            truncated: flag("truncated"),
            unconfirmed: flag("unconfirmed"),
        }
    }
}
