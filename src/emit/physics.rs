//! What a session line says of distance.
//!
//! Owns: `longhaul.physics`. In: what enrichment concluded. Out: one member of an open object.
//! Never: a distance of its own.

use crate::emit::json::Json;
use crate::emit::json::Key;
use crate::emit::json::QUOTED_ELEMENT;
use crate::emit::json::key;
use crate::emit::json::quoted;
use crate::model::physics::Claims;
use crate::model::physics::Physics;

/// The disc of the round trip, the claims, and what follows.
pub(super) fn put_physics(json: &mut Json<'_>, physics: &Physics) {
    let mark = json.open(key!("physics"));
    json.float(key!("km_max_fibre"), physics.km_max_fibre);
    json.float(key!("km_max_real"), physics.km_max_real);
    json.float(key!("km_max_vacuum"), physics.km_max_vacuum);
    if let Some(km) = physics.claim_km {
        json.float(key!("claim_km"), km);
    }
    if let Some(claim) = physics.claim_of {
        json.word(quoted!("claim_of"), claim.as_str());
    }
    if let Some(km) = physics.geo_km {
        json.float(key!("geo_km"), km);
    }
    json.word(quoted!("verdict"), physics.verdict.as_str());
    put_claims(json, key!("refuted"), physics.refuted);
    put_claims(json, key!("doubtful"), physics.doubtful);
    if let Some(tag) = physics.withheld_by {
        json.word(quoted!("withheld_by"), tag);
    }
    json.close(mark);
}

fn put_claims(json: &mut Json<'_>, key: Key, claims: Claims) {
    let list = json.open(key);
    for claim in claims.words() {
        json.string(QUOTED_ELEMENT, claim);
    }
    json.close_list(list);
}
