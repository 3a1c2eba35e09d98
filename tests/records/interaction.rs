//! Fields of control and of the controller, by name.

use longhaul::model::interaction::{Class, Interaction, Stalls};
use longhaul::model::record::Place;
use longhaul::model::remote_control::RemoteControl;
use longhaul::model::{Peer, Record};
use serde_json::Value as Json;

use super::record::{nanos, small, text, texts};

/// A field of `longhaul.interaction`.
pub(super) fn set_interaction(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    let interaction: &mut Interaction = record.interaction.get_or_insert_default();
    match name {
        "class" => {
            let all = [Class::RemoteControl, Class::ViewOnly, Class::Call, Class::Unknown];
            interaction.class = all.into_iter().find(|class| value == class.name())?;
        }
        "controlled_side" => {
            let is_source = value.as_str()? == "source";
            interaction.controlled =
                Some(if is_source { Peer::Initiator } else { Peer::Responder });
        }
        "confidence" => {
            interaction.confidence = value.as_f64()?;
            // Only a class has one.
            if interaction.class == Class::Unknown {
                interaction.class = Class::Call;
            }
        }
        "screen_kbps" | "ratio" => set_bytes(interaction, name, value.as_f64()?)?,
        "control_median_bytes" | "control_p90_pps" | "active_s" => {
            let number = u32::try_from(value.as_u64()?).ok()?;
            // Of both sides: which one controls may be set later.
            for side in [&mut interaction.sums.initiator, &mut interaction.sums.responder] {
                match name {
                    "control_median_bytes" => side.median_bytes = number,
                    "control_p90_pps" => side.p90_pps = number,
                    _ => side.active_s = number,
                }
            }
        }
        _ => return None,
    }
    Some(())
}

/// A field of `longhaul.stalls`: hours, bursts in one, then the ratio.
pub(super) fn set_stalls(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    let seen = record.interaction.get_or_insert_default();
    let stalls = seen.stalls.get_or_insert(Stalls { hours: 13, most: 6, others: 12 });
    match name {
        "hours" => stalls.hours = small(value)?,
        "most" => stalls.most = small(value)?,
        "ratio" => {
            let others = f64::from(stalls.hours.checked_sub(1)?);
            stalls.others = (f64::from(stalls.most) * others / value.as_f64()?).round() as u32;
        }
        _ => return None,
    }
    Some(())
}

/// A field of `longhaul.echo`. The responder's leg may be set later: it is 10 ms until then.
pub(super) fn set_echo(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    let ack = *record.far.handshake_ns.get_or_insert(10_000_000);
    let seen = record.interaction.get_or_insert_default();
    let echo = seen.echo.get_or_insert_default();
    match name {
        "median_us" => echo.median_ns = nanos(value)?,
        "excess_us" => echo.median_ns = nanos(value)?.saturating_add(ack),
        "ratio" => {
            // What the excess says stays.
            let excess = echo.median_ns.saturating_sub(ack);
            let ack = (excess as f64 / (value.as_f64()? - 1.0)).round() as u64;
            (echo.median_ns, record.far.handshake_ns) = (excess + ack, Some(ack));
        }
        "samples" => echo.samples = small(value)?,
        "piggybacked" => echo.together = small(value)?,
        _ => return None,
    }
    Some(())
}

/// Bytes of both sides that give this rate or this ratio, beside what is set already.
fn set_bytes(interaction: &mut Interaction, name: &str, value: f64) -> Option<()> {
    let sums = &mut interaction.sums;
    let (screen, control) = match interaction.controlled? {
        Peer::Initiator => (&mut sums.initiator, &mut sums.responder),
        Peer::Responder => (&mut sums.responder, &mut sums.initiator),
    };
    match (name, screen.bytes) {
        ("ratio", 0) => (control.bytes, screen.bytes) = (1_000, (value * 1_000.0) as u64),
        ("ratio", bytes) => control.bytes = (bytes as f64 / value) as u64,
        (_, 0) => (sums.span_ms, screen.bytes) = (2_000, (value * 250.0) as u64),
        (_, bytes) => sums.span_ms = (bytes as f64 * 8.0 / value) as u64,
    }
    Some(())
}

/// A field of `longhaul.remote_control`.
pub(super) fn set_remote_control(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    let found: &mut RemoteControl = record.remote_control.get_or_insert_default();
    let addr = || value.as_str()?.parse::<std::net::IpAddr>().ok().map(Into::into);
    match name {
        "tool" => found.tool = Some((&*text(value)?).into()),
        "family" => found.family = Some((&*text(value)?).into()),
        "relay" => found.relay = Some(addr()?),
        "controller.ip" => found.controller = Some(addr()?),
        "controller.geo.country_iso_code" => {
            let (country, cached) = (Some(value.as_str()?.into()), Default::default());
            let place = Place { country, region: None, location: None, radius_km: None, cached };
            found.place = Some(place.into());
        }
        "controller.tags" => found.tags = texts(value)?,
        "hidden_us" => found.hidden_ns = Some((value.as_f64()? * 1_000.0) as u64),
        "method" => {
            let all = ["rustdesk", "turn", "stun", "direct"];
            found.method = Some(all.into_iter().find(|method| value == *method)?);
        }
        "samples" => found.samples = u32::try_from(value.as_u64()?).ok()?,
        _ => return None,
    }
    Some(())
}
