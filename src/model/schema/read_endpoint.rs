//! Accessors of endpoints for the table of fields.
//!
//! Owns: access to optional parts, and values calculated from two of them. In: an endpoint's row.
//! Out: values. Never: judgement, state.

use crate::model::Nanos;
use crate::model::controller_leg::ControllerLeg;
use crate::model::endpoint::{EndpointRow, Fingerprint, HiddenLeg, Needs, Tunnel};
use crate::model::endpoint_facts::{
    Baseline, ClaimTotals, Colocated, Control, Excess, MtuTotals, Spread, StackTotals,
    SyntheticInput,
};
use crate::model::people_facts::PeopleFacts;
use crate::model::physics::{KM_PER_RTT_MS_FIBRE, KM_PER_RTT_MS_REAL};
use crate::model::record::{AutonomousSystem, Place};
use crate::model::schema::derived::{HIDDEN_AT_LEAST, ratio, reach};
use crate::model::schema::value::{List, Value};

/// Reads a field of an optional part.
type Part<T> = for<'a> fn(&'a T) -> Value<'a>;

fn part<'a, T>(whole: Option<&'a T>, get: Part<T>) -> Value<'a> {
    whole.map_or(Value::Absent, get)
}

pub(super) fn hidden(row: &EndpointRow, get: Part<HiddenLeg>) -> Value<'_> {
    part(row.hidden.as_ref(), get)
}

pub(super) fn hidden_line(row: &EndpointRow, get: Part<HiddenLeg>) -> Value<'_> {
    part(row.hidden_line.as_ref(), get)
}

pub(super) fn needs(row: &EndpointRow, get: Part<Needs>) -> Value<'_> {
    part(row.hidden.as_ref().and_then(|hidden| hidden.needs.as_ref()), get)
}

pub(super) fn tunnel(row: &EndpointRow, get: Part<Tunnel>) -> Value<'_> {
    part(row.tunnel.as_ref(), get)
}

pub(super) fn claim(row: &EndpointRow, get: Part<ClaimTotals>) -> Value<'_> {
    part(row.traits.claim.as_ref(), get)
}

pub(super) fn colocated(row: &EndpointRow, get: Part<Colocated>) -> Value<'_> {
    part(row.traits.colocated.as_ref(), get)
}

/// Reads a part of what is known of people.
pub(super) fn people<'a, T: 'a>(
    row: &'a EndpointRow,
    of: fn(&'a PeopleFacts) -> Option<&'a T>,
    get: Part<T>,
) -> Value<'a> {
    part(row.traits.people.as_deref().and_then(of), get)
}

pub(super) fn hired(row: &EndpointRow) -> Value<'_> {
    let day = row.traits.latest.as_ref().and_then(|latest| latest.hired.as_deref());
    day.and_then(Nanos::from_date).map_or(Value::Absent, Value::Day)
}

pub(super) fn claim_excess(row: &EndpointRow) -> Value<'_> {
    excess_over(row, row.traits.claim.map(|claim| claim.km))
}

pub(super) fn region_excess(row: &EndpointRow) -> Value<'_> {
    excess_over(row, row.traits.region_km)
}

/// How far the floor lies above what so many km take on a usual path; none if it does not.
fn excess_over(row: &EndpointRow, km: Option<f64>) -> Value<'_> {
    let (Some(floor), Some(km)) = (row.floor_ns, km) else { return Value::Absent };
    let usual = (km / KM_PER_RTT_MS_REAL * 1e6) as u64;
    floor.checked_sub(usual).map_or(Value::Absent, Value::Micros)
}

pub(super) fn mtu(row: &EndpointRow, get: Part<MtuTotals>) -> Value<'_> {
    part(row.traits.mtu.as_ref(), get)
}

pub(super) fn stack(row: &EndpointRow, get: Part<StackTotals>) -> Value<'_> {
    part(row.traits.stack.as_ref(), get)
}

/// A value of the leg to who controls.
pub(super) fn controller_leg(row: &EndpointRow, get: Part<ControllerLeg>) -> Value<'_> {
    part(row.traits.control.as_deref().and_then(|control| control.leg.as_ref()), get)
}

pub(super) fn control(row: &EndpointRow, get: Part<Control>) -> Value<'_> {
    part(row.traits.control.as_deref(), get)
}

pub(super) fn synthetic(row: &EndpointRow, get: Part<SyntheticInput>) -> Value<'_> {
    part(row.traits.synthetic.as_deref(), get)
}

pub(super) fn spread(row: &EndpointRow, get: Part<Spread>) -> Value<'_> {
    part(row.traits.spread.as_ref(), get)
}

pub(super) fn excess(row: &EndpointRow, get: Part<Excess>) -> Value<'_> {
    part(row.traits.excess.as_ref(), get)
}

pub(super) fn baseline(row: &EndpointRow, get: Part<Baseline>) -> Value<'_> {
    part(row.traits.baseline.as_ref(), get)
}

