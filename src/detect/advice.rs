//! Next steps for an incident, and what it does not prove.
//!
//! Owns: advice by family, topology and rule. In: an incident. Out: sentences. Never: judges the
//! person.

use crate::model::Incident;

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

/// For every incident.
const ALWAYS_NEXT: &str =
    "Ask the employee's manager for the benign explanation before anything else.";
const ALWAYS_UNPROVED: &str =
    "It does not prove intent: it shows traffic, seen at one point of the network.";

/// `longhaul.next_steps[]`: cheap and lawful, before anyone is accused; most useful first.
pub fn next_steps(incident: &Incident) -> Vec<String> {
    pick(incident, NEXT_STEPS, ALWAYS_NEXT)
}

/// `longhaul.does_not_prove[]`.
pub fn does_not_prove(incident: &Incident) -> Vec<String> {
    pick(incident, DOES_NOT_PROVE, ALWAYS_UNPROVED)
}

fn pick(incident: &Incident, rows: &[Row], always: &str) -> Vec<String> {
    let applies = |key: &str| {
        incident.families.iter().any(|family| family.as_str() == key)
            || incident.topologies.iter().any(|topology| topology == key)
            || incident.alerts.iter().any(|member| member.alert.rule.id == key)
    };
    let own = rows.iter().filter(|(key, _)| applies(key)).map(|(_, text)| *text);
    own.chain([always]).map(str::to_owned).collect()
}
