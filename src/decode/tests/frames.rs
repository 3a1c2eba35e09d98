//! Known frames: one for each header the general path knows.

use super::{decode, decode_as, decoder, ethernet, ipv4, ipv6, tcp, udp};
use crate::decode::{DecodeConfig, Decoded, Decoder, Reject, TunnelKind, TunnelSet};
use crate::model::record::Wrapping;
use crate::model::{Addr, Frame, LinkType, Nanos, Packet, PacketFlags, Transport};

/// The packet inside every encapsulation below: SYN from 192.0.2.1:40000 to 198.51.100.7:443.
fn inner() -> Vec<u8> {
    ipv4(6, 0, &tcp(40_000, 443, 2, &[]))
}

/// Asserts that this is the inner packet.
fn assert_inner(decoded: Result<Decoded, Reject>) -> Decoded {
    let decoded = decoded.unwrap();
    let key = decoded.packet.key;
    assert_eq!(
        (key.a, key.a_port, key.b, key.b_port),
        (Addr::v4([192, 0, 2, 1]), 40_000, Addr::v4([198, 51, 100, 7]), 443)
    );
    assert_eq!((key.transport, key.version), (Transport::TCP, 4));
    assert_eq!((decoded.packet.seq, decoded.packet.ack, decoded.packet.ttl), (9, 8, 64));
    assert_eq!((decoded.packet.l4_len, decoded.packet.payload_len), (24, 0));
    assert!(decoded.packet.tcp_flags.has(2));
    decoded
}

/// Asserts the inner packet behind a tunnel.
fn assert_tunnel(decoded: Result<Decoded, Reject>, kind: TunnelKind, id: u32) {
    let decoded = assert_inner(decoded);
    assert_eq!((decoded.path.tunnel, decoded.path.tunnel_id), (Some(kind), id));
    assert!(decoded.packet.flags.has(PacketFlags::TUNNELLED) && !decoded.path.fast_path);
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// The inner packet behind outer IPv4 of a protocol and a header.
fn in_ip(protocol: u8, header: &[u8], payload: &[u8]) -> Result<Decoded, Reject> {
    decode(&ethernet(0x0800, &ipv4(protocol, 0, &join(&[header, payload]))))
}

/// The same in UDP to a port.
fn in_udp(port: u16, header: &[u8], payload: &[u8]) -> Result<Decoded, Reject> {
    decode(&ethernet(0x0800, &ipv4(17, 0, &udp(55_555, port, &join(&[header, payload])))))
}

#[test]
fn plain_ethernet_takes_the_fast_path_and_padding_is_no_payload() {
    let mut bytes = ethernet(0x0800, &inner());
    bytes.extend_from_slice(&[0; 12]);
    let decoded = assert_inner(decode(&bytes));
    assert!(decoded.path.fast_path);
    assert_eq!(decoded.packet.l4_at, 34);
    assert_eq!(decoded.packet.flags, PacketFlags(PacketFlags::ETHERNET));
    assert_eq!(decoded.packet.l4_header(&bytes).len(), 24);
}

#[test]
fn the_answer_shares_the_key() {
    let mut answer = ipv4(6, 0, &tcp(443, 40_000, 0x12, b"x"));
    answer[12..20].copy_from_slice(&[198, 51, 100, 7, 192, 0, 2, 1]);
    let there = decode(&ethernet(0x0800, &inner())).unwrap().packet;
    let back = decode(&ethernet(0x0800, &answer)).unwrap().packet;
    assert_eq!((there.key, there.hash, there.shard), (back.key, back.hash, back.shard));
    assert!(back.flags.has(PacketFlags::FROM_B) && !there.flags.has(PacketFlags::FROM_B));
    assert_eq!(back.payload_len, 1);
}

#[test]
fn link_types() {
    let ip = inner();
    let sll = join(&[&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0], &ip]);
    let sll2 = join(&[&[8, 0], &[0; 18], &ip]);
    let snap: &[u8] = &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let wlan = join(&[&[0x88, 0x01], &[0; 22], &[0, 0], snap, &ip]);
    let attributes: &[u8] = &[8, 0, 1, 0, 8, 0, 1, 0, 5, 0, 10, 0, 0x41, 0, 0, 0];
    let payload = (4 + ip.len() as u16).to_le_bytes();
    let nflog = join(&[&[2, 0, 0, 0], attributes, &payload, &[9, 0], &ip]);
    let prism = join(&[&[0x44, 0, 0, 0, 144, 0, 0, 0], &[0; 136], &wlan]);
    for (link, bytes) in [
        (LinkType::RAW, ip.clone()),
        (LinkType::IPV4, ip.clone()),
        (LinkType::NULL, join(&[&[2, 0, 0, 0], &ip])),
        (LinkType::LOOP, join(&[&[0, 0, 0, 2], &ip])),
        (LinkType::PPP, join(&[&[0xff, 3, 0, 0x21], &ip])),
        (LinkType::PPP, join(&[&[0x21], &ip])),
        (LinkType::C_HDLC, join(&[&[0x0f, 0, 8, 0], &ip])),
        (LinkType::LINUX_SLL, sll),
        (LinkType::LINUX_SLL2, sll2),
        (LinkType::IEEE802_11, wlan.clone()),
        (LinkType::IEEE802_11_RADIOTAP, join(&[&[0, 0, 8, 0, 0, 0, 0, 0], &wlan])),
        (LinkType(119), prism),
        (LinkType::NFLOG, nflog),
    ] {
        let decoded = assert_inner(decode_as(link, &bytes));
        assert!(!decoded.packet.flags.has(PacketFlags::ETHERNET), "{link:?}");
    }
    assert_eq!(decode_as(LinkType(200), &ip).unwrap_err(), Reject::Link);
    let encrypted = join(&[&[0x88, 0x41], &[0; 22], &[0, 0], snap, &ip]);
    assert_eq!(decode_as(LinkType::IEEE802_11, &encrypted).unwrap_err(), Reject::NotIp);
}

