//! The demonstration's report: who, whose network, how far, which rules, why.
//!
//! Owns: the order and wording. In: endpoints, alerts and incidents of a run. Out: lines for a
//! terminal.
//! Never: a number that is not from the run, or a judgement that no rule made.

use std::fmt::Write;

use std::sync::Arc;

use crate::model::endpoint::{EndpointRow, Fingerprint};
use crate::model::escape::escaped;
use crate::model::{Addr, Alert, Incident, Nanos};
use crate::report::terminal::Style;
use crate::report::units;

/// Kilometres per millisecond of round trip in fibre: 2/3 c, there and back.
const KM_PER_MS_FIBRE: f64 = 99.93;

/// Evidence sentences shown per alert.
const EVIDENCE_MAX: usize = 4;

/// The results to report.
#[derive(Clone, Copy, Debug)]
pub struct Story<'a> {
    /// The sensor's location, as text.
    pub place: &'a str,
    /// Packets decoded.
    pub packets: u64,
    /// Sessions followed.
    pub sessions: u64,
    /// First and last packet's time.
    pub span: Option<(Nanos, Nanos)>,
    /// How long the run took, in ms.
    pub took_ms: u128,
    /// Endpoints of the run.
    pub endpoints: &'a [EndpointRow],
    /// Alerts of the run.
    pub alerts: &'a [Arc<Alert>],
    /// Incidents of the run.
    pub incidents: &'a [Incident],
}

/// Renders it.
pub fn render(story: &Story<'_>, style: Style) -> String {
    let mut out = StoryPage { text: String::new(), style };
    opening(&mut out, story);
    for (chapter, remote) in remotes(story.alerts).into_iter().enumerate() {
        write_remote(&mut out, story, chapter + 1, remote);
    }
    write_lookups(&mut out, story.alerts);
    for incident in story.incidents {
        write_incident(&mut out, incident);
    }
    closing(&mut out, story);
    out.text
}

struct StoryPage {
    text: String,
    style: Style,
}

impl StoryPage {
    /// A line, wrapped behind `head`, with continuation lines aligned.
    fn line(&mut self, head: &str, text: &str) {
        let text = &escaped(text);
        let indent = head.chars().count();
        let room = self.style.width.saturating_sub(indent).max(20);
        self.text.push_str(head);
        let mut used = 0;
        for word in text.split_whitespace() {
            let word = units::safe(word, room);
            let len = word.chars().count();
            if used > 0 && used + 1 + len > room {
                self.text.push('\n');
                self.text.extend(std::iter::repeat_n(' ', indent));
                used = 0;
            } else if used > 0 {
                self.text.push(' ');
                used += 1;
            }
            self.text.push_str(&word);
            used += len;
        }
        self.text.push('\n');
    }

    fn title(&mut self, text: &str) {
        self.text.push('\n');
        let (on, off) = if self.style.colour { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        let text = units::safe(text, self.style.width);
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "{on}{text}{off}");
    }
}

fn opening(out: &mut StoryPage, story: &Story<'_>) {
    let span = story.span.map_or(Nanos::ZERO, |(first, last)| last.since(first));
    out.title("longhaul demo: a small company, its gateway, and a laptop farm");
    let text = format!(
        "The sensor stands at the company's edge in {}. In {} it saw {} packets and followed {} \
         sessions. Every number below is measured from that capture, which this project made \
         itself with real programs; names and addresses are borrowed, no real network took part.",
        story.place,
        units::span(span),
        units::count(story.packets),
        units::count(story.sessions),
    );
    out.line("  ", &text);
}

/// Remote ends of the alerts, in order of their first alert. An alert on a DNS lookup is about the
/// name, not about the resolver.
fn remotes(alerts: &[Arc<Alert>]) -> Vec<Addr> {
    let mut found: Vec<Addr> = Vec::new();
    let sessions = alerts.iter().filter(|alert| !is_lookup(alert));
    for remote in sessions.filter_map(|alert| alert.remote) {
        if !found.contains(&remote) {
            found.push(remote);
        }
    }
    found
}

fn is_lookup(alert: &Alert) -> bool {
    alert.context.iter().any(|(name, json)| name == "network.protocol" && json == "\"dns\"")
}

fn write_remote(out: &mut StoryPage, story: &Story<'_>, chapter: usize, remote: Addr) {
    let of_remote = |alert: &&Arc<Alert>| alert.remote == Some(remote) && !is_lookup(alert);
    let alerts: Vec<&Arc<Alert>> = story.alerts.iter().filter(of_remote).collect();
    let rows: Vec<&EndpointRow> = story.endpoints.iter().filter(|e| e.key.ip == remote).collect();
    out.title(&format!("{chapter}  {remote}"));
    out.line("   owner     ", &owner(&rows));
    out.line("   how far   ", &distance(&rows));
    let mut shown: Vec<&str> = Vec::new();
    for alert in alerts {
        let rule = &alert.rule;
        if shown.contains(&rule.uuid.as_str()) {
            continue;
        }
        shown.push(&rule.uuid);
        let (id, name, level) = (&rule.id, &rule.name, alert.level.as_str());
        out.line("   rule      ", &format!("{id} {name}, {level}: {}", alert.message));
        let why: Vec<String> = alert.evidence.iter().take(EVIDENCE_MAX).map(evidence).collect();
        out.line("   why       ", &why.join("; "));
    }
    write_programs(out, &rows);
}

