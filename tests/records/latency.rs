//! Sets the latency fields of a case's record.
//!
//! Owns: how legs, round trips and gaps are set. In: a field's name and value. Out: a record's legs
//! and turns. Never: a gap without the leg that it is measured against.

use serde_json::Value as Json;

use crate::records::record::nanos;
use crate::records::record::small;
use crate::records::record::texts;
use longhaul::model::Nanos;
use longhaul::model::Record;
use longhaul::model::lag::Lag;
use longhaul::model::lag::TURNS;
use longhaul::model::latency::Exchange;
use longhaul::model::latency::Exclusions;
use longhaul::model::latency::Methods;
use longhaul::model::latency::RoundTrips;
use longhaul::model::latency::Turn;
use longhaul::model::latency::Turns;

/// A turn longer than its leg by this; the leg must be given, too.
pub(super) fn set_gap(
    record: &mut Record,
    name: &str,
    value: &Json,
    by_initiator: bool,
) -> Option<()> {
    let leg = if by_initiator { record.near } else { record.far };
    let turns: &mut Turns = record.facts.turns.get_or_insert_default();
    if name == "excluded" {
        let words = texts(value)?;
        for (bit, word) in Exclusions::WORDS {
            turns.excluded.0 |= if words.iter().any(|said| **said == *word) { bit } else { 0 };
        }
        return Some(());
    }
    let word = name.strip_suffix("_us")?;
    let exchange = *Exchange::ALL.iter().find(|exchange| exchange.as_str() == word)?;
    let round_trip_ns = leg.transport_ns()?.checked_add(nanos(value)?)?;
    turns.turns.push(Turn::new(exchange, by_initiator, round_trip_ns));
    Some(())
}

/// The lag of one turn of the initiator, or the lowest of the responder, promptly acknowledged.
pub(super) fn set_lag(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    let slot = match name {
        "longhaul.server_lag.us" => (false, 0),
        _ => {
            let turn = name.strip_prefix("longhaul.lag.turn")?.strip_suffix("_us")?;
            (true, turn.parse::<usize>().ok()?.checked_sub(1).filter(|turn| *turn < TURNS)?)
        }
    };
    let turns = record.facts.turns.get_or_insert_default();
    let span = Nanos(nanos(value)?);
    turns.lags.put(slot, span, Lag::of(span));
    Some(())
}

/// One part of the round trips within a session.
pub(super) fn set_trips(trips: &mut RoundTrips, name: &str, value: &Json) -> Option<()> {
    match name {
        "min_us" => trips.min_ns = nanos(value)?,
        "p50_us" => trips.p50_ns = nanos(value)?,
        "p95_us" => trips.p95_ns = nanos(value)?,
        "samples" => trips.samples = small(value)?,
        "methods" => {
            let words = value.as_array()?.iter().map(Json::as_str).collect::<Option<Vec<_>>>()?;
            trips.methods = Methods::of(&words)?;
        }
        _ => return None,
    }
    Some(())
}

/// The exchange over UDP whose gap has this name.
pub(super) fn gap_over_udp(name: &str) -> Option<Exchange> {
    let word = name.strip_prefix("longhaul.gap.")?.strip_suffix("_us")?;
    let thought = [
        Exchange::Dtls,
        Exchange::DtlsResumed,
        Exchange::Quic,
        Exchange::QuicResumed,
        Exchange::Ike,
        Exchange::Openvpn,
    ];
    thought.into_iter().find(|exchange| exchange.as_str() == word)
}

/// A turn longer by this than one without computing, which must be given, too.
pub(super) fn set_gap_over_udp(
    record: &mut Record,
    exchange: Exchange,
    value: &Json,
) -> Option<()> {
    let turns = record.facts.turns.get_or_insert_default();
    let round_trip_ns = turns.near?.round_trip_ns.checked_add(nanos(value)?)?;
    turns.turns.push(Turn::new(exchange, true, round_trip_ns));
    Some(())
}

/// Round trips over UDP, and the kind of exchange.
pub(super) fn set_over_udp(turns: &mut Turns, name: &str, value: &Json) -> Option<()> {
    let turn = |by_initiator| {
        let round_trip_ns = nanos(value)?;
        Some(Turn::new(Exchange::Ping, by_initiator, round_trip_ns))
    };
    match name {
        "near.exchange_us" => turns.near = Some(turn(true)?),
        "far.exchange_us" => turns.far = Some(turn(false)?),
        _ => {
            let word = value.as_str()?;
            let exchange = Exchange::OVER_UDP.into_iter().find(|one| one.as_str() == word)?;
            for turn in turns.near.iter_mut().chain(&mut turns.far) {
                turn.exchange = exchange;
            }
        }
    }
    Some(())
}
