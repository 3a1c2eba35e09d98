//! Mirror ports that send what they see through a tunnel: ERSPAN, and VXLAN as the kernel makes it.

use serde_json::Value;
use serde_json::json;

use crate::datagram;
use crate::file;
use crate::net::Net;
use crate::net::Sensor;
use crate::net::ip;
use crate::net::json as json_file;
use crate::net::lines;
use crate::scratch;

/// A mirrored frame in GRE over IPv4, from a switch to the sensor: ERSPAN of one of its types.
fn erspan(kind: u8, session: u16, mirrored: &[u8]) -> Vec<u8> {
    let (flags, protocol) = match kind {
        1 => (0u16, 0x88be_u16),
        2 => (0x1000, 0x88be),
        _ => (0x1000, 0x22eb),
    };
    let mut gre = [flags.to_be_bytes(), protocol.to_be_bytes()].concat();
    if kind > 1 {
        gre.extend([0, 0, 0, 9]);
        // Version and VLAN, then the session's number in ten bits.
        gre.extend((u16::from(kind - 1) << 12 | 5).to_be_bytes());
        gre.extend(session.to_be_bytes());
        // Type II ends with an index, type III with a time, a security group and flags.
        gre.extend(vec![0; if kind == 2 { 4 } else { 8 }]);
    }
    let length = 20 + gre.len() + mirrored.len();
    let mut frame = vec![2, 0, 0, 0, 0, 0xb0, 2, 0, 0, 0, 0, 0xb1, 8, 0, 0x45, 0];
    frame.extend((length as u16).to_be_bytes());
    frame.extend([0, kind, 0, 0, 64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 9]);
    frame.extend(gre);
    frame.extend(mirrored);
    frame
}

fn session_from<'l>(lines: &'l [Value], ip: &str) -> &'l Value {
    let of: Vec<&Value> = lines.iter().filter(|line| line["source"]["ip"] == ip).collect();
    assert_eq!(of.len(), 1, "{ip}: {lines:#?}");
    of[0]
}

#[test]
fn an_erspan_feed_of_each_type_gives_the_mirrored_sessions() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "--out", &out]);
    let mut feed = Vec::new();
    for kind in 1..=3u8 {
        let (asks, answers) = ((kind, 4_000), (kind + 100, 4_001));
        for _ in 0..5 {
            feed.push(erspan(kind, 70 + u16::from(kind), &datagram(asks, answers, b"question")));
            feed.push(erspan(kind, 70 + u16::from(kind), &datagram(answers, asks, b"answer")));
        }
    }
    net.send_paced("b0", &feed, 1);
    assert_eq!(sensor.end().0, Some(0));
    let lines = lines(&file(&out, "sessions.ndjson"));
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for kind in 1..=3u16 {
        let line = session_from(&lines, &format!("10.0.0.{kind}"));
        assert_eq!(line["network"]["packets"], 10, "{line:#}");
        let way = &line["longhaul"]["encapsulation"];
        assert_eq!(way["kinds"], json!(["erspan"]), "{line:#}");
        assert_eq!(way["source_ip"], "192.0.2.1");
        let id = if kind == 1 { 0 } else { 70 + kind };
        assert_eq!(way["id"], id, "{line:#}");
    }
    let run = json_file(&file(&out, "run.json"));
    assert_eq!(run["counters"]["decode"]["tunnelled"], 30);
    assert_eq!(run["loss"]["decode"], 0);
}

#[test]
fn a_vxlan_feed_that_the_kernel_makes_gives_the_mirrored_sessions() {
    let Some(net) = Net::new(1) else { return };
    let vxlan = "add vx0 type vxlan id 4242 remote 192.0.2.9 dstport 4789 dev b0";
    let vxlan: Vec<&str> = vxlan.split(' ').collect();
    if !(ip(&["addr", "add", "192.0.2.1/24", "dev", "b0"])
        && ip(&["neigh", "add", "192.0.2.9", "lladdr", "02:00:00:00:00:b0", "dev", "b0"])
        && ip(&[&["link"], &vxlan[..]].concat()))
    {
        println!("skipped: this kernel makes no vxlan interface");
        return;
    }
    net.link(&["set", "vx0", "addrgenmode", "none"]);
    net.link(&["set", "vx0", "up"]);
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "--out", &out, "--filter", "udp port 4789"]);
    let (asks, answers) = ((1, 4_000), (2, 4_001));
    let exchange = [datagram(asks, answers, b"question"), datagram(answers, asks, b"answer")];
    let feed: Vec<Vec<u8>> = exchange.iter().cycle().take(40).cloned().collect();
    net.send_paced("vx0", &feed, 1);
    assert_eq!(sensor.end().0, Some(0));
    let lines = lines(&file(&out, "sessions.ndjson"));
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["source"]["ip"], "10.0.0.1");
    assert_eq!(lines[0]["network"]["packets"], 40);
    let way = &lines[0]["longhaul"]["encapsulation"];
    assert_eq!((&way["kinds"], &way["id"]), (&json!(["vxlan"]), &json!(4242)));
    assert_eq!(way["destination_ip"], "192.0.2.9");
}
