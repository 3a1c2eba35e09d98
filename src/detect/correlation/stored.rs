//! Groups and events as bytes, and back.
//!
//! Owns: their stored form. In: a state, what was seen since it was stored, or bytes that somebody
//! may have damaged. Out: the same. Never: more memory than in proportion to the bytes.

use std::collections::BTreeMap;

use crate::detect::correlation::definition::Part;
use crate::detect::correlation::seen::Event;
use crate::detect::correlation::shape::Entry;
use crate::detect::correlation::state::{Group, GroupKey, State, combine};
use crate::detect::correlation::window::Window;
use crate::detect::ledger::codec::{self, LEVELS, Writer};
use crate::wire::{Reader, WireError};

type Read<T> = Result<T, WireError>;

/// Writes every group, by key.
pub(in crate::detect) fn put_state(w: &mut Writer, state: &State) {
    let all = state.sorted();
    w.list(&all, |w, (key, group)| {
        w.u64(key.0);
        w.0.extend(key.1.to_be_bytes());
        w.word(&LEVELS, &group.level);
        w.option(group.fired, Writer::u64);
        w.u64(group.until);
        let entries: Vec<&Entry> = group.window.entries().collect();
        w.list(&entries, |w, entry| {
            w.u64(entry.time);
            w.u64(entry.value);
            w.0.extend(entry.session);
        });
    });
}

/// Reads groups into a state; what is over its cap is forgotten.
pub(in crate::detect) fn read_state(r: &mut Reader<'_>, state: &mut State) -> Read<()> {
    for _ in 0..r.u32()? {
        let key = (r.u64()?, u128::from_be_bytes(r.array()?));
        let level = codec::word(r, &LEVELS)?;
        let fired = codec::option(r, |r| r.u64())?;
        let until = r.u64()?;
        let entries = codec::list(r, |r| Ok(Entry::new(r.u64()?, r.u64()?, r.array()?)))?;
        state.restore(key, Group { window: Window::of(entries), fired, until, level });
    }
    Ok(())
}

/// Writes an event, as far as it is counted.
pub(in crate::detect) fn put_event(w: &mut Writer, event: &Event) {
    w.u64(event.time);
    w.0.extend(event.session);
    w.list(&event.parts, |w, part| {
        w.u64(part.of);
        w.option(part.via, Writer::u64);
        w.0.extend(part.key.to_be_bytes());
        w.u64(part.value);
    });
}

/// Reads an event: what its alert would say is not stored.
pub(in crate::detect) fn read_event(r: &mut Reader<'_>) -> Read<Event> {
    Ok(Event {
        time: r.u64()?,
        session: r.array()?,
        parts: codec::list(r, |r| {
            Ok(Part {
                of: r.u64()?,
                via: codec::option(r, |r| r.u64())?,
                key: u128::from_be_bytes(r.array()?),
                value: r.u64()?,
                ..Part::default()
            })
        })?,
    })
}

/// One state of several sensors': the same in whatever order they are given.
pub(in crate::detect) fn combine_states(cap: usize, all: Vec<State>) -> State {
    let mut groups: BTreeMap<GroupKey, Vec<Group>> = BTreeMap::new();
    for state in all {
        state.into_groups().for_each(|(key, group)| groups.entry(key).or_default().push(group));
    }
    let mut one = State::new(cap);
    for (key, of_key) in groups {
        if let Some(group) = combine(of_key) {
            one.restore(key, group);
        }
    }
    one
}
