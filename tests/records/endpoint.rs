//! Builds endpoints from flat JSON objects, so that a test of a rule is data.
//!
//! Owns: setting fields by name. In: `{"endpoint.side": "remote", ...}`. Out: an endpoint with
//! exactly these values, or an error. Never: used for captured traffic.

use std::sync::Arc;

use serde_json::Map;
use serde_json::Value as Json;

use crate::records::driven::{set_control, set_synthetic};
use crate::records::people;
use crate::records::record::START;
use crate::records::record::nanos;
use crate::records::record::same;
use crate::records::record::small;
use crate::records::record::text;
use crate::records::record::texts;
use longhaul::model::endpoint::EndpointKey;
use longhaul::model::endpoint::EndpointRow;
use longhaul::model::endpoint::Fingerprint;
use longhaul::model::endpoint::HiddenLeg;
use longhaul::model::endpoint::Locality;
use longhaul::model::endpoint::Needs;
use longhaul::model::endpoint::Pool;
use longhaul::model::endpoint::PoolOf;
use longhaul::model::endpoint::Role;
use longhaul::model::endpoint::Service;
use longhaul::model::endpoint::Tunnel;
use longhaul::model::endpoint_facts::Baseline;
use longhaul::model::endpoint_facts::BaselineOf;
use longhaul::model::endpoint_facts::ClaimTotals;
use longhaul::model::endpoint_facts::Colocated;
use longhaul::model::endpoint_facts::Excess;
use longhaul::model::endpoint_facts::LatestSession;
use longhaul::model::endpoint_facts::Traits;
use longhaul::model::record::AutonomousSystem;
use longhaul::model::record::Place;
use longhaul::model::record::Quality;
use longhaul::model::schema::Described;
use longhaul::model::schema::find_in;
use longhaul::model::{Addr, Transport};

/// An endpoint with these fields; the others are those of a remote address that started a few
/// sessions with port 443 of a home address, both of RFC 5737.
///
/// Errors: a field that is unknown, that a case cannot set, or that the endpoint returns with
/// another value.
pub fn endpoint_from_json(object: &Map<String, Json>) -> Result<EndpointRow, String> {
    for name in object.keys() {
        if find_in::<EndpointRow>(name).is_none_or(|field| !field.in_rules()) {
            return Err(format!("unknown field `{name}`"));
        }
    }
    let mut row = blank();
    for field in EndpointRow::fields() {
        if let Some(value) = object.get(field.name) {
            set(&mut row, field.name, value)
                .ok_or_else(|| format!("`{}` cannot be set to {value}", field.name))?;
        }
    }
    for field in EndpointRow::fields() {
        let have = (field.get)(&row).to_json();
        if let Some(want) = object.get(field.name)
            && !same(&have, want)
        {
            return Err(format!("`{}` is {have} where the case says {want}", field.name));
        }
    }
    Ok(row)
}

fn blank() -> EndpointRow {
    let (ip, peer) = (Addr::v4([192, 0, 2, 1]), Addr::v4([198, 51, 100, 1]));
    let latest = LatestSession {
        id: [0; 16],
        start: START,
        end: START,
        packets: (0, 0, 0),
        quality: Quality::default(),
        peer,
        peer_home: true,
        subject: None,
        subject_name: None,
        hired: None,
        region: None,
        began: ip,
    };
    EndpointRow {
        key: EndpointKey {
            ip,
            side: Locality::Remote,
            fingerprint: None,
            service: Some(Service { transport: Transport::TCP, port: 443 }),
        },
        role: Role::Initiator,
        sessions: 4,
        handshakes: 4,
        floor_ns: None,
        prefix_floor_ns: None,
        first: START,
        last: START,
        place: None,
        asn: None,
        tags: Vec::new(),
        hidden: None,
        hidden_line: None,
        tunnel: None,
        traits: Traits { days: 1, latest: Some(Box::new(latest)), ..Traits::default() },
    }
}

