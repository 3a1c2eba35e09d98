//! Fields of the files that are not of sessions.
//!
//! Owns: their names, types and meanings. In: nothing. Out: rows of the reference. Never:
//! accessors: emit writes them from alerts and incidents.

use crate::model::schema::Kind;
use crate::model::schema::OtherField;

type Row = (&'static str, Kind, &'static str, &'static str);

const fn other(row: Row) -> OtherField {
    let (name, kind, files, description) = row;
    OtherField { name, kind, files, description }
}

const BOTH: &str = "alerts, incidents";

/// Fields of the other files that are not fields of a session.
#[rustfmt::skip]
pub static OTHER_FIELDS: &[OtherField] = &[
    other(("event.action", Kind::Text, "incidents", "As `longhaul.change`.")),
    other(("longhaul.summary.sessions", Kind::Int, "sessions",
        "How many sessions a line with `event.action` `sessions-summed` stands for. \
         `source.packets` and `source.bytes` are their sums; without `source.ip` they are of \
         sources that were too many to tell apart.")),
    other(("longhaul.summary.ports", Kind::Int, "sessions",
        "To how many different ports they were sent, up to 1,024.")),
    other(("longhaul.summary.destinations", Kind::Int, "sessions",
        "To how many different addresses they were sent, up to 1,024.")),
    other(("rule.id", Kind::Text, BOTH,
        "Catalogue number: `D01`. An incident's rule is that of its strongest alert (weight, then \
         level, then time); `longhaul.alerts` has them all.")),
    other(("rule.name", Kind::Text, BOTH, "Catalogue name.")),
    other(("rule.uuid", Kind::Text, BOTH, "Sigma id.")),
    other(("rule.description", Kind::Text, BOTH, "Title of the rule.")),
    other(("event.severity", Kind::Int, BOTH, "0 to 100, from the level.")),
    other(("log.level", Kind::Text, BOTH, "Sigma level.")),
    other(("threat.framework", Kind::Text, BOTH, "Always `MITRE ATT&CK`.")),
    other(("threat.technique.id", Kind::Texts, BOTH, "MITRE ATT&CK techniques.")),
    other(("message", Kind::Text, BOTH, "One sentence with the numbers.")),
    other(("longhaul.family", Kind::Text, BOTH,
        "N network identity, P physics, R remote control, C co-location, B behaviour. An \
         incident's is that of its strongest alert.")),
    other(("longhaul.topology", Kind::Texts, BOTH,
        "T1 to T6: the shapes of the deception the rule speaks of.")),
    other(("longhaul.weight", Kind::Float, "alerts",
        "Weight in an incident's score, after list ages.")),
    other(("longhaul.count", Kind::Int, "alerts",
        "How many alerts it stands for, where more than one: those of the rule, subject and tool \
         within a day of the first. `@timestamp` is the first one's, `event.end` the last's.")),
    other(("longhaul.session.id", Kind::Text, "alerts", "`event.id` of the session.")),
    other(("longhaul.home.ip", Kind::Ip, "alerts", "Address of the home side.")),
    other(("longhaul.remote.ip", Kind::Ip, "alerts", "Address of the remote side.")),
    other(("longhaul.evidence.name", Kind::Text, BOTH,
        "What each piece of evidence is of: a field. An incident has the evidence of its alerts, \
         each piece once.")),
    other(("longhaul.evidence.value", Kind::Float, BOTH, "Its value, where that is a number.")),
    other(("longhaul.evidence.text", Kind::Text, BOTH, "Its value, where that is none.")),
    other(("longhaul.evidence.unit", Kind::Text, BOTH, "The number's unit.")),
    other(("longhaul.evidence.threshold", Kind::Float, BOTH,
        "What the rule compares the number with.")),
    other(("longhaul.evidence.samples", Kind::Int, BOTH, "How many measurements stand behind it.")),
    other(("longhaul.evidence.sessions", Kind::Texts, BOTH,
        "`event.id` of the sessions it was seen in, at most 8.")),
    other(("longhaul.benign_checked", Kind::Texts, BOTH,
        "Benign explanations that the rules exclude.")),
    other(("longhaul.sources.kind", Kind::Text, BOTH,
        "What it rests on: `list`, `geo`, `asn` or `rules`.")),
    other(("longhaul.sources.name", Kind::Text, BOTH, "Name of the list, database or rule set.")),
    other(("longhaul.sources.build", Kind::Date, BOTH, "The day it was made.")),
    other(("longhaul.sources.version", Kind::Text, BOTH,
        "Of rules: the first 12 digits of the SHA-256 over them.")),
    other(("longhaul.sources.age_days", Kind::Int, BOTH,
        "Whole days from that day to the packet; below 0 where the packet is older.")),
    other(("longhaul.packets.file", Kind::Text, BOTH,
        "Input file of the first packet, by the path it was given by, or the interface.")),
    other(("longhaul.families", Kind::Texts, "incidents", "Families that fired, in order.")),
    other(("longhaul.score", Kind::Float, "incidents",
        "1 - prod(1 - weight) over the best hit of each family.")),
    other(("longhaul.change", Kind::Text, "incidents",
        "`opened`; `worse` where its level, its score or its families have grown; `closed` where \
         its window is over. All lines of one incident have one `event.id`.")),
    other(("longhaul.alerts.rule.id", Kind::Text, "incidents",
        "Rule of each alert it is made of: at most 32 alerts, at most 4 of one rule.")),
    other(("longhaul.alerts.rule.name", Kind::Text, "incidents", "Its name.")),
    other(("longhaul.alerts.event.id", Kind::Text, "incidents", "`event.id` of the alert.")),
    other(("longhaul.alerts.message", Kind::Text, "incidents", "Its sentence.")),
    other(("longhaul.alerts_more", Kind::Int, "incidents",
        "Alerts of the subject that are not listed, where there are any.")),
    other(("longhaul.details_more", Kind::Int, "alerts",
        "Evidence and places of packets past the caps of an alert that stands for several.")),
    other(("longhaul.next_steps", Kind::Texts, "incidents", "What a person should do next.")),
    other(("longhaul.does_not_prove", Kind::Texts, "incidents", "What it does not prove.")),
];
