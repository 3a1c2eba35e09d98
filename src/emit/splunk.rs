//! Settings of Splunk for our lines: `props.conf` and `transforms.conf`.
//!
//! Owns: the names of its Common Information Model. In: the tables of fields. Out: text. Never: a
//! field that is not in the tables.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::model::schema::{Kind, types};

/// Our name, and that of the Common Information Model (docs.splunk.com, version 5: Network Traffic,
/// Alerts).
const NAMES: [(&str, &str); 24] = [
    ("source.ip", "src_ip"),
    ("source.port", "src_port"),
    ("source.mac", "src_mac"),
    ("source.bytes", "bytes_out"),
    ("source.packets", "packets_out"),
    ("destination.ip", "dest_ip"),
    ("destination.port", "dest_port"),
    ("destination.mac", "dest_mac"),
    ("destination.domain", "dest_host"),
    ("destination.bytes", "bytes_in"),
    ("destination.packets", "packets_in"),
    ("network.transport", "transport"),
    ("network.protocol", "app_protocol"),
    ("network.application", "app"),
    ("network.direction", "direction"),
    ("network.bytes", "bytes"),
    ("network.community_id", "community_id"),
    ("observer.name", "dvc"),
    ("rule.id", "signature_id"),
    ("rule.description", "signature"),
    ("log.level", "severity"),
    ("threat.technique.id", "mitre_technique_id"),
    ("longhaul.subject.id", "user"),
    ("longhaul.subject.name", "user_name"),
];

/// Both files, each behind a line with its name.
pub fn splunk_settings() -> String {
    let mut text = String::from(
        "# Not tried in Splunk itself. File: local/props.conf of an app on indexers, heavy \
         forwarders and search heads.\n\
         [longhaul:json]\n\
         KV_MODE = json\n\
         SHOULD_LINEMERGE = false\n\
         LINE_BREAKER = ([\\r\\n]+)\n\
         # Alerts reach some 20 kB.\n\
         TRUNCATE = 262144\n\
         TIME_PREFIX = \"@timestamp\":\"\n\
         TIME_FORMAT = %Y-%m-%dT%H:%M:%S.%9N%Z\n\
         MAX_TIMESTAMP_LOOKAHEAD = 35\n\
         # To count these fields with tstats, without reading events:\n\
         #TRANSFORMS-longhaul = longhaul_indexed\n",
    );
    let known = types();
    let named = || NAMES.iter().filter(|(own, _)| known.contains_key(own));
    for (own, theirs) in named() {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "FIELDALIAS-{theirs} = \"{own}\" AS {theirs}");
    }
    text.push_str("\n# File: local/transforms.conf.\n[longhaul_indexed]\nINGEST_EVAL = ");
    let evals: Vec<String> = named().map(|name| eval(name, &known)).collect();
    text.push_str(&evals.join(", "));
    text.push('\n');
    text
}

/// One field at index time; numbers as numbers.
fn eval((own, theirs): &(&str, &str), known: &BTreeMap<&str, Kind>) -> String {
    let value = format!("json_extract(_raw, \"{own}\")");
    let number = matches!(known.get(own), Some(Kind::Int | Kind::Signed | Kind::Float));
    match number {
        true => format!("{theirs} = tonumber({value})"),
        false => format!("{theirs} = {value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_a_field_of_ours_and_comes_once() {
        let (known, text) = (types(), splunk_settings());
        for (own, theirs) in NAMES {
            assert!(known.contains_key(own), "{own}");
            let alias = format!("\nFIELDALIAS-{theirs} = \"{own}\" AS {theirs}\n");
            assert_eq!(text.matches(&alias).count(), 1, "{theirs}");
        }
        assert!(
            text.contains("src_port = tonumber(json_extract(_raw, \"source.port\"))"),
            "{text}"
        );
        assert!(text.contains(" signature = json_extract(_raw, \"rule.description\")"), "{text}");
    }
}
