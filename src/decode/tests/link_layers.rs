//! Switch tags, pseudowires, 802.11: headers in front of IP in captures of real networks.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{decode, decode_as, decoder, ethernet, ipv4, ipv6, tcp, udp};
use crate::decode::{DecodeConfig, Decoded, Decoder, Reject, TunnelKind};
use crate::model::{Addr, Frame, LinkType, Nanos, Packet, PacketFlags};

/// A SYN from 192.0.2.1:40000, its header checksum right.
fn inner() -> Vec<u8> {
    let mut packet = ipv4(6, 0, &tcp(40_000, 443, 2, &[]));
    let sum: u32 = packet[..20].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let check = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&check.to_be_bytes());
    packet
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// Whether the inner packet was reached, by its port and address.
fn is_inner(decoded: &Decoded) -> bool {
    let key = decoded.packet.key;
    (key.a, key.a_port, key.b_port) == (Addr::v4([192, 0, 2, 1]), 40_000, 443)
}

/// The encapsulation reported for a session's first packet.
fn wrapping(decoded: &Decoded, bytes: &[u8]) -> (Option<u16>, Option<u32>) {
    let packet = Packet { wire_len: bytes.len() as u32, ..decoded.packet };
    match packet.only_tag(bytes) {
        Some(vlan) => (Some(vlan), None),
        None => {
            let config = DecodeConfig::default();
            let (vlan, wrapping) = Decoder::wrapping(&config, &packet, bytes).unwrap();
            (vlan, wrapping.mpls_label)
        }
    }
}

/// A customer's frame whose destination address starts with `first`.
fn customer(first: u8, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(ether_type, payload);
    frame[..6].copy_from_slice(&[first, 0x3d, 0x26, 0x00, 0x12, 0x34]);
    frame
}

#[test]
fn tags_of_switches_are_passed() {
    let ip = inner();
    let group: &[u8] = &[1, 1, 0, 1, 0, 200, 8, 0];
    let two_options: &[u8] = &[1, 2, 0, 1, 0, 200, 0, 2, 0, 0, 8, 0];
    let signed: &[u8] = &[0x20, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 1, 8, 0];
    for (ether_type, header) in [
        (0x8988, [&[1, 2, 3, 4, 5, 6][..], &[8, 0]].concat()),
        (0x8909, group.to_vec()),
        (0x8909, two_options.to_vec()),
        (0x8926, vec![0, 0, 0, 0x14, 8, 0]),
        (0x893f, vec![0, 0, 0, 0, 0, 0, 8, 0]),
        (0xf1c1, vec![0, 0, 0, 9, 8, 0]),
        (0x892f, vec![0, 60, 0, 9, 8, 0]),
        (0x88e5, signed.to_vec()),
        (0xd28b, join(&[&[0, 1, 0, 0x10], &[7; 8], &[8, 0]])),
        (0xd28b, join(&[&[0, 1, 1, 0x21], &[7; 6], &[8, 0]])),
        (0x22f3, join(&[&[0, 0x3f, 0, 1, 0, 2], &ethernet(0x0800, &[])])),
    ] {
        let mut bytes = ethernet(ether_type, &join(&[&header, &ip]));
        // The integrity check value is behind the frame.
        bytes.extend_from_slice(&[0xcc; 16]);
        let decoded = decode(&bytes).unwrap_or_else(|reject| panic!("{ether_type:x}: {reject:?}"));
        assert!(is_inner(&decoded), "{ether_type:x}");
        assert_eq!(decoded.packet.payload_len, 0, "{ether_type:x}");
        assert_eq!(wrapping(&decoded, &bytes), (None, None), "{ether_type:x}");
    }
    // Encrypted: nothing to read.
    let sealed = ethernet(0x88e5, &join(&[&[0x2c, 0, 0, 0, 0, 1], &[9; 60]]));
    assert_eq!(decode(&sealed).unwrap_err(), Reject::NotIp);
    // Within a tunnel that mirrors frames (as fabrics do), and before a VLAN tag.
    let mirrored = ethernet(0x8988, &join(&[&[0; 6], &[0x81, 0, 0, 101, 8, 0], &ip]));
    let bytes = ethernet(0x0800, &ipv4(47, 0, &join(&[&[0, 0, 0x88, 0xbe], &mirrored])));
    let decoded = decode(&bytes).unwrap();
    assert!(is_inner(&decoded));
    assert_eq!(wrapping(&decoded, &bytes), (Some(101), None));
}

