//! Next steps for an alert or incident, and what it does not prove.
//!
//! Owns: advice by family, topology and rule. In: an alert or incident. Out: sentences. Never:
//! judges the person.

use crate::model::{Alert, Family, Incident};

/// A key (family letter, topology or rule number) and its sentence.
type Row = (&'static str, &'static str);

const NEXT_STEPS: &[Row] = &[
    (
        "R",
        "Ask endpoint management which remote-control programs run on the device, since when, \
         and who installed them.",
    ),
    (
        "T4",
        "Ask endpoint management for USB devices on it: a keyboard or display of an IP-KVM \
         (1d6b:0104, 3346:1009).",
    ),
    ("N", "Compare the address with the gateway's own log for the account over the last 30 days."),
    (
        "D29",
        "Have the address checked against the BGP origin of its prefix; keep the capture; \
         tell the legal team.",
    ),
    ("P", "Compare the measured round trips with those of the same account on other days."),
    ("T5", "Ask for a call with camera from the claimed place."),
    (
        "T3",
        "Compare the shipping address of the device with the claimed home and with other \
         devices sent there.",
    ),
    ("T1", "Ask whether a private VPN is in use and why; company policy may already answer it."),
    ("C", "List the other accounts seen from the same address and where they claim to live."),
    ("B", "Treat hours and rhythms as context only; do not act on them alone."),
];

const DOES_NOT_PROVE: &[Row] = &[
    (
        "N",
        "A VPN, hosting or Tor address does not say who uses it or where they are: travellers \
         and the cautious use them.",
    ),
    (
        "R",
        "Remote-control traffic does not say who controls whom: help desks and relatives use \
         the same programs.",
    ),
    ("P", "A round trip bounds a distance; it names no place and no person."),
    ("C", "Several accounts at one address may share a home, a hotel or an office."),
    ("B", "Regular hours or input do not show a machine: people have habits."),
    ("D29", "An announced prefix may be leased, hijacked or faked by a VPN provider."),
];

/// For each of them.
const ALWAYS_NEXT: &str =
    "Ask the employee's manager for the benign explanation before anything else.";
const ALWAYS_UNPROVED: &str =
    "It does not prove intent: it shows traffic, seen at one point of the network.";

/// What advice depends on.
struct Concern<'a> {
    families: Vec<Family>,
    topologies: &'a [String],
    rules: Vec<&'a str>,
}

impl<'a> Concern<'a> {
    fn of_incident(incident: &'a Incident) -> Concern<'a> {
        let rules = incident.alerts.iter().map(|member| member.alert.rule.id.as_str());
        let (families, topologies) = (incident.families.clone(), &incident.topologies);
        Concern { families, topologies, rules: rules.collect() }
    }

    fn of_alert(alert: &'a Alert) -> Concern<'a> {
        let rule = &alert.rule;
        let (families, topologies) = (vec![rule.family], &rule.topologies);
        Concern { families, topologies, rules: vec![&rule.id] }
    }

    fn pick(&self, rows: &[Row], always: &str) -> Vec<String> {
        let applies = |key: &str| {
            self.families.iter().any(|family| family.as_str() == key)
                || self.topologies.iter().any(|topology| topology == key)
                || self.rules.contains(&key)
        };
        let own = rows.iter().filter(|(key, _)| applies(key)).map(|(_, text)| *text);
        own.chain([always]).map(str::to_owned).collect()
    }
}

/// `longhaul.next_steps[]`: cheap and lawful, before anyone is accused; most useful first.
pub fn next_steps(incident: &Incident) -> Vec<String> {
    Concern::of_incident(incident).pick(NEXT_STEPS, ALWAYS_NEXT)
}

/// `longhaul.does_not_prove[]`.
pub fn does_not_prove(incident: &Incident) -> Vec<String> {
    Concern::of_incident(incident).pick(DOES_NOT_PROVE, ALWAYS_UNPROVED)
}

/// Next steps for an alert, and what it does not prove.
pub fn of_alert(alert: &Alert) -> (Vec<String>, Vec<String>) {
    let concern = Concern::of_alert(alert);
    (concern.pick(NEXT_STEPS, ALWAYS_NEXT), concern.pick(DOES_NOT_PROVE, ALWAYS_UNPROVED))
}
