//! The stored form of people: a head, five tables in the order of their keys, a checksum.
//!
//! Owns: the format and its version. In: people, or bytes. Out: bytes, or people or the reason why
//! not. Never: half of what is stored; two encodings of one state; more memory than in proportion
//! to the bytes.
//!
//! ```text
//! head      "LHPEOP\r\n", version (2 bytes)
//! body      people, addresses, addresses that our hosts are connected with, who looks controlled
//!           from which network, tools: entries
//!           (varint), then key and entry of each, keys ascending
//! checksum  SHA-256 of everything before it
//! ```
//! Texts have their length before them, places are four floats of IEEE 754, days are numbered from
//! 1970. What is only known of the last hour is not stored: clients of a VPN that are connected.

use std::sync::Arc;

use crate::endpoints::people::People;
use crate::endpoints::people::days::{Days, Hours, day};
use crate::endpoints::people::dual::Connected;
use crate::endpoints::people::news::Tools;
use crate::endpoints::people::outbound::Outbound;
use crate::endpoints::people::person::Person;
use crate::endpoints::people::shapes::{Who, With};
use crate::endpoints::people::site::Site;
use crate::endpoints::people::work_hours::{Activity, Hourly};
use crate::endpoints::stored::{
    DecodeError, Form, damaged, number, option, put, put_option, put_text, small, text,
};
use crate::model::people_facts::Owner;
use crate::model::physics::ClaimedPlace;
use crate::model::{Addr, Nanos};
use crate::wire::{Reader, WireError};

/// Version of the format.
const VERSION: u16 = 2;

/// The line end reveals a conversion by a text tool.
const FORM: Form = Form { magic: *b"LHPEOP\r\n", version: VERSION };

impl People {
    /// Encodes the state: the same bytes for the same state.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = FORM.head();
        let mut people: Vec<(&Arc<str>, &Person)> = self.people.iter().collect();
        people.sort_unstable_by_key(|(id, _)| *id);
        put(&mut out, people.len() as u64);
        for (id, person) in people {
            put_text(&mut out, id);
            put_person(&mut out, person);
        }
        let mut sites: Vec<(&Addr, &Site)> = self.sites.iter().collect();
        sites.sort_unstable_by_key(|(ip, _)| *ip);
        put(&mut out, sites.len() as u64);
        for (ip, site) in sites {
            out.extend(ip.0);
            put_site(&mut out, site);
        }
        let mut outside: Vec<(&Addr, &Connected)> = self.outside.all.iter().collect();
        outside.sort_unstable_by_key(|(ip, _)| *ip);
        put(&mut out, outside.len() as u64);
        for (ip, one) in outside {
            out.extend(ip.0);
            put(&mut out, one.last.0);
            out.extend(one.host.0);
            put_text(&mut out, &one.by);
        }
        put(&mut out, self.shapes.all.len() as u64);
        for ((with, who), days) in &self.shapes.all {
            put_with(&mut out, with);
            put_who(&mut out, who);
            put_days(&mut out, *days);
        }
        put_option(&mut out, self.tools.since, put_day);
        put(&mut out, self.tools.all.len() as u64);
        for (tool, day) in &self.tools.all {
            put_text(&mut out, tool);
            put_day(&mut out, *day);
        }
        Form::seal(out)
    }

    /// Decodes stored people. Those over the cap are forgotten, as they would be in a run.
    pub fn decode(cap: usize, bytes: &[u8]) -> Result<People, DecodeError> {
        decode_body(cap, FORM.body(bytes)?)
    }
}

fn decode_body(cap: usize, mut body: Reader<'_>) -> Result<People, DecodeError> {
    let from = &mut body;
    let mut people = People::new(usize::MAX);
    table(from, text, |id, from| {
        people.people.insert(id, person(from)?);
        Ok(())
    })?;
    table(from, addr, |ip, from| {
        people.sites.insert(ip, site(from)?);
        Ok(())
    })?;
    table(from, addr, |ip, from| {
        let (last, host) = (Nanos(number(from)?), addr(from)?);
        people.outside.add(ip, Connected { last, host, by: text(from)? });
        Ok(())
    })?;
    table(
        from,
        |from| Ok((with(from)?, who(from)?)),
        |key, from| {
            people.shapes.add(key, days(from)?);
            Ok(())
        },
    )?;
    people.tools.since = option(from, small)?;
    table(from, text, |tool, from| {
        people.tools.all.insert(tool, a_day(from)?);
        Ok(())
    })?;
    people.tools.merge(Tools::default());
    if !body.is_empty() {
        return Err(DecodeError::Damaged("something follows its end"));
    }
    Ok(people.with_cap(cap))
}

