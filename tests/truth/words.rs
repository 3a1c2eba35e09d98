//! What SSH, DNS and HTTP said in clear, against another dissector's fields.

use std::collections::HashMap;
use std::net::IpAddr;

use longhaul::model::Record;
use longhaul::model::record::DnsFacts;

use crate::common::Exception;
use crate::common::Row;
use crate::common::Seen;
use crate::common::Tally;
use crate::common::few;
use crate::common::initiator;
use crate::common::table;
use crate::common::transport;
use crate::own_corpus::folders;

const ARGUED_SSH: [Exception; 0] = [];
const ARGUED_DNS: [Exception; 4] = [
    (
        "malformed__ndpi__fuzz-2006-06-26-2594.pcap",
        "<Unknown extended label>",
        "label types 01 and 10 are reserved (RFC 1035 section 4.1.4): there is no name to read",
    ),
    ("malformed__ndpi__fuzz-2006-06-26-2594.pcap", "udp:6 frame 10 ", UNSURE),
    ("malformed__ndpi__fuzz-2006-06-26-2594.pcap", "udp:46 frame 183 ", UNSURE),
    ("malformed__ndpi__fuzz-2006-06-26-2594.pcap", "udp:14 frame 29 ", UNSURE),
];

const UNSURE: &str = "the first message of its session is broken by the fuzzer (no class that \
    exists, bytes left over, or neither port of DNS): a session is called \
    DNS only beyond doubt";
const ARGUED_HTTP: [Exception; 0] = [];

/// A session keeps its first name and 32 others: a tunnel over DNS has no end of them.
const NAMES_KEPT: usize = 33;

fn found<'s>(seen: &'s Seen, row: &Row) -> Vec<&'s Record> {
    let (from, to) = (row.end("src", "sport"), row.end("dst", "dport"));
    seen.between(row.get("file"), transport(row.get("stream")), from, to)
}

fn check(tally: &mut Tally, row: &Row, column: &str, want: &str, got: &[String]) {
    tally.check(got.iter().any(|got| got == want), row.get("file"), || {
        let place = (row.get("stream"), row.get("frame"));
        format!("{} frame {} {column}: expected {want:?}, got {}", place.0, place.1, few(got))
    });
}

fn text(value: Option<&str>) -> Option<String> {
    value.map(str::to_owned)
}

#[test]
fn every_ssh_banner_and_hassh_is_found() {
    for (folder, argued) in folders(&ARGUED_SSH) {
        let rows = table(&folder.join("ssh.csv"));
        let seen = Seen::read(vec![folder]);
        let mut tally = Tally::new("ssh.csv");
        let hex =
            |hash: [u8; 16]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for row in &rows {
            let from = row.end("src", "sport");
            let spoken: Vec<_> = found(&seen, row)
                .into_iter()
                .filter_map(|r| r.facts.ssh.as_deref().map(|ssh| (initiator(r) == from, ssh)))
                .collect();
            let banners: Vec<String> = spoken
                .iter()
                .filter_map(|(client, ssh)| {
                    text(if *client { &ssh.client } else { &ssh.server }.as_deref())
                })
                .collect();
            let hassh: Vec<String> =
                spoken.iter().filter_map(|(_, ssh)| ssh.hassh.map(hex)).collect();
            let server: Vec<String> =
                spoken.iter().filter_map(|(_, ssh)| ssh.hassh_server.map(hex)).collect();
            for (column, got) in [("protocol", banners), ("hassh", hassh), ("hassh_server", server)]
            {
                if let Some(want) = row.some(column) {
                    check(&mut tally, row, column, want, &got);
                }
            }
        }
        tally.conclude(argued);
    }
}

/// What both writings of a name have in common: the table lost all bytes outside of ASCII.
fn ascii(name: &str) -> String {
    name.chars().filter(char::is_ascii).collect()
}

