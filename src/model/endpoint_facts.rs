//! What the sessions of an endpoint say together of its stack, its path and its days.
//!
//! Owns: the shapes of those sums. In: endpoints fills them. Out: detect reads them, emit shows
//! them. Never: judgement; a sum that cannot be told is absent.

use std::sync::Arc;

use crate::model::record::Quality;
use crate::model::{Addr, Nanos};

/// Different MTU hints kept for an endpoint.
pub const MTUS_MAX: usize = 4;

/// Sums beside an endpoint's totals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traits {
    /// Days (UTC) on which its sessions ended, at most 64.
    pub days: u32,
    /// Different people of the subjects file its sessions were about, at most 8.
    pub subjects: u32,
    /// What its SYNs tell of the largest packet on its way.
    pub mtu: Option<MtuTotals>,
    /// What its SYNs and its programs tell of its system.
    pub stack: Option<StackTotals>,
    /// How its sessions' lowest round trips lie.
    pub spread: Option<Spread>,
    /// How far its floor lies above that of others.
    pub excess: Option<Excess>,
    /// What was learned of the way to it.
    pub baseline: Option<Baseline>,
    /// What was learned of the only person its sessions were about.
    pub subject_baseline: Option<Baseline>,
    /// The session that ended last.
    pub latest: Option<Box<LatestSession>>,
}

/// MTUs that SYNs hint at: MSS and the headers of IP and TCP (RFC 6691).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MtuTotals {
    /// SYNs with an MSS.
    pub syns: u32,
    /// Each MTU and its SYNs, most frequent first, at most [`MTUS_MAX`].
    pub hints: Vec<(u16, u32)>,
    /// SYNs of further MTUs.
    pub others: u32,
}

/// Whose system the SYNs are, against whose the programs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackTotals {
    /// Family of most SYNs that tell one.
    pub syn: Option<&'static str>,
    /// Family of most programs that tell one.
    pub program: Option<&'static str>,
    /// Sessions in which both are told.
    pub compared: u32,
    /// Those of them in which they differ.
    pub differ: u32,
}

/// Quartiles of the lowest round trip of each session: from a sample of at most 16 sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Sessions with [`Spread::TRIPS_MIN`] round trips or more: only those count.
    pub sessions: u32,
    /// Days (UTC) on which they ended, at most 64.
    pub days: u32,
    /// First quartile, in ns.
    pub p25_ns: u64,
    /// Median, in ns.
    pub p50_ns: u64,
    /// Third quartile, in ns.
    pub p75_ns: u64,
}

impl Spread {
    /// Round trips a session must have taken, its handshake's among them, for its lowest to be
    /// more than an accident.
    pub const TRIPS_MIN: u32 = 5;

    /// Distance between the quartiles, in ns.
    pub const fn iqr_ns(&self) -> u64 {
        self.p75_ns.saturating_sub(self.p25_ns)
    }
}

/// A floor against the lowest that others of the same part of the network have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// Whose floor: `prefix`, or where a baseline has one, [`BaselineOf::as_str`].
    pub of: &'static str,
    /// That floor, in ns.
    pub floor_ns: u64,
    /// How far the endpoint's own lies above it, in ns.
    pub over_ns: u64,
    /// Sessions that floor rests on: of a prefix, those of other endpoints.
    pub sessions: u64,
    /// Days (UTC) on which they were.
    pub days: u32,
}

/// What a baseline is kept of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BaselineOf {
    /// A /24 (IPv4) or /48 (IPv6).
    Prefix,
    /// An autonomous system in a region.
    Network,
    /// A service at a prefix.
    Destination,
    /// A person of the subjects file.
    Subject,
}

impl BaselineOf {
    /// Each of them.
    pub const ALL: [BaselineOf; 4] =
        [BaselineOf::Prefix, BaselineOf::Network, BaselineOf::Destination, BaselineOf::Subject];

    /// The word in `longhaul.floor.of`.
    pub const fn as_str(self) -> &'static str {
        match self {
            BaselineOf::Prefix => "prefix-baseline",
            BaselineOf::Network => "asn-baseline",
            BaselineOf::Destination => "destination-baseline",
            BaselineOf::Subject => "subject-baseline",
        }
    }
}

/// What round trips usually are, learned over many sessions and days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// Whose.
    pub of: BaselineOf,
    /// A low quantile of them, in ns.
    pub floor_ns: u64,
    /// Sessions it rests on.
    pub sessions: u64,
    /// Days on which they were.
    pub days: u32,
    /// Too little time has passed since the first session: nothing is held against it yet.
    pub learning: bool,
}

impl Baseline {
    /// How far a floor lies above it, in ns; nothing while it is still being learned.
    pub fn excess_of(&self, own: Option<u64>) -> Option<u64> {
        let over = own?.checked_sub(self.floor_ns)?;
        (over > 0 && !self.learning).then_some(over)
    }
}

/// What an alert about an endpoint needs of its last session.
#[derive(Clone, Debug, PartialEq)]
pub struct LatestSession {
    /// Its event id.
    pub id: [u8; 16],
    /// First packet's time.
    pub start: Nanos,
    /// Last packet's time.
    pub end: Nanos,
    /// File, first and last frame.
    pub packets: (u16, u32, u32),
    /// How far to trust it.
    pub quality: Quality,
    /// The other end.
    pub peer: Addr,
    /// Whether the other end is home.
    pub peer_home: bool,
    /// Id of the person in the subjects file.
    pub subject: Option<Arc<str>>,
    /// Their name there.
    pub subject_name: Option<Arc<str>>,
    /// The address of the end that began.
    pub began: Addr,
}
