//! What each class of labels.csv is, against protocols and applications: a table of what was
//! expected and found, misses and false positives.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::common::Row;
use crate::common::Seen;
use crate::common::table;
use crate::own_corpus::folders;

/// Class or file, and the words of which one must appear in each of its files. Left out are classes
/// that name a format, a link layer or a load of packets, and proxies that only their other end can
/// tell (HAProxy, X-Forwarded-For, residential).
const WANTED: &[(&str, &[&str])] = &[
    ("dns-doh-dot-doq", &["dns-over-https", "dns-over-tls", "dns-over-quic"]),
    ("dnscrypt", &["dnscrypt"]),
    ("dtls", &["dtls"]),
    ("http", &["http"]),
    ("proxy-http-connect", &["http-connect"]),
    ("proxy-shadowsocks", &["socks"]),
    ("proxy-socks", &["socks"]),
    ("proxy-v2ray-trojan", &["socks"]),
    ("quic", &["quic"]),
    ("rdp", &["rdp"]),
    ("rmm-anydesk", &["anydesk"]),
    ("rmm-citrix", &["citrix"]),
    ("rmm-nomachine", &["nomachine"]),
    ("rmm-teamviewer", &["teamviewer"]),
    ("ssh", &["ssh"]),
    // The tool is for SSH; what passes through it here is HTTP.
    ("ssh-in-websocket", &["websocket", "ssh"]),
    ("ssh-nonstd-port", &["ssh"]),
    ("ssh-reverse", &["ssh"]),
    ("ssh-unidirectional", &["ssh"]),
    ("ssh-v1", &["ssh"]),
    ("stun-webrtc", &["stun", "dtls"]),
    ("telnet", &["telnet"]),
    ("tls", &["tls"]),
    ("tls-ech", &["tls"]),
    ("tls-nonstd-port", &["tls"]),
    ("tor", &["tor"]),
    ("vnc", &["rfb"]),
    ("vpn-enterprise-tls", &["cisco-anyconnect"]),
    ("vpn-ipsec", &["ike"]),
    ("vpn-ipsec-ah", &["esp", "ah"]),
    ("vpn-l2tp", &["esp"]),
    ("vpn-mullvad", &["wireguard"]),
    ("vpn-openvpn", &["openvpn"]),
    ("vpn-openvpn-obfuscated", &["openvpn"]),
    ("vpn-pptp", &["pptp"]),
    ("vpn-softether", &["softether"]),
    ("vpn-tailscale", &["tailscale"]),
    ("vpn-wireguard", &["wireguard"]),
    ("websocket", &["websocket"]),
    // By file, where a class has several.
    ("vpn-commercial__ndpi__protonvpn.pcap", &["protonvpn"]),
    ("vpn-commercial__ndpi__tunnelbear.pcap", &["tunnelbear"]),
    ("vpn-commercial__ndpi__cloudflare-warp.pcap", &["cloudflare-warp"]),
    ("circumvention", &["psiphon"]),
];

/// Applications that a file holds though its labels do not say so, and why.
const HELD: [(&str, &str, &str); 1] = [(
    "tls-nonstd-port__ndpi__tls_port_80.pcapng",
    "anydesk",
    "the server shows the certificate of an AnyDesk relay, of philandro Software GmbH",
)];

/// Words of which none may appear in a file that does not hold it.
const GUARDED: [&str; 6] = ["rmm:", "vpn:", "proxy:", "mesh:", "tunnel:", "kvm:"];

fn bare(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

/// Whether the labels, by whoever wrote them, speak of an application.
fn is_labelled(row: &Row, application: &str) -> bool {
    let columns = ["class", "file", "expected_labels", "ndpi_4_2_labels", "sni"];
    columns.iter().any(|column| bare(row.get(column)).contains(&bare(application)))
}

#[test]
fn every_class_is_recognised_and_none_by_mistake() {
    for (folder, _) in folders(&[]) {
        let rows = table(&folder.join("labels.csv"));
        let (mut told, mut all) = (0, 0);
        let (mut misses, mut mistakes) = (Vec::new(), Vec::new());
        let mut found_by_class: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let files = rows.iter().map(|row| folder.join(row.get("file"))).collect();
        let seen = Seen::read(files);
        for row in &rows {
            let (file, class) = (row.get("file"), row.get("class"));
            let mut found = BTreeSet::new();
            for record in seen.records.iter().filter(|record| seen.file(record) == file) {
                found.extend(record.facts.protocol.map(|protocol| protocol.as_str().to_owned()));
                let Some(application) = record.context.application.as_deref() else { continue };
                found.insert(application.to_owned());
                let guarded = |tag: &str| GUARDED.iter().any(|start| tag.starts_with(start));
                let mistaken = record.context.hits.iter().find(|hit| guarded(&hit.tag));
                let held = HELD.iter().any(|(of, name, _)| *of == file && *name == application);
                if let Some(hit) = mistaken.filter(|_| !held && !is_labelled(row, application)) {
                    mistakes.push(format!("{file}: {application} ({} in {})", hit.entry, hit.on));
                }
            }
            if let Some((_, words)) =
                WANTED.iter().find(|(wanted, _)| *wanted == class || *wanted == file)
            {
                all += 1;
                match words.iter().any(|word| found.contains(*word)) {
                    true => told += 1,
                    false => misses.push(format!("{file}: none of {words:?} in {found:?}")),
                }
            }
            found_by_class.entry(class.to_owned()).or_default().extend(found);
        }
        for (class, found) in &found_by_class {
            println!("{class:<22} {}", found.iter().cloned().collect::<Vec<_>>().join(" "));
        }
        mistakes.sort();
        mistakes.dedup();
        println!("told {told} of {all}\nmisses: {misses:#?}\nmistakes: {mistakes:#?}");
        assert!(all >= 15, "the table of labels is short: {all}");
        assert!(mistakes.is_empty(), "{mistakes:#?}");
        assert!(told * 100 >= all * 97, "told {told} of {all}: {misses:#?}");
    }
}
