//! Captures with known results, because each packet is made here: the encapsulation of a packet,
//! the holder of an address, the name of a session.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and one that kills waits for the right moment"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use craft::*;
use serde_json::Value;

const CLIENT: &str = "10.20.0.5:50000";
const SERVER: &str = "93.184.216.34:443";

/// A TLS session of a minute: opened, one hello each way, one last record.
fn tls_session(client: &str, server: &str, name: &str) -> Capture {
    let mut c = Connection::new(client, server);
    let hello = if name.is_empty() { tls_data(64) } else { client_hello(name) };
    c.open().ask(&hello).answer(&server_hello()).wait(150 * SECOND).ask(&tls_data(9));
    c.close()
}

/// The same frames, encapsulated behind the Ethernet addresses.
fn wrapped(capture: &Capture, wrap: impl Fn(&[u8]) -> Vec<u8>) -> Capture {
    let frames = capture.frames.iter();
    Capture { frames: frames.map(|(at, frame)| (*at, wrap(&frame[12..]))).collect() }
}

fn addresses() -> Vec<u8> {
    vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Leg of each end, in whole milliseconds.
fn legs(session: &Value) -> (u64, u64) {
    let leg = |path| at(session, path).as_f64().map_or(0, |us| (us / 1_000.0).round() as u64);
    (leg("longhaul.near.handshake_us"), leg("longhaul.far.handshake_us"))
}

#[test]
fn sessions_behind_tags_of_switches_are_whole() {
    let plain = tls_session(CLIENT, SERVER, "a.example");
    let tag = |before: &'static [u8]| move |rest: &[u8]| [&addresses(), before, rest].concat();
    let pseudowire = |rest: &[u8]| {
        let customer = [&[0x60, 0x3d, 0x26, 0, 0x12, 0x34, 2, 0, 0, 0, 0, 9][..], rest].concat();
        [&addresses(), &[0x88, 0x47, 0, 0x3f, 0xb1, 64][..], &customer].concat()
    };
    for (what, capture, vlan) in [
        ("ttag", wrapped(&plain, tag(&[0x89, 0x88, 1, 2, 3, 4, 5, 6])), "null"),
        ("TrustSec", wrapped(&plain, tag(&[0x89, 0x09, 1, 1, 0, 1, 0, 200])), "null"),
        ("VN-Tag", wrapped(&plain, tag(&[0x89, 0x26, 0, 0, 0, 20, 0x81, 0, 0, 101])), "101"),
        ("802.1ad", wrapped(&plain, tag(&[0x88, 0xa8, 0, 101, 0x81, 0, 0, 7])), "101"),
        ("pseudowire", wrapped(&plain, pseudowire), "null"),
    ] {
        let said = read(&capture.pcap(), &[]);
        assert_eq!(said.sessions.len(), 1, "{what}");
        let session = &said.sessions[0];
        assert_eq!(legs(session), (2, 30), "{what}");
        assert_eq!(at(session, "tls.client.server_name"), "a.example", "{what}");
        assert_eq!(text(at(session, "network.vlan.id")), vlan, "{what}");
    }
}

#[test]
fn the_mpls_label_and_the_inner_vlan_are_reported() {
    let plain = tls_session(CLIENT, SERVER, "a.example");
    let mpls = wrapped(&plain, |rest| {
        [&addresses(), &[0x88, 0x47, 0, 0x3f, 0xb0, 64, 0, 1, 1, 64][..], &rest[2..]].concat()
    });
    let said = read(&mpls.pcap(), &[]);
    assert_eq!(at(&said.sessions[0], "longhaul.encapsulation.mpls_label"), 1019);
    // A mirrored frame with a tag, and the same without: the tunnel's own headers are not the tag.
    let mirrored = |tag: &'static [u8]| {
        move |rest: &[u8]| {
            let inner = [&addresses(), tag, rest].concat();
            let vxlan = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &inner].concat();
            udp("192.0.2.1:9".parse().unwrap(), "192.0.2.2:4789".parse().unwrap(), &vxlan)
        }
    };
    for (tag, vlan) in [(&[][..], "null"), (&[0x81, 0, 0, 101][..], "101")] {
        let said = read(&wrapped(&plain, mirrored(tag)).pcap(), &[]);
        assert_eq!(text(at(&said.sessions[0], "network.vlan.id")), vlan);
        assert_eq!(legs(&said.sessions[0]), (2, 30));
    }
}

