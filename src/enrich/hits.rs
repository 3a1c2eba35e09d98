//! Which lists match a session, and the application they name.
//!
//! Owns: the order of fields, the cap of hits. In: a record with places and systems. Out: hits,
//! application.
//! Never: judges; a port alone gives no hit.

use std::sync::Arc;

use crate::enrich::lists::Entry;
use crate::enrich::lists::Lists;
use crate::model::Record;
use crate::model::record::Context;
use crate::model::record::Direction;
use crate::model::record::ListHit;
use crate::model::record::Party;
use crate::model::record::Protocol;

/// Most hits of a session. Fields are asked in the order: server name, host, DNS question, further
/// DNS questions, addresses, AS numbers; the first hits stay, later ones fall off: names say more
/// than owners.
pub const HITS_MAX: usize = 16;

/// Fills `context.hits`, `context.application` and its reason. Says how many hits fell off.
pub(crate) fn match_lists(lists: &Lists, record: &mut Record) -> u64 {
    let mut context = std::mem::take(&mut record.context);
    let mut lost = match_names(lists, record, &mut context);
    for (party, ip, asn) in remote_ends(record, context.direction) {
        for entry in lists.by_address(party.ip) {
            lost += take(&mut context, entry, ip, "ip");
        }
        if let Some(system) = &party.asn {
            for entry in lists.by_asn(system.number) {
                lost += take(&mut context, entry, asn, "as");
            }
        }
    }
    if context.application.is_none() && port_may_tell(record) {
        let entry = lists.by_port(record.transport, record.responder.port).next();
        if let Some(application) = entry.and_then(|entry| entry.application.clone()) {
            context.application = Some(application);
            context.application_reason = Some("port");
        }
    }
    record.context = context;
    lost
}

fn match_names(lists: &Lists, record: &Record, context: &mut Context) -> u64 {
    let mut lost = 0;
    let facts = &record.facts;
    let server_name = facts.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
    let host = facts.http.as_ref().and_then(|http| http.host.as_deref()).map(host_name);
    let connect = facts.http.as_ref().and_then(|http| http.connect_target.as_deref());
    let question = facts.dns.as_ref().and_then(|dns| dns.name.as_deref());
    let named = [
        (server_name, "tls.client.server_name", "sni"),
        (host, "url.domain", "http"),
        (connect.map(host_name), "longhaul.http.connect_target", "http"),
        (question, "dns.question.name", "dns"),
    ];
    for (name, on, reason) in named {
        if let Some(name) = name {
            lists.for_each_by_name(name, |entry| lost += take(context, entry, on, reason));
        }
    }
    for name in facts.dns.iter().flat_map(|dns| dns.more_names.iter()) {
        let on = "dns.question.name";
        lists.for_each_by_name(name, |entry| lost += take(context, entry, on, "dns"));
    }
    lost
}

/// The ends a list may speak of: an indicator on our own side says nothing of the other.
fn remote_ends(
    record: &Record,
    direction: Direction,
) -> impl Iterator<Item = (&Party, &'static str, &'static str)> {
    let (from, to) = match direction {
        Direction::Inbound => (true, false),
        Direction::Outbound => (false, true),
        Direction::Internal => (false, false),
        Direction::External => (true, true),
    };
    let source = from.then_some((&record.initiator, "source.ip", "source.as.number"));
    let target = to.then_some((&record.responder, "destination.ip", "destination.as.number"));
    source.into_iter().chain(target)
}

/// A port is the weakest word: it counts only where the responder spoke and nothing else is known.
fn port_may_tell(record: &Record) -> bool {
    let named = record.facts.tls.as_ref().is_some_and(|tls| tls.server_name.is_some());
    let silent = matches!(record.facts.protocol, None | Some(Protocol::Tls | Protocol::Dtls));
    record.responder.packets > 0 && silent && !named
}

/// A host header may carry a port: `name:8080`.
fn host_name(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }
    })
}

/// Notes a hit; says how many were lost to the cap, one or none.
fn take(context: &mut Context, entry: &Entry, on: &'static str, reason: &'static str) -> u64 {
    if context.application.is_none()
        && let Some(application) = &entry.application
    {
        context.application = Some(Arc::clone(application));
        context.application_reason = Some(reason);
    }
    // Within a list the longest entry of a field stands for it; entries come longest first.
    let known = |hit: &ListHit| hit.list == entry.list && hit.on == on;
    if context.hits.iter().any(known) {
        return 0;
    }
    let room = context.hits.len() < HITS_MAX;
    if room {
        let (tag, text) = (Arc::clone(&entry.tag), Arc::clone(&entry.text));
        context.hits.push(ListHit { list: entry.list, tag, entry: text, on });
    }
    u64::from(!room)
}