#[test]
fn ip_after_an_unknown_tag_is_not_counted_as_a_frame_without_ip() {
    let ip = inner();
    let six = ipv6(17, &udp(1, 2, b"abc"));
    let unknown = [
        join(&[&[1, 2, 3, 4, 5, 6], &[8, 0], &ip]),
        join(&[&[9; 30], &[8, 0], &ip]),
        join(&[&[1, 2], &[0x86, 0xdd], &six]),
    ];
    for payload in &unknown {
        assert_eq!(decode(&ethernet(0x9abc, payload)).unwrap_err(), Reject::HiddenIp);
        let vxlan = join(&[&[8, 0, 0, 0, 0, 0, 7, 0], &ethernet(0x9abc, payload)]);
        let outer = ethernet(0x0800, &ipv4(17, 0, &udp(9, 4789, &vxlan)));
        assert_eq!(decode(&outer).unwrap_err(), Reject::HiddenIp);
    }
    // Bytes that match by chance, and bytes that are no packet.
    let mut wrong_sum = ip.clone();
    wrong_sum[10] ^= 1;
    for payload in [join(&[&[1, 2, 8, 0], &wrong_sum]), vec![8; 60], vec![0x86, 0xdd], vec![]] {
        assert_eq!(decode(&ethernet(0x9abc, &payload)).unwrap_err(), Reject::NotIp);
    }
}

#[test]
fn the_vlan_id_is_found_at_any_position() {
    let ip = inner();
    let tag: &[u8] = &[0, 101, 8, 0];
    let tagged = ethernet(0x8100, &join(&[tag, &ip]));
    let vxlan = |frame: &[u8]| {
        let payload = join(&[&[8, 0, 0, 0, 0, 0, 7, 0], frame]);
        ethernet(0x0800, &ipv4(17, 0, &udp(9, 4789, &payload)))
    };
    let erspan =
        |header: &[u8], frame: &[u8]| ethernet(0x0800, &ipv4(47, 0, &join(&[header, frame])));
    let two = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 101, 0, 5, 0, 0, 0, 0];
    let plain = ethernet(0x0800, &ip);
    for (bytes, vlan) in [
        (ethernet(0x8926, &join(&[&[0, 0, 0, 0x14, 0x81, 0], tag, &ip])), Some(101)),
        (ethernet(0x88a8, &join(&[tag, &ip])), Some(101)),
        (ethernet(0x8100, &join(&[tag, &ip])), Some(101)),
        (ethernet(0x8100, &join(&[&[0, 101, 0x81, 0, 0, 7, 8, 0], &ip])), Some(101)),
        (ethernet(0x8909, &join(&[&[1, 1, 0, 1, 0, 200, 0x81, 0], tag, &ip])), Some(101)),
        (vxlan(&tagged), Some(101)),
        (vxlan(&plain), None),
        (erspan(&[0, 0, 0x88, 0xbe], &tagged), Some(101)),
        (erspan(&two, &tagged), Some(101)),
        (erspan(&two, &plain), None),
        (ethernet(0x8847, &join(&[&[0, 2, 1, 64], &tagged])), Some(101)),
    ] {
        let decoded = decode(&bytes).unwrap();
        assert!(is_inner(&decoded));
        assert_eq!(wrapping(&decoded, &bytes).0, vlan, "{bytes:02x?}");
    }
    let cooked = join(&[&[0x81, 0], &[0; 18], tag, &ip]);
    let decoded = decode_as(LinkType::LINUX_SLL2, &cooked).unwrap();
    assert_eq!(wrapping(&decoded, &cooked).0, Some(101));
    let cooked = join(&[&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x81, 0], tag, &ip]);
    let decoded = decode_as(LinkType::LINUX_SLL, &cooked).unwrap();
    assert_eq!(wrapping(&decoded, &cooked).0, Some(101));
}

#[test]
fn the_first_label_of_a_plain_stack_is_reported() {
    let ip = inner();
    // Labels 1019 and 16.
    let stack: &[u8] = &[0, 0x3f, 0xb0, 64, 0, 1, 1, 64];
    let bytes = ethernet(0x8847, &join(&[stack, &ip]));
    let decoded = decode(&bytes).unwrap();
    assert!(is_inner(&decoded) && decoded.packet.flags.has(PacketFlags::TAGGED));
    assert_eq!(wrapping(&decoded, &bytes), (None, Some(1019)));
    let bytes = ethernet(0x8100, &join(&[&[0, 5, 0x88, 0x47], stack, &ip]));
    assert_eq!(wrapping(&decode(&bytes).unwrap(), &bytes), (Some(5), Some(1019)));
    let bytes = join(&[&[0xff, 3, 2, 0x81], stack, &ip]);
    let decoded = decode_as(LinkType::PPP, &bytes).unwrap();
    assert_eq!(wrapping(&decoded, &bytes), (None, Some(1019)));
}