/// Sets a field of a group; `None` if there is none of that name, or not of that type.
type Set = fn(&mut EndpointRow, &str, &Json) -> Option<()>;

fn set(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let groups: [(&str, Set); 11] = [
        ("endpoint.", set_identity),
        ("longhaul.hidden_leg.", set_hidden),
        ("longhaul.tunnel.", set_tunnel),
        ("longhaul.floor.", set_floor),
        ("longhaul.rtt.", set_spread),
        ("longhaul.mtu.", set_mtu),
        ("longhaul.stack.", set_stack),
        ("longhaul.remote_control.", set_control),
        ("longhaul.synthetic_input.", set_synthetic),
        ("longhaul.claim.", set_claim),
        ("longhaul.colocated.", set_colocated),
    ];
    for (head, set) in groups {
        if let Some(rest) = name.strip_prefix(head) {
            return set(row, rest, value);
        }
    }
    if let Some(set) = people::set(row, name, value) {
        return set;
    }
    match name {
        "longhaul.sessions" => row.sessions = value.as_u64()?,
        "longhaul.handshakes" => row.handshakes = value.as_u64()?,
        "longhaul.days" => row.traits.days = small(value)?,
        "longhaul.people" => row.traits.subjects = small(value)?,
        "longhaul.floor_us" => row.floor_ns = Some(nanos(value)?),
        "longhaul.tags" => {
            row.tags = texts(value)?.into_iter().map(Arc::from).collect();
            row.tags.sort_unstable();
        }
        "longhaul.region.km" => row.traits.region_km = Some(value.as_f64()?),
        "longhaul.subject.hired" => {
            row.traits.latest.as_mut()?.hired = Some(Arc::from(value.as_str()?));
        }
        "longhaul.subject.id" => {
            row.traits.latest.as_mut()?.subject = Some(Arc::from(value.as_str()?));
        }
        // They follow from others: only checked.
        "longhaul.disc.fibre_km" | "longhaul.disc.real_km" | "longhaul.region.excess_us" => {}
        _ => return None,
    }
    Some(())
}

/// What the only person claims.
fn set_claim(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let none = ClaimTotals { km: 0.0, region_km: None, days: 0, near_days: None };
    let claim = row.traits.claim.get_or_insert(none);
    match name {
        "km" => claim.km = value.as_f64()?,
        "region_km" => claim.region_km = Some(value.as_f64()?),
        "days" => claim.days = small(value)?,
        "near_days" => claim.near_days = Some(small(value)?),
        // It follows from others: only checked.
        "excess_us" => {}
        _ => return None,
    }
    Some(())
}

/// So many people.
pub fn names(value: &Json) -> Option<Vec<Arc<str>>> {
    let count: u32 = small(value)?;
    Some((0..count).map(|n| Arc::from(format!("e-{n}"))).collect())
}

/// The people who share the address.
fn set_colocated(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let none = Colocated { people: Vec::new(), days: 0, overlap_days: 0, apart_km: 0.0, away: 0 };
    let all = row.traits.colocated.get_or_insert(none);
    match name {
        "people" => all.people = names(value)?,
        "days" => all.days = small(value)?,
        "overlap_days" => all.overlap_days = small(value)?,
        "apart_km" => all.apart_km = value.as_f64()?,
        "away" => all.away = small(value)?,
        _ => return None,
    }
    Some(())
}

