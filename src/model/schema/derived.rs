//! Fields that are calculated from other fields.
//!
//! Owns: the calculation of each. In: the values of other fields, by name. Out: a value. Never: a
//! measurement.

use crate::model::physics::{KM_PER_RTT_MS_FIBRE, KM_PER_RTT_MS_REAL};
use crate::model::schema::{Judged, Value};
use crate::model::{Transport, names};

/// A share or ratio, to three decimals; absent if the divisor is zero.
pub(super) fn ratio(part: f64, whole: f64) -> Value<'static> {
    let share = (whole > 0.0).then(|| part / whole);
    Value::float_opt(share.map(|share| (share * 1_000.0).round() / 1_000.0))
}

/// The distance that a round trip allows at a speed, to 100 m.
pub(super) fn reach(round_trip_ns: f64, km_per_ms: f64) -> Value<'static> {
    Value::float_opt(Some((round_trip_ns / 1e6 * km_per_ms * 10.0).round() / 10.0))
}

/// The lowest confidence at which the hidden leg is added to a distance.
pub(super) const HIDDEN_AT_LEAST: f64 = 0.5;

/// The value of a calculated field, absent if those it needs are absent; `None` if the field of
/// that name is not calculated.
pub fn derived<'a, S: Judged>(name: &str, get: &dyn Fn(&str) -> Value<'a>) -> Option<Value<'a>> {
    let number = |name: &str| get(name).as_number();
    let quotient = |part: Option<f64>, whole: Option<f64>| match (part, whole) {
        (Some(part), Some(whole)) => ratio(part, whole),
        _ => Value::Absent,
    };
    let floor = || number("longhaul.floor_us");
    Some(match name {
        "network.bytes" => sum(get("source.bytes"), get("destination.bytes")),
        "network.packets" => sum(get("source.packets"), get("destination.packets")),
        "network.type" => family(get("source.ip")),
        "network.iana_number" => iana_number(get("network.transport")),
        "tls.version_protocol" => tls_protocol(get("tls.version")),
        "destination.domain" => first(get("tls.client.server_name"), get("url.domain")),
        "longhaul.remote.handshake_us" => of_remote("handshake_us", get),
        "longhaul.remote.rtt.min_us" => of_remote("rtt.min_us", get),
        "longhaul.floor.ratio" => {
            let excess = number("longhaul.floor.excess_us");
            quotient(floor(), floor().zip(excess).map(|(floor, excess)| floor - excess))
        }
        "longhaul.hidden_leg.ratio" => quotient(number("longhaul.hidden_leg.us"), floor()),
        "longhaul.stack.differ_share" => {
            quotient(number("longhaul.stack.differ"), number("longhaul.stack.compared"))
        }
        "longhaul.disc.fibre_km" => disc(get, KM_PER_RTT_MS_FIBRE),
        "longhaul.disc.real_km" => disc(get, KM_PER_RTT_MS_REAL),
        _ => return None,
    })
}

fn sum<'a>(a: Value<'a>, b: Value<'a>) -> Value<'a> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.saturating_add(b)),
        _ => Value::Absent,
    }
}

fn first<'a>(a: Value<'a>, b: Value<'a>) -> Value<'a> {
    if a.is_absent() { b } else { a }
}

fn family(ip: Value<'_>) -> Value<'static> {
    match ip {
        Value::Ip(ip) => Value::Word(if ip.to_v4().is_some() { "ipv4" } else { "ipv6" }),
        _ => Value::Absent,
    }
}

fn iana_number(transport: Value<'_>) -> Value<'static> {
    let want = transport.to_text();
    let named = (0..=u8::MAX).find(|n| Transport(*n).name() == Some(want.as_str()));
    let number = named.or_else(|| want.parse().ok());
    number.map_or(Value::Absent, |n| Value::Digits(n.into()))
}

fn tls_protocol(version: Value<'_>) -> Value<'static> {
    let want = version.to_text();
    let all = [0x0304, 0x0303, 0x0302, 0x0301, 0x0300, 0x0002];
    let known = all.into_iter().filter_map(names::tls_version);
    Value::word_opt(known.into_iter().find(|(number, _)| *number == want).map(|(_, name)| name))
}

/// The leg to the remote end; only inbound and outbound sessions have a remote end.
fn of_remote<'a>(part: &str, get: &dyn Fn(&str) -> Value<'a>) -> Value<'a> {
    match get("network.direction").to_text().as_str() {
        "inbound" => get(&format!("longhaul.near.{part}")),
        "outbound" => get(&format!("longhaul.far.{part}")),
        _ => Value::Absent,
    }
}

/// The distance that floor and hidden leg together allow at a speed.
fn disc<'a>(get: &dyn Fn(&str) -> Value<'a>, km_per_ms: f64) -> Value<'a> {
    let number = |name: &str| get(name).as_number();
    let Some(floor) = number("longhaul.floor_us") else { return Value::Absent };
    let sure = number("longhaul.hidden_leg.confidence").is_some_and(|c| c >= HIDDEN_AT_LEAST);
    let hidden = number("longhaul.hidden_leg.us").filter(|_| sure).unwrap_or(0.0);
    reach((floor + hidden) * 1e3, km_per_ms)
}