/// RFC 4928 section 2: a pseudowire without control word whose customer address starts with 4 or 6.
#[test]
fn a_customer_frame_is_no_ip_packet() {
    let ip = inner();
    let label: &[u8] = &[0, 0x3f, 0xb1, 64];
    for first in [0x40, 0x45, 0x4f, 0x60, 0x6c, 0x00, 0x02] {
        for customer in [
            customer(first, 0x0800, &ip),
            customer(first, 0x8100, &join(&[&[0, 101, 8, 0], &ip])),
            customer(first, 0x88a8, &join(&[&[0, 1, 0x81, 0, 0, 101, 8, 0], &ip])),
        ] {
            let decoded = decode(&ethernet(0x8847, &join(&[label, &customer]))).unwrap();
            assert!(is_inner(&decoded), "{first:x}");
            let word = ethernet(0x8847, &join(&[label, &[0; 4], &customer]));
            assert!(is_inner(&decode(&word).unwrap()), "{first:x} behind a control word");
        }
        let six = customer(first, 0x86dd, &ipv6(17, &udp(1, 2, b"abc")));
        let decoded = decode(&ethernet(0x8847, &join(&[label, &six]))).unwrap();
        assert_eq!((decoded.packet.key.version, decoded.packet.payload_len), (6, 3));
        // Other traffic of the customer gives no packet.
        let arp = customer(first, 0x0806, &[&[0, 1, 8, 0, 6, 4][..], &[0; 40]].concat());
        let bridge = customer(first, 38, &[&[0x42, 0x42, 3, 0, 0][..], &[0; 41]].concat());
        for frame in [arp, bridge] {
            let frame = ethernet(0x8847, &join(&[label, &frame]));
            assert_eq!(decode(&frame).unwrap_err(), Reject::NotIp, "{first:x}");
        }
    }
}

#[test]
fn an_ip_packet_is_no_customer_frame() {
    let label: &[u8] = &[0, 0x3f, 0xb1, 64];
    let reach = |packet: &[u8]| decode(&ethernet(0x8847, &join(&[label, packet]))).unwrap();
    // Addresses that look like an EtherType; padding; a header without checksum; a jumbo segment.
    let mut from_eight = inner();
    from_eight[12..14].copy_from_slice(&[8, 0]);
    from_eight[10..12].copy_from_slice(&[0, 0]);
    assert_eq!(reach(&from_eight).packet.key.a, Addr::v4([8, 0, 2, 1]));
    assert!(is_inner(&reach(&join(&[&inner(), &[0; 18]]))));
    let mut offloaded = inner();
    offloaded[2..4].fill(0);
    offloaded[10..12].fill(0);
    assert!(is_inner(&reach(&offloaded)));
    let six = ipv6(17, &udp(1, 2, b"abc"));
    assert_eq!(reach(&six).packet.key.version, 6);
    // A packet longer than its bytes, truncated without a note: the checksum confirms it.
    let whole = ipv4(6, 0, &tcp(1, 2, 16, &[1; 900]));
    let mut cut = whole[..100].to_vec();
    assert_eq!(decode(&ethernet(0x8847, &join(&[label, &cut]))).unwrap_err(), Reject::NotIp);
    let sum: u32 = cut[..20].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let check = !((sum & 0xffff) + (sum >> 16)) as u16;
    cut[10..12].copy_from_slice(&check.to_be_bytes());
    assert_eq!(reach(&cut).packet.payload_missing, 844);
}

const SNAP: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];

/// The header of a QoS data frame, or of one with four addresses.
fn wlan(aggregate: bool, four: bool) -> Vec<u8> {
    let flags = if four { 3 } else { 1 };
    let mut header = vec![0x88, flags];
    header.resize(if four { 30 } else { 24 }, 0);
    header.extend_from_slice(&[if aggregate { 0x80 } else { 0 }, 0]);
    header
}