fn set_identity(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let place = row.place.as_deref().cloned();
    let mut place = place.unwrap_or(Place {
        country: None,
        region: None,
        location: None,
        radius_km: None,
        cached: Default::default(),
    });
    let system = row.asn.as_deref().cloned();
    let mut system = system.unwrap_or(AutonomousSystem {
        number: 0,
        organization: None,
        cached: Default::default(),
    });
    let key = &mut row.key;
    match name {
        "ip" => key.ip = Addr::from(value.as_str()?.parse::<std::net::IpAddr>().ok()?),
        "side" => {
            let sides = [Locality::Home, Locality::Remote];
            key.side = sides.into_iter().find(|side| Some(side.as_str()) == value.as_str())?;
        }
        "role" => {
            let roles = [Role::Initiator, Role::Responder, Role::Both];
            row.role = roles.into_iter().find(|role| Some(role.as_str()) == value.as_str())?;
        }
        "ja4" => key.fingerprint = Some(Fingerprint::Ja4(Arc::from(value.as_str()?))),
        "ssh" => key.fingerprint = Some(Fingerprint::Ssh(Arc::from(value.as_str()?))),
        "service.port" => {
            key.service = Some(Service { transport: Transport::TCP, port: small(value)? });
        }
        "geo.country_iso_code" => place.country = text(value),
        "geo.region_iso_code" => place.region = text(value),
        "geo.location.lat" => {
            place.location = Some((value.as_f64()?, place.location.unwrap_or_default().1));
        }
        "geo.location.lon" => {
            place.location = Some((place.location.unwrap_or_default().0, value.as_f64()?));
        }
        "as.number" => system.number = small(value)?,
        "as.organization.name" => system.organization = text(value),
        _ => return None,
    }
    if name.starts_with("geo.") {
        row.place = Some(Arc::new(place));
    } else if name.starts_with("as.") {
        row.asn = Some(Arc::new(system));
    }
    Some(())
}

/// No leg, to be filled.
const NO_LEG: HiddenLeg = HiddenLeg {
    ns: 0,
    confidence: 0.0,
    method: "tls",
    kinds: 0,
    samples: 0,
    handshakes: 0,
    needs: None,
    pool: Pool::LINE,
};

fn set_hidden(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let (name, hidden) = match name.strip_prefix("line.") {
        Some(name) => (name, row.hidden_line.get_or_insert(NO_LEG)),
        None => (name, row.hidden.get_or_insert(NO_LEG)),
    };
    let needs = Needs { of: Needs::OTHER, more: 0 };
    match name {
        "kinds" => hidden.kinds = small(value)?,
        "lines" => hidden.pool.lines = small(value)?,
        "of" => {
            let all =
                [PoolOf::Line, PoolOf::Program, PoolOf::Address, PoolOf::Subject, PoolOf::Prefix];
            hidden.pool.of = all.into_iter().find(|of| Some(of.as_str()) == value.as_str())?;
        }
        "needs.of" => {
            let word = Needs::WORDS.into_iter().find(|word| Some(*word) == value.as_str())?;
            hidden.needs.get_or_insert(needs).of = word;
        }
        "needs.more" => hidden.needs.get_or_insert(needs).more = small(value)?,
        "us" => hidden.ns = nanos(value)?,
        "confidence" => hidden.confidence = value.as_f64()?,
        "samples" => hidden.samples = small(value)?,
        "handshakes" => hidden.handshakes = small(value)?,
        "method" => {
            let methods = ["tls", "ssh", "tls+first_data", "ssh+first_data"];
            hidden.method = methods.into_iter().find(|word| Some(*word) == value.as_str())?;
        }
        "ratio" => {}
        _ => return None,
    }
    Some(())
}

fn set_tunnel(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let tunnel = row.tunnel.get_or_insert(Tunnel { l3: false, confidence: 0.0, reason: "none" });
    match name {
        "l3" => tunnel.l3 = value.as_bool()?,
        "confidence" => tunnel.confidence = value.as_f64()?,
        "reason" => {
            let mut words =
                "none mss stack floor mss+stack mss+floor refused path path+mss path+floor"
                    .split(' ');
            tunnel.reason = words.find(|word| Some(*word) == value.as_str())?;
        }
        _ => return None,
    }
    Some(())
}