/// Reads a table: each key, and with it what stands behind it.
fn table<'b, K: Ord + Clone>(
    from: &mut Reader<'b>,
    key: impl Fn(&mut Reader<'b>) -> Result<K, WireError>,
    mut take: impl FnMut(K, &mut Reader<'b>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut last: Option<K> = None;
    for _ in 0..number(from)? {
        let key = key(from)?;
        if last.as_ref() >= Some(&key) {
            return Err(damaged("its keys are in no order"));
        }
        last = Some(key.clone());
        take(key, from)?;
    }
    Ok(())
}

fn put_person(out: &mut Vec<u8>, person: &Person) {
    put_option(out, person.claim, put_place);
    put_option(out, person.hired, put_day);
    put_option(out, person.role.as_deref(), put_text);
    put(out, person.last.0);
    [person.near, person.judged, person.unknown].into_iter().for_each(|days| put_days(out, days));
    put(out, person.regions.len() as u64);
    for (key, (region, days)) in &person.regions {
        [key.0, key.1].into_iter().for_each(|grain| out.extend(grain.to_be_bytes()));
        put_place(out, *region);
        put_days(out, *days);
    }
    put(out, person.networks.len() as u64);
    for (asn, (first, days)) in &person.networks {
        put(out, (*asn).into());
        put(out, (*first).into());
        put_days(out, *days);
    }
    put(out, person.switched.0);
    put(out, person.kvms.0.len() as u64);
    person.kvms.0.iter().for_each(|time| put(out, time.0));
    put_activity(out, &person.activity);
    put_option(out, person.outbound.as_deref(), put_outbound);
}

fn put_activity(out: &mut Vec<u8>, activity: &Activity) {
    put(out, activity.0.len() as u64);
    for (day, hours) in &activity.0 {
        put_day(out, *day);
        hours.iter().for_each(|count| put(out, (*count).into()));
    }
}

fn activity(from: &mut Reader<'_>) -> Result<Activity, WireError> {
    let mut activity = Activity::default();
    table(from, a_day, |day, from| {
        let mut hours = Hourly::default();
        for count in &mut hours {
            let number = u16::try_from(small(from)?);
            *count = number.map_err(|_| damaged("an hour has too many messages"))?;
        }
        activity.add_day(day, &hours);
        Ok(())
    })?;
    Ok(activity)
}

fn put_outbound(out: &mut Vec<u8>, outbound: &Outbound) {
    put_option(out, outbound.since, put_day);
    put(out, outbound.volumes.len() as u64);
    for (owner, days) in &outbound.volumes {
        out.push(*owner as u8);
        put(out, days.len() as u64);
        for (day, bytes) in days {
            put_day(out, *day);
            put(out, *bytes);
        }
    }
    put(out, outbound.destinations.len() as u64);
    for ((asn, country), day) in &outbound.destinations {
        put(out, (*asn).into());
        out.extend(country);
        put_day(out, *day);
    }
    put(out, outbound.calls.len() as u64);
    for (day, seconds) in &outbound.calls {
        put_day(out, *day);
        put(out, (*seconds).into());
    }
}

fn outbound(from: &mut Reader<'_>) -> Result<Outbound, WireError> {
    let mut outbound = Outbound::default();
    outbound.since = option(from, a_day)?;
    table(from, owner, |owner, from| {
        let days = outbound.volumes.entry(owner).or_default();
        table(from, a_day, |day, from| {
            days.push((day, number(from)?));
            Ok(())
        })
    })?;
    table(
        from,
        |from| Ok((small(from)?, from.array()?)),
        |key, from| {
            outbound.destinations.insert(key, a_day(from)?);
            Ok(())
        },
    )?;
    table(from, a_day, |day, from| {
        outbound.calls.push((day, small(from)?));
        Ok(())
    })?;
    // Caps hold as in a run.
    let mut kept = Outbound::default();
    kept.merge(outbound);
    Ok(kept)
}

fn owner(from: &mut Reader<'_>) -> Result<Owner, WireError> {
    let number = usize::from(from.u8()?);
    Owner::ALL.get(number).copied().ok_or(damaged("an owner is of no kind"))
}

fn put_day(out: &mut Vec<u8>, day: u32) {
    put(out, day.into());
}

fn person(from: &mut Reader<'_>) -> Result<Person, WireError> {
    let mut person = Person::default();
    person.claim = option(from, place)?;
    person.hired = option(from, small)?;
    person.role = option(from, text)?;
    person.last = Nanos(number(from)?);
    (person.near, person.judged, person.unknown) = (days(from)?, days(from)?, days(from)?);
    let grain = |from: &mut Reader<'_>| from.array().map(i32::from_be_bytes);
    table(
        from,
        |from| Ok((grain(from)?, grain(from)?)),
        |key, from| {
            person.regions.insert(key, (place(from)?, days(from)?));
            Ok(())
        },
    )?;
    table(from, small, |asn, from| {
        person.networks.insert(asn, (a_day(from)?, days(from)?));
        Ok(())
    })?;
    person.switched = Nanos(number(from)?);
    table(
        from,
        |from| number(from).map(Nanos),
        |time, _| {
            person.kvms.add(time, person.switched);
            Ok(())
        },
    )?;
    person.activity = activity(from)?;
    person.outbound = option(from, outbound)?.map(Box::new);
    // Caps hold as in a run.
    person.merge(Person::default());
    Ok(person)
}

fn put_site(out: &mut Vec<u8>, site: &Site) {
    put(out, site.people.len() as u64);
    for (id, hours) in &site.people {
        put_text(out, id);
        put(out, hours.iter().len() as u64);
        for (day, hours) in hours.iter() {
            put(out, day.into());
            put(out, hours.into());
        }
    }
    put_option(out, site.region, put_place);
    out.push(site.crowded.into());
    put(out, site.last.0);
    for (count, day) in [site.clients, site.systems] {
        put(out, count.into());
        put(out, day.into());
    }
}

fn site(from: &mut Reader<'_>) -> Result<Site, WireError> {
    let mut site = Site::default();
    table(from, text, |id, from| {
        let mut there = Hours::default();
        table(from, a_day, |day, from| {
            there.set(day, small(from)?);
            Ok(())
        })?;
        site.people.insert(id, there);
        Ok(())
    })?;
    site.region = option(from, place)?;
    site.crowded = match from.u8()? {
        0 => false,
        1 => true,
        _ => return Err(damaged("a flag is neither set nor not")),
    };
    site.last = Nanos(number(from)?);
    site.clients = (small(from)?, a_day(from)?);
    site.systems = (small(from)?, a_day(from)?);
    site.merge(Site::default());
    Ok(site)
}

fn put_with(out: &mut Vec<u8>, with: &With) {
    match with {
        With::System(number) => {
            out.push(0);
            put(out, (*number).into());
        }
        With::Address(ip) => {
            out.push(1);
            out.extend(ip.0);
        }
    }
}

fn with(from: &mut Reader<'_>) -> Result<With, WireError> {
    match from.u8()? {
        0 => small(from).map(With::System),
        1 => addr(from).map(With::Address),
        _ => Err(damaged("a network is of no kind")),
    }
}

fn put_who(out: &mut Vec<u8>, who: &Who) {
    match who {
        Who::Person(id) => {
            out.push(0);
            put_text(out, id);
        }
        Who::Host(ip) => {
            out.push(1);
            out.extend(ip.0);
        }
    }
}

fn who(from: &mut Reader<'_>) -> Result<Who, WireError> {
    match from.u8()? {
        0 => text(from).map(Who::Person),
        1 => addr(from).map(Who::Host),
        _ => Err(damaged("somebody is neither a person nor a host")),
    }
}

fn put_days(out: &mut Vec<u8>, days: Days) {
    put(out, days.latest.into());
    put(out, days.bits.into());
}

/// A day that a time can have: whoever adds some days to it needs no care.
fn a_day(from: &mut Reader<'_>) -> Result<u32, WireError> {
    let of = small(from)?;
    (of <= day(Nanos(u64::MAX))).then_some(of).ok_or(damaged("a day is after all times"))
}

fn days(from: &mut Reader<'_>) -> Result<Days, WireError> {
    let days = Days { latest: a_day(from)?, bits: small(from)? };
    let sound = days.bits & 1 == 1 || days == Days::default();
    sound.then_some(days).ok_or(damaged("days without their latest"))
}

fn put_place(out: &mut Vec<u8>, place: ClaimedPlace) {
    let ClaimedPlace { centre, radius_km, sensor_km } = place;
    let all = [centre.0, centre.1, radius_km, sensor_km];
    all.into_iter().for_each(|number| out.extend(number.to_be_bytes()));
}

fn place(from: &mut Reader<'_>) -> Result<ClaimedPlace, WireError> {
    let mut float = || from.array().map(f64::from_be_bytes);
    let all = [float()?, float()?, float()?, float()?];
    if !all.iter().all(|number| number.is_finite()) {
        return Err(damaged("a place is nowhere"));
    }
    let [north, east, radius_km, sensor_km] = all;
    Ok(ClaimedPlace { centre: (north, east), radius_km, sensor_km })
}

fn addr(from: &mut Reader<'_>) -> Result<Addr, WireError> {
    from.array().map(Addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_after_all_times_is_refused() {
        let read = |day: u32| {
            let mut bytes = Vec::new();
            put_activity(&mut bytes, &Activity(vec![(day, Hourly::default())]));
            activity(&mut Reader::new(&bytes)).map(|read| read.0.len())
        };
        let last = day(Nanos(u64::MAX));
        assert_eq!((read(20_000).ok(), read(last).ok()), (Some(1), Some(1)));
        assert!(read(last + 1).is_err() && read(u32::MAX).is_err());
    }
}
