//! Alerts, and the incidents made of them.
//!
//! Owns: their data. In: detect. Out: emit. Never: evidence that a rule did not look at.

use std::sync::Arc;

use crate::model::id::alert_id;
use crate::model::{Addr, Nanos};

/// The five families of the detection catalogue. One family alone never makes an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Network identity.
    N,
    /// Physics: time and distance.
    P,
    /// Remote control.
    R,
    /// Co-location.
    C,
    /// Behaviour.
    B,
}

impl Family {
    /// The letter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Family::N => "N",
            Family::P => "P",
            Family::R => "R",
            Family::C => "C",
            Family::B => "B",
        }
    }

    /// The group of a rule that names none.
    pub const fn group(self) -> Group {
        match self {
            Family::N => Group::Network,
            Family::P => Group::Latency,
            Family::R => Group::Tool,
            Family::C => Group::Colocation,
            Family::B => Group::Behaviour,
        }
    }
}

/// What fails together: evidence of one group has one possible cause (one list, one path, one
/// stack, one tool), so the best of a group counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// A name or address on a list, or a look-up of one.
    List,
    /// The class of the network that an address belongs to, and tunnels in front of it.
    Network,
    /// Measured round trips.
    Latency,
    /// The claimed place against what was measured or the address's own place.
    Place,
    /// The system that ends TCP against the one that speaks.
    Stack,
    /// A tool in use.
    Tool,
    /// How a device is driven.
    Control,
    /// People behind one address.
    Colocation,
    /// Habits, and what no person does.
    Behaviour,
    /// When somebody works.
    Hours,
}

impl Group {
    /// Each of them, in order.
    pub const ALL: [Group; 10] = [
        Group::List,
        Group::Network,
        Group::Latency,
        Group::Place,
        Group::Stack,
        Group::Tool,
        Group::Control,
        Group::Colocation,
        Group::Behaviour,
        Group::Hours,
    ];

    /// `longhaul.group`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Group::List => "list",
            Group::Network => "network",
            Group::Latency => "latency",
            Group::Place => "place",
            Group::Stack => "stack",
            Group::Tool => "tool",
            Group::Control => "control",
            Group::Colocation => "colocation",
            Group::Behaviour => "behaviour",
            Group::Hours => "hours",
        }
    }

    /// The group of that name.
    pub fn of(name: &str) -> Option<Group> {
        Group::ALL.into_iter().find(|group| group.as_str() == name)
    }
}

/// Sigma levels, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Context only.
    Informational,
    /// Never acts alone.
    Low,
    /// Worth a look.
    Medium,
    /// Worth a look today.
    High,
    /// Worth a look now.
    Critical,
}

impl Level {
    /// The Sigma word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Informational => "informational",
            Level::Low => "low",
            Level::Medium => "medium",
            Level::High => "high",
            Level::Critical => "critical",
        }
    }

    /// ECS `event.severity`, 0 to 100.
    pub const fn severity(self) -> u8 {
        match self {
            Level::Informational => 10,
            Level::Low => 30,
            Level::Medium => 50,
            Level::High => 75,
            Level::Critical => 95,
        }
    }
}

/// The properties of a rule, shared by its alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleInfo {
    /// Catalogue number: `D01`.
    pub id: String,
    /// Catalogue name: `vpn_exit_inbound`.
    pub name: String,
    /// Sigma `id`, a UUID.
    pub uuid: String,
    /// Sigma `title`.
    pub title: String,
    /// Sigma `level`.
    pub level: Level,
    /// Family of the catalogue.
    pub family: Family,
    /// Topologies it can show: `T1` to `T6`.
    pub topologies: Vec<String>,
    /// MITRE ATT&CK technique ids: `T1090.003`.
    pub techniques: Vec<String>,
    /// What its evidence fails together with.
    pub group: Group,
    /// Likelihood ratio: how much more often it fires on a case than on the honest.
    pub ratio: f64,
    /// It makes an incident without a second group.
    pub alone: bool,
    /// Benign explanations that the rule itself excludes (Sigma `falsepositives` and filters), in
    /// words.
    pub benign_checked: Vec<String>,
    /// The message; `{field}` is replaced by the record's value.
    pub message: String,
    /// Fields whose values are the alert's evidence, with unit, and threshold if the rule has one.
    pub evidence: Vec<EvidenceField>,
}

/// A field that is evidence of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceField {
    /// Field name.
    pub field: String,
    /// Unit of the value, empty if it has none.
    pub unit: String,
    /// Threshold in the field's unit, if the rule compares it with one.
    pub threshold: Option<f64>,
}

/// A value of evidence: number or text, the same for all values of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceValue {
    /// A number in decimal digits: each digit is kept.
    Number(String),
    /// Anything else.
    Text(String),
}

