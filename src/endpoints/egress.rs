//! What a session from inside says of whom it goes to.
//!
//! Owns: which sessions count, and what of them. In: a record. Out: a small value that can cross
//! threads. Never: totals, or a session that nobody answered.

use std::sync::Arc;

use crate::endpoints::summary::Incoming;
use crate::model::Record;
use crate::model::protocol::Protocol;
use crate::model::record::Direction;

/// Kinds of tags of what connects a host with somebody outside past the company's own gateways.
const MEANS: [&str; 5] = ["rmm", "vpn", "mesh", "tunnel", "kvm"];

/// An answered session from inside of a person of the subjects file, or by such means.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    /// Its id, subject, and the region of the other end.
    pub session: Incoming,
    /// A tag (`rmm:anydesk`), or a protocol of tunnels.
    pub by: Option<Arc<str>>,
}

/// What a record says; `None` for most.
pub(super) fn egress(
    record: &Record,
    session: impl FnOnce(&Record) -> Incoming,
) -> Option<Box<Egress>> {
    let outbound = record.context.direction == Direction::Outbound;
    if !outbound || record.quality.unconfirmed || record.is_unproven() {
        return None;
    }
    let by = means(record).filter(|_| !record.context.application_approved);
    by.is_some().then(|| Box::new(Egress { session: session(record), by }))
}

/// The means by tag, else by protocol. A name that was looked up is of the resolver's session.
fn means(record: &Record) -> Option<Arc<str>> {
    let hits = record.context.hits.iter().filter(|hit| !hit.on.starts_with("dns."));
    let is_one = |tag: &str| tag.split_once(':').is_some_and(|(kind, _)| MEANS.contains(&kind));
    let tag = hits.map(|hit| &hit.tag).find(|tag| is_one(tag));
    tag.cloned().or_else(|| tunnel(record).map(|protocol| Arc::from(protocol.as_str())))
}

/// The protocol, if it is one of VPN clients.
pub(super) fn tunnel(record: &Record) -> Option<Protocol> {
    use Protocol::{Esp, Ike, L2tp, Openvpn, Wireguard};
    let protocol = record.facts.protocol;
    protocol.filter(|one| matches!(one, Esp | Ike | L2tp | Openvpn | Wireguard))
}
