//! `longhaul.gap` and `longhaul.server_gap` of a session.
//!
//! Owns: their names and order. In: a record's turns and legs. Out: members of the open object.
//! Never: an arithmetic of its own, or an empty object.

use crate::emit::json::Json;
use crate::emit::json::Key;
use crate::emit::json::QUOTED_ELEMENT;
use crate::emit::json::key;
use crate::emit::over_udp;
use crate::model::Record;
use crate::model::latency::Exchange;
use crate::model::latency::Turns;
use crate::model::record::Leg;

/// The exchanges over TCP, in the order of the output.
const KEYS: [(Exchange, Key); 10] = [
    (Exchange::FirstData, key!("first_data_us")),
    (Exchange::Tls, key!("tls_us")),
    (Exchange::TlsResumed, key!("tls_resumed_us")),
    (Exchange::TlsCertificate, key!("tls_certificate_us")),
    (Exchange::TlsData, key!("tls_data_us")),
    (Exchange::Ssh, key!("ssh_us")),
    (Exchange::SshAuth, key!("ssh_auth_us")),
    (Exchange::Rdp, key!("rdp_us")),
    (Exchange::Rfb, key!("rfb_us")),
    (Exchange::Ping, key!("ping_us")),
];

/// Writes both objects, where there is anything to say.
pub(super) fn put_gaps(json: &mut Json<'_>, record: &Record) {
    let Some(turns) = record.facts.turns.as_deref() else { return };
    let mark = json.open(key!("gap"));
    put_side(json, turns, true, &record.near);
    over_udp::put_gaps(json, turns);
    let list = json.open(key!("excluded"));
    for word in turns.excluded.words() {
        json.word(QUOTED_ELEMENT, word);
    }
    json.close_list(list);
    json.close(mark);
    let mark = json.open(key!("server_gap"));
    put_side(json, turns, false, &record.far);
    json.close(mark);
}

fn put_side(json: &mut Json<'_>, turns: &Turns, by_initiator: bool, leg: &Leg) {
    for (exchange, key) in KEYS {
        json.micros(key, turns.gap(exchange, by_initiator, leg));
    }
}
