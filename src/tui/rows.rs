//! What the view keeps of a line.
//!
//! Owns: which fields have a column. In: a line of results. Out: rows. Never: text that is ready to
//! be shown: whoever draws escapes it.

use crate::explain::Flat;
use crate::model::Nanos;

/// Most characters kept of a text: more has no room on any screen.
const TEXT_MAX: usize = 160;
/// Most characters kept of a message.
const MESSAGE_MAX: usize = 400;
/// Most changes kept of an incident, the first and the last ones.
const CHANGES_MAX: usize = 16;

/// A session.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    pub(super) id: String,
    /// As it was read, for its explanation.
    pub(super) line: Box<[u8]>,
    pub(super) start: Option<Nanos>,
    pub(super) subject: String,
    pub(super) name: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) server: String,
    pub(super) program: String,
    pub(super) tool: String,
    /// Place of the end that is not ours, by the databases.
    pub(super) place: String,
    pub(super) remote: String,
    pub(super) bytes: u64,
    /// Lowest round trip to the initiator, in microseconds.
    pub(super) near_us: Option<f64>,
    /// Likewise to the responder.
    pub(super) far_us: Option<f64>,
    /// It is still open.
    pub(super) is_open: bool,
    /// A finding names it as evidence.
    pub(super) is_named: bool,
}

/// An alert or an incident.
#[derive(Clone, Debug, Default)]
pub(super) struct Finding {
    pub(super) id: String,
    /// Its lines: of an incident one for each change.
    pub(super) lines: Vec<Box<[u8]>>,
    pub(super) time: Option<Nanos>,
    pub(super) level: String,
    pub(super) severity: f64,
    pub(super) subject: String,
    pub(super) name: String,
    /// Number and name of the rule; of an incident its groups of evidence.
    pub(super) what: String,
    pub(super) message: String,
    /// Probability of an incident, likelihood ratio of an alert.
    pub(super) weight: f64,
    pub(super) change: String,
}

/// Who sessions and findings are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) sessions: u64,
    pub(super) alerts: u64,
    pub(super) incidents: u64,
    /// Of the findings, the highest.
    pub(super) level: String,
    pub(super) severity: f64,
    pub(super) score: f64,
    pub(super) last: Option<Nanos>,
    /// Of the last session from or to outside.
    pub(super) remote: String,
    pub(super) place: String,
    /// Lowest round trip to an end outside, in microseconds.
    pub(super) rtt_us: Option<f64>,
}

fn text(line: &Flat, name: &str) -> String {
    line.text(name).unwrap_or_default().chars().take(TEXT_MAX).collect()
}

fn first_of(line: &Flat, names: &[&str]) -> String {
    names.iter().map(|name| text(line, name)).find(|text| !text.is_empty()).unwrap_or_default()
}

fn time(line: &Flat, name: &str) -> Option<Nanos> {
    line.text(name).and_then(Nanos::parse)
}

/// The lowest round trip of a leg.
fn leg(line: &Flat, leg: &str) -> Option<f64> {
    let of = |name: &str| line.number(&format!("longhaul.{leg}.{name}"));
    ["handshake_us", "exchange_us", "rtt.min_us"].into_iter().filter_map(of).reduce(f64::min)
}

impl Session {
    pub(super) fn of(line: &Flat, bytes: &[u8]) -> Session {
        let direction = line.text("network.direction").unwrap_or_default();
        let side = if direction == "inbound" { "source" } else { "destination" };
        let port = line.number("destination.port");
        let port = port.map_or(String::new(), |port| format!(":{port:.0}"));
        let place = ["geo.region_iso_code", "geo.country_iso_code"];
        let place = place.map(|name| format!("{side}.{name}"));
        let is_outside = ["inbound", "outbound", "external"].contains(&direction);
        let remote = if is_outside { text(line, &format!("{side}.ip")) } else { String::new() };
        Session {
            id: text(line, "event.id"),
            line: bytes.into(),
            start: time(line, "event.start"),
            subject: text(line, "longhaul.subject.id"),
            name: text(line, "longhaul.subject.name"),
            from: text(line, "source.ip"),
            to: format!("{}{port}", text(line, "destination.ip")),
            server: first_of(
                line,
                &["tls.client.server_name", "dns.question.name", "destination.domain"],
            ),
            program: first_of(
                line,
                &["network.application", "network.protocol", "network.transport"],
            ),
            tool: text(line, "longhaul.remote_control.tool"),
            place: first_of(line, &place.each_ref().map(String::as_str)),
            remote,
            bytes: line.count("network.bytes"),
            near_us: leg(line, "near"),
            far_us: leg(line, "far"),
            is_open: line.text("event.action") == Some("session-update"),
            is_named: false,
        }
    }

    /// The round trip to the end that is not ours.
    pub(super) fn remote_us(&self) -> Option<f64> {
        if self.remote == self.from { self.near_us } else { self.far_us }
    }

    /// Texts that a filter is compared with.
    pub(super) fn texts(&self) -> [&str; 10] {
        [
            &self.id,
            &self.subject,
            &self.name,
            &self.from,
            &self.to,
            &self.server,
            &self.program,
            &self.tool,
            &self.place,
            if self.is_named { "alert" } else { "" },
        ]
    }

    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        size_of::<Session>() + self.line.len() + self.texts().map(str::len).iter().sum::<usize>()
    }
}

impl Finding {
    pub(super) fn of(line: &Flat, bytes: &[u8]) -> Finding {
        let rule = text(line, "rule.id");
        let is_incident = line.text("event.dataset") == Some("longhaul.incident");
        let what = match is_incident {
            true => line.texts("longhaul.groups").join("+").chars().take(TEXT_MAX).collect(),
            false => format!("{rule} {}", text(line, "rule.name")),
        };
        let weight = if is_incident { "longhaul.score" } else { "longhaul.ratio" };
        Finding {
            id: text(line, "event.id"),
            lines: vec![bytes.into()],
            time: time(line, "@timestamp"),
            level: text(line, "log.level"),
            severity: line.number("event.severity").unwrap_or_default(),
            subject: text(line, "longhaul.subject.id"),
            name: text(line, "longhaul.subject.name"),
            what,
            message: line.text("message").unwrap_or_default().chars().take(MESSAGE_MAX).collect(),
            weight: line.number(weight).unwrap_or_default(),
            change: text(line, "longhaul.change"),
        }
    }

    /// A later line of the same incident.
    pub(super) fn becomes(&mut self, mut later: Finding) {
        if self.lines.len() >= CHANGES_MAX {
            self.lines.remove(1);
        }
        self.lines.append(&mut later.lines);
        *self = Finding { lines: std::mem::take(&mut self.lines), ..later };
    }

    pub(super) fn texts(&self) -> [&str; 7] {
        [&self.id, &self.level, &self.subject, &self.name, &self.what, &self.message, &self.change]
    }

    pub(super) fn size(&self) -> usize {
        let lines: usize = self.lines.iter().map(|line| line.len()).sum();
        size_of::<Finding>() + lines + self.texts().map(str::len).iter().sum::<usize>()
    }
}

impl Subject {
    pub(super) fn texts(&self) -> [&str; 5] {
        [&self.id, &self.name, &self.level, &self.remote, &self.place]
    }

    /// Its order among others: what is known against it, then how much is known.
    pub(super) fn worth(&self) -> (u64, u64, u64, u64) {
        // The bits of non-negative numbers sort like the numbers.
        let bits = |of: f64| of.max(0.0).to_bits();
        (bits(self.score), bits(self.severity), self.alerts, self.sessions)
    }
}