/// What an endpoint is held against is set before the excess, and that before the ratio: the order
/// of the table.
fn set_floor(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    if let Some(rest) = name.strip_prefix("baseline.") {
        return set_baseline(&mut row.traits.baseline, rest, value);
    }
    if let Some(rest) = name.strip_prefix("subject.") {
        return set_baseline(&mut row.traits.subject_baseline, rest, value);
    }
    let learned = row.traits.baseline.filter(|baseline| !baseline.learning);
    match name {
        "prefix_us" => row.prefix_floor_ns = Some(nanos(value)?),
        "of" => {
            let of = learned.map_or("prefix", |baseline| baseline.of.as_str());
            (value.as_str()? == of).then_some(())?;
        }
        "excess_us" => {
            let of = learned.map_or("prefix", |baseline| baseline.of.as_str());
            let floor_ns = learned.map(|baseline| baseline.floor_ns).or(row.prefix_floor_ns)?;
            let over_ns = nanos(value)?;
            row.traits.excess = Some(Excess { of, floor_ns, over_ns, sessions: 20, days: 3 });
        }
        "sessions" => row.traits.excess.as_mut()?.sessions = value.as_u64()?,
        "days" => row.traits.excess.as_mut()?.days = small(value)?,
        "ratio" => {}
        _ => return None,
    }
    Some(())
}

fn set_baseline(slot: &mut Option<Baseline>, name: &str, value: &Json) -> Option<()> {
    let of = BaselineOf::Prefix;
    let blank = Baseline { of, floor_ns: 0, sessions: 20, days: 3, learning: false };
    let baseline = slot.get_or_insert(blank);
    match name {
        "of" => {
            let is_it = |of: &&BaselineOf| Some(of.as_str()) == value.as_str();
            baseline.of = *BaselineOf::ALL.iter().find(is_it)?;
        }
        "us" => baseline.floor_ns = nanos(value)?,
        "sessions" => baseline.sessions = value.as_u64()?,
        "days" => baseline.days = small(value)?,
        "learning" => baseline.learning = value.as_bool()?,
        // It follows from others: only checked.
        "excess_us" => {}
        _ => return None,
    }
    Some(())
}

fn set_spread(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let spread = row.traits.spread.get_or_insert_default();
    match name {
        "sessions" => spread.sessions = small(value)?,
        "days" => spread.days = small(value)?,
        "p50_us" => {
            let median = nanos(value)?;
            (spread.p25_ns, spread.p50_ns, spread.p75_ns) = (median, median, median);
        }
        "iqr_us" => spread.p75_ns = spread.p25_ns.checked_add(nanos(value)?)?,
        _ => return None,
    }
    Some(())
}

fn set_mtu(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let (at_least, below) = row.traits.path.unwrap_or((0, u16::MAX));
    match name {
        "refused" => row.traits.refused = Some(small(value)?),
        "at_least" => row.traits.path = Some((small(value)?, below)),
        "below" => row.traits.path = Some((at_least, small(value)?)),
        _ => return set_syns(row, name, value),
    }
    Some(())
}

fn set_syns(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let mtu = row.traits.mtu.get_or_insert_default();
    match name {
        "hint" => mtu.hints = vec![(small(value)?, 1)],
        "values" => mtu.hints.resize(small::<u8>(value)?.into(), (1_500, 1)),
        "syns" => mtu.syns = small(value)?,
        _ => return None,
    }
    Some(())
}

fn set_stack(row: &mut EndpointRow, name: &str, value: &Json) -> Option<()> {
    let stack = row.traits.stack.get_or_insert_default();
    let family = || {
        let families = ["linux", "windows", "apple", "bsd"];
        families.into_iter().find(|word| Some(*word) == value.as_str())
    };
    match name {
        "syn" => stack.syn = Some(family()?),
        "program" => stack.program = Some(family()?),
        "compared" => stack.compared = small(value)?,
        "differ" => stack.differ = small(value)?,
        "differ_share" => {}
        _ => return None,
    }
    Some(())
}
