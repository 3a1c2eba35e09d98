//! The totals of a run, for the summary on a terminal.
//!
//! Owns: the totals. In: records, endpoint rows, alerts, incidents. Out: [`Summary`].
//! Never: grows with the input: every list has a cap, and what is left out is counted.

use std::collections::BTreeMap;

use crate::model::endpoint::{EndpointRow, Locality};
use crate::model::endpoint_facts::Control;
use crate::model::interaction::Class;
use crate::model::physics::PhysicsVerdict;
use crate::model::record::Direction;
use crate::model::{Addr, Alert, Counters, Incident, Level, Peer, Record};
use crate::report::feed::{Feed, Feeds};
use crate::report::histogram::Histogram;
use crate::report::spans::Clusters;

/// Remote owners shown; the others are summed.
const OWNERS_MAX: usize = 8;
/// Incidents shown.
const INCIDENTS_MAX: usize = 10;
/// Hosts shown through which somebody elsewhere types.
const DRIVEN_MAX: usize = 8;
/// From this confidence on a host reads as driven from elsewhere, as in rule D12.
const DRIVEN_CONFIDENCE: f64 = 0.5;
/// Rules with a count of their own; a catalogue has some dozens.
const RULES_MAX: usize = 256;
/// Protocols with a count of their own; at least the number of our protocol names.
const PROTOCOLS_MAX: usize = 64;

/// Sessions of one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolLine {
    /// Recognised from payload, else the transport's name.
    pub name: &'static str,
    /// How many.
    pub sessions: u64,
    /// Bytes in both directions.
    pub bytes: u64,
}

/// Remote addresses of one owner in one country.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerLine {
    /// AS number, 0 if unknown.
    pub number: u32,
    /// Owner.
    pub name: Option<Box<str>>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<Box<str>>,
    /// Sessions with it.
    pub sessions: u64,
    /// Lowest round trip to any of its addresses, in ns.
    pub floor_ns: Option<u64>,
}

/// A home host through which somebody elsewhere types.
#[derive(Clone, Debug, PartialEq)]
pub struct DrivenLine {
    /// The host.
    pub host: Addr,
    /// What was measured.
    pub control: Box<Control>,
}

/// Alerts of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleLine {
    /// Catalogue number.
    pub id: String,
    /// Catalogue name.
    pub name: String,
    /// Highest level it fired at.
    pub level: Level,
    /// How often.
    pub alerts: u64,
    /// The message of the first alert at that level.
    pub message: String,
}

/// One incident.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentLine {
    /// Name and id, or id alone.
    pub subject: String,
    /// Groups of evidence, joined by `+`.
    pub groups: String,
    /// 0 to 1.
    pub score: f64,
    /// Highest level of its alerts.
    pub level: Level,
    /// Names of the rules behind it.
    pub rules: String,
}

/// The inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputTotals {
    /// Files or streams.
    pub files: u64,
    /// Interfaces of a live run.
    pub interfaces: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// Frames in them.
    pub frames: u64,
    /// The time spans of their packets.
    pub clusters: Clusters,
    /// Inputs whose verdict is not "ok": name and problem.
    pub problems: Vec<(String, String)>,
    /// Warnings about the request, one sentence each.
    pub warnings: Vec<String>,
    /// Lists that are too old for the capture: how many, and name and age in days of the oldest.
    pub old_lists: Option<(u64, String, u64)>,
}

/// Everything in the summary.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The inputs; set by the pipeline.
    pub inputs: InputTotals,
    /// Sessions.
    pub sessions: u64,
    /// Sessions by protocol, most first.
    pub protocols: Vec<ProtocolLine>,
    /// Handshakes of near legs.
    pub near: Histogram,
    /// Handshakes of far legs.
    pub far: Histogram,
    /// Capture points that see one direction only.
    pub one_way: Vec<Feed>,
    /// Remote owners, most sessions first.
    pub owners: Vec<OwnerLine>,
    /// Owners beyond those.
    pub owners_more: u64,
    /// Home hosts that are driven from elsewhere, highest confidence first.
    pub driven: Vec<DrivenLine>,
    /// Hosts beyond those.
    pub driven_more: u64,
    /// Sessions over which a host of ours shows a screen and takes input from outside, by shape.
    pub controlled: u64,
    /// Alerts by rule, highest level first.
    pub rules: Vec<RuleLine>,
    /// Incidents, highest score first.
    pub incidents: Vec<IncidentLine>,
    /// Incidents beyond those.
    pub incidents_more: u64,
    /// A note on baselines, if they are kept; set by the pipeline.
    pub baselines: Option<String>,
    /// Notes on duplicates, one per capture point; set by the pipeline.
    pub copies: Vec<String>,
    /// Counters, for losses; set by the pipeline.
    pub counters: Counters,
}

