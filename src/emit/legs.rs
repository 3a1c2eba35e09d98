//! The legs of a session in its line.
//!
//! Owns: the names and order of a leg's fields. In: a leg. Out: members of `longhaul`. Never: a
//! number that was not measured.

use crate::emit::json::Json;
use crate::emit::json::Key;
use crate::emit::json::QUOTED_ELEMENT;
use crate::emit::json::key;
use crate::model::latency::RoundTrips;
use crate::model::record::Leg;

/// One leg under its name, where anything of it is known; `exchange_ns` is its round trip over UDP.
pub(super) fn put_leg(json: &mut Json<'_>, key: Key, leg: &Leg, exchange_ns: Option<u64>) {
    let mark = json.open(key);
    json.micros(key!("handshake_us"), leg.handshake_ns);
    json.micros(key!("exchange_us"), exchange_ns);
    if let Some(trips) = &leg.in_session {
        put_round_trips(json, trips);
    }
    json.close(mark);
}

fn put_round_trips(json: &mut Json<'_>, trips: &RoundTrips) {
    let mark = json.open(key!("rtt"));
    json.micros(key!("min_us"), Some(trips.min_ns));
    json.micros(key!("p50_us"), Some(trips.p50_ns));
    json.micros(key!("p95_us"), Some(trips.p95_ns));
    json.number(key!("samples"), trips.samples);
    let list = json.open(key!("methods"));
    for word in trips.methods.words() {
        json.word(QUOTED_ELEMENT, word);
    }
    json.close_list(list);
    json.close(mark);
}
