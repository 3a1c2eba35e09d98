//! Unanswered sessions of one source that ended within one second, summed.
//!
//! Owns: the sums. In: sessions without a line of their own. Out: emit renders them. Never: an
//! answered session, or one on which a rule fired.

use std::collections::BTreeSet;

use crate::model::{Addr, Nanos, Transport};

/// Different ports and addresses counted per sum.
pub const TOLD_APART: usize = 1_024;

/// The part of a session that is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Sender.
    pub source: Addr,
    /// Receiver.
    pub destination: Addr,
    /// IANA protocol.
    pub transport: Transport,
    /// Destination port, 0 if the protocol has none.
    pub port: u16,
    /// Packets sent.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// First packet's time.
    pub first: Nanos,
    /// Last packet's time.
    pub last: Nanos,
}

/// The sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Sender; `None` if there were too many to keep apart.
    pub source: Option<Addr>,
    /// IANA protocol.
    pub transport: Transport,
    /// The second of the run's clock in which they ended.
    pub second: Nanos,
    /// Number of sessions.
    pub sessions: u64,
    /// Packets sent.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Different destination ports.
    pub ports: Different<u16>,
    /// Different destination addresses.
    pub destinations: Different<Addr>,
    /// First packet's time.
    pub first: Nanos,
    /// Last packet's time.
    pub last: Nanos,
}

impl Scan {
    /// Adds a session.
    pub fn add(&mut self, one: &Unanswered) {
        self.note(one.first, one.last);
        self.sessions += 1;
        self.packets = self.packets.saturating_add(one.packets);
        self.bytes = self.bytes.saturating_add(one.bytes);
        self.ports.add(one.port);
        self.destinations.add(one.destination);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: Scan) {
        self.note(other.first, other.last);
        self.sessions += other.sessions;
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.ports.merge(other.ports);
        self.destinations.merge(other.destinations);
    }

    fn note(&mut self, first: Nanos, last: Nanos) {
        self.first = if self.sessions == 0 { first } else { self.first.min(first) };
        self.last = self.last.max(last);
    }
}

/// Different values, up to [`TOLD_APART`]. Most sums of a flood have one: it needs no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Different<T> {
    first: Option<T>,
    others: BTreeSet<T>,
}

impl<T: Copy + Ord> Different<T> {
    /// How many there are.
    pub fn count(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    fn add(&mut self, value: T) {
        match self.first {
            None => self.first = Some(value),
            Some(first) if first == value => {}
            Some(_) if self.count() >= TOLD_APART => {}
            Some(_) => {
                self.others.insert(value);
            }
        }
    }

    /// Adds those of another, in ascending order: where there is no room for all, its lowest.
    fn merge(&mut self, other: Different<T>) {
        let free = TOLD_APART.saturating_sub(self.count());
        let Different { first, others } = other;
        let (below, above): (Vec<T>, Vec<T>) = others.into_iter().partition(|v| Some(*v) < first);
        below.into_iter().chain(first).chain(above).take(free).for_each(|value| self.add(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_are_told_apart_as_in_a_set(
            parts in vec(vec(0u16..1_500, 0..700), 0..5),
        ) {
            let (mut all, mut want) = (Different::default(), BTreeSet::new());
            for part in parts {
                let (mut one, mut set) = (Different::default(), BTreeSet::new());
                for value in part {
                    one.add(value);
                    if set.len() < TOLD_APART {
                        set.insert(value);
                    }
                }
                prop_assert_eq!(one.count(), set.len());
                all.merge(one);
                let free = TOLD_APART.saturating_sub(want.len());
                want.extend(set.into_iter().take(free));
                prop_assert_eq!(all.count(), want.len());
                let held: BTreeSet<u16> = all.first.into_iter().chain(all.others.clone()).collect();
                prop_assert_eq!(&held, &want);
            }
        }
    }
}
