//! Statistics of an endpoint's sessions: its stack, its path and its days.
//!
//! Owns: the shapes of these statistics. In: endpoints fills them. Out: detect reads them, emit
//! shows them. Never: judgement; an unknown value is absent.

use std::sync::Arc;

use crate::model::controller_leg::ControllerLeg;
use crate::model::people_facts::PeopleFacts;
use crate::model::physics::ClaimedPlace;
use crate::model::record::Quality;
use crate::model::{Addr, Nanos};

/// Different MTU hints kept per endpoint.
pub const MTUS_MAX: usize = 4;

/// Statistics beside an endpoint's totals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traits {
    /// Days (UTC) on which its sessions ended, at most 64.
    pub days: u32,
    /// Different people of the subjects file among the subjects of its sessions, at most 8.
    pub subjects: u32,
    /// The MTU of its path, from its SYNs.
    pub mtu: Option<MtuTotals>,
    /// IP bytes of a datagram that its own address refused to pass on to a smaller link.
    pub refused: Option<u16>,
    /// IP bytes that its path carried, and the fewest that it did not, by the sizes of datagrams.
    pub path: Option<(u16, u16)>,
    /// Its operating system, from its SYNs and its programs.
    pub stack: Option<StackTotals>,
    /// The spread of its sessions' lowest round trips.
    pub spread: Option<Spread>,
    /// How far its floor is above that of others.
    pub excess: Option<Excess>,
    /// The baseline of the path to it.
    pub baseline: Option<Baseline>,
    /// The baseline of the only person among the subjects of its sessions.
    pub subject_baseline: Option<Baseline>,
    /// How it is driven from elsewhere; of home hosts.
    pub control: Option<Box<Control>>,
    /// Input into it that no person makes; of home hosts.
    pub synthetic: Option<Box<SyntheticInput>>,
    /// What its only person claims.
    pub claim: Option<ClaimTotals>,
    /// The people who share its address.
    pub colocated: Option<Colocated>,
    /// What else is known of the people there.
    pub people: Option<Box<PeopleFacts>>,
    /// From the sensor to the nearest point of its region, in km.
    pub region_km: Option<f64>,
    /// The session that ended last.
    pub latest: Option<Box<LatestSession>>,
}

/// What tells input that a device or program makes from a person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputTest {
    /// Groups of events 100 ms apart, alone; the statistic is their share of the lone bursts.
    Comb,
    /// One interval; the median deviation from it, as a share of it.
    Fixed,
    /// Intervals between bounds; the longest divided by the shortest.
    Bounded,
    /// One part of the minute; its length in seconds.
    Phase,
    /// One message at one interval, of one client of a service; how many others do without any.
    Alone,
}

impl InputTest {
    /// Each word of `longhaul.synthetic_input.test`.
    pub const WORDS: [&'static str; 5] = ["comb", "fixed", "bounded", "phase", "alone"];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            InputTest::Comb => "comb",
            InputTest::Fixed => "fixed",
            InputTest::Bounded => "bounded",
            InputTest::Phase => "phase",
            InputTest::Alone => "alone",
        }
    }
}

/// Input into a home host that no person makes.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticInput {
    /// From 0 to 1.
    pub confidence: f64,
    /// What told it, and its statistic.
    pub test: InputTest,
    /// The statistic of that test.
    pub statistic: f64,
    /// Median interval, in ms.
    pub period_ms: u32,
    /// Bursts it rests on.
    pub bursts: u32,
    /// Where it comes from.
    pub from: Addr,
    /// The session it comes by, if it was shown since.
    pub session: Option<LatestSession>,
}

/// Messages into a home host by one way, and keystrokes out of it by another.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// From 0 to 1; 0.5 and more reads as: somebody elsewhere types through this host.
    pub confidence: f64,
    /// Where the messages come from.
    pub from: Addr,
    /// Where the keystrokes go.
    pub to: Addr,
    /// Share of the keystrokes that follow a message.
    pub share: f64,
    /// The same at moments shortly before each.
    pub baseline: f64,
    /// Median time between the two, in ns.
    pub lag_ns: u64,
    /// The keystrokes it rests on.
    pub keys: u32,
    /// Windows of 256 keystrokes, or of 20 minutes, that said so by themselves.
    pub windows: u32,
    /// Days (UTC) with such a window.
    pub days: u32,
    /// What the messages come by: application, else protocol, else transport.
    pub via: Option<Arc<str>>,
    /// The remote-control tool that it is.
    pub tool: Option<Arc<str>>,
    /// The configuration allows that tool.
    pub approved: bool,
    /// The host answers there: it offers a service.
    pub serves: bool,
    /// A relay carries it.
    pub relayed: bool,
    /// The leg to who controls, if it was measured.
    pub leg: Option<ControllerLeg>,
    /// The session that the messages come by, if it was shown since.
    pub session: Option<LatestSession>,
}