#[test]
fn tags_and_labels_are_no_tunnels() {
    let ip = inner();
    let qinq = ethernet(0x88a8, &join(&[&[0x20, 100, 0x81, 0, 0, 7, 8, 0], &ip]));
    let decoded = assert_inner(decode(&qinq));
    assert_eq!((decoded.path.vlan, decoded.path.tunnel), (Some(100), None));
    assert!(decoded.packet.flags.has(PacketFlags::TAGGED));
    assert!(!decoded.packet.flags.has(PacketFlags::TUNNELLED));

    let customer = ethernet(0x0800, &ip);
    let length = (2 + ip.len() as u16).to_be_bytes();
    for bytes in [
        ethernet(0x88e7, &join(&[&[0, 0, 0, 9], &customer])),
        ethernet(0x8847, &join(&[&[0, 1, 0, 64, 0, 2, 1, 64], &ip])),
        ethernet(0x8847, &join(&[&[0, 2, 1, 64, 0, 0, 0, 0], &customer])),
        ethernet(0x8847, &join(&[&[0, 2, 1, 64], &customer])),
        ethernet(0x8864, &join(&[&[0x11, 0, 0, 5], &length, &[0, 0x21], &ip])),
        ethernet(0x8903, &join(&[&[0, 9], &customer])),
        ethernet(8 + ip.len() as u16, &join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ip])),
    ] {
        let decoded = assert_inner(decode(&bytes));
        assert_eq!((decoded.path.tunnel, decoded.path.vlan), (None, None));
    }
}

