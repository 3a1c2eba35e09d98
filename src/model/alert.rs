//! What rules say: alerts, and incidents made of them.
//!
//! Owns: the judged facts. In: detect. Out: emit. Never: evidence a rule did not look at.

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

/// What stays the same for every alert of one rule.
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
    /// Topologies it speaks of: `T1` to `T6`.
    pub topologies: Vec<String>,
    /// MITRE ATT&CK technique ids: `T1090.003`.
    pub techniques: Vec<String>,
    /// Weight in an incident's score, 0 to 1.
    pub weight: f64,
    /// Benign explanations that the rule itself excludes (Sigma `falsepositives` and filters), in
    /// words.
    pub benign_checked: Vec<String>,
    /// The sentence for a person; `{field}` is replaced by the record's value.
    pub message: String,
    /// Fields whose values the alert carries as evidence, with unit and threshold where the rule
    /// has one.
    pub evidence: Vec<EvidenceField>,
}

/// One field an alert of a rule carries.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceField {
    /// Field name as in the field table.
    pub field: String,
    /// Unit of the value, empty where it has none.
    pub unit: String,
    /// Threshold in the field's unit, where the rule compares with one.
    pub threshold: Option<f64>,
}

/// A value of evidence: what it is stays the same for all values of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceValue {
    /// A number in decimal digits: each digit is kept.
    Number(String),
    /// Anything else.
    Text(String),
}

impl EvidenceValue {
    /// As a person reads it.
    pub fn as_str(&self) -> &str {
        match self {
            EvidenceValue::Number(text) | EvidenceValue::Text(text) => text,
        }
    }
}

/// One number or word that made the rule fire.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceItem {
    /// Field name.
    pub name: String,
    /// Its value.
    pub value: EvidenceValue,
    /// Unit of the value, empty where it has none.
    pub unit: String,
    /// Threshold it was compared with.
    pub threshold: Option<f64>,
    /// How many measurements stand behind it.
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

/// A list, database or rule set that an alert rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// `geo`, `asn`, `list` or `rules`.
    pub kind: &'static str,
    /// Its name.
    pub name: Arc<str>,
    /// Its version; empty where the day of its build is all that tells it from others.
    pub version: Arc<str>,
    /// Build time, for its age at the time of the packet.
    pub built_at: Option<Nanos>,
}

/// What an alert knows of later ones that say the same and were added to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeats {
    /// The values that the rule merges by.
    pub key: String,
    /// How many within a day make an alert; fewer are none.
    pub at_least: u64,
    /// How many alerts it stands for, itself included.
    pub count: u64,
    /// Packet time of the last of them.
    pub last: Nanos,
    /// Where the packets of the others are (capped).
    pub packets: Vec<(u16, u32, u32)>,
    /// Pieces of evidence and places of packets past their caps.
    pub left_out: u64,
}

impl Repeats {
    /// Of an alert at `time` that stands for itself only.
    pub fn of(key: String, time: Nanos) -> Repeats {
        Repeats { key, at_least: 1, count: 1, last: time, packets: Vec::new(), left_out: 0 }
    }
}

/// The file of packets that an earlier run has read: where they are is not known any more.
pub const EARLIER_RUN: u16 = u16::MAX;

/// One rule fired on one session (or, later, endpoint).
#[derive(Clone, Debug)]
pub struct Alert {
    /// `event.id`; empty until the correlator has placed it in the run.
    pub id: String,
    /// Sort key: the run's clock when the record was handed over.
    pub at: Nanos,
    /// Packet time of the last packet of the session the rule fired on.
    pub time: Nanos,
    /// First packet's time.
    pub since: Nanos,
    /// Which rule.
    pub rule: Arc<RuleInfo>,
    /// Level after list ages and configuration.
    pub level: Level,
    /// Weight after list ages.
    pub weight: f64,
    /// Who: an id from the subjects file, else the address of the end that began.
    pub subject: Arc<str>,
    /// Their name where the subjects file gives one.
    pub subject_name: Option<Arc<str>>,
    /// The home side's address and the remote side's.
    pub home: Option<Addr>,
    /// Remote side's address.
    pub remote: Option<Addr>,
    /// Five-tuple and fingerprints in ECS names, rendered from the record: (name, value as JSON).
    pub context: Vec<(String, String)>,
    /// The sentence.
    pub message: String,
    /// Numbers and words behind it.
    pub evidence: Vec<EvidenceItem>,
    /// Lists and databases it rests on.
    pub sources: Vec<SourceInfo>,
    /// Where the packets are: (file index, first frame, last frame).
    pub packets: (u16, u32, u32),
    /// How far to trust the session (a copy of the record's quality).
    pub quality: crate::model::record::Quality,
    /// Event id of the session.
    pub session_id: String,
    /// Where the rule asks to tell repetitions once: what was added.
    pub repeats: Option<Repeats>,
}

impl Alert {
    /// What its event id is.
    pub fn event_id(&self) -> String {
        alert_id(&self.rule.uuid, &self.session_id, &self.subject, self.time)
    }

    /// Bytes that it holds, about.
    pub fn bytes(&self) -> usize {
        let texts = self.id.len() + self.subject.len() + self.message.len() + self.session_id.len();
        let context = self.context.iter().map(|(name, value)| name.len() + value.len() + 48);
        let evidence = self.evidence.iter().map(EvidenceItem::bytes);
        let sources = self.sources.len() * size_of::<SourceInfo>();
        let repeats = self.repeats.as_ref().map_or(0, |of| of.key.len() + 12 * of.packets.len());
        let lists = context.sum::<usize>() + evidence.sum::<usize>() + sources;
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
            weight: 0.5,
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
            weight: 0.5,
            subject: Arc::from("s"),
            subject_name: None,
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

/// What has become of an incident since it was told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is told for the first time.
    #[default]
    Opened,
    /// Its level, its score or the number of its families has grown.
    Worse,
    /// Its window is over, or there is no room for it: nothing is added any more.
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

/// At least two families on one subject within seven days.
#[derive(Clone, Debug)]
pub struct Incident {
    /// `event.id`: the same whenever it is told; empty until the correlator has placed it.
    pub id: String,
    /// What has become of it.
    pub change: Change,
    /// Packet time at which the score was reached.
    pub time: Nanos,
    /// First alert's time.
    pub since: Nanos,
    /// Who.
    pub subject: Arc<str>,
    /// Their name, where known.
    pub subject_name: Option<Arc<str>>,
    /// Families that fired, in order.
    pub families: Vec<Family>,
    /// 1 - prod(1 - w) over the best hit of each family.
    pub score: f64,
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
    /// The alert that says most: the greatest weight, then the highest level, then the earliest.
    pub fn strongest(&self) -> Option<&Alert> {
        let rank = |a: &Alert, b: &Alert| a.weight.total_cmp(&b.weight).then(a.level.cmp(&b.level));
        let alerts = self.alerts.iter().map(|member| &*member.alert);
        alerts.reduce(|best, next| if rank(best, next).is_lt() { next } else { best })
    }
}