#[test]
fn a_header_of_802_11_may_be_padded() {
    let ip = inner();
    let unmarked: &[u8] = &[0, 0, 8, 0, 0, 0, 0, 0];
    // With flags, among them the one for padding.
    let marked: &[u8] = &[0, 0, 9, 0, 2, 0, 0, 0, 0x20];
    for radiotap in [unmarked, marked] {
        for (four, pad) in [(false, 2), (true, 0), (false, 0)] {
            let frame = join(&[radiotap, &wlan(false, four), &vec![0; pad], &SNAP, &ip]);
            let decoded = decode_as(LinkType::IEEE802_11_RADIOTAP, &frame).unwrap();
            assert!(is_inner(&decoded), "four addresses: {four}, padding: {pad}");
        }
    }
    // No QoS, four addresses: 30 bytes.
    let frame = join(&[unmarked, &[0x08, 3], &[0; 28], &[0; 2], &SNAP, &ip]);
    assert!(is_inner(&decode_as(LinkType::IEEE802_11_RADIOTAP, &frame).unwrap()));
}

/// Every packet of an aggregate, each once.
#[test]
fn an_aggregate_carries_several_packets() {
    let payload = vec![7; 1460];
    let packets =
        [inner(), ipv4(6, 0, &tcp(40_000, 443, 16, &payload)), ipv4(17, 0, &udp(9, 53, b"abcd"))];
    for pad in [0, 2] {
        let mut bytes = join(&[&wlan(true, false), &vec![0; pad]]);
        let mut starts = Vec::new();
        for (n, packet) in packets.iter().enumerate() {
            starts.push(bytes.len());
            let length = (SNAP.len() + packet.len()) as u16;
            let part =
                join(&[&[2, 0, 0, 0, 0, n as u8], &[6; 6], &length.to_be_bytes(), &SNAP, packet]);
            bytes.extend_from_slice(&part);
            if n + 1 < packets.len() {
                bytes.resize(bytes.len() + (4 - part.len() % 4) % 4, 0);
            }
        }
        // The frame's check sequence.
        bytes.extend_from_slice(&[1, 2, 3, 4]);
        let (time, link, wire_len) = (Nanos(1), LinkType::IEEE802_11, bytes.len() as u32);
        let frame = Frame { time, link, wire_len, bytes: &bytes };
        let mut decoder = decoder();
        let subframes: Vec<_> = decoder.subframes(&frame).unwrap().collect();
        assert_eq!(subframes.iter().map(|(at, _)| *at).collect::<Vec<_>>(), starts);
        for ((_, subframe), packet) in subframes.iter().zip(&packets) {
            assert_eq!(subframe.wire_len as usize, 14 + 8 + packet.len());
            let decoded = decoder.decode_subframe(subframe, 0).unwrap().packet;
            assert!(decoded.flags.has(PacketFlags::ETHERNET));
            let rest =
                subframe.bytes.len() - usize::from(decoded.l4_at + u16::from(decoded.l4_len));
            assert_eq!(decoded.payload_len as usize, rest);
        }
    }
    let single = join(&[&wlan(false, false), &SNAP, &inner()]);
    let wire_len = single.len() as u32;
    let frame = Frame { time: Nanos(1), link: LinkType::IEEE802_11, wire_len, bytes: &single };
    assert!(decoder().subframes(&frame).is_none());
    // Sniffed and forwarded in a tunnel: the first packet only.
    let part = join(&[&[6; 12], &[0, 52], &SNAP, &inner()]);
    let sniffed = join(&[&[1, 0, 0, 18, 1], &wlan(true, false), &part]);
    let bytes = ethernet(0x0800, &ipv4(17, 0, &udp(9, 37_008, &sniffed)));
    let decoded = decode(&bytes).unwrap();
    assert!(is_inner(&decoded) && decoded.path.tunnel == Some(TunnelKind::Tzsp));
}

proptest! {
    /// False lengths give fewer packets, at most one per 14 bytes, and no endless loop.
    #[test]
    fn no_aggregate_breaks_its_frame(body in vec(any::<u8>(), 0..300)) {
        let bytes = join(&[&wlan(true, false), &body]);
        let (time, link, wire_len) = (Nanos(1), LinkType::IEEE802_11, bytes.len() as u32);
        let frame = Frame { time, link, wire_len, bytes: &bytes };
        let mut decoder = decoder();
        let mut taken = 0;
        for (at, subframe) in decoder.subframes(&frame).unwrap() {
            taken += 1;
            prop_assert!(at + subframe.bytes.len() <= bytes.len());
            let _ = decoder.decode_subframe(&subframe, 0);
        }
        prop_assert!(taken <= body.len() / 14);
    }
}