#[test]
fn tunnels_in_ip() {
    let (ip, frame) = (inner(), ethernet(0x0800, &inner()));
    let gre = |header: &[u8], payload: &[u8]| in_ip(47, header, payload);
    assert_tunnel(gre(&[0, 0, 8, 0], &ip), TunnelKind::Gre, 0);
    let all = [0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 77, 0, 0, 0, 1];
    assert_tunnel(gre(&all, &ip), TunnelKind::Gre, 77);
    assert_tunnel(gre(&[0x20, 0, 0x65, 0x58, 0, 0, 9, 1], &frame), TunnelKind::Gre, 9);
    let length = (4 + ip.len() as u16).to_be_bytes();
    let pptp = join(&[&[0x30, 1, 0x88, 0x0b], &length, &[0, 5, 0, 0, 0, 1, 0xff, 3, 0, 0x21]]);
    assert_tunnel(gre(&pptp, &ip), TunnelKind::Gre, 5);
    assert_tunnel(gre(&[0, 0, 0x88, 0xbe], &frame), TunnelKind::Erspan, 0);
    let two = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0x10, 0x65, 0, 0, 0, 0];
    assert_tunnel(gre(&two, &frame), TunnelKind::Erspan, 0x65);
    let three = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_tunnel(gre(&join(&[&three, &[0; 8]]), &frame), TunnelKind::Erspan, 3);
    assert_tunnel(in_ip(4, &[], &ip), TunnelKind::Ipip, 0);
    assert_tunnel(in_ip(97, &[0x30, 0], &frame), TunnelKind::EtherIp, 0);
    assert_tunnel(in_ip(115, &[0, 0, 0, 8, 1, 2, 3, 4], &frame), TunnelKind::L2tp, 8);
    let four_in_six = decode(&ethernet(0x86dd, &ipv6(4, &ip)));
    assert_tunnel(four_in_six, TunnelKind::Ipip, 0);
    let six_in_four = in_ip(41, &[], &ipv6(17, &udp(1, 2, b"abc"))).unwrap();
    assert_eq!(six_in_four.path.tunnel, Some(TunnelKind::SixIn));
    assert_eq!((six_in_four.packet.key.version, six_in_four.packet.payload_len), (6, 3));
}

#[test]
fn tunnels_in_udp() {
    let (ip, frame) = (inner(), ethernet(0x0800, &inner()));
    let vni = [8, 0, 0, 0, 0, 1, 2, 0];
    assert_tunnel(in_udp(4789, &vni, &frame), TunnelKind::Vxlan, 0x0102);
    assert_tunnel(in_udp(8472, &vni, &frame), TunnelKind::Vxlan, 0x0102);
    assert_tunnel(in_udp(4790, &[12, 0, 0, 1, 0, 0, 7, 0], &ip), TunnelKind::VxlanGpe, 7);
    assert_tunnel(in_udp(4790, &[12, 0, 0, 3, 0, 0, 7, 0], &frame), TunnelKind::VxlanGpe, 7);
    let nsh = [12, 0, 0, 4, 0, 0, 7, 0, 0, 2, 1, 1, 0, 0, 1, 1];
    assert_tunnel(in_udp(4790, &nsh, &ip), TunnelKind::VxlanGpe, 7);
    let geneve = [1, 0, 0x65, 0x58, 0, 0, 5, 0, 1, 2, 3, 0];
    assert_tunnel(in_udp(6081, &geneve, &frame), TunnelKind::Geneve, 5);
    let length = (ip.len() as u16).to_be_bytes();
    let gtp = join(&[&[0x30, 0xff], &length, &[0, 0, 0, 9]]);
    assert_tunnel(in_udp(2152, &gtp, &ip), TunnelKind::GtpU, 9);
    // Sequence number and two extension headers.
    let length = (12 + ip.len() as u16).to_be_bytes();
    let long = [0, 0, 0, 9, 0, 1, 0, 0x85, 1, 0, 0, 0xc0, 1, 0, 0, 0];
    let gtp = join(&[&[0x36, 0xff], &length, &long]);
    assert_tunnel(in_udp(2152, &gtp, &ip), TunnelKind::GtpU, 9);
    let tzsp = [1, 0, 0, 1, 0, 11, 1, 6, 1];
    assert_tunnel(in_udp(37_008, &tzsp, &frame), TunnelKind::Tzsp, 0);
    let l2tp2 = [0, 2, 0, 1, 0, 2, 0xff, 3, 0, 0x21];
    assert_tunnel(in_udp(1701, &l2tp2, &ip), TunnelKind::L2tp, 0x0001_0002);
    assert_tunnel(in_udp(1701, &[0, 3, 0, 0, 0, 0, 0, 6], &frame), TunnelKind::L2tp, 6);
    let teredo = [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6];
    let teredo = in_udp(3544, &teredo, &ipv6(17, &udp(1, 2, b"abc"))).unwrap();
    assert_eq!(teredo.path.tunnel, Some(TunnelKind::Teredo));
    assert_eq!((teredo.packet.key.version, teredo.packet.payload_len), (6, 3));
}

