//! What is known of people, from a case of a rule.

use std::net::IpAddr;

use longhaul::model::Addr;
use longhaul::model::endpoint::EndpointRow;
use longhaul::model::people_facts::*;
use serde_json::Value as Json;

use crate::records::endpoint::names;
use crate::records::record::small;

/// Sets a field; `None` if it is none of these, `Some(None)` if its value is of another type.
pub fn set(row: &mut EndpointRow, name: &str, value: &Json) -> Option<Option<()>> {
    let (part, name) = name.strip_prefix("longhaul.")?.split_once('.')?;
    let set = match part {
        "shared" => set_shared,
        "hosts_behind" => set_behind,
        "dual_role" => set_dual,
        "travel" => set_travel,
        "flip" => set_flip,
        "egress_split" => set_split,
        "networks" => set_networks,
        "volume" => set_volume,
        "new_destination" => set_destination,
        "first_seen" => set_first_seen,
        "marathon" => set_marathon,
        "work_hours" => set_work_hours,
        "screen_days" => set_screen_days,
        _ => return None,
    };
    Some(set(row.traits.people.get_or_insert_default(), name, value))
}

fn ip(value: &Json) -> Option<Addr> {
    Some(Addr::from(value.as_str()?.parse::<IpAddr>().ok()?))
}

fn nowhere() -> Addr {
    Addr::v4([0; 4])
}

fn set_shared(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let none =
        Shared { people: Vec::new(), days: 0, apart_km: None, hired_days: None, new_away: false };
    let shared = facts.shared.get_or_insert(none);
    match name {
        "people" => shared.people = names(value)?,
        "days" => shared.days = small(value)?,
        "apart_km" => shared.apart_km = Some(value.as_f64()?),
        "hired_days" => shared.hired_days = Some(small(value)?),
        "new_away" => shared.new_away = value.as_bool()?,
        _ => return None,
    }
    Some(())
}

fn set_behind(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let none = HostsBehind { min: 0, method: CountedBy::People };
    let behind = facts.behind.get_or_insert(none);
    match name {
        "min" => behind.min = small(value)?,
        "method" => {
            let all = [CountedBy::Tunnels, CountedBy::People, CountedBy::Stacks];
            behind.method = all.into_iter().find(|one| Some(one.as_str()) == value.as_str())?;
        }
        _ => return None,
    }
    Some(())
}

fn set_dual(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let none = DualRole { by: "".into(), host: nowhere(), days: 0 };
    let dual = facts.dual.get_or_insert(none);
    match name {
        "by" => dual.by = value.as_str()?.into(),
        "host" => dual.host = ip(value)?,
        "days" => dual.days = small(value)?,
        _ => return None,
    }
    Some(())
}

fn set_travel(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let none = Travel { km: 0.0, minutes: 0, from: nowhere() };
    let travel = facts.travel.get_or_insert(none);
    match name {
        "km" => travel.km = value.as_f64()?,
        "minutes" => travel.minutes = small(value)?,
        "from" => travel.from = ip(value)?,
        // It follows from others: only checked.
        "kmh" => {}
        _ => return None,
    }
    Some(())
}

fn set_flip(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let flip = facts.flip.get_or_insert(Flip { minutes: 0, days: 0, from: nowhere() });
    match name {
        "minutes" => flip.minutes = small(value)?,
        "days" => flip.days = small(value)?,
        "from" => flip.from = ip(value)?,
        _ => return None,
    }
    Some(())
}

fn set_split(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let none = EgressSplit { seconds: 0, tcp: nowhere(), udp: nowhere(), differs: Differs::Class };
    let split = facts.split.get_or_insert(none);
    match name {
        "seconds" => split.seconds = small(value)?,
        "tcp" => split.tcp = ip(value)?,
        "udp" => split.udp = ip(value)?,
        "differs" => {
            let all = [Differs::Class, Differs::Country];
            split.differs = all.into_iter().find(|one| Some(one.as_str()) == value.as_str())?;
        }
        _ => return None,
    }
    Some(())
}

fn set_networks(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let networks =
        facts.networks.get_or_insert(Networks { count: 0, hired_days: None, kvm_minutes: None });
    match name {
        "count" => networks.count = small(value)?,
        "hired_days" => networks.hired_days = Some(small(value)?),
        "kvm_minutes" => networks.kvm_minutes = Some(small(value)?),
        _ => return None,
    }
    Some(())
}

fn set_volume(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let none = Volume { owner: Owner::Hosting, bytes: 0, usual: 0, days: 0 };
    let volume = facts.volume.get_or_insert(none);
    match name {
        "owner" => {
            let known = |one: &Owner| Some(one.as_str()) == value.as_str();
            volume.owner = Owner::ALL.into_iter().find(known)?;
        }
        "bytes" => volume.bytes = value.as_u64()?,
        "usual_bytes" => volume.usual = value.as_u64()?,
        "days" => volume.days = small(value)?,
        _ => return None,
    }
    Some(())
}

fn set_destination(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let none = NewDestination {
        minutes: 0,
        km: None,
        people: 0,
        group: 0,
        group_people: 0,
        history_days: 0,
    };
    let found = facts.new_destination.get_or_insert(none);
    match name {
        "minutes" => found.minutes = small(value)?,
        "km" => found.km = Some(value.as_f64()?),
        "people" => found.people = small(value)?,
        "group" => found.group = small(value)?,
        "group_people" => found.group_people = small(value)?,
        "history_days" => found.history_days = small(value)?,
        _ => return None,
    }
    Some(())
}

fn set_first_seen(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let found = facts.first_seen.get_or_insert(FirstSeen { tool: "".into(), history_days: 0 });
    match name {
        "tool" => found.tool = value.as_str()?.into(),
        "history_days" => found.history_days = small(value)?,
        _ => return None,
    }
    Some(())
}

fn set_marathon(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let marathon = facts.marathon.get_or_insert(Marathon { days: 0, hours: 0 });
    match name {
        "days" => marathon.days = small(value)?,
        "hours" => marathon.hours = small(value)?,
        _ => return None,
    }
    Some(())
}

fn set_work_hours(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let none =
        WorkHours { days: 0, active_p50: 0, active_max: 0, long_days: 0, foreign_share: None };
    let hours = facts.work_hours.get_or_insert(none);
    match name {
        "days" => hours.days = small(value)?,
        "active_p50" => hours.active_p50 = small(value)?,
        "active_max" => hours.active_max = small(value)?,
        "long_days" => hours.long_days = small(value)?,
        "foreign_share" => hours.foreign_share = Some(value.as_f64()?),
        _ => return None,
    }
    Some(())
}

fn set_screen_days(facts: &mut PeopleFacts, name: &str, value: &Json) -> Option<()> {
    let none = ScreenDays { days: 0, others: 0, system: None, ip: nowhere() };
    let found = facts.screen_days.get_or_insert(none);
    match name {
        "days" => found.days = small(value)?,
        "others" => found.others = small(value)?,
        "as.number" => found.system = Some(small(value)?),
        "ip" => found.ip = ip(value)?,
        _ => return None,
    }
    Some(())
}