/// Collects the summary. Each thread may have its own; the order of merging does not matter.
#[derive(Clone, Debug, Default)]
pub struct SummaryBuilder {
    sessions: u64,
    protocols: Vec<ProtocolLine>,
    near: Histogram,
    far: Histogram,
    feeds: Feeds,
    /// Sessions whose claimed location is refuted, and those whose location was judged.
    claims: (u64, u64),
    /// Sessions over which a host of ours looks controlled.
    controlled: u64,
}

impl SummaryBuilder {
    /// Counts per capture point, to detect one-way points.
    pub fn feeds(&self) -> &Feeds {
        &self.feeds
    }

    /// Sessions whose claimed location the speed of light refutes, and those whose location was
    /// judged.
    pub const fn claims(&self) -> (u64, u64) {
        self.claims
    }

    /// Counts one session.
    pub fn observe(&mut self, record: &Record) {
        self.sessions += 1;
        let name = match record.facts.protocol {
            Some(protocol) => protocol.as_str(),
            None => record.transport.name().unwrap_or("other"),
        };
        let bytes = record.initiator.bytes.saturating_add(record.responder.bytes);
        self.add_protocol(&ProtocolLine { name, sessions: 1, bytes });
        self.feeds.observe(record);
        self.controlled += u64::from(looks_controlled(record));
        let verdict = record.context.physics.as_ref().map(|physics| physics.verdict);
        self.claims.0 += u64::from(verdict == Some(PhysicsVerdict::TooFast));
        self.claims.1 +=
            u64::from(verdict.is_some_and(|verdict| verdict != PhysicsVerdict::Unknown));
        if let Some(ns) = record.near.handshake_ns {
            self.near.observe(ns);
        }
        if let Some(ns) = record.far.handshake_ns {
            self.far.observe(ns);
        }
    }

    /// Adds the counts of another thread.
    pub fn merge(&mut self, other: &SummaryBuilder) {
        self.sessions += other.sessions;
        other.protocols.iter().for_each(|line| self.add_protocol(line));
        self.feeds.merge(&other.feeds);
        self.claims.0 += other.claims.0;
        self.claims.1 += other.claims.1;
        self.controlled += other.controlled;
        self.near.merge(&other.near);
        self.far.merge(&other.far);
    }

    fn add_protocol(&mut self, line: &ProtocolLine) {
        let room = self.protocols.len() < PROTOCOLS_MAX;
        match self.protocols.iter_mut().find(|known| known.name == line.name) {
            Some(known) => {
                known.sessions += line.sessions;
                known.bytes = known.bytes.saturating_add(line.bytes);
            }
            None if room => self.protocols.push(line.clone()),
            None => {}
        }
    }

    /// The summary of sessions; the methods of [`Summary`] add the rest.
    pub fn finish(mut self) -> Summary {
        self.protocols.sort_by(|a, b| b.sessions.cmp(&a.sessions).then(a.name.cmp(b.name)));
        Summary {
            sessions: self.sessions,
            protocols: self.protocols,
            near: self.near,
            far: self.far,
            one_way: self.feeds.one_way().collect(),
            controlled: self.controlled,
            ..Summary::default()
        }
    }
}

/// Whether a host of ours shows a screen to somebody outside and takes input, by shape alone.
fn looks_controlled(record: &Record) -> bool {
    let ours = match record.context.direction {
        Direction::Outbound => Peer::Initiator,
        Direction::Inbound => Peer::Responder,
        Direction::Internal | Direction::External => return false,
    };
    record
        .interaction
        .as_deref()
        .is_some_and(|seen| seen.class == Class::RemoteControl && seen.controlled == Some(ours))
}