#[test]
fn a_malformed_tunnel_leaves_the_outer_packet() {
    let arp = ethernet(0x0806, &[0; 28]);
    let mut overlong = inner();
    overlong[2] = 9;
    let gtp = [0x30, 0xff, 0, 44, 0, 0, 0, 9];
    for (port, payload) in [
        (4789, join(&[&[8, 0, 0, 0, 0, 1, 2, 0], &arp])),
        (4789, b"not a tunnel at all".to_vec()),
        (4789, Vec::new()),
        (2152, join(&[&gtp, &overlong])),
        (2152, join(&[&gtp, &[0x43; 44]])),
        (3544, vec![0x60; 20]),
        (6081, vec![0; 9]),
        (37_008, vec![1, 0, 0, 1, 5, 200]),
    ] {
        let decoded = in_udp(port, &[], &payload).unwrap();
        assert_eq!(decoded.packet.key.transport, Transport::UDP, "{port}");
        assert_eq!(decoded.packet.payload_len as usize, payload.len());
        assert_eq!((decoded.path.tunnel, decoded.packet.flags.has(0x10)), (None, false));
    }
    let keepalive = in_ip(47, &[0, 0, 0, 0], &[]).unwrap();
    assert_eq!((keepalive.packet.key.transport, keepalive.path.tunnel), (Transport(47), None));
}

#[test]
fn a_tunnel_that_is_off_is_a_session_of_its_own() {
    let bytes = ethernet(0x0800, &ipv4(4, 0, &inner()));
    let frame = Frame { time: Nanos(1), link: LinkType::ETHERNET, wire_len: 200, bytes: &bytes };
    let tunnels = TunnelSet::ALL.without(TunnelKind::Ipip);
    let mut decoder = Decoder::new(DecodeConfig { tunnels, ..DecodeConfig::default() });
    let packet = decoder.decode_frame(&frame, 0).unwrap().packet;
    assert_eq!((packet.key.transport, packet.l4_len), (Transport(4), 0));
}

#[test]
fn depth_is_limited() {
    let mut packet = inner();
    for _ in 0..8 {
        packet = ipv4(4, 0, &packet);
    }
    assert_tunnel(decode(&ethernet(0x0800, &packet)), TunnelKind::Ipip, 0);
    assert_eq!(decode(&ethernet(0x0800, &ipv4(4, 0, &packet))).unwrap_err(), Reject::Depth);
    let tags = ethernet(0x8100, &[0, 1, 0x81, 0].repeat(40));
    assert_eq!(decode(&tags).unwrap_err(), Reject::Depth);
    let labels = ethernet(0x8847, &[0; 100]);
    assert_eq!(decode(&labels).unwrap_err(), Reject::Depth);
}

#[test]
fn icmp_pairs_share_a_key_and_the_rest_is_one_way() {
    let icmp = |from: [u8; 8], kind: u8, code: u8| {
        let mut packet = ipv4(1, 0, &[kind, code, 0, 0, 0, 0, 0, 0, 1]);
        packet[12..20].copy_from_slice(&from);
        decode(&ethernet(0x0800, &packet)).unwrap().packet
    };
    let (there, back) = ([192, 0, 2, 1, 198, 51, 100, 7], [198, 51, 100, 7, 192, 0, 2, 1]);
    let (request, reply) = (icmp(there, 8, 0), icmp(back, 0, 0));
    assert_eq!(request.key, reply.key);
    assert_eq!((request.key.a_port, request.key.b_port, request.payload_len), (8, 0, 1));
    let (one, other) = (icmp(there, 3, 3), icmp(back, 3, 3));
    assert_ne!(one.key, other.key);
    assert_eq!((other.key.a, other.flags.has(PacketFlags::FROM_B)), (one.key.b, false));
    let echo6 = |kind| decode(&ethernet(0x86dd, &ipv6(58, &[kind, 0, 0, 0, 0, 0, 0, 0])));
    let key = echo6(129).unwrap().packet.key;
    assert_eq!((key.a_port, key.b_port), (129, 128));
}