/// MTUs derived from SYNs: MSS plus the headers of IP and TCP (RFC 6691).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MtuTotals {
    /// SYNs with an MSS.
    pub syns: u32,
    /// Each MTU and its SYNs, most frequent first, at most [`MTUS_MAX`].
    pub hints: Vec<(u16, u32)>,
    /// SYNs with other MTUs.
    pub others: u32,
    /// Most SYNs with the first of them have an MSS that another system than the sender set.
    pub clamped: bool,
}

/// The operating system of the SYNs compared with that of the programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackTotals {
    /// The system of most SYNs that reveal one.
    pub syn: Option<&'static str>,
    /// The system of most programs that reveal one.
    pub program: Option<&'static str>,
    /// Sessions in which both are known.
    pub compared: u32,
    /// Those in which they differ.
    pub differ: u32,
}

/// Quartiles of the lowest round trip of each session: from a sample of at most 16 sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Sessions with at least [`Spread::TRIPS_MIN`] round trips; only those count.
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
    /// Round trips needed in a session, including the handshake's, so that the lowest is not an
    /// accident.
    pub const TRIPS_MIN: u32 = 5;

    /// Distance between the quartiles, in ns.
    pub const fn iqr_ns(&self) -> u64 {
        self.p75_ns.saturating_sub(self.p25_ns)
    }
}

/// A floor compared with the lowest floor of others in the same part of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// The reference: `prefix`, or for a baseline [`BaselineOf::as_str`].
    pub of: &'static str,
    /// The reference floor, in ns.
    pub floor_ns: u64,
    /// How far the endpoint's own floor is above it, in ns.
    pub over_ns: u64,
    /// Sessions behind the reference; for a prefix, those of other endpoints.
    pub sessions: u64,
    /// The days (UTC) of those sessions.
    pub days: u32,
}

/// The kinds of keys of baselines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BaselineOf {
    /// A /24 (IPv4) or /48 (IPv6).
    Prefix,
    /// An autonomous system in a region.
    Network,
    /// A service at a prefix.
    Destination,
    /// A person in the subjects file.
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

/// Usual round trips, learned over many sessions and days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// The kind of key.
    pub of: BaselineOf,
    /// A low quantile of the round trips, in ns.
    pub floor_ns: u64,
    /// The sessions behind it.
    pub sessions: u64,
    /// The days of those sessions.
    pub days: u32,
    /// Too little time has passed since the first session, so it is not used yet.
    pub learning: bool,
}

impl Baseline {
    /// How far a floor is above it, in ns; `None` while it is still being learned.
    pub fn excess_of(&self, own: Option<u64>) -> Option<u64> {
        let over = own?.checked_sub(self.floor_ns)?;
        (over > 0 && !self.learning).then_some(over)
    }
}

/// The place that a person claims, against where they are seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClaimTotals {
    /// From the sensor to its nearest point, in km.
    pub km: f64,
    /// From it to the region of the endpoint's address, in km.
    pub region_km: Option<f64>,
    /// Days of the last 14 on which the person was at the endpoint's address.
    pub days: u32,
    /// Those on which the person was seen near it; `None` if too little is known of where the
    /// person was.
    pub near_days: Option<u32>,
}

/// People who share an address, on two days or more each.
#[derive(Clone, Debug, PartialEq)]
pub struct Colocated {
    /// They, in order.
    pub people: Vec<Arc<str>>,
    /// Days of the last 14 on which two or more of them were there.
    pub days: u32,
    /// Those of them on which two or more were there in the same hour, for four hours or more.
    pub overlap_days: u32,
    /// The largest distance between the places that two of them claim, in km.
    pub apart_km: f64,
    /// Those of them who were not seen near the place they claim.
    pub away: u32,
}

/// The facts about an endpoint's last session that an alert needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatestSession {
    /// Its event id.
    pub id: [u8; 16],
    /// First packet's time.
    pub start: Nanos,
    /// Last packet's time.
    pub end: Nanos,
    /// File, first and last frame.
    pub packets: (u16, u32, u32),
    /// Its quality flags.
    pub quality: Quality,
    /// The other end.
    pub peer: Addr,
    /// Whether the other end is home.
    pub peer_home: bool,
    /// Id of the person in the subjects file.
    pub subject: Option<Arc<str>>,
    /// Their name there.
    pub subject_name: Option<Arc<str>>,
    /// The date they were hired.
    pub hired: Option<Arc<str>>,
    /// The region of the address, by the geo database.
    pub region: Option<ClaimedPlace>,
    /// The address of the initiator; of a home host that is driven, its own.
    pub began: Addr,
}