pub(super) fn own(row: &EndpointRow, get: Part<Baseline>) -> Value<'_> {
    part(row.traits.subject_baseline.as_ref(), get)
}

pub(super) fn subject_excess(row: &EndpointRow) -> Value<'_> {
    let known = row.traits.subject_baseline.as_ref();
    Value::micros_opt(known.and_then(|baseline| baseline.excess_of(row.floor_ns)))
}

pub(super) fn place(row: &EndpointRow, get: Part<Place>) -> Value<'_> {
    part(row.place.as_deref(), get)
}

pub(super) fn asn(row: &EndpointRow, get: Part<AutonomousSystem>) -> Value<'_> {
    part(row.asn.as_deref(), get)
}

pub(super) fn ja4(row: &EndpointRow) -> Value<'_> {
    match &row.key.fingerprint {
        Some(Fingerprint::Ja4(ja4)) => Value::Str(ja4),
        _ => Value::Absent,
    }
}

pub(super) fn ssh(row: &EndpointRow) -> Value<'_> {
    match &row.key.fingerprint {
        Some(Fingerprint::Ssh(software)) => Value::Str(software),
        _ => Value::Absent,
    }
}

pub(super) fn transport(row: &EndpointRow) -> Value<'_> {
    let Some(service) = row.key.service else { return Value::Absent };
    match service.transport.name() {
        Some(name) => Value::Word(name),
        None => Value::Digits(u64::from(service.transport.0)),
    }
}

pub(super) fn port(row: &EndpointRow) -> Value<'_> {
    Value::int_opt(row.key.service.map(|service| service.port).filter(|port| *port > 0))
}

pub(super) fn tags(row: &EndpointRow) -> Value<'_> {
    Value::list(List::Names(&row.tags))
}

/// The hidden leg divided by the floor of the transport's round trips.
pub(super) fn hidden_ratio(row: &EndpointRow) -> Value<'_> {
    match (row.hidden, row.floor_ns) {
        (Some(hidden), Some(floor)) => ratio(hidden.ns as f64, floor as f64),
        _ => Value::Absent,
    }
}

/// The endpoint's floor divided by that of its neighbours.
pub(super) fn floor_ratio(excess: &Excess) -> Value<'_> {
    let floor = excess.floor_ns.saturating_add(excess.over_ns);
    ratio(floor as f64, excess.floor_ns as f64)
}

pub(super) fn differ_share(stack: &StackTotals) -> Value<'_> {
    ratio(f64::from(stack.differ), f64::from(stack.compared))
}

/// The distance that floor and hidden leg together allow at a speed.
fn disc(row: &EndpointRow, km_per_ms: f64) -> Value<'_> {
    let sure = row.hidden.filter(|hidden| hidden.confidence >= HIDDEN_AT_LEAST);
    let hidden = sure.map_or(0, |hidden| hidden.ns);
    let whole = row.floor_ns.map(|floor| floor.saturating_add(hidden) as f64);
    whole.map_or(Value::Absent, |whole| reach(whole, km_per_ms))
}

pub(super) fn disc_fibre(row: &EndpointRow) -> Value<'_> {
    disc(row, KM_PER_RTT_MS_FIBRE)
}

pub(super) fn disc_real(row: &EndpointRow) -> Value<'_> {
    disc(row, KM_PER_RTT_MS_REAL)
}

pub(super) fn subject(row: &EndpointRow) -> Value<'_> {
    let Some(latest) = &row.traits.latest else { return Value::Absent };
    match &latest.subject {
        Some(id) => Value::Str(id),
        None => Value::Ip(latest.began),
    }
}

/// The number of measurements that a field is based on.
pub fn samples(row: &EndpointRow, field: &str) -> u64 {
    let traits = &row.traits;
    let of = |head: &str| field.starts_with(head);
    if of("longhaul.hidden_leg.") {
        row.hidden.map_or(0, |hidden| u64::from(hidden.samples))
    } else if of("longhaul.remote_control.") {
        traits.control.as_ref().map_or(0, |control| u64::from(control.keys))
    } else if of("longhaul.synthetic_input.") {
        traits.synthetic.as_ref().map_or(0, |synthetic| u64::from(synthetic.bursts))
    } else if of("longhaul.rtt.") {
        traits.spread.map_or(0, |spread| u64::from(spread.sessions))
    } else if of("longhaul.stack.") {
        traits.stack.map_or(0, |stack| u64::from(stack.compared))
    } else if of("longhaul.mtu.") {
        traits.mtu.as_ref().map_or(row.sessions, |mtu| u64::from(mtu.syns))
    } else if of("longhaul.floor") || of("longhaul.disc.") {
        // UDP has no handshakes of its own.
        if row.handshakes > 0 { row.handshakes } else { row.sessions }
    } else {
        row.sessions
    }
}
