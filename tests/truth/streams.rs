//! What streams say beside what they carry, on captures whose class others have named.
//!
//! Owns: which files may have a shape. In: shared captures. Out: counts. Never: passes a file
//! silently that has a shape it should not have.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use longhaul::model::Record;
use longhaul::model::app_facts::shape;
use longhaul::model::record::Protocol;

use crate::common::Seen;
use crate::common::shared;
use crate::common::table;
use crate::own_corpus::folders;

/// Protocols told by a message or two, and the words of the table's protocol column for them.
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
    record.facts.spoken().is_some_and(|spoken| spoken.shape & bit != 0)
}

#[test]
fn streams_are_told_in_their_files_and_shapes_in_no_other() {
    for (folder, _) in folders(&[]) {
        let rows = table(&folder.join("labels.csv"));
        let seen = Seen::read(rows.iter().map(|row| folder.join(row.get("file"))).collect());
        let mut faults = Vec::new();
        for (protocol, words) in WORDS {
            let told = files(&seen, |record| record.facts.protocol == Some(protocol));
            let speaks = |list: &str| list.split(' ').any(|name| words.contains(&name));
            let expected: BTreeSet<&str> = rows
                .iter()
                .filter(|row| speaks(row.get("tshark_protocols")))
                .map(|row| row.get("file"))
                .collect();
            println!("{}: {} of {} files told", protocol.as_str(), told.len(), expected.len());
            faults.extend(
                told.symmetric_difference(&expected).map(|file| format!("{protocol:?}: {file}")),
            );
        }
        let classes: BTreeMap<&str, &str> =
            rows.iter().map(|row| (row.get("file"), row.get("class"))).collect();
        for (bit, name, allowed) in [
            (shape::FULLY_ENCRYPTED, "noise", &NOISE),
            (shape::ENCAPSULATED_TLS, "handshake inside", &INSIDE),
        ] {
            let told = files(&seen, |record| has(record, bit));
            let sessions = seen.records.iter().filter(|record| has(record, bit)).count();
            println!("{name}: {sessions} sessions in {told:?}");
            let wrong =
                told.iter().filter(|file| !classes.get(*file).is_some_and(|c| allowed.contains(c)));
            faults.extend(wrong.map(|file| format!("{name}: {file}")));
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[test]
fn certificates_shown_in_clear_are_read() {
    let Some(folder) = shared("pcaps") else { return };
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
    assert!(shown >= 40, "{shown}");
}