#[test]
fn sessions_hidden_by_an_unknown_tag_are_counted_as_lost() {
    let mut plain = tls_session(CLIENT, SERVER, "a.example");
    for (_, frame) in &mut plain.frames {
        // The header's own checksum: without it nothing proves that this is IP.
        let sum: u32 =
            frame[14..34].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
        let check = !((sum & 0xffff) + (sum >> 16)) as u16;
        frame[24..26].copy_from_slice(&check.to_be_bytes());
    }
    let hidden = wrapped(&plain, |rest| [&addresses(), &[0x9a, 0xbc, 7, 7][..], rest].concat());
    let said = read(&hidden.pcap(), &[]);
    let frames = hidden.frames.len() as u64;
    assert_eq!(at(&said.run, "counters.decode.hidden_ip"), frames);
    assert_eq!(at(&said.run, "counters.decode.not_ip"), 0);
    let lost = at(&said.run, "loss").as_object().unwrap();
    assert!(lost.values().any(|n| n.as_u64() == Some(frames)), "{lost:?}");
}

/// The client's ACK and its hello travel in one aggregate.
#[test]
fn each_packet_of_an_aggregate_is_counted_and_read() {
    let plain = tls_session(CLIENT, SERVER, "relay-1.net.anydesk.com");
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let header = |qos: u8| [&[0x88, 1][..], &[0; 22], &[qos, 0]].concat();
    let single = |frame: &[u8]| [&header(0)[..], &snap, &frame[14..]].concat();
    let mut frames: Vec<(u64, Vec<u8>)> =
        plain.frames.iter().map(|(at, frame)| (*at, single(frame))).collect();
    let mut aggregate = header(0x80);
    for (n, (_, frame)) in plain.frames[2..4].iter().enumerate() {
        let length = (snap.len() + frame.len() - 14) as u16;
        let part = [&addresses()[..], &length.to_be_bytes(), &snap, &frame[14..]].concat();
        aggregate.extend_from_slice(&part);
        aggregate.resize(aggregate.len() + if n == 0 { (4 - part.len() % 4) % 4 } else { 0 }, 0);
    }
    frames.splice(2..4, [(plain.frames[2].0, aggregate)]);
    let said = read(&Capture { frames }.pcap_of(105), &[]);
    assert_eq!(said.sessions.len(), 1);
    let session = &said.sessions[0];
    let client = plain.frames.iter().filter(|(_, frame)| frame[26..30] == [10, 20, 0, 5]).count();
    assert_eq!(at(session, "source.packets"), client);
    assert_eq!(at(session, "tls.client.server_name"), "relay-1.net.anydesk.com");
    assert_eq!(legs(session), (2, 30));
}