/// Names that were looked up, in lines of their own: a lookup does not prove a session with the
/// tool.
fn write_lookups(out: &mut StoryPage, alerts: &[Arc<Alert>]) {
    let mut shown: Vec<&str> = Vec::new();
    for alert in alerts.iter().filter(|alert| is_lookup(alert)) {
        if shown.is_empty() {
            out.title("Names that were looked up");
        }
        if !shown.contains(&alert.message.as_str()) {
            shown.push(&alert.message);
            let (rule, level) = (&alert.rule, alert.level.as_str());
            out.line("   rule      ", &format!("{} {level}: {}", rule.id, alert.message));
        }
    }
}

fn evidence(item: &crate::model::EvidenceItem) -> String {
    let value = in_words(item.value.as_str(), &item.unit);
    let bound = item.threshold.map(|t| in_words(&t.to_string(), &item.unit));
    let bound = bound.map_or(String::new(), |bound| format!(" (threshold {bound})"));
    format!("{} = {value}{bound}", item.name)
}

/// A rounded value with its unit; the alert itself keeps every digit.
fn in_words(value: &str, unit: &str) -> String {
    match (value.parse::<f64>(), unit) {
        (Ok(ns), "ns") => units::span(Nanos(ns.max(0.0) as u64)),
        (Ok(us), "us") => units::millis((us.max(0.0) * 1_000.0) as u64),
        (Ok(bytes), "bytes") => units::bytes(bytes.max(0.0) as u64),
        (Ok(number), "") if value.contains('.') => format!("{number:.2}"),
        (Ok(number), _) if value.contains('.') => format!("{number:.1} {unit}").trim().to_owned(),
        _ => format!("{value} {unit}").trim().to_owned(),
    }
}

fn owner(rows: &[&EndpointRow]) -> String {
    let Some(row) = rows.first() else { return "not known".to_owned() };
    let mut words = Vec::new();
    if let Some(asn) = &row.asn {
        words.push(format!("AS{}", asn.number));
        words.extend(asn.organization.as_deref().map(|name| units::safe(name, 60)));
    }
    if let Some(place) = &row.place {
        let code = place.region.as_deref().or(place.country.as_deref());
        words.extend(code.map(|code| format!("({code})")));
    }
    words.extend(row.tags.iter().map(|tag| format!("[{tag}]")));
    if words.is_empty() { "not known".to_owned() } else { words.join(" ") }
}

fn distance(rows: &[&EndpointRow]) -> String {
    let Some(floor) = rows.iter().filter_map(|row| row.floor_ns).min() else {
        return "no handshake was measured".to_owned();
    };
    let km = floor as f64 / 1e6 * KM_PER_MS_FIBRE;
    let handshakes: u64 = rows.iter().map(|row| row.handshakes).sum();
    let handshakes = units::number_of(handshakes as usize, "handshake");
    format!(
        "{} there and back at the least, over {handshakes}: within {km:.0} km in fibre",
        units::millis(floor)
    )
}

/// If several programs connected from one address: the leg behind it, as each of them shows it.
fn write_programs(out: &mut StoryPage, rows: &[&EndpointRow]) {
    let program = |row: &&EndpointRow| match &row.key.fingerprint {
        Some(Fingerprint::Ja4(ja4)) => Some(format!("{ja4}: {}", behind(row))),
        _ => None,
    };
    let programs: Vec<String> = rows.iter().filter_map(program).collect();
    if programs.len() < 2 {
        return;
    }
    for program in &programs {
        out.line("   program   ", program);
    }
    out.line(
        "   note      ",
        "Two programs behind one address with the same short round trip: a TCP handshake ends at \
         the address, but TLS is answered by the program. The extra time of TLS shows which one is \
         far away. Several programs behind one address alone prove nothing: every home has them.",
    );
}

fn behind(row: &EndpointRow) -> String {
    let sessions = units::number_of(row.sessions as usize, "session");
    let floor = row.floor_ns.map_or("no leg".to_owned(), units::millis);
    let hidden = row.hidden.map_or("behind it: not known".to_owned(), |hidden| {
        format!("behind it {}, confidence {:.2}", units::millis(hidden.ns), hidden.confidence)
    });
    format!("{sessions}, floor {floor}, {hidden}")
}

fn write_incident(out: &mut StoryPage, incident: &Incident) {
    let groups: Vec<&str> = incident.factors.iter().map(|of| of.group.as_str()).collect();
    out.title(&format!(
        "Incident  {}: {}, score {:.2}",
        incident.subject,
        groups.join(" and "),
        incident.score
    ));
    let mut shown: Vec<&str> = Vec::new();
    for alert in incident.alerts.iter().map(|member| &member.alert) {
        if !shown.contains(&alert.message.as_str()) {
            shown.push(&alert.message);
            let (id, name) = (&alert.rule.id, &alert.rule.name);
            out.line("   ", &format!("{id} {name}: {}", alert.message));
        }
    }
    out.line(
        "   ",
        "One family alone never makes an incident. This one proves no intent: it shows traffic, \
         seen at one point. Ask before you act.",
    );
}

fn closing(out: &mut StoryPage, story: &Story<'_>) {
    let text = format!(
        "{}, {}, {} ms. Try: longhaul demo --extract farm.pcap.zst; longhaul \
         read farm.pcap.zst --place IAD --out results",
        units::number_of(story.alerts.len(), "alert"),
        units::number_of(story.incidents.len(), "incident"),
        story.took_ms,
    );
    out.text.push('\n');
    out.line("  ", &text);
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