/// A name as the dissector of the table writes it: raw bytes where ours are `\DDD` (RFC 1035
/// section 5.1).
fn dissected(name: &str) -> String {
    if name == "." {
        return "<Root>".to_owned();
    }
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'\\', [a, b, c, tail @ ..]) if a.is_ascii_digit() => {
                bytes.push((a - b'0') * 100 + (b - b'0') * 10 + (c - b'0'));
                rest = tail;
            }
            (b'\\', [plain, tail @ ..]) => {
                bytes.push(*plain);
                rest = tail;
            }
            _ => bytes.push(*first),
        }
    }
    let mut shown = String::new();
    for c in String::from_utf8_lossy(&bytes).chars() {
        match c {
            '\r' => shown.push_str("\\r"),
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            c if c.is_ascii_control() => shown.push_str(&format!("\\{:03o}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

fn names(dns: &DnsFacts) -> Vec<String> {
    dns.name.iter().chain(&dns.more_names).map(|name| ascii(&dissected(name))).collect()
}

fn addresses(dns: &DnsFacts) -> Vec<String> {
    let answers = dns.answers.iter().map(|(_, data)| data);
    answers.chain(&dns.additional).map(|data| data.to_string()).collect()
}

#[test]
fn every_dns_name_and_address_is_found() {
    for (folder, argued) in folders(&ARGUED_DNS) {
        let rows = table(&folder.join("dns.csv"));
        let seen = Seen::read(vec![folder]);
        let mut tally = Tally::new("dns.csv");
        let mut told: HashMap<(&str, &str), Vec<&str>> = HashMap::new();
        let mut beyond = 0;
        for row in &rows {
            let asked: Vec<_> =
                found(&seen, row).into_iter().filter_map(|r| r.facts.dns.as_deref()).collect();
            let names: Vec<String> = asked.iter().flat_map(|dns| names(dns)).collect();
            let addresses: Vec<String> = asked.iter().flat_map(|dns| addresses(dns)).collect();
            let before = told.entry((row.get("file"), row.get("stream"))).or_default();
            for want in row.get("qname").split(',').filter(|want| !want.is_empty()) {
                let place = before.iter().position(|name| *name == want).unwrap_or_else(|| {
                    before.push(want);
                    before.len() - 1
                });
                if place >= NAMES_KEPT && names.len() == NAMES_KEPT {
                    beyond += 1;
                    continue;
                }
                check(&mut tally, row, "qname", &ascii(want), &names);
            }
            for column in ["a", "aaaa"] {
                for want in row.get(column).split(',').filter(|want| !want.is_empty()) {
                    let want = want.parse::<IpAddr>().unwrap().to_string();
                    check(&mut tally, row, column, &want, &addresses);
                }
            }
        }
        println!("dns.csv: {beyond} further names of sessions that hold {NAMES_KEPT} of theirs");
        tally.conclude(argued);
    }
}

#[test]
fn every_http_request_is_found() {
    for (folder, argued) in folders(&ARGUED_HTTP) {
        let rows = table(&folder.join("http.csv"));
        let seen = Seen::read(vec![folder]);
        let mut tally = Tally::new("http.csv");
        for row in &rows {
            let spoken: Vec<_> =
                found(&seen, row).into_iter().filter_map(|r| r.facts.http.as_deref()).collect();
            let requests: Vec<[Option<String>; 3]> = spoken
                .iter()
                .flat_map(|http| {
                    let first = [
                        text(http.method.as_deref()),
                        text(http.host.as_deref()),
                        text(http.user_agent.as_deref()),
                    ];
                    let more = http.more.iter().map(|more| {
                        [
                            Some(more.method.to_string()),
                            text(more.host.as_deref()),
                            text(more.user_agent.as_deref()),
                        ]
                    });
                    std::iter::once(first).chain(more)
                })
                .collect();
            for (at, column) in ["method", "host", "user_agent"].into_iter().enumerate() {
                if let Some(want) = row.some(column) {
                    let got: Vec<String> = requests.iter().filter_map(|r| r[at].clone()).collect();
                    check(&mut tally, row, column, want, &got);
                }
            }
        }
        tally.conclude(argued);
    }
}
