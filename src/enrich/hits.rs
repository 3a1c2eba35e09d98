//! Matches a session with the lists, and names its application.
//!
//! Owns: the order of fields, the cap on hits. In: a record with locations and systems. Out: hits,
//! application.
//! Never: judges; a port alone is no hit.

use std::sync::Arc;

use crate::enrich::lists::{Entry, Lists};
use crate::enrich::signatures::certificate;
use crate::enrich::signatures::file::Field;
use crate::model::Record;
use crate::model::record::{Context, Direction, Facts, ListHit, Party, Protocol};

/// Maximum hits of a session. Fields are checked in this order: server name, host, DNS question,
/// further DNS questions, addresses, AS numbers. Hits beyond the cap are dropped, so names come
/// before owners.
pub const HITS_MAX: usize = 16;

/// Names of a certificate that are looked up: those of content networks list dozens.
const CERTIFICATE_NAMES_MAX: usize = 8;

/// Fills in `context.hits`, `context.application` and its reason. Returns how many hits were
/// dropped.
pub(crate) fn match_lists(lists: &Lists, record: &mut Record) -> u64 {
    let Record { context, facts, initiator, responder, transport, .. } = record;
    let mut hits = Hits { context, port: responder.port, lost: 0 };
    match_session_texts(lists, facts, &mut hits);
    for (party, ip, asn) in remote_ends((initiator, responder), hits.context.direction) {
        for entry in lists.by_address(party.origin()) {
            hits.take(&entry, ip, "ip");
        }
        if let Some(system) = &party.asn {
            for entry in lists.by_asn(system.number) {
                hits.take(entry, asn, "as");
            }
        }
    }
    if hits.context.application.is_none() && port_may_tell(facts, responder) {
        let entry = lists.by_port(*transport, responder.port).next();
        if let Some(application) = entry.and_then(|entry| entry.application.clone()) {
            hits.context.application = Some(application);
            hits.context.application_reason = Some("port");
        }
    }
    hits.lost
}

/// Matches the texts in the session itself, most trusted first.
fn match_session_texts(lists: &Lists, facts: &Facts, hits: &mut Hits<'_>) {
    let by_payload = facts.first_bytes().and_then(|first| first.application.as_deref());
    hits.take_all(
        by_payload.into_iter().flat_map(|name| lists.by_text(Field::Payload, name)),
        "payload",
    );
    let shown = facts.tls.as_ref().and_then(|tls| tls.certificate.as_deref());
    for text in shown.map(certificate::texts).unwrap_or_default() {
        hits.take_all(lists.by_text(Field::Certificate, &text), "certificate");
    }
    let server_name = facts.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
    // If the client names no server, the names in the certificate are used, unless there are many.
    let certificate_names = shown.map(|shown| &*shown.alternative_names).unwrap_or_default();
    if server_name.is_none() && certificate_names.len() <= CERTIFICATE_NAMES_MAX {
        for name in certificate_names {
            let name = name.trim_start_matches("*.");
            hits.take_name(lists, Some(name), "tls.server.subject", "certificate");
        }
    }
    let host = facts.http.as_ref().and_then(|http| http.host.as_deref()).map(host_name);
    let connect = facts.http.as_ref().and_then(|http| http.connect_target.as_deref());
    hits.take_name(lists, server_name, "tls.client.server_name", "sni");
    hits.take_name(lists, host, "url.domain", "http");
    hits.take_name(lists, connect.map(host_name), "longhaul.http.connect_target", "http");
    let title = facts.http.as_ref().and_then(|http| http.title.as_deref());
    let title = title.map(str::to_lowercase);
    hits.take_all(title.iter().flat_map(|title| lists.by_text(Field::Title, title)), "title");
    if let Some(tls) = &facts.tls {
        let protocols = tls.alpn_chosen.iter().chain(&tls.alpn);
        hits.take_all(protocols.flat_map(|name| lists.by_text(Field::Alpn, name)), "alpn");
        let ja4 = tls.ja4.iter();
        hits.take_all(ja4.flat_map(|print| lists.by_text(Field::Ja4, print)), "ja4");
    }
    if let Some(ssh) = &facts.ssh {
        for software in [&ssh.server, &ssh.client].into_iter().flatten() {
            hits.take_all(lists.by_text(Field::Ssh, &ssh_software(software)), "ssh");
        }
    }
    let questions = facts.dns.iter().flat_map(|dns| dns.name.iter().chain(&dns.more_names));
    for name in questions {
        hits.take_name(lists, Some(name), "dns.question.name", "dns");
    }
    let behind = hits.context.responder_name.clone();
    hits.take_name(lists, behind.as_deref(), "destination.domain", "dns-name");
    if let Some(protocol) = facts.protocol {
        hits.take_all(lists.by_text(Field::Protocol, protocol.as_str()), "protocol");
    }
}