impl EvidenceValue {
    /// The value as text.
    pub fn as_str(&self) -> &str {
        match self {
            EvidenceValue::Number(text) | EvidenceValue::Text(text) => text,
        }
    }
}

/// A number or text that made the rule fire.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceItem {
    /// Field name.
    pub name: String,
    /// Its value.
    pub value: EvidenceValue,
    /// Unit of the value, empty if it has none.
    pub unit: String,
    /// Threshold it was compared with.
    pub threshold: Option<f64>,
    /// Number of measurements it is based on.
    pub samples: u64,
    /// Event ids of the sessions it was seen in (capped).
    pub sessions: Vec<String>,
}

impl EvidenceItem {
    fn bytes(&self) -> usize {
        let texts = self.name.len() + self.value.as_str().len() + self.unit.len();
        let sessions = self.sessions.iter().map(|id| size_of::<String>() + id.len());
        size_of::<EvidenceItem>() + texts + sessions.sum::<usize>()
    }
}

/// A list, database or rule set that an alert is based on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// `geo`, `asn`, `list` or `rules`.
    pub kind: &'static str,
    /// Its name.
    pub name: Arc<str>,
    /// Its version; empty if only its build date identifies it.
    pub version: Arc<str>,
    /// Build time, for its age at the time of the packet.
    pub built_at: Option<Nanos>,
}

/// Repetitions of an alert that were merged into it.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeats {
    /// The values by which the rule merges alerts.
    pub key: String,
    /// The number within a day that makes an alert; fewer are not reported.
    pub at_least: u64,
    /// Number of merged alerts, including the first.
    pub count: u64,
    /// Packet time of the last of them.
    pub last: Nanos,
    /// Positions of the packets of the others (capped).
    pub packets: Vec<(u16, u32, u32)>,
    /// Evidence and packet positions beyond their caps.
    pub left_out: u64,
}

impl Repeats {
    /// Of a single alert at `time`.
    pub fn of(key: String, time: Nanos) -> Repeats {
        Repeats { key, at_least: 1, count: 1, last: time, packets: Vec::new(), left_out: 0 }
    }
}

/// The file index of packets that an earlier run has read: their position is no longer known.
pub const EARLIER_RUN: u16 = u16::MAX;

/// A rule fired on a session or an endpoint.
#[derive(Clone, Debug)]
pub struct Alert {
    /// `event.id`; empty until the correlator has ordered it.
    pub id: String,
    /// Sort key: the run's clock when the record was handed over.
    pub at: Nanos,
    /// Packet time of the last packet of the session the rule fired on.
    pub time: Nanos,
    /// First packet's time.
    pub since: Nanos,
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// Level after list ages and configuration.
    pub level: Level,
    /// The rule's likelihood ratio after list ages and tags of benign explanations.
    pub ratio: f64,
    /// What has lowered the ratio, in words.
    pub lowered: Vec<String>,
    /// Where the rule's ratio comes from, in words; empty until the alert is taken.
    pub ratio_source: Arc<str>,
    /// Share of people who are cases before anything is seen, and what the subject's time of
    /// service says of it; absent until the alert is taken.
    pub prior: Option<(f64, Option<f64>)>,
    /// The subject: an id from the subjects file, or an address.
    pub subject: Arc<str>,
    /// The subject's name, if the subjects file has one.
    pub subject_name: Option<Arc<str>>,
    /// The people it is about, if it is about several at one address.
    pub people: Vec<Arc<str>>,
    /// The home side's address.
    pub home: Option<Addr>,
    /// The remote side's address.
    pub remote: Option<Addr>,
    /// Fields of the session or endpoint that the alert repeats: (name, value as JSON).
    pub context: Vec<(String, String)>,
    /// The message.
    pub message: String,
    /// The values that made the rule fire.
    pub evidence: Vec<EvidenceItem>,
    /// Lists and databases it is based on.
    pub sources: Vec<SourceInfo>,
    /// Position of the packets: (file index, first frame, last frame).
    pub packets: (u16, u32, u32),
    /// Quality of the session's capture (a copy of the record's).
    pub quality: crate::model::record::Quality,
    /// Event id of the session.
    pub session_id: String,
    /// The repetitions, if the rule merges them.
    pub repeats: Option<Repeats>,
}

impl Alert {
    /// Its event id.
    pub fn event_id(&self) -> String {
        alert_id(&self.rule.uuid, &self.session_id, &self.subject, self.time)
    }

    /// How much it weighs, from 0 (nothing) towards 1: what `1 - 1/ratio` gives.
    pub fn weight(&self) -> f64 {
        1.0 - 1.0 / self.ratio.max(1.0)
    }

