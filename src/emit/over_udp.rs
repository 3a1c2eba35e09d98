//! What a session line says of exchanges over UDP.
//!
//! Owns: `longhaul.exchange` and the gaps over UDP. In: a session's facts. Out: members of an open
//! object. Never: a gap of TCP.

use crate::emit::json::Json;
use crate::emit::json::key;
use crate::emit::json::quoted;
use crate::model::Record;
use crate::model::latency::Exchange;
use crate::model::latency::Turns;
use crate::model::record::Facts;

/// The round trip to one end, in ns.
pub(super) fn round_trip(record: &Record, by_initiator: bool) -> Option<u64> {
    record.facts.over_udp(by_initiator).map(|turn| turn.round_trip_ns)
}

/// `exchange`: what they were.
pub(super) fn put_method(json: &mut Json<'_>, facts: &Facts) {
    let mark = json.open(key!("exchange"));
    if let Some(method) = facts.method_over_udp() {
        json.word(quoted!("method"), method);
    }
    json.close(mark);
}

/// What is hidden behind the initiator by them: members of `gap`.
pub(super) fn put_gaps(json: &mut Json<'_>, turns: &Turns) {
    json.micros(key!("dtls_us"), turns.gap_over_udp(Exchange::Dtls));
    json.micros(key!("quic_us"), turns.gap_over_udp(Exchange::Quic));
    json.micros(key!("ike_us"), turns.gap_over_udp(Exchange::Ike));
    json.micros(key!("openvpn_us"), turns.gap_over_udp(Exchange::Openvpn));
}
