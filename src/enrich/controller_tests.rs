//! Tests of who is at the other end of a remote-control session.

use super::*;
use crate::enrich::data::EnrichOptions;
use crate::enrich::enricher_tests::{enriched, enricher, record};
use crate::model::Transport;
use crate::model::app_facts::Rustdesk;
use crate::model::interaction::{Interaction, InteractionSums};
use crate::model::remote_control::{Checks, RoundTrip};

const HOME: &str = "10.0.0.5";
const RELAY: &str = "9.9.9.9";
const CONTROLLER: &str = "104.140.119.5";

fn addr(text: &str) -> Addr {
    text.parse::<std::net::IpAddr>().unwrap().into()
}

/// An outbound session in which our side is controlled, through a relay.
fn relayed() -> Record {
    let mut record = record(HOME, RELAY, 3_478);
    record.transport = Transport::UDP;
    let sums = InteractionSums { real_time: true, ..InteractionSums::default() };
    record.interaction = Some(Box::new(Interaction {
        class: Class::RemoteControl,
        controlled: Some(Peer::Initiator),
        ..Interaction::new(sums)
    }));
    let mut checks = Checks::NONE;
    checks.inner[1] = RoundTrip { min_us: 210_000, samples: 40 };
    checks.outer[1] = RoundTrip { min_us: 30_000, samples: 2 };
    record.interaction.as_mut().unwrap().checks = checks;
    record
}

fn filled(record: Record) -> Option<RemoteControl> {
    enriched(record).remote_control.map(|found| *found)
}

fn with_peers(bound: &[&str], permitted: &[&str]) -> Option<RemoteControl> {
    let mut record = relayed();
    let stun = record.facts.rare_mut().stun.get_or_insert_default();
    stun.bound = bound.iter().map(|ip| addr(ip)).collect();
    stun.permitted = permitted.iter().map(|ip| addr(ip)).collect();
    filled(record)
}

#[test]
fn the_hidden_leg_is_what_goes_through_the_relay_less_the_way_to_it() {
    let found = filled(relayed()).unwrap();
    assert_eq!(
        (found.hidden_ns, found.samples, found.method),
        (Some(180_000_000), 40, Some("stun"))
    );
    assert_eq!((found.relay, found.controller), (Some(addr(RELAY)), None));
    let mut without = relayed();
    without.interaction.as_mut().unwrap().checks.outer = Checks::NONE.outer;
    without.far.handshake_ns = None;
    without.far.in_session = None;
    assert_eq!(filled(without).unwrap().hidden_ns, None, "the way to the relay is unknown");
}

#[test]
fn one_peer_is_the_controller_several_are_none() {
    let of = |bound: &[&str], permitted: &[&str]| with_peers(bound, permitted).unwrap().controller;
    let known = Some(addr(CONTROLLER));
    assert_eq!(of(&[CONTROLLER], &["1.1.1.1"]), known);
    assert_eq!(of(&[], &[CONTROLLER, "192.168.1.7", RELAY]), known);
    assert_eq!(of(&[RELAY], &[CONTROLLER]), known);
    assert_eq!(of(&[], &[CONTROLLER, "1.1.1.1"]), None);
    assert_eq!(of(&[RELAY], &[RELAY]), None);
}

#[test]
fn a_call_has_no_controller() {
    let mut call = relayed();
    call.facts.rare_mut().stun.get_or_insert_default().bound = vec![addr(CONTROLLER)];
    call.interaction.as_mut().unwrap().class = Class::Call;
    assert_eq!(filled(call), None);
    let mut watches = relayed();
    watches.interaction.as_mut().unwrap().controlled = Some(Peer::Responder);
    assert_eq!(filled(watches), None, "our side controls");
}

#[test]
fn without_a_relay_the_other_end_itself_controls() {
    let direct = |mut record: Record| {
        record.interaction.as_mut().unwrap().checks = Checks::NONE;
        filled(record).map(|found| (found.controller, found.method))
    };
    let itself = Some((Some(addr(RELAY)), Some("direct")));
    assert_eq!(direct(relayed()), itself);
    let mut stream = relayed();
    stream.interaction.as_mut().unwrap().sums.real_time = false;
    assert_eq!(direct(stream.clone()), Some((None, None)), "it may be a relay");
    let mut inbound = record(RELAY, HOME, 5_900);
    inbound.interaction = stream.interaction.clone();
    inbound.interaction.as_mut().unwrap().controlled = Some(Peer::Responder);
    assert_eq!(direct(inbound), itself);
}

#[test]
fn what_rustdesks_server_names_counts_without_a_class() {
    let mut record = record(HOME, RELAY, 21_116);
    let controllers = vec![addr("1.1.1.1"), addr(CONTROLLER)];
    let set = |record: &mut Record, named: Rustdesk| {
        record.facts.rare_mut().app_facts.get_or_insert_default().rustdesk = Some(Box::new(named));
    };
    let named = Rustdesk { controllers, ..Rustdesk::default() };
    set(&mut record, named.clone());
    assert_eq!(filled(record.clone()).unwrap().tool, None, "no server answered");
    set(&mut record, Rustdesk { answered: true, ..named });
    let found = filled(record).unwrap();
    assert_eq!((found.controller, found.method), (Some(addr(CONTROLLER)), Some("rustdesk")));
    assert_eq!((found.tool.as_deref(), found.relay), (Some("rustdesk"), None));
    assert_eq!(found.asn.unwrap().number, 62_904);
    assert!(found.tags.iter().any(|tag| **tag == *"vpn:astrill"), "{:?}", found.tags);
    assert!(found.tags.iter().any(|tag| **tag == *"hosting"), "{:?}", found.tags);
}

#[test]
fn a_tool_is_an_application_that_a_list_calls_one() {
    let of = |name: &str| {
        let mut record = record(HOME, RELAY, 443);
        record.facts.tls.get_or_insert_default().server_name = Some(name.into());
        filled(record).and_then(|found| found.tool)
    };
    assert_eq!(of("relay.anydesk.com").as_deref(), Some("anydesk"));
    assert_eq!(of("api.github.com"), None);
}

#[test]
fn a_country_counts_only_where_the_site_names_it() {
    let tags = |countries: &[[u8; 2]]| {
        let mut record = relayed();
        record.facts.rare_mut().stun.get_or_insert_default().bound = vec![addr("8.8.8.8")];
        let options = EnrichOptions { countries: countries.to_vec(), ..EnrichOptions::default() };
        enricher(&options).enrich(&mut record);
        record.remote_control.unwrap().tags
    };
    let named = |tags: Vec<Box<str>>| tags.iter().any(|tag| **tag == *"country:US");
    assert!(!named(tags(&[])) && !named(tags(&[*b"ZZ"])));
    assert!(named(tags(&[*b"ZZ", *b"US"])));
}

#[test]
fn tools_of_one_vendor_are_one_family() {
    let of = |name: &str| {
        let mut record = record(HOME, RELAY, 443);
        record.facts.tls.get_or_insert_default().server_name = Some(name.into());
        filled(record).unwrap().family
    };
    assert_eq!(of("logmein.com"), of("gotomypc.com"));
    assert_eq!(of("hoptodesk.com").as_deref(), Some("rustdesk"));
    assert_eq!(of("relay.anydesk.com").as_deref(), Some("anydesk"));
}