    /// Approximate bytes that it holds.
    pub fn bytes(&self) -> usize {
        let lowered = self.lowered.iter().map(|text| size_of::<String>() + text.len());
        let texts = self.id.len() + self.subject.len() + self.message.len() + self.session_id.len();
        let context = self.context.iter().map(|(name, value)| name.len() + value.len() + 48);
        let evidence = self.evidence.iter().map(EvidenceItem::bytes);
        let sources = self.sources.len() * size_of::<SourceInfo>();
        let repeats = self.repeats.as_ref().map_or(0, |of| of.key.len() + 12 * of.packets.len());
        let lists = context.sum::<usize>() + evidence.sum::<usize>() + sources;
        let lists = lists + self.ratio_source.len();
        let people = self.people.iter().map(|id| size_of::<Arc<str>>() + id.len());
        let lists = lists + lowered.sum::<usize>() + people.sum::<usize>();
        size_of::<Alert>() + texts + lists + repeats
    }
}

#[cfg(test)]
impl Alert {
    /// An alert of a made-up rule of this number, for tests.
    pub(crate) fn sample(rule: &str, family: Family) -> Alert {
        let info = RuleInfo {
            id: rule.to_owned(),
            name: rule.to_lowercase(),
            uuid: rule.to_owned(),
            title: String::new(),
            level: Level::Medium,
            family,
            topologies: vec!["T3".to_owned()],
            techniques: Vec::new(),
            group: family.group(),
            ratio: 50.0,
            alone: false,
            benign_checked: Vec::new(),
            message: String::new(),
            evidence: Vec::new(),
        };
        Alert {
            id: String::new(),
            at: Nanos::ZERO,
            time: Nanos::ZERO,
            since: Nanos::ZERO,
            rule: Arc::new(info),
            level: Level::Medium,
            ratio: 50.0,
            lowered: Vec::new(),
            ratio_source: Arc::from(""),
            prior: None,
            subject: Arc::from("s"),
            subject_name: None,
            people: Vec::new(),
            home: None,
            remote: None,
            context: Vec::new(),
            message: String::new(),
            evidence: Vec::new(),
            sources: Vec::new(),
            packets: (0, 0, 0),
            quality: crate::model::record::Quality::default(),
            session_id: String::new(),
            repeats: None,
        }
    }
}

/// An alert of an incident, shared with the list of alerts.
#[derive(Clone, Debug)]
pub struct Member {
    /// The alert's event id.
    pub id: String,
    /// The alert.
    pub alert: Arc<Alert>,
}

/// The change of an incident since it was last reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is reported for the first time.
    #[default]
    Opened,
    /// Its level, its groups of evidence, its people or its devices have grown.
    Worse,
    /// Its window is over, or it was evicted: nothing is added to it.
    Closed,
}

impl Change {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Change::Opened => "opened",
            Change::Worse => "worse",
            Change::Closed => "closed",
        }
    }
}

/// The strongest evidence of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// The group.
    pub group: Group,
    /// Its likelihood ratio.
    pub ratio: f64,
    /// Number of the rule that gave it.
    pub rule: String,
}

/// At least two groups of evidence on one subject within seven days that are together more likely
/// of a case than not.
#[derive(Clone, Debug)]
pub struct Incident {
    /// `event.id`: the same in each report; empty until the correlator has ordered it.
    pub id: String,
    /// Its change since the last report.
    pub change: Change,
    /// Packet time at which the score was reached.
    pub time: Nanos,
    /// First alert's time.
    pub since: Nanos,
    /// The subject.
    pub subject: Arc<str>,
    /// The subject's name, if known.
    pub subject_name: Option<Arc<str>>,
    /// Families that fired, in order.
    pub families: Vec<Family>,
    /// Groups of evidence, each with its strongest.
    pub factors: Vec<Factor>,
    /// Share of people who are cases before anything is seen.
    pub prior: f64,
    /// How much the subject's time of service changes that, if it is known.
    pub tenure: Option<f64>,
    /// The posterior probability: odds before, times the ratio of each group.
    pub score: f64,
    /// Several people whose evidence is one matter: behind one address.
    pub subjects: Vec<Arc<str>>,
    /// Devices of ours that its alerts were seen on (capped), in the order of the run.
    pub devices: Vec<Arc<str>>,
    /// Highest level of its alerts.
    pub level: Level,
    /// The alerts it is made of, in the order of the run (capped).
    pub alerts: Vec<Member>,
    /// Alerts of the subject since the first of them that are not listed.
    pub alerts_more: u64,
    /// Topologies named by its rules.
    pub topologies: Vec<String>,
}

impl Incident {
    /// The strongest alert: the greatest ratio, then the highest level, then the earliest.
    pub fn strongest(&self) -> Option<&Alert> {
        let rank = |a: &Alert, b: &Alert| a.ratio.total_cmp(&b.ratio).then(a.level.cmp(&b.level));
        let alerts = self.alerts.iter().map(|member| &*member.alert);
        alerts.reduce(|best, next| if rank(best, next).is_lt() { next } else { best })
    }
}