/// The software of an identification string (RFC 4253 section 4.2), lower case, without its
/// version: `SSH-2.0-OpenSSH_9.0` is `openssh`.
fn ssh_software(line: &str) -> String {
    let software = line.splitn(3, '-').nth(2).unwrap_or_default();
    let end = software.find(['_', ' ', '-']).unwrap_or(software.len());
    software.get(..end).unwrap_or_default().to_ascii_lowercase()
}

/// The ends that a list may match: an entry about our own side says nothing about the other.
fn remote_ends<'a>(
    (initiator, responder): (&'a Party, &'a Party),
    direction: Direction,
) -> impl Iterator<Item = (&'a Party, &'static str, &'static str)> {
    let (from, to) = match direction {
        Direction::Inbound => (true, false),
        Direction::Outbound => (false, true),
        Direction::Internal => (false, false),
        Direction::External => (true, true),
    };
    let source = from.then_some((initiator, "source.ip", "source.as.number"));
    let target = to.then_some((responder, "destination.ip", "destination.as.number"));
    source.into_iter().chain(target)
}

/// A port is the weakest evidence: it counts only if the responder answered and nothing else is
/// known.
fn port_may_tell(facts: &Facts, responder: &Party) -> bool {
    let named = facts.tls.as_ref().is_some_and(|tls| tls.server_name.is_some());
    let silent = matches!(facts.protocol, None | Some(Protocol::Tls | Protocol::Dtls));
    responder.packets > 0 && silent && !named
}

/// A host header may carry a port: `name:8080`.
fn host_name(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }
    })
}

/// The hits of a session so far.
struct Hits<'a> {
    context: &'a mut Context,
    /// The responder's port.
    port: u16,
    /// Hits dropped at the cap.
    lost: u64,
}

impl Hits<'_> {
    fn take_name(
        &mut self,
        lists: &Lists,
        name: Option<&str>,
        on: &'static str,
        reason: &'static str,
    ) {
        if let Some(name) = name {
            lists.for_each_by_name(name, |entry| self.take(entry, on, reason));
        }
    }

    /// Adds what a signature says about the session as a whole.
    fn take_all<'e>(&mut self, entries: impl Iterator<Item = &'e Entry>, reason: &'static str) {
        let on = match reason {
            "certificate" => "tls.server.subject",
            "title" => "longhaul.http.title",
            "alpn" => "longhaul.tls.alpn",
            "ja4" => "tls.client.ja4",
            "ssh" => "longhaul.ssh.server",
            "protocol" => "network.protocol",
            _ => "network.application",
        };
        entries.for_each(|entry| self.take(entry, on, reason));
    }

    /// Adds a hit, or counts it if there is no room.
    fn take(&mut self, entry: &Entry, on: &'static str, reason: &'static str) {
        if entry.port.is_some_and(|port| port != self.port) {
            return;
        }
        let context = &mut *self.context;
        if context.application.is_none()
            && let Some(application) = &entry.application
        {
            context.application = Some(Arc::clone(application));
            context.application_reason = Some(reason);
        }
        // Per list and field only the longest entry counts; entries come longest first.
        let known = |hit: &ListHit| hit.list == entry.list && hit.on == on;
        if context.hits.iter().any(known) {
            return;
        }
        if context.hits.len() < HITS_MAX {
            let (tag, text) = (Arc::clone(&entry.tag), Arc::clone(&entry.text));
            context.hits.push(ListHit { list: entry.list, tag, entry: text, on });
        } else {
            self.lost += 1;
        }
    }
}
