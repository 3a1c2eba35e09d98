//! Protocols and shapes of TCP streams, on captures whose content is known.
//!
//! Owns: which files may have a shape. In: captures with labels. Out: counts. Never: passes a file
//! silently that has a shape it should not have.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use longhaul::model::Record;
use longhaul::model::app_facts::shape;
use longhaul::model::record::Protocol;

use crate::common::Seen;
use crate::common::table;
use crate::own_corpus;
use crate::own_corpus::folders;

/// Protocols recognised by their first messages, and the table's words for them.
const WORDS: [(Protocol, &[&str]); 6] = [
    (Protocol::Telnet, &["telnet"]),
    (Protocol::Pptp, &["pptp"]),
    (Protocol::Ldap, &["ldap"]),
    (Protocol::Kerberos, &["kerberos"]),
    (Protocol::Bgp, &["bgp"]),
    (Protocol::Smtp, &["smtp"]),
];

/// Classes whose files hold a stream that is noise from its first byte, and a handshake inside
/// another stream.
const NOISE: [&str; 2] = ["proxy-shadowsocks", OBFUSCATED];
const INSIDE: [&str; 2] = ["proxy-v2ray-trojan", OBFUSCATED];
/// OpenVPN under a mask is noise, and its control channel is TLS.
const OBFUSCATED: &str = "vpn-openvpn-obfuscated";

/// Files by class, of the sessions for which `test` holds.
fn files(seen: &Seen, test: impl Fn(&Record) -> bool) -> BTreeSet<&str> {
    seen.records.iter().filter(|record| test(record)).map(|record| seen.file(record)).collect()
}

fn has(record: &Record, bit: u8) -> bool {
    record.facts.app_facts().is_some_and(|app_facts| app_facts.shape & bit != 0)
}

#[test]
fn stream_protocols_and_shapes_are_found_in_their_files_and_in_no_other() {
    for (folder, _) in folders(&[]) {
        let rows = table(&folder.join("labels.csv"));
        let seen = Seen::read(rows.iter().map(|row| folder.join(row.get("file"))).collect());
        let mut faults = Vec::new();
        for (protocol, words) in WORDS {
            let found = files(&seen, |record| record.facts.protocol == Some(protocol));
            let speaks = |list: &str| list.split(' ').any(|name| words.contains(&name));
            let expected: BTreeSet<&str> = rows
                .iter()
                .filter(|row| speaks(row.get("tshark_protocols")))
                .map(|row| row.get("file"))
                .collect();
            println!("{}: {} of {} files", protocol.as_str(), found.len(), expected.len());
            let is_made = folder == own_corpus::folder();
            assert!(!is_made || !expected.is_empty(), "{protocol:?}: no capture is made of it");
            faults.extend(
                found.symmetric_difference(&expected).map(|file| format!("{protocol:?}: {file}")),
            );
        }
        let classes: BTreeMap<&str, &str> =
            rows.iter().map(|row| (row.get("file"), row.get("class"))).collect();
        for (bit, name, allowed) in [
            (shape::FULLY_ENCRYPTED, "noise", &NOISE),
            (shape::ENCAPSULATED_TLS, "handshake inside", &INSIDE),
        ] {
            let found = files(&seen, |record| has(record, bit));
            let sessions = seen.records.iter().filter(|record| has(record, bit)).count();
            println!("{name}: {sessions} sessions in {found:?}");
            let wrong = found
                .iter()
                .filter(|file| !classes.get(*file).is_some_and(|c| allowed.contains(c)));
            faults.extend(wrong.map(|file| format!("{name}: {file}")));
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[test]
fn certificates_in_clear_are_read() {
    for (folder, _) in folders(&[]) {
        let shown = certificates(&folder);
        let least = if folder == own_corpus::folder() { 1 } else { 40 };
        assert!(shown >= least, "{shown}");
    }
}

/// Checks and counts the certificates of a folder.
fn certificates(folder: &Path) -> usize {
    let rows = table(&folder.join("labels.csv"));
    let seen = Seen::read(rows.iter().map(|row| folder.join(row.get("file"))).collect());
    let (mut shown, mut hidden) = (0, 0);
    for record in &seen.records {
        let Some(tls) = record.facts.tls.as_deref() else { continue };
        match tls.certificate.as_deref() {
            Some(certificate) => {
                assert_ne!(tls.version, Some(0x0304));
                assert!(certificate.not_before < certificate.not_after, "{certificate:?}");
                println!("{}: {}", seen.file(record), certificate.subject);
                shown += 1;
            }
            None => hidden += 1,
        }
    }
    println!("{shown} certificates; {hidden} sessions of TLS without one");
    shown
}
