//! What is known of the people of the subjects file, beside their sessions.
//!
//! Owns: the shapes of these facts. In: endpoints fills them. Out: detect reads them, emit shows
//! them. Never: judgement; an unknown value is absent.

use std::sync::Arc;

use crate::model::Addr;

/// Facts about the people at an endpoint's address, or about the only one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeopleFacts {
    /// Who was at the address on the same day as somebody else.
    pub shared: Option<Shared>,
    /// How many devices are behind the address at least.
    pub behind: Option<HostsBehind>,
    /// Our hosts are connected with the address, which people log in from.
    pub dual: Option<DualRole>,
    /// How fast its only person came here.
    pub travel: Option<Travel>,
    /// When its only person changed between a home and an exit.
    pub flip: Option<Flip>,
    /// TCP and UDP of its only person come from different networks.
    pub split: Option<EgressSplit>,
    /// The networks that its only person works from.
    pub networks: Option<Networks>,
    /// When its only person works.
    pub work_hours: Option<WorkHours>,
    /// Of a home host: an unusual volume.
    pub volume: Option<Volume>,
    /// Of a home host: a destination that is new.
    pub new_destination: Option<NewDestination>,
    /// Of a home host: a tool that is new on site.
    pub first_seen: Option<FirstSeen>,
    /// Of a home host: calls for hours on days.
    pub marathon: Option<Marathon>,
    /// Of a home host: sessions that look controlled, over days.
    pub screen_days: Option<ScreenDays>,
}

impl PeopleFacts {
    /// The facts, if there are any.
    pub fn if_any(self) -> Option<Box<PeopleFacts>> {
        (self != PeopleFacts::default()).then(|| Box::new(self))
    }
}

/// People who were at an address on one day.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// They, in order.
    pub people: Vec<Arc<str>>,
    /// Days of the last 14 on which two or more of them were there.
    pub days: u32,
    /// The largest distance between the places that two of them claim, in km.
    pub apart_km: Option<f64>,
    /// The fewest days from the hire of one of them to a day with somebody else.
    pub hired_days: Option<u32>,
    /// Whether that one was never seen near the place they claim, as far as is known.
    pub new_away: bool,
}

/// How the number of devices behind an address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedBy {
    /// Clients of one VPN gateway, connected at the same time.
    Tunnels,
    /// People whose sessions fall into the same hour.
    People,
    /// Families of systems whose SYNs fall into the same hour.
    Stacks,
}

impl CountedBy {
    /// Each word of `longhaul.hosts_behind.method`.
    pub const WORDS: [&'static str; 3] = ["tunnels", "people", "stacks"];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            CountedBy::Tunnels => "tunnels",
            CountedBy::People => "people",
            CountedBy::Stacks => "stacks",
        }
    }
}

/// A lower bound of the devices behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostsBehind {
    /// At least so many.
    pub min: u32,
    /// What says so.
    pub method: CountedBy,
}

/// An address that hosts of ours are connected with, and that people log in from.
#[derive(Clone, Debug, PartialEq)]
pub struct DualRole {
    /// What connects our host with it: a tag, or a protocol.
    pub by: Arc<str>,
    /// The host.
    pub host: Addr,
    /// Days between that and the latest log-in.
    pub days: u32,
}

/// Sessions of one person at two places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Travel {
    /// Between the regions of the two addresses, nearest points, in km.
    pub km: f64,
    /// From the end of the earlier session to the start of the later one; 0 if they overlap.
    pub minutes: u32,
    /// The other address.
    pub from: Addr,
}

impl Travel {
    /// Kilometres per hour; sessions that overlap or follow at once count as a minute apart.
    pub fn kmh(&self) -> f64 {
        self.km * 60.0 / f64::from(self.minutes.max(1))
    }
}

/// A change between an access network and an exit of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flip {
    /// From the end of the earlier session to the start of the later one; 0 if they overlap.
    pub minutes: u32,
    /// Days of the last 14 with such a change.
    pub days: u32,
    /// The other address.
    pub from: Addr,
}

/// What differs between two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differs {
    /// One is an access network, the other a hosting network or VPN.
    Class,
    /// The country.
    Country,
}

impl Differs {
    /// Each word of `longhaul.egress_split.differs`.
    pub const WORDS: [&'static str; 2] = ["class", "country"];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Differs::Class => "class",
            Differs::Country => "country",
        }
    }
}

/// TCP and UDP of one person from two addresses of one IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressSplit {
    /// Seconds between the two sessions; 0 if they overlap.
    pub seconds: u32,
    /// Where TCP came from.
    pub tcp: Addr,
    /// Where UDP came from.
    pub udp: Addr,
    /// What tells their networks apart.
    pub differs: Differs,
}

/// The access networks that one person works from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Networks {
    /// Different autonomous systems of the last 14 days, at most 8.
    pub count: u32,
    /// Days from the hire to the first session from the latest of them.
    pub hired_days: Option<u32>,
    /// Minutes from that session to the first with an IP-KVM or its maker's cloud behind it.
    pub kvm_minutes: Option<u32>,
}

/// When one person works. Hours and days are in UTC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkHours {
    /// Days of the last 14 with an active hour.
    pub days: u32,
    /// Active hours of such a day, median.
    pub active_p50: u32,
    /// Most active hours of a day.
    pub active_max: u32,
    /// Days of the last 7 with 14 active hours or more.
    pub long_days: u32,
    /// The part of the active hours in the hours that the configuration names; none without.
    pub foreign_share: Option<f64>,
}

/// What kind of owner the other end of an upload has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// Hosting of source code.
    Code,
    /// Sharing of files.
    Sharing,
    /// Storage.
    Storage,
    /// Any other hosting network.
    Hosting,
}

impl Owner {
    /// Each of them.
    pub const ALL: [Owner; 4] = [Owner::Code, Owner::Sharing, Owner::Storage, Owner::Hosting];

    /// Each word of `longhaul.volume.owner`.
    pub const WORDS: [&'static str; 4] = ["code", "sharing", "storage", "hosting"];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Owner::Code => "code",
            Owner::Sharing => "sharing",
            Owner::Storage => "storage",
            Owner::Hosting => "hosting",
        }
    }
}

/// What one person sent to one kind of owner on a day, against the days before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The kind of owner.
    pub owner: Owner,
    /// Bytes of the day.
    pub bytes: u64,
    /// The 99.9th percentile of the days before: of up to 60 days their maximum.
    pub usual: u64,
    /// Days that the person was watched before.
    pub days: u32,
}

/// A network and country that one person never went to before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewDestination {
    /// How long the session lasted.
    pub minutes: u32,
    /// From the sensor to its region, in km.
    pub km: Option<f64>,
    /// Other people who went there in 30 days.
    pub people: u32,
    /// Other people of that person's group.
    pub group: u32,
    /// Those of them who went there.
    pub group_people: u32,
    /// Days that the person was watched before.
    pub history_days: u32,
}

/// A tool or tunnel that nobody used before.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstSeen {
    /// Its tag, or the protocol.
    pub tool: Arc<str>,
    /// Days that the site was watched before.
    pub history_days: u32,
}

/// Calls that show a screen for hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marathon {
    /// Days of the last 14 with four hours of them or more.
    pub days: u32,
    /// Hours of them today.
    pub hours: u32,
}

/// Sessions that look controlled from outside, of one person or host with one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScreenDays {
    /// Days of the last 14 with one.
    pub days: u32,
    /// Other people and hosts that have some with the same network.
    pub others: u32,
    /// The number of that network's autonomous system.
    pub system: Option<u32>,
    /// The other end of the latest.
    pub ip: Addr,
}
