//! The innermost conversations of every tunnel and link type, as tshark tells them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use longhaul::model::Transport;

use crate::common::End;
use crate::common::Seen;
use crate::common::initiator;
use crate::common::responder;
use crate::common::shared;

/// Protocol, lower end, upper end.
type Talk = (u8, End, End);

/// What tshark is asked for: the order of the layers, then values layer by layer.
const FIELDS: [&str; 9] = [
    "frame.protocols",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
];

/// The innermost TCP and UDP conversations of a capture; `None` where there is no tshark.
fn by_tshark(path: &Path) -> Option<BTreeSet<Talk>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,", "-r"]);
    command.arg(path).args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let output = command.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().filter_map(innermost).collect())
}

/// Walks the layers of a frame outside in. What an ICMP error quotes is nobody's conversation.
fn innermost(line: &str) -> Option<Talk> {
    let columns: Vec<&str> = line.split('\t').collect();
    let mut values: Vec<_> = columns.iter().map(|column| column.split(',')).collect();
    let mut take = |at: usize| values[at].next().filter(|value| !value.is_empty());
    let (mut ends, mut talk) = (None::<(IpAddr, IpAddr)>, None);
    for layer in columns[0].split(':') {
        let at = match layer {
            "ip" => 1,
            "ipv6" => 3,
            "tcp" => 5,
            "udp" => 7,
            "icmp" | "icmpv6" => return None,
            _ => continue,
        };
        let (Some(from), Some(to)) = (take(at), take(at + 1)) else { continue };
        if at < 5 {
            ends = Some((from.parse().unwrap(), to.parse().unwrap()));
            // Inside a tunnel: what carries it is no conversation.
            talk = None;
        } else if let Some((src, dst)) = ends {
            let (a, b) = ((src, from.parse().unwrap()), (dst, to.parse().unwrap()));
            talk = Some((if at == 5 { 6 } else { 17 }, a.min(b), a.max(b)));
        }
    }
    talk
}

fn by_us(path: &Path) -> BTreeSet<Talk> {
    let seen = Seen::read(vec![path.to_path_buf()]);
    let ported = |transport: Transport| transport == Transport::TCP || transport == Transport::UDP;
    let records = seen.records.iter().filter(|record| ported(record.transport));
    records
        .map(|record| {
            let (a, b) = (initiator(record), responder(record));
            (record.transport.0, a.min(b), a.max(b))
        })
        .collect()
}

#[test]
fn every_tunnel_and_link_type_gives_the_inner_conversations() {
    let Some(folder) = shared("pcaps") else { return };
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("encap-") || name.starts_with("link-"))
        .filter(|name| !name.ends_with(".csv"))
        .collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    let (mut talks, mut missed) = (BTreeMap::new(), String::new());
    for name in &names {
        let path = folder.join(name);
        let Some(want) = by_tshark(&path) else {
            println!("skipped: tshark is not here");
            return;
        };
        let got = by_us(&path);
        for (what, differing) in [("not seen", &want - &got), ("not of tshark", &got - &want)] {
            for talk in differing {
                writeln!(missed, "{name}: {what}: {talk:?}").unwrap();
            }
        }
        talks.insert(name, want.len());
    }
    println!("{} files, {} conversations", talks.len(), talks.values().sum::<usize>());
    println!("{missed}");
    assert!(missed.is_empty(), "{missed}");
}
