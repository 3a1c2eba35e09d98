//! The remote end of a remote-control session: its tool, its relay, who controls, how far away.
//!
//! Owns: round trips of checks, and the facts about the controller. In: the session stage fills in
//! round trips, evidence and enrichment the rest. Out: rules and lines read them. Never: judges.

use std::sync::Arc;

use crate::model::origin::{AutonomousSystem, Place};
use crate::model::{Addr, Peer};

/// The lowest round trip to one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrip {
    /// Microseconds; 0 if there is none.
    pub min_us: u32,
    /// How many were measured.
    pub samples: u32,
}

impl RoundTrip {
    const NONE: RoundTrip = RoundTrip { min_us: 0, samples: 0 };

    /// Adds one.
    pub fn note(&mut self, us: u32) {
        self.min_us = if self.samples == 0 { us } else { self.min_us.min(us) };
        self.samples = self.samples.saturating_add(1);
    }
}

/// Round trips of STUN requests by the side that answered: initiator, responder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Outside of ChannelData: the session's own ends.
    pub outer: [RoundTrip; 2],
    /// Inside: the end behind the relay, or the relay's client.
    pub inner: [RoundTrip; 2],
}

impl Checks {
    /// No round trips.
    pub const NONE: Checks = Checks { outer: [RoundTrip::NONE; 2], inner: [RoundTrip::NONE; 2] };

    /// What a side answered outside of ChannelData.
    pub const fn outer(&self, side: Peer) -> RoundTrip {
        pick(&self.outer, side)
    }

    /// What a side, or who stands behind it, answered inside.
    pub const fn inner(&self, side: Peer) -> RoundTrip {
        pick(&self.inner, side)
    }

    /// Swaps the sides.
    pub const fn turn(&mut self) {
        self.outer.swap(0, 1);
        self.inner.swap(0, 1);
    }
}

const fn pick([initiator, responder]: &[RoundTrip; 2], side: Peer) -> RoundTrip {
    match side {
        Peer::Initiator => *initiator,
        Peer::Responder => *responder,
    }
}

/// What is known of the other end of a remote-control session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteControl {
    /// The tool: the session's application, if it is one for remote control.
    pub tool: Option<Arc<str>>,
    /// What it counts as: one word for the tools of one vendor, or of one program's code.
    pub family: Option<Arc<str>>,
    /// The relay between both ends.
    pub relay: Option<Addr>,
    /// The address of the other end.
    pub controller: Option<Addr>,
    /// Where that is.
    pub place: Option<Arc<Place>>,
    /// Its autonomous system.
    pub asn: Option<Arc<AutonomousSystem>>,
    /// Tags of that address.
    pub tags: Vec<Box<str>>,
    /// The lowest round trip behind the relay.
    pub hidden_ns: Option<u64>,
    /// Round trips that it comes from.
    pub samples: u32,
    /// How the address or the round trip was found: `stun`, `turn`, `rustdesk`, `direct`.
    pub method: Option<&'static str>,
}
