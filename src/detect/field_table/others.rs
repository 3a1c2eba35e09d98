//! Fields of the files that are not of sessions.
//!
//! Owns: their names and meanings. In: nothing. Out: rows of the reference. Never: accessors: emit
//! writes them from alerts and incidents.

use crate::detect::fields::OtherField;

const fn other(name: &'static str, files: &'static str, description: &'static str) -> OtherField {
    OtherField { name, files, description }
}

/// Fields of the other files that are not fields of a session.
#[rustfmt::skip]
pub static OTHER_FIELDS: &[OtherField] = &[
    other("rule.id", "alerts, incidents",
        "Catalogue number: `D01`. An incident's rule is that of its strongest alert (weight, then \
         level, then time); `longhaul.alerts` has them all."),
    other("rule.name", "alerts, incidents", "Catalogue name."),
    other("rule.uuid", "alerts, incidents", "Sigma id."),
    other("rule.description", "alerts, incidents", "Title of the rule."),
    other("event.severity", "alerts, incidents", "0 to 100, from the level."),
    other("log.level", "alerts, incidents", "Sigma level."),
    other("threat.technique.id", "alerts, incidents", "MITRE ATT&CK techniques."),
    other("message", "alerts, incidents", "One sentence with the numbers."),
    other("longhaul.family", "alerts, incidents",
        "N network identity, P physics, R remote control, C co-location, B behaviour. An \
         incident's is that of its strongest alert."),
    other("longhaul.topology", "alerts, incidents",
        "T1 to T6: the shapes of the deception the rule speaks of."),
    other("longhaul.weight", "alerts", "Weight in an incident's score, after list ages."),
    other("longhaul.count", "alerts",
        "How many alerts it stands for, where more than one: those of the rule, subject and tool \
         within a day of the first. `@timestamp` is the first one's, `event.end` the last's."),
    other("longhaul.session.id", "alerts", "`event.id` of the session."),
    other("longhaul.home.ip", "alerts", "Address of the home side."),
    other("longhaul.remote.ip", "alerts", "Address of the remote side."),
    other("longhaul.evidence", "alerts, incidents",
        "Name, value, unit, threshold, samples and sessions of each number behind it. An incident \
         has those of its alerts, each once."),
    other("longhaul.benign_checked", "alerts, incidents",
        "Benign explanations that the rules exclude."),
    other("longhaul.sources", "alerts, incidents",
        "Lists and databases it rests on, with build and age at the packet's time."),
    other("longhaul.quality", "alerts, incidents",
        "Quality of the session; of an incident, of the sessions of its alerts added up."),
    other("longhaul.packets", "alerts, incidents", "File, first and last frame of each session."),
    other("longhaul.families", "incidents", "Families that fired, in order."),
    other("longhaul.score", "incidents", "1 - prod(1 - weight) over the best hit of each family."),
    other("longhaul.alerts", "incidents",
        "The alerts it is made of: at most 32, at most 4 of one rule."),
    other("longhaul.alerts_more", "incidents",
        "Alerts of the subject that are not listed, where there are any."),
    other("longhaul.details_more", "alerts",
        "Evidence and places of packets past the caps of an alert that stands for several."),
    other("longhaul.next_steps", "incidents", "What a person should do next."),
    other("longhaul.does_not_prove", "incidents", "What it does not prove."),
];