#[test]
fn later_fragments_inherit_the_session() {
    let segment = udp(5000, 53, &[7; 24]);
    let first = ethernet(0x0800, &ipv4(17, 0x2000, &segment[..24]));
    let later = ethernet(0x0800, &ipv4(17, 3, &segment[24..]));
    let mut decoder = decoder();
    let mut at = |seconds, bytes: &[u8]| {
        let wire_len = bytes.len() as u32;
        // The run's clock counts, not the packet's own time.
        decoder.set_clock(seconds);
        let time = Nanos::from_secs(9_000_000);
        decoder.decode_frame(&Frame { time, link: LinkType::ETHERNET, wire_len, bytes }, 4)
    };
    let one = at(2, &first).unwrap().packet;
    let two = at(3, &later).unwrap().packet;
    assert!(one.flags.has(PacketFlags::FRAGMENT) && !one.flags.has(PacketFlags::FRAGMENT_LATER));
    assert!(two.flags.has(PacketFlags::FRAGMENT_LATER) && !two.flags.has(PacketFlags::FRAGMENT));
    assert_eq!((one.key, one.hash, one.shard), (two.key, two.hash, two.shard));
    assert_eq!((one.payload_len, two.payload_len, two.l4_len), (16, 8, 0));
    assert_eq!(at(40, &later).unwrap_err(), Reject::FragmentEarly, "its first is forgotten");

    let six = |offset: u16, part: &[u8]| {
        let [o0, o1] = offset.to_be_bytes();
        ethernet(0x86dd, &ipv6(44, &join(&[&[17, 0, o0, o1, 0, 0, 0, 9], part])))
    };
    let one = at(50, &six(1, &segment[..24])).unwrap().packet;
    let two = at(50, &six(24, &segment[24..])).unwrap().packet;
    assert_eq!((one.key, one.key.a_port), (two.key, 5000));
}

/// The first fragment comes last, or ends within the header.
#[test]
fn early_fragments_become_one_frame() {
    let segment = tcp(5000, 443, 2, b"payload");
    for (cut, order) in [(8, [0, 1]), (8, [1, 0]), (16, [0, 1]), (24, [1, 0])] {
        let parts = [
            ethernet(0x0800, &ipv4(6, 0x2000, &segment[..cut])),
            ethernet(0x0800, &ipv4(6, cut as u16 / 8, &segment[cut..])),
        ];
        let mut decoder = decoder();
        for part in order {
            let (time, link, bytes) = (Nanos(1), LinkType::ETHERNET, &parts[part][..]);
            let wire_len = bytes.len() as u32;
            let result = decoder.decode_frame(&Frame { time, link, wire_len, bytes }, 4);
            assert_eq!(result.unwrap_err(), Reject::FragmentEarly, "{cut} {order:?}");
        }
        let joined = decoder.take_joined().unwrap();
        assert_eq!(joined.wire_len as usize, parts[0].len() + parts[1].len());
        let packet = decode(&joined.bytes).unwrap().packet;
        let whole = decode(&ethernet(0x0800, &ipv4(6, 0, &segment))).unwrap().packet;
        assert_eq!((packet.key, packet.seq, packet.payload_len), (whole.key, whole.seq, 7));
    }
}

