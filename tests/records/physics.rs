//! Sets the distance fields of a case's record.
//!
//! Owns: how bounds, claims and verdict are set. In: a field's name and value. Out: a record's
//! physics. Never: computes one from another.

use serde_json::Value as Json;

use longhaul::model::Record;
use longhaul::model::physics::Claim;
use longhaul::model::physics::Claims;
use longhaul::model::physics::Physics;
use longhaul::model::physics::PhysicsVerdict;
use longhaul::model::record::Context;

/// Tags that a case may name.
const TAGS: [&str; 7] = ["anycast", "cdn", "sase", "relay", "pep", "satellite", "mobile"];

/// One part of what physics says.
pub(super) fn set_physics(context: &mut Context, name: &str, value: &Json) -> Option<()> {
    let physics = context.physics.get_or_insert(Physics {
        km_max_fibre: 0.0,
        km_max_real: 0.0,
        km_max_vacuum: 0.0,
        claim_km: None,
        claim_of: None,
        geo_km: None,
        verdict: PhysicsVerdict::Unknown,
        refuted: Claims::default(),
        doubtful: Claims::default(),
        claimed: None,
        region: None,
        withheld_by: None,
    });
    let word = |all: &[&'static str]| all.iter().copied().find(|w| Some(*w) == value.as_str());
    match name {
        "km_max_fibre" => physics.km_max_fibre = value.as_f64()?,
        "km_max_real" => physics.km_max_real = value.as_f64()?,
        "km_max_vacuum" => physics.km_max_vacuum = value.as_f64()?,
        "claim_km" => physics.claim_km = Some(value.as_f64()?),
        "geo_km" => physics.geo_km = Some(value.as_f64()?),
        "claim_of" => {
            let claims = [Claim::Subject, Claim::Geo];
            let is_it = |claim: &Claim| Some(claim.as_str()) == value.as_str();
            physics.claim_of = Some(claims.into_iter().find(is_it)?);
        }
        "verdict" => {
            let verdicts =
                [PhysicsVerdict::Possible, PhysicsVerdict::TooFast, PhysicsVerdict::Unknown];
            let is_it = |verdict: &PhysicsVerdict| Some(verdict.as_str()) == value.as_str();
            physics.verdict = verdicts.into_iter().find(is_it)?;
        }
        "refuted" => physics.refuted = claims(value)?,
        "doubtful" => physics.doubtful = claims(value)?,
        "withheld_by" => physics.withheld_by = Some(word(&TAGS)?),
        _ => return None,
    }
    Some(())
}

/// A field of a session that lasts.
pub(super) fn set_lasting(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    let number = || value.as_u64().and_then(|n| u32::try_from(n).ok());
    if name == "longhaul.update" {
        record.update = Some(number()?);
        return Some(());
    }
    let activity = record.activity.get_or_insert_default();
    match name {
        "longhaul.activity.seconds" => activity.seconds = number()?,
        "longhaul.activity.messages_up" => activity.messages_up = number()?,
        "longhaul.activity.messages_down" => activity.messages_down = number()?,
        _ => return None,
    }
    Some(())
}

fn claims(value: &Json) -> Option<Claims> {
    let words: Option<Vec<&str>> = match value {
        Json::Array(all) => all.iter().map(Json::as_str).collect(),
        one => one.as_str().map(|word| vec![word]),
    };
    Claims::of(&words?)
}
