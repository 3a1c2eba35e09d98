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
    /// Different destination ports, up to [`TOLD_APART`].
    pub ports: BTreeSet<u16>,
    /// Different destination addresses, likewise.
    pub destinations: BTreeSet<Addr>,
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
        if self.ports.len() < TOLD_APART {
            self.ports.insert(one.port);
        }
        if self.destinations.len() < TOLD_APART {
            self.destinations.insert(one.destination);
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: Scan) {
        self.note(other.first, other.last);
        self.sessions += other.sessions;
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        let free = TOLD_APART.saturating_sub(self.ports.len());
        self.ports.extend(other.ports.into_iter().take(free));
        let free = TOLD_APART.saturating_sub(self.destinations.len());
        self.destinations.extend(other.destinations.into_iter().take(free));
    }

    fn note(&mut self, first: Nanos, last: Nanos) {
        self.first = if self.sessions == 0 { first } else { self.first.min(first) };
        self.last = self.last.max(last);
    }
}