#[test]
fn bytes_cut_by_a_snap_length_are_not_a_loss() {
    let whole = ethernet(0x0800, &ipv4(6, 0, &tcp(1, 2, 16, &[0; 100])));
    let cut = |n: usize| {
        let (time, link, wire_len) = (Nanos(1), LinkType::ETHERNET, whole.len() as u32);
        decoder().decode_frame(&Frame { time, link, wire_len, bytes: &whole[..n] }, 0)
    };
    let packet = cut(68).unwrap().packet;
    assert_eq!((packet.payload_len, packet.payload_missing, packet.l4_len), (10, 90, 24));
    assert!(packet.flags.has(PacketFlags::TRUNCATED));
    // The options are truncated; the session is still identified.
    let packet = cut(56).unwrap().packet;
    assert_eq!((packet.payload_len, packet.payload_missing, packet.l4_len), (0, 100, 22));
    assert_eq!(cut(50).unwrap_err(), Reject::Short);
    assert_eq!(cut(30).unwrap_err(), Reject::Short);
    assert_eq!(cut(8).unwrap_err(), Reject::Short);
}

#[test]
fn headers_that_contradict_themselves() {
    let with = |at: usize, value: u8, packet: Vec<u8>| {
        let mut bytes = ethernet(0x0800, &packet);
        bytes[at] = value;
        decode(&bytes)
    };
    let datagram = || ipv4(17, 0, &udp(1, 2, b"abcd"));
    for result in [
        with(46, 0x40, inner()),
        with(46, 0xf0, inner()),
        with(14, 0x44, inner()),
        with(14, 0x75, inner()),
        with(17, 19, inner()),
        with(17, 30, inner()),
        with(39, 7, datagram()),
    ] {
        assert!(matches!(result, Err(Reject::Malformed(_))), "{result:?}");
    }
    // Length 0 and a length beyond the packet: the ports are still valid.
    for length in [0, 200] {
        let packet = with(39, length, datagram()).unwrap().packet;
        assert_eq!((packet.key.a_port, packet.payload_len, packet.payload_missing), (1, 4, 0));
    }
}

#[test]
fn total_length_zero_means_the_rest_of_the_frame() {
    let mut packet = ipv4(6, 0, &tcp(1, 2, 16, &[1; 3000]));
    packet[2..4].fill(0);
    let decoded = decode(&ethernet(0x0800, &packet)).unwrap();
    assert_eq!((decoded.packet.payload_len, decoded.packet.payload_missing), (3000, 0));
    let mut packet = ipv6(6, &tcp(1, 2, 16, &[1; 3000]));
    packet[4..6].fill(0);
    assert_eq!(decode(&ethernet(0x86dd, &packet)).unwrap().packet.payload_len, 3000);
}

#[test]
fn extension_headers_and_options_are_passed() {
    let segment = tcp(40_000, 443, 2, &[]);
    let hops = join(&[&[60, 0, 1, 4, 0, 0, 0, 0], &[6, 0, 1, 4, 0, 0, 0, 0], &segment]);
    let packet = decode(&ethernet(0x86dd, &ipv6(0, &hops))).unwrap().packet;
    assert_eq!((packet.key.transport, packet.l4_at, packet.ttl), (Transport::TCP, 70, 57));
    let mut options = ipv4(6, 0, &join(&[&[1, 1, 1, 0], &segment]));
    options[0] = 0x46;
    let decoded = assert_inner(decode(&ethernet(0x0800, &options)));
    assert!(!decoded.path.fast_path);
    let loose = decode(&ethernet(0x86dd, &ipv6(60, &[6, 200, 0, 0, 0, 0, 0, 0])));
    assert!(loose.is_err());
}

#[test]
fn the_vlan_separates_sessions_only_where_asked() {
    let tagged = |id: u8| ethernet(0x8100, &join(&[&[0, id, 8, 0], &inner()]));
    let key = |vlan_in_key, bytes: &[u8]| {
        let (time, link, wire_len) = (Nanos(1), LinkType::ETHERNET, bytes.len() as u32);
        let mut decoder = Decoder::new(DecodeConfig { vlan_in_key, ..DecodeConfig::default() });
        let frame = Frame { time, link, wire_len, bytes };
        decoder.decode_frame(&frame, 0).unwrap().packet.key
    };
    assert_eq!(key(false, &tagged(5)), key(false, &tagged(6)));
    assert_ne!(key(true, &tagged(5)), key(true, &tagged(6)));
    assert_eq!(key(true, &tagged(5)).scope, 5);
}

