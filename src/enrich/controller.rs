//! The other end of a remote-control session: its address, its leg, where it is.
//!
//! Owns: when there is one, and which of several sources names it. In: a record with direction,
//! lists, class and facts. Out: [`RemoteControl`]. Never: the address of the relay, or one of
//! several that contradict each other.

use crate::enrich::cache::OriginCache;
use crate::enrich::data::EnrichData;
use crate::enrich::geo::is_public;
use crate::model::app_facts::Rustdesk;
use crate::model::interaction::Class;
use crate::model::record::{Direction, StunFacts};
use crate::model::remote_control::RemoteControl;
use crate::model::{Addr, Peer, Record};

/// Tags of an address that are kept.
const TAGS_MAX: usize = 8;

/// Tags that name what controls: tools, and devices.
const TOOLS: [&str; 2] = ["rmm:", "kvm:"];

/// Finds the other end, if there is one.
pub(super) fn fill(record: &mut Record, data: &EnrichData, origins: &mut OriginCache) {
    let rustdesk = record.facts.app_facts().and_then(|facts| facts.rustdesk.as_deref());
    let tool = tool(record);
    let controlled = is_controlled(record);
    if tool.is_none() && !controlled && rustdesk.is_none() {
        return;
    }
    let mut found = Box::<RemoteControl>::default();
    let remote = remote(record.context.direction);
    let leg = record.through_relay(remote);
    let asked_for_peer = record.facts.stun().is_some_and(StunFacts::is_relayed);
    let relayed = asked_for_peer || is_answered(record, remote);
    if relayed {
        found.relay = Some(record.party(remote).ip);
    }
    if let Some(leg) = leg {
        (found.hidden_ns, found.samples) = (leg.hidden_ns, leg.samples);
        found.method = Some(leg.method);
    }
    let (controller, method) = match relayed {
        true => (record.facts.stun().and_then(|stun| peer(stun, &found, data)), "turn"),
        false => (controlled.then(|| direct(record, remote)).flatten(), "direct"),
    };
    // A message names whoever its sender likes: what the session itself shows goes first.
    let asked = || rustdesk.and_then(|found| asked(found, data));
    let (controller, method) = match controller {
        Some(_) => (controller, method),
        None => (asked(), "rustdesk"),
    };
    found.controller = controller;
    if found.controller.is_some() && found.method.is_none() {
        found.method = Some(method);
    }
    found.tool = tool.or_else(|| rustdesk?.answered.then(|| "rustdesk".into()));
    found.family = found.tool.as_ref().map(|tool| data.lists.family(tool));
    if let Some(addr) = found.controller {
        note_origin(addr, &mut found, data, origins);
    }
    record.remote_control = Some(found);
}

/// The application, if a list has it as a tool.
fn tool(record: &Record) -> Option<std::sync::Arc<str>> {
    let application = record.context.application.as_ref()?;
    let is_it =
        |tag: &str| TOOLS.iter().any(|prefix| tag.strip_prefix(prefix) == Some(&**application));
    record.context.hits.iter().any(|hit| is_it(&hit.tag)).then(|| application.clone())
}

/// The side that is not ours.
const fn remote(direction: Direction) -> Peer {
    match direction {
        Direction::Inbound => Peer::Initiator,
        _ => Peer::Responder,
    }
}

/// Whether the traffic looks as if our side showed its screen.
fn is_controlled(record: &Record) -> bool {
    let ours = match record.context.direction {
        Direction::Outbound => Peer::Initiator,
        Direction::Inbound => Peer::Responder,
        Direction::Internal | Direction::External => return false,
    };
    record.interaction.as_deref().is_some_and(|seen| {
        seen.controlled == Some(ours)
            && matches!(seen.class, Class::RemoteControl | Class::ViewOnly)
    })
}

/// Whether something came back through a relay: whoever carries it stands between.
fn is_answered(record: &Record, remote: Peer) -> bool {
    record.interaction.as_deref().is_some_and(|seen| seen.checks.inner(remote).samples > 0)
}

/// The one peer that a relay reaches. What a channel is bound to is reached; a permission is asked
/// for each candidate of the other end, private ones too. Where both ends have the same relay, the
/// peer is the relay.
fn peer(stun: &StunFacts, found: &RemoteControl, data: &EnrichData) -> Option<Addr> {
    let is_relay = |addr: Addr| Some(addr) == found.relay;
    let bound = stun.bound.iter().copied().filter(|addr| !is_relay(*addr));
    let permitted = stun.permitted.iter().copied();
    let permitted = permitted.filter(|addr| !is_relay(*addr) && !data.is_private(*addr));
    only(bound).or_else(|| only(permitted))
}

/// Who asked to control a host: of several, the latest that a list has, so that nobody hides one by
/// naming another.
fn asked(found: &Rustdesk, data: &EnrichData) -> Option<Addr> {
    let latest_first = || found.controllers.iter().rev().copied();
    let is_listed = |addr: &Addr| data.lists.holds(*addr);
    latest_first().find(is_listed).or_else(|| latest_first().next())
}

/// The one there is.
fn only(mut all: impl Iterator<Item = Addr>) -> Option<Addr> {
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

/// The other end itself, where nothing stands between: it opened the session, or both ends
/// checked their paths (RFC 8445).
fn direct(record: &Record, remote: Peer) -> Option<Addr> {
    let real_time = record.interaction.as_deref().is_some_and(|seen| seen.sums.real_time);
    (remote == Peer::Initiator || real_time).then(|| record.party(remote).ip)
}

/// Place, system and tags of an address.
fn note_origin(
    addr: Addr,
    found: &mut RemoteControl,
    data: &EnrichData,
    origins: &mut OriginCache,
) {
    if is_public(addr) {
        let origin = origins.get(&data.geo, addr);
        (found.place, found.asn) = (origin.place, origin.asn);
    }
    let country = found.place.as_ref().and_then(|place| place.country.as_deref());
    let is_named = |code: &&str| data.countries.iter().any(|named| named == code.as_bytes());
    // Before the lists': those that are many must not push it out.
    found.tags.extend(country.filter(is_named).map(|code| format!("country:{code}").into()));
    let number = found.asn.as_ref().map(|system| system.number);
    let by_system = number.into_iter().flat_map(|number| data.lists.by_asn(number));
    for entry in data.lists.by_address(addr).chain(by_system.cloned()) {
        let tag = &*entry.tag;
        if found.tags.len() < TAGS_MAX && !found.tags.iter().any(|known| **known == *tag) {
            found.tags.push(tag.into());
        }
    }
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