#[test]
fn behind_nat64_the_ipv4_address_counts() {
    // 104.140.119.23 is listed as Astrill's.
    let well_known = tls_session("[fd00::5]:50000", "[64:ff9b::688c:7717]:443", "");
    let own = tls_session("[fd00::5]:50000", "[2001:db8:64:688c:77:1700::]:443", "");
    for (capture, args) in [(&well_known, &[][..]), (&own, &["--nat64", "2001:db8:64::/48"][..])] {
        let said = read(&capture.pcap(), args);
        let session = &said.sessions[0];
        assert_eq!(at(session, "destination.nat.ip"), "104.140.119.23");
        assert_eq!(at(session, "destination.as.number"), 62904);
        assert_eq!(at(session, "network.direction"), "outbound");
        assert!(text(at(session, "longhaul.tags")).contains("vpn:astrill"));
        assert!(
            said.rules().contains(&("D18".to_owned(), "high".to_owned())),
            "{:?}",
            said.rules()
        );
        let remote: Vec<String> =
            said.endpoints.iter().map(|e| text(at(e, "endpoint.ip"))).collect();
        assert!(remote.contains(&"104.140.119.23".to_owned()), "{remote:?}");
    }
    let said = read(&own.pcap(), &[]);
    assert!(at(&said.sessions[0], "destination.nat.ip").is_null() && said.alerts.is_empty());
    // The distance bound is compared with the location of the embedded address.
    let mut near = Connection::new("[fd00::5]:50000", "[64:ff9b::d43a:f446]:443");
    near.far = MS;
    near.open().ask(&client_hello("a.example")).answer(&server_hello());
    let said = read(&near.close().pcap(), &["--place", "IAD"]);
    let place = at(&said.sessions[0], "destination.geo.country_iso_code");
    assert_eq!(
        (place, at(&said.sessions[0], "longhaul.physics.verdict")),
        (&"GB".into(), &"too-fast".into())
    );
    let refused = read(&own.pcap(), &["--nat64", "2001:db8::/33"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("/33") && refused.stderr.contains("help:"),
        "{}",
        refused.stderr
    );
}

/// A service lookup and its answer, with hints instead of addresses.
fn service_lookup(name: &str, kind: u16) -> Capture {
    let (client, resolver) = ("10.20.0.5:40000".parse().unwrap(), "10.20.0.53:53".parse().unwrap());
    let query = dns_query(7, name, kind);
    let mut answer = query.clone();
    answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
    answer.extend([0xc0, 12]);
    answer.extend(kind.to_be_bytes());
    answer.extend([0, 1, 0, 0, 1, 44]);
    let data: &[u8] = &[0, 1, 0, 0, 1, 0, 3, 2, b'h', b'3', 0, 4, 0, 4, 93, 184, 216, 34];
    answer.extend((data.len() as u16).to_be_bytes());
    answer.extend(data);
    let mut capture = Capture::default();
    capture.add(START - SECOND, udp(client, resolver, &query));
    capture.add(START - SECOND + MS, udp(resolver, client, &answer));
    capture
}

#[test]
fn hints_of_service_records_bind_names() {
    for (name, kind) in
        [("relay-9.net.anydesk.com", 65), ("_443._https.relay-9.net.anydesk.com", 64)]
    {
        let mut capture = service_lookup(name, kind);
        capture.join(tls_session(CLIENT, SERVER, ""));
        let said = read(&capture.pcap(), &[]);
        let is_tcp = |session: &&Value| at(session, "network.transport") == "tcp";
        let session = said.sessions.iter().find(is_tcp).unwrap();
        assert_eq!(at(session, "destination.domain"), "relay-9.net.anydesk.com");
        assert_eq!(at(session, "network.application"), "anydesk");
        let medium = said.alerts.iter().find(|alert| at(alert, "log.level") == "medium").unwrap();
        assert!(text(at(medium, "message")).contains("(relay-9.net.anydesk.com)"));
        let lookup = said.sessions.iter().find(|session| !is_tcp(session)).unwrap();
        let data = text(at(lookup, "dns.answers"));
        assert!(data.contains("1 . alpn=h3 ipv4hint=93.184.216.34"), "{data}");
    }
}

fn http_session(request: &str) -> Said {
    let mut c = Connection::new("10.20.0.5:50000", "93.184.216.34:8080");
    c.open().ask(request.as_bytes());
    c.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").wait(65 * SECOND);
    read(&c.close().pcap(), &[])
}

#[test]
fn the_target_names_the_host_and_messages_name_it_too() {
    for (request, name) in [
        (
            "POST http://relay-1.net.anydesk.com:80/x HTTP/1.1\r\nHost: 10.20.0.1:8080\r\n\r\n",
            "relay-1.net.anydesk.com",
        ),
        (
            "GET http://u@relay-1.net.anydesk.com/ HTTP/1.1\r\nHost: proxy.example\r\n\r\n",
            "relay-1.net.anydesk.com",
        ),
        ("GET / HTTP/1.1\r\nHost: boot.net.anydesk.com\r\n\r\n", "boot.net.anydesk.com"),
        (
            "CONNECT boot.net.anydesk.com:443 HTTP/1.1\r\nHost: boot.net.anydesk.com\r\n\r\n",
            "boot.net.anydesk.com",
        ),
        ("GET /r?to=http://boot.net.anydesk.com/ HTTP/1.1\r\nHost: a.example\r\n\r\n", ""),
    ] {
        let said = http_session(request);
        let messages: Vec<String> =
            said.alerts.iter().map(|alert| text(at(alert, "message"))).collect();
        if name.is_empty() {
            assert!(messages.is_empty(), "{messages:?}");
            continue;
        }
        assert_eq!(at(&said.sessions[0], "network.application"), "anydesk", "{request}");
        assert!(messages.iter().any(|m| m.contains(&format!("({name})"))), "{messages:?}");
        assert!(!messages.iter().any(|m| m.contains("unknown")), "{messages:?}");
    }
}

#[test]
fn tools_are_recognised_by_the_names_their_sessions_use() {
    for (name, application) in [
        ("api.services.vnc.com", "realvnc"),
        ("tenant.beyondtrustcloud.com", "beyondtrust"),
        ("license.bomgar.com", "beyondtrust"),
        ("www.anyviewer.com", "anyviewer"),
        ("rdprelayv3.support.services.microsoft.com", "quick-assist"),
        ("relay.assist.jumpcloud.com", "jumpcloud-assist"),
        ("api.remote.it", "remote-it"),
        ("demo.controlr.app", "controlr"),
        ("cloud.shellhub.io", "shellhub"),
        ("acme.pitunnel.com", "pitunnel"),
        ("acme.rudesktop.ru", "rudesktop"),
        ("acme.hostedrmm.com", "connectwise-automate"),
        ("01.cc.centrastage.net", "datto-rmm"),
        ("app.pdq.com", "pdq-connect"),
    ] {
        let said = read(&tls_session(CLIENT, SERVER, name).pcap(), &[]);
        assert_eq!(at(&said.sessions[0], "network.application"), application, "{name}");
        assert!(said.rules().contains(&("D08".to_owned(), "medium".to_owned())), "{name}");
    }
}

fn wireguard(kind: u8, words: [u32; 2], size: usize) -> Vec<u8> {
    let mut out = vec![kind, 0, 0, 0];
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    out.resize(size, 0x5a);
    out
}

#[test]
fn wireguard_needs_both_sides() {
    let (client, server) =
        ("10.20.0.5:40000".parse().unwrap(), "93.184.216.34:9999".parse().unwrap());
    let talk = |answer: Vec<u8>| {
        let mut capture = Capture::default();
        capture.add(START, udp(client, server, &wireguard(1, [10, 0], 148)));
        capture.add(START + 30 * MS, udp(server, client, &answer));
        for n in 1..50 {
            let at = START + n * 3 * SECOND;
            capture.add(at, udp(client, server, &[0xa7; 200]));
            capture.add(at + 30 * MS, udp(server, client, &[0x93; 90]));
        }
        read(&capture.pcap(), &[])
    };
    let said = talk(wireguard(2, [20, 10], 92));
    assert_eq!(at(&said.sessions[0], "network.protocol"), "wireguard");
    assert_eq!(said.rules(), [("D18".to_owned(), "medium".to_owned())]);
    for answer in [vec![7; 60], wireguard(2, [20, 11], 92), wireguard(2, [20, 10], 91)] {
        let said = talk(answer);
        assert_ne!(at(&said.sessions[0], "network.protocol"), "wireguard");
        assert!(said.alerts.is_empty(), "{:?}", said.rules());
    }
}

/// A hello whose time to live ends before the server, then the one that reaches the server.
#[test]
fn a_decoy_hello_is_ignored() {
    let truth = client_hello("relay-1.net.anydesk.com");
    for decoy in
        ["www.example.org.xxxxxxx", "a.example", "a-much-longer-name.of.some.other.example"]
    {
        let mut c = Connection::new(CLIENT, SERVER);
        c.open();
        c.now += MS;
        let payload = client_hello(decoy);
        let (seq, ack) = (c.client_seq, c.server_seq);
        let sent = Tcp { seq, ack, flags: PSH | ACK, ttl: 3, payload: &payload };
        // Sent twice, a moment apart.
        for _ in 0..2 {
            let frame = tcp(c.client, c.server, sent);
            c.capture.add(c.now, frame);
            c.now += 10 * MS;
        }
        c.ask(&truth).answer(&server_hello()).wait(65 * SECOND).ask(&tls_data(9));
        let said = read(&c.close().pcap(), &["--no-dedup"]);
        let session = &said.sessions[0];
        assert_eq!(at(session, "tls.client.server_name"), "relay-1.net.anydesk.com", "{decoy}");
        assert_eq!(legs(session), (2, 30));
        // From the decoy it would be 50 ms.
        let far = at(session, "longhaul.far.rtt.min_us").as_f64().unwrap();
        assert!((29_000.0..31_000.0).contains(&far), "{far}");
        assert!(said.rules().contains(&("D08".to_owned(), "medium".to_owned())));
        assert_eq!(at(&said.run, "counters.session.decoys"), 2);
    }
    // A path that grows by some hops while the connection opens is no decoy.
    let mut c = Connection::new(CLIENT, SERVER);
    c.open();
    c.now += MS;
    let (seq, ack) = (c.client_seq, c.server_seq);
    let frame =
        tcp(c.client, c.server, Tcp { seq, ack, flags: PSH | ACK, ttl: 52, payload: &truth });
    c.capture.add(c.now, frame);
    c.client_seq += truth.len() as u32;
    c.wait(30 * MS).answer(&server_hello());
    let said = read(&c.close().pcap(), &[]);
    assert_eq!(at(&said.sessions[0], "tls.client.server_name"), "relay-1.net.anydesk.com");
    assert_eq!(at(&said.run, "counters.session.decoys"), 0);
}
