//! What a session from inside says of whom it goes to, and of whom it comes from.
//!
//! Owns: which sessions count, and what of them. In: a record. Out: a small value that can cross
//! threads. Never: totals, or a session that nobody answered.

use std::sync::Arc;

use crate::endpoints::summary::{Incoming, may_drive, sides};
use crate::model::endpoint::Locality;
use crate::model::interaction::Class;
use crate::model::people_facts::Owner;
use crate::model::physics::ClaimedPlace;
use crate::model::protocol::Protocol;
use crate::model::record::{Direction, ListHit, Subject};
use crate::model::{Addr, Peer, Record};

/// Kinds of tags of what connects a host with somebody outside past the company's own gateways.
const MEANS: [&str; 5] = ["rmm", "vpn", "mesh", "tunnel", "kvm"];

/// A call shows a screen from so many kilobits a second on.
const SCREEN_KBPS: f64 = 30.0;

/// Messages of so few bytes are like input.
const INPUT_BYTES: u32 = 80;

/// An answered session from inside of a person of the subjects file, or by such means.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    /// Its id, subject, and the region of the other end.
    pub session: Incoming,
    /// It leaves our networks.
    pub outbound: bool,
    /// A tag (`rmm:anydesk`), or a protocol of tunnels.
    pub by: Option<Arc<str>>,
    /// The public address that its person is connected from.
    pub from: Option<Addr>,
    /// The place that the person claims, if connected from outside.
    pub claim: Option<ClaimedPlace>,
    /// Bytes that our side sent.
    pub up: u64,
    /// What kind of owner the other end has.
    pub owner: Option<Owner>,
    /// Somebody types or works at a distance.
    pub interactive: bool,
    /// A call in which our side shows a screen, and messages like input come back.
    pub screen_call: bool,
    /// Our side shows its screen, and is controlled.
    pub controlled: bool,
}

/// From here on a class is more likely than all others.
const CONFIDENCE_MIN: f64 = 0.5;

/// What shows the person of a home host, or what they use.
struct Shown {
    outbound: bool,
    by: Option<Arc<str>>,
    from: Option<Addr>,
    controlled: bool,
}

fn shown(record: &Record) -> Option<Shown> {
    let outbound = record.context.direction == Direction::Outbound;
    let inside = outbound || record.context.direction == Direction::Internal;
    if !inside || record.quality.unconfirmed || record.is_unproven() {
        return None;
    }
    let named = is_named(record);
    let holder = record.context.holder.as_deref();
    let from = holder.and_then(|holder| holder.from).filter(|_| named);
    let by = if outbound { means(record) } else { None };
    let by = by.filter(|_| !record.context.application_approved);
    let controlled = outbound && is_controlled(record);
    let shows = (outbound && named) || by.is_some() || from.is_some() || controlled;
    shows.then_some(Shown { outbound, by, from, controlled })
}

/// Whether rules on endpoints look at a session that is still open.
pub fn counts_while_open(record: &Record) -> bool {
    let (from, _) = sides(record.context.direction);
    from == Locality::Remote || may_drive(record) || shown(record).is_some()
}

/// What a record says; `None` for most.
pub(super) fn egress(
    record: &Record,
    session: impl FnOnce(&Record) -> Incoming,
) -> Option<Box<Egress>> {
    let Shown { outbound, by, from, controlled } = shown(record)?;
    Some(Box::new(Egress {
        session: session(record),
        outbound,
        by,
        from,
        claim: record.context.subject_claim,
        up: record.initiator.bytes,
        owner: owner(record),
        interactive: is_interactive(record),
        screen_call: is_screen_call(record),
        controlled,
    }))
}

/// Whether the subject is somebody of the subjects file, and not the other end.
fn is_named(record: &Record) -> bool {
    let answering = record.context.responder_subject.as_ref().map(|known| &known.id);
    matches!(&record.context.subject, Some(Subject::Named(id)) if Some(id) != answering)
}

/// Hits on the other end. A name that was looked up is of the resolver's session.
fn hits(record: &Record) -> impl Iterator<Item = &ListHit> {
    let own = |hit: &&ListHit| !hit.is_of_question() && !hit.is_of_source();
    record.context.hits.iter().filter(own)
}

/// The means by tag, else by protocol.
fn means(record: &Record) -> Option<Arc<str>> {
    let is_one = |tag: &str| tag.split_once(':').is_some_and(|(kind, _)| MEANS.contains(&kind));
    let tag = hits(record).map(|hit| &hit.tag).find(|tag| is_one(tag));
    tag.cloned().or_else(|| tunnel(record).map(|protocol| Arc::from(protocol.as_str())))
}

/// The kind of owner, by tag; the most exact first.
fn owner(record: &Record) -> Option<Owner> {
    let of = |tag: &str| match tag.split_once(':').map_or(tag, |(kind, _)| kind) {
        "code" => Some(Owner::Code),
        "sharing" => Some(Owner::Sharing),
        "storage" => Some(Owner::Storage),
        "hosting" => Some(Owner::Hosting),
        _ => match tag {
            "saas:github" | "saas:gitlab" => Some(Owner::Code),
            "saas:dropbox" => Some(Owner::Storage),
            _ => None,
        },
    };
    hits(record).filter_map(|hit| of(&hit.tag)).min()
}

fn is_interactive(record: &Record) -> bool {
    let class = record.interaction.as_ref().map(|interaction| interaction.class);
    matches!(class, Some(Class::RemoteControl | Class::Typing))
}

/// Whether the initiator is controlled from the other end, by its shape, with no approved tool.
fn is_controlled(record: &Record) -> bool {
    !record.context.application_approved
        && record.interaction.as_ref().is_some_and(|interaction| {
            interaction.class == Class::RemoteControl
                && interaction.controlled == Some(Peer::Initiator)
                && interaction.confidence >= CONFIDENCE_MIN
        })
}

fn is_screen_call(record: &Record) -> bool {
    record.interaction.as_ref().is_some_and(|interaction| {
        let back = interaction.sums.of(Peer::Responder);
        interaction.class == Class::Call
            && interaction.sums.kbps(Peer::Initiator) >= SCREEN_KBPS
            && back.inputs > 0
            && back.median_bytes <= INPUT_BYTES
    })
}

/// Messages of the initiator. One that lasts too short to be watched has a handshake and a request.
pub(super) fn messages(record: &Record) -> u32 {
    const SHORT: u32 = 3;
    let short = if record.initiator.bytes > 0 { SHORT } else { 0 };
    record.activity.map_or(short, |activity| activity.messages_up)
}

/// The protocol, if it is one of VPN clients.
pub(super) fn tunnel(record: &Record) -> Option<Protocol> {
    use Protocol::{Esp, Ike, L2tp, Openvpn, Wireguard};
    let protocol = record.facts.protocol;
    protocol.filter(|one| matches!(one, Esp | Ike | L2tp | Openvpn | Wireguard))
}