impl OwnerLine {
    /// An empty line for a row's owner and country.
    fn new(number: u32, row: &EndpointRow) -> OwnerLine {
        OwnerLine {
            number,
            name: row.asn.as_ref().and_then(|asn| asn.organization.clone()),
            country: row.place.as_ref().and_then(|place| place.country.clone()),
            sessions: 0,
            floor_ns: None,
        }
    }
}

impl Summary {
    /// Sums remote endpoints by owner and country, and finds the home ones that are driven.
    pub fn add_endpoints(&mut self, rows: impl Iterator<Item = EndpointRow>) {
        let mut owners: BTreeMap<u32, Vec<OwnerLine>> = BTreeMap::new();
        for row in rows {
            if row.key.side == Locality::Home {
                self.add_driven(row);
                continue;
            }
            let number = row.asn.as_ref().map_or(0, |asn| asn.number);
            let country = row.place.as_ref().and_then(|place| place.country.as_deref());
            let lines = owners.entry(number).or_default();
            let at = lines.partition_point(|line| line.country.as_deref() < country);
            if lines.get(at).is_none_or(|line| line.country.as_deref() != country) {
                lines.insert(at, OwnerLine::new(number, &row));
            }
            if let Some(owner) = lines.get_mut(at) {
                owner.sessions += row.sessions;
                owner.floor_ns = owner.floor_ns.into_iter().chain(row.floor_ns).min();
            }
        }
        self.owners = owners.into_values().flatten().collect();
        // Stable: equal counts stay in order of AS number and country.
        self.owners.sort_by_key(|owner| std::cmp::Reverse(owner.sessions));
        self.owners_more = self.owners.len().saturating_sub(OWNERS_MAX) as u64;
        self.owners.truncate(OWNERS_MAX);
    }

    fn add_driven(&mut self, row: EndpointRow) {
        let Some(control) = row.traits.control.filter(|c| c.confidence >= DRIVEN_CONFIDENCE) else {
            return;
        };
        let surer = |line: &DrivenLine| line.control.confidence >= control.confidence;
        let at = self.driven.partition_point(surer);
        self.driven.insert(at, DrivenLine { host: row.key.ip, control });
        self.driven_more += u64::from(self.driven.len() > DRIVEN_MAX);
        self.driven.truncate(DRIVEN_MAX);
    }

    /// Sums alerts by rule; they must be in output order.
    pub fn add_alerts<'a>(&mut self, alerts: impl IntoIterator<Item = &'a Alert>) {
        for alert in alerts {
            let room = self.rules.len() < RULES_MAX;
            match self.rules.iter_mut().find(|line| line.id == alert.rule.id) {
                Some(line) => {
                    line.alerts += 1;
                    if alert.level > line.level {
                        line.level = alert.level;
                        line.message.clone_from(&alert.message);
                    }
                }
                None if room => self.rules.push(RuleLine {
                    id: alert.rule.id.clone(),
                    name: alert.rule.name.clone(),
                    level: alert.level,
                    alerts: 1,
                    message: alert.message.clone(),
                }),
                None => {}
            }
        }
        self.rules.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.id.cmp(&b.id)));
    }

    /// Adds incidents, highest score first.
    pub fn add_incidents(&mut self, incidents: &[Incident]) {
        let mut order: Vec<&Incident> = incidents.iter().collect();
        order.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.subject.cmp(&b.subject)));
        self.incidents_more += order.len().saturating_sub(INCIDENTS_MAX) as u64;
        self.incidents.extend(order.into_iter().take(INCIDENTS_MAX).map(incident_line));
    }
}

fn incident_line(incident: &Incident) -> IncidentLine {
    let groups: Vec<&str> = incident.factors.iter().map(|of| of.group.as_str()).collect();
    let mut rules: Vec<&str> =
        incident.alerts.iter().map(|member| member.alert.rule.name.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    IncidentLine {
        subject: match &incident.subject_name {
            Some(name) => format!("{name} ({})", incident.subject),
            None => incident.subject.to_string(),
        },
        groups: groups.join("+"),
        score: incident.score,
        level: incident.level,
        rules: rules.join(", "),
    }
}

#[cfg(test)]
#[path = "summary_tests.rs"]
pub(super) mod tests;
