//! The one table of fields, in parts.
//!
//! Owns: the order of the parts. In: nothing. Out: every field of a session. Never: a second list
//! of them.

mod judged;
mod lasting;
mod latency;
mod speech;
mod spoken;
mod whole;

use std::sync::LazyLock;

use crate::model::Record;
use crate::model::schema::Field;
use crate::model::schema::Part;
use crate::model::schema::Row;
use crate::model::schema::field_of;

/// A row of a part.
const fn field(row: Row<Record>) -> Field {
    field_of(row)
}

/// Every field of a session.
pub(super) static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let ecs = [whole::WHOLE, speech::SPEECH].concat();
    let own = [latency::LATENCY, spoken::SPOKEN, lasting::LASTING, judged::JUDGED].concat();
    [ecs, own].concat()
});

/// Parts that a record may lack, and the objects that come from them alone.
pub(super) static PARTS: &[Part<Record>] = &[
    ("source.geo", |r| r.initiator.place.is_some()),
    ("source.as", |r| r.initiator.asn.is_some()),
    ("destination.geo", |r| r.responder.place.is_some()),
    ("destination.as", |r| r.responder.asn.is_some()),
    ("tls", |r| r.facts.tls.is_some()),
    ("tls.server.x509", |r| r.facts.tls.as_ref().is_some_and(|tls| tls.certificate.is_some())),
    ("dns", |r| r.facts.dns.is_some()),
    ("http", |r| r.facts.http.is_some()),
    ("longhaul.near.rtt", |r| r.near.in_session.is_some()),
    ("longhaul.far.rtt", |r| r.far.in_session.is_some()),
    ("longhaul.gap", |r| r.facts.turns.is_some()),
    ("longhaul.server_gap", |r| r.facts.turns.is_some()),
    ("longhaul.lag", |r| r.facts.turns.is_some()),
    ("longhaul.server_lag", |r| r.facts.turns.is_some()),
    ("longhaul.tcp", |r| r.syn.is_some()),
    ("longhaul.tls", |r| r.facts.tls.is_some()),
    ("longhaul.dns", |r| r.facts.dns.is_some()),
    ("longhaul.ssh", |r| r.facts.ssh.is_some()),
    ("longhaul.stun", |r| r.facts.stun().is_some()),
    ("longhaul.http", |r| r.facts.http.is_some()),
    ("longhaul.encapsulation", |r| r.facts.wrapping().is_some()),
    ("longhaul.socks", |r| r.facts.socks().is_some()),
    ("longhaul.rdp", |r| r.facts.spoken().is_some()),
    ("longhaul.rfb", |r| r.facts.spoken().is_some()),
    ("longhaul.proxy", |r| r.facts.spoken().is_some()),
    ("longhaul.ldap", |r| r.facts.spoken().is_some()),
    ("longhaul.shape", |r| r.facts.spoken().is_some()),
    ("longhaul.activity", |r| r.activity.is_some()),
    ("longhaul.device", |r| r.context.holder.is_some()),
    ("longhaul.physics", |r| r.context.physics.is_some()),
];