#[test]
fn frames_without_ip_are_counted_as_such() {
    for ether_type in [0x0806, 0x88cc, 0x888e, 0x86de] {
        assert_eq!(decode(&ethernet(ether_type, &[0; 46])).unwrap_err(), Reject::NotIp);
    }
    let spanning_tree = ethernet(38, &[0x42; 38]);
    assert_eq!(decode(&spanning_tree).unwrap_err(), Reject::NotIp);
    assert_eq!(decode(&[]).unwrap_err(), Reject::Short);
}

/// Reading a session's first frame again lists its encapsulation from the outside in.
#[test]
fn tunnels_are_listed_from_the_outermost_inwards() {
    let config = DecodeConfig::default();
    let vxlan = join(&[&[8, 0, 0, 0, 0, 0x12, 0x34, 0], &ethernet(0x0800, &inner())]);
    let gre = join(&[&[0, 0, 0x65, 0x58], &ethernet(0x0800, &ipv4(17, 0, &udp(9, 4789, &vxlan)))]);
    let tagged = join(&[&[0, 7, 0x81, 0, 0, 9, 8, 0], &ipv4(47, 0, &gre)]);
    let bytes = ethernet(0x8100, &tagged);
    let decoded = assert_inner(decode(&bytes));
    let packet = Packet { wire_len: bytes.len() as u32, ..decoded.packet };
    // Bytes behind a frame in its block must not matter.
    let block = join(&[&bytes, &[0x55; 64]]);
    let (vlan, wrapping) = Decoder::wrapping(&config, &packet, &block).unwrap();
    let kinds: Vec<(&str, u32)> = wrapping.layers.iter().map(|l| (l.kind, l.id)).collect();
    assert_eq!(kinds, [("gre", 0), ("vxlan", 0x1234)]);
    assert_eq!((decoded.path.vlan, vlan, wrapping.inner_vlan), (Some(7), Some(7), Some(9)));
    let plain = ethernet(0x0800, &inner());
    let packet = Packet { wire_len: 58, ..decode(&plain).unwrap().packet };
    assert_eq!(Decoder::wrapping(&config, &packet, &plain), Some((None, Wrapping::default())));
    // Cooked: the link type follows from the packet's offset, as the packet does not carry it.
    let labels: &[u8] = &[0, 0x01, 0x41, 0x40];
    let sll = join(&[&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x88, 0x47], labels, &inner()]);
    let packet = decode_as(LinkType::LINUX_SLL, &sll).unwrap().packet;
    let packet = Packet { wire_len: sll.len() as u32, ..packet };
    let (_, wrapping) = Decoder::wrapping(&config, &packet, &sll).unwrap();
    assert_eq!((wrapping.layers.len(), wrapping.mpls_label), (0, Some(0x14)));
}

#[test]
fn a_network_identifier_separates_sessions_where_asked() {
    let frame = |vni: u8| {
        let header = [8, 0, 0, 0, 0, 0, vni, 0];
        let payload = join(&[&header, &ethernet(0x0800, &inner())]);
        ethernet(0x0800, &ipv4(17, 0, &udp(9, 4789, &payload)))
    };
    let key = |vni_in_key, bytes: &[u8]| {
        let config = DecodeConfig { vni_in_key, ..DecodeConfig::default() };
        let (time, link, wire_len) = (Nanos(1), LinkType::ETHERNET, bytes.len() as u32);
        let frame = Frame { time, link, wire_len, bytes };
        Decoder::new(config).decode_frame(&frame, 0).unwrap().packet.key
    };
    assert_eq!(key(false, &frame(1)), key(false, &frame(2)));
    assert_ne!(key(true, &frame(1)), key(true, &frame(2)));
}
